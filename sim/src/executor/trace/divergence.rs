//! Where two runs part that should have been one.

use std::fmt;
use std::ops::Range;

use super::{EVENTS_PER_CHECKPOINT, Event};

/// Enough to see what both runs did last.
const COMMON_EVENTS_MAX: usize = 10;

/// Two recordings that are not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Of the first event that differs, in the recordings.
    pub index: usize,
    /// `None`: this recording ends here, and the other goes on.
    pub left: Option<Event>,
    pub right: Option<Event>,
    /// The last events that both have, oldest first.
    pub before: Vec<Event>,
}

/// `None`: they are the same.
pub fn first_divergence(left: &[Event], right: &[Event]) -> Option<Divergence> {
    let index = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    let (left_event, right_event) = (left.get(index).copied(), right.get(index).copied());
    if left_event.is_none() && right_event.is_none() {
        return None;
    }
    let before = left[index.saturating_sub(COMMON_EVENTS_MAX)..index].to_vec();
    Some(Divergence { index, left: left_event, right: right_event, before })
}

/// The numbers of the events among which two runs part, from their checkpoints: record those, and compare. `None`: the
/// checkpoints that both have are the same, so the runs part after those, if at all.
pub fn first_unlike_stretch(left: &[u64], right: &[u64]) -> Option<Range<u64>> {
    let index = left.iter().zip(right).position(|(left, right)| left != right)? as u64;
    Some(index * EVENTS_PER_CHECKPOINT..(index + 1) * EVENTS_PER_CHECKPOINT)
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the recordings part at their event {}:", self.index)?;
        for (side, event) in [("one", self.left), ("the other", self.right)] {
            match event {
                Some(event) => writeln!(f, "  {side}: {event}")?,
                None => writeln!(f, "  {side}: ends here")?,
            }
        }
        write!(f, "after these, which both have:")?;
        for event in &self.before {
            write!(f, "\n  {event}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Divergence {}
