//! Tests process groups at `configtest`: the names, users and modes that directives may choose, in
//! any order.

use crate::support::{configtest, refused, stock, taken};

/// `lines` are refused with this at a line of their file, once.
#[track_caller]
fn wrong(lines: &str, code: &str, number: usize, expected: &str) {
    let test = configtest(stock(), lines);
    let found = refused(lines, &test, code);
    let (_, rest) = found
        .split_once(&format!("/conf/own.conf:{number}: "))
        .unwrap_or_else(|| panic!("line {number}: {found}"));
    assert!(rest.contains(expected), "{lines}\n{found}");
    assert_eq!(test.output.matches(code).count(), 1, "{}", test.output);
}

#[test]
fn groups_that_there_are() {
    for lines in [
        "RustDaemonProcess shop\nRustProcessGroup shop",
        // Before it is defined.
        "RustProcessGroup shop\nRustDaemonProcess shop",
        "RustAppAlias /x hello process-group=shop\nRustDaemonProcess shop",
        "RustAppAliasMatch ^/x hello process-group=shop\nRustDaemonProcess shop",
        "RustRestrictProcess shop %{GLOBAL}\nRustDaemonProcess shop",
        "<Location /x>\nRustProcessGroup shop\nRustRestrictProcess shop\n</Location>\n\
         RustDaemonProcess shop",
        // The main server's, everywhere.
        "RustDaemonProcess shop\n<VirtualHost *:1>\nRustProcessGroup shop\n</VirtualHost>",
        "<VirtualHost *:1>\nRustAppAlias /x hello process-group=shop\n</VirtualHost>\n\
         RustDaemonProcess shop",
        // A virtual host's own.
        "<VirtualHost *:1>\nRustProcessGroup shop\nRustDaemonProcess shop\n</VirtualHost>",
        "RustProcessGroup %{GLOBAL}\nRustAppAlias /x hello process-group=%{GLOBAL}",
        "RustProcessGroup %{ENV:COLOUR}\nRustAppAlias /x hello process-group=%{ENV:a.b}",
    ] {
        taken(stock(), lines);
    }
}

#[test]
fn groups_that_there_are_not() {
    wrong(
        "\nRustProcessGroup shop",
        "RUST0105: ",
        2,
        "RustProcessGroup shop: no process group of that name; there are none: RustDaemonProcess \
         defines one",
    );
    let two = "RustDaemonProcess blue\nRustDaemonProcess green\n";
    let there = "shop: no process group of that name; there are blue, green";
    for (lines, number) in [
        ("RustProcessGroup shop", 3),
        ("<Location /x>\nRustProcessGroup shop\n</Location>", 4),
        ("<VirtualHost *:1>\n<If \"true\">\nRustProcessGroup shop\n</If>\n</VirtualHost>", 5),
        ("RustRestrictProcess blue shop", 3),
        ("RustAppAlias /x hello process-group=shop", 3),
        ("RustAppAliasMatch ^/x hello process-group=shop", 3),
    ] {
        wrong(&format!("{two}{lines}"), "RUST0105: ", number, there);
    }
    // The case of names is significant.
    wrong(&format!("{two}RustProcessGroup Blue"), "RUST0105: ", 3, "there are blue, green");
}

#[test]
fn groups_of_other_virtual_hosts() {
    let own = "<VirtualHost *:1>\nRustDaemonProcess shop\n</VirtualHost>\n";
    for (lines, number) in [
        ("RustProcessGroup shop", 4),
        ("<VirtualHost *:2>\nRustProcessGroup shop\n</VirtualHost>", 5),
        ("<VirtualHost *:2>\nRustAppAlias /x hello process-group=shop\n</VirtualHost>", 5),
    ] {
        let expected = "shop: that process group is another virtual host's (";
        wrong(&format!("{own}{lines}"), "RUST0105: ", number, expected);
    }
}

#[test]
fn a_name_is_one_groups() {
    for lines in [
        "RustDaemonProcess shop\nRustDaemonProcess shop threads=3",
        "RustDaemonProcess shop\n<VirtualHost *:1>\nRustDaemonProcess shop\n</VirtualHost>",
    ] {
        let test = configtest(stock(), lines);
        let found = refused(lines, &test, "RustDaemonProcess process group \"shop\": defined at ");
        assert!(
            found.contains("/conf/own.conf:1 already; expected a name that is unique in httpd"),
            "{found}"
        );
    }
}

#[test]
fn users_and_groups() {
    let is_root = std::fs::metadata("/proc/self")
        .is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0);
    if !is_root {
        // No process can have another user, and the message says that first.
        wrong("RustDaemonProcess shop user=daemon", "RUST0107: ", 1, "only root can give its");
        return;
    }
    for (option, expected) in [
        ("user=nobody-of-that-name", "user=nobody-of-that-name: there is no such user"),
        ("user=#4000000000", "user=#4000000000: there is no such user"),
        ("group=nobody-of-that-name", "group=nobody-of-that-name: there is no such group"),
        (
            "supplementary-groups=www-data,no-such",
            "supplementary-groups=no-such: there is no such group",
        ),
        ("socket-user=no-such", "socket-user=no-such: there is no such user"),
    ] {
        let lines = format!("\nRustDaemonProcess shop {option}");
        wrong(&lines, "RUST0107: ", 2, &format!("RustDaemonProcess shop: {expected}"));
    }
    // A group in a virtual host, beside one that is right.
    wrong(
        "RustDaemonProcess a user=www-data\n<VirtualHost *:1>\nRustDaemonProcess b user=no-such\n\
         </VirtualHost>",
        "RUST0107: ",
        3,
        "RustDaemonProcess b: user=no-such: there is no such user",
    );
}

#[test]
fn embedded_mode_is_restricted() {
    let restricted = "RustRestrictEmbedded On\nRustDaemonProcess shop\n";
    let expected = "RustRestrictEmbedded lets no application run in httpd's children: choose a \
                    process group, by process-group= or RustProcessGroup";
    for (lines, number) in [
        ("RustAppAlias /x hello", 3),
        ("RustAppAlias /x hello process-group=%{GLOBAL}\nRustProcessGroup shop", 3),
        ("RustProcessGroup %{GLOBAL}\nRustAppAlias /x hello", 4),
        ("<Location /x>\nRustApp hello\n</Location>", 4),
        ("RustAppAlias /y hello\n<Location /x>\nRustProcessGroup shop\n</Location>", 3),
        (
            "RustProcessGroup shop\nRustAppAlias /x hello\n<Location /x>\n\
             RustProcessGroup %{GLOBAL}\n</Location>",
            4,
        ),
    ] {
        wrong(&format!("{restricted}{lines}"), "RUST0106: ", number, expected);
    }
    for lines in [
        "RustAppAlias /x hello process-group=shop",
        "RustProcessGroup shop\nRustAppAlias /x hello",
        "RustAppAlias /x hello\n<Location /x>\nRustProcessGroup shop\n</Location>",
        "<Location /x>\nRustApp hello\nRustProcessGroup shop\n</Location>",
        // Requests tell.
        "RustProcessGroup %{ENV:COLOUR}\nRustAppAlias /x hello",
        "RustAppAliasMatch ^/x hello",
        "RustAppAlias /x hello\n<If \"true\">\nRustProcessGroup shop\n</If>",
        // It is not on where the application is.
        "RustRestrictEmbedded Off\nRustAppAlias /x hello",
    ] {
        taken(stock(), &format!("{restricted}{lines}"));
    }
    // In one virtual host, whose mount it is or not.
    let own = "RustDaemonProcess shop\n<VirtualHost *:1>\nRustRestrictEmbedded On\n";
    wrong(&format!("{own}RustAppAlias /x hello\n</VirtualHost>"), "RUST0106: ", 4, expected);
    wrong(&format!("{own}</VirtualHost>\nRustAppAlias /x hello"), "RUST0106: ", 5, expected);
    taken(stock(), &format!("{own}RustProcessGroup shop\n</VirtualHost>\nRustAppAlias /x hello"));
}

#[test]
fn wrong_choices_are_refused() {
    for (lines, expected) in [
        ("RustProcessGroup", "RustProcessGroup takes one argument: the name of a process group"),
        ("RustProcessGroup a b", "RustProcessGroup takes one argument: the name of a process"),
        ("RustProcessGroup \"\"", "RustProcessGroup \"\": expected the name of a process"),
        ("RustRestrictProcess \"\" a", "RustRestrictProcess \"\": expected the name of a process"),
        ("RustProcessGroup %{SERVER}", "RustProcessGroup \"%{SERVER}\": expected the name of a "),
        ("RustProcessGroup %{ENV:}", "RustProcessGroup \"%{ENV:}\": expected the name of a "),
        ("RustRestrictProcess", "RustRestrictProcess takes the names of process groups, one or "),
        (
            "RustRestrictProcess %{ENV:x}",
            "RustRestrictProcess process group \"%{ENV:x}\": not a name; expected names of process groups, or %{GLOBAL}",
        ),
        (
            "RustAppAlias /x hello process-group=%{HOST}",
            "RustAppAlias \"%{HOST}\": expected the name of a process group, %{GLOBAL} for",
        ),
        (
            "RustAppAlias /x hello group=shop",
            "RustAppAlias option \"group=shop\": unknown; expected process-group=name",
        ),
        (
            "RustAppAliasMatch ^/x hello process-group=a process-group=b",
            "RustAppAliasMatch option \"process-group=b\": process-group is given twice; expected it once",
        ),
        ("RustRestrictEmbedded maybe", "RustRestrictEmbedded value \"maybe\": expected On or Off"),
        ("RustServeHalfClosed 1", "RustServeHalfClosed value \"1\": expected On or Off"),
        (
            "RustGracefulTimeout",
            "RustGracefulTimeout takes one argument: a time (2, 500ms, 1min), or Off",
        ),
        ("RustGracefulTimeout soon", "RustGracefulTimeout value \"soon\": expected a whole number"),
        (
            "RustRuntimeThreads 1 2",
            "RustRuntimeThreads takes one argument: a number of threads, or 0",
        ),
        (
            "RustRuntimeThreads 513",
            "RustRuntimeThreads value \"513\": expected a whole number from 0 to 512",
        ),
        ("RustIgnoreActivity 1", "RustIgnoreActivity value \"1\": expected On or Off"),
        ("RustSocketPrefix", "RustSocketPrefix takes one argument: a path, relative to ServerRoot"),
        ("RustSocketPrefix a b", "RustSocketPrefix takes one argument: a path, relative to"),
        ("RustSocketPrefix \"\"", "RustSocketPrefix takes one argument: a path, "),
        (
            "RustSlowRequests",
            "RustSlowRequests takes one argument: a time (2, 500ms, 1min), or Off",
        ),
        (
            "RustSlowRequests soon",
            "RustSlowRequests value \"soon\": expected a whole number with a unit of ms, s, min, h",
        ),
        ("RustSlowRequests 5m", "RustSlowRequests value \"5m\": expected \"min\" for minutes or"),
    ] {
        let lines = format!("\n\n{lines}\n");
        let test = configtest(stock(), &lines);
        refused(&lines, &test, expected);
        refused(&lines, &test, "Syntax error on line 3 of ");
    }
    for lines in [
        "RustSlowRequests off",
        "RustSlowRequests 500ms",
        "RustGracefulTimeout 0",
        "RustRuntimeThreads 0",
    ] {
        taken(stock(), lines);
    }
}
