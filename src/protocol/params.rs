//! One request's variables, as SCGI, uwsgi and FastCGI carry them and as CGI has them in its
//! environment.
//!
//! The codecs fill it, `server::site` makes the environ of it. One buffer holds all keys and
//! values, one index says where: both keep their room when it is cleared, so that the next request
//! on the same connection allocates nothing.

use std::fmt;

/// Variables with distinct keys. A key that comes again takes the place of the one before: nginx
/// sends a parameter twice when it is configured twice, and the later line is the one that is
/// meant.
///
/// ```
/// use mod_rust::internal::protocol::params::Params;
///
/// let mut params = Params::new();
/// params.push(b"REQUEST_METHOD", b"GET");
/// params.push(b"PATH_INFO", b"/a");
/// params.push(b"PATH_INFO", b"/b");
/// assert_eq!(params.get(b"PATH_INFO"), Some(&b"/b"[..]));
/// assert_eq!(params.len(), 2);
/// ```
#[derive(Clone, Default)]
pub struct Params {
    bytes: Vec<u8>,
    index: Vec<ParamEntry>,
    /// A hash of each key: a look-up compares these first, several at a time.
    hashes: Vec<u32>,
    /// The number of pushes: repeated keys count too.
    pushed: usize,
}

#[derive(Clone, Copy)]
struct ParamEntry {
    start: usize,
    key: usize,
    value: usize,
}

/// The limits of a request's variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamLimits {
    /// Bytes of all keys and values with their lengths, as they stand on the wire.
    pub head: usize,
    /// Variables, repeated ones counted.
    pub pairs: usize,
}

impl Default for ParamLimits {
    /// 128 KiB and 1000 variables: more than any web server sends by default.
    fn default() -> Self {
        Self { head: 128 * 1024, pairs: 1000 }
    }
}

/// Why a variable was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PairError {
    /// A key without a byte.
    EmptyKey,
    /// A byte that a key cannot hold: NUL and `=`, which end it in a process's environment.
    KeyByte {
        /// The offset in the key.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// A value with a NUL, which would end it in a process's environment (FastCGI 1.0, 6.1).
    ValueNul {
        /// The offset in the value.
        at: usize,
    },
    /// More variables than the limit.
    TooMany {
        /// The limit.
        most: usize,
    },
}

impl fmt::Display for PairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyKey => f.write_str("a variable without a name"),
            Self::KeyByte { at, byte } => write!(
                f,
                "byte {at} of a variable's name is {byte:#04x}; allowed is anything but NUL and '='"
            ),
            Self::ValueNul { at } => {
                write!(f, "byte {at} of a variable's value is NUL; allowed is anything else")
            }
            Self::TooMany { most } => write!(f, "too many variables; allowed are {most}"),
        }
    }
}

impl std::error::Error for PairError {}

impl Params {
    /// Makes one without variables, and without room for any.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), index: Vec::new(), hashes: Vec::new(), pushed: 0 }
    }

    /// Forgets all variables and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.index.clear();
        self.hashes.clear();
        self.pushed = 0;
    }

    /// Gives back room beyond `bytes` of keys and values: after a request that was unusually large.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.bytes.shrink_to(bytes);
        // A variable of 64 bytes is a usual one.
        self.index.shrink_to(bytes / 64);
        self.hashes.shrink_to(bytes / 64);
    }

    /// Sets a variable, whatever bytes it has. What the codecs decode was checked before.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.reserve(key.len() + value.len());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        let entry = ParamEntry { start, key: key.len(), value: value.len() };
        let hash = hash(key);
        match self.position(key, hash) {
            Some(at) => self.index[at] = entry,
            None => {
                self.index.push(entry);
                self.hashes.push(hash);
            }
        }
        self.pushed += 1;
    }

    /// Returns the value of a variable.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.position(key, hash(key)).map(|at| self.pair(&self.index[at]).1)
    }

    /// Returns all variables, in the order in which their keys came first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
        self.index.iter().map(|entry| self.pair(entry))
    }

    /// Returns the number of variables.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.index.len()
    }

    /// Tells whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Returns the bytes of memory that are held, used or not.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.bytes.capacity()
            + self.index.capacity() * size_of::<ParamEntry>()
            + self.hashes.capacity() * size_of::<u32>()
    }

    /// Sets a variable that came from a peer.
    pub(super) fn add(
        &mut self,
        key: &[u8],
        value: &[u8],
        limits: &ParamLimits,
    ) -> Result<(), PairError> {
        check_pair(key, value)?;
        if self.pushed >= limits.pairs {
            return Err(PairError::TooMany { most: limits.pairs });
        }
        self.push(key, value);
        Ok(())
    }

    fn position(&self, key: &[u8], hash: u32) -> Option<usize> {
        let is_it = |at: &usize| self.hashes[*at] == hash && self.pair(&self.index[*at]).0 == key;
        // Arrays of a known length are compared without a branch for each: hardly any key has the
        // same hash.
        let (chunks, rest) = self.hashes.as_chunks::<AT_ONCE>();
        for (nth, some) in chunks.iter().enumerate() {
            let start = nth * AT_ONCE;
            if some.iter().fold(false, |any, found| any | (*found == hash))
                && let Some(at) = (start..start + AT_ONCE).find(is_it)
            {
                return Some(at);
            }
        }
        let start = chunks.len() * AT_ONCE;
        (start..start + rest.len()).find(is_it)
    }

    fn pair(&self, entry: &ParamEntry) -> (&[u8], &[u8]) {
        self.bytes[entry.start..][..entry.key + entry.value].split_at(entry.key)
    }
}

impl fmt::Debug for Params {
    /// The keys alone: values may be passwords and cookies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(key, _)| key.escape_ascii().to_string())).finish()
    }
}

impl PartialEq for Params {
    /// The same variables in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Params {}

/// The number of hashes that are compared at once.
const AT_ONCE: usize = 8;

/// Eight bytes at a time. Whoever makes up keys that hash alike has as many comparisons as the
/// limit of variables squared, and no more.
fn hash(key: &[u8]) -> u32 {
    let mut hash = key.len() as u64;
    let mut mix = |word: u64| {
        // Its upper half depends on all bits of both.
        let product = u128::from(hash ^ word) * 0x9e37_79b9_7f4a_7c15;
        hash = (product >> 64) as u64 ^ product as u64;
    };
    match key.last_chunk::<8>() {
        Some(last) => {
            let (words, _) = key.as_chunks::<8>();
            words.iter().for_each(|word| mix(u64::from_le_bytes(*word)));
            mix(u64::from_le_bytes(*last));
        }
        None => mix(key.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))),
    }
    hash as u32
}

/// Whether this can be a variable.
pub(super) fn check_pair(key: &[u8], value: &[u8]) -> Result<(), PairError> {
    if key.is_empty() {
        return Err(PairError::EmptyKey);
    }
    let ends = |byte: u8| byte == 0 || byte == b'=';
    // Without a branch for each byte: nearly every key is good.
    if key.iter().fold(false, |any, &byte| any | ends(byte))
        && let Some(at) = key.iter().position(|&byte| ends(byte))
    {
        return Err(PairError::KeyByte { at, byte: key[at] });
    }
    if value.contains(&0) {
        let at = value.iter().position(|&byte| byte == 0).unwrap_or_default();
        return Err(PairError::ValueNul { at });
    }
    Ok(())
}

/// Puts a number's digits.
pub(super) fn put_number(into: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    into.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::header::decimal;

    #[test]
    fn the_last_of_a_key_is_the_one() {
        let mut params = Params::new();
        params.push(b"A", b"1");
        params.push(b"B", b"2");
        params.push(b"A", b"three");
        assert_eq!(params.get(b"A"), Some(&b"three"[..]));
        assert_eq!((params.get(b"C"), params.get(b""), params.get(b"AA")), (None, None, None));
        let all: Vec<_> = params.iter().collect();
        assert_eq!(all, [(&b"A"[..], &b"three"[..]), (b"B", b"2")]);
        assert_eq!((params.len(), params.is_empty()), (2, false));
    }

    #[test]
    fn a_cleared_one_is_empty_and_keeps_its_room() {
        let mut params = Params::new();
        assert_eq!(params.size(), 0);
        for round in 0..3 {
            for key in 0..200 {
                params.push(format!("KEY_{key}").as_bytes(), b"value");
            }
            assert_eq!(params.len(), 200, "round {round}");
            let held = params.size();
            params.clear();
            assert!(params.is_empty() && params.get(b"KEY_7").is_none());
            assert_eq!(params.size(), held);
        }
        params.shrink_to(640);
        assert!(params.size() < 1300, "{}", params.size());
    }

    #[test]
    fn every_key_is_found_among_many() {
        let mut params = Params::new();
        for key in 0..1000 {
            params.push(format!("HTTP_X_{key:04}").as_bytes(), key.to_string().as_bytes());
        }
        for key in 0..1000 {
            let found = params.get(format!("HTTP_X_{key:04}").as_bytes());
            assert_eq!(found, Some(key.to_string().as_bytes()));
        }
        assert_eq!(params.len(), 1000);
        // A new value stays in its key's place.
        for key in [0, 7, 8, 500, 999] {
            let name = format!("HTTP_X_{key:04}");
            params.push(name.as_bytes(), b"new");
            assert_eq!(params.iter().nth(key), Some((name.as_bytes(), &b"new"[..])));
        }
        assert_eq!(params.len(), 1000);
        assert_eq!(params.get(b"HTTP_X_0001"), Some(&b"1"[..]));
    }

    #[test]
    fn keys_of_every_length_are_distinguished() {
        let mut params = Params::new();
        let long = b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let keys = || (0..=long.len()).map(|end| &long[..end]).chain((1..26).map(|at| &long[at..]));
        keys().for_each(|key| params.push(key, key));
        assert_eq!(params.len(), keys().count());
        assert!(keys().all(|key| params.get(key) == Some(key)));
    }

    #[test]
    fn keys_and_how_many_of_them() {
        let mut params = Params::new();
        let limits = ParamLimits { pairs: 2, ..ParamLimits::default() };
        assert_eq!(params.add(b"", b"", &limits), Err(PairError::EmptyKey));
        let byte = |at, byte| Err(PairError::KeyByte { at, byte });
        assert_eq!(params.add(b"a=b", b"", &limits), byte(1, b'='));
        assert_eq!(params.add(b"\0", b"", &limits), byte(0, 0));
        assert_eq!(params.add(b"A", b"a\0", &limits), Err(PairError::ValueNul { at: 1 }));
        assert_eq!(params.add(b"A", b"a=\xff", &limits), Ok(()));
        assert_eq!(params.add(b"A", b"", &limits), Ok(()));
        // Repeated ones count: the work is bounded, not only the memory.
        let error = params.add(b"A", b"", &limits).unwrap_err();
        assert_eq!(error, PairError::TooMany { most: 2 });
        assert_eq!(error.to_string(), "too many variables; allowed are 2");
    }

    #[test]
    fn numbers() {
        for number_ in [0, 1, 9, 10, 65_535, u64::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, number_);
            assert_eq!(out, number_.to_string().as_bytes());
            assert_eq!(decimal(&out), Some(number_));
        }
        for bad in [&b""[..], b"+1", b"-1", b" 1", b"1 ", b"18446744073709551616"] {
            assert_eq!(decimal(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn values_are_not_shown() {
        let mut params = Params::new();
        params.push(b"HTTP_COOKIE", b"secret");
        assert_eq!(format!("{params:?}"), "[\"HTTP_COOKIE\"]");
    }
}
