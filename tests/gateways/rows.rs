//! The deviations of servers from the table of cases, each with its reason. A row does not skip its
//! case: the case runs, and must show the row's result.

mod httpd;
mod lighttpd;
mod nginx;
mod program;

use std::time::Duration;

use crate::case::{Case, Step};

/// Cases that a server answers in its own way. The first row that fits a case is meant.
#[derive(Debug)]
pub(crate) struct Row {
    /// The beginnings of the names of the ways: `nginx`, `nginx_scgi`.
    pub(crate) ways: &'static [&'static str],
    /// The cases' names.
    pub(crate) cases: &'static [&'static str],
    /// Of cases with these names, only those that ask for this; all if it is empty.
    pub(crate) asks: &'static str,
    /// The driver's message instead of the expected response, or [`NOTHING`]. Several are allowed,
    /// [`PASSES`] among them, if the result depends on timing.
    pub(crate) seen: &'static [&'static str],
    pub(crate) logs: Logs,
    pub(crate) why: &'static str,
}

/// The log records of the case that are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logs {
    /// The case's own result.
    Same,
    /// None: the application is not asked, or not so far.
    Nothing,
    /// That depends.
    Anything,
}

/// The case passes.
pub(crate) const PASSES: &str = "it passes";
/// Nothing comes for [`SHORT`].
pub(crate) const NOTHING: &str = "nothing comes";
/// The wait for data that a server holds back.
pub(crate) const SHORT: Duration = Duration::from_millis(1200);

impl Row {
    pub(crate) fn is_for(&self, case: &Case) -> bool {
        self.cases.contains(&case.name)
            && case.steps.iter().any(|step| match step {
                Step::Ask(ask, _) => {
                    ask.target.contains(self.asks) || ask.method.contains(self.asks)
                }
                Step::HeadLikeGet(target) => target.contains(self.asks),
                Step::Write(bytes) => String::from_utf8_lossy(bytes).contains(self.asks),
                _ => false,
            })
    }
}

/// Returns the rows of one way.
pub(crate) fn of(way: &str) -> Vec<&'static Row> {
    let all = [httpd::ROWS, lighttpd::ROWS, nginx::ROWS, program::ROWS];
    let is_for = |row: &&Row| row.ways.iter().any(|start| way.starts_with(start));
    all.into_iter().flatten().filter(is_for).collect()
}
