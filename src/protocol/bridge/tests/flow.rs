//! Which frame may come when.

use super::*;
use std::collections::HashSet;

const BODY: u8 = flags::BODY;
const EXPECT: u8 = flags::BODY | flags::EXPECT;
const CLOSE: u8 = flags::CLOSE;
const UPGRADE: u8 = flags::UPGRADE;

/// The state behind frames all of which may pass.
#[track_caller]
fn behind(frames: &[(Kind, u8)]) -> BridgeFlow {
    let mut flow = BridgeFlow::new();
    for &(kind, flags) in frames {
        flow.pass(kind, flags).unwrap_or_else(|error| panic!("{frames:?}: {error}"));
    }
    flow
}

/// Returns every kind with every set of flags that it may carry.
fn frames() -> impl Iterator<Item = (Kind, u8)> {
    Kind::ALL.into_iter().flat_map(|kind| {
        [0..8_u8, 0x80..0x88]
            .into_iter()
            .flatten()
            .filter(move |flags| flags & !kind.flags() == 0)
            .map(move |flags| (kind, flags))
    })
}

/// Returns every state.
fn states() -> HashSet<BridgeFlow> {
    let (mut found, mut new) = (HashSet::from([BridgeFlow::new()]), vec![BridgeFlow::new()]);
    while let Some(flow) = new.pop() {
        for (kind, flags) in frames() {
            let mut next = flow;
            if next.pass(kind, flags).is_ok() && found.insert(next) {
                new.push(next);
            }
        }
    }
    found
}

#[test]
fn exchanges_that_end_at_rest() {
    use Kind::*;
    for exchange in [
        &[(Request, 0), (Head, 0), (Body, 0), (End, 0)][..],
        &[(Request, 0), (Log, 0), (Head, 1), (Body, 1), (Log, 0), (Body, 0), (End, 0)],
        &[(Request, 0), (Head, 0), (File, flags::WHOLE), (End, 0)],
        &[(Request, 0), (Head, 0), (End, 0)],
        &[(Request, 0), (Status, 0)],
        &[(Request, 0), (Redirect, 0)],
        &[(Request, 0), (Failed, 0)],
        &[(Request, 0), (Head, 0), (Body, 0), (Failed, 0)],
        &[(Request, BODY), (Input, 0), (InputEnd, 0), (Head, 0), (End, 0)],
        &[
            (Request, BODY),
            (Input, 0),
            (Head, 0),
            (Body, 0),
            (Input, 0),
            (InputFailed, 0),
            (Failed, 0),
        ],
        // An early response: pieces in transit are discarded.
        &[(Request, BODY), (Input, 0), (Head, 0), (End, 0), (Input, 0), (InputStop, 0)],
        &[(Request, BODY), (Status, 0), (Input, 0), (InputEnd, 0)],
        &[(Request, EXPECT), (Continue, 0), (Input, 0), (InputEnd, 0), (Head, 0), (End, 0)],
        &[(Request, EXPECT), (Head, 0), (Continue, 0), (InputEnd, 0), (End, 0)],
        &[(Request, EXPECT), (Status, 0), (InputStop, 0)],
        &[(Control, 0), (Reply, 0)],
        &[(Request, UPGRADE), (Switch, 0), (Input, 0), (Body, 1), (InputEnd, 0), (End, 0)],
        &[
            (Request, UPGRADE),
            (Log, 0),
            (Switch, 0),
            (Log, 0),
            (End, 0),
            (Input, 0),
            (InputStop, 0),
        ],
        &[(Request, UPGRADE), (Switch, 0), (InputFailed, 0), (Failed, 0)],
        &[(Request, UPGRADE), (Head, 0), (Body, 0), (End, 0)],
        &[(Request, UPGRADE), (Status, 0)],
    ] {
        let mut all = vec![(Hello, 0)];
        all.extend(exchange);
        let mut flow = behind(&all);
        assert!(flow.is_at_rest() && !flow.is_answering() && !flow.owes_input(), "{exchange:?}");
        assert!(flow.pass(Request, 0).is_ok());
        for length in 1..exchange.len() {
            assert!(!behind(&all[..=length]).is_at_rest(), "{length} of {exchange:?}");
        }
    }
}

#[test]
fn frames_out_of_order() {
    use Kind::*;
    for (frames, wrong) in [
        (&[][..], (Request, 0)),
        (&[(Hello, 0)], (Hello, 0)),
        (&[(Hello, 0)], (Head, 0)),
        (&[(Hello, 0)], (Log, 0)),
        (&[(Hello, 0)], (Reply, 0)),
        (&[(Control, 0), (Reply, 0)], (Request, 0)),
        (&[(Hello, 0), (Request, 0)], (Request, 0)),
        (&[(Hello, 0), (Request, 0)], (Input, 0)),
        (&[(Hello, 0), (Request, 0)], (InputEnd, 0)),
        (&[(Hello, 0), (Request, 0)], (Continue, 0)),
        (&[(Hello, 0), (Request, 0)], (Body, 0)),
        (&[(Hello, 0), (Request, 0)], (End, 0)),
        (&[(Hello, 0), (Request, 0)], (Control, 0)),
        (&[(Hello, 0), (Request, 0), (Head, 0)], (Head, 0)),
        (&[(Hello, 0), (Request, 0), (Head, 0)], (Status, 0)),
        (&[(Hello, 0), (Request, 0), (Head, 0)], (Redirect, 0)),
        (&[(Hello, 0), (Request, 0), (Head, 0)], (Refused, 0)),
        (&[(Hello, 0), (Request, 0), (Head, 0), (Body, 0)], (File, 0)),
        (&[(Hello, 0), (Request, 0), (Head, 0), (File, 0)], (File, 0)),
        (&[(Hello, 0), (Request, 0), (Head, 0), (File, flags::WHOLE)], (Body, 0)),
        (&[(Hello, 0), (Request, BODY)], (InputStop, 0)),
        (&[(Hello, 0), (Request, BODY)], (Continue, 0)),
        (&[(Hello, 0), (Request, BODY), (InputEnd, 0)], (Input, 0)),
        (&[(Hello, 0), (Request, BODY), (Head, 0), (End, 0)], (Request, 0)),
        (&[(Hello, 0), (Request, EXPECT)], (Input, 0)),
        (&[(Hello, 0), (Request, EXPECT)], (InputFailed, 0)),
        (&[(Hello, 0), (Request, EXPECT), (Continue, 0)], (Continue, 0)),
        (&[(Hello, 0), (Request, 0), (Head, 0), (End, CLOSE)], (Request, 0)),
        (&[(Hello, 0), (Refused, 0)], (Request, 0)),
        (&[(Hello, 0), (Request, 0)], (Switch, 0)),
        (&[(Hello, 0), (Request, BODY)], (Switch, 0)),
        (&[(Hello, 0), (Request, BODY | UPGRADE)], (Switch, 0)),
        (&[(Hello, 0), (Request, UPGRADE)], (Input, 0)),
        (&[(Hello, 0), (Request, UPGRADE)], (Body, 0)),
        (&[(Hello, 0), (Request, UPGRADE), (Head, 0)], (Switch, 0)),
        (&[(Hello, 0), (Request, UPGRADE), (Head, 0)], (Input, 0)),
        (&[(Hello, 0), (Request, UPGRADE), (Switch, 0)], (Switch, 0)),
        (&[(Hello, 0), (Request, UPGRADE), (Switch, 0)], (Head, 0)),
        (&[(Hello, 0), (Request, UPGRADE), (Switch, 0)], (File, 0)),
        (&[(Hello, 0), (Request, UPGRADE), (Switch, 0)], (Status, 0)),
        (&[(Hello, 0), (Request, UPGRADE), (Switch, 0)], (Continue, 0)),
        (&[(Hello, 0), (Request, UPGRADE), (Switch, 0)], (Refused, 0)),
        (&[(Hello, 0), (Request, UPGRADE), (Switch, 0), (InputEnd, 0)], (Input, 0)),
        (&[(Hello, 0), (Request, UPGRADE), (Switch, 0), (End, 0)], (Body, 0)),
        (&[(Hello, 0), (Request, UPGRADE), (Switch, 0), (End, 0)], (Request, 0)),
    ] {
        let mut flow = behind(frames);
        let before = flow;
        let error = flow.pass(wrong.0, wrong.1).expect_err("it is out of turn");
        assert_eq!((error.frame(), flow), (wrong.0, before));
    }
    let error = behind(&[(Hello, 0), (Request, 0)]).pass(Body, 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "bridge frame BODY (flags 1) came before HEAD; allowed from a daemon process are HEAD, \
         STATUS, REDIRECT, FAILED, LOG, REFUSED"
    );
    let error = behind(&[(Hello, 0), (Request, 0)]).pass(Input, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "bridge frame INPUT (flags 0) came before HEAD; allowed from an httpd child is none"
    );
}

#[test]
fn both_sides_agree_although_frames_cross() {
    let mut crossed = 0;
    for flow in states() {
        for from_child in frames().filter(|(kind, _)| kind.sent_by() == Peer::Child) {
            for from_daemon in frames().filter(|(kind, _)| kind.sent_by() == Peer::Daemon) {
                // After it the daemon process closes, and reads nothing more.
                if from_daemon.0 == Kind::Refused {
                    continue;
                }
                let pass = |first: (Kind, u8), second: (Kind, u8)| {
                    let (mut one, mut both) = (flow, flow);
                    one.pass(first.0, first.1).ok()?;
                    both.pass(first.0, first.1).ok()?;
                    Some(both.pass(second.0, second.1).map(|()| both).ok())
                };
                // Both were sent in the same state: each side sees its own first.
                if let (Some(child), Some(daemon)) =
                    (pass(from_child, from_daemon), pass(from_daemon, from_child))
                {
                    assert!(child.is_some(), "{flow:?}: {from_child:?} then {from_daemon:?}");
                    assert_eq!(child, daemon, "{flow:?}: {from_child:?} and {from_daemon:?}");
                    crossed += 1;
                }
            }
        }
    }
    assert!(crossed > 10, "{crossed}");
}

#[test]
fn no_state_is_a_dead_end() {
    let states = states();
    assert!(states.len() > 15, "{states:?}");
    for flow in &states {
        let mut reached = HashSet::from([*flow]);
        let mut new = vec![*flow];
        let mut ends = false;
        while let Some(flow) = new.pop() {
            let over = frames().all(|(kind, flags)| { flow }.pass(kind, flags).is_err());
            ends |= flow.is_at_rest() || over;
            for (kind, flags) in frames() {
                let mut next = flow;
                if next.pass(kind, flags).is_ok() && reached.insert(next) {
                    new.push(next);
                }
            }
        }
        assert!(ends, "{flow:?}");
        // A side that owes a frame can send it, regardless of the other side.
        if flow.is_answering() {
            assert!({ *flow }.pass(Kind::Failed, 0).is_ok(), "{flow:?}");
        }
        if flow.takes_input() {
            assert!({ *flow }.pass(Kind::InputFailed, 0).is_ok(), "{flow:?}");
        }
        if flow.owes_input() && !flow.is_answering() {
            assert!({ *flow }.pass(Kind::InputStop, 0).is_ok(), "{flow:?}");
        }
    }
}

#[test]
fn a_body_is_as_long_as_announced() {
    let mut exact = BodyLength::new(200, Some(5), false);
    exact.pass(2).unwrap();
    assert!(exact.end().is_err());
    exact.pass(3).unwrap();
    exact.end().unwrap();
    let error = exact.pass(1).unwrap_err();
    let text = "a response body of 6 bytes came over the bridge; allowed are 5";
    assert_eq!(error.to_string(), text);
    for bodiless in [
        BodyLength::new(200, Some(5), true),
        BodyLength::new(304, Some(5), false),
        BodyLength::new(204, None, false),
    ] {
        bodiless.end().unwrap();
        assert!({ bodiless }.pass(1).is_err());
    }
    let mut unknown = BodyLength::new(200, None, false);
    unknown.pass(u64::MAX).unwrap();
    unknown.pass(1).unwrap();
    unknown.end().unwrap();
}
