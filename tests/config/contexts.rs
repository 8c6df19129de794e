//! Tests the contexts of each directive, and httpd's message in the wrong one.

use crate::support::{configtest, refused, stock, taken};

/// Every context but .htaccess: its name, and what stands around the directive.
const CONTEXTS: [(&str, &str, &str); 9] = [
    ("server", "", ""),
    ("vhost", "<VirtualHost *:1>\n", "\n</VirtualHost>"),
    ("Directory", "<Directory /srv>\nRustApp probe\n", "\n</Directory>"),
    ("DirectoryMatch", "<DirectoryMatch ^/srv/>\nRustApp probe\n", "\n</DirectoryMatch>"),
    ("Location", "<Location /probe>\n", "\n</Location>"),
    ("LocationMatch", "<LocationMatch ^/probe>\n", "\n</LocationMatch>"),
    ("Files", "<Files *.rsp>\nRustApp probe\n", "\n</Files>"),
    ("FilesMatch", "<FilesMatch rsp$>\nRustApp probe\n", "\n</FilesMatch>"),
    ("If", "<If \"%{REQUEST_URI} == '/probe/x'\">\n", "\n</If>"),
];

const SERVERS: [&str; 2] = ["server", "vhost"];

/// The directives with where they may stand: in servers, in sections.
const DIRECTIVES: [(&str, bool, bool); 18] = [
    ("RustAppAlias /x probe", true, false),
    ("RustAppAliasMatch ^/x probe", true, false),
    ("RustApp hello", false, true),
    ("RustApp Off", false, true),
    ("RustAppOption note x", true, true),
    ("RustPassAuthorization On", true, true),
    ("RustErrorOverride On", true, true),
    ("RustMapHeadToGet Auto", true, true),
    ("RustEnableSendfile On", true, true),
    ("RustDaemonProcess other", true, false),
    ("RustProcessGroup g", true, true),
    ("RustRestrictProcess g %{GLOBAL}", true, true),
    ("RustRestrictEmbedded Off", true, false),
    ("RustSlowRequests 2", true, false),
    ("RustAsync Off", true, false),
    ("RustGracefulTimeout 2", true, false),
    ("RustServeHalfClosed On", true, false),
    ("RustIgnoreActivity On", true, true),
];

#[test]
fn each_directive_in_each_context() {
    for (directive, in_servers, in_sections) in DIRECTIVES {
        for (context, before, after) in CONTEXTS {
            let is_server = SERVERS.contains(&context);
            // An application that has the option has to be mounted somewhere. A RustApp before this
            // one holds no more.
            let before = if directive.starts_with("RustApp ") {
                before.replace("RustApp probe\n", "")
            } else {
                before.to_owned()
            };
            let lines = format!(
                "RustDaemonProcess g\nRustAppAlias /probe probe\n{before}{directive}{after}\n"
            );
            if if is_server { in_servers } else { in_sections } {
                taken(stock(), &lines);
            } else {
                let test = configtest(stock(), &lines);
                let name = directive.split(' ').next().expect("a name");
                let found = refused(&lines, &test, &format!("{name} "));
                // RustApp's own message names the alternative.
                let is_said = found.contains("not allowed in ") || found.contains("RustAppAlias ");
                assert!(is_said, "{lines}\n{}", test.output);
                let number = 3 + before.lines().count();
                refused(&lines, &test, &format!("on line {number} of "));
            }
        }
    }
}

/// Settings that hold for all of httpd: the folder of the sockets, and the threads of the runtime.
#[test]
fn settings_of_the_main_server() {
    let settings = ["RustSocketPrefix run/rust", "RustRuntimeThreads 2"];
    settings.iter().for_each(|line| taken(stock(), line));
    for (line, (context, before, after)) in
        settings.iter().flat_map(|line| CONTEXTS[1..].iter().map(move |context| (line, context)))
    {
        let before = before.replace("RustApp probe\n", "");
        let lines = format!("{before}{line}{after}\n");
        let test = configtest(stock(), &lines);
        let found = refused(&lines, &test, line.split(' ').next().expect("a name"));
        let expected = match *context {
            "vhost" => {
                "not allowed in a virtual host; expected in the main server, as it holds for all of httpd"
            }
            _ => "not allowed in ",
        };
        assert!(found.contains(expected), "{lines}\n{}", test.output);
        refused(&lines, &test, "on line 2 of ");
    }
}

/// Sections within sections, as httpd allows them.
#[test]
fn sections_in_sections() {
    for lines in [
        "<VirtualHost *:1>\n<Directory /srv>\n<Files *.rsp>\nRustApp hello\n</Files>\n\
         </Directory>\n</VirtualHost>",
        "<Directory /srv>\n<If \"true\">\nRustApp hello\n<If \"false\">\nRustApp Off\n</If>\n</If>\n\
         </Directory>",
        "<If \"true\">\nRustErrorOverride On\n</If>\n<ElseIf \"true\">\nRustApp hello\n</ElseIf>\n\
         <Else>\nRustApp Off\n</Else>",
        "<IfModule mod_rust.c>\nRustAppAlias /x hello\n</IfModule>",
        "<IfModule rust_module>\nRustAppAlias /x hello\n</IfModule>",
        "<IfDirective RustAppAlias>\nRustAppAlias /x hello\n</IfDirective>",
    ] {
        taken(stock(), lines);
    }
    // Lines in an <IfModule> that does not apply are not checked.
    taken(stock(), "<IfModule !mod_rust.c>\nRustAppAlias nonsense\n</IfModule>");
}

/// The directives' names ignore case, as all of httpd's do.
#[test]
fn names_in_any_case() {
    taken(stock(), "rustAPPalias /x hello\nRUSTPASSAUTHORIZATION on\nRustMapHeadToGet AUTO");
}
