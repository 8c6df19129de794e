//! The option lines of the configuration, chained from the innermost section outwards.

use crate::gateway::Options;
use crate::httpd::{Kept, Pool};

/// The option lines that hold somewhere, the innermost and last first.
#[derive(Clone, Copy, Default)]
pub(super) struct Chain(Option<Kept<Link>>);

struct Link {
    kind: Kind,
    /// Whether this link was made with the configuration, so that its address tells it from others.
    is_lasting: bool,
}

enum Kind {
    /// A line, and those before it in the same section.
    Line { line: Line, before: Chain },
    /// A section's lines within those of another.
    Nested { inner: Chain, outer: Chain },
}

/// One `RustAppOption`.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) value: String,
    /// `file:line`.
    pub(super) place: String,
}

impl Chain {
    /// This with one more line.
    pub(super) fn with(self, line: Line, pool: Pool<'_>, is_lasting: bool) -> Self {
        Self::of(Link { kind: Kind::Line { line, before: self }, is_lasting }, pool)
    }

    /// `inner` within this.
    pub(super) fn around(self, inner: Self, pool: Pool<'_>, is_lasting: bool) -> Self {
        match (self.0, inner.0) {
            (None, _) => inner,
            (_, None) => self,
            (Some(outer), Some(innermost)) if outer.as_ptr() == innermost.as_ptr() => self,
            _ => {
                let kind = Kind::Nested { inner, outer: self };
                Self::of(Link { kind, is_lasting }, pool)
            }
        }
    }

    fn of(link: Link, pool: Pool<'_>) -> Self {
        // SAFETY: P3, P4: it goes into the record that is being made in this pool, and refers to
        // links of records that this one is made of, which live as long or longer.
        Self(Some(unsafe { pool.keep(link) }))
    }

    /// What tells this chain from others for as long as the process lives; `None` when it was made
    /// for one request.
    pub(super) fn identity(self) -> Option<usize> {
        match self.0 {
            None => Some(0),
            Some(link) => link.is_lasting.then(|| link.as_ptr() as usize),
        }
    }

    /// Visits the lines, those that hold first.
    pub(super) fn each(self, visit: &mut dyn FnMut(&Line)) {
        let Some(link) = self.0 else { return };
        match &link.kind {
            Kind::Line { line, before } => {
                visit(line);
                before.each(visit);
            }
            Kind::Nested { inner, outer } => {
                inner.each(visit);
                outer.each(visit);
            }
        }
    }

    /// What holds, of the options whose name `wanted` wants.
    pub(super) fn resolve(self, wanted: impl Fn(&str) -> bool) -> Options {
        let mut options = Options::new();
        self.each(&mut |line| {
            if wanted(&line.name) && options.get(&line.name).is_none() {
                options.set(line.name.clone(), line.value.clone());
            }
        });
        options
    }
}
