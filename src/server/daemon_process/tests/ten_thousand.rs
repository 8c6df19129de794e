//! Ten thousand requests that wait in one process with four threads. The process is a process of its
//! own, as both ends would need more descriptors than it has.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::suspended::{assert_done, assert_ends, open, until_parked};
use super::{Ask, Peer};
use crate::os;
use crate::process_group::Scoreboard;

const CROWD: usize = 10_000;
/// The most memory of a request, in bytes.
const EACH: u64 = 16 * 1024;
const NAME: &str = "server::daemon_process::tests::ten_thousand::wait_beside_four_threads";
const ROLE: &str = "MOD_RUST_TEST_SERVER";

#[test]
#[ignore = "it needs half of the descriptors that the other crowds need"]
fn wait_beside_four_threads() {
    if std::env::var_os(ROLE).is_some() {
        return serve();
    }
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture", "--ignored"])
        .env(ROLE, "yes")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut told = |what: &str| {
        let found = lines.find_map(|line| Some(line.split_once(what)?.1.to_owned()));
        found.unwrap_or_else(|| panic!("the server did not say {what:?}"))
    };
    let socket = told("socket ");
    let board = Scoreboard::leaked(1, 1);
    let ask = |_| {
        let mut peer = Peer::new(UnixStream::connect(&socket).unwrap(), board, 0);
        peer.ask_counted(&Ask::get("/wait"));
        peer
    };
    let mut peers: Vec<_> = (0..CROWD).map(ask).collect();
    println!("memory of a request: {} bytes", told("memory "));
    let woken = Instant::now();
    peers.iter_mut().for_each(|peer| assert_done(&peer.answer(), "done"));
    println!("all answered {:?} after they were woken", woken.elapsed());
    drop(peers);
    assert!(server.wait().unwrap().success());
}

fn serve() {
    let (harness, runner, control) = open(&["threads=4", "listen-backlog=4096"], CROWD);
    let before = os::resident_bytes().unwrap();
    (0..CROWD).for_each(|_| assert!(harness.board.acquire(0).is_some()));
    println!("\nsocket {}", harness.folder.join("0").display());
    until_parked(&harness, CROWD);
    let memory = os::resident_bytes().unwrap().saturating_sub(before) / CROWD as u64;
    println!("memory {memory}");
    assert!(memory < EACH, "{memory} bytes for each request");
    let began = Instant::now();
    control.permits.add_permits(CROWD);
    assert_ends(&harness, runner);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
