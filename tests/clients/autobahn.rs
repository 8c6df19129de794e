//! Autobahn's test suite for WebSocket servers, which needs Python 2.7: docs/testing.md.

use std::process::Command;

use httpd_testkit::Mpm;
use serde_json::{Value, json};

use crate::sites::{Mode, Site};

/// Runs every case except those of compression, which nothing here offers, and those that take
/// minutes. The variable names the program.
fn every_case_passes(mode: Mode) {
    let program = std::env::var("MOD_RUST_WSTEST").unwrap_or_else(|_| "wstest".to_owned());
    let site = Site::start(mode, "probe", "mod_rust.so", "rust-gateway");
    let reports = site.folder().join("reports");
    let spec = site.folder().join("autobahn.json");
    let url = site.url("ws", "/probe/ws");
    let text = json!({
        "outdir": reports,
        "servers": [{ "agent": "mod_rust", "url": url }],
        "cases": ["*"],
        "exclude-cases": ["12.*", "13.*"],
        "exclude-agent-cases": {},
    });
    std::fs::write(&spec, text.to_string()).expect("a file");
    let mut wstest = Command::new(&program);
    wstest.args(["--mode", "fuzzingclient", "--spec"]).arg(&spec).current_dir(site.folder());
    let output = wstest.output().unwrap_or_else(|error| {
        panic!("{program}: {error}; MOD_RUST_WSTEST names the program, as docs/testing.md shows")
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let index = std::fs::read(reports.join("index.json")).expect("a report");
    let index: Value = serde_json::from_slice(&index).expect("JSON");
    let cases = index["mod_rust"].as_object().expect("the cases");
    assert!(cases.len() >= 300, "{} cases", cases.len());
    let passes =
        |verdict: &Value| matches!(verdict.as_str(), Some("OK" | "NON-STRICT" | "INFORMATIONAL"));
    let failed: Vec<_> = cases
        .iter()
        .filter(|(_, case)| !passes(&case["behavior"]) || !passes(&case["behaviorClose"]))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    println!("{} cases at {url}", cases.len());
}

#[test]
#[ignore = "needs autobahntestsuite: cargo test --test clients -- --ignored autobahn"]
fn embedded() {
    every_case_passes(Mode::Embedded(Mpm::Event));
}

#[test]
#[ignore = "needs autobahntestsuite: cargo test --test clients -- --ignored autobahn"]
fn tls() {
    every_case_passes(Mode::Tls(Mpm::Event));
}

#[test]
#[ignore = "needs autobahntestsuite: cargo test --test clients -- --ignored autobahn"]
fn daemon() {
    every_case_passes(Mode::Daemon(Mpm::Event));
}

#[test]
#[ignore = "needs autobahntestsuite: cargo test --test clients -- --ignored autobahn"]
fn program() {
    every_case_passes(Mode::Program);
}
