//! `RustAppOption`: typed, checked at `configtest` at every level, and merged by name.

use crate::support::{configtest, note, refused, stock, taken};

/// Declares the application `shop` with the required option `greeting`, and `shelves`, a number
/// below 65536.
fn with_shop() -> httpd_testkit::Builder {
    stock().module("mod_shop.so")
}

#[test]
fn a_missing_option_is_found_wherever_the_application_is_used() {
    for (lines, number) in [
        ("RustAppAlias /shop shop", 1),
        ("RustAppAliasMatch ^/shop shop", 1),
        ("<VirtualHost *:1>\nRustAppAlias /shop shop\n</VirtualHost>", 2),
        ("<Location /x>\nRustApp shop\n</Location>", 2),
        ("<Directory /srv>\n<Files *.rsp>\nRustApp shop\n</Files>\n</Directory>", 3),
        ("<If \"true\">\nRustApp shop\n</If>", 2),
        // Lines in other places do not apply.
        ("RustAppAlias /shop shop\n<Location /shop/x>\nRustAppOption greeting Hi\n</Location>", 1),
        (
            "RustAppAlias /a/shop shop\n<Location /b>\nRustApp shop\nRustAppOption greeting Hi\n</Location>",
            1,
        ),
        (
            "RustAppAlias /shop shop\n<VirtualHost *:1>\nRustAppAlias /s shop\n\
             RustAppOption greeting Hi\n</VirtualHost>",
            1,
        ),
    ] {
        let test = configtest(with_shop(), lines);
        let found = refused(lines, &test, "RUST0102: ");
        assert!(found.contains(&format!("/conf/own.conf:{number}: ")), "{lines}\n{found}");
        assert!(found.ends_with(": option \"greeting\" is missing"), "{lines}\n{found}");
    }
}

#[test]
fn the_position_of_a_line_sets_its_scope() {
    for lines in [
        "RustAppOption greeting Hi\nRustAppAlias /shop shop",
        "RustAppAlias /shop shop\nRustAppOption greeting Hi",
        "RustAppOption greeting Hi\n<VirtualHost *:1>\nRustAppAlias /shop shop\n</VirtualHost>",
        "<VirtualHost *:1>\nRustAppOption greeting Hi\nRustAppAlias /shop shop\n</VirtualHost>",
        "RustAppAlias /shop shop\n<Location /shop>\nRustAppOption greeting Hi\n</Location>",
        "RustAppAlias /shop shop\n<Location /shop/>\nRustAppOption greeting Hi\n</Location>",
        "RustAppAlias /a/shop shop\n<Location /a>\nRustAppOption greeting Hi\n</Location>",
        "RustAppAlias /a/shop shop\n<Location />\nRustAppOption greeting Hi\n</Location>",
        "RustAppAlias / shop\n<Location />\nRustAppOption greeting Hi\n</Location>",
        "<Location /a>\nRustAppOption greeting Hi\n</Location>\n\
         <VirtualHost *:1>\nRustAppAlias /a shop\n</VirtualHost>",
        // The requests of these sections are unknown at `configtest`.
        "RustAppAlias /shop shop\n<If \"true\">\nRustAppOption greeting Hi\n</If>",
        "RustAppAlias /shop shop\n<LocationMatch ^/s>\nRustAppOption greeting Hi\n</LocationMatch>",
        "RustAppAlias /shop shop\n<Location /sh*>\nRustAppOption greeting Hi\n</Location>",
        "<Location /x>\nRustAppOption greeting Hi\nRustApp shop\n</Location>",
        "<Directory /srv>\nRustApp shop\nRustAppOption greeting Hi\n</Directory>",
        "RustAppOption greeting Hi\n<If \"true\">\nRustApp shop\n</If>",
        // Each application takes its own out of what there is.
        "RustAppOption greeting Hi\nRustAppOption note x\nRustAppAlias /shop shop\n\
         RustAppAlias /probe probe\nRustAppAlias /hello hello",
        // A later line holds, so that of before need not fit.
        "RustAppOption greeting Hi\nRustAppOption shelves many\nRustAppOption shelves 3\n\
         RustAppAlias /shop shop",
        "RustAppOption greeting Hi\nRustAppOption shelves many\nRustAppAlias /shop shop\n\
         <Location /shop>\nRustAppOption shelves 3\n</Location>",
    ] {
        taken(with_shop(), lines);
    }
}

#[test]
fn an_ill_typed_option_is_found_at_its_line() {
    let expected = "option \"shelves\": value \"many\": expected a whole number from 0 to 65535";
    for (lines, number) in [
        ("RustAppOption greeting Hi\nRustAppOption shelves many\nRustAppAlias /shop shop", 2),
        (
            "RustAppOption greeting Hi\nRustAppAlias /shop shop\n\
          <Location /shop>\nRustAppOption shelves many\n</Location>",
            4,
        ),
        (
            "RustAppOption greeting Hi\nRustAppAlias /shop shop\n\
          <Location /shop/x>\nRustAppOption shelves many\n</Location>",
            4,
        ),
        (
            "RustAppOption greeting Hi\nRustAppAlias /shop shop\n\
          <If \"true\">\nRustAppOption shelves many\n</If>",
            4,
        ),
        (
            "RustAppOption greeting Hi\n<VirtualHost *:1>\nRustAppOption shelves many\n\
          RustAppAlias /shop shop\n</VirtualHost>",
            3,
        ),
        (
            "RustAppOption greeting Hi\n<Directory /srv>\nRustApp shop\n\
          RustAppOption shelves many\n</Directory>",
            4,
        ),
        (
            "RustAppOption greeting Hi\nRustAppOption shelves 3\nRustAppOption shelves many\n\
          RustAppAlias /shop shop",
            3,
        ),
    ] {
        let test = configtest(with_shop(), lines);
        let found = refused(lines, &test, "RUST0102: ");
        assert!(
            found.contains(&format!("/conf/own.conf:{number}: RustAppOption (")),
            "{lines}\n{found}"
        );
        assert!(found.ends_with(expected), "{lines}\n{found}");
    }
    for (value, is_taken) in [
        ("0", true),
        ("65535", true),
        ("65536", false),
        ("-1", false),
        ("1.5", false),
        ("0x1", false),
    ] {
        let lines = format!(
            "RustAppOption greeting Hi\nRustAppOption shelves {value}\nRustAppAlias /shop shop"
        );
        assert_eq!(configtest(with_shop(), &lines).ok, is_taken, "{value}");
    }
}

#[test]
fn an_unknown_option_is_found_at_every_level() {
    for (lines, number) in [
        ("RustAppAlias /probe probe\nRustAppOption nota x", 2),
        ("<VirtualHost *:1>\nRustAppAlias /probe probe\nRustAppOption nota x\n</VirtualHost>", 3),
        ("RustAppAlias /probe probe\n<Location /probe>\nRustAppOption nota x\n</Location>", 3),
        ("RustAppAlias /probe probe\n<Location /probe/x>\nRustAppOption nota x\n</Location>", 3),
        ("RustAppAlias /probe probe\n<If \"true\">\nRustAppOption nota x\n</If>", 3),
        ("RustAppAlias /probe probe\n<Directory /srv>\nRustAppOption nota x\n</Directory>", 3),
        // Known to the probe, but the probe is not there.
        (
            "RustAppAlias /probe probe\nRustAppAlias /hello hello\n\
          <Location /hello>\nRustAppOption note x\n</Location>",
            4,
        ),
        ("RustAppAlias /probe probe\n<Location /elsewhere>\nRustAppOption note x\n</Location>", 3),
        // The case of names is significant.
        ("RustAppAlias /probe probe\nRustAppOption Note x", 2),
    ] {
        let test = configtest(stock(), lines);
        let found = refused(lines, &test, "RUST0103: ");
        assert!(
            found.contains(&format!("/conf/own.conf:{number}: RustAppOption ")),
            "{lines}\n{found}"
        );
    }
}

#[test]
pub(crate) fn the_innermost_and_last_line_holds() {
    let server = stock()
        .conf("RustAppOption note first")
        .conf("RustAppOption note server")
        .conf("RustAppAlias /probe probe\nRustAppAlias /other probe\nRustAppAlias /deep/er probe")
        .conf("<Location /deep>\nRustAppOption note deep\n</Location>")
        .conf("<Location /other>\nRustAppOption note other\n</Location>")
        .conf("<Location /other/config>\nRustAppOption note config\n</Location>")
        .conf("<LocationMatch ^/probe/config$>\nRustAppOption allow-crash Off\n</LocationMatch>")
        .conf("<If \"%{HTTP_HOST} == 'if.test'\">\nRustAppOption note if\n</If>")
        .conf("<VirtualHost 127.0.0.1:{port}>\nServerName first.test\n</VirtualHost>")
        .conf(
            "<VirtualHost 127.0.0.1:{port}>\nServerName own.test\nRustAppOption note own\n\
             RustAppAlias /more probe\n<Location /probe>\nRustAppOption note own-probe\n\
             </Location>\n</VirtualHost>",
        )
        .conf(
            "<VirtualHost 127.0.0.1:{port}>\nServerName path.test\n\
             RustAppOption root {htdocs}\n</VirtualHost>",
        )
        .start();
    for (host, mount, expected) in [
        ("first.test", "/probe", "server"),
        ("first.test", "/other", "config"),
        ("first.test", "/deep/er", "deep"),
        ("own.test", "/probe", "own-probe"),
        ("own.test", "/more", "own"),
        ("own.test", "/deep/er", "deep"),
        ("own.test", "/other", "config"),
        ("if.test", "/probe", "if"),
        ("if.test", "/deep/er", "if"),
        ("path.test", "/probe", "server"),
    ] {
        assert_eq!(note(&server, host, mount), expected, "{host} {mount}");
        // The application has the options that it was built with before.
        assert_eq!(note(&server, host, mount), expected, "{host} {mount} again");
    }
    // Other options are not lost on the way.
    let response = server.request("GET", "/probe/config").header("Host", "path.test").send();
    assert!(response.text().contains("/htdocs\""), "{response:?}");
}

#[test]
pub(crate) fn values_are_what_stands_there() {
    let server = stock()
        .conf("RustAppAlias /probe probe")
        .conf("<Location /probe>\nRustAppOption note \"  two words, \u{e4} \"\n</Location>")
        .conf("RustAppAlias /more probe")
        .conf("<Location /more>\nRustAppOption note 'it is \"quoted\"'\n</Location>")
        .conf("RustAppAlias /empty probe")
        .conf("<Location /empty>\nRustAppOption note \"\"\n</Location>")
        .start();
    assert_eq!(note(&server, "localhost", "/empty"), "");
    assert_eq!(note(&server, "localhost", "/probe"), "  two words, \u{e4} ");
    assert_eq!(note(&server, "localhost", "/more"), "it is \\\"quoted\\");
}
