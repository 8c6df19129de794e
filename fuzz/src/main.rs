//! Builds the fuzz targets for coverage and runs them, with libFuzzer:
//!
//! ```text
//! cargo run --release --manifest-path fuzz/Cargo.toml -- --smoke              each for a moment
//! cargo run --release --manifest-path fuzz/Cargo.toml -- --seconds 3600       each for an hour
//! cargo run --release --manifest-path fuzz/Cargo.toml -- --seconds 60 target  one of them
//! cargo run --release --manifest-path fuzz/Cargo.toml -- --build-only         none
//! ```
//!
//! Findings are in fuzz/artifacts/TARGET, inputs worth keeping in fuzz/corpus/TARGET. It
//! takes the stable toolchain and a C++ compiler.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;

const TARGETS: [&str; 12] = [
    "response", "target", "options", "input", "probe", "bridge", "answer", "daemon", "cgi_head",
    "fastcgi", "scgi", "uwsgi",
];

/// Seconds for each target with `--smoke`.
const SMOKE: &str = "4";

/// The flags of cargo-fuzz for coverage, without a sanitizer, which stable Rust does not have.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: impl Iterator<Item = String>) -> Result<(), String> {
    let mut seconds = "60".to_owned();
    let mut build_only = false;
    let mut wanted = Vec::new();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--smoke" => seconds = SMOKE.to_owned(),
            "--build-only" => build_only = true,
            "--seconds" => {
                seconds = args.next().ok_or("--seconds takes a number")?;
                seconds.parse::<u32>().map_err(|_| {
                    format!("--seconds \"{seconds}\": not a number; expected seconds")
                })?;
            }
            name if TARGETS.contains(&name) => wanted.push(arg),
            other => {
                return Err(format!(
                    "option \"{other}\": unknown; expected --smoke, --seconds N, --build-only or \
                     one of {}",
                    TARGETS.join(", ")
                ));
            }
        }
    }
    if wanted.is_empty() {
        wanted = TARGETS.map(str::to_owned).to_vec();
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = build(here)?;
    if build_only {
        return Ok(());
    }
    fuzz_all(here, &folder, &wanted, &seconds)
}

/// Runs the targets, as many at once as there are cores: each uses one.
fn fuzz_all(here: &Path, folder: &Path, wanted: &[String], seconds: &str) -> Result<(), String> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    for group in wanted.chunks(cores) {
        thread::scope(|scope| {
            let runs =
                group.iter().map(|target| scope.spawn(|| fuzz(here, folder, target, seconds)));
            let runs: Vec<_> = runs.collect();
            let results = runs.into_iter().map(|run| run.join().map_err(|_| "a run panicked")?);
            results.collect::<Vec<_>>().into_iter().collect::<Result<(), String>>()
        })?;
    }
    Ok(())
}

/// Builds the targets and returns the folder that they are in.
fn build(here: &Path) -> Result<PathBuf, String> {
    let host = host()?;
    let out = here.join("target").join("coverage");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--features", "targets"])
        .args(TARGETS.iter().flat_map(|target| ["--bin", target]))
        // With a target named, the flags are not for build scripts and procedural macros.
        .args(["--target", &host])
        .arg("--manifest-path")
        .arg(here.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&out)
        .env("RUSTFLAGS", FLAGS)
        .status()
        .map_err(|error| format!("cargo does not run: {error}"))?;
    if !status.success() {
        return Err("the fuzz targets cannot be built; libFuzzer needs a C++ compiler (g++)".into());
    }
    Ok(out.join(host).join("release"))
}

fn host() -> Result<String, String> {
    let version = Command::new("rustc")
        .arg("-vV")
        .output()
        .map_err(|error| format!("rustc does not run: {error}"))?;
    let text = String::from_utf8_lossy(&version.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc -vV does not say its host".into())
}

fn fuzz(here: &Path, folder: &Path, target: &str, seconds: &str) -> Result<(), String> {
    let corpus = here.join("corpus").join(target);
    let artifacts = here.join("artifacts").join(target);
    for folder in [&corpus, &artifacts] {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    }
    println!("fuzzing {target} for {seconds} s");
    let output = Command::new(folder.join(target))
        .arg(&corpus)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"])
        .output()
        .map_err(|error| format!("{target} does not run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let tail: Vec<_> = text.lines().rev().take(40).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        return Err(format!(
            "{}\n{target}: a finding, in {}",
            tail.join("\n"),
            artifacts.display()
        ));
    }
    let executed = text
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .and_then(|number| number.trim().parse::<u64>().ok())
        .ok_or_else(|| format!("{target} did not say how much it ran"))?;
    if executed < 100 {
        return Err(format!("{target} ran only {executed} inputs"));
    }
    println!("{target}: {executed} inputs, no finding");
    Ok(())
}
