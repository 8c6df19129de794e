//! The stock application `probe`, asked for anything: no panic but those it is asked for.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mod_rust::gateway::memory::TestRequest;
use mod_rust::gateway::{ErrorKind, Options};

static PROBE: LazyLock<std::sync::Arc<dyn mod_rust::Application>> = LazyLock::new(|| {
    let (_, factory) = mod_rust_apps::applications()
        .into_iter()
        .find(|(name, _)| *name == "probe")
        .expect("the probe is among the stock applications");
    factory.build(&Options::new()).expect("it needs no options")
});

/// Paths that neither wait, nor crash, nor go on forever.
const PATHS: [&str; 10] = [
    "environ",
    "echo",
    "status/",
    "headers?",
    "discard",
    "unread",
    "early",
    "file?path=",
    "redirect?to=",
    "internal?to=",
];

fuzz_target!(|given: (u8, Vec<u8>, Vec<u8>)| {
    let (path, rest, body) = given;
    let mut target = b"/probe/".to_vec();
    target.extend_from_slice(PATHS[usize::from(path) % PATHS.len()].as_bytes());
    target.extend_from_slice(&rest);
    let request = TestRequest::new("POST", target).mount("/probe").body(body);
    let response = request.call(&*PROBE);
    if let Some(error) = response.error() {
        assert_ne!(error.kind(), ErrorKind::Panic, "{error}");
    }
});
