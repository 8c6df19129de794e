//! FastCGI over real sockets, with a web server's side written with the same codec.

mod basics;
mod client;

use self::client::{Answer, Client};
