//! The subcommands, one file each.

pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod conf;
pub(crate) mod doctor;
pub(crate) mod drain_process;
pub(crate) mod groups;
pub(crate) mod init;
pub(crate) mod install;
pub(crate) mod new;
pub(crate) mod package;
pub(crate) mod reference;
pub(crate) mod restart_group;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod setup_server;
pub(crate) mod test;
pub(crate) mod uninstall;

use anyhow::Result;

/// A subcommand, with its arguments.
pub(crate) trait Execute {
    /// Does it. `yes` is the option `--yes`.
    fn execute(self, yes: bool) -> Result<()>;
}
