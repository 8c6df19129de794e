//! Tests the stock applications as a program behind every supported web server: the cases of
//! tests/conformance, and the requests of tests/environ.
//!
//! The servers are real, and configured with the blocks of docs/servers. A deviation of a server is
//! a row of [`rows`] or [`differences`], with its reason. Each row is checked against the real
//! behaviour.

#[allow(dead_code, reason = "shared with tests/environ")]
#[path = "../environ/ask.rs"]
mod ask;
mod broken;
#[allow(dead_code, reason = "shared with tests/conformance")]
#[path = "../conformance/case.rs"]
mod case;
#[path = "../conformance/cases/mod.rs"]
mod cases;
#[allow(dead_code, reason = "shared with tests/conformance")]
#[path = "../conformance/check.rs"]
mod check;
mod differences;
mod documented;
#[allow(dead_code, reason = "shared with tests/conformance")]
#[path = "../conformance/driver.rs"]
mod driver;
mod environ;
#[allow(dead_code, reason = "shared with tests/environ")]
#[path = "../environ/hosts.rs"]
mod hosts;
#[path = "../environ/pairs.rs"]
mod pairs;
#[path = "../environ/paths.rs"]
mod paths;
#[allow(dead_code, reason = "shared with tests/environ")]
#[path = "../environ/requests.rs"]
mod requests;
mod rows;
mod table;
#[path = "../conformance/target.rs"]
mod target;
mod way;
mod ways;
