//! Faults of an application, and their log lines.

use std::io::Write as _;

use bytes::Bytes;

use super::gone::gate;
use super::{Ask, Ending, TestProcess};
use crate::gateway::{
    Body, Environ, Error, ErrorKind, Level, Result, StartResponse, app_fn, panic,
};
use crate::server::daemon_process::{log_here, logs_here};

fn app<'x>(environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    let start = |status: u16| start_response.start(status, [("A", "b")]).map(drop);
    match environ.path_info() {
        b"/error" => Err(Error::new("no luck")),
        b"/teapot" => Err(Error::with_status(http::StatusCode::IM_A_TEAPOT, "tea")),
        b"/panic" => panic!("at the disco"),
        b"/redirect" => Ok(Body::internal_redirect("/elsewhere?a=b")),
        b"/forbidden" => {
            let headers = [("WWW-Authenticate", "Basic realm=\"x\""), ("X-Other", "y")];
            start_response.start(401, headers)?;
            Ok(Body::from("the application's own page"))
        }
        b"/late-error" => {
            start(200)?;
            let chunks = vec![Ok(Bytes::from("some")), Err(Error::new("no more"))];
            Ok(Body::from_chunks(chunks))
        }
        b"/late-panic" => {
            start(200)?;
            let mut turn = 0;
            Ok(Body::from_ready(std::iter::from_fn(move || {
                turn += 1;
                assert!(turn < 4, "in the body");
                Some(Ok(Bytes::from(vec![b'x'; 50_000])))
            })))
        }
        b"/large-head" => {
            start_response.start(200, [("X", "y".repeat(20_000))])?;
            Ok(Body::from("never seen"))
        }
        b"/short" => {
            start_response.start(200, [("Content-Length", "10")])?;
            Ok(Body::from_ready([Ok(Bytes::from("abc"))]))
        }
        b"/twice" => {
            start(200)?;
            start(200)?;
            Ok(Body::empty())
        }
        b"/replaced" => {
            start(200)?;
            start_response.replace(500, [("C", "d")], Error::new("changed its mind"))?;
            Ok(Body::from("sorry"))
        }
        _ => {
            start(200)?;
            Ok(Body::from("well"))
        }
    }
}

#[test]
fn every_failure_is_reported_and_the_connection_continues() {
    panic::install_hook(|_| {});
    let (harness, _runner) = TestProcess::open(&["threads=1", "header-buffer-size=8192"], app);
    let mut peer = harness.connect(0);
    for _ in 0..2 {
        for (target, kind, status, text) in [
            ("/error", ErrorKind::Application, 500, "no luck"),
            ("/teapot", ErrorKind::Application, 418, "tea"),
            ("/panic", ErrorKind::Panic, 500, "at the disco"),
            ("/large-head", ErrorKind::InvalidHeader, 500, "header-buffer-size"),
            ("/twice", ErrorKind::AlreadyStarted, 500, "second time"),
        ] {
            let answer = peer.get(target);
            let Ending::Failed(found, code, message) = answer.ending() else {
                panic!("{answer:?}")
            };
            assert_eq!((*found, *code, answer.status), (kind, status, 0), "{target}");
            assert!(message.contains(text), "{message}");
        }
        for (target, kind, least, text) in [
            ("/late-error", ErrorKind::Application, 4, "no more"),
            ("/late-panic", ErrorKind::Panic, 150_000, "in the body"),
            ("/short", ErrorKind::ContentLength, 3, "ended after 3"),
        ] {
            let answer = peer.get(target);
            let Ending::Failed(found, _, message) = answer.ending() else { panic!("{answer:?}") };
            assert_eq!((*found, answer.status, answer.body.len()), (kind, 200, least), "{target}");
            assert!(message.contains(text), "{message}");
        }
        assert_eq!(peer.get("/redirect").ending(), &Ending::Redirect("/elsewhere?a=b".into()));
        let answer = peer.get("/replaced");
        assert_eq!((answer.status, answer.text()), (500, "sorry"));
        assert_eq!(answer.headers, [("C".to_owned(), "d".to_owned())]);
        assert_eq!(peer.get("/forbidden").status, 401);
        peer.ask(&Ask { error_override: true, ..Ask::get("/forbidden") });
        let challenge = ("WWW-Authenticate".to_owned(), "Basic realm=\"x\"".to_owned());
        assert_eq!(peer.answer().ending(), &Ending::Status(401, vec![challenge]));
        peer.ask(&Ask { application: 9, ..Ask::get("/") });
        let answer = peer.answer();
        let Ending::Failed(_, 500, message) = answer.ending() else { panic!("{answer:?}") };
        assert_eq!(message, "there is no application 9");
        assert_eq!(peer.get("/").text(), "well");
    }
    harness.until("the load", || harness.board.slots[0].is_idle());
    assert!(harness.board.rows.iter().all(|row| row.ticket() == 0));
}

#[test]
fn lines_for_the_log_come_at_once_and_up_to_the_level() {
    let app = app_fn(|environ: Environ<'_>, start_response: StartResponse<'_>| {
        writeln!(environ.errors(), "to the errors").unwrap();
        environ.log(Level::Debug, "a detail");
        assert!(log_here(Level::Warn, "from elsewhere"));
        let kept = logs_here(Level::Trace).unwrap();
        start_response.start(200, [("A", "b")])?;
        environ.log(Level::Info, "between");
        Ok(Body::from(format!("{kept}")).on_close(|| {
            // The child has its answer, and may have sent another request.
            assert!(!log_here(Level::Error, "too late"));
        }))
    });
    assert!(!log_here(Level::Error, "nobody") && logs_here(Level::Error).is_none());
    let (harness, _runner) = TestProcess::open(&["threads=1"], app);
    let mut peer = harness.connect(0);
    let line = |level, text: &str| (level, text.to_owned());
    let most = [
        line(Level::Error, "to the errors"),
        line(Level::Debug, "a detail"),
        line(Level::Warn, "from elsewhere"),
        line(Level::Info, "between"),
    ];
    let answer = peer.get("/");
    assert_eq!((&answer.logs[..], answer.text()), (&most[..], "true"));
    peer.ask(&Ask { level: Some(Level::Warn), ..Ask::get("/") });
    let answer = peer.answer();
    assert_eq!(
        (&answer.logs[..], answer.text()),
        (&[most[0].clone(), most[2].clone()][..], "false")
    );
}

#[test]
fn the_process_knows_some_keys_better() {
    let app = app_fn(|environ: Environ<'_>, start_response: StartResponse<'_>| {
        let mut all = Vec::new();
        environ.each(|key, value| {
            all.push(format!("{}={}", key.escape_ascii(), value.escape_ascii()))
        });
        all.sort();
        let number =
            |key: &str| String::from_utf8_lossy(environ.get(key).unwrap()).parse::<u64>().unwrap();
        let (queue, daemon, application) = (
            number("mod_rust.queue_start"),
            number("mod_rust.daemon_start"),
            number("mod_rust.application_start"),
        );
        assert!(queue <= daemon && daemon <= application);
        let now = crate::os::wall_us();
        assert!(application <= now + 1_000_000 && now - queue < 30_000_000);
        assert_eq!(environ.header("hOsT"), Some(&b"example.org"[..]));
        assert_eq!(environ.raw_target(), b"/x");
        start_response.start(200, [("A", "b")])?;
        all.retain(|line| !line.contains("_start="));
        Ok(Body::from(all.join(" ")))
    });
    let (harness, _runner) = TestProcess::open(&["threads=1", "processes=1"], app);
    let mut peer = harness.connect(0);
    let pid = std::process::id();
    assert_eq!(
        peer.get("/x").text(),
        format!(
            "PATH_INFO=/x REQUEST_METHOD=GET gateway.input_terminated=1 gateway.multiprocess=1 \
             gateway.multithread=0 gateway.run_once=0 gateway.version={} mod_rust.mode=daemon \
             mod_rust.pid={pid} mod_rust.process_group=harness mod_rust.version={}",
            crate::gateway::GATEWAY_VERSION,
            env!("CARGO_PKG_VERSION"),
        )
    );
}

#[test]
fn lines_that_the_child_does_not_take_are_the_processes_own() {
    let (gate, keeper) = gate();
    let app = app_fn(move |environ: Environ<'_>, start_response: StartResponse<'_>| {
        gate.pass();
        environ.log(Level::Warn, "after the child has gone");
        environ.log(Level::Trace, "that nobody keeps");
        let is_taken = log_here(Level::Warn, "from elsewhere");
        environ.log(Level::Info, if is_taken { "taken" } else { "not taken" });
        start_response.start(200, [("A", "b")])?;
        Ok(Body::empty())
    });
    let (harness, _runner) = TestProcess::open(&["threads=1"], app);
    let mut peer = harness.connect(0);
    peer.ask(&Ask { level: Some(Level::Info), ..Ask::get("/") });
    keeper.until_called();
    drop(peer);
    keeper.open();
    harness.line_with("not taken");
    let lines = harness.lines();
    assert!(lines.contains(&(Level::Warn, "after the child has gone".to_owned())), "{lines:?}");
    assert!(lines.iter().all(|(_, line)| !line.contains("nobody keeps")), "{lines:?}");
    harness.until("the load", || harness.board.slots[0].is_idle());
}
