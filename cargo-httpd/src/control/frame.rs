//! The two frames of the bridge that an administrator's command needs, by hand: the tool does not
//! link mod_rust. docs/bridge.md has all of them.
//!
//! A frame is eight bytes (u32 length of the payload, u8 kind, u8 flags, u16 zero; little-endian)
//! and the payload.

use std::io::{self, Read};

const CONTROL: u8 = 32;
const REPLY: u8 = 33;
const REFUSED: u8 = 25;

const HEADER: usize = 8;
/// The longest payload of a CONTROL.
const LONGEST_COMMAND: usize = 4 << 10;
/// The longest answer that is taken: the status of a large group has its thousands of threads.
const LONGEST_ANSWER: usize = 16 << 20;

/// The answer of a daemon process.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// JSON.
    Reply(String),
    /// It does not talk to this user, or not about this; in its own words.
    Refused(String),
}

/// Returns the frame that carries a command.
///
/// # Errors
/// Fails when it is too long.
pub(super) fn control(command: &str) -> io::Result<Vec<u8>> {
    let length = u32::try_from(command.len()).ok().filter(|_| command.len() <= LONGEST_COMMAND);
    let length = length.ok_or_else(|| malformed("the command is too long"))?;
    let mut frame = Vec::with_capacity(HEADER + command.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&[CONTROL, 0, 0, 0]);
    frame.extend_from_slice(command.as_bytes());
    Ok(frame)
}

/// Reads the answer to one.
///
/// # Errors
/// Fails when the connection ends before that, or what comes is neither REPLY nor REFUSED.
pub(super) fn answer(from: &mut impl Read) -> io::Result<Answer> {
    let mut header = [0; HEADER];
    from.read_exact(&mut header)?;
    let [a, b, c, d, kind, flags, zero @ ..] = header;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if flags != 0 || zero != [0, 0] {
        return Err(malformed("flags that no answer has"));
    }
    if length > LONGEST_ANSWER {
        return Err(malformed(&format!("an answer of {length} bytes")));
    }
    let mut payload = vec![0; length];
    from.read_exact(&mut payload)?;
    match kind {
        REPLY => text(payload).map(Answer::Reply),
        // u16 reason, u32 length, text.
        REFUSED => match payload.split_first_chunk::<6>() {
            Some(([_, _, a, b, c, d], words))
                if u32::from_le_bytes([*a, *b, *c, *d]) as usize == words.len() =>
            {
                text(words.to_vec()).map(Answer::Refused)
            }
            _ => Err(malformed("a REFUSED that is cut short")),
        },
        other => Err(malformed(&format!("a frame of kind {other}"))),
    }
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| malformed("text that is not UTF-8"))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not the bridge's protocol: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
        [&length[..], &[kind, 0, 0, 0], payload].concat()
    }

    #[test]
    fn a_command_is_one_frame() {
        assert_eq!(control("status").unwrap(), b"\x06\0\0\0\x20\0\0\0status");
        assert!(control(&"x".repeat(4096)).is_ok());
        assert!(control(&"x".repeat(4097)).is_err());
    }

    #[test]
    fn both_answers_are_read() {
        let reply = frame(33, br#"{"group":"a"}"#);
        let expected = Answer::Reply(r#"{"group":"a"}"#.into());
        assert_eq!(answer(&mut &reply[..]).unwrap(), expected);
        let refused = frame(25, b"\x02\0\x04\0\0\0nope");
        assert_eq!(answer(&mut &refused[..]).unwrap(), Answer::Refused("nope".into()));
    }

    #[test]
    fn truncated_and_unknown_frames_are_errors() {
        let whole = frame(33, b"{}");
        for end in 0..whole.len() {
            assert!(answer(&mut &whole[..end]).is_err(), "{end}");
        }
        let mut flags = whole.clone();
        flags[5] = 1;
        let mut zero = whole.clone();
        zero[7] = 1;
        for bytes in [
            flags,
            zero,
            frame(17, b"{}"),
            frame(33, b"\xff"),
            frame(25, b"\x02\0\x05\0\0\0nope"),
            frame(25, b"\x02\0"),
            b"\xff\xff\xff\xff\x21\0\0\0".to_vec(),
        ] {
            assert!(answer(&mut &bytes[..]).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
