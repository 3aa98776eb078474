//! How many failures reach the log: each is one line, but a storm of them is not a storm of lines.

use std::time::Duration;

use crate::env::Time;

/// Lines that may come at once.
const BURST: u32 = 20;
/// After a burst, one line in this time.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Complaints {
    lines_left: u32,
    refilled_at: Time,
    held_back: u64,
}

impl Default for Complaints {
    fn default() -> Self {
        Self { lines_left: BURST, refilled_at: Time::ZERO, held_back: 0 }
    }
}

impl Complaints {
    /// `Some`: log it, and say how many were held back since the last line. `None`: hold it back.
    pub(super) fn admit(&mut self, now: Time) -> Option<u64> {
        let due = (now.since(self.refilled_at).as_nanos() / EVERY.as_nanos()).min(u128::from(BURST)) as u32;
        if due > 0 {
            self.lines_left = (self.lines_left + due).min(BURST);
            self.refilled_at = now;
        }
        if self.lines_left == 0 {
            self.held_back += 1;
            return None;
        }
        self.lines_left -= 1;
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BURST, Complaints};
    use crate::env::Time;

    #[test]
    fn a_storm_of_failures_is_a_burst_of_lines_and_then_one_a_second_with_the_count() {
        let mut complaints = Complaints::default();
        let at = |seconds| Time(Duration::from_secs(seconds));
        let logged = (0..1000).filter(|_| complaints.admit(at(100)).is_some()).count();
        assert_eq!(logged, BURST as usize);
        assert_eq!(complaints.admit(at(101)), Some(1000 - u64::from(BURST)));
        assert_eq!(complaints.admit(at(101)), None);
        assert_eq!(complaints.admit(at(200)), Some(1));
    }
}
