//! Hazard 38: a record goes into the log of the virtual host whose request it belongs to.

use std::fs;

use httpd_testkit::{Server, mpm_tests};

use crate::support::stock;

fn lines(server: &Server, file: &str, needle: &str) -> usize {
    let text = fs::read_to_string(server.root().join(file)).unwrap_or_default();
    text.lines().filter(|line| line.contains(needle)).count()
}

fn host(name: &str, level: &str) -> String {
    format!(
        "<VirtualHost *:{{port}}>\nServerName {name}\nErrorLog {{root}}/{name}_log\n\
         LogLevel rust:{level}\n</VirtualHost>"
    )
}

mpm_tests! {
    fn h38_each_virtual_host_has_its_own_lines(mpm) {
        let server =
            stock().mpm(mpm).conf(&host("one", "debug")).conf(&host("two", "warn")).start();
        let ask =
            |host: &str, target: &str| server.request("GET", target).header("Host", host).send();
        for round in 0..3 {
            for (host, other) in [("one", "two"), ("two", "one")] {
                for via in ["environ", "errors", "log"] {
                    let mark = format!("mark-{round}-{host}-{via}");
                    let response =
                        ask(host, &format!("/probe/log?level=error&via={via}&text={mark}"));
                    assert_eq!(response.status, 200, "{response:?}");
                    assert_eq!(lines(&server, &format!("{host}_log"), &mark), 1, "{mark}");
                    assert_eq!(lines(&server, &format!("{other}_log"), &mark), 0, "{mark}");
                    assert_eq!(lines(&server, "error_log", &mark), 0, "{mark}");
                }
            }
        }
        // Each with its own level, asked for before a line is made.
        for (host, level, count) in
            [("one", "debug", 1), ("two", "info", 0), ("two", "warn", 1), ("one", "trace", 0)]
        {
            for via in ["environ", "log"] {
                let mark = format!("level-{host}-{level}-{via}");
                ask(host, &format!("/probe/log?level={level}&via={via}&text={mark}"));
                assert_eq!(lines(&server, &format!("{host}_log"), &mark), count, "{mark}");
            }
        }
        // The kit's own lines are included.
        ask("two", "/probe/panic");
        assert_eq!(lines(&server, "two_log", "RUST0002"), 1);
        assert_eq!(
            lines(&server, "error_log", "RUST0002") + lines(&server, "one_log", "RUST0002"),
            0
        );
        // A line has its request's context.
        let text = fs::read_to_string(server.root().join("one_log")).unwrap();
        let of_request = |line: &&str| line.contains("mark-0-one-log");
        let line = text.lines().find(of_request).unwrap();
        assert!(line.contains("[client 127.0.0.1:") && line.contains("[rust:error]"), "{line}");
    }
}
