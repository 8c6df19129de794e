//! Daemon processes as threads of the test, with real sockets. The test acts as httpd.

mod basics;
mod bodies;
mod crowd;
mod errors;
mod gone;
mod harness;
mod life;
mod peer;
mod peers;
#[cfg(feature = "tower")]
mod suspended;
#[cfg(feature = "tower")]
mod ten_thousand;

use self::harness::TestProcess;
use self::peer::{Ask, Ending, Peer};
