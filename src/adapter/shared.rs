//! The environ for what outlives the hook: a service's request, in whatever thread it is by then.

use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use super::exchange::RequestExchange;
use crate::gateway::{SharedVariables, Variables as _};

/// The environ of an exchange. On the exchange's own thread it is the live view; for others it is
/// there from the moment that the exchange's thread first waits, or is done.
pub(super) struct Shared {
    owner: ThreadId,
    /// The exchange, until it is over. Only its own thread looks behind the pointer.
    live: AtomicPtr<()>,
    frozen: Mutex<Option<Frozen>>,
    is_frozen: Condvar,
}

type Frozen = Vec<(Box<[u8]>, Box<[u8]>)>;

impl Shared {
    pub(super) fn new(exchange: &RequestExchange<'_, '_>) -> Self {
        Self {
            owner: thread::current().id(),
            live: AtomicPtr::new(std::ptr::from_ref(exchange).cast_mut().cast()),
            frozen: Mutex::new(None),
            is_frozen: Condvar::new(),
        }
    }

    /// Makes the environ visible to other threads.
    pub(super) fn freeze(&self, exchange: &RequestExchange<'_, '_>) {
        let mut frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        if frozen.is_none() {
            let mut all = Vec::new();
            exchange.each(&mut |key, value| all.push((key.into(), value.into())));
            *frozen = Some(all);
            self.is_frozen.notify_all();
        }
    }

    /// The exchange is over: nothing of it is looked at from here on.
    pub(super) fn end(&self) {
        self.live.store(std::ptr::null_mut(), Ordering::Relaxed);
    }

    fn with<T>(
        &self,
        live: impl FnOnce(&RequestExchange<'_, '_>) -> T,
        frozen: impl FnOnce(&Frozen) -> T,
    ) -> T {
        if thread::current().id() == self.owner {
            let exchange = self.live.load(Ordering::Relaxed).cast::<RequestExchange<'_, '_>>();
            // SAFETY: P2: this is the exchange's own thread, which has it on its stack until it
            // calls `end`.
            if let Some(exchange) = unsafe { exchange.as_ref() } {
                return live(exchange);
            }
        }
        let mut guard = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(all) = &*guard {
                return frozen(all);
            }
            guard = self.is_frozen.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl SharedVariables for Shared {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.with(
            |exchange| exchange.get(key).map(<[u8]>::to_vec),
            |all| all.iter().find(|(name, _)| **name == *key).map(|(_, value)| value.to_vec()),
        )
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        // The visitor may take its time: what it sees is not locked meanwhile.
        let all = self.with(
            |exchange| {
                let mut all = Frozen::new();
                exchange.each(&mut |key, value| all.push((key.into(), value.into())));
                all
            },
            Frozen::clone,
        );
        for (key, value) in &all {
            visit(key, value);
        }
    }
}
