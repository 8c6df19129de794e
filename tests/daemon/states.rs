//! A process is killed at each state of the bridge's protocol: the documented answer every time, and
//! never a part of a response that looks like all of it.
//!
//! `cargo test --test daemon -- --ignored --nocapture a_thousand` does it a thousand times, and prints
//! the table.

use std::collections::BTreeMap;

use httpd_testkit::{BodyEnd, ClientErrorKind, Connection, Mpm, Signal};

use crate::support::{Stage, run, setup};

/// The state of a request when its process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// It lies in the socket, and the process has read nothing of it.
    Unread,
    /// It waits for a thread of the process.
    Queued,
    /// The process keeps a connection, and no request is there; the next one finds it dead.
    Idle,
    /// The application has it, and has read a part of its body: of known length, or chunked.
    BodyKnown,
    BodyChunked,
    /// The application has it.
    BeforeHead,
    /// The application has given its head, and nothing of the body: nothing goes out before it has.
    Head,
    /// The head was sent at once by a service, and nothing of the body.
    HeadSent,
    /// The body is on its way.
    MidKnown,
    MidChunked,
    /// All of the body has been sent, and not END. A body of known length is whole then.
    LastKnown,
    LastChunked,
    /// The process drains, and has an unanswered request.
    Draining,
    DrainingMid,
}

const STATES: [State; 14] = [
    State::Unread,
    State::Queued,
    State::Idle,
    State::BodyKnown,
    State::BodyChunked,
    State::BeforeHead,
    State::Head,
    State::HeadSent,
    State::MidKnown,
    State::MidChunked,
    State::LastKnown,
    State::LastChunked,
    State::Draining,
    State::DrainingMid,
];

/// The client's view of the response.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    /// The whole answer.
    Whole,
    /// This status instead of the response.
    Status(u16),
    /// A response that shows that it is not whole.
    Broken,
    /// Neither a status nor a byte.
    Nothing,
    /// A part of the answer that looks like all of it, or another answer.
    Wrong(String),
}

impl State {
    /// Returns the documented result.
    fn promised(self) -> Seen {
        match self {
            // No application has seen it: another process answers.
            Self::Unread | Self::Queued | Self::Idle => Seen::Whole,
            Self::BodyKnown
            | Self::BodyChunked
            | Self::BeforeHead
            | Self::Head
            | Self::Draining => Seen::Status(502),
            // The client has every byte, and the length in the head is complete.
            Self::LastKnown => Seen::Whole,
            Self::HeadSent
            | Self::MidKnown
            | Self::MidChunked
            | Self::LastChunked
            | Self::DrainingMid => Seen::Broken,
        }
    }

    /// Returns whether the client has a part of the response.
    fn has_sent(self) -> bool {
        self.promised() == Seen::Broken || self == Self::LastKnown
    }

    /// Returns the stage's steps, which write 1000 bytes in all.
    fn steps(self) -> &'static str {
        match self {
            Self::Unread | Self::Queued | Self::Idle => "here,head:1000,write:1000",
            Self::BodyKnown | Self::BodyChunked => "read:10,here,gate,readall,head:1000,write:1000",
            Self::BeforeHead | Self::Draining => "here,gate,head:1000,write:1000",
            Self::Head => "head:1000,flush,here,gate,write:1000",
            // The service's own: see the stage.
            Self::HeadSent => "",
            Self::MidKnown => "head:1000,write:500,flush,here,gate,write:500",
            Self::MidChunked | Self::DrainingMid => "head,write:500,flush,here,gate,write:500",
            Self::LastKnown => "head:1000,write:1000,flush,here,gate",
            Self::LastChunked => "head,write:1000,flush,here,gate",
        }
    }
}

/// Sends the request of a state.
fn send(stage: &Stage, state: State, name: &str) -> Connection {
    let target = match state {
        State::HeadSent => format!("/stage/service?name={name}"),
        _ => run(name, state.steps()),
    };
    let mut connection = stage.connect();
    connection.write(match state {
        State::BodyKnown => {
            format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n0123456789")
        }
        State::BodyChunked => format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
             a\r\n0123456789\r\n"
        ),
        _ => format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"),
    });
    connection
}

/// Reads the response and returns its kind.
fn see(connection: &mut Connection) -> Seen {
    match connection.try_read_response("GET") {
        Err(error) if error.kind() == ClientErrorKind::Closed => Seen::Nothing,
        Err(error) if error.kind() == ClientErrorKind::Truncated => Seen::Broken,
        Err(error) => Seen::Wrong(error.to_string()),
        Ok(response) => match response.end {
            BodyEnd::Truncated(_) => Seen::Broken,
            _ if response.status != 200 => Seen::Status(response.status),
            _ if response.body == [b'w'; 1000] => Seen::Whole,
            _ => Seen::Wrong(format!("{response:?}")),
        },
    }
}

/// Brings a request of a group with one process to the state, and kills the process. Returns the
/// client's view and the number of calls of the application.
fn kill_at(stage: &Stage, state: State, name: &str) -> (Seen, usize) {
    let process = stage.app().wait_ready(1)[0];
    let mut connection = match state {
        State::Unread => {
            stage.signal(process, Signal::STOP);
            let connection = send(stage, state, name);
            stage.wait_for("the request at the process", || stage.running() == 1);
            connection
        }
        State::Queued => {
            let (blocker, of) = stage.hold(&format!("{name}-blocker"));
            assert_eq!(of, process);
            let connection = send(stage, state, name);
            stage.wait_for("a request in the queue", || stage.running() == 2);
            stage.kill(process);
            drop(blocker);
            connection
        }
        State::Idle => {
            stage.pid_of_answer();
            stage.kill(process);
            send(stage, state, name)
        }
        _ => {
            let connection = send(stage, state, name);
            assert_eq!(stage.wait_mark(name), process);
            if state.has_sent() {
                stage.wait_for("what was sent", || !connection.is_idle());
            }
            if matches!(state, State::Draining | State::DrainingMid) {
                stage.signal(process, Signal::USR1);
                stage.app().wait_status("a process that drains", |all| {
                    all.iter().any(|other| other.pid == process && other.state == "draining")
                });
            }
            connection
        }
    };
    if !matches!(state, State::Queued | State::Idle) {
        stage.kill(process);
    }
    let seen = see(&mut connection);
    (seen, stage.gates.marks(name).len())
}

type Table = BTreeMap<(State, Seen, usize), usize>;

/// Kills so often in each state.
fn kill_in_all_states(times: usize, mpm: Mpm) -> Table {
    let stage = setup("processes=1 threads=1")
        .mpm(mpm)
        .allow(&["RUST0031", "RUST0020", "RUST0021", "RUST0037"])
        .start();
    let mut table = Table::new();
    for round in 0..times {
        for state in STATES {
            let name = format!("{state:?}-{round}");
            let (seen, calls) = kill_at(&stage, state, &name);
            *table.entry((state, seen, calls)).or_default() += 1;
        }
    }
    table
}

/// Repeats this on four servers in parallel, because httpd's parent forks once a second. Prints and
/// judges the results.
fn kill_on_four_servers(times: usize) {
    let mpms = [Mpm::Event, Mpm::Event, Mpm::Worker, Mpm::Prefork];
    let tables: Vec<_> = std::thread::scope(|scope| {
        let wanted = mpms.into_iter().filter(|mpm| httpd_testkit::is_wanted(*mpm));
        let run = |mpm| scope.spawn(move || kill_in_all_states(times.div_ceil(mpms.len()), mpm));
        let servers: Vec<_> = wanted.map(run).collect();
        servers.into_iter().map(|server| server.join().unwrap()).collect()
    });
    let mut table = Table::new();
    for (key, count) in tables.into_iter().flatten() {
        *table.entry(key).or_default() += count;
    }
    println!("| killed | client saw | times the application was called | count | as promised |");
    println!("| --- | --- | --- | --- | --- |");
    let mut missed = 0;
    for ((state, seen, calls), count) in &table {
        // An application never sees a request a second time.
        let is_promised = *seen == state.promised() && *calls == 1;
        println!("| {state:?} | {seen:?} | {calls} | {count} | {is_promised} |");
        missed += if is_promised { 0 } else { *count };
    }
    assert_eq!(missed, 0, "{table:#?}");
}

#[test]
fn twenty_kills_in_each_state() {
    kill_on_four_servers(20);
}

#[test]
#[ignore = "it takes minutes"]
fn a_thousand_kills() {
    kill_on_four_servers(1000_usize.div_ceil(STATES.len()));
}
