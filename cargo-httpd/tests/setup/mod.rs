//! `setup-server`: a server root to keep, with TLS, and the script that controls it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{Project, get, text};

/// Both the shell and httpd must read it as it is.
const SITE: &str = "Jo's site";

/// A server that was set up. Dropping it stops it.
struct Site {
    control: PathBuf,
}

impl Site {
    #[track_caller]
    fn control(&self, what: &str) -> String {
        let output = Command::new(&self.control).arg(what).output().unwrap();
        assert!(output.status.success(), "{what}: {}", text(&output.stderr));
        text(&output.stderr)
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.control.with_file_name(name)).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = Command::new(&self.control).arg("stop").output();
    }
}

/// Returns two ports that nobody uses.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn make_certificate(folder: &Path) {
    let openssl = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(openssl.status.success(), "{}", text(&openssl.stderr));
}

/// Returns the HTTP version and the body of an answer over TLS.
fn get_by_tls(project: &Project, port: u16) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--retry-connrefused", "--retry", "20"])
        .args(["--cacert", "certificate.pem", "--write-out", " over %{http_version}"])
        .arg(format!("https://localhost:{port}/"))
        .current_dir(project.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_server_is_set_up_with_tls_and_controlled() {
    let project = Project::new();
    make_certificate(project.path());
    let [port, https_port] = free_ports();
    let ports = [port.to_string(), https_port.to_string()];
    let args = [
        "setup-server",
        SITE,
        "--debug",
        "--host",
        "127.0.0.1",
        "--port",
        &ports[0],
        "--https-port",
        &ports[1],
        "--ssl-certificate",
        "certificate.pem",
        "--ssl-certificate-key",
        "key.pem",
    ];
    let output = project.output(&args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), format!("{SITE}/apachectl\n"));
    let url = format!("serves https://localhost:{https_port}/;");
    assert!(text(&output.stderr).contains(&url), "{}", text(&output.stderr));
    let site = Site { control: project.path().join(SITE).join("apachectl") };
    assert!(site.control("configtest").contains("Syntax OK"));

    site.control("start");
    assert_eq!(get_by_tls(&project, https_port), "first build over 2");
    assert_eq!(get(port, "/"), "first build");
    assert!(site.file("logs/access_log").contains("\"GET / HTTP/1.1\" 404"));

    // The next version, with directives of the administrator's.
    project.replace("src/lib.rs", "mod_first.c", "mod_second.c");
    fs::write(project.path().join(SITE).join("conf/local.conf"), "Redirect /old /new\n").unwrap();
    let output = project.output(&[&args[..], &["--https-only"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(site.file("conf/local.conf"), "Redirect /old /new\n");
    site.control("graceful");
    let deadline = Instant::now() + Duration::from_secs(60);
    while get_by_tls(&project, https_port) != "second build over 2" {
        assert!(Instant::now() < deadline, "the new module is not loaded");
    }
    let moved = get(port, "/page");
    assert!(moved.contains(&format!("https://localhost:{https_port}/page")), "{moved}");

    // One that httpd refuses changes nothing.
    let before = (site.file("conf/httpd.conf"), site.file("conf/application.conf"));
    project.write("httpd.conf", "NoSuchDirective on\n");
    let output = project.output(&args);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("every file is as before") && said.contains("NoSuchDirective"), "{said}");
    assert_eq!((site.file("conf/httpd.conf"), site.file("conf/application.conf")), before);
    site.control("graceful-stop");

    let output = project.output(&["setup-server", SITE, "--https-port", "1"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}
