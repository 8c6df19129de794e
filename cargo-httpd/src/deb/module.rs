//! The package of a module: the module where apache2 has its own, with the files that load and
//! configure it, enabled by Debian's own helper for modules.

use std::path::Path;

use anyhow::{Context, Result, bail};
use httpd_config::{Headers, Httpd};

use super::{Content, File, Kind, read, tools};
use crate::fill::fill;
use crate::product::Product;

/// The maintainer scripts, by name.
const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("../../templates/deb/postinst.in")),
    ("postrm", include_str!("../../templates/deb/postrm.in")),
    ("prerm", include_str!("../../templates/deb/prerm.in")),
];
const LOAD: &str = include_str!("../../templates/deb/load.in");

/// Returns the content of a module's package. `folder` is for Debian's tools.
///
/// # Errors
/// Fails when httpd is not Debian's, or one of the tools does.
pub(crate) fn module(
    product: &Product,
    httpd: &Httpd,
    headers: &Headers,
    folder: &Path,
) -> Result<Content> {
    let modules_dir = httpd.modules_dir();
    if modules_dir != Path::new("/usr/lib/apache2/modules") {
        bail!(
            "modules folder \"{}\": not that of Debian's httpd; unset HTTPD, APXS and \
             HTTPD_MODULESDIR, or package on Debian or Ubuntu",
            modules_dir.display()
        );
    }
    let module = product.module();
    let module_file = format!("/usr/lib/apache2/modules/mod_{module}.so");
    let values = [("MODULE", module), ("MODULE_FILE", module_file.as_str())];
    let available = format!("etc/apache2/mods-available/{module}");
    let files = vec![
        File::of(&module_file[1..], read(&product.file.path)?, Kind::Library),
        File::of(format!("{available}.conf"), product.conf.as_str(), Kind::Conffile),
        File::of(format!("{available}.load"), fill(LOAD, &values), Kind::Conffile),
    ];
    Ok(Content {
        // The form is that of Debian's policy for modules.
        name: format!("libapache2-mod-{}", module.replace('_', "-")),
        depends: depends(product, httpd, headers, folder)?,
        summary: "web application for Apache httpd",
        has: format!(
            " This package has mod_{module}.so, a module for Apache httpd with web applications\n \
             written in Rust, and the files that load and configure it."
        ),
        files,
        scripts: SCRIPTS.map(|(name, script)| (name, fill(script, &values))).into(),
    })
}

/// Returns the dependencies of the package: the libraries that it is linked with, an httpd of its
/// module magic number, and none older than the one that it was built for (RUST0104).
fn depends(product: &Product, httpd: &Httpd, headers: &Headers, folder: &Path) -> Result<String> {
    let libraries = tools::libraries(folder, &product.file.path)?;
    let version = headers.version().context("the headers of httpd do not say their version")?;
    let api = httpd.mmn().major;
    let httpd = format!("apache2-api-{api}, apache2-bin (>= {version}~)");
    Ok(if libraries.is_empty() { httpd } else { format!("{libraries}, {httpd}") })
}
