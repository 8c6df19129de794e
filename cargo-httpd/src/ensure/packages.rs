//! Installing packages with apt-get or dnf: at once as root, in CI or with `--yes`, else after
//! asking.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::finding::program;
use super::table::{Capability, SERVICES};
use crate::progress::{Step, say};

/// The package manager of this system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manager {
    /// Debian, Ubuntu and their relatives.
    Apt,
    /// Fedora, RHEL and their relatives.
    Dnf,
}

impl Manager {
    pub(crate) fn of_this_system() -> Option<Self> {
        [Self::Apt, Self::Dnf].into_iter().find(|manager| program(manager.program()).is_some())
    }

    /// Returns the packages that bring `capabilities`, each once.
    pub(crate) fn packages(self, capabilities: &[&Capability]) -> Vec<&'static str> {
        let mut packages = Vec::new();
        for capability in capabilities {
            let names = match self {
                Self::Apt => capability.debian,
                Self::Dnf => capability.fedora,
            };
            for name in names {
                if !packages.contains(name) {
                    packages.push(*name);
                }
            }
        }
        packages
    }

    /// Returns the line that a person types to install `packages`.
    pub(crate) fn line(self, packages: &[&str]) -> String {
        let sudo = if is_root() || program("sudo").is_none() { "" } else { "sudo " };
        format!("{sudo}{} install {}", self.program(), packages.join(" "))
    }

    /// Installs what brings `capabilities`.
    pub(crate) fn install(
        self,
        capabilities: &[&Capability],
        yes: bool,
        step: &Step,
    ) -> Result<()> {
        let packages = self.packages(capabilities);
        let line = self.line(&packages);
        let sudo = !is_root();
        if sudo && program("sudo").is_none() {
            bail!(
                "{} missing, and there is no sudo; install as root with `{line}`",
                super::is_or_are(capabilities)
            );
        }
        if sudo && !yes && std::env::var_os("CI").is_none() {
            let agreed = step.suspend(|| ask(&super::is_or_are(capabilities), &line))?;
            if !agreed {
                bail!("{} missing; install with `{line}`", super::is_or_are(capabilities));
            }
        }
        if self == Self::Apt && !has_package_lists() {
            step.now("Fetching the lists of packages");
            self.call(sudo, &["update"], step)?;
        }
        step.now(&format!("Installing {}", packages.join(" ")));
        let services = services(&packages);
        let mut install = self.install_args();
        install.extend(&packages);
        let first_try = self.call_quiet(sudo, &install, &services, step);
        if first_try.is_ok() || self != Self::Apt {
            return first_try;
        }
        // An old list names versions that the mirror no longer has.
        step.now("Fetching the lists of packages again");
        self.call(sudo, &["update"], step)?;
        step.now(&format!("Installing {}", packages.join(" ")));
        self.call_quiet(sudo, &install, &services, step)
    }

    fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
        }
    }

    fn install_args(self) -> Vec<&'static str> {
        match self {
            Self::Apt => {
                let wait = "DPkg::Lock::Timeout=120";
                vec!["-o", wait, "install", "--yes", "--no-install-recommends"]
            }
            Self::Dnf => vec!["install", "--assumeyes", "--setopt=install_weak_deps=False"],
        }
    }

    /// Runs the manager so that none of `services`, which it brings, runs now or at the next boot.
    /// On Fedora none would.
    fn call_quiet(self, sudo: bool, args: &[&str], services: &[&str], step: &Step) -> Result<()> {
        if self != Self::Apt || services.is_empty() {
            return self.call(sudo, args, step);
        }
        let services = services.join(" ");
        let shell = ["sh", "-c", NO_SERVICES, "sh", POLICY, &services, self.program()];
        Self::call_words(Self::with_sudo(sudo, &[&shell, args].concat()), sudo, step)
    }

    /// Runs the manager. Under sudo, which may ask for a password, the terminal is its own;
    /// otherwise its last line is shown, and all that it said only if it fails.
    fn call(self, sudo: bool, args: &[&str], step: &Step) -> Result<()> {
        Self::call_words(self.words(sudo, args), sudo, step)
    }

    fn call_words(words: Vec<String>, sudo: bool, step: &Step) -> Result<()> {
        let line = words.iter().map(|word| word.replace(NO_SERVICES, "…")).collect::<Vec<_>>();
        let line = line.join(" ");
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive");
        if sudo {
            let status = step.suspend(|| command.status());
            let status = status.with_context(|| format!("`{line}` does not run"))?;
            return if status.success() { Ok(()) } else { bail!("`{line}` failed; it says why") };
        }
        // Both streams in one pipe, in their order.
        let (reader, writer) = rustix::pipe::pipe().map_err(std::io::Error::from)?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn().with_context(|| format!("`{line}` does not run"))?;
        drop(command);
        let mut said = Vec::new();
        for text in BufReader::new(File::from(reader)).lines() {
            let text = text?;
            step.detail(&shortened(&text));
            said.push(text);
        }
        if child.wait()?.success() {
            return Ok(());
        }
        let tail = &said[said.len().saturating_sub(12)..];
        step.suspend(|| say(&tail.join("\n")));
        bail!("`{line}` failed; correct the error above, or install the packages by hand")
    }

    fn words(self, sudo: bool, args: &[&str]) -> Vec<String> {
        Self::with_sudo(sudo, &[&[self.program()], args].concat())
    }

    fn with_sudo(sudo: bool, words: &[&str]) -> Vec<String> {
        let sudo: &[&str] =
            if sudo { &["sudo", "env", "DEBIAN_FRONTEND=noninteractive"] } else { &[] };
        [sudo, words].concat().into_iter().map(str::to_owned).collect()
    }
}

/// Installs with a policy that lets no service start (Debian Policy, 9.3.3.1), unless there is one
/// at `$1`, and takes the new services, `$2`, out of the boot.
const NO_SERVICES: &str = r#"policy=$1
services=$2
shift 2
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" || exit 1
fi
"$@" || exit 1
for service in $services; do
    update-rc.d "$service" disable || exit 1
done
"#;

/// The path of that policy.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Returns the services that come with `packages`.
fn services(packages: &[&str]) -> Vec<&'static str> {
    let of_these = SERVICES.iter().filter(|(package, _)| packages.contains(package));
    of_these.map(|(_, service)| *service).collect()
}

/// Lists what to install without a known manager: each capability, with its name elsewhere.
pub(crate) fn by_hand(capabilities: &[&Capability]) -> String {
    let one = |capability: &&Capability| {
        format!("{} (on Debian {})", capability.name, capability.debian.join(" "))
    };
    capabilities.iter().map(one).collect::<Vec<_>>().join(", ")
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Asks on the terminal. Without one there is nobody to ask.
fn ask(missing: &str, line: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("{missing} missing; install with `{line}`, or call this again with --yes");
    }
    eprint!("{missing} missing. Install with `{line}`? [Y/n] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(agrees(&answer))
}

/// Enter alone agrees; the end of the input does not.
fn agrees(answer: &str) -> bool {
    answer.ends_with('\n') && ["", "y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

/// False on a fresh container, where `apt-get install` finds no package at all.
fn has_package_lists() -> bool {
    Path::new("/var/lib/apt/lists").read_dir().is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    })
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(70) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ensure::CAPABILITIES;

    fn named(name: &str) -> &'static Capability {
        CAPABILITIES.iter().find(|capability| capability.name == name).unwrap()
    }

    #[test]
    fn packages_are_named_once() {
        let wanted = [named("httpd"), named("mod_ssl"), named("curl")];
        assert_eq!(Manager::Apt.packages(&wanted), ["apache2-bin", "curl"]);
        assert_eq!(Manager::Dnf.packages(&wanted), ["httpd", "mod_ssl", "curl"]);
    }

    #[test]
    fn commands() {
        let install = Manager::Apt.install_args();
        assert_eq!(
            Manager::Apt.words(true, &install).join(" "),
            "sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install \
             --yes --no-install-recommends"
        );
        assert_eq!(Manager::Dnf.words(false, &["install"]), ["dnf", "install"]);
        assert!(Manager::Dnf.line(&["httpd", "gcc"]).ends_with("dnf install httpd gcc"));
    }

    #[test]
    fn services_are_kept_from_starting() {
        assert_eq!(services(&["curl", "nginx"]), ["nginx"]);
        assert!(services(&["curl"]).is_empty());
        let policy = std::env::temp_dir().join(format!("policy-rc.d-{}", std::process::id()));
        let run = |words: &[&str]| {
            let mut shell = Command::new("sh");
            shell.args(["-c", NO_SERVICES, "sh"]).arg(&policy).arg("").args(words);
            let output = shell.output().unwrap();
            (output.status.code(), String::from_utf8(output.stdout).unwrap())
        };
        let path = policy.display().to_string();
        // It is there while the manager runs, refuses, and goes with it.
        assert_eq!(run(&["sh", "-c", &format!("'{path}'; echo $?")]), (Some(0), "101\n".into()));
        assert!(!policy.exists());
        assert_eq!(run(&["false"]).0, Some(1));
        assert!(!policy.exists());
        // One of the system's own stays.
        std::fs::write(&policy, "own").unwrap();
        assert_eq!(run(&["cat", &path]), (Some(0), "own".into()));
        assert!(policy.exists());
        std::fs::remove_file(policy).unwrap();
    }

    #[test]
    fn answers() {
        for yes in ["\n", "y\n", "Yes\n"] {
            assert!(agrees(yes), "{yes:?}");
        }
        for no in ["", "n\n", "no\n", "what?\n"] {
            assert!(!agrees(no), "{no:?}");
        }
    }

    #[test]
    fn unknown_systems_get_the_list() {
        assert_eq!(
            by_hand(&[named("httpd"), named("curl")]),
            "httpd (on Debian apache2-bin), curl (on Debian curl)"
        );
    }

    #[test]
    fn long_lines_are_cut() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"ä".repeat(80)).chars().count(), 71);
    }
}
