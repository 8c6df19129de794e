//! The package of a gateway program: a service of systemd with its socket, and a configuration file.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Content, File, Kind, read, tools};
use crate::fill::fill;
use crate::product::Program;
use crate::project::About;

/// The maintainer scripts, by name.
const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("../../templates/deb/service/postinst.in")),
    ("postrm", include_str!("../../templates/deb/service/postrm.in")),
    ("prerm", include_str!("../../templates/deb/service/prerm.in")),
];
const CONF: &str = include_str!("../../templates/deb/service/conf.in");
const SERVICE: &str = include_str!("../../templates/deb/service/service.in");
const SOCKET: &str = include_str!("../../templates/deb/service/socket.in");

/// The protocols that a program may be built with, the first choice first.
const PROTOCOLS: [&str; 4] = ["fastcgi", "http", "uwsgi", "scgi"];

/// Returns the content of a program's package. `folder` is for Debian's tools.
///
/// # Errors
/// Fails when the program does not run here, or one of the tools does.
pub(crate) fn service(program: &Program, about: &About, folder: &Path) -> Result<Content> {
    let name = program.name.to_lowercase().replace('_', "-");
    let description = about.description.as_deref().unwrap_or_default();
    let description = description.lines().next().unwrap_or_default().trim().trim_end_matches('.');
    let values = [
        ("NAME", name.as_str()),
        ("PROGRAM", &program.name),
        ("PROTOCOL", protocol(program)?),
        // systemd expands what follows a percent sign.
        ("ABOUT", &if description.is_empty() { &name } else { description }.replace('%', "%%")),
    ];
    let units = format!("usr/lib/systemd/system/{name}");
    let files = vec![
        File::of(format!("usr/bin/{}", program.name), read(&program.file)?, Kind::Program),
        File::of(format!("etc/{name}.conf"), fill(CONF, &values), Kind::Conffile),
        File::of(format!("{units}.service"), fill(SERVICE, &values), Kind::Text),
        File::of(format!("{units}.socket"), fill(SOCKET, &values), Kind::Text),
    ];
    let libraries = tools::libraries(folder, &program.file)?;
    let helpers = "init-system-helpers (>= 1.54~)";
    Ok(Content {
        depends: if libraries.is_empty() {
            helpers.into()
        } else {
            format!("{libraries}, {helpers}")
        },
        summary: "web application behind any server",
        has: format!(
            " This package has {}, a program with web applications written in Rust that\n \
             serves them behind a web server, as a service of systemd.",
            program.name
        ),
        files,
        scripts: SCRIPTS.map(|(name, script)| (name, fill(script, &values))).into(),
        name,
    })
}

/// Returns the protocol of the socket: the first that the program has.
fn protocol(program: &Program) -> Result<&'static str> {
    let file = program.file.display();
    let output = Command::new(&program.file).arg("--help").stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("program \"{file}\": it does not run here"))?;
    let help = String::from_utf8_lossy(&output.stdout);
    let known = PROTOCOLS.iter().find(|name| help.contains(&format!("--{name} <ADDR>")));
    match known {
        Some(name) => Ok(name),
        None => bail!(
            "program \"{file}\": its --help names no protocol; expected one made with \
             mod_rust::Gateway or serve, with one of the features fastcgi, http-server, uwsgi, scgi"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the lines of a unit that are settings.
    fn settings(unit: &str) -> Vec<&str> {
        let lines = unit.lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
    }

    /// The page of systemd has the same service, for a program that is installed by hand.
    #[test]
    fn the_service_is_that_of_the_page() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/servers/systemd/shop.service");
        let page = std::fs::read_to_string(page).unwrap();
        let values =
            [("NAME", "shop"), ("PROGRAM", "shop"), ("ABOUT", "The shop"), ("PROTOCOL", "http")];
        let unit = fill(SERVICE, &values);
        // The addresses are the site's.
        let own = ["ExecStart=", "Documentation=", "IPAddress"];
        let of = |text| -> Vec<String> {
            let lines = settings(text).into_iter().map(str::to_owned);
            lines.filter(|line| !own.iter().any(|own| line.starts_with(own))).collect()
        };
        assert_eq!(of(&unit), of(&page));
        assert!(unit.contains("\nExecStart=/usr/bin/shop --config /etc/shop.conf\n"), "{unit}");
    }
}
