//! Probabilistic concurrency testing: the ready task of the highest priority runs.
//!
//! Every task gets a random priority when it is spawned. Of the `depth` ordered events that a bug needs, the first two
//! come in order if the priorities happen to say so, and each further one if the task that runs loses its priority at
//! the right moment; those moments are drawn beforehand among the choices that the run will have.
//!
//! Only a pick with an alternative counts as a choice. Nobody may spin for ever at a high priority: see [`Fairness`].

use std::collections::BinaryHeap;

use crate::executor::tasks::SlotIndex;
use crate::rng::SimRng;

/// A run's number of choices is not known beforehand: unless told, guess a power of two between these, so that some
/// seeds suit short runs and some suit long ones.
const GUESS_BITS_MIN: u64 = 4;
const GUESS_BITS_MAX: u64 = 14;
/// Priorities at spawning lie above those of the change points, 1 to `depth - 1`, and these above the losers' of
/// [`Fairness`], which are 0 and less.
const SPAWN_PRIORITY_BASE: i64 = 1 << 32;
const SPAWN_PRIORITY_SPAN: u64 = 1 << 62;

pub(super) struct Pct {
    rng: SimRng,
    depth: u32,
    /// By slot.
    priorities: Vec<i64>,
    ready: BinaryHeap<(i64, SlotIndex)>,
    choices: u64,
    /// At which choice the one that would run falls to which priority; the next one last.
    change_points: Vec<(u64, i64)>,
    fairness: Fairness,
}

impl Pct {
    pub(super) fn new(rng: SimRng, depth: u32) -> Self {
        let mut pct = Self {
            rng,
            depth,
            priorities: Vec::new(),
            ready: BinaryHeap::new(),
            choices: 0,
            change_points: Vec::new(),
            fairness: Fairness::default(),
        };
        let bits = GUESS_BITS_MIN + pct.rng.below(GUESS_BITS_MAX - GUESS_BITS_MIN + 1);
        pct.expect_choices(1 << bits);
        pct
    }

    /// Draws the change points anew among the next `count` choices.
    pub(super) fn expect_choices(&mut self, count: u64) {
        let points = i64::from(self.depth.saturating_sub(1));
        self.change_points =
            (1..=points).map(|priority| (self.choices + 1 + self.rng.below(count), priority)).collect();
        self.change_points.sort_unstable_by(|left, right| right.cmp(left));
    }

    pub(super) fn spawned(&mut self, slot: SlotIndex) {
        if self.priorities.len() <= slot as usize {
            self.priorities.resize(slot as usize + 1, 0);
        }
        self.priorities[slot as usize] = SPAWN_PRIORITY_BASE + self.rng.below(SPAWN_PRIORITY_SPAN) as i64;
        self.fairness.spawned(slot);
    }

    pub(super) fn push(&mut self, slot: SlotIndex) {
        self.ready.push((self.priorities[slot as usize], slot));
    }

    pub(super) fn pick(&mut self) -> Option<SlotIndex> {
        let Some((_, mut top)) = self.ready.pop() else {
            self.fairness.all_had_their_turn();
            return None;
        };
        if self.ready.is_empty() {
            return Some(top);
        }
        self.choices += 1;
        while let Some(&(_, priority)) = self.change_points.last().filter(|&&(at, _)| at <= self.choices) {
            self.change_points.pop();
            self.priorities[top as usize] = priority;
            self.push(top);
            (_, top) = self.ready.pop()?;
        }
        if let Some(priority) = self.fairness.lowered(top) {
            self.priorities[top as usize] = priority;
        }
        Some(top)
    }

    pub(super) fn remove(&mut self, slot: SlotIndex) {
        self.ready.retain(|&(_, other)| other != slot);
    }
}

/// Sees to it that what is ready runs some day: the paper's programs end, ours may spin until another task has run.
#[derive(Default)]
struct Fairness {
    last: Option<SlotIndex>,
    /// How often `last` was chosen in a row.
    in_a_row: u32,
    /// Choices since everything that was ready had its turn, that is, since time could last move.
    since_idle: u32,
    /// Losers so far: the later, the lower.
    lowered: i64,
}

impl Fairness {
    /// Longer than any burst of polls that a well-behaved task needs without a pause.
    const IN_A_ROW_MAX: u32 = 200;
    /// Tasks may also spin together, waking each other. From here on all take turns until everything is idle.
    const SINCE_IDLE_MAX: u32 = 20_000;

    fn spawned(&mut self, slot: SlotIndex) {
        if self.last == Some(slot) {
            self.last = None;
        }
    }

    fn all_had_their_turn(&mut self) {
        self.last = None;
        self.since_idle = 0;
    }

    /// The priority that the chosen task falls to after this turn, if it had too many.
    fn lowered(&mut self, chosen: SlotIndex) -> Option<i64> {
        self.in_a_row = if self.last == Some(chosen) { self.in_a_row + 1 } else { 1 };
        self.last = Some(chosen);
        self.since_idle = self.since_idle.saturating_add(1);
        if self.in_a_row < Self::IN_A_ROW_MAX && self.since_idle < Self::SINCE_IDLE_MAX {
            return None;
        }
        self.last = None;
        self.lowered -= 1;
        Some(self.lowered)
    }
}
