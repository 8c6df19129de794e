//! Feeds any frames of a daemon process for one request. The child's state machine must pass one
//! response at most, with its frames in order and with the declared length.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mod_rust::internal::protocol::bridge::{
    BodyLength, BridgeFlow, FieldsEncoder, FrameLimits, HeadEncoder, Message, Peer, Timing, flags,
    put_body, put_continue, put_end, put_file, put_log, put_redirect, split,
};

#[derive(Arbitrary, Debug)]
struct Plan {
    has_body: bool,
    expect: bool,
    upgrade: bool,
    head_request: bool,
    frames: Vec<Sent>,
}

#[derive(Arbitrary, Debug)]
enum Sent {
    Continue,
    Head { status: u16, length: Option<u8>, flush: bool, name: Vec<u8>, value: Vec<u8> },
    Switch { name: Vec<u8>, value: Vec<u8> },
    Body { data: Vec<u8>, flush: bool },
    File { length: u8, whole: bool },
    End { close: bool },
    Trailers { name: Vec<u8>, value: Vec<u8> },
    Redirect(Vec<u8>),
    Log(Vec<u8>),
    Raw(Vec<u8>),
}

/// The response that the client would have got, counted apart from the state machine.
#[derive(Default, Debug)]
struct Model {
    head: Option<(u16, Option<u64>)>,
    bytes: u64,
    files: u32,
    bodies: u32,
    continues: u32,
    is_switched: bool,
    is_over: bool,
}

fuzz_target!(|plan: Plan| {
    let stream = stream(&plan.frames);
    let has_body = if plan.has_body { flags::BODY } else { 0 };
    let expect = if plan.has_body && plan.expect { flags::EXPECT } else { 0 };
    let upgrade = if plan.upgrade { flags::UPGRADE } else { 0 };
    let mut flow = BridgeFlow::of_request(has_body | expect | upgrade);
    let mut length = BodyLength::new(200, None, false);
    let mut model = Model::default();
    let mut rest = &stream[..];
    // The connection is closed at the first error, as `daemon::trip` does.
    while let Ok(Some(frame)) = split(rest, Peer::Daemon, &FrameLimits::default()) {
        rest = &rest[frame.size..];
        if flow.pass(frame.kind, frame.flags).is_err() {
            break;
        }
        let Ok(message) = frame.message() else { break };
        assert!(!model.is_over, "{message:?} behind the last frame: {plan:?}");
        match message {
            Message::Continue => model.continues += 1,
            Message::Head(head) => {
                assert!(model.head.is_none(), "two heads");
                model.head = Some((head.status, head.length));
                length = BodyLength::new(head.status, head.length, plan.head_request);
                head.headers.iter().for_each(|(name, value)| field(name, value));
            }
            Message::Switch(headers) => {
                assert!(plan.upgrade && !plan.has_body, "a switch without leave");
                assert!(model.head.is_none(), "two heads");
                (model.head, model.is_switched) = (Some((101, None)), true);
                headers.iter().filter(|(name, _)| !is_of_switch(name)).for_each(|(name, value)| {
                    field(name, value);
                });
            }
            Message::Body(data, _) => {
                model.bodies += 1;
                model.bytes += data.len() as u64;
                if length.pass(data.len() as u64).is_err() {
                    break;
                }
            }
            Message::File(file) => {
                model.files += 1;
                model.bytes += file.length;
                if length.pass(file.length).is_err() {
                    break;
                }
            }
            Message::End(end) => {
                end.trailers.iter().for_each(|(name, value)| field(name, value));
                if length.end().is_err() {
                    break;
                }
                whole(&model, plan.head_request);
                model.is_over = true;
            }
            Message::Status(status) => {
                assert!(model.head.is_none());
                status.headers.iter().for_each(|(name, value)| field(name, value));
                model.is_over = true;
            }
            Message::Redirect(redirect) => {
                assert!(model.head.is_none() && redirect.target.starts_with(b"/"));
                model.is_over = true;
            }
            Message::Failed(_) | Message::Refused(_) => model.is_over = true,
            Message::Log(_) => {}
            other => panic!("{other:?} is not a part of a response"),
        }
        assert!(model.continues <= u32::from(expect != 0), "CONTINUE unasked, or twice");
        assert!(model.head.is_some() || model.bodies + model.files == 0, "a body without a head");
        assert!(model.files <= 1 && (model.files == 0 || model.bodies == 0), "{model:?}");
        assert!(!model.is_switched || model.files == 0, "a file of another protocol");
        assert_eq!(flow.is_answering(), !model.is_over);
    }
});

/// A response that passes for a whole one.
fn whole(model: &Model, head_request: bool) {
    let (status, length) = model.head.expect("END without HEAD");
    assert!((200..600).contains(&status) || model.is_switched);
    assert!(status != 205 || length.is_none_or(|length| length == 0));
    if model.is_switched {
        return;
    }
    if head_request || matches!(status, 204 | 205 | 304) {
        assert_eq!(model.bytes, 0);
    } else if let Some(length) = length {
        assert!(i64::try_from(length).is_ok());
        assert_eq!(model.bytes, length);
    }
}

/// A field that cannot split a response.
fn field(name: &[u8], value: &[u8]) {
    assert!(!name.is_empty() && !name.iter().any(|byte| b":\r\n\0 ".contains(byte)));
    assert!(!value.iter().any(|byte| b"\r\n\0".contains(byte)));
    for framing in ["content-length", "transfer-encoding", "connection", "upgrade", "te"] {
        assert!(!name.eq_ignore_ascii_case(framing.as_bytes()), "{framing} has passed");
    }
}

/// A field of the connection that a switch has.
fn is_of_switch(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"connection") || name.eq_ignore_ascii_case(b"upgrade")
}

fn stream(frames: &[Sent]) -> Vec<u8> {
    let mut out = Vec::new();
    let (limits, timing) = (FrameLimits::default(), Timing::default());
    for frame in frames {
        match frame {
            Sent::Continue => put_continue(&mut out),
            Sent::Head { status, length, flush, name, value } => {
                // Mostly one that there is.
                let status = if status % 4 == 0 { *status } else { 200 + status % 400 };
                let mut head = HeadEncoder::begin(&mut out, status, b"");
                if !name.is_empty() {
                    head.header(&mut out, name, value);
                }
                let _ = head.commit(&mut out, length.map(u64::from), *flush, &limits);
            }
            Sent::Switch { name, value } => {
                let mut head = HeadEncoder::switch(&mut out);
                head.header(&mut out, name, value);
                let _ = head.commit(&mut out, None, false, &limits);
            }
            Sent::Body { data, flush } => {
                put_body(&mut out, data.len() as u32, *flush);
                out.extend_from_slice(data);
            }
            Sent::File { length, whole } => put_file(&mut out, 0, u64::from(*length), *whole),
            Sent::End { close } => put_end(&mut out, *close, &timing),
            Sent::Trailers { name, value } => {
                let mut end = FieldsEncoder::end(&mut out, false, &timing);
                end.header(name, value);
                let _ = end.finish(&limits);
            }
            Sent::Redirect(target) => {
                let _ = put_redirect(&mut out, target, false, &timing, &limits);
            }
            Sent::Log(text) => put_log(&mut out, mod_rust::gateway::Level::Info, text, &limits),
            Sent::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
    out
}
