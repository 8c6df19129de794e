//! Built applications: one per process and per distinct set of options.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::options::Chain;
use super::state::Named;
use crate::gateway::{Application, Level, Options, panic};
use crate::httpd::{Kept, log};

/// How long a factory that failed is left in peace.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An application as built for one chain of options, found without a look-up.
#[derive(Default)]
pub(super) struct Instance {
    built: OnceLock<(usize, Arc<dyn Application>)>,
}

type Key = (usize, Options);

/// All that this process has built, or failed to build.
static BUILT: Mutex<Option<HashMap<Key, Built>>> = Mutex::new(None);

/// An application, or when it could not be built.
type Built = Result<Arc<dyn Application>, Instant>;

impl Instance {
    /// The application for `options`; `None` when it cannot be built, which the log has said.
    pub(super) fn get(&self, named: Kept<Named>, options: Chain) -> Option<Arc<dyn Application>> {
        let identity = options.identity();
        if let Some((built_for, application)) = self.built.get()
            && Some(*built_for) == identity
        {
            return Some(Arc::clone(application));
        }
        let application = build(named, options)?;
        if let Some(identity) = identity {
            let _ = self.built.set((identity, Arc::clone(&application)));
        }
        Some(application)
    }
}

/// Builds an application for `options`, unless that was done before.
fn build(named: Kept<Named>, options: Chain) -> Option<Arc<dyn Application>> {
    let options = options.resolve(|name| named.factory.knows(name));
    let key = (named.as_ptr() as usize, options);
    let mut all = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let all = all.get_or_insert_default();
    match all.get(&key) {
        Some(Ok(application)) => return Some(Arc::clone(application)),
        Some(Err(failed)) if failed.elapsed() < RETRY_AFTER => return None,
        _ => {}
    }
    let result = panic::catch(|| named.factory.build(&key.1)).and_then(|built| built);
    match result {
        Ok(application) => {
            all.insert(key, Ok(Arc::clone(&application)));
            Some(application)
        }
        Err(error) => {
            let message = format!("RUST0007: application {} cannot be built: {error}", named.name);
            log::here(Level::Error, &message);
            all.insert(key, Err(Instant::now()));
            None
        }
    }
}
