//! Which process group a request goes to, and which it may not.

use httpd_testkit::{Builder, Response, Server};

use crate::support::{stock, value};

/// Makes two groups of the main server, of one process and one thread each.
fn colours() -> Builder {
    stock()
        .load("setenvif")
        .conf("RustDaemonProcess blue threads=1\nRustDaemonProcess green threads=1")
        .conf("SetEnvIf X-Colour (.*) COLOUR=$1")
}

fn ask(server: &Server, host: &str, target: &str, colour: Option<&str>) -> Response {
    let request = server.request("GET", target).header("Host", host);
    match colour {
        Some(colour) => request.header("X-Colour", colour).send(),
        None => request.send(),
    }
}

/// The group that answered; empty for an httpd child.
#[track_caller]
fn group(response: &Response) -> String {
    let group = value(response, "mod_rust.process_group").expect("every environ has it");
    let mode = if group.is_empty() { "embedded" } else { "daemon" };
    assert_eq!(value(response, "mod_rust.mode").as_deref(), Some(mode));
    group
}

#[test]
fn the_alias_goes_before_the_innermost_section() {
    let server = colours()
        .file("htdocs/a/x.txt", "a file")
        .conf("RustAppAlias /none probe")
        .conf("RustAppAlias /blue probe process-group=blue")
        .conf("RustAppAliasMatch ^/match[0-9] probe process-group=blue")
        .conf("RustAppAlias /global probe process-group=%{GLOBAL}")
        .conf("RustAppAlias /env probe process-group=%{ENV:COLOUR}")
        .conf("RustAppAlias /located probe")
        .conf("<Location /located>\nRustProcessGroup green\n</Location>")
        .conf("<Location /located/environ/inner>\nRustProcessGroup blue\n</Location>")
        .conf("<Location /located/environ/back>\nRustProcessGroup %{GLOBAL}\n</Location>")
        .conf("<Location /global>\nRustProcessGroup green\n</Location>")
        .conf("<If \"%{QUERY_STRING} == 'green'\">\nRustProcessGroup green\n</If>")
        .conf("<Directory {htdocs}/a>\nRustApp probe\nRustProcessGroup blue\n</Directory>")
        .conf("<VirtualHost 127.0.0.1:{port}>\nServerName first.test\n</VirtualHost>")
        .conf(
            "<VirtualHost 127.0.0.1:{port}>\nServerName own.test\n\
             RustDaemonProcess own threads=1\nRustProcessGroup own\n\
             <Location /none/environ/blue>\nRustProcessGroup blue\n</Location>\n</VirtualHost>",
        )
        .start();
    for (host, target, colour, expected) in [
        ("first.test", "/none/environ", None, ""),
        ("first.test", "/none/environ?green", None, "green"),
        ("first.test", "/blue/environ", None, "blue"),
        ("first.test", "/blue/environ?green", None, "blue"),
        ("first.test", "/match7/environ", None, "blue"),
        ("first.test", "/global/environ", None, ""),
        ("first.test", "/env/environ", None, ""),
        ("first.test", "/env/environ", Some(""), ""),
        ("first.test", "/env/environ", Some("%{GLOBAL}"), ""),
        ("first.test", "/env/environ", Some("blue"), "blue"),
        ("first.test", "/env/environ", Some("green"), "green"),
        ("first.test", "/located/environ", None, "green"),
        ("first.test", "/located/environ/inner", None, "blue"),
        ("first.test", "/located/environ/back", None, ""),
        ("first.test", "/a/x.txt/environ", None, "blue"),
        ("own.test", "/none/environ", None, "own"),
        ("own.test", "/none/environ/blue", None, "blue"),
        ("own.test", "/blue/environ", None, "blue"),
        ("own.test", "/global/environ", None, ""),
        ("own.test", "/env/environ", None, ""),
        ("own.test", "/env/environ", Some("own"), "own"),
        ("own.test", "/located/environ", None, "green"),
    ] {
        let found = group(&ask(&server, host, target, colour));
        assert_eq!(found, expected, "{host} {target} {colour:?}");
    }
}

#[test]
fn a_request_goes_only_where_it_may() {
    let server = colours()
        .allow_log("RUST0029")
        .conf("RustAppAlias /env probe process-group=%{ENV:COLOUR}")
        .conf("RustAppAlias /fixed probe process-group=green")
        .conf("RustAppAlias /none probe")
        .conf("<Location />\nRustRestrictProcess blue green %{GLOBAL}\n</Location>")
        .conf("<LocationMatch /blue$>\nRustRestrictProcess blue\n</LocationMatch>")
        .conf("<LocationMatch /groups$>\nRustRestrictProcess blue green\n</LocationMatch>")
        .conf("<LocationMatch /global$>\nRustRestrictProcess %{GLOBAL}\n</LocationMatch>")
        .conf("<VirtualHost 127.0.0.1:{port}>\nServerName first.test\n</VirtualHost>")
        .conf(
            "<VirtualHost 127.0.0.1:{port}>\nServerName own.test\n\
             RustDaemonProcess own threads=1\nRustAppAlias /own probe process-group=own\n\
             <Location /env>\nRustRestrictProcess own\n</Location>\n</VirtualHost>",
        )
        .start();
    for (host, target, colour, expected) in [
        ("first.test", "/env/environ", Some("blue"), Ok("blue")),
        ("first.test", "/env/environ", None, Ok("")),
        ("first.test", "/env/environ/blue", Some("blue"), Ok("blue")),
        ("first.test", "/env/environ/blue", Some("green"), Err("\"green\" is not allowed here")),
        ("first.test", "/env/environ/blue", None, Err("\"%{GLOBAL}\" is not allowed here")),
        ("first.test", "/env/environ/groups", Some("green"), Ok("green")),
        (
            "first.test",
            "/env/environ/groups",
            Some("%{GLOBAL}"),
            Err("RustRestrictProcess has blue, "),
        ),
        ("first.test", "/none/environ", None, Ok("")),
        ("first.test", "/none/environ/global", None, Ok("")),
        ("first.test", "/none/environ/blue", None, Err("\"%{GLOBAL}\" is not allowed here")),
        ("first.test", "/fixed/environ", None, Ok("green")),
        ("first.test", "/fixed/environ/blue", None, Err("\"green\" is not allowed here")),
        ("first.test", "/fixed/environ/global", None, Err("RustRestrictProcess has %{GLOBAL}")),
        // Names that there are not.
        ("first.test", "/env/environ", Some("red"), Err("\"red\" is not allowed here")),
        // A list of the virtual host replaces the main server's.
        ("own.test", "/env/environ", Some("own"), Ok("own")),
        ("own.test", "/env/environ", Some("blue"), Err("\"blue\" is not allowed here")),
        ("own.test", "/own/environ", None, Err("\"own\" is not allowed here")),
    ] {
        let before = server.error_log().len();
        let response = ask(&server, host, target, colour);
        match expected {
            Ok(expected) => assert_eq!(group(&response), expected, "{host} {target} {colour:?}"),
            Err(reason) => {
                assert_eq!(response.status, 500, "{host} {target} {colour:?}: {response:?}");
                let log = server.error_log()[before..].to_owned();
                let line = log.lines().find(|line| line.contains("RUST0029: application probe: "));
                assert!(line.is_some_and(|line| line.contains(reason)), "{reason}\n{log}");
            }
        }
    }
}

/// Without a list any group that the virtual host can see will do, and no other.
#[test]
fn groups_that_a_variable_names() {
    let server = colours()
        .allow_log("RUST0029")
        .conf("RustAppAlias /env probe process-group=%{ENV:COLOUR}")
        .conf("<VirtualHost 127.0.0.1:{port}>\nServerName first.test\n</VirtualHost>")
        .conf(
            "<VirtualHost 127.0.0.1:{port}>\nServerName own.test\nRustDaemonProcess own threads=1\n\
             </VirtualHost>",
        )
        .start();
    for colour in ["blue", "green"] {
        assert_eq!(group(&ask(&server, "first.test", "/env/environ", Some(colour))), colour);
    }
    assert_eq!(group(&ask(&server, "own.test", "/env/environ", Some("own"))), "own");
    for (host, colour) in [("first.test", "own"), ("first.test", "Blue"), ("own.test", "\u{e4}")] {
        let response = ask(&server, host, "/env/environ", Some(colour));
        assert_eq!(response.status, 500, "{host} {colour}: {response:?}");
        let expected = format!(
            "RUST0029: application probe: there is no process group \"{colour}\" for this virtual \
             host; answering 500"
        );
        // httpd escapes what is not ASCII in its log.
        if colour.is_ascii() {
            server.wait_log(&expected);
        }
    }
}

/// A group that only a section below the mount, or an expression, names is started all the same.
#[test]
fn groups_that_a_part_of_a_mount_chooses() {
    let server = colours()
        .conf("RustAppAlias /probe probe")
        .conf("<Location /probe/environ/variable>\nRustProcessGroup %{ENV:COLOUR}\n</Location>")
        .start();
    for (target, colour, expected) in [
        ("/probe/environ", Some("blue"), ""),
        ("/probe/environ/variable", None, ""),
        ("/probe/environ/variable", Some("blue"), "blue"),
        ("/probe/environ/variable", Some("green"), "green"),
    ] {
        let found = group(&ask(&server, "localhost", target, colour));
        assert_eq!(found, expected, "{target} {colour:?}");
    }
}

#[test]
fn embedded_mode_is_restricted_for_requests_too() {
    let server = colours()
        .allow_log("RUST0030")
        .conf("RustAppAliasMatch ^/match probe")
        .conf("<VirtualHost 127.0.0.1:{port}>\nServerName first.test\n</VirtualHost>")
        .conf(
            "<VirtualHost 127.0.0.1:{port}>\nServerName own.test\nRustRestrictEmbedded On\n\
             RustAppAlias /env probe process-group=%{ENV:COLOUR}\n</VirtualHost>",
        )
        .start();
    assert_eq!(group(&ask(&server, "first.test", "/match/environ", None)), "");
    assert_eq!(group(&ask(&server, "own.test", "/env/environ", Some("blue"))), "blue");
    for (number, (target, colour)) in
        [("/match/environ", None), ("/env/environ", None), ("/env/environ", Some("%{GLOBAL}"))]
            .into_iter()
            .enumerate()
    {
        let response = ask(&server, "own.test", target, colour);
        assert_eq!(response.status, 500, "{target} {colour:?}: {response:?}");
        let line = "RUST0030: application probe: RustRestrictEmbedded lets no application run in \
                    httpd's children";
        server.wait_log_count(line, number + 1);
    }
}
