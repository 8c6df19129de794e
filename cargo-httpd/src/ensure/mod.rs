//! The requirements of the commands, and their installation.
//!
//! [`table`] lists the capabilities, [`finding`] detects them, [`packages`] installs what is
//! missing. `run`, `test`, `build`, `conf` and `bench` call [`ensure`] before they build; `doctor`
//! only looks.

mod finding;
mod libclang;
mod packages;
mod table;

use anyhow::{Result, bail};

pub(crate) use finding::{Finding, program};
pub(crate) use packages::{Manager, by_hand, is_root};
pub(crate) use table::{BENCHMARK_USES, CAPABILITIES, Capability, Need};

use crate::progress::Step;

/// A capability and what was found of it.
pub(crate) struct Checked {
    pub(crate) capability: &'static Capability,
    pub(crate) finding: Finding,
}

/// Looks for everything that `needs` names.
pub(crate) fn check(needs: &[Need]) -> Vec<Checked> {
    let wanted = CAPABILITIES.iter().filter(|capability| needs.contains(&capability.need));
    wanted.map(|capability| Checked { capability, finding: capability.probe.look() }).collect()
}

/// Makes sure of everything that `needs` names: looks, and installs what is missing. `step` is the
/// step of the calling command's progress; `yes` installs without asking.
pub(crate) fn ensure(needs: &[Need], yes: bool, step: &Step) -> Result<()> {
    let missing = missing(needs)?;
    if missing.is_empty() {
        return Ok(());
    }
    let Some(manager) = Manager::of_this_system() else {
        bail!(
            "{} missing, and this system has neither apt-get nor dnf; install {}",
            is_or_are(&missing),
            by_hand(&missing)
        )
    };
    manager.install(&missing, yes, step)?;
    let left = self::missing(needs)?;
    if left.is_empty() {
        return Ok(());
    }
    bail!(
        "{} still missing after the installation; `cargo httpd doctor` says what it sees",
        is_or_are(&left)
    )
}

/// Tries to install what is missing of `need`, each by itself, and returns what is missing then.
/// Nobody is asked on a terminal: without `yes` or CI, only root installs.
pub(crate) fn attempt(need: Need, yes: bool, step: &Step) -> Vec<&'static Capability> {
    let is_missing =
        |capability: &&Capability| !matches!(capability.probe.look(), Finding::Found(_));
    let wanted = CAPABILITIES.iter().filter(|capability| capability.need == need);
    let mut left: Vec<_> = wanted.filter(is_missing).collect();
    let may_install = yes || is_root() || std::env::var_os("CI").is_some();
    if let Some(manager) = Manager::of_this_system().filter(|_| may_install) {
        left.retain(|capability| {
            manager.install(&[*capability], yes, step).is_err() || is_missing(capability)
        });
    }
    left
}

/// "httpd is", "httpd and libclang are".
pub(crate) fn is_or_are(capabilities: &[&Capability]) -> String {
    let names: Vec<_> = capabilities.iter().map(|capability| capability.name).collect();
    match &names[..] {
        [] => "nothing is".to_owned(),
        [one] => format!("{one} is"),
        [most @ .., last] => format!("{} and {last} are", most.join(", ")),
    }
}

/// Returns the missing capabilities. A broken one ends the command, as no package mends it.
fn missing(needs: &[Need]) -> Result<Vec<&'static Capability>> {
    let mut missing = Vec::new();
    for checked in check(needs) {
        match checked.finding {
            Finding::Found(_) => {}
            Finding::Missing(_) => missing.push(checked.capability),
            Finding::Broken(why) => bail!("{why}"),
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_as_people_do() {
        let [first, second, third] = [&CAPABILITIES[0], &CAPABILITIES[1], &CAPABILITIES[2]];
        assert_eq!(is_or_are(&[first]), format!("{} is", first.name));
        assert_eq!(
            is_or_are(&[first, second, third]),
            format!("{}, {} and {} are", first.name, second.name, third.name)
        );
    }

    #[test]
    fn this_machine_has_what_its_tests_need() {
        for checked in check(&[Need::Run, Need::Test, Need::Servers]) {
            let Finding::Found(what) = checked.finding else {
                panic!("{} is not found", checked.capability.name)
            };
            assert!(!what.is_empty(), "{}", checked.capability.name);
        }
    }
}
