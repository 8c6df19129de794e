//! The command line.

use std::ffi::OsString;

use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::commands::{
    Execute,
    bench::BenchArgs,
    build::BuildArgs,
    conf::ConfArgs,
    doctor::DoctorArgs,
    drain_process::DrainProcessArgs,
    groups::GroupsArgs,
    init::InitArgs,
    install::InstallArgs,
    new::NewArgs,
    package::PackageArgs,
    reference::{CompletionArgs, ManArgs},
    restart_group::RestartGroupArgs,
    run::RunArgs,
    setup_server::SetupServerArgs,
    test::TestArgs,
    uninstall::UninstallArgs,
};

/// Rust web applications inside a real Apache httpd.
///
/// Every command that builds first checks its requirements (httpd, its headers, libclang) and
/// installs what is missing: at once as root, with CI set or with --yes, otherwise after asking.
#[derive(Debug, Parser)]
#[command(name = "cargo-httpd", bin_name = "cargo httpd", version, about)]
pub(crate) struct Cli {
    /// Install what is missing without asking.
    #[arg(long, global = true)]
    yes: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(NewArgs),
    Init(InitArgs),
    Run(RunArgs),
    Test(TestArgs),
    Build(BuildArgs),
    Conf(ConfArgs),
    Doctor(DoctorArgs),
    Install(InstallArgs),
    Uninstall(UninstallArgs),
    Package(PackageArgs),
    SetupServer(SetupServerArgs),
    Bench(BenchArgs),
    Groups(GroupsArgs),
    RestartGroup(RestartGroupArgs),
    DrainProcess(DrainProcessArgs),
    Completion(CompletionArgs),
    Man(ManArgs),
}

/// Reads the command line. A wrong one ends the process here, with clap's own words.
pub(crate) fn parse() -> Cli {
    Cli::parse_from(without_subcommand(std::env::args_os()))
}

impl Cli {
    pub(crate) fn execute(self) -> Result<()> {
        match self.command {
            Command::New(args) => args.execute(self.yes),
            Command::Init(args) => args.execute(self.yes),
            Command::Run(args) => args.execute(self.yes),
            Command::Test(args) => args.execute(self.yes),
            Command::Build(args) => args.execute(self.yes),
            Command::Conf(args) => args.execute(self.yes),
            Command::Doctor(args) => args.execute(self.yes),
            Command::Install(args) => args.execute(self.yes),
            Command::Uninstall(args) => args.execute(self.yes),
            Command::Package(args) => args.execute(self.yes),
            Command::SetupServer(args) => args.execute(self.yes),
            Command::Bench(args) => args.execute(self.yes),
            Command::Groups(args) => args.execute(self.yes),
            Command::RestartGroup(args) => args.execute(self.yes),
            Command::DrainProcess(args) => args.execute(self.yes),
            Command::Completion(args) => args.execute(Self::command()),
            Command::Man(args) => args.execute(Self::command()),
        }
    }
}

/// cargo calls `cargo-httpd httpd …` for `cargo httpd …`; called by its own name it gets no
/// `httpd`.
fn without_subcommand(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    args.enumerate().filter(|(index, arg)| *index != 1 || arg != "httpd").map(|(_, a)| a).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use httpd_config::Mpm;

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(without_subcommand(line.split_whitespace().map(OsString::from)))
    }

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_has_its_defaults() {
        let Command::Run(args) = parsed("cargo-httpd httpd run").unwrap().command else { panic!() };
        assert_eq!((args.serve.port, args.serve.mpm), (8080, Mpm::Event));
        assert!(!args.watch && !args.serve.debug && args.serve.example.is_none());
    }

    #[test]
    fn run_takes_its_options() {
        let line = "cargo-httpd run --port 81 --mpm prefork --example hello --debug --conf x.conf \
                    --watch --yes";
        let cli = parsed(line).unwrap();
        assert!(cli.yes);
        let Command::Run(args) = cli.command else { panic!() };
        assert_eq!((args.serve.port, args.serve.mpm), (81, Mpm::Prefork));
        assert_eq!(args.serve.example.as_deref(), Some("hello"));
        assert!(args.watch && args.serve.debug && args.serve.conf.is_some());
    }

    #[test]
    fn an_unknown_mpm_gets_the_known_ones() {
        let error = parsed("cargo-httpd run --mpm winnt").unwrap_err().to_string();
        assert!(error.contains("prefork, worker and event"), "{error}");
    }

    #[test]
    fn the_tests_get_what_follows_the_dashes() {
        let Command::Test(args) =
            parsed("cargo-httpd --yes test --ci -- --nocapture a").unwrap().command
        else {
            panic!()
        };
        assert!(args.ci);
        assert_eq!(args.test_args, ["--nocapture", "a"]);
    }

    #[test]
    fn the_benchmark_gets_its_options() {
        let Command::Bench(args) =
            parsed("cargo-httpd httpd bench --smoke --peers a,b --help").unwrap().command
        else {
            panic!()
        };
        assert!(format!("{args:?}").contains(r#"["--smoke", "--peers", "a,b", "--help"]"#));
    }

    #[test]
    fn the_place_of_the_sockets_has_one_option() {
        let places = ["", " --root /etc/httpd", " --socket-prefix /run/httpd/rust"];
        for command in ["groups --json", "restart-group shop", "drain-process 7"] {
            for place in places {
                assert!(
                    parsed(&format!("cargo-httpd {command}{place}")).is_ok(),
                    "{command}{place}"
                );
            }
            let both = format!("cargo-httpd {command}{}{}", places[1], places[2]);
            assert!(parsed(&both).is_err(), "{both}");
        }
        assert!(parsed("cargo-httpd restart-group").is_err());
    }

    #[test]
    fn new_takes_a_template() {
        let Command::New(args) =
            parsed("cargo-httpd new shop --template axum --kit /kit").unwrap().command
        else {
            panic!()
        };
        assert!(format!("{args:?}").contains("Axum"), "{args:?}");
        let error = parsed("cargo-httpd new shop --template django").unwrap_err().to_string();
        assert!(error.contains("hello, axum, module"), "{error}");
        assert!(parsed("cargo-httpd new").is_err());
    }
}
