//! `install`, `uninstall` and `package` with the httpd of Debian, on a machine of its own.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::text;
use crate::machine::{self, Tree, call, note, same, tree};
use crate::made::{Made, free_port, get};

const PATIENCE: Duration = Duration::from_secs(60);

/// Debian's httpd with its own configuration, on a free port.
struct Httpd {
    child: Child,
    port: u16,
    /// The content of [`PORTS`] before.
    ports: String,
}

const PORTS: &str = "/etc/apache2/ports.conf";

impl Httpd {
    fn start() -> Self {
        let port = free_port();
        let ports = fs::read_to_string(PORTS).unwrap();
        fs::write(PORTS, format!("Listen 127.0.0.1:{port}\n")).unwrap();
        let start = ". /etc/apache2/envvars && mkdir -p $APACHE_RUN_DIR $APACHE_LOCK_DIR && \
                     exec /usr/sbin/apache2 -DFOREGROUND";
        let child = Command::new("sh").args(["-c", start]).stdin(Stdio::null()).spawn().unwrap();
        let httpd = Self { child, port, ports };
        httpd.wait("/", |status, _| status == 200);
        httpd
    }

    /// Asks until the answer is as `wanted`: a restart takes its time.
    #[track_caller]
    fn wait(&self, path: &str, wanted: impl Fn(u16, &str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = get(self.port, path);
            if answer.as_ref().is_some_and(|(status, body)| wanted(*status, body)) {
                return;
            }
            assert!(Instant::now() < deadline, "{path} answers {answer:?}");
            std::thread::yield_now();
        }
    }

    fn graceful(&self) {
        kill_process(Pid::from_child(&self.child), Signal::USR1).unwrap();
    }
}

impl Drop for Httpd {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
        let _ = fs::write(PORTS, &self.ports);
    }
}

/// Returns the files that an installation may touch. The folders of a2enmod's own book-keeping come
/// and go as it likes.
fn state() -> Tree {
    let folders =
        ["/etc/apache2", "/usr/lib/apache2/modules", "/var/lib/apache2", "/usr/local/bin"];
    let mut state = tree(&folders.map(Path::new));
    state.retain(|(path, what)| !path.starts_with("/var/lib/apache2") || what != "folder");
    state
}

/// Checks for Debian's package apache2, which has the configuration; CI installs only apache2-bin.
fn has_configuration() -> bool {
    if Path::new("/usr/sbin/a2enmod").exists() {
        return true;
    }
    let install = ["install", "--yes", "--no-install-recommends", "apache2"];
    // In runlevel 1 no service is started.
    let mut apt = Command::new("apt-get");
    apt.args(install).env("RUNLEVEL", "1").env("DEBIAN_FRONTEND", "noninteractive");
    let output = apt.stdin(Stdio::null()).output().unwrap();
    if !output.status.success() {
        note(&format!("left out: apache2 cannot be installed: {}", text(&output.stderr)));
    }
    output.status.success()
}

#[test]
fn installed_and_uninstalled() {
    machine::of_its_own("system::installed_and_uninstalled", || {
        if !has_configuration() {
            return;
        }
        let project = Made::new("system-shop", &[]);
        let httpd = Httpd::start();
        let before = state();

        project.call(&["install", "--debug", "--gateway", "--reload"]);
        assert_eq!(
            call("a2query", &["-m", "system_shop"]),
            "system_shop (enabled by site administrator)\n"
        );
        httpd.wait("/system-shop/Jo", |_, body| body == "Hello, Jo\n");
        assert!(Path::new("/usr/local/bin/system-shop-gateway").exists());

        // The next version.
        project.replace("src/lib.rs", "Hello, {}", "Good day, {}");
        project.call(&["install", "--debug", "--reload"]);
        httpd.wait("/system-shop/Jo", |_, body| body == "Good day, Jo\n");

        // The version before is put back, as docs/questions.md says, and replaced again.
        let module = Path::new("/usr/lib/apache2/modules/mod_system_shop.so");
        let previous = module.with_extension("so.previous");
        fs::rename(&previous, module).unwrap();
        httpd.graceful();
        httpd.wait("/system-shop/Jo", |_, body| body == "Hello, Jo\n");
        project.call(&["install", "--debug", "--reload"]);
        httpd.wait("/system-shop/Jo", |_, body| body == "Good day, Jo\n");
        assert!(previous.exists());

        // It stays as long as something needs it.
        let needs = Path::new("/etc/apache2/conf-enabled/needs.conf");
        fs::write(needs, "RustAppAlias /other system-shop\n").unwrap();
        let installed = state();
        let said = project.refused(&["uninstall"]);
        assert!(said.contains("httpd refuses its configuration without mod_system_shop"), "{said}");
        same(state(), &installed);
        fs::remove_file(needs).unwrap();

        project.call(&["uninstall", "--reload"]);
        httpd.wait("/system-shop/Jo", |status, _| status == 404);
        same(state(), &before);

        // A configuration that is refused leaves no trace.
        project.replace("module/httpd.conf", "#Define SYSTEM_SHOP_DAEMON", "NoSuchDirective on");
        let said = project.refused(&["install", "--debug", "--reload"]);
        assert!(said.contains("NoSuchDirective"), "{said}");
        same(state(), &before);

        // A changed file stays, but is no longer in force.
        project.replace("module/httpd.conf", "NoSuchDirective on", "Define SYSTEM_SHOP_DAEMON");
        project.call(&["install", "--debug", "--reload"]);
        httpd.wait("/system-shop/Jo", |_, body| body == "Good day, Jo\n");
        let conf = Path::new("/etc/apache2/mods-available/system_shop.conf");
        let mine = fs::read_to_string(conf).unwrap() + "# mine\n";
        fs::write(conf, &mine).unwrap();
        let output = project.output(&["uninstall", "--reload"]);
        let said = text(&output.stderr);
        assert!(output.status.success() && said.contains("kept: /etc/apache2/mods"), "{said}");
        httpd.wait("/system-shop/Jo", |status, _| status == 404);
        let kept = conf.with_extension("conf.kept");
        assert_eq!(fs::read_to_string(&kept).unwrap(), mine);

        // The next installation takes it up again.
        let output = project.output(&["install", "--debug", "--reload"]);
        let said = text(&output.stderr);
        assert!(output.status.success() && said.contains("because it was changed"), "{said}");
        assert_eq!(fs::read_to_string(conf).unwrap(), mine);
        httpd.wait("/system-shop/Jo", |_, body| body == "Good day, Jo\n");
        project.call(&["uninstall", "--reload"]);
        fs::remove_file(kept).unwrap();
        same(state(), &before);
    });
}

/// Makes a package, and returns its file.
fn package(project: &Made, options: &[&str]) -> String {
    let mut args = vec!["package", "--debug", "--maintainer", "Jo <jo@example.org>"];
    args.extend(options);
    project.path().join(project.call(&args).trim_end()).to_str().unwrap().to_owned()
}

#[test]
fn packaged() {
    machine::of_its_own("system::packaged", || {
        if !has_configuration() {
            return;
        }
        let project = Made::new("deb-shop", &[]);
        let first = package(&project, &["--revision", "1"]);
        assert!(first.contains("/debian/libapache2-mod-deb-shop_0.1.0-1_"), "{first}");
        let depends = call("dpkg-deb", &["--field", &first, "Depends"]);
        let version = httpd_config::Headers::locate().unwrap().version().unwrap();
        let bin = format!("apache2-bin (>= {version}~)");
        for wanted in ["libc6 (>= ", "apache2-api-20120211", &bin] {
            assert!(depends.contains(wanted), "{wanted} is missing in {depends}");
        }

        let httpd = Httpd::start();
        let before = state();
        let said = call("dpkg", &["--install", &first]);
        assert!(said.contains("Enable module deb_shop"), "{said}");
        httpd.graceful();
        httpd.wait("/deb-shop/Jo", |_, body| body == "Hello, Jo\n");
        assert_eq!(call("dpkg", &["--verify", "libapache2-mod-deb-shop"]), "");

        // The next one; what the administrator has changed, and has disabled, stays so.
        let conf = Path::new("/etc/apache2/mods-available/deb_shop.conf");
        let mine = fs::read_to_string(conf).unwrap().replace("/deb-shop", "/fruit");
        fs::write(conf, &mine).unwrap();
        project.replace("src/lib.rs", "Hello, {}", "Good day, {}");
        call("dpkg", &["--install", &package(&project, &["--revision", "2"])]);
        assert_eq!(fs::read_to_string(conf).unwrap(), mine);
        httpd.graceful();
        httpd.wait("/fruit/Jo", |_, body| body == "Good day, Jo\n");

        call("dpkg", &["--remove", "libapache2-mod-deb-shop"]);
        assert_eq!(fs::read_to_string(conf).unwrap(), mine);
        assert!(!Path::new("/etc/apache2/mods-enabled/deb_shop.load").is_symlink());
        httpd.graceful();
        httpd.wait("/fruit/Jo", |status, _| status == 404);

        call("dpkg", &["--purge", "libapache2-mod-deb-shop"]);
        same(state(), &before);
    });
}

/// Returns the files that the package of a service may touch.
fn service_state() -> Tree {
    let folders = ["/etc", "/usr/bin", "/usr/lib/systemd", "/var/lib/systemd"];
    let mut state = tree(&folders.map(Path::new));
    // Caches of the system, and the folders of systemd's helper, which come with the first package.
    let caches =
        ["/etc/ld.so.cache", "/var/lib/systemd/deb-systemd-helper-", "/etc/systemd/system"];
    let is_cache =
        |path: &Path| caches.iter().any(|cache| path.to_str().unwrap().starts_with(cache));
    state.retain(|(path, what)| !(is_cache(path) && (what == "folder" || path.is_file())));
    state
}

#[test]
fn packaged_as_a_service() {
    machine::of_its_own("system::packaged_as_a_service", || {
        let project = Made::new("unit-shop", &[]);
        let first = package(&project, &["--gateway"]);
        assert!(first.contains("/debian/unit-shop-gateway_0.1.0-1_"), "{first}");
        let depends = call("dpkg-deb", &["--field", &first, "Depends"]);
        assert!(depends.contains("libc6 (>= ") && !depends.contains("apache2"), "{depends}");

        let before = service_state();
        call("dpkg", &["--install", &first]);
        assert_eq!(call("dpkg", &["--verify", "unit-shop-gateway"]), "");
        let units = Path::new("/usr/lib/systemd/system");
        let read = |file: &str| fs::read_to_string(units.join(file)).unwrap();
        let (service, socket) =
            (read("unit-shop-gateway.service"), read("unit-shop-gateway.socket"));
        assert!(socket.contains("FileDescriptorName=fastcgi\n"), "{socket}");
        let wants = "/etc/systemd/system/sockets.target.wants/unit-shop-gateway.socket";
        assert!(Path::new(wants).is_symlink(), "the socket is enabled");
        if Path::new("/usr/bin/systemd-analyze").exists() {
            for unit in ["unit-shop-gateway.service", "unit-shop-gateway.socket"] {
                let mut verify = Command::new("systemd-analyze");
                let output = verify.args(["verify", "--man=no"]).arg(units.join(unit)).output();
                let output = output.unwrap();
                let said = text(&output.stderr);
                assert!(output.status.success() && !said.contains("unit-shop"), "{unit}: {said}");
            }
        }

        // The command of the service, with a listener instead of systemd's socket.
        let conf = Path::new("/etc/unit-shop-gateway.conf");
        let port = free_port();
        let mine = fs::read_to_string(conf).unwrap() + &format!("http = 127.0.0.1:{port}\n");
        fs::write(conf, &mine).unwrap();
        let start = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let mut words = start.split(' ');
        let mut program = Command::new(words.next().unwrap());
        let mut child = program.args(words).stdin(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut answer = None;
        while answer.is_none() && Instant::now() < deadline {
            answer = get(port, "/unit-shop/Jo");
            std::thread::yield_now();
        }
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(answer, Some((200, "Hello, Jo\n".to_owned())));

        // The next one; what the administrator has changed stays so.
        call("dpkg", &["--install", &package(&project, &["--gateway", "--revision", "2"])]);
        assert_eq!(fs::read_to_string(conf).unwrap(), mine);
        call("dpkg", &["--remove", "unit-shop-gateway"]);
        assert_eq!(fs::read_to_string(conf).unwrap(), mine);
        call("dpkg", &["--purge", "unit-shop-gateway"]);
        same(service_state(), &before);
    });
}
