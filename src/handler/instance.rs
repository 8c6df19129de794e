//! Applications and their instances: one per process and per distinct set of options.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use super::options::{self, Chain};
use crate::gateway::{Application, Code, Error, ErrorKind, Factory, Level, Options};
use crate::httpd::{PoolRef, Request, log};
use crate::protocol::bridge::{PairBlock, Pairs};

/// The pause after a factory failed, before it is called again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// For how many combinations of sections an instance remembers its application. For others it is
/// looked up among all that the process has built.
const MOST_REMEMBERED: usize = 64;

/// An application of this module's.
pub(super) struct NamedApplication {
    pub(super) name: String,
    pub(super) factory: Factory,
    /// Which of the module's applications it is: so the bridge names it.
    pub(super) number: u32,
    /// The application as `RustApp` first had it built.
    pub(super) sectional: Instance,
}

/// The application of a mount or of a `RustApp`, as built for the sections that apply to requests,
/// found without a lock.
#[derive(Default)]
pub(super) struct Instance {
    first: OnceLock<Remembered>,
}

/// A combination of sections, with what was made for it.
struct Remembered {
    identity: Box<[usize]>,
    /// [`BUILT`] owns it, so that its state can be dropped when the process ends.
    application: OnceLock<Weak<dyn Application>>,
    /// Its options as the bridge has them.
    encoded: OnceLock<PairBlock>,
    next: OnceLock<Box<Self>>,
}

impl Remembered {
    fn new(options: Chain) -> Self {
        Self {
            identity: options.identity(),
            application: OnceLock::new(),
            encoded: OnceLock::new(),
            next: OnceLock::new(),
        }
    }
}

impl Instance {
    /// Returns the application for `options`; `None` when it cannot be built, which the log has
    /// said.
    pub(super) fn get(
        &self,
        named: PoolRef<NamedApplication>,
        options: Chain,
    ) -> Option<Arc<dyn Application>> {
        self.get_or_build(options, || build(named, options))
    }

    /// Returns the options that a process of a group builds the application for. Where there are
    /// too many combinations to remember, those of a request go into its pool.
    pub(super) fn encoded<'r>(
        &'r self,
        named: PoolRef<NamedApplication>,
        options: Chain,
        request: &Request<'r>,
    ) -> Pairs<'r> {
        let encode = || options::encode(&options.resolve(|name| named.factory.knows(name)));
        match self.remembered(options) {
            Some(remembered) => remembered.encoded.get_or_init(encode).pairs(),
            None => request.pool().own(encode()).pairs(),
        }
    }

    fn get_or_build(
        &self,
        options: Chain,
        build: impl FnOnce() -> Option<Arc<dyn Application>>,
    ) -> Option<Arc<dyn Application>> {
        let remembered = self.remembered(options);
        if let Some(application) = remembered.and_then(|it| it.application.get()?.upgrade()) {
            return Some(application);
        }
        let application = build()?;
        if let Some(remembered) = remembered {
            // Another thread that was first got the same application.
            let _ = remembered.application.set(Arc::downgrade(&application));
        }
        Some(application)
    }

    /// Finds what is remembered for `options`, or begins to remember them.
    // Each request asks, and the first combination is mostly the only one.
    #[inline(always)]
    fn remembered(&self, options: Chain) -> Option<&Remembered> {
        let mut remembered = self.first.get_or_init(|| Remembered::new(options));
        for _ in 1..MOST_REMEMBERED {
            if options.is(&remembered.identity) {
                return Some(remembered);
            }
            remembered = remembered.next.get_or_init(|| Box::new(Remembered::new(options)));
        }
        options.is(&remembered.identity).then_some(remembered)
    }
}

type Key = (usize, Options);

/// All that this process has built, or failed to build: a cell for each key. The lock on all of
/// them is held for the look-up only, so that a slow factory keeps nobody waiting but who needs its
/// application.
static BUILT: Mutex<Built> = Mutex::new(Built::Nothing);

enum Built {
    Nothing,
    Some(HashMap<Key, Arc<Cell>>),
    /// The process ends: nothing is built any more.
    Over,
}

/// An application, or when it could not be built; nothing while it never was.
type Cell = Mutex<Option<std::result::Result<Arc<dyn Application>, Instant>>>;

/// Returns the cell of `key`, or `None` if the process ends.
fn cell(key: Key) -> Option<Arc<Cell>> {
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*built, Built::Nothing) {
        *built = Built::Some(HashMap::new());
    }
    match &mut *built {
        Built::Some(all) => Some(Arc::clone(all.entry(key).or_default())),
        Built::Nothing | Built::Over => None,
    }
}

/// Takes all applications of this process, when it ends.
pub(super) fn take_all() -> Vec<Arc<dyn Application>> {
    // prefork ends a child within a signal handler, which may have interrupted the owner of the lock.
    let mut built = match BUILT.try_lock() {
        Ok(built) => built,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return Vec::new(),
    };
    match std::mem::replace(&mut *built, Built::Over) {
        Built::Some(all) => {
            let built = all.into_values().filter_map(|cell| cell.try_lock().ok()?.take()?.ok());
            built.collect()
        }
        Built::Nothing | Built::Over => Vec::new(),
    }
}

/// Builds an application for `options`, unless that was done before.
fn build(named: PoolRef<NamedApplication>, options: Chain) -> Option<Arc<dyn Application>> {
    let options = options.resolve(|name| named.factory.knows(name));
    build_for(named, options, true).ok()
}

/// Builds an application for options that are known, unless that was done before.
///
/// # Errors
///
/// Why it cannot be built. The log says it too if it `is_told`: once, and again when it is tried
/// again. A daemon process says it itself.
pub(super) fn build_for(
    named: PoolRef<NamedApplication>,
    options: Options,
    is_told: bool,
) -> Result<Arc<dyn Application>, Error> {
    let cell = cell((named.as_ptr() as usize, options.clone()))
        .ok_or_else(|| Error::of(ErrorKind::Resources, "the process ends"))?;
    let mut built = cell.lock().unwrap_or_else(PoisonError::into_inner);
    match &*built {
        Some(Ok(application)) => return Ok(Arc::clone(application)),
        Some(Err(failed)) if failed.elapsed() < RETRY_AFTER => {
            return Err(Error::of(ErrorKind::Options, "it could not be built a moment ago"));
        }
        _ => {}
    }
    match named.factory.build_caught(&options) {
        Ok(application) => {
            *built = Some(Ok(Arc::clone(&application)));
            Ok(application)
        }
        Err(error) => {
            if is_told {
                let message = Code::NotBuilt
                    .line(format_args!("application {} cannot be built: {error}", named.name));
                log::here(Level::Error, &message);
            }
            *built = Some(Err(Instant::now()));
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::{merged, section};
    use super::*;
    use crate::gateway::app_fn;

    fn application() -> Arc<dyn Application> {
        Arc::new(app_fn(|_, _| Err(Error::new("it is not called"))))
    }

    #[test]
    fn options_from_several_sections_are_resolved_once() {
        let [server, host, location] = ["server", "host", "location"].map(section);
        let instance = Instance::default();
        let (mut built, mut owned) = (0, Vec::new());
        for _ in 0..1000 {
            // Two virtual hosts that share a mount, and sections nested in each.
            for sections in
                [&[server][..], &[host, server], &[location, server], &[location, host, server]]
            {
                let application = instance.get_or_build(merged(sections), || {
                    built += 1;
                    owned.push(application());
                    owned.last().cloned()
                });
                assert!(application.is_some());
            }
        }
        assert_eq!(built, 4);
    }

    #[test]
    fn the_cache_is_bounded() {
        let instance = Instance::default();
        let sections: Vec<_> = (0..=MOST_REMEMBERED).map(|_| section("x")).collect();
        let (mut built, mut owned) = (0, Vec::new());
        for _ in 0..2 {
            for options in &sections {
                let application = instance.get_or_build(*options, || {
                    built += 1;
                    owned.push(application());
                    owned.last().cloned()
                });
                assert!(application.is_some());
            }
        }
        assert_eq!(built, MOST_REMEMBERED + 2, "all but the last are remembered");
    }
}
