//! Builds what the peers need: the C programs by the C compiler, the Rust ones by cargo, the files
//! that are served.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};

use crate::check;
use crate::checkout::{Checkout, cargo};
use crate::peer::Product;
use crate::rivals::Rivals;
use crate::sys;

/// Builds each product once.
pub(crate) struct Workshop<'a> {
    checkout: &'a Checkout,
    rivals: Rivals,
    /// The products, or the reasons for their absence.
    products: BTreeMap<Product, Result<PathBuf, String>>,
}

impl<'a> Workshop<'a> {
    /// Lays out the served files and the scripts.
    ///
    /// # Errors
    /// Fails when they cannot be written.
    pub(crate) fn open(checkout: &'a Checkout) -> Result<Self> {
        let workshop = Self { checkout, rivals: checkout.rivals(), products: BTreeMap::new() };
        let htdocs = workshop.htdocs();
        std::fs::create_dir_all(&htdocs)?;
        // The C handler's URLs have files behind them, so that httpd's walk ends at once.
        let files: [(&str, Vec<u8>); 5] = [
            ("file", check::file_body()),
            ("hello", b"Hello, world\n".to_vec()),
            ("stream", vec![b'x'; 1 << 20]),
            ("echo", Vec::new()),
            ("environ", Vec::new()),
        ];
        for (name, content) in files {
            std::fs::write(htdocs.join(name), content)?;
        }
        let apps = workshop.apps();
        std::fs::create_dir_all(&apps)?;
        let scripts =
            [("wsgi/app.py", "app.py"), ("lua/app.lua", "app.lua"), ("php/app.php", "app.php")];
        for (source, name) in scripts {
            let source = checkout.root().join("benches").join(source);
            std::fs::copy(&source, apps.join(name))
                .with_context(|| format!("cannot copy `{}`", source.display()))?;
        }
        Ok(workshop)
    }

    /// Returns the served files.
    pub(crate) fn htdocs(&self) -> PathBuf {
        self.checkout.scratch().join("htdocs")
    }

    /// Returns the scripts, where httpd's children can read them.
    pub(crate) fn apps(&self) -> PathBuf {
        self.checkout.scratch().join("apps")
    }

    /// Returns the folder of the certificate.
    pub(crate) fn tls(&self) -> PathBuf {
        self.checkout.scratch().join("tls")
    }

    /// Makes a certificate for this machine, unless one was made before.
    ///
    /// # Errors
    /// Returns an error if openssl is not installed, or fails.
    pub(crate) fn certify(&self) -> Result<()> {
        let (folder, cert) = (self.tls(), self.tls().join("cert.pem"));
        if cert.is_file() {
            return Ok(());
        }
        std::fs::create_dir_all(&folder)?;
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        openssl.args(["-nodes", "-days", "3650", "-subj", "/CN=localhost"]);
        openssl.arg("-keyout").arg(folder.join("key.pem")).arg("-out").arg(&cert);
        let output = openssl.stdin(Stdio::null()).output();
        let output = output.context("openssl does not run; install openssl")?;
        if !output.status.success() {
            bail!("openssl makes no certificate: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Returns the rivals from PyPI.
    pub(crate) fn rivals(&self) -> &Rivals {
        &self.rivals
    }

    /// Builds the product, unless that was done before, and says where it is.
    ///
    /// # Errors
    /// Fails when the compiler or cargo fails; its messages went to standard error.
    pub(crate) fn product(&mut self, product: Product) -> Result<PathBuf> {
        if !self.products.contains_key(&product) {
            let built = self.build(product).map_err(|error| format!("{error:#}"));
            self.products.insert(product, built);
        }
        self.products[&product].clone().map_err(|error| anyhow!(error))
    }

    fn build(&self, product: Product) -> Result<PathBuf> {
        let root = self.checkout.root();
        let folder = self.checkout.scratch().join("build");
        let gateways = |name| {
            cargo_build(
                root,
                &["-p", "axum-backend", "--features", "gateways", "--bin", name],
                name,
            )
        };
        match product {
            Product::CHandler => {
                let headers = httpd_config::Headers::locate()?;
                let mut args: Vec<String> = vec!["-shared".into(), "-fPIC".into()];
                args.extend(headers.compiler_args());
                let source = root.join("benches/c_handler/mod_c_handler.c");
                compile_c(&args, &source, folder.join("mod_c_handler.so"))
            }
            Product::Cgi => {
                let source = root.join("benches/cgi/bench_cgi.c");
                compile_c(&["-static".into()], &source, folder.join("bench_cgi"))
            }
            Product::AxumBackend => cargo_build(root, &["-p", "axum-backend"], "axum-backend"),
            Product::FcgiBackend => cargo_build(root, &["-p", "axum-backend"], "fcgi-backend"),
            Product::FcgiProgram => {
                let built = cargo_build(root, &["-p", "axum-backend"], "fcgi-backend")?;
                let program = folder.join("fcgi-backend");
                std::fs::copy(&built, &program)
                    .with_context(|| format!("cannot copy `{}`", built.display()))?;
                Ok(program)
            }
            Product::ScgiBackend => cargo_build(root, &["-p", "axum-backend"], "scgi-backend"),
            Product::GatewayBackend => gateways("gateway-backend"),
            Product::FastCgiBackend => gateways("fastcgi-backend"),
            Product::OuterBackend => gateways("outer-backend"),
            Product::PhpFpm => php_fpm(),
            Product::Uwsgi => Ok(self.rivals.uwsgi()?.0),
            Product::Module => cargo_build(root, &["--example", "bench"], "bench"),
        }
    }
}

/// PHP-FPM's program, which has PHP's version in its name on Debian.
fn php_fpm() -> Result<PathBuf> {
    let versions = ["8.2", "8.3", "8.4", "8.5", ""];
    let found = versions.iter().find_map(|v| sys::find_program(&format!("php-fpm{v}")));
    found.context("PHP-FPM is not installed; install php8.2-fpm (Debian) or php-fpm")
}

/// Compiles one C file, at the level that Debian builds httpd with.
fn compile_c(args: &[String], source: &Path, product: PathBuf) -> Result<PathBuf> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let status = Command::new(&compiler)
        .arg("-O2")
        .args(args)
        .arg("-o")
        .arg(&product)
        .arg(source)
        .status()
        .with_context(|| format!("the C compiler `{compiler}` does not run; install gcc"))?;
    if !status.success() {
        bail!("`{compiler}` does not build `{}`", source.display());
    }
    Ok(product)
}

/// Builds with cargo, optimised, and returns the file that `target` is built as.
fn cargo_build(root: &Path, args: &[&str], target: &str) -> Result<PathBuf> {
    // `cargo httpd bench` set the flags of `cargo httpd build`: both share what was built.
    let output = cargo()
        .current_dir(root)
        .args(["build", "--release", "--message-format", "json-render-diagnostics"])
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo does not run")?;
    if !output.status.success() {
        bail!("`cargo build --release {}` failed", args.join(" "));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    find_artifact(&messages, target)
        .with_context(|| format!("cargo says nothing of `{target}` being built"))
}

/// Returns the file of the program or cdylib `target`, in cargo's messages.
fn find_artifact(messages: &str, target: &str) -> Option<PathBuf> {
    let artifacts = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|m| m["reason"] == "compiler-artifact" && m["target"]["name"] == target);
    artifacts.into_iter().find_map(|m| {
        let library = m["filenames"].as_array().into_iter().flatten();
        let library = library.filter_map(|name| name.as_str()).find(|name| name.ends_with(".so"));
        m["executable"].as_str().or(library).map(PathBuf::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_of_cargo() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"name":"bench","kind":["lib"]},"filenames":["/t/libbench.rlib"],"executable":null}
{"reason":"compiler-artifact","target":{"name":"bench","kind":["cdylib"]},"filenames":["/t/examples/libbench.so"],"executable":null}
{"reason":"compiler-artifact","target":{"name":"axum-backend"},"filenames":["/t/axum-backend"],"executable":"/t/axum-backend"}
{"reason":"build-finished","success":true}"#;
        let find = |target| find_artifact(messages, target);
        assert_eq!(find("bench"), Some("/t/examples/libbench.so".into()));
        assert_eq!(find("axum-backend"), Some("/t/axum-backend".into()));
        assert_eq!(find("fcgi-backend"), None);
    }
}
