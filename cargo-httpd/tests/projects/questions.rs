//! The answers of `docs/questions.md`, typed as they stand there, on a machine of its own.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::text;
use crate::machine::{self, note};
use crate::made::Made;

const PAGE: &str = include_str!("../../../docs/questions.md");
const APPLICATION: &str = include_str!("questions/lib.rs");
const CONF: &str = "/etc/apache2/mods-available/shop.conf";
const PATIENCE: Duration = Duration::from_secs(60);

/// The blocks of the page that have not been typed yet: section, language, text.
struct Page(Vec<(&'static str, &'static str, &'static str)>);

impl Page {
    fn new() -> Self {
        let sections = PAGE.split("\n## ").flat_map(|section| {
            let (heading, rest) = section.split_once('\n').unwrap();
            let mut parts = rest.split("```");
            parts.next();
            let parts: Vec<_> = parts.collect();
            let blocks = parts.chunks(2).map(|block| block[0].split_once('\n').unwrap());
            blocks.map(|(language, text)| (heading, language, text)).collect::<Vec<_>>()
        });
        Self(sections.collect())
    }

    /// Takes the next block of a section.
    #[track_caller]
    fn take(&mut self, section: &str, language: &str) -> &'static str {
        let is_wanted = |(heading, other, _): &(&str, &str, &str)| {
            heading.contains(section) && *other == language
        };
        let found = self.0.iter().position(is_wanted);
        let place = found.unwrap_or_else(|| panic!("`{section}` has no other block of {language}"));
        self.0.remove(place).2
    }
}

/// A network of its own, in which the ports of the page are free. It ends with this value.
struct Network(Child);

impl Network {
    /// Returns `None` where such a network cannot be made.
    fn new() -> Option<Self> {
        let start = "ip link set lo up && echo up && exec cat";
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "sh", "-c", start]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = unshare.spawn().ok()?;
        let mut said = [0; 3];
        if child.stdout.as_mut()?.read_exact(&mut said).is_err() {
            let _ = child.wait();
            return None;
        }
        Some(Self(child))
    }

    /// Returns a program that runs in it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.0.id())).arg(program);
        command.stdin(Stdio::null());
        command
    }

    /// Types a block, which must succeed, and returns what it printed.
    #[track_caller]
    fn type_in(&self, folder: &Path, block: &str) -> String {
        let shell = self.command("sh").args(["-ec", block]).current_dir(folder).output().unwrap();
        let said = text(&shell.stdout);
        assert!(shell.status.success(), "{block}{said}{}", text(&shell.stderr));
        said
    }

    /// Asks until the answer is `wanted`: a restart takes its time.
    #[track_caller]
    fn wait(&self, url: &str, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        let resolve = ["--resolve", "shop.example.org:80:127.0.0.1"];
        let tls = ["--resolve", "shop.example.org:443:127.0.0.1", "--insecure"];
        loop {
            let mut curl = self.command("curl");
            curl.args(["--silent", "--fail", "--max-time", "60"]).args(resolve).args(tls).arg(url);
            let answer = text(&curl.output().unwrap().stdout);
            if answer == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{url} answers {answer:?}, not {wanted:?}");
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A gateway program in the foreground.
struct Program(Child);

impl Program {
    fn start(network: &Network, block: &str) -> Self {
        let line = format!("exec {block}");
        Self(network.command("sh").args(["-ec", &line]).spawn().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

/// Installs what a server has, or says what is missing.
fn is_prepared() -> bool {
    let packages = ["apache2", "logrotate", "curl", "openssl", "iproute2"];
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    let output = apt.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).output();
    let output = output.unwrap();
    if !output.status.success() {
        note(&format!("left out: {packages:?} cannot be installed: {}", text(&output.stderr)));
    }
    output.status.success()
}

/// Stops httpd at the end, also of a test that fails.
struct Httpd<'n>(&'n Network);

impl Drop for Httpd<'_> {
    fn drop(&mut self) {
        let _ = self.0.command("service").args(["apache2", "stop"]).output();
    }
}

fn enable(network: &Network, block: &str) {
    fs::write("/etc/apache2/sites-available/shop.conf", block).unwrap();
    network.type_in(Path::new("/"), "a2ensite shop");
}

#[test]
fn are_answered() {
    machine::of_its_own("questions::are_answered", || {
        if !is_prepared() {
            return;
        }
        let Some(network) = Network::new() else {
            note("left out: questions::are_answered needs the right to make a network");
            return;
        };
        answer(&network, &mut Page::new());
    });
}

fn answer(network: &Network, page: &mut Page) {
    // Packages may reload httpd now. Without the layers the file is not there.
    if fs::remove_file("/usr/sbin/policy-rc.d").is_err() {
        note("left out: questions::are_answered changes more of the machine than it puts back");
        return;
    }
    fs::write("/etc/apache2/conf-enabled/name.conf", "ServerName localhost\n").unwrap();
    let root = Path::new("/");
    let reload = page.take("Questions", "sh");

    let project = Made::new("shop", &["--template", "module"]);
    project.write(
        "module/httpd.conf",
        "<IfDefine SHOP_DAEMON>\nRustDaemonProcess shop processes=1\nRustProcessGroup shop\n\
         </IfDefine>\nRustAppAlias /shop shop\n",
    );
    let package = |options: &[&str]| {
        let maintainer = ["--maintainer", "Jo <jo@example.org>"];
        let said = project.call(&[&["package", "--debug"], options, &maintainer[..]].concat());
        project.path().join(said.trim_end())
    };
    // cargo takes the module of another version for this one's, unless the source is newer.
    let next = |old: &str, new: &str| {
        let line = |version| format!("version = \"{version}\"");
        project.replace("Cargo.toml", &line(old), &line(new));
        project.write("src/lib.rs", APPLICATION);
    };
    next("0.1.0", "0.1.0");
    let folder = package(&[]).parent().unwrap().to_owned();
    next("0.1.0", "0.2.0");
    let (second, program) = (package(&[]), package(&["--gateway"]));

    network.type_in(root, "service apache2 start");
    let _stopped = Httpd(network);
    network.type_in(
        root,
        &format!("apt-get install --yes '{}' '{}'", second.display(), program.display()),
    );
    network.wait("http://localhost/shop", "version 0.2.0\n");

    let said = network.type_in(root, page.take("Which version", "sh"));
    assert_eq!(said, page.take("Which version", "text"));
    assert!(network.type_in(root, "shop-gateway --version").contains("0.2.0"));
    let said = network.type_in(root, "dpkg -s libapache2-mod-shop");
    assert!(said.contains("\nVersion: 0.2.0-1\n"), "{said}");

    // The second version is kept for later, as the program that runs beside the first.
    let beside = page.take("side by side", "sh");
    let program = Program::start(network, beside);
    network.wait("http://127.0.0.1:9001/next", "version 0.2.0\n");
    network.type_in(&folder, page.take("roll back", "sh"));
    network.wait("http://localhost/shop", "version 0.1.0\n");

    enable(network, page.take("side by side", "apache"));
    network.type_in(root, page.take("side by side", "sh"));
    network.wait("http://localhost/next", "version 0.2.0\n");
    network.wait("http://localhost/", "version 0.1.0\n");
    drop(program);

    let conf = fs::read_to_string(CONF).unwrap();
    fs::write(CONF, conf.replace("RustAppAlias", "#RustAppAlias")).unwrap();
    enable(network, page.take("one virtual host", "apache"));
    network.type_in(root, reload);
    network.wait("http://shop.example.org/database", "/srv/shop/shop.db\n");
    network.wait("http://localhost/shop", "");
    network.type_in(root, "a2dissite shop");
    network.type_in(root, "apt-get purge --yes libapache2-mod-shop shop-gateway");

    next("0.2.0", "0.1.0");
    let install = || {
        project.call(&["install", "--debug", "--gateway"]);
        network.type_in(root, reload);
    };
    install();
    network.wait("http://localhost/shop", "version 0.1.0\n");
    next("0.1.0", "0.2.0");
    install();
    network.wait("http://localhost/shop", "version 0.2.0\n");
    network.type_in(root, page.take("roll back", "sh"));
    network.wait("http://localhost/shop", "version 0.1.0\n");

    network.wait("http://localhost/shop/stage", "\n");
    network.type_in(root, page.take("environment variables", "sh"));
    network.wait("http://localhost/shop/stage", "live\n");

    rotate(network, page);

    let make_certificate = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
        -nodes -subj /CN=shop.example.org \
        -keyout /etc/ssl/private/shop.key -out /etc/ssl/certs/shop.pem";
    network.type_in(root, make_certificate);
    enable(network, page.take("TLS", "apache"));
    network.type_in(root, page.take("TLS", "sh"));
    network.wait("https://shop.example.org/scheme", "https\n");

    fs::write(CONF, format!("Define SHOP_DAEMON\n{}", fs::read_to_string(CONF).unwrap())).unwrap();
    network.type_in(root, reload);
    network.wait("http://localhost/shop", "version 0.1.0\n");
    let said = network.type_in(root, page.take("health", "sh"));
    assert_eq!(said, "version 0.1.0\n");
    let status = network.type_in(root, "curl -s 'http://localhost/server-status?auto'");
    for wanted in ["Ready: 1", "RefusedFull: 0", "QueueP99Us: "] {
        assert!(status.contains(&format!("\nRustGroup[shop]{wanted}")), "{wanted}: {status}");
    }
    assert!(page.0.is_empty(), "nothing types these blocks: {:?}", page.0);
}

/// Rotates the logs of httpd and of a program. The old lines stay, and new ones go to a new file.
fn rotate(network: &Network, page: &mut Page) {
    let root = Path::new("/");
    network.type_in(root, "logrotate --force /etc/logrotate.d/apache2");
    network.wait("http://localhost/shop", "version 0.1.0\n");
    let [old, new] = ["/var/log/apache2/error.log.1", "/var/log/apache2/error.log"];
    for log in [old, new] {
        let said = fs::read_to_string(log).unwrap();
        assert!(said.contains("resuming normal operations"), "{log}: {said}");
    }

    let program = Program::start(network, page.take("rotate", "sh"));
    network.wait("http://127.0.0.1:9001/shop", "version 0.2.0\n");
    fs::write("/etc/logrotate.d/shop", page.take("rotate", "text")).unwrap();
    network.type_in(root, "logrotate --force /etc/logrotate.d/shop");
    assert!(fs::read_to_string("/var/log/shop.log.1").unwrap().contains("ready"));
    let deadline = Instant::now() + PATIENCE;
    while !Path::new("/var/log/shop.log").exists() {
        assert!(Instant::now() < deadline, "the program does not open its log again");
    }
    drop(program);
    let said = fs::read_to_string("/var/log/shop.log").unwrap();
    assert!(said.contains("ending"), "{said}");
    // A program that does not run is no error.
    network.type_in(root, "logrotate --force /etc/logrotate.d/shop");
}
