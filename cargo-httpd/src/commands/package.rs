//! `cargo httpd package`

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use httpd_config::{Headers, Httpd};

use super::Execute;
use crate::deb::{self, Content, Deb, Maintainer};
use crate::ensure::{self, Need};
use crate::product::ProductArgs;
use crate::progress::{Progress, Step};
use crate::project::{Package, Project};
use crate::server::short;

/// Make a Debian package of the module or of the gateway program, and print its path.
///
/// libapache2-mod-NAME has the module and the files that load and configure it. It depends on an
/// httpd with the same module magic number that is not older than the one that it was built for.
/// Its installation enables the module, by Debian's policy for apache2's modules.
///
/// With --gateway, the package has the program alone, as a service of systemd with a socket and a
/// configuration file. It needs no httpd.
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
        let project = Project::load()?;
        let folder = project.target_dir.join("debian");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let file = match &self.product.gateway {
            Some(name) => self.pack_program(&project, name.as_deref(), &folder)?,
            None => self.pack_module(&project, yes, &folder)?,
        };
        writeln!(std::io::stdout(), "{}", short(&file).display())?;
        Ok(())
    }
}

impl PackageArgs {
    fn pack_module(&self, project: &Project, yes: bool, folder: &Path) -> Result<PathBuf> {
        let progress = Progress::new(2 + self.product.steps());
        let selection = self.product.select(project)?;
        let about = &selection.package.about;
        let maintainer = Maintainer::find(self.maintainer.as_deref(), about)?;

        let step = progress.step("Looking for httpd, its headers and libclang");
        ensure::ensure(&[Need::Run], yes, &step)?;
        let (httpd, headers) = (Httpd::locate()?, Headers::locate()?);
        step.done(httpd.server_string());

        let product = self.product.build(project, selection, &progress)?;
        let step = progress.step("Packing");
        let content = deb::module(&product, &httpd, &headers, folder)?;
        self.pack(&content, maintainer, selection.package, folder, step)
    }

    fn pack_program(
        &self,
        project: &Project,
        name: Option<&str>,
        folder: &Path,
    ) -> Result<PathBuf> {
        let progress = Progress::new(2);
        let (package, name) = project.gateway(name)?;
        let maintainer = Maintainer::find(self.maintainer.as_deref(), &package.about)?;
        let program = self.product.build_program(package, name, &progress)?;
        let step = progress.step("Packing");
        let content = deb::service(&program, &package.about, folder)?;
        self.pack(&content, maintainer, package, folder, step)
    }

    fn pack(
        &self,
        content: &Content,
        maintainer: Maintainer,
        package: &Package,
        folder: &Path,
        step: Step,
    ) -> Result<PathBuf> {
        let deb = Deb {
            revision: self.revision,
            maintainer,
            about: &package.about,
            source: &package.dir,
        };
        let file = deb.make(content, folder)?;
        step.done(&format!("Packed {}", content.name));
        Ok(file)
    }
}
