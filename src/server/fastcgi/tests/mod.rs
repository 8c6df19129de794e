//! FastCGI over real sockets, with a web server's side written with the same codec.

mod basics;
mod client;
mod gone;
mod multiplex;
mod violations;

use self::client::{Answer, Client};
