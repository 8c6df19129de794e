//! `cargo httpd package`

use std::io::Write;

use anyhow::{Context, Result};
use clap::Args;
use httpd_config::{Headers, Httpd};

use super::Execute;
use crate::deb::{Deb, Maintainer};
use crate::ensure::{self, Need};
use crate::product::ProductArgs;
use crate::progress::Progress;
use crate::project::Project;
use crate::server::short;

/// Make a Debian package of the module, and print its path.
///
/// libapache2-mod-NAME has the module and the files that load and configure it. It depends on an
/// httpd with the same module magic number that is not older than the one that it was built for.
/// Its installation enables the module, by Debian's policy for apache2's modules.
#[derive(Args, Debug)]
pub(crate) struct PackageArgs {
    #[command(flatten)]
    product: ProductArgs,
    /// The number of the package among those of the same version.
    #[arg(long, value_name = "N", default_value_t = 1)]
    revision: u32,
    /// The package's maintainer: 'Jo <jo@example.org>'. By default DEBFULLNAME and DEBEMAIL, the
    /// first author in Cargo.toml, or git's user.
    #[arg(long, value_name = "NAME <ADDRESS>")]
    maintainer: Option<String>,
}

impl Execute for PackageArgs {
    fn execute(self, yes: bool) -> Result<()> {
        let progress = Progress::new(2 + self.product.steps());
        let project = Project::load()?;
        let selection = self.product.select(&project)?;
        let about = &selection.package.about;
        let maintainer = Maintainer::find(self.maintainer.as_deref(), about)?;

        let step = progress.step("Looking for httpd, its headers and libclang");
        ensure::ensure(&[Need::Run], yes, &step)?;
        let (httpd, headers) = (Httpd::locate()?, Headers::locate()?);
        step.done(httpd.server_string());

        let product = self.product.build(&project, selection, &progress)?;
        let step = progress.step("Packing");
        let folder = project.target_dir.join("debian");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let deb = Deb {
            product: &product,
            revision: self.revision,
            maintainer,
            source: &selection.package.dir,
        };
        let file = deb.make(&httpd, &headers, &folder)?;
        step.done(&format!("Packed {}", deb.name()));
        writeln!(std::io::stdout(), "{}", short(&file).display())?;
        Ok(())
    }
}
