//! Encoded frames decode to the same, in any pieces.

use super::*;
use std::collections::HashSet;

#[test]
fn every_message_comes_back() {
    let mut kinds = HashSet::new();
    each_sample(|message| {
        let bytes = encoded(&message);
        kinds.insert(kind_of(&bytes));
        let found = frame(&bytes).unwrap().unwrap();
        assert_eq!(found.size, bytes.len(), "{message:?}");
        assert_eq!(found.message().unwrap(), message);
        let mut again = Vec::new();
        found.message().unwrap().put(&mut again, &LIMITS).unwrap();
        assert_eq!(again, bytes, "{message:?}");
    });
    assert_eq!(kinds.len(), Kind::ALL.len(), "a kind has no sample");
}

#[test]
fn every_number_has_its_kind() {
    for number in 0..=u8::MAX {
        let kind = Kind::ALL.into_iter().find(|kind| kind.number() == number);
        assert_eq!(Kind::of(number), kind);
    }
    for number in 0..=u8::MAX {
        assert_eq!(error_kind(number).map_or(number, error_code), number);
        assert_eq!(level(number).map_or(number, level_code), number);
        assert_eq!(InputFailure::of(number).map_or(number, InputFailure::number), number);
        let reason = u16::from(number);
        assert_eq!(RefusalReason::of(reason).map_or(reason, RefusalReason::number), reason);
        if let Some(failure) = InputFailure::of(number) {
            assert_eq!(InputFailure::from_error(failure.error_kind()), failure);
        }
    }
}

#[test]
fn a_part_of_a_frame_is_not_an_error() {
    each_sample(|message| {
        let bytes = encoded(&message);
        for length in 0..bytes.len() {
            let found = split(&bytes[..length], kind_of(&bytes).sent_by(), &LIMITS);
            assert_eq!(found, Ok(None), "{length} bytes of {message:?}");
        }
    });
}

#[test]
fn decoded_values_encode_to_the_same_bytes() {
    let mut decoded = 0;
    each_sample(|message| {
        let bytes = encoded(&message);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            for value in 0..=u8::MAX {
                changed[at] = value;
                for sender in [Peer::Child, Peer::Daemon] {
                    let Ok(Some(found)) = split(&changed, sender, &LIMITS) else { continue };
                    let Ok(message) = found.message() else { continue };
                    let mut again = Vec::new();
                    message.put(&mut again, &LIMITS).unwrap();
                    assert_eq!(again, changed[..found.size], "{message:?}");
                    decoded += 1;
                }
            }
        }
    });
    assert!(decoded > 10_000, "{decoded}");
}

#[test]
fn a_stream_in_any_pieces_is_the_same_frames() {
    for sender in [Peer::Child, Peer::Daemon] {
        let (mut stream, mut sizes) = (Vec::new(), Vec::new());
        each_sample(|message| {
            let bytes = encoded(&message);
            if kind_of(&bytes).sent_by() == sender {
                sizes.push(bytes.len());
                stream.extend(bytes);
            }
        });
        for seed in 1..200 {
            let mut numbers = Numbers(seed);
            let (mut buffer, mut found, mut again) = (Vec::new(), Vec::new(), Vec::new());
            let mut rest = &stream[..];
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at((1 + numbers.below(90)).min(rest.len()));
                buffer.extend_from_slice(piece);
                rest = behind;
                let mut taken = 0;
                while let Some(frame) = split(&buffer[taken..], sender, &LIMITS).unwrap() {
                    frame.message().unwrap().put(&mut again, &LIMITS).unwrap();
                    found.push(frame.size);
                    taken += frame.size;
                }
                buffer.drain(..taken);
            }
            assert!(buffer.is_empty());
            assert_eq!(found, sizes);
            assert_eq!(again, stream);
        }
    }
}

#[test]
fn made_up_requests_come_back() {
    let mut numbers = Numbers(42);
    for _ in 0..2_000 {
        let pairs = |numbers: &mut Numbers| {
            let count = numbers.below(6);
            (0..count).map(|_| (numbers.bytes(20), numbers.bytes(40))).collect::<Vec<_>>()
        };
        let (options, variables) = (pairs(&mut numbers), pairs(&mut numbers));
        let (headers, server, target) = (pairs(&mut numbers), numbers.bytes(30), numbers.bytes(60));
        let mut block = PairBlock::new();
        options.iter().for_each(|(name, value)| block.push(name, value).unwrap());
        let mut facts = RequestFacts {
            ticket: numbers.next() | 1,
            start_us: numbers.next(),
            sent_us: numbers.next(),
            incarnation: numbers.next() as u32,
            length: [None, Some(0), Some(numbers.next() >> 1)][numbers.below(3)],
            application: numbers.next() as u32,
            options: block.pairs(),
            server: &server,
            target: &target,
            expect: false,
            error_override: numbers.below(2) == 1,
            ignored: numbers.below(2) == 1,
            log_level: level(numbers.below(6) as u8),
            upgrade: false,
        };
        facts.upgrade = !facts.has_body() && numbers.below(2) == 0;
        let mut out = b"before".to_vec();
        let mut request = RequestEncoder::begin(&mut out, &facts);
        variables.iter().for_each(|(name, value)| request.variable(name, value));
        let mut request = request.headers();
        headers.iter().for_each(|(name, value)| request.header(name, value));
        let size = request.finish(&LIMITS).unwrap();
        assert_eq!(size, out.len() - 6);

        let found = frame(&out[6..]).unwrap().unwrap();
        let found = RequestHead::decode(&found).unwrap();
        assert_eq!(found.facts, facts);
        let owned = |pairs: Pairs<'_>| {
            pairs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect::<Vec<_>>()
        };
        assert_eq!(owned(found.facts.options), options);
        assert_eq!(owned(found.variables), variables);
        assert_eq!(owned(found.headers), headers);
    }
}

#[test]
fn noise_does_not_panic() {
    let mut numbers = Numbers(7);
    for _ in 0..100_000 {
        let mut bytes = numbers.bytes(120);
        // A header that nearly fits, or nothing would get as far as a payload.
        if bytes.len() >= HEADER {
            let length = (bytes.len() - HEADER) as u32;
            bytes[..4].copy_from_slice(&length.to_le_bytes());
            bytes[4] = Kind::ALL[numbers.below(Kind::ALL.len())].number();
            bytes[5] &= 7;
            bytes[6..8].fill(0);
        }
        for sender in [Peer::Child, Peer::Daemon] {
            match split(&bytes, sender, &LIMITS) {
                Err(error) => assert!(error.offset() < HEADER, "{error}"),
                Ok(None) => assert!(bytes.len() < HEADER),
                Ok(Some(frame)) => {
                    if let Err(error) = frame.message() {
                        assert!((HEADER - 3..=frame.size).contains(&error.offset()), "{error}");
                    }
                }
            }
        }
    }
}

#[test]
fn pairs_are_found() {
    let block = block(&[("A", "1"), ("a", "2"), ("A", "3"), ("", "4")]);
    let pairs = block.pairs();
    assert_eq!(pairs.get(b"A"), Some(&b"1"[..]));
    assert_eq!(pairs.get(b"a"), Some(&b"2"[..]));
    assert_eq!(pairs.get(b""), Some(&b"4"[..]));
    assert_eq!(pairs.get(b"b"), None);
    assert_eq!(pairs.get_ignore_case(b"a"), Some(&b"1"[..]));
    assert_eq!(pairs.into_iter().count(), 4);
    assert!(Pairs::default().is_empty());
    // Values may be secrets.
    assert_eq!(format!("{pairs:?}"), "[\"A\", \"a\", \"A\", \"\"]");
}
