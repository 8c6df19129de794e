//! Requests that were counted for a process and never reached it.

/// Finds requests in the load of a process that nobody will send.
///
/// An httpd child counts a request for a process before it sends it. If the child is killed in
/// between, nobody takes the request off. So a process that rests looks at its load again and
/// again: what is in it each time is not on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unsent {
    /// The first of the looks in a row, and the least that was seen since.
    seen: Option<(u64, u32)>,
}

impl Unsent {
    /// Looks at a load of `running` requests. `rests` says that no thread has one of them. Returns
    /// how many have been there for at least `longest_us`: the caller takes them off.
    pub(crate) fn look(&mut self, rests: bool, running: u32, now_us: u64, longest_us: u64) -> u32 {
        if !rests || running == 0 {
            self.seen = None;
            return 0;
        }
        let (since_us, least) = self.seen.unwrap_or((now_us, running));
        let least = least.min(running);
        if now_us.saturating_sub(since_us) < longest_us {
            self.seen = Some((since_us, least));
            return 0;
        }
        self.seen = None;
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsent_requests_of_an_idle_process_are_removed() {
        let mut unsent = Unsent::default();
        // Two were left, and others come and go.
        let looks = [(true, 5), (true, 2), (true, 3)];
        for (second, (rests, running)) in (0..).zip(looks) {
            assert_eq!(unsent.look(rests, running, second, 3), 0);
        }
        assert_eq!(unsent.look(true, 4, 3, 3), 2);
        assert_eq!(unsent.look(true, 4, 4, 3), 0, "it begins again");
    }

    #[test]
    fn possible_requests_stay_counted() {
        let mut unsent = Unsent::default();
        for now_us in 0..100 {
            // A thread has one, or none is there, every third time.
            let rests = now_us % 6 != 0;
            let running = u32::from(now_us % 6 != 3);
            assert_eq!(unsent.look(rests, running, now_us, 3), 0);
        }
    }
}
