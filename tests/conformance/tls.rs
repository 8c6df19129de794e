//! The cases over TLS: the raw connection goes through openssl's client, so every byte of HTTP is
//! still the case's own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use httpd_testkit::Builder;

use crate::case::{Level, Need};
use crate::embedded::Embedded;
use crate::target::Target;
use crate::{cases, daemon, driver};

/// The probe behind TLS.
struct Tls {
    embedded: Embedded,
    tunnel: SocketAddr,
}

impl Tls {
    fn start(builder: Builder) -> Self {
        let embedded = Embedded::start(builder.tls(true));
        let server = &embedded.server;
        let tunnel = tunnel(server.tls_addr(), &server.certificate());
        Self { embedded, tunnel }
    }
}

impl Target for Tls {
    fn addr(&self) -> SocketAddr {
        self.tunnel
    }

    fn mount(&self) -> &str {
        self.embedded.mount()
    }

    fn scheme(&self) -> &str {
        "https"
    }

    fn patience(&self) -> Duration {
        self.embedded.patience()
    }

    fn lacks(&self) -> &[Need] {
        // openssl's client closes both ways at once, and does not say how the connection ended.
        &[Need::HalfClose, Need::Reset]
    }

    fn records(&self, level: Level, text: &str) -> Vec<String> {
        self.embedded.records(level, text)
    }
}

/// Listens on a port of its own, and takes each connection through TLS to `addr`. The thread ends
/// with the test's process.
fn tunnel(addr: SocketAddr, certificate: &Path) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let local = listener.local_addr().expect("a bound socket");
    let certificate = certificate.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            let certificate = certificate.clone();
            thread::spawn(move || carry(stream, addr, &certificate));
        }
    });
    local
}

fn carry(stream: TcpStream, addr: SocketAddr, certificate: &Path) {
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_quiet", "-verify_return_error"])
        // Without a name: httpd would want the same one in a Host header, which HTTP/1.0 lacks.
        .args(["-noservername", "-verify_hostname", "localhost"])
        .args(["-connect", &addr.to_string(), "-CAfile"])
        .arg(certificate)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed: it made the certificate");
    let (mut input, mut output) =
        (client.stdin.take().expect("a pipe"), client.stdout.take().expect("a pipe"));
    let (mut sender, mut receiver) = (stream.try_clone().expect("a socket"), stream);
    let down = thread::spawn(move || {
        copy(&mut output, &mut sender);
        let _ = sender.shutdown(Shutdown::Both);
    });
    copy(&mut receiver, &mut input);
    // The test has left, or the server has closed: openssl itself would go on waiting.
    let _ = client.kill();
    let _ = client.wait();
    let _ = down.join();
}

/// Copies until one side ends; the reason does not matter here.
fn copy(from: &mut impl Read, to: &mut impl Write) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

#[test]
fn over_tls() {
    let target = Tls::start(Embedded::builder());
    driver::run(&target, &cases::all());
}

#[test]
fn daemon_over_tls() {
    let target = Tls::start(daemon::builder());
    daemon::must_answer(&target.embedded.server);
    driver::run(&target, &cases::all());
}
