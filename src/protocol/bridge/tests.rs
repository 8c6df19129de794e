//! Round trips, and everything that is refused.
