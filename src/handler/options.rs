//! The option lines of the configuration, chained from the innermost section outwards.

use crate::gateway::{Error, ErrorKind, Options};
use crate::httpd::{Pool, PoolRef};
use crate::protocol::bridge::{PairBlock, Pairs};

/// The option lines that hold somewhere, the innermost and last first.
#[derive(Clone, Copy, Default)]
pub(super) struct Chain(Option<PoolRef<Link>>);

enum Link {
    /// A line, and those before it in the same section. It lasts as long as the configuration,
    /// since .htaccess has none.
    Line { line: OptionLine, before: Chain },
    /// A section's lines within those of another, perhaps made for one request.
    Nested { inner: Chain, outer: Chain },
}

/// One `RustAppOption`.
#[derive(Debug)]
pub(super) struct OptionLine {
    pub(super) name: String,
    pub(super) value: String,
    /// `file:line`.
    pub(super) place: String,
}

impl Chain {
    /// Returns this chain with one more line.
    pub(super) fn with(self, line: OptionLine, pool: Pool<'_>) -> Self {
        Self::of(Link::Line { line, before: self }, pool)
    }

    /// `inner` within this.
    pub(super) fn around(self, inner: Self, pool: Pool<'_>) -> Self {
        match (self.0, inner.0) {
            (None, _) => inner,
            (_, None) => self,
            (Some(outer), Some(innermost)) if outer.as_ptr() == innermost.as_ptr() => self,
            _ => Self::of(Link::Nested { inner, outer: self }, pool),
        }
    }

    fn of(link: Link, pool: Pool<'_>) -> Self {
        // SAFETY: P3, P4: it goes into the record that is being made in this pool. It refers to
        // links of the records that this one is made of; they live at least as long.
        Self(Some(unsafe { pool.keep(link) }))
    }

    /// Returns what tells this chain from others of the configuration: the last lines of its
    /// sections, the innermost first. It is the same for each request to which they apply.
    pub(super) fn identity(self) -> Box<[usize]> {
        let mut sections = Vec::new();
        self.each_section(&mut |section| sections.push(section));
        sections.into()
    }

    /// Returns whether this chain has that identity.
    pub(super) fn is(self, identity: &[usize]) -> bool {
        match self.0 {
            None => identity.is_empty(),
            Some(_) => self.strip(identity).is_some_and(<[usize]>::is_empty),
        }
    }

    /// Returns what is left of an identity that begins with this chain's.
    fn strip(self, identity: &[usize]) -> Option<&[usize]> {
        let Some(link) = self.0 else { return Some(identity) };
        match &*link {
            Link::Line { .. } => {
                let (first, rest) = identity.split_first()?;
                (*first == link.as_ptr() as usize).then_some(rest)
            }
            Link::Nested { inner, outer } => outer.strip(inner.strip(identity)?),
        }
    }

    fn each_section(self, visit: &mut dyn FnMut(usize)) {
        let Some(link) = self.0 else { return };
        match &*link {
            Link::Line { .. } => visit(link.as_ptr() as usize),
            Link::Nested { inner, outer } => {
                inner.each_section(visit);
                outer.each_section(visit);
            }
        }
    }

    /// Visits the lines, those that hold first.
    pub(super) fn each(self, visit: &mut dyn FnMut(&OptionLine)) {
        let Some(link) = self.0 else { return };
        match &*link {
            Link::Line { line, before } => {
                visit(line);
                before.each(visit);
            }
            Link::Nested { inner, outer } => {
                inner.each(visit);
                outer.each(visit);
            }
        }
    }

    /// Returns the options in force whose names `wanted` accepts.
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

/// Encodes options in the way of the bridge's REQUEST, sorted by name.
pub(super) fn encode(options: &Options) -> PairBlock {
    let mut block = PairBlock::new();
    for (name, value) in options.iter() {
        // A directive's argument is far shorter than a pair may be.
        let _ = block.push(name.as_bytes(), value.as_bytes());
    }
    block
}

/// Decodes the options of a REQUEST.
pub(super) fn decode(options: Pairs<'_>) -> Result<Options, Error> {
    let malformed = || Error::of(ErrorKind::Options, "the options of a request are malformed");
    let mut decoded = Options::new();
    for (name, value) in options {
        let text = |bytes| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| malformed());
        decoded.set(text(name)?, text(value)?);
    }
    Ok(decoded)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn leaked(link: Link) -> Chain {
        // SAFETY: P3 holds for what lives forever.
        Chain(Some(unsafe { PoolRef::from_ref(Box::leak(Box::new(link))) }))
    }

    /// Returns a section with one line, as the configuration has it.
    pub(in super::super) fn section(name: &str) -> Chain {
        let line = OptionLine { name: name.into(), value: "x".into(), place: String::new() };
        leaked(Link::Line { line, before: Chain::default() })
    }

    /// Sections merged, the innermost first, as httpd does anew for each request.
    pub(in super::super) fn merged(sections: &[Chain]) -> Chain {
        let nest = |inner, &outer| leaked(Link::Nested { inner, outer });
        sections[1..].iter().fold(sections[0], nest)
    }

    #[test]
    fn an_identity_is_that_of_the_sections() {
        let [a, b, c] = ["a", "b", "c"].map(section);
        let none = Chain::default();
        let chains =
            [none, a, b, merged(&[a, b]), merged(&[b, a]), merged(&[a, b, c]), merged(&[a, c])];
        for (at, one) in chains.iter().enumerate() {
            for (other_at, other) in chains.iter().enumerate() {
                assert_eq!(one.is(&other.identity()), at == other_at, "{at} {other_at}");
            }
        }
        // Made again, and nested the other way round.
        let again = leaked(Link::Nested { inner: a, outer: merged(&[b, c]) });
        assert!(again.is(&merged(&[a, b, c]).identity()));
    }
}
