//! `cargo httpd test`: the steps; [`crate::steps`] runs them.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::Execute;
use crate::ahead::Ahead;
use crate::asan::{self, Toolchain};
use crate::built_module::BuiltModule;
use crate::cargo;
use crate::cargo_args::CargoArgs;
use crate::ensure::{self, Capability, Need};
use crate::progress::Progress;
use crate::project::Project;
use crate::steps::{Step, Tally};

/// The folder with the mod_*.so of this project, for the test kit.
const MODULES_VARIABLE: &str = "HTTPD_TESTKIT_MODULES";
/// The program that the test kit runs httpd under.
const WRAP_VARIABLE: &str = "HTTPD_TESTKIT_WRAP";
/// The kit's tests that load modules into httpd, and measure neither time nor memory.
const IN_HTTPD: [&str; 7] =
    ["config", "conformance", "daemon", "environ", "hazards", "services", "suspend"];
/// The package with layers that need no httpd, and what turns the others off.
const KIT: &str = "mod_rust";
/// The package of this tool.
const TOOL: &str = "cargo-httpd";
/// The gateways of the kit, and the program that has them: its tests ask it.
const GATEWAYS: [&str; 2] =
    ["--features", "mod_rust/servers,mod_rust/tracing-subscriber,mod-rust-apps/servers"];
/// The tests that `cargo test` leaves out unless it is given their names.
const BY_NAME: [&str; 3] = ["crowd", "projects", "soak"];
/// The packages that crates.io is to have.
const PUBLISHED: [&str; 4] = ["httpd-config", "httpd-testkit", KIT, TOOL];
/// A program has only what it uses: each protocol builds without the others.
const PROTOCOLS: [(&str, &str); 5] = [
    ("lints of CGI alone", "cgi"),
    ("lints of FastCGI alone", "fastcgi"),
    ("lints of HTTP alone", "http-server"),
    ("lints of SCGI alone", "scgi"),
    ("lints of uwsgi alone", "uwsgi"),
];
/// Those of them that measure memory or the environment, which the sanitizer changes.
const MEASURING: [&str; 12] = [
    "a_fork_that_the_system_refused",
    "a_worker_thread_has_the_stack",
    "an_allocation_that_fails",
    "another_user_and_its_environment",
    "flushes_for_a_client",
    "h03_",
    "h16_",
    "h17_",
    "h34_",
    "h35_",
    "memory_of_lost_clients",
    "tiny_pieces_for_a_client",
];
/// A package outside the workspace, with applications that nobody here wrote.
const APPLICATIONS: &str = "tests/applications/Cargo.toml";
/// A package outside the workspace, which answers to `--smoke`.
const FUZZERS: &str = "fuzz/Cargo.toml";

/// Run every test of the workspace, including those in a real httpd.
///
/// Every module of the workspace, examples too, is built first; the tests find them in the folder
/// that HTTPD_TESTKIT_MODULES names.
#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Check the formatting, the lints and the documentation too, and run the benchmark and the
    /// fuzzers briefly.
    #[arg(long)]
    pub(crate) ci: bool,
    /// Build the modules with AddressSanitizer, and run the tests that load them into httpd.
    ///
    /// A finding in a module fails its test. It needs cc and ar, and works with a stable compiler.
    #[arg(long, conflicts_with_all = ["ci", "package", "profile", "target"])]
    pub(crate) asan: bool,
    #[command(flatten)]
    pub(crate) cargo: CargoArgs,
    /// Arguments for the test programs: a filter, --nocapture.
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) test_args: Vec<String>,
}

impl Execute for TestArgs {
    fn execute(self, yes: bool) -> Result<()> {
        let project = Project::load()?;
        if self.asan {
            return with_sanitizer(&project, &self.cargo, &self.test_args, yes);
        }
        let modules = project.target_dir.join("httpd").join("modules");
        let before = if self.ci { checks(&project) } else { Vec::new() };
        let tests = tests(&project, &modules, &self.cargo, &self.test_args);
        let mut beside = projects(&project, &modules, &self.cargo, &self.test_args);
        let mut after = Vec::new();
        if self.ci {
            beside.extend(packages(&project));
            after.extend(variants(&project));
            after.extend(trials(&project));
        }
        let steps = before.len() + tests.len() + beside.len() + after.len();
        let progress = Progress::new(2 + steps);

        let step =
            progress.step("Looking for httpd, its headers, libclang and the tests' programs");
        ensure::ensure(&needs(&project, self.ci), yes, &step)?;
        let skipped = if self.ci && project.has_package(KIT) {
            ensure::attempt(Need::Clients, yes, &step)
        } else {
            Vec::new()
        };
        step.done(&found(&skipped));

        let mut tally = Tally::default();
        for step in &before {
            step.run(&project.root, &progress, &mut tally)?;
        }
        build_modules(&project, &modules, None, &self.cargo.tests(), &progress)?;
        let builds = tests.iter().chain(&after).filter_map(Step::builds).collect();
        let ahead = Ahead::start(builds, &project.root);
        let start = |step: Step| Ok((step.start(&project.root)?, step));
        let beside = beside.into_iter().map(start).collect::<Result<Vec<_>>>()?;
        for step in &tests {
            step.run(&project.root, &progress, &mut tally)?;
        }
        for (running, step) in beside {
            step.finish(running, &progress, &mut tally)?;
        }
        // The benchmark works in one folder: its build must not share it with its run.
        ahead.finish();
        for step in &after {
            step.run(&project.root, &progress, &mut tally)?;
        }
        writeln!(std::io::stdout(), "{}", tally.summary()?)?;
        Ok(())
    }
}

/// Runs the tests in a real httpd, with modules that AddressSanitizer watches.
fn with_sanitizer(project: &Project, cargo: &CargoArgs, args: &[String], yes: bool) -> Result<()> {
    let folder = project.target_dir.join("httpd").join("asan");
    let modules = folder.join("modules");
    let progress = Progress::new(4);

    let step = progress.step("Looking for httpd, its headers, libclang and the tests' programs");
    ensure::ensure(&needs(project, false), yes, &step)?;
    step.done("Everything is there");

    let step = progress.step("Making AddressSanitizer's runtime a library that httpd can load");
    let toolchain = Toolchain::find()?;
    std::fs::create_dir_all(&folder)?;
    let runtime = toolchain.runtime(&folder)?;
    step.done(&format!("The runtime is {}", runtime.display()));

    build_modules(project, &modules, Some(&toolchain), &cargo.tests(), &progress)?;
    let mut tally = Tally::default();
    let tests = sanitized_tests(project, &cargo.tests(), args)
        .env(MODULES_VARIABLE, &modules)
        .env(WRAP_VARIABLE, asan::wrapper(&runtime));
    tests.run(&project.root, &progress, &mut tally)?;
    writeln!(std::io::stdout(), "{}", tally.summary()?)?;
    Ok(())
}

/// Returns the tests that load modules into httpd. The test programs themselves have no sanitizer.
fn sanitized_tests(project: &Project, options: &[String], args: &[String]) -> Step {
    let mut step =
        Step::tests("tests with AddressSanitizer", ["test", "--workspace"]).args(gateways(project));
    step = step.args(options);
    if project.has_package(KIT) {
        step = step.args(["--no-fail-fast"]);
        for test in IN_HTTPD {
            step = step.args(["--test", test]);
        }
    }
    step = step.args(["--"]).args(args);
    for test in MEASURING.iter().filter(|_| project.has_package(KIT)) {
        step = step.args(["--skip", test]);
    }
    step
}

/// Says what is there: everything, except clients whose tests are skipped.
fn found(skipped: &[&Capability]) -> String {
    if skipped.is_empty() {
        return "Everything is there".to_owned();
    }
    format!("{} missing: tests that need them are skipped", ensure::is_or_are(skipped))
}

/// Returns the requirements of the run.
fn needs(project: &Project, is_ci: bool) -> Vec<Need> {
    let mut needs = vec![Need::Run, Need::Test];
    if project.has_package(KIT) {
        needs.push(Need::Servers);
    }
    if is_ci && project.has_package(KIT) {
        needs.push(Need::Bench);
    }
    if is_ci && has_fuzzers(project) {
        needs.push(Need::Fuzz);
    }
    needs
}

/// Returns the steps that come first, since most mistakes are found by them.
fn checks(project: &Project) -> Vec<Step> {
    let mut steps = vec![Step::new("formatting", ["fmt", "--all", "--check"])];
    if has_fuzzers(project) {
        let args = ["fmt", "--manifest-path", FUZZERS, "--check"];
        steps.push(Step::new("formatting of the fuzzers", args));
    }
    steps.push(Step::new(
        "lints",
        ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"],
    ));
    steps
}

/// Returns the lints and the documentation of other features, which are built beside the tests.
fn variants(project: &Project) -> Vec<Step> {
    let mut steps = Vec::new();
    if project.has_package(KIT) {
        let step = Step::new("lints of tests that are run by name", ["clippy", "--workspace"]);
        let step =
            step.args(["--all-features"]).args(BY_NAME.iter().flat_map(|name| ["--test", name]));
        steps.push(step.args(["--", "-D", "warnings"]));
        let pure = ["clippy", "--package", KIT, "--all-targets", "--no-default-features"];
        let step = Step::new("lints without httpd", pure).args(["--", "-D", "warnings"]);
        steps.push(without_headers(step));
        for (name, feature) in PROTOCOLS {
            let alone =
                ["clippy", "--package", KIT, "--no-default-features", "--features", feature];
            let step = Step::new(name, alone).args(["--", "-D", "warnings"]);
            steps.push(without_headers(step));
        }
    }
    let doc =
        Step::new("documentation", ["doc", "--workspace", "--no-deps"]).args(gateways(project));
    steps.push(doc.env("RUSTDOCFLAGS", "-D warnings"));
    if project.has_package(KIT) {
        let doc = ["doc", "--package", KIT, "--no-deps"];
        let default = Step::new("documentation of the default features", doc);
        steps.push(default.env("RUSTDOCFLAGS", "-D warnings"));
        // A target folder of its own: the variable changes the bindings that all else is built with.
        let folder = project.target_dir.join("httpd/docs-rs");
        let docs_rs = Step::new("documentation as docs.rs builds it", doc)
            .args(["--features", "servers,tracing-subscriber", "--target-dir"])
            .args([folder.as_os_str()])
            .env("RUSTDOCFLAGS", "-D warnings")
            .env("DOCS_RS", "1");
        steps.push(without_headers(docs_rs));
    }
    steps.into_iter().map(Step::only_builds).collect()
}

/// Returns the steps that run tests. Those of one package are one step.
fn tests(project: &Project, modules: &Path, cargo: &CargoArgs, args: &[String]) -> Vec<Step> {
    let with_args = |step: Step| if args.is_empty() { step } else { step.args(["--"]).args(args) };
    let all = match &cargo.package {
        Some(package) => Step::tests("tests", ["test", "--package", package.as_str()]),
        None => Step::tests("tests", ["test", "--workspace"]).args(gateways(project)),
    };
    let all = with_args(all.args(cargo.tests())).env(MODULES_VARIABLE, modules);
    let mut steps = vec![all];
    if cargo.package.is_some() {
        return steps;
    }
    let built = |name, args: &[&'static str]| {
        let step = Step::tests(name, args.iter().copied());
        with_args(step.built_by(args.iter().copied().chain(["--no-run"])))
    };
    // First what has a target folder of its own: its build does not hold up that of the tests.
    if project.root.join(APPLICATIONS).is_file() {
        steps.push(built("applications", &["test", "--manifest-path", APPLICATIONS]));
    }
    if project.has_package(KIT) {
        let pure = ["test", "--package", KIT, "--no-default-features", "--features", "log,tower"];
        steps.push(without_headers(built("tests without httpd", &pure)));
    }
    steps
}

/// Returns the tests that make projects and build them, which take long and are run by name.
fn projects(project: &Project, modules: &Path, cargo: &CargoArgs, args: &[String]) -> Vec<Step> {
    let is_wanted = cargo.package.as_deref().is_none_or(|package| package == TOOL);
    if !project.has_package(TOOL) || !is_wanted {
        return Vec::new();
    }
    let step = Step::tests("projects", ["test", "--workspace"]).args(gateways(project));
    let step = step.args(cargo.tests()).args(["--test", "projects"]);
    let step = if args.is_empty() { step } else { step.args(["--"]).args(args) };
    vec![step.env(MODULES_VARIABLE, modules)]
}

/// Returns the step that builds each package from the files that would be published.
fn packages(project: &Project) -> Option<Step> {
    if !project.has_package(KIT) {
        return None;
    }
    let folder = project.target_dir.join("httpd/package");
    let step = Step::new("packages", ["package", "--allow-dirty", "--target-dir"]).args([folder]);
    let step = step.args(PUBLISHED.iter().flat_map(|name| ["--package", name]));
    Some(step.env("CARGO_PROFILE_DEV_DEBUG", "0"))
}

/// Returns the features that the kit's tests want beside the default ones.
fn gateways(project: &Project) -> &'static [&'static str] {
    if project.has_package(KIT) { &GATEWAYS } else { &[] }
}

/// Returns the steps that try the benchmark and the fuzzers for a moment.
fn trials(project: &Project) -> Vec<Step> {
    let mut steps = Vec::new();
    if project.has_package(KIT) {
        for (name, args) in [
            ("benchmark", &["httpd", "bench", "--smoke"][..]),
            ("benchmark: waiting", &["httpd", "bench", "--waiting", "--smoke"]),
        ] {
            let step = Step::new(name, args.iter().copied());
            steps.push(step.built_by(args.iter().copied().chain(["--build-only"])));
        }
    }
    if has_fuzzers(project) {
        let args = ["run", "--manifest-path", FUZZERS, "--release", "--", "--smoke"];
        let step = Step::new("fuzzers", args);
        steps.push(step.built_by(args.into_iter().chain(["--build-only"])));
    }
    steps
}

fn has_fuzzers(project: &Project) -> bool {
    project.root.join(FUZZERS).is_file()
}

/// Makes any look for httpd or for libclang fail, which proves that the step does without.
fn without_headers(step: Step) -> Step {
    let nowhere = "/nonexistent";
    step.env("APXS", nowhere).env("HTTPD_INCLUDEDIR", nowhere).env("LIBCLANG_PATH", nowhere)
}

/// Builds every module, and puts it into `folder`, which holds nothing else then. Without a
/// sanitizer, builds every program too.
fn build_modules(
    project: &Project,
    folder: &Path,
    sanitizer: Option<&Toolchain>,
    options: &[String],
    progress: &Progress,
) -> Result<()> {
    let mut command = cargo::args(cargo::command(), ["build", "--workspace", "--lib"]);
    match sanitizer {
        None => {
            command.args(["--bins", "--examples"]);
        }
        Some(toolchain) => {
            // A program that links the layers of httpd is not linked without httpd's symbols.
            for module in project.modules().filter(|module| module.target.is_example) {
                command.args(["--example", &module.target.name]);
            }
            command.args(["--target", &toolchain.target, "--target-dir"]);
            command.arg(project.target_dir.join("httpd/asan/target"));
            command.envs(asan::BUILD);
        }
    }
    command.args(gateways(project)).args(options).current_dir(&project.root);
    let shown = cargo::shown(&command);
    let step = progress.hand_over(&format!("modules: {shown}"));
    command.arg("--message-format=json-render-diagnostics").stderr(std::process::Stdio::inherit());
    let output = command.output().context("cargo does not run")?;
    if !output.status.success() {
        bail!("step `modules` failed; see the messages above, and repeat it with `{shown}`");
    }
    let packages: Vec<_> = project.packages.iter().map(|package| package.id.as_str()).collect();
    let artifacts = cargo::cdylibs(&String::from_utf8_lossy(&output.stdout), &packages);
    let clear = || match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    clear().with_context(|| format!("{} cannot be cleared", folder.display()))?;
    let mut built: Vec<PathBuf> = Vec::new();
    for artifact in artifacts {
        let module = BuiltModule::publish(&artifact.file, folder)?;
        if built.contains(&module.path) {
            bail!(
                "two modules of this workspace are named {}, one of them the target `{}`; rename it",
                module.symbol,
                artifact.target
            );
        }
        built.push(module.path);
    }
    step.done(&format!("{} modules in {}", built.len(), folder.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_are_skipped_exist() {
        fn sources(folder: &Path) -> String {
            let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            let read = |path: PathBuf| match path.is_dir() {
                true => sources(&path),
                false => std::fs::read_to_string(path).unwrap_or_default(),
            };
            entries.map(read).collect()
        }
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
        let sources: String = IN_HTTPD
            .iter()
            .map(|name| tests.join(name))
            .filter(|folder| folder.is_dir())
            .map(|folder| sources(&folder))
            .collect();
        for name in MEASURING {
            assert!(sources.contains(&format!("fn {name}")), "no test's name begins with {name}");
        }
    }

    fn project(kit: &str, root: &Path) -> Project {
        let package = serde_json::json!({
            "id": "x", "name": kit, "targets": [],
            "manifest_path": root.join("Cargo.toml").to_str(),
        });
        Project::parse(&serde_json::json!({
            "workspace_root": root.to_str(), "target_directory": "/t",
            "workspace_members": ["x"], "workspace_default_members": ["x"], "packages": [package],
        }))
        .unwrap()
    }

    fn shown(steps: &[Step]) -> Vec<String> {
        steps.iter().map(Step::shown).collect()
    }

    #[test]
    fn the_kit_is_tested_with_and_without_httpd() {
        let root = Path::new("/nonexistent");
        let args = ["--nocapture".to_owned()];
        assert_eq!(
            shown(&tests(
                &project(KIT, root),
                Path::new("/t/modules"),
                &CargoArgs::default(),
                &args
            )),
            [
                "HTTPD_TESTKIT_MODULES=/t/modules cargo test --workspace \
                 --features 'mod_rust/servers,mod_rust/tracing-subscriber,mod-rust-apps/servers' -- \
                 --nocapture",
                "APXS=/nonexistent HTTPD_INCLUDEDIR=/nonexistent LIBCLANG_PATH=/nonexistent cargo \
                 test --package mod_rust --no-default-features --features 'log,tower' -- \
                 --nocapture",
            ]
        );
        assert_eq!(
            tests(&project("mine", root), Path::new("/t"), &CargoArgs::default(), &[]).len(),
            1
        );
    }

    #[test]
    fn long_builds_run_beside_the_tests() {
        let root = std::env::temp_dir().join(format!("cargo-httpd-ahead-{}", std::process::id()));
        std::fs::create_dir_all(root.join("fuzz")).unwrap();
        std::fs::write(root.join(FUZZERS), "").unwrap();
        let project = project(KIT, &root);
        let tests = tests(&project, Path::new("/t/modules"), &CargoArgs::default(), &[]);
        assert!(tests[0].builds().is_none());
        let lasts = |steps: &[Step]| -> Vec<String> {
            let builds = steps.iter().filter_map(Step::builds);
            builds.map(|build| build.get_args().last().unwrap().to_str().unwrap().into()).collect()
        };
        assert_eq!(lasts(&tests), ["--no-run"]);
        assert_eq!(lasts(&trials(&project)), ["--build-only"; 3]);

        let variants = variants(&project);
        assert_eq!(lasts(&variants).len(), variants.len());
        let docs_rs = variants.last().unwrap().builds().unwrap();
        let flags = docs_rs.get_envs().find(|(name, _)| *name == "RUSTDOCFLAGS");
        assert_eq!(flags.unwrap().1.unwrap(), "-D warnings");
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn only_the_kit_needs_other_servers() {
        let root = Path::new("/nonexistent");
        assert_eq!(needs(&project("mine", root), false), [Need::Run, Need::Test]);
        assert!(needs(&project(KIT, root), false).contains(&Need::Servers));
        assert!(needs(&project(KIT, root), true).contains(&Need::Bench));
        assert_eq!(needs(&project("mine", root), true), [Need::Run, Need::Test]);
    }

    #[test]
    fn the_projects_and_the_packages_are_the_workspaces() {
        let (tool, modules) = (project(TOOL, Path::new("/nonexistent")), Path::new("/t/modules"));
        let of = |project: &Project, package: Option<&str>, args: &[String]| {
            let mut cargo = CargoArgs::default();
            cargo.package = package.map(str::to_owned);
            shown(&projects(project, modules, &cargo, args))
        };
        let line = "HTTPD_TESTKIT_MODULES=/t/modules cargo test --workspace --test projects";
        assert_eq!(of(&tool, None, &[]), [line]);
        assert_eq!(of(&tool, Some(TOOL), &["hello".to_owned()]), [format!("{line} -- hello")]);
        assert!(of(&tool, Some(KIT), &[]).is_empty());
        let mine = project("mine", Path::new("/nonexistent"));
        assert!(of(&mine, None, &[]).is_empty() && packages(&mine).is_none());
        let line = packages(&project(KIT, Path::new("/nonexistent"))).unwrap().shown();
        assert!(
            line.starts_with("CARGO_PROFILE_DEV_DEBUG=0 cargo package --allow-dirty"),
            "{line}"
        );
        assert!(line.ends_with("--package mod_rust --package cargo-httpd"), "{line}");
    }

    #[test]
    fn checks_come_in_their_order() {
        let root = Path::new("/nonexistent");
        let mut lines = shown(&checks(&project(KIT, root)));
        lines.extend(shown(&variants(&project(KIT, root))));
        let starts = [
            "cargo fmt",
            "cargo clippy --workspace",
            "cargo clippy --workspace --all-features --test crowd",
            "APXS=",
            "APXS=",
            "APXS=",
            "APXS=",
            "APXS=",
            "APXS=",
            "RUSTDOCFLAGS='-D warnings'",
            "RUSTDOCFLAGS='-D warnings'",
            "RUSTDOCFLAGS='-D warnings' DOCS_RS=1 APXS=",
        ];
        assert_eq!(lines.len(), starts.len());
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
        let mine = project("mine", root);
        assert_eq!((checks(&mine).len(), variants(&mine).len()), (2, 1));
    }

    #[test]
    fn the_fuzzers_are_tried_where_they_are() {
        let root = std::env::temp_dir().join(format!("cargo-httpd-trials-{}", std::process::id()));
        std::fs::create_dir_all(root.join("fuzz")).unwrap();
        let fuzzers =
            || trials(&project("mine", &root)).iter().any(|step| step.name() == "fuzzers");
        assert!(!fuzzers());
        let lines = shown(&trials(&project(KIT, &root)));
        assert_eq!(lines, ["cargo httpd bench --smoke", "cargo httpd bench --waiting --smoke"]);
        std::fs::write(root.join("fuzz/Cargo.toml"), "").unwrap();
        assert!(fuzzers());
        std::fs::remove_dir_all(root).unwrap();
    }
}
