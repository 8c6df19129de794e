//! The load of a process in one word, so that each change is one step.

/// The word of a slot, taken apart: one word, so that each change is one step.
///
/// 22 bits for requests with a thread, or that want one; 22 for parked ones; 20 for the
/// incarnation, which tells a process from those that had the slot before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LoadWord(pub(super) u64);

impl LoadWord {
    const BITS: u32 = 22;
    const MASK: u64 = (1 << Self::BITS) - 1;
    /// One parked request.
    pub(super) const PARKED: u64 = 1 << Self::BITS;

    pub(super) const fn running(self) -> u32 {
        (self.0 & Self::MASK) as u32
    }

    pub(super) const fn parked(self) -> u32 {
        ((self.0 >> Self::BITS) & Self::MASK) as u32
    }

    pub(super) const fn incarnation(self) -> u32 {
        (self.0 >> (2 * Self::BITS)) as u32
    }

    /// No request, and the next incarnation.
    pub(super) const fn first_of_next_incarnation(self) -> u64 {
        ((self.0 >> (2 * Self::BITS)) + 1) << (2 * Self::BITS)
    }
}
