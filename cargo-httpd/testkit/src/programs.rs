//! Finds programs under test in the build's folder.

use std::path::{Path, PathBuf};

use crate::modules;
use crate::root::is_open_to_all;

/// Returns the file of a program under test.
///
/// A path (with a slash) is taken as it is. A bare name is looked for in `$HTTPD_TESTKIT_MODULES`,
/// if that is set, and in `target/<profile>` of the running test. The newest one is meant.
///
/// # Errors
/// Fails when there is none: the text lists the places.
pub fn find_program(name: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        let path = PathBuf::from(name);
        return path
            .canonicalize()
            .map_err(|error| format!("the program {name} cannot be used: {error}"));
    }
    let mut places = modules::places()?;
    places.extend(modules::profile_folders()?);
    let found = places.iter().map(|place| place.join(name));
    found
        .filter_map(|path| Some((modules::modified(&path)?, path)))
        .max()
        .map(|(_, path)| path)
        .ok_or_else(|| {
            let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
            format!(
                "the program {name} is not in {}: build it first (cargo build --bin {name})",
                places.join(" or ")
            )
        })
}

/// True if any user may run the program `path`: a server that has dropped its privileges may.
pub fn is_open_program(path: &Path) -> bool {
    path.parent().is_some_and(is_open_to_all)
}
