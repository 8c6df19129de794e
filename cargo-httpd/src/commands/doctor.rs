//! `cargo httpd doctor`

use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use super::Execute;
use crate::ensure::{self, BENCHMARK_USES, Capability, Checked, Finding, Manager, Need};

/// Report the requirements that this machine has and lacks.
///
/// Installs nothing. Exits with an error if a requirement of `run` or `test` is missing.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {}

const SECTIONS: [(Need, &str); 7] = [
    (Need::Run, "for run"),
    (Need::Test, "for test, beyond that"),
    (Need::Servers, "for the tests of mod_rust itself, beyond that"),
    (Need::Clients, "for the tests of mod_rust itself (those without their client are skipped)"),
    (Need::Bench, "for bench and test --ci"),
    (Need::Fuzz, "for test --ci"),
    (Need::Rivals, "for bench, as rivals and for --instr (nothing needs them)"),
];

impl Execute for DoctorArgs {
    fn execute(self, _yes: bool) -> Result<()> {
        let mut out = std::io::stdout();
        writeln!(out, "{}", row(" ", "system", &system()))?;
        writeln!(out, "{}", row(" ", "Rust", &rust()))?;
        let mut needed = Vec::new();
        for (need, title) in SECTIONS {
            writeln!(out, "\n{title}:")?;
            for checked in ensure::check(&[need]) {
                writeln!(out, "{}", report(&checked))?;
                if matches!(need, Need::Run | Need::Test)
                    && !matches!(checked.finding, Finding::Found(_))
                {
                    needed.push(checked);
                }
            }
        }
        verdict(&needed)
    }
}

/// Nothing missing is fine. What is missing is an error that says what to do.
fn verdict(needed: &[Checked]) -> Result<()> {
    for checked in needed {
        if let Finding::Broken(why) = &checked.finding {
            bail!("{}: {why}", checked.capability.name);
        }
    }
    if needed.is_empty() {
        return Ok(());
    }
    let missing: Vec<_> = needed.iter().map(|checked| checked.capability).collect();
    let subject = ensure::is_or_are(&missing);
    match Manager::of_this_system() {
        Some(manager) => {
            let line = manager.line(&manager.packages(&missing));
            bail!("{subject} missing; install with `{line}`, or let `cargo httpd test --yes` do it")
        }
        None => bail!("{subject} missing; install {}", ensure::by_hand(&missing)),
    }
}

fn report(checked: &Checked) -> String {
    let name = checked.capability.name;
    match &checked.finding {
        Finding::Found(what) => row("+", name, what),
        Finding::Missing(why) => {
            let install = Manager::of_this_system().map(|manager| {
                format!("; `{}`", manager.line(&manager.packages(&[checked.capability])))
            });
            let purpose = purpose(checked.capability).map(|purpose| format!(" ({purpose})"));
            let [install, purpose] = [install, purpose].map(Option::unwrap_or_default);
            row("-", name, &format!("missing: {why}{install}{purpose}"))
        }
        Finding::Broken(why) => row("!", name, why),
    }
}

/// Returns the use that the benchmark has for a capability.
fn purpose(capability: &Capability) -> Option<&'static str> {
    let (_, purpose) =
        BENCHMARK_USES.iter().find(|(package, _)| capability.debian.first() == Some(package))?;
    Some(purpose)
}

fn row(mark: &str, name: &str, text: &str) -> String {
    format!("{mark} {name:<16} {text}")
}

fn system() -> String {
    let release = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|file| std::fs::read_to_string(Path::new(file)).ok())
        .and_then(|text| pretty_name(&text))
        .unwrap_or_else(|| std::env::consts::OS.to_owned());
    let manager = match Manager::of_this_system() {
        Some(Manager::Apt) => "packages through apt-get",
        Some(Manager::Dnf) => "packages through dnf",
        None => "neither apt-get nor dnf: packages are yours to install",
    };
    format!("{release}, {}, {manager}", std::env::consts::ARCH)
}

fn pretty_name(os_release: &str) -> Option<String> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

fn rust() -> String {
    let says = |program: std::ffi::OsString| -> String {
        let output = Command::new(&program).arg("--version").output();
        match output {
            Ok(output) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).trim().to_owned()
            }
            _ => format!("`{} --version` fails", Path::new(&program).display()),
        }
    };
    let named =
        |variable: &str, usual: &str| std::env::var_os(variable).unwrap_or_else(|| usual.into());
    format!("{}, {}", says(named("RUSTC", "rustc")), says(named("CARGO", "cargo")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ensure::CAPABILITIES;

    fn checked(finding: Finding) -> Checked {
        Checked { capability: &CAPABILITIES[1], finding }
    }

    #[test]
    fn rows() {
        let found = report(&checked(Finding::Found("Apache/2.4.71".into())));
        assert_eq!(found, "+ httpd            Apache/2.4.71");
        let missing = report(&checked(Finding::Missing("not there".into())));
        assert!(missing.starts_with("- httpd            missing: not there"), "{missing}");
    }

    #[test]
    fn the_verdict_names_what_is_missing_and_a_remedy() {
        verdict(&[]).unwrap();
        let missing = verdict(&[checked(Finding::Missing("no".into()))]).unwrap_err().to_string();
        assert!(missing.starts_with("httpd is missing; install "), "{missing}");
        let broken = verdict(&[checked(Finding::Broken("APXS is wrong".into()))]).unwrap_err();
        assert_eq!(broken.to_string(), "httpd: APXS is wrong");
    }

    #[test]
    fn the_name_of_the_system() {
        let text = "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        assert_eq!(pretty_name(text).as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(pretty_name("ID=x\n"), None);
    }
}
