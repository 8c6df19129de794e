//! Hosts: network namespaces, each with its own interface, joined to that of the web server.
//!
//! A namespace ends with the process that holds it, and that process ends with this one, so nothing
//! remains. The web servers and the clients are in a namespace of this process, too. So addresses
//! are free, and the machine's network is not touched.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network of the test's own: 10.0.`number`.0, where the web server has 10.0.`number`.1.
pub(crate) struct Network {
    number: u8,
}

/// A host in it.
pub(crate) struct Host {
    /// The route in the pages: `a`, `b`.
    pub(crate) name: char,
    /// Its address.
    pub(crate) address: String,
    namespace: Namespace,
}

impl Network {
    /// Takes the calling thread, and those that it starts from now on, into this process's namespace.
    ///
    /// `None` where the machine does not let a test have namespaces: the reason is printed.
    ///
    /// # Panics
    /// In continuous integration (`CI` is set), where this must be possible.
    #[allow(clippy::print_stderr, reason = "a test that does not run has to say why")]
    pub(crate) fn new() -> Option<Self> {
        static FRONT: OnceLock<Result<Namespace, String>> = OnceLock::new();
        static NUMBERS: AtomicU8 = AtomicU8::new(1);
        match FRONT.get_or_init(Namespace::new) {
            Ok(front) => {
                front.enter();
                Some(Self { number: NUMBERS.fetch_add(1, Ordering::Relaxed) })
            }
            Err(reason) if std::env::var_os("CI").is_none() => {
                eprintln!("not run: {reason}");
                None
            }
            Err(reason) => panic!("{reason}"),
        }
    }

    /// Returns the text of a page with the addresses of this network instead of 10.0.0.0, in
    /// regular expressions too.
    pub(crate) fn fill(&self, text: &str) -> String {
        let address = self.address("");
        text.replace("10.0.0.", &address).replace(r"10\.0\.0\.", &address.replace('.', r"\."))
    }

    /// Makes the host that the pages have at 10.0.0.11 (`a`) or 10.0.0.12 (`b`).
    pub(crate) fn host(&self, name: char) -> Host {
        let place = u32::from(name) - u32::from('a') + 11;
        let (address, front) = (self.address(&place.to_string()), self.address("1"));
        let namespace = Namespace::new().expect("a second namespace, where there was a first");
        let card = format!("n{}{name}", self.number);
        let holder = namespace.holder.id().to_string();
        run(&format!("ip link add {card} type veth peer name {CARD} netns {holder}"));
        run(&format!("ip addr add {front}/32 peer {address}/32 dev {card}"));
        run(&format!("ip link set {card} up"));
        namespace.run(&format!("ip addr add {address}/32 peer {front}/32 dev {CARD}"));
        namespace.run(&format!("ip link set {CARD} up"));
        Host { name, address, namespace }
    }

    fn address(&self, place: &str) -> String {
        format!("10.0.{}.{place}", self.number)
    }
}

/// The card of a host.
const CARD: &str = "net0";

impl Host {
    /// Returns the words before a command that is to run on this host.
    pub(crate) fn under(&self) -> Vec<String> {
        self.namespace.under()
    }

    /// Takes its interface down: no packet arrives or leaves, and no peer is notified.
    pub(crate) fn unplug(&self) {
        self.namespace.run(&format!("ip link set {CARD} down"));
    }

    /// Undoes [`Host::unplug`].
    pub(crate) fn plug(&self) {
        self.namespace.run(&format!("ip link set {CARD} up"));
    }

    /// Returns the number of unread bytes at its established connections at `port`.
    pub(crate) fn unread(&self, port: u16) -> u64 {
        let path = format!("/proc/{}/net/tcp", self.namespace.holder.id());
        let table = std::fs::read_to_string(path).expect("the namespace's holder");
        let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.filter_map(|fields| unread(&fields, port)).sum()
    }
}

/// Reads the receive queue of a line of `/proc/net/tcp`: slot, local and remote address, state (01
/// is ESTABLISHED), send and receive queue.
fn unread(fields: &[&str], port: u16) -> Option<u64> {
    let is_meant = fields.get(1)?.ends_with(&format!(":{port:04X}")) && *fields.get(3)? == "01";
    let queue = fields.get(4)?.split_once(':')?.1;
    is_meant.then(|| u64::from_str_radix(queue, 16).ok())?
}

/// A network namespace, held by a process that reads until this one ends.
struct Namespace {
    holder: Child,
    /// Its closing ends the holder.
    _input: ChildStdin,
}

impl Namespace {
    fn new() -> Result<Self, String> {
        const NEEDS: &str = "these tests need root with CAP_SYS_ADMIN and CAP_NET_ADMIN, and the \
                             programs unshare, nsenter (util-linux) and ip (iproute2)";
        let mut holder = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "ip link set lo up && echo up && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{NEEDS}: unshare: {error}"))?;
        let (input, output) = (holder.stdin.take(), holder.stdout.take());
        let (input, output) = (input.expect("a pipe"), output.expect("a pipe"));
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        let namespace = Self { holder, _input: input };
        match read {
            Ok(_) if line == "up\n" => Ok(namespace),
            // The reason is on standard error.
            _ => Err(NEEDS.to_owned()),
        }
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    fn enter(&self) {
        let file = File::open(self.path()).expect("the namespace of a process of our own");
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("a namespace that could be made can be entered");
    }

    fn under(&self) -> Vec<String> {
        vec!["nsenter".to_owned(), format!("--net={}", self.path()), "--".to_owned()]
    }

    fn run(&self, command: &str) {
        run(&format!("{} {command}", self.under().join(" ")));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It is our own child, not waited for yet, so its id is not reused.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Runs `command`, words with blanks between them, to its end.
#[track_caller]
fn run(command: &str) {
    let mut words = command.split(' ');
    let program = words.next().unwrap_or_default();
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{command}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {}: {said}", output.status);
}

#[test]
fn receive_queues() {
    let line = "   0: 0B01000A:2328 0101000A:8C2E 01 00000000:0000001F 00:00000000 00000000 0 0 1";
    let fields: Vec<_> = line.split_whitespace().collect();
    assert_eq!(unread(&fields, 9000), Some(31));
    assert_eq!(unread(&fields, 9001), None);
    let line = line.replace(" 01 ", " 0A ");
    let fields: Vec<_> = line.split_whitespace().collect();
    assert_eq!(unread(&fields, 9000), None);
}
