//! A server root to keep: the files of one httpd around one module, which `setup-server` writes
//! and writes again with a new version.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use httpd_config::Mpm;

use crate::cargo::quoted;
use crate::fill::fill;
use crate::product::Product;
use crate::server::{MIME_TYPES, plain};
use crate::system::Change;

const APACHECTL: &str = include_str!("../templates/system/apachectl.in");
const HTTPS_ONLY: &str = include_str!("../templates/system/https_only.in");
const LOCAL: &str = include_str!("../templates/system/local.conf");
const TLS: &str = include_str!("../templates/system/tls.in");

/// The places in a server root.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) root: PathBuf,
}

/// The listener with TLS.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) port: u16,
    /// The port, with an address if it is to listen on that alone.
    pub(crate) listen: String,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Whether requests without TLS are sent to it.
    pub(crate) only: bool,
    /// Whether mod_http2 is there.
    pub(crate) http2: bool,
}

impl Setup {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let root = std::path::absolute(folder)?;
        // httpd and the shell must read it as it is.
        plain(&root)?;
        Ok(Self { root })
    }

    /// Makes the folders that are missing.
    pub(crate) fn make_folders(&self, modules_dir: &Path) -> Result<()> {
        let make = || {
            for name in ["conf", "htdocs", "logs", "lib", "run"] {
                fs::create_dir_all(self.root.join(name))?;
            }
            let modules = self.root.join("modules");
            if modules.is_symlink() {
                fs::remove_file(&modules)?;
            }
            std::os::unix::fs::symlink(modules_dir, modules)
        };
        make().with_context(|| format!("folders in {} cannot be made", self.root.display()))
    }

    /// Returns the place of a file.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Returns the place of the module.
    pub(crate) fn module(&self, product: &Product) -> PathBuf {
        self.path(&format!("lib/mod_{}.so", product.module()))
    }

    /// Writes every file but httpd.conf. The administrator's stay as they are.
    pub(crate) fn put(&self, product: &Product, httpd: &Path, change: &mut Change) -> Result<()> {
        let read = |path: &Path| {
            fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
        };
        change.put(&self.module(product), &read(&product.file.path)?, 0o644)?;
        if let Some(program) = &product.program {
            let place = self.path(&format!("lib/{}", program.name));
            change.put(&place, &read(&program.file)?, 0o755)?;
        }
        change.put(&self.path("conf/application.conf"), product.conf.as_bytes(), 0o644)?;
        change.put(&self.path("conf/mime.types"), MIME_TYPES.as_bytes(), 0o644)?;
        if !self.path("conf/local.conf").exists() {
            change.put(&self.path("conf/local.conf"), LOCAL.as_bytes(), 0o644)?;
        }
        let conf = quoted(plain(&self.path("conf/httpd.conf"))?);
        let httpd = quoted(plain(httpd)?);
        let values = [("ROOT", plain(&self.root)?), ("CONF", &conf), ("HTTPD", &httpd)];
        change.put(&self.path("apachectl"), fill(APACHECTL, &values).as_bytes(), 0o755)
    }
}

impl Tls {
    /// Returns the modules of httpd that it needs.
    pub(crate) fn needs(&self, mpm: Mpm) -> Vec<&'static str> {
        let mut needs = vec!["socache_shmcb", "ssl"];
        if self.has_http2(mpm) {
            needs.push("http2");
        }
        needs
    }

    /// Returns its directives.
    pub(crate) fn conf(&self, root: &Path, mpm: Mpm) -> Result<String> {
        let port = self.port.to_string();
        let protocols = if self.has_http2(mpm) { "    Protocols h2 http/1.1\n" } else { "" };
        let text = fill(
            TLS,
            &[
                ("HTTPS_PORT", &port),
                ("LISTEN", &self.listen),
                ("ROOT", plain(root)?),
                ("CERTIFICATE", plain(&self.certificate)?),
                ("KEY", plain(&self.key)?),
                ("PROTOCOLS", protocols),
            ],
        );
        if !self.only {
            return Ok(text);
        }
        let port = if self.port == 443 { String::new() } else { format!(":{}", self.port) };
        Ok(text + &fill(HTTPS_ONLY, &[("PORT", &port)]))
    }

    /// Under prefork each child has one thread, which one HTTP/2 connection would hold.
    fn has_http2(&self, mpm: Mpm) -> bool {
        self.http2 && mpm != Mpm::Prefork
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_has_the_protocols_of_the_mpm() {
        let tls = Tls {
            port: 443,
            listen: "443".to_owned(),
            certificate: "/c.pem".into(),
            key: "/k.pem".into(),
            only: true,
            http2: true,
        };
        let root = Path::new("/srv/shop");
        let text = tls.conf(root, Mpm::Event).unwrap();
        assert!(!text.contains('@') && text.contains("Protocols h2 http/1.1\n"), "{text}");
        assert!(text.contains("https://%{SERVER_NAME}%{REQUEST_URI}"), "{text}");
        assert!(!tls.conf(root, Mpm::Prefork).unwrap().contains("h2"));
        let other = Tls { port: 8443, only: false, ..tls };
        assert!(!other.conf(root, Mpm::Event).unwrap().contains("Rewrite"));
        assert!(Tls { only: true, ..other }.conf(root, Mpm::Event).unwrap().contains("}:8443%{"));
    }

    #[test]
    fn the_folder_must_fit_into_a_configuration() {
        assert!(Setup::new(Path::new("/srv/a\"b")).is_err());
        assert!(Setup::new(Path::new("shop")).unwrap().root.is_absolute());
    }
}
