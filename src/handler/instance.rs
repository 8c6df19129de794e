//! Built applications: one per process and per distinct set of options.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::daemons;
use super::options::Chain;
use super::state::Named;
use crate::gateway::{Application, Error, ErrorKind, Level, Options, panic};
use crate::httpd::{Kept, Request, log};
use crate::protocol::bridge::{PairBlock, Pairs};

/// How long a factory that failed is left in peace.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An application as built for one chain of options, found without a look-up.
#[derive(Default)]
pub(super) struct Instance {
    built: OnceLock<(usize, Arc<dyn Application>)>,
    /// Its options as the bridge has them.
    encoded: OnceLock<(usize, PairBlock)>,
}

type Key = (usize, Options);

/// All that this process has built, or failed to build.
static BUILT: Mutex<Option<HashMap<Key, Built>>> = Mutex::new(None);

/// An application, or when it could not be built.
type Built = std::result::Result<Arc<dyn Application>, Instant>;

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

impl Instance {
    /// The options that a process of a group builds the application for; those of one request
    /// go into its pool.
    pub(super) fn encoded<'r>(
        &'r self,
        named: Kept<Named>,
        options: Chain,
        request: &Request<'r>,
    ) -> Pairs<'r> {
        let encode = || daemons::encode(&options.resolve(|name| named.factory.knows(name)));
        let Some(identity) = options.identity() else {
            return request.pool().own(encode()).pairs();
        };
        match self.encoded.get_or_init(|| (identity, encode())) {
            (made_for, block) if *made_for == identity => block.pairs(),
            _ => request.pool().own(encode()).pairs(),
        }
    }
}

/// Builds an application for `options`, unless that was done before.
fn build(named: Kept<Named>, options: Chain) -> Option<Arc<dyn Application>> {
    let options = options.resolve(|name| named.factory.knows(name));
    build_for(named, options, true).ok()
}

/// As [`build`], for options that are known.
///
/// # Errors
///
/// Why it cannot be built. The log says it too if it `is_told`: once, and again when it is tried
/// again. A daemon process says it itself.
pub(super) fn build_for(
    named: Kept<Named>,
    options: Options,
    is_told: bool,
) -> Result<Arc<dyn Application>, Error> {
    let key = (named.as_ptr() as usize, options);
    let mut all = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let all = all.get_or_insert_default();
    match all.get(&key) {
        Some(Ok(application)) => return Ok(Arc::clone(application)),
        Some(Err(failed)) if failed.elapsed() < RETRY_AFTER => {
            return Err(Error::of(ErrorKind::Options, "it could not be built a moment ago"));
        }
        _ => {}
    }
    let result = panic::catch(|| named.factory.build(&key.1)).and_then(|built| built);
    match result {
        Ok(application) => {
            all.insert(key, Ok(Arc::clone(&application)));
            Ok(application)
        }
        Err(error) => {
            if is_told {
                let message =
                    format!("RUST0007: application {} cannot be built: {error}", named.name);
                log::here(Level::Error, &message);
            }
            all.insert(key, Err(Instant::now()));
            Err(error)
        }
    }
}
