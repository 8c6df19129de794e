//! The administration of the content management framework Laterite, whole: accounts and roles,
//! sessions and the media library's uploads in an SQLite database and a folder.
//!
//! Laterite's own `Bootstrap::serve` loads a configuration, connects, migrates, builds this router
//! and listens. What stands here is the same without the listening, as its public API allows it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit};
use laterite_admin::{AdminConfig, Contributions, builtin_migrations, system_roles};
use laterite_auth::{AuthConfig, AuthService};
use laterite_core::config::DatabaseConfig;
use laterite_core::{CatalogStore, ModuleId, Registry, db, migration};
use laterite_media::{DiskReg, LocalDisk};
use mod_rust::Factory;
use mod_rust::gateway::service::with_extension;
use mod_rust::gateway::{Error, Result};
use serde::Deserialize;

/// The options, which `RustAppOption` sets.
#[derive(Clone, Debug, Deserialize)]
pub struct Options {
    /// The folder for the database and for what is uploaded.
    pub folder: PathBuf,
    /// Key material for what Laterite signs, the same in every process.
    pub secret: String,
}

/// The largest upload; axum's own limit is 2 MB.
const UPLOAD: usize = 64 << 20;

/// Returns the router.
///
/// # Errors
///
/// The database cannot be opened, or cannot be migrated to its present schema.
pub async fn router(options: &Options) -> Result<Router> {
    let failed = |what| move |error| Error::from_source(format!("{what}: {error}"));
    let url = format!("sqlite://{}?mode=rwc", options.folder.join("office.db").display());
    let config = DatabaseConfig { url, ..DatabaseConfig::default() };
    let db = db::connect(&config).await.map_err(failed("the database"))?;
    // Several processes start at once, and a migration takes no second one beside it.
    let lock = File::create(options.folder.join("office.lock"))?;
    lock.lock()?;
    let migrated = migration::run(&db.pool, db.backend, &builtin_migrations()).await;
    migrated.map_err(failed("the migrations"))?;
    let roles = laterite_auth::store::sync_system_roles(&db, &system_roles(&[])).await;
    roles.map_err(|error| Error::from_source(format!("the roles: {error}")))?;
    drop(lock);

    let mut disks = Registry::new();
    disks.set_owner(ModuleId::new("mod-rust.office"));
    disks.add(DiskReg::new("public", Arc::new(LocalDisk::new(options.folder.join("media")))));
    let contributions = Contributions { plugin_defined: Arc::new(disks), ..Default::default() };
    let mut config = AdminConfig::default();
    config.app_name = "Office".to_owned();
    config.storage_dir = options.folder.join("storage").display().to_string();
    config.secret = options.secret.clone().into_bytes();
    let auth = AuthService::new(db.clone(), AuthConfig::default());
    let router =
        laterite_admin::router(auth, db, contributions, config, Arc::new(CatalogStore::default()));
    Ok(router.layer(DefaultBodyLimit::max(UPLOAD)))
}

/// The application.
#[must_use]
pub fn factory() -> Factory {
    Factory::service_with_options(|options: Options| {
        // A factory runs on a thread without a task, in the context of the process's runtime.
        let router = tokio::runtime::Handle::current().block_on(router(&options))?;
        Ok(with_extension(router, |environ| environ.peer_addr().map(ConnectInfo)))
    })
}
