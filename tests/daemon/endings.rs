//! The end of a process as an application hears of it (`mod_rust::ending`, `Drop`), in daemon processes
//! and in httpd's children.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use httpd_testkit::{Builder, Connection, Mpm, Server, Signal, mpm_tests};

/// Returns a server with the application `notices`.
fn server(mpm: Mpm, target: &str) -> Builder {
    Server::builder()
        .module("mod_stage.so")
        .mpm(mpm)
        .file("journal", "")
        .conf("RustDaemonProcess app processes=1 threads=2")
        .conf(&format!("RustAppAlias /notices notices{target}"))
        .conf("RustAppOption journal {root}/journal")
}

const DAEMON: &str = " process-group=app";

/// Starts it, with a journal that its processes may write to.
fn start(builder: Builder) -> Server {
    let server = builder.start();
    let journal = server.root().join("journal");
    fs::set_permissions(journal, Permissions::from_mode(0o666)).unwrap();
    server
}

/// Returns the events of each process.
fn events(server: &Server) -> BTreeMap<i32, Vec<String>> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for line in fs::read_to_string(server.root().join("journal")).unwrap().lines() {
        let (event, pid) = line.split_once(' ').unwrap();
        all.entry(pid.parse().unwrap()).or_default().push(event.to_owned());
    }
    all
}

fn wait_dropped(server: &Server, pid: i32) {
    server.wait_for(&format!("the end of the state in {pid}"), || {
        events(server).get(&pid).is_some_and(|events| events.contains(&"dropped".to_owned()))
    });
    let mut events = events(server).remove(&pid).unwrap();
    events.retain(|event| !is_signal(event));
    assert_eq!(events, ["ending", "saved", "dropped"]);
}

fn is_signal(event: &str) -> bool {
    matches!(event, "interrupt" | "terminate")
}

/// Sends a request for a stream, and reads its first piece. Returns the process that sends it.
fn open_stream(server: &Server) -> (Connection, i32) {
    let pid = server.get("/notices/pid").text().parse().unwrap();
    let mut connection = server.connect();
    connection.write("GET /notices/stream HTTP/1.1\r\nHost: x\r\n\r\n");
    connection.read_head();
    assert_eq!(connection.read_chunk().as_deref(), Some(&b"begun,"[..]));
    (connection, pid)
}

/// Reads the rest of the stream, which the application has ended.
fn assert_ended(stream: &mut Connection) {
    assert_eq!(stream.read_chunk().as_deref(), Some(&b"ended"[..]));
    assert_eq!(stream.read_chunk(), None);
}

/// tokio's handlers of signals, and the process's own, are called both.
#[test]
fn signals_reach_the_application_and_the_process() {
    for (signal, expected) in
        [(Signal::TERM, &["terminate"][..]), (Signal::INT, &["interrupt"]), (Signal::USR1, &[])]
    {
        let server = start(server(Mpm::Event, DAEMON));
        let pid = server.get("/notices/pid").text().parse().unwrap();
        server.signal(pid, signal);
        wait_dropped(&server, pid);
        let mut events = events(&server).remove(&pid).unwrap();
        events.retain(|event| is_signal(event));
        assert_eq!(events, expected);
    }
}

mpm_tests! {
    fn a_graceful_restart_ends_streams(mpm) {
        let server = start(server(mpm, DAEMON));
        let (mut stream, pid) = open_stream(&server);
        server.graceful();
        assert_ended(&mut stream);
        wait_dropped(&server, pid);
    }

    fn a_graceful_restart_ends_the_streams_of_a_child(mpm) {
        let server = start(server(mpm, "").children(1));
        let (mut stream, pid) = open_stream(&server);
        if mpm == Mpm::Prefork {
            // Its child hears of the end after the request.
            drop(stream);
            server.graceful();
        } else {
            server.graceful();
            assert_ended(&mut stream);
        }
        wait_dropped(&server, pid);
    }

    fn a_replaced_process_ends_streams(mpm) {
        let server = start(server(mpm, DAEMON));
        let (mut stream, pid) = open_stream(&server);
        server.signal(pid, Signal::USR1);
        assert_ended(&mut stream);
        wait_dropped(&server, pid);
    }
}
