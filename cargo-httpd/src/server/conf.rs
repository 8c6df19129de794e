//! httpd.conf: the template of `apache/httpd.conf.in`, filled in.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use httpd_config::{Httpd, Mpm};

use crate::built_module::BuiltModule;
use crate::fill::fill;

const TEMPLATE: &str = include_str!("../../templates/httpd.conf.in");

/// Modules that DocumentRoot and an application's own directives may need.
pub(crate) const MIME_TYPES: &str = "\
text/html html htm
text/plain txt
text/css css
text/javascript js mjs
application/json json
application/wasm wasm
application/pdf pdf
image/svg+xml svg
image/png png
image/jpeg jpg jpeg
image/gif gif
image/webp webp
image/x-icon ico
font/woff2 woff2
";

/// Loaded if they are there, for most sites use them. A module that nobody configures does nothing.
const USUAL: &[&str] = &[
    "alias",
    "auth_basic",
    "authn_core",
    "authn_file",
    "authz_host",
    "authz_user",
    "deflate",
    "dir",
    "env",
    "filter",
    "headers",
    "negotiation",
    "reqtimeout",
    "rewrite",
    "setenvif",
    "status",
];

/// The template does not work without these.
const NEEDED: &[&str] = &["unixd", "authz_core", "log_config", "mime"];

/// The parts of one configuration.
pub(crate) struct Conf<'a> {
    pub(crate) httpd: &'a Httpd,
    pub(crate) mpm: Mpm,
    /// The lines that say where to listen.
    pub(crate) listen: &'a str,
    pub(crate) server_name: &'a str,
    pub(crate) logs: &'a Logs,
    /// Modules of httpd that this configuration needs besides the usual ones.
    pub(crate) needs: &'a [&'a str],
    pub(crate) server_root: &'a Path,
    /// The account of the children: only if httpd starts as root.
    pub(crate) account: Option<(&'a str, &'a str)>,
    /// The process group of the applications. Without one they run in httpd's children.
    pub(crate) daemon: Option<&'a DaemonGroup>,
    pub(crate) parts: &'a Parts,
}

/// The logs of a server.
#[derive(Clone, Debug)]
pub(crate) struct Logs {
    pub(crate) error: String,
    pub(crate) access: String,
    /// In the words of LogFormat.
    pub(crate) format: &'static str,
}

impl Logs {
    /// Returns those of a server whose output goes to a terminal: files that httpd opens as its
    /// standard output and error, pipes that lead to this tool.
    pub(crate) fn terminal() -> Self {
        let (access, error) = if cfg!(target_os = "linux") {
            ("/proc/self/fd/1", "/proc/self/fd/2")
        } else {
            ("/dev/stdout", "/dev/stderr")
        };
        Self {
            error: error.to_owned(),
            access: access.to_owned(),
            format: r#"%h \"%r\" %>s %B bytes %D us"#,
        }
    }

    /// Returns those in a server root.
    pub(crate) fn files() -> Self {
        Self {
            error: "logs/error_log".to_owned(),
            access: "logs/access_log".to_owned(),
            format: r#"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %D"#,
        }
    }
}

/// Returns the line that listens on a port of the loopback addresses.
pub(crate) fn on_loopback(port: u16, ipv6: bool) -> String {
    let ipv6 = if ipv6 { format!("\nListen [::1]:{port}") } else { String::new() };
    format!("Listen 127.0.0.1:{port}{ipv6}")
}

/// The process group of `--daemon`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DaemonGroup {
    pub(crate) name: String,
    /// Whether the application's own configuration makes it.
    pub(crate) is_made: bool,
}

/// The paths that a configuration takes from outside.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) module: BuiltModule,
    /// Mounts the module's applications.
    pub(crate) application_conf: PathBuf,
    /// The user's own directives.
    pub(crate) extra_conf: Option<PathBuf>,
}

impl Conf<'_> {
    /// Returns the text of httpd.conf.
    ///
    /// # Errors
    /// Fails when httpd lacks the MPM or a module that this needs, or a path cannot stand in a
    /// directive.
    pub(crate) fn render(&self) -> Result<String> {
        let mpms = self.httpd.mpms();
        if !mpms.contains(&self.mpm) {
            let names: Vec<_> = mpms.iter().map(|mpm| mpm.name()).collect();
            bail!(
                "{} has no {} MPM; expected --mpm with one of: {}",
                self.httpd.server_string(),
                self.mpm,
                names.join(", ")
            );
        }
        let account = match self.account {
            Some((user, group)) => format!("User {user}\nGroup {group}"),
            None => "# As an ordinary user: its own.".to_owned(),
        };
        let extra = match &self.parts.extra_conf {
            Some(file) => format!("\n# More directives.\nInclude \"{}\"\n", plain(file)?),
            None => String::new(),
        };
        let server_root = plain(self.server_root)?;
        let sockets = format!("RustSocketPrefix \"{server_root}/run/rust\"\n");
        let process_group = match self.daemon {
            Some(DaemonGroup { name, is_made: false }) => format!(
                "# Daemon mode: the applications run in two processes of 15 threads, which \
                 `cargo httpd groups --root \"{server_root}\"` lists.\n{sockets}\
                 RustDaemonProcess {name} processes=2 threads=15\n\
                 RustProcessGroup {name}"
            ),
            Some(DaemonGroup { name, is_made: true }) => format!(
                "# Daemon mode: `cargo httpd groups --root \"{server_root}\"` lists the process group.\n\
                 {sockets}\
                 RustProcessGroup {name}"
            ),
            None => "# Embedded mode: the applications run in httpd's children, unless their own \
                     configuration says otherwise."
                .to_owned(),
        };
        Ok(fill(
            TEMPLATE,
            &[
                ("SERVER_ROOT", server_root),
                ("SERVER_NAME", self.server_name),
                ("LISTEN", self.listen),
                ("MPM", self.mpm.name()),
                ("LOAD_HTTPD", &self.load_lines()?),
                ("ACCOUNT", &account),
                ("ERROR_LOG", &self.logs.error),
                ("ACCESS_LOG", &self.logs.access),
                ("LOG_FORMAT", self.logs.format),
                ("MODULE_FILE", plain(&self.parts.module.path)?),
                ("MODULE", &self.parts.module.symbol),
                ("PROCESS_GROUP", &process_group),
                ("APPLICATION_CONF", plain(&self.parts.application_conf)?),
                ("EXTRA_CONF", &extra),
            ],
        ))
    }

    fn load_lines(&self) -> Result<String> {
        let mut lines = String::new();
        for name in [&[self.mpm.module_name()], NEEDED, self.needs].concat() {
            match self.httpd.module(name).load_line(name) {
                Some(line) => lines += &line,
                None => bail!(
                    "{} has no mod_{name}; install httpd's base modules again",
                    self.httpd.server_string()
                ),
            }
        }
        for name in USUAL {
            lines += &self.httpd.module(name).load_line(name).unwrap_or_default();
        }
        Ok(lines)
    }
}

/// Returns a path as it may stand between quotes in a directive.
pub(crate) fn plain(path: &Path) -> Result<&str> {
    match path.to_str() {
        Some(text) if !text.contains(['"', '\\', '\n', '$', '%']) => Ok(text),
        _ => bail!(
            "path \"{}\": not usable in httpd.conf; avoid quotes, backslashes, $ and % in \
             folder names",
            path.display()
        ),
    }
}

/// Returns the folder of the module, for messages: relative to the current one if it lies below.
pub(crate) fn short(path: &Path) -> PathBuf {
    let cwd = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(cwd).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(mpm: Mpm, account: Option<(&str, &str)>, extra: Option<&Path>) -> Result<String> {
        let parts = Parts {
            module: BuiltModule { symbol: "hello_module".into(), path: "/t/mod_hello.so".into() },
            application_conf: "/p/httpd.conf".into(),
            extra_conf: extra.map(Path::to_owned),
        };
        Conf {
            httpd: &Httpd::locate()?,
            mpm,
            listen: &on_loopback(8081, extra.is_some()),
            server_name: "localhost",
            logs: &Logs::terminal(),
            needs: &[],
            server_root: Path::new("/t/run-8081"),
            account,
            daemon: None,
            parts: &parts,
        }
        .render()
    }

    #[test]
    fn every_name_is_filled_in() {
        for mpm in Httpd::locate().unwrap().mpms() {
            let text =
                rendered(mpm, Some(("www-data", "web")), Some(Path::new("/p/x.conf"))).unwrap();
            let heading = text.find("# The server:").unwrap();
            assert!(!text[heading..].contains('@'), "{text}");
            for line in [
                "Listen 127.0.0.1:8081",
                "Listen [::1]:8081",
                "User www-data",
                "Group web",
                "LoadModule hello_module \"/t/mod_hello.so\"",
                "LogLevel notice hello_module:info",
                "Include \"/p/httpd.conf\"",
                "Include \"/p/x.conf\"",
            ] {
                assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
            }
            let httpd = Httpd::locate().unwrap();
            let load = httpd.module(mpm.module_name()).load_line(mpm.module_name()).unwrap();
            assert!(text.contains(&load), "{text}");
        }
    }

    #[test]
    fn a_process_group_is_configured_on_request_only() {
        let parts = Parts {
            module: BuiltModule { symbol: "hello_module".into(), path: "/t/mod_hello.so".into() },
            application_conf: "/p/httpd.conf".into(),
            extra_conf: None,
        };
        let httpd = Httpd::locate().unwrap();
        let group = |is_made| DaemonGroup { name: "shop".to_owned(), is_made };
        let (made_here, made_there) = (group(false), group(true));
        let (listen, logs) = (on_loopback(8081, false), Logs::terminal());
        let conf = |daemon| Conf {
            httpd: &httpd,
            mpm: httpd.mpms()[0],
            listen: &listen,
            server_name: "localhost",
            logs: &logs,
            needs: &[],
            server_root: Path::new("/t/run-8081"),
            account: None,
            daemon,
            parts: &parts,
        };
        let text = conf(Some(&made_here)).render().unwrap();
        let lines = "RustSocketPrefix \"/t/run-8081/run/rust\"\n\
            RustDaemonProcess shop processes=2 threads=15\n\
            RustProcessGroup shop\n\
            Include \"/p/httpd.conf\"\n";
        assert!(text.contains(lines), "{text}");
        let text = conf(Some(&made_there)).render().unwrap();
        assert!(text.contains("\nRustProcessGroup shop\n"), "{text}");
        assert!(!text.contains("RustDaemonProcess"), "{text}");
        let text = conf(None).render().unwrap();
        assert!(!text.contains("\nRust"), "{text}");
    }

    #[test]
    fn an_ordinary_user_sets_no_account() {
        let text = rendered(Httpd::locate().unwrap().mpms()[0], None, None).unwrap();
        assert!(!text.contains("\nUser ") && !text.contains("\nGroup "), "{text}");
        assert!(!text.contains("[::1]"), "{text}");
    }

    #[test]
    fn paths_that_httpd_would_misread_are_refused() {
        assert_eq!(plain(Path::new("/a b/c")).unwrap(), "/a b/c");
        for path in ["/a\"b", "/a\\b", "/${X}", "/100%"] {
            let error = plain(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(path), "{error}");
        }
    }
}
