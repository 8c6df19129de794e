//! Anything from either peer of the bridge, in any pieces: no panic, the same frames as in one
//! piece, and what decodes encodes to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mod_rust::internal::protocol::bridge::{
    BridgeFlow, FrameError, FrameLimits, HEADER, Header, Message, Peer, split,
};

/// Small, so that the limits themselves are met.
const LIMITS: FrameLimits = FrameLimits { head: 2048, data: 512, log: 256, control: 64 };

fuzz_target!(|given: &[u8]| {
    // The first byte selects the sizes of the pieces, and the sender.
    let Some((&how, stream)) = given.split_first() else { return };
    let peer = if how & 1 == 0 { Peer::Child } else { Peer::Daemon };
    let whole = frames(stream, peer);
    assert_eq!(in_pieces(stream, peer, usize::from(how >> 1) + 1), whole);
});

/// Returns the number of bytes in good frames, and the reason for their end.
type Found = (usize, Option<FrameError>);

fn frames(stream: &[u8], peer: Peer) -> Found {
    let mut taken = 0;
    let mut again = Vec::new();
    let mut flow = BridgeFlow::new();
    loop {
        let rest = &stream[taken..];
        match split(rest, peer, &LIMITS) {
            Ok(None) => {
                if let Some(header) = rest.first_chunk::<HEADER>() {
                    let header = Header::decode(header, peer, &LIMITS).expect("as split");
                    assert!(rest.len() < HEADER + header.length as usize, "a frame is kept back");
                }
                return (taken, None);
            }
            Ok(Some(frame)) => {
                assert_eq!(frame.size, HEADER + frame.payload.len());
                assert_eq!(frame.kind.sent_by(), peer);
                let message = match frame.message() {
                    Ok(message) => message,
                    Err(error) => {
                        assert!(error.offset() <= frame.size && !error.to_string().is_empty());
                        return (taken, Some(error));
                    }
                };
                visit(&message);
                let before = flow;
                if let Err(error) = flow.pass(frame.kind, frame.flags) {
                    assert!(flow == before && !error.to_string().is_empty());
                }
                assert!(flow.owes_input() || !flow.takes_input());
                assert!(!flow.is_at_rest() || !(flow.is_answering() || flow.owes_input()));
                again.clear();
                message.put(&mut again, &LIMITS).expect("what came within the limits fits");
                assert_eq!(again, rest[..frame.size], "{message:?}");
                taken += frame.size;
            }
            Err(error) => {
                assert!(error.offset() < HEADER && !error.to_string().is_empty());
                return (taken, Some(error));
            }
        }
    }
}

/// The same with a buffer that never holds more than a frame and a piece.
fn in_pieces(stream: &[u8], peer: Peer, piece: usize) -> Found {
    let mut buffer = Vec::new();
    let mut taken = 0;
    for piece_of_it in stream.chunks(piece) {
        buffer.extend_from_slice(piece_of_it);
        let mut used = 0;
        loop {
            match split(&buffer[used..], peer, &LIMITS) {
                Ok(None) => break,
                Ok(Some(frame)) => match frame.message() {
                    Ok(_) => used += frame.size,
                    Err(error) => return (taken + used, Some(error)),
                },
                Err(error) => return (taken + used, Some(error)),
            }
        }
        buffer.drain(..used);
        taken += used;
        assert!(buffer.len() < HEADER + LIMITS.head as usize, "the limits do not hold");
    }
    (taken, None)
}

/// Everything that borrows from the frame lies in it.
fn visit(message: &Message<'_>) {
    let pairs = match message {
        Message::Request(request) => {
            assert!(request.facts.has_body() || !request.facts.expect);
            let options = request.facts.options.iter().count();
            options + request.variables.iter().count() + request.headers.iter().count()
        }
        Message::InputEnd(trailers) => trailers.iter().count(),
        Message::Head(head) => {
            assert!((200..600).contains(&head.status));
            head.headers.iter().for_each(|(name, value)| {
                assert!(!name.is_empty() && !name.contains(&b':'));
                assert!(!value.iter().any(|byte| b"\r\n\0".contains(byte)));
                assert!(head.headers.get(name).is_some());
                assert!(head.headers.get_ignore_case(&name.to_ascii_uppercase()).is_some());
            });
            head.headers.iter().count()
        }
        Message::File(file) => {
            i64::try_from(file.start + file.length).expect("an off_t");
            0
        }
        _ => 0,
    };
    assert!(pairs <= LIMITS.head as usize / 6, "more pairs than bytes for them");
}
