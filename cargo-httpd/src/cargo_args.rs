//! cargo's own options, which the commands that build pass on to it.

use clap::Args;

/// The profile without `--debug` and `--profile`.
const RELEASE: &str = "release";

/// Options of cargo.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct CargoArgs {
    /// Take this package of the workspace.
    #[arg(short, long, value_name = "NAME", help_heading = HEADING)]
    pub(crate) package: Option<String>,
    /// Turn these features on, separated by commas.
    #[arg(short = 'F', long, value_name = "FEATURES", help_heading = HEADING)]
    features: Vec<String>,
    /// Turn every feature on.
    #[arg(long, help_heading = HEADING)]
    all_features: bool,
    /// Leave the default features off.
    #[arg(long, help_heading = HEADING)]
    no_default_features: bool,
    /// Build with this profile of Cargo.toml.
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    profile: Option<String>,
    /// Build for this target triple.
    #[arg(long, value_name = "TRIPLE", help_heading = HEADING)]
    target: Option<String>,
    /// Run this number of jobs at once.
    #[arg(short, long, value_name = "N", help_heading = HEADING)]
    jobs: Option<u16>,
    /// Set a value of cargo's configuration.
    #[arg(long, value_name = "KEY=VALUE", help_heading = HEADING)]
    config: Vec<String>,
    /// Refuse to change Cargo.lock.
    #[arg(long, help_heading = HEADING)]
    locked: bool,
    /// Use no network.
    #[arg(long, help_heading = HEADING)]
    offline: bool,
}

const HEADING: &str = "Options of cargo";

impl CargoArgs {
    /// Returns the options for a package or a workspace that is chosen elsewhere, without a profile.
    pub(crate) fn options(&self) -> Vec<String> {
        let mut args = Vec::new();
        let mut with = |name: &str, value: &str| args.extend([name.to_owned(), value.to_owned()]);
        for features in &self.features {
            with("--features", features);
        }
        for (name, value) in [("--target", &self.target), ("--jobs", &self.jobs())] {
            if let Some(value) = value {
                with(name, value);
            }
        }
        for setting in &self.config {
            with("--config", setting);
        }
        let flags = [
            ("--all-features", self.all_features),
            ("--no-default-features", self.no_default_features),
            ("--locked", self.locked),
            ("--offline", self.offline),
        ];
        args.extend(flags.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name.to_owned()));
        args
    }

    /// Returns the options for a product: optimised, unless `debug` or a profile says otherwise.
    pub(crate) fn product(&self, debug: bool) -> Vec<String> {
        let mut args = match &self.profile {
            Some(_) => self.profile(),
            None if debug => Vec::new(),
            None => vec![format!("--{RELEASE}")],
        };
        args.extend(self.options());
        args
    }

    /// Returns the options for tests: the profile is cargo's own, unless one is named.
    pub(crate) fn tests(&self) -> Vec<String> {
        self.profile().into_iter().chain(self.options()).collect()
    }

    /// Tells whether a product is one to hand on, and not for its author's eyes alone.
    pub(crate) fn is_optimised(&self, debug: bool) -> bool {
        match self.profile.as_deref() {
            Some(profile) => !["dev", "test"].contains(&profile),
            None => !debug,
        }
    }

    fn profile(&self) -> Vec<String> {
        let profile = self.profile.iter();
        profile.flat_map(|name| ["--profile".to_owned(), name.clone()]).collect()
    }

    fn jobs(&self) -> Option<String> {
        self.jobs.map(|jobs| jobs.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        cargo: CargoArgs,
    }

    fn parsed(line: &str) -> CargoArgs {
        let words = std::iter::once("tool").chain(line.split_whitespace());
        <Line as clap::Parser>::parse_from(words).cargo
    }

    #[test]
    fn every_option_arrives() {
        let all = "-p shop -F a,b --features c --profile quick --target x86_64-unknown-linux-gnu \
                   -j 2 --config net.retry=1 --no-default-features --all-features --locked --offline";
        let passed = "--profile quick --features a,b --features c --target \
                      x86_64-unknown-linux-gnu --jobs 2 --config net.retry=1 --all-features \
                      --no-default-features --locked --offline";
        let args = parsed(all);
        assert_eq!(args.package.as_deref(), Some("shop"));
        assert_eq!(args.product(false).join(" "), passed);
        assert_eq!(args.tests().join(" "), passed);
    }

    #[test]
    fn a_product_is_optimised_unless_told_otherwise() {
        let product = |line: &str, debug| {
            let args = parsed(line);
            (args.product(debug).join(" "), args.is_optimised(debug))
        };
        assert_eq!(product("", false), ("--release".to_owned(), true));
        assert_eq!(product("", true), (String::new(), false));
        assert_eq!(product("--profile dev", false), ("--profile dev".to_owned(), false));
        assert_eq!(product("--profile dist", false), ("--profile dist".to_owned(), true));
        assert!(parsed("").tests().is_empty());
    }
}
