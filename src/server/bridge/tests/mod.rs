//! Daemon processes as threads of the test, with real sockets: httpd's part is played by hand.

mod basics;
mod house;
mod peer;

use self::house::House;
use self::peer::{Ask, Ending, Peer};
