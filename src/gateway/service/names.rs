//! The names of request headers. Clients send the same ones again and again, so each thread keeps
//! the last ones that it has parsed.

use std::cell::RefCell;

use http::HeaderName;
use http::header::InvalidHeaderName;

/// The number of names that a thread keeps.
const SLOTS: usize = 128;

/// The length of the longest name that is kept, in bytes.
const LONGEST: usize = 32;

thread_local! {
    static NAMES: RefCell<Names> = const { RefCell::new(Names { slots: Vec::new() }) };
}

/// Calls `parse` with the names that this thread has parsed.
pub(super) fn with<T>(parse: impl FnOnce(&mut Names) -> T) -> T {
    NAMES.with_borrow_mut(parse)
}

/// The names that a thread has parsed, each in the place that its spelling has.
pub(super) struct Names {
    /// Empty before the first name.
    slots: Vec<Option<Parsed>>,
}

struct Parsed {
    spelling: [u8; LONGEST],
    length: usize,
    name: HeaderName,
}

impl Names {
    /// Does the work of [`HeaderName::from_bytes`].
    pub(super) fn parse(&mut self, spelling: &[u8]) -> Result<HeaderName, InvalidHeaderName> {
        let place = place(spelling);
        if let Some(Some(parsed)) = self.slots.get(place)
            && parsed.spelling.get(..parsed.length) == Some(spelling)
        {
            return Ok(parsed.name.clone());
        }
        let name = HeaderName::from_bytes(spelling)?;
        self.keep(place, spelling, &name);
        Ok(name)
    }

    #[cold]
    fn keep(&mut self, place: usize, spelling: &[u8], name: &HeaderName) {
        let mut kept = [0; LONGEST];
        let length = spelling.len();
        let Some(start) = kept.get_mut(..length) else { return };
        start.copy_from_slice(spelling);
        self.slots.resize_with(SLOTS, || None);
        self.slots[place] = Some(Parsed { spelling: kept, length, name: name.clone() });
    }
}

/// Returns the place of a name, which is its own for each of the usual ones.
fn place(spelling: &[u8]) -> usize {
    let [.., before, last] = *spelling else { return 0 };
    (spelling.len() + 84 * usize::from(before) + 5 * usize::from(last)) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_that_of_its_spelling() {
        let long = "x".repeat(LONGEST + 1);
        let spellings =
            ["Host", "host", "HOST", "X-Request-Id", "X-Request-Ie", "Sec-Fetch-Mode", &long];
        // Twice, so that the second round finds what the first has kept.
        for spelling in spellings.iter().chain(&spellings) {
            let name = with(|names| names.parse(spelling.as_bytes())).unwrap();
            assert_eq!(name.as_str(), spelling.to_ascii_lowercase());
        }
    }

    #[test]
    fn names_in_the_same_place_push_each_other_out() {
        let all: Vec<_> = (0..=u16::MAX).map(|number| format!("n{number:x}")).collect();
        for spelling in all.iter().chain(&all) {
            let name = with(|names| names.parse(spelling.as_bytes())).unwrap();
            assert_eq!(name.as_str(), spelling);
        }
        assert_eq!(with(|names| names.slots.len()), SLOTS);
    }

    #[test]
    fn what_is_no_name_is_not_kept() {
        for _ in 0..2 {
            for spelling in [&b""[..], b"a b", b"a:", b"\xff", b"a\0"] {
                assert!(with(|names| names.parse(spelling)).is_err());
            }
        }
    }

    #[test]
    fn the_usual_names_have_places_of_their_own() {
        let usual = [
            "Host",
            "User-Agent",
            "Accept",
            "Accept-Language",
            "Accept-Encoding",
            "Referer",
            "Cookie",
            "Cache-Control",
            "Upgrade-Insecure-Requests",
            "Sec-Fetch-Dest",
            "Sec-Fetch-Mode",
            "Sec-Fetch-Site",
            "Sec-Fetch-User",
            "Connection",
            "Authorization",
            "Content-Type",
            "Content-Length",
            "Origin",
            "If-None-Match",
            "If-Modified-Since",
            "Pragma",
            "Priority",
            "X-Forwarded-For",
            "X-Request-Id",
            "X-Requested-With",
        ];
        for spell in [str::to_owned, str::to_ascii_lowercase] as [fn(&str) -> String; 2] {
            let mut places: Vec<_> = usual.map(|name| place(spell(name).as_bytes())).to_vec();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), usual.len());
        }
    }
}
