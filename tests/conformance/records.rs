//! Tests the ErrorLog of an application's records: that of the request's virtual host, if its
//! LogLevel admits them.

use httpd_testkit::Server;

use crate::case::Level;
use crate::embedded::records;

const LEVELS: [(&str, Level); 5] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];

fn ask(server: &Server, host: &str, target: &str) -> u16 {
    server.request("GET", target).header("Host", host).send().status
}

#[test]
fn records_go_to_their_virtual_host() {
    records_are_where_they_belong("");
}

#[test]
fn records_of_daemon_processes_go_to_their_virtual_host() {
    records_are_where_they_belong("RustDaemonProcess records\nRustProcessGroup records");
}

fn records_are_where_they_belong(conf: &str) {
    let host = |name: &str, level: &str| {
        format!(
            "<VirtualHost 127.0.0.1:{{port}}>\nServerName {name}.test\nErrorLog {{root}}/{name}_log\n\
             LogLevel notice rust:{level}\n<Location \"/quiet\">\nLogLevel rust:error\n</Location>\n\
             </VirtualHost>"
        )
    };
    let server = Server::builder()
        .module("mod_rust.so")
        .conf("RustAppAlias /probe probe")
        .conf("RustAppAlias /quiet probe")
        .conf(conf)
        .conf(&host("one", "trace1"))
        .conf(&host("two", "warn"))
        .start();
    for host in ["one.test", "two.test"] {
        for via in ["environ", "log"] {
            for (level, _) in LEVELS {
                for mount in ["/probe", "/quiet"] {
                    let text = format!("{host}{mount}-{via}-{level}");
                    let target = format!("{mount}/log?via={via}&level={level}&text={text}");
                    assert_eq!(ask(&server, host, &target), 200);
                }
            }
        }
        assert_eq!(ask(&server, host, "/probe/log?via=errors&text=through-errors"), 200);
        assert_eq!(ask(&server, host, "/probe/panic"), 500);
    }

    let read = |name: &str| std::fs::read_to_string(server.root().join(name)).unwrap_or_default();
    // Records are written before their response is complete, but for that of the panic.
    for name in ["one_log", "two_log"] {
        server.wait_for("the panic's record", || read(name).contains("asked for a panic"));
    }
    let (one, two) = (read("one_log"), read("two_log"));
    for via in ["environ", "log"] {
        for (name, level) in LEVELS {
            let count =
                |log: &str, text: &str| records(log, level, &format!("{text}-{via}-{name}")).len();
            assert_eq!(count(&one, "one.test/probe"), 1, "{via} {name}\n{one}");
            let kept = usize::from(matches!(level, Level::Error | Level::Warn));
            assert_eq!(count(&two, "two.test/probe"), kept, "{via} {name}\n{two}");
            let kept = usize::from(level == Level::Error);
            assert_eq!(count(&one, "one.test/quiet"), kept, "{via} {name}\n{one}");
            assert_eq!(count(&two, "two.test/quiet"), kept, "{via} {name}\n{two}");
        }
    }
    for (log, other) in [(&one, "two.test"), (&two, "one.test")] {
        assert!(!log.contains(other), "{log}");
        assert_eq!(records(log, Level::Error, "through-errors").len(), 1, "{log}");
        // With the client, as every record of a request.
        assert!(records(log, Level::Error, "panicked at ")[0].contains("[client 127.0.0.1"));
    }
    // The main server's own log has none of it.
    assert!(!server.error_log().contains(".test"), "{}", server.error_log());
}
