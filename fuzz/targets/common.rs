//! Parts that the targets of the gateway protocols share.

use mod_rust::internal::protocol::params::{ParamLimits, Params};

/// Small, so that the limits themselves are met.
pub const LIMITS: ParamLimits = ParamLimits { head: 300, pairs: 8 };

/// Variables of any bytes: a byte of length each before a name and a value.
pub fn made_up(mut bytes: &[u8]) -> Params {
    let mut params = Params::new();
    let mut next = || {
        let (&length, rest) = bytes.split_first()?;
        let (string, rest) = rest.split_at(usize::from(length).min(rest.len()));
        bytes = rest;
        Some(string)
    };
    while let (Some(key), Some(value)) = (next(), next()) {
        params.push(key, value);
    }
    params
}

/// They are what a process's environment can hold, in no more memory than the limits need.
pub fn check(params: &Params) {
    let mut count = 0;
    for (key, value) in params.iter() {
        assert!(!key.is_empty() && !key.iter().any(|byte| b"\0=".contains(byte)));
        assert!(!value.contains(&0));
        assert_eq!(params.get(key), Some(value), "a key twice");
        count += 1;
    }
    assert!(count == params.len() && count <= LIMITS.pairs);
    assert_eq!(params.is_empty(), count == 0);
    // Buffers double when they grow; an entry of the index is three words and a hash.
    let most = 2 * LIMITS.head + 2 * LIMITS.pairs * (3 * size_of::<usize>() + 4);
    assert!(params.size() <= most, "{} bytes are held", params.size());
}

/// The same variables, whatever their order.
pub fn assert_same(one: &Params, other: &Params) {
    assert_eq!(one.len(), other.len());
    for (key, value) in one.iter() {
        assert_eq!(other.get(key), Some(value), "{}", key.escape_ascii());
    }
}
