//! One table of cases that every gateway must answer alike, run here against applications inside
//! httpd. `cases` is the table; a gateway to come brings a [`Target`](target::Target) of its own.

mod case;
mod cases;
mod check;
mod daemon;
mod driver;
mod embedded;
mod http2;
mod records;
mod services;
mod target;
mod tls;
