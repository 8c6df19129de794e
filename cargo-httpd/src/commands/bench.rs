//! `cargo httpd bench`: makes sure of what it needs; [`crate::bench`] does the rest.

use anyhow::Result;

use super::Execute;
use crate::bench::{self, BenchArgs};
use crate::ensure::{self, Need};
use crate::progress::Progress;

impl Execute for BenchArgs {
    fn execute(self, yes: bool) -> Result<()> {
        let step = Progress::new(2).step("Looking for httpd, its headers, libclang and wrk");
        // Not for the rivals: those that are installed take part.
        ensure::ensure(&[Need::Run, Need::Bench], yes, &step)?;
        step.done("Everything is there");
        bench::execute(&self)
    }
}
