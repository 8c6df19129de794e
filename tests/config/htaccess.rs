//! .htaccess: read for each request, so that its mistakes are a request's and no one else's.

use httpd_testkit::Server;

use crate::support::{stock, value};

const HELLO: &str = "Hello, world\n";

/// Starts a server with these folders below the document root, each with a file `x.txt`.
fn start(folders: &[(&str, &str)]) -> Server {
    let mut builder = stock()
        .module("mod_shop.so")
        .allow_log("RUST0007")
        .conf("<Directory {htdocs}/none>\nAllowOverride None\n</Directory>")
        .conf("<Directory {htdocs}/auth>\nAllowOverride AuthConfig\n</Directory>")
        .conf("<Directory {htdocs}/info>\nAllowOverride FileInfo\n</Directory>")
        .conf("<Directory {htdocs}/list>\nAllowOverride None\nAllowOverrideList RustApp\n</Directory>")
        .conf("<Directory {htdocs}/lenient>\nAllowOverride Nonfatal=Override AuthConfig\n</Directory>")
        .conf("<Directory {htdocs}/outer>\nRustApp hello\n</Directory>")
        .conf("<Directory {htdocs}/options>\nRustAppOption greeting Hi\nRustApp shop\n</Directory>");
    for (folder, lines) in folders {
        builder = builder
            .file(&format!("htdocs/{folder}/.htaccess"), lines)
            .file(&format!("htdocs/{folder}/x.txt"), "a file");
    }
    builder.start()
}

#[test]
pub(crate) fn names_an_application() {
    let server = start(&[
        ("on", "RustApp hello\n"),
        ("on/below", "# nothing\n"),
        ("on/below/off", "RustApp Off\n"),
        ("on/probe", "RustApp mod_rust:probe\n"),
        ("on/text", "<Files *.txt>\nRustApp hello\n</Files>\n"),
        ("outer", "# nothing\n"),
        ("outer/off", "RustApp off\n"),
        ("if", "<If \"%{QUERY_STRING} == 'hello'\">\nRustApp hello\n</If>\n"),
    ]);
    for (target, expected) in [
        ("/on/x.txt", HELLO),
        // No file need be there.
        ("/on/none", HELLO),
        ("/on/below/x.txt", HELLO),
        ("/on/below/off/x.txt", "a file"),
        ("/on/text/x.txt", HELLO),
        ("/outer/x.txt", HELLO),
        ("/outer/off/x.txt", "a file"),
        ("/if/x.txt", "a file"),
        ("/if/x.txt?hello", HELLO),
    ] {
        let response = server.get(target);
        assert_eq!((response.status, response.text()), (200, expected), "{target}");
    }
    let response = server.get("/on/probe/x.txt/environ/more?q");
    let root = server.root().display();
    for (key, expected) in [
        ("SCRIPT_NAME", "/on/probe/x.txt".to_owned()),
        ("PATH_INFO", "/environ/more".to_owned()),
        ("SCRIPT_FILENAME", format!("{root}/htdocs/on/probe/x.txt")),
        ("mod_rust.mount_point", "/on/probe/x.txt".to_owned()),
    ] {
        assert_eq!(value(&response, key), Some(expected), "{key}");
    }
}

#[test]
pub(crate) fn is_in_force_at_once() {
    let server = start(&[("a", "RustApp hello\n")]);
    assert_eq!(server.get("/a/x.txt").text(), HELLO);
    server.write_file("htdocs/a/.htaccess", "RustApp Off\n");
    assert_eq!(server.get("/a/x.txt").text(), "a file");
    server.write_file("htdocs/a/.htaccess", "RustApp helo\n");
    assert_eq!(server.get("/a/x.txt").status, 500);
    server.write_file("htdocs/a/.htaccess", "RustApp hello\n");
    assert_eq!(server.get("/a/x.txt").text(), HELLO);
}

#[test]
pub(crate) fn a_mistake_is_a_500_with_a_line_and_harms_no_one_else() {
    let mistakes = [
        (
            "unknown",
            "\nRustApp helo\n",
            "RustApp no loaded module has an application \"helo\"; there",
        ),
        (
            "module",
            "RustApp mod_shop:hello\n",
            "no loaded module has an application \"mod_shop:hello\"",
        ),
        (
            "words",
            "RustApp hello hello\n",
            "RustApp takes one argument: the name of an application",
        ),
        (
            "flag",
            "RustErrorOverride maybe\n",
            "RustErrorOverride value \"maybe\": expected On or Off",
        ),
        ("map", "RustMapHeadToGet x\n", "RustMapHeadToGet value \"x\": expected On, Off or Auto"),
        ("alias", "RustAppAlias /x hello\n", "RustAppAlias not allowed here"),
        ("match", "RustAppAliasMatch ^/x hello\n", "RustAppAliasMatch not allowed here"),
        ("option", "RustApp probe\nRustAppOption note x\n", "RustAppOption not allowed here"),
        ("auth", "RustApp hello\n", "RustApp not allowed here"),
        // The application requires an option that no directive sets.
        ("unfit", "RustApp shop\n", "cannot be built: option \"greeting\" is missing"),
    ];
    let folders: Vec<_> = mistakes.iter().map(|(folder, lines, _)| (*folder, *lines)).collect();
    let server = start(&[folders, vec![("good", "RustApp hello\n")]].concat());
    for (folder, lines, expected) in mistakes {
        let response = server.get(&format!("/{folder}/x.txt"));
        assert_eq!(response.status, 500, "{lines}: {response:?}");
        assert!(!response.text().contains("a file") && !response.text().contains(HELLO));
        let record = server.wait_log(expected);
        if folder == "unfit" {
            assert!(record.contains("RUST0007: application shop"), "{record}");
        } else {
            assert!(record.contains(&format!("/htdocs/{folder}/.htaccess: ")), "{record}");
        }
        assert_eq!(server.get("/good/x.txt").text(), HELLO, "after {lines}");
    }
}

#[test]
pub(crate) fn allow_override_limits_the_directives() {
    let server = start(&[
        ("none", "RustApp hello\n"),
        ("info", "RustApp hello\nRustErrorOverride On\nRustMapHeadToGet On\n"),
        ("list", "RustApp hello\n"),
        ("lenient", "RustApp hello\n"),
        ("options", "RustMapHeadToGet Off\n"),
        ("options/below", "RustApp shop\n"),
    ]);
    for (target, expected) in [
        ("/none/x.txt", "a file"),
        ("/info/x.txt", HELLO),
        ("/list/x.txt", HELLO),
        // Not allowed, and no mistake either.
        ("/lenient/x.txt", "a file"),
        // Options come from the sections around.
        ("/options/x.txt", "Hi! 1 shelves, ? percent off, prices in ?.\n"),
        ("/options/below/x.txt", "Hi! 1 shelves, ? percent off, prices in ?.\n"),
    ] {
        let response = server.get(target);
        assert_eq!((response.status, response.text()), (200, expected), "{target}");
    }
}

#[test]
pub(crate) fn flags_are_merged_over_those_around() {
    let server = start(&[
        ("on", "RustApp probe\nRustPassAuthorization On\n"),
        ("on/off", "RustPassAuthorization Off\n"),
        ("on/same", "# nothing\n"),
    ]);
    let passed = |folder: &str| {
        let target = format!("/{folder}/x.txt/environ");
        let response = server.request("GET", &target).header("Authorization", "Basic eA==").send();
        value(&response, "HTTP_AUTHORIZATION").is_some()
    };
    assert!(passed("on") && passed("on/same"));
    assert!(!passed("on/off"));
}
