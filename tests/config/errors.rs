//! Tests the messages of `configtest`: the directive, the value, the allowed values, and the
//! position.

use crate::support::{configtest, refused, stock, taken};

/// Lines of configuration, the number of the wrong one, and what is said of it.
type Mistake = (&'static str, usize, &'static str);

/// The mistakes that httpd reports as syntax errors, with file and line.
const SYNTAX: &[Mistake] = &[
    (
        "RustAppAlias",
        1,
        "RustAppAlias takes a URL path and the name of an application, and process-group=name if wanted",
    ),
    ("RustAppAlias /x", 1, "RustAppAlias takes a URL path and the name of an application, and"),
    (
        "\n\nRustAppAlias /x hello more",
        3,
        "RustAppAlias option \"more\": unknown; expected process-group=name",
    ),
    (
        "RustAppAlias x hello",
        1,
        "RustAppAlias URL path \"x\": it does not start with a slash; expected /path",
    ),
    (
        "RustAppAlias \"\" hello",
        1,
        "RustAppAlias URL path \"\": it does not start with a slash; expected /path",
    ),
    (
        "RustAppAlias /a%20b hello",
        1,
        "RustAppAlias URL path \"/a%20b\": it holds //, ?, # or %; expected a decoded",
    ),
    (
        "RustAppAlias /a?b hello",
        1,
        "RustAppAlias URL path \"/a?b\": it holds //, ?, # or %; expected a decoded",
    ),
    (
        "RustAppAlias /a#b hello",
        1,
        "RustAppAlias URL path \"/a#b\": it holds //, ?, # or %; expected a decoded",
    ),
    (
        "RustAppAlias /a//b hello",
        1,
        "RustAppAlias URL path \"/a//b\": it holds //, ?, # or %; expected a decoded",
    ),
    (
        "RustAppAliasMatch",
        1,
        "RustAppAliasMatch takes a regular expression and the name of an application, and",
    ),
    ("RustAppAliasMatch ^/x", 1, "RustAppAliasMatch takes a regular expression and the"),
    (
        "RustAppAliasMatch ^/(a hello",
        1,
        "RustAppAliasMatch regular expression \"^/(a\": it does not compile; expected PCRE syntax",
    ),
    (
        "<Location /x>\nRustApp\n</Location>",
        2,
        "RustApp takes one argument: the name of an application, module:name, or Off",
    ),
    (
        "<Location /x>\nRustApp hello more\n</Location>",
        2,
        "RustApp takes one argument: the name of an",
    ),
    (
        "RustApp hello",
        1,
        "RustApp not allowed in a server; expected in <Location>, <Directory>, <Files>, <If> or \
         .htaccess (The application that answers here: its name, module:name, or Off; RustAppAlias \
         mounts one in a server)",
    ),
    (
        "<VirtualHost *:1>\nRustApp Off\n</VirtualHost>",
        2,
        "RustApp not allowed in a server; expected",
    ),
    ("RustAppOption", 1, "RustAppOption takes two arguments: the option's name and its value"),
    ("RustAppOption note", 1, "RustAppOption takes two arguments: the option's name and its value"),
    (
        "RustAppOption note a b",
        1,
        "RustAppOption takes two arguments: the option's name and its value",
    ),
    ("RustAppOption \"\" a", 1, "RustAppOption option \"\": the name is empty; expected a name"),
    (
        "RustAppOption note a \"\"",
        1,
        "RustAppOption takes two arguments: the option's name and its value",
    ),
    ("RustPassAuthorization", 1, "RustPassAuthorization takes one argument: On or Off"),
    ("RustPassAuthorization On Off", 1, "RustPassAuthorization takes one argument: On or Off"),
    ("RustPassAuthorization maybe", 1, "RustPassAuthorization value \"maybe\": expected On or Off"),
    ("RustErrorOverride", 1, "RustErrorOverride takes one argument: On or Off"),
    ("RustErrorOverride 1", 1, "RustErrorOverride value \"1\": expected On or Off"),
    ("RustEnableSendfile", 1, "RustEnableSendfile takes one argument: On or Off"),
    ("RustEnableSendfile yes", 1, "RustEnableSendfile value \"yes\": expected On or Off"),
    ("RustMapHeadToGet", 1, "RustMapHeadToGet takes one argument"),
    ("RustMapHeadToGet maybe", 1, "RustMapHeadToGet value \"maybe\": expected On, Off or Auto"),
    (
        "<If \"true\">\n\nRustMapHeadToGet x\n</If>",
        3,
        "RustMapHeadToGet value \"x\": expected On, Off or",
    ),
];

#[test]
fn syntax_errors_name_directive_value_and_line() {
    for (lines, number, expected) in SYNTAX {
        let test = configtest(stock(), lines);
        refused(lines, &test, expected);
        let place = refused(lines, &test, "Syntax error");
        assert!(place.contains(&format!("on line {number} of ")), "{lines}\n{place}");
        assert!(place.contains("/conf/own.conf:"), "{lines}\n{place}");
    }
}

/// Names that no module has, and options that do not fit: found when all is read.
const WHOLE: &[Mistake] = &[
    (
        "RustAppAlias /x helo",
        1,
        "RUST0101: RustAppAlias /x helo at PLACE: no loaded module has an application \"helo\"; \
         there are front, hello, probe",
    ),
    (
        "\nRustAppAliasMatch ^/x mod_rust:helo",
        2,
        "RUST0101: RustAppAliasMatch ^/x mod_rust:helo at PLACE: no loaded module has an \
         application \"mod_rust:helo\"; there are front, hello, probe",
    ),
    (
        "<Location /x>\nRustApp mod_other:hello\n</Location>",
        2,
        "RUST0101: RustApp at PLACE: no loaded module has an application \"mod_other:hello\"",
    ),
    (
        "<VirtualHost *:1>\n<If \"true\">\nRustApp HELLO\n</If>\n</VirtualHost>",
        3,
        "RUST0101: RustApp at PLACE: no loaded module has an application \"HELLO\"",
    ),
    (
        "RustAppAlias /probe probe\nRustAppOption allow-crash maybe",
        2,
        "RUST0102: PLACE: RustAppOption (RustAppAlias /probe probe at ",
    ),
    (
        "RustAppAlias /probe probe\nRustAppOption allow-crash maybe",
        2,
        "): option \"allow-crash\": value \"maybe\": expected On or Off",
    ),
    (
        "RustAppAlias /probe probe\nRustAppOption root here",
        2,
        "option \"root\": value \"here\": expected the absolute path of a directory",
    ),
    (
        "RustAppAlias /probe probe\nRustAppOption nota x",
        2,
        "RUST0103: PLACE: RustAppOption nota: no application that it applies to has an option of \
         that name",
    ),
    (
        "RustAppOption note x",
        1,
        "RUST0103: PLACE: RustAppOption note: no application that it applies to has an option",
    ),
    (
        "<Location /x>\nRustApp probe\nRustAppOption nota x\n</Location>",
        3,
        "RUST0103: PLACE: RustAppOption nota: application probe has no such option; it has root, \
         allow-crash, note",
    ),
    (
        "<Location /x>\nRustApp hello\nRustAppOption note x\n</Location>",
        3,
        "RUST0103: PLACE: RustAppOption note: application hello has no such option; it takes none",
    ),
];

#[test]
fn unknown_names_are_found_after_reading() {
    for (lines, number, expected) in WHOLE {
        let test = configtest(stock(), lines);
        let (before, after) = expected.split_once("PLACE").unwrap_or(("", expected));
        let found = refused(lines, &test, before);
        if expected.contains("PLACE") {
            let place = format!("/conf/own.conf:{number}");
            let (_, rest) = found.split_once(before).expect("it was found by that");
            let (_, rest) = rest.split_once(&place).unwrap_or_else(|| panic!("{place}: {found}"));
            assert!(rest.starts_with(after), "{lines}\n{found}");
        } else {
            refused(lines, &test, expected);
        }
    }
}

#[test]
fn mistakes_are_reported_together() {
    let names = "RustAppAlias /a helo\n<Location /c>\nRustApp nothing\n</Location>\n\
                 RustAppAlias /probe probe\nRustAppOption nota x\nRustAppOption noto x\n";
    let test = configtest(stock(), names);
    for expected in ["\"helo\"", "\"nothing\"", "RustAppOption nota: ", "RustAppOption noto: "] {
        refused(names, &test, expected);
        assert_eq!(test.output.matches(expected).count(), 1, "{}", test.output);
    }
    // Those of one module and those of all together too.
    let both = "RustAppAlias /a helo\nRustAppAlias /probe probe\nRustAppOption allow-crash x\n\
                <Location /probe>\nRustProcessGroup nothing\n</Location>\nRustAppOption nota x\n";
    let test = configtest(stock(), both);
    for expected in ["RUST0101: ", "RUST0102: ", "RUST0103: ", "RUST0105: "] {
        refused(both, &test, expected);
        assert_eq!(test.output.matches(expected).count(), 1, "{}", test.output);
    }
    let values = "RustAppAlias /a probe\nRustAppAlias /b probe\n\
                  <Location /a>\nRustAppOption allow-crash x\n</Location>\n\
                  <Location /b>\nRustAppOption root x\n</Location>\n";
    let test = configtest(stock(), values);
    for expected in ["option \"allow-crash\": ", "option \"root\": "] {
        refused(values, &test, expected);
        assert_eq!(test.output.matches(expected).count(), 1, "{}", test.output);
    }
}

/// A mistake in one of several files is found there.
#[test]
fn the_file_is_named() {
    let test = stock()
        .file("conf/a.conf", "RustAppAlias /a probe\n")
        .file("conf/b.conf", "\n<Location /a>\nRustAppOption allow-crash x\n</Location>\n")
        .conf("Include {root}/conf/*.conf")
        .configtest();
    let found = refused("", &test, "RUST0102: ");
    assert!(found.contains("/conf/b.conf:3: ") && found.contains("/conf/a.conf:1)"), "{found}");
}

#[test]
fn bytes_outside_utf_8_are_refused() {
    let lines = b"RustAppAlias /probe probe\nRustAppOption note \"a\xffb\"\n".as_slice();
    let test =
        stock().file("conf/own.conf", lines).conf("Include {root}/conf/own.conf").configtest();
    refused("", &test, "RustAppOption value \"a\\\\xffb\" is not UTF-8");
}

/// httpd's own parsing of arguments stops at 64 of them (`AP_MAX_ARGC`) without a message.
#[test]
fn no_argument_is_lost() {
    let many = "%{GLOBAL} ".repeat(99);
    taken(stock(), &format!("RustAppAlias /probe probe\nRustRestrictProcess {many}"));
    let lines = format!("RustAppAlias /probe probe\nRustRestrictProcess {many} nowhere");
    refused(&lines, &configtest(stock(), &lines), "RUST0105");
}
