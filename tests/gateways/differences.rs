//! The allowed differences between the environ of embedded mode and that through a server, each
//! with its reason. A row without a request fails the test, as does a difference without a row.

mod answers;
mod keys;

use std::cell::RefCell;
use std::collections::BTreeSet;

use self::answers::ANSWERS;
use self::keys::ROWS;
use crate::ask::{Answer, Request};
use crate::pairs::Pairs;

/// A key that differs.
#[derive(Debug)]
struct Row {
    /// The beginnings of the names of the ways; all if it is empty.
    ways: &'static [&'static str],
    key: &'static str,
    seen: Seen,
    #[allow(dead_code, reason = "shown with a row that nobody needs")]
    why: &'static str,
}

/// The kind of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Both have it, with values of their own.
    Differs,
    /// Only embedded mode has it.
    Here,
    /// Only the program has it.
    There,
}

/// A request that is answered otherwise.
#[derive(Debug)]
struct Answers {
    ways: &'static [&'static str],
    /// In the request's bytes.
    asks: &'static [u8],
    /// The statuses of the two; 200 is an environ.
    statuses: (u16, u16),
    #[allow(dead_code, reason = "shown with a row that nobody needs")]
    why: &'static str,
}

/// The rows of one way, and which of them were needed.
pub(crate) struct Differences {
    rows: Vec<&'static Row>,
    answers: Vec<&'static Answers>,
    used: RefCell<BTreeSet<String>>,
}

/// Returns the rows of the way `name`.
pub(crate) fn of(name: &str) -> Differences {
    let is_for = |ways: &[&str]| ways.is_empty() || ways.iter().any(|way| name.starts_with(way));
    Differences {
        rows: ROWS.iter().filter(|row| is_for(row.ways)).collect(),
        answers: ANSWERS.iter().filter(|row| is_for(row.ways)).collect(),
        used: RefCell::default(),
    }
}

impl Differences {
    /// Returns the differences that are not allowed.
    pub(crate) fn between(&self, here: &Pairs, there: &Pairs) -> Vec<String> {
        let mut found = Vec::new();
        let keys: BTreeSet<_> = here.keys().chain(there.keys()).collect();
        for key in keys {
            let (one, other) = (here.get(key), there.get(key));
            if one == other {
                continue;
            }
            let fits = |row: &&&Row| {
                let is_it = row.key.as_bytes() == key.as_slice()
                    || (row.key == "*" && !key.starts_with(b"HTTP_"));
                is_it
                    && matches!(
                        (row.seen, one, other),
                        (Seen::Differs, Some(_), Some(_))
                            | (Seen::Here, Some(_), None)
                            | (Seen::There, None, Some(_))
                    )
            };
            if let Some(row) = self.rows.iter().find(fits) {
                self.used.borrow_mut().insert(format!("{row:?}"));
                continue;
            }
            let show = |value: Option<&Vec<u8>>| match value {
                Some(value) => format!("\"{}\"", value.escape_ascii()),
                None => "nothing".to_owned(),
            };
            let (one, other) = (show(one), show(other));
            found.push(format!("{} is {one} embedded and {other} there", key.escape_ascii()));
        }
        found
    }

    /// Returns whether a row allows this response to the request.
    pub(crate) fn excuses(&self, request: &Request, here: &Answer, there: &Answer) -> bool {
        let bytes = request.bytes();
        let asks = |row: &&&Answers| bytes.windows(row.asks.len()).any(|part| part == row.asks);
        let row = self
            .answers
            .iter()
            .filter(asks)
            .find(|row| row.statuses == (here.status, there.status));
        if let Some(row) = row {
            self.used.borrow_mut().insert(format!("{row:?}"));
        }
        row.is_some()
    }

    /// Returns the rows that no request needed.
    pub(crate) fn unused(&self) -> Vec<String> {
        // Cargo sets it for a test, others need not.
        let rows = self.rows.iter().filter(|row| row.key != "LD_LIBRARY_PATH");
        let all = rows.map(|row| format!("{row:?}"));
        // No answer at all is a matter of who is first.
        let answers = self.answers.iter().filter(|row| row.statuses.1 != 0);
        let all = all.chain(answers.map(|row| format!("{row:?}")));
        let used = self.used.borrow();
        all.filter(|row| !used.contains(row)).collect()
    }
}
