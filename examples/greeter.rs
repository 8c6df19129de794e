//! The smallest module: one function. A name that another module has too is told from it as
//! `mod_greeter:hello`.
#![forbid(unsafe_code)]

use mod_rust::{Body, Environ, Factory, Result, StartResponse};

fn hello<'x>(environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    let agent = environ.header("user-agent").unwrap_or(b"stranger");
    start_response.start(200, [("Content-Type", "text/plain; charset=utf-8")])?;
    Ok(Body::from(format!("Hello, {}\n", agent.escape_ascii())))
}

mod_rust::module! {
    /// `LoadModule greeter_module …/mod_greeter.so`
    pub static greeter_module: "mod_greeter.c";
    applications = { "hello" => Factory::of(hello), "greeter" => Factory::of(hello) };
}
