//! The text of httpd.conf: as little as a server needs, then what the test asks for.
//!
//! Everything is inside the server root, nothing of the system's configuration is read, and sizes
//! are small, so that a server starts in milliseconds.

use std::fmt::Write;

use httpd_config::{Httpd, Mpm};

use crate::builder::{Builder, Load};
use crate::modules;
use crate::root::is_privileged;

/// The values that differ from one start to the next.
pub(crate) struct Place<'a> {
    pub(crate) root: &'a str,
    pub(crate) port: u16,
    pub(crate) tls_port: Option<u16>,
}

/// Returns the whole httpd.conf of `builder`.
pub(crate) fn text(builder: &Builder, httpd: &Httpd, place: &Place<'_>) -> Result<String, String> {
    let Place { root, port, tls_port } = place;
    let mut text = format!("ServerRoot \"{root}\"\n");
    text += &load_lines(builder, httpd)?;
    if is_privileged() {
        let account = Httpd::user_and_group();
        let (user, group) = account.ok_or(
            "no user to run httpd's children as: www-data, apache, \
                                           wwwrun, www and daemon are all missing",
        )?;
        let _ = writeln!(text, "User {user}\nGroup {group}");
    }
    text += &sizes(builder);
    // httpd's own default is a minute; a test should not wait that long for what never comes.
    let timeout = if builder.wrap_words().is_empty() { 5 } else { 60 };
    let _ = writeln!(
        text,
        r#"Listen 127.0.0.1:{port}
ServerName localhost
DefaultRuntimeDir "{root}/run"
PidFile "{root}/run/httpd.pid"
Mutex "default:{root}/run"
Timeout {timeout}
KeepAlive On
KeepAliveTimeout {timeout}
MaxKeepAliveRequests 0
ErrorLog "{root}/error_log"
ErrorLogFormat "[%{{cu}}t] [%-m:%l] [pid {pid}] [client\ %a] %E: %M"
LogLevel {level}
LogFormat "%h %t \"%r\" %>s %b %X %D pid=%P" testkit
CustomLog "{root}/access_log" testkit
TypesConfig /dev/null
AddType text/html .html
AddType text/plain .txt
AddType text/css .css
AddType text/javascript .js
AddType image/png .png
DocumentRoot "{root}/htdocs"
<Directory "/">
    AllowOverride None
    Require all denied
</Directory>
<Directory "{root}/htdocs">
    Options FollowSymLinks
    AllowOverride All
    Require all granted
</Directory>"#,
        // Prefork has no thread id, and httpd would leave out the bracket too.
        pid = if builder.chosen_mpm() == Ok(Mpm::Prefork) { "%P" } else { "%P:tid %T" },
        level = log_level(builder),
    );
    if builder.http2 {
        text += "Protocols h2 h2c http/1.1\n";
    }
    if let Some(tls_port) = tls_port {
        let _ = writeln!(
            text,
            r#"Listen 127.0.0.1:{tls_port} https
SSLSessionCache none
<VirtualHost 127.0.0.1:{tls_port}>
    SSLEngine on
    SSLCertificateFile "{root}/{CERTIFICATE}"
    SSLCertificateKeyFile "{root}/{KEY}"
{}
</VirtualHost>"#,
            fill(&builder.tls_conf, place)?
        );
    }
    Ok(text + &fill(&builder.conf, place)?)
}

/// The certificate's file below the root.
pub(crate) const CERTIFICATE: &str = "run/tls.crt";
/// The key's file below the root.
pub(crate) const KEY: &str = "run/tls.key";

fn load_lines(builder: &Builder, httpd: &Httpd) -> Result<String, String> {
    let mpm = builder.chosen_mpm()?;
    let base = [mpm.module_name(), "unixd", "authz_core", "log_config", "mime"];
    let tls = builder.tls.then_some("ssl");
    let http2 = builder.http2.then_some("http2");
    let mut text = String::new();
    let mut add = |line: String| {
        // Loading a module twice is a warning.
        if !text.contains(&line) {
            text += &line;
        }
    };
    for name in base.into_iter().chain(tls).chain(http2) {
        add(modules::stock_line(httpd, name)?);
    }
    for load in &builder.loads {
        add(match load {
            Load::Stock(name) => modules::stock_line(httpd, name)?,
            Load::File { file, symbol } => {
                let path = modules::find_module(file)?;
                format!("LoadModule {symbol} \"{}\"\n", path.display())
            }
        });
    }
    Ok(text)
}

fn sizes(builder: &Builder) -> String {
    let (mpm, children, threads) =
        (builder.chosen_mpm(), builder.child_count(), builder.thread_count());
    if mpm == Ok(Mpm::Prefork) {
        return format!(
            "StartServers {children}\nServerLimit {children}\nMaxRequestWorkers {children}\n\
             MinSpareServers 1\nMaxSpareServers {children}\n"
        );
    }
    // Slots to spare: a child that finishes after a graceful restart keeps its own. Event counts only
    // the children that do not finish; worker counts slots, and would start no new child.
    let limit = children + 16;
    let all = if mpm == Ok(Mpm::Worker) { limit * threads } else { children * threads };
    format!(
        "StartServers {children}\nServerLimit {limit}\nThreadsPerChild {threads}\n\
         ThreadLimit {threads}\nMaxRequestWorkers {all}\nMinSpareThreads 1\nMaxSpareThreads {}\n",
        (children + 1) * threads
    )
}

fn log_level(builder: &Builder) -> String {
    builder.log_level.clone().unwrap_or_else(|| {
        // A level for a module that is not loaded is a syntax error.
        let modules = builder.loads.iter().filter_map(|load| match load {
            Load::File { symbol, .. } => Some(symbol),
            Load::Stock(_) => None,
        });
        modules.fold("info".to_owned(), |levels, symbol| format!("{levels} {symbol}:trace1"))
    })
}

/// Puts the place into a text of the user's.
pub(crate) fn fill(text: &str, place: &Place<'_>) -> Result<String, String> {
    let mut filled = text
        .replace("{root}", place.root)
        .replace("{htdocs}", &format!("{}/htdocs", place.root))
        .replace("{port}", &place.port.to_string());
    if filled.contains("{tls_port}") {
        let port = place.tls_port.ok_or("{tls_port} in the configuration, but no .tls(true)")?;
        filled = filled.replace("{tls_port}", &port.to_string());
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Server;

    const PLACE: Place<'_> = Place { root: "/r", port: 80, tls_port: None };

    #[test]
    fn placeholders() {
        let text = fill("{root} {htdocs} {port} %{REQUEST_URI}", &PLACE).unwrap();
        assert_eq!(text, "/r /r/htdocs 80 %{REQUEST_URI}");
        assert!(fill("{tls_port}", &PLACE).unwrap_err().contains(".tls(true)"));
        let with_tls = Place { tls_port: Some(443), ..PLACE };
        assert_eq!(fill("{tls_port}", &with_tls).unwrap(), "443");
    }

    #[test]
    fn every_mpm_serves_as_many_at_once() {
        let prefork = sizes(&Server::builder().mpm(Mpm::Prefork).threads(5));
        assert!(prefork.contains("MaxRequestWorkers 5\n"), "{prefork}");
        let event = sizes(&Server::builder().mpm(Mpm::Event).threads(5));
        assert!(event.contains("MaxRequestWorkers 5\nMin"), "{event}");
        let prefork = sizes(&Server::builder().mpm(Mpm::Prefork).children(2).threads(5));
        assert!(prefork.contains("MaxRequestWorkers 2\n"), "{prefork}");
    }

    #[test]
    fn the_module_under_test_logs_more() {
        let builder = Server::builder().load("headers").module("mod_rust.so");
        assert_eq!(log_level(&builder), "info rust_module:trace1");
        assert_eq!(log_level(&builder.log_level("warn")), "warn");
    }
}
