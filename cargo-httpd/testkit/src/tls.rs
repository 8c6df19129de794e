//! The throwaway certificate of the TLS listener, made once in a process.

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::command;

/// A self-signed certificate for localhost, 127.0.0.1 and ::1, and its key, both PEM.
pub(crate) struct Certificate {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Returns the certificate of this process; the first call makes it with the openssl program.
pub(crate) fn certificate() -> Result<&'static Certificate, String> {
    static MADE: OnceLock<Result<Certificate, String>> = OnceLock::new();
    MADE.get_or_init(|| make().map_err(|error| format!("no certificate for TLS: {error}")))
        .as_ref()
        .map_err(String::clone)
}

fn make() -> Result<Certificate, String> {
    // `-newkey ec` and not RSA: made in milliseconds. Both go to standard output, the key first.
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", "-", "-out", "-"]);
    openssl.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"]);
    let output =
        command::run(&mut openssl, Duration::from_secs(60)).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let start = text.find("-----BEGIN CERTIFICATE-----").filter(|_| output.exit == Some(0));
    let start = start.ok_or_else(|| format!("{openssl:?} failed: {}", output.stderr))?;
    let (key, certificate) = text.split_at(start);
    Ok(Certificate { certificate: certificate.to_owned(), key: key.to_owned() })
}
