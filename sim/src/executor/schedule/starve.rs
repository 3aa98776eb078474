//! A random walk in which one task, or every task of one name, runs only when nothing else is ready.
//!
//! The victim is picked among tasks as they become ready, and let go after a random number of picks: a starved task
//! that others spin for gets its turn then.

use crate::executor::tasks::SlotIndex;
use crate::rng::SimRng;

use super::pick_any;

/// While there is no victim, one in so many tasks that become ready is made it.
const VICTIM_ONE_IN: u64 = 8;
/// For how many picks a victim stays one: a power of two between these, so that short and long hunger both happen.
const HUNGER_BITS_MIN: u64 = 4;
const HUNGER_BITS_MAX: u64 = 12;

pub(super) struct StarveOne {
    rng: SimRng,
    /// By slot.
    names: Vec<&'static str>,
    victim: Option<Victim>,
    picks_left: u64,
    others: Vec<SlotIndex>,
    starved: Vec<SlotIndex>,
}

#[derive(Clone, Copy)]
enum Victim {
    Task(SlotIndex),
    Kind(&'static str),
}

impl StarveOne {
    pub(super) fn new(rng: SimRng) -> Self {
        Self { rng, names: Vec::new(), victim: None, picks_left: 0, others: Vec::new(), starved: Vec::new() }
    }

    pub(super) fn spawned(&mut self, slot: SlotIndex, name: &'static str) {
        if self.names.len() <= slot as usize {
            self.names.resize(slot as usize + 1, "");
        }
        self.names[slot as usize] = name;
        // Whoever had the slot before has ended.
        if matches!(self.victim, Some(Victim::Task(victim)) if victim == slot) {
            self.victim = None;
        }
    }

    pub(super) fn push(&mut self, slot: SlotIndex) {
        if self.victim.is_none() && self.rng.below(VICTIM_ONE_IN) == 0 {
            self.choose_victim(slot);
        }
        if self.is_victim(slot) { self.starved.push(slot) } else { self.others.push(slot) }
    }

    pub(super) fn pick(&mut self) -> Option<SlotIndex> {
        self.picks_left = self.picks_left.saturating_sub(1);
        if self.picks_left == 0 {
            self.victim = None;
            self.others.append(&mut self.starved);
        }
        let from = if self.others.is_empty() { &mut self.starved } else { &mut self.others };
        pick_any(from, &self.rng)
    }

    pub(super) fn remove(&mut self, slot: SlotIndex) {
        self.others.retain(|&other| other != slot);
        self.starved.retain(|&other| other != slot);
    }

    fn choose_victim(&mut self, slot: SlotIndex) {
        let by_name = self.rng.below(2) == 0;
        self.victim = Some(if by_name { Victim::Kind(self.names[slot as usize]) } else { Victim::Task(slot) });
        let bits = HUNGER_BITS_MIN + self.rng.below(HUNGER_BITS_MAX - HUNGER_BITS_MIN + 1);
        self.picks_left = 1 << bits;
        // Those of the name that are ready already.
        let others = std::mem::take(&mut self.others);
        for other in others {
            if self.is_victim(other) { self.starved.push(other) } else { self.others.push(other) }
        }
    }

    fn is_victim(&self, slot: SlotIndex) -> bool {
        match self.victim {
            None => false,
            Some(Victim::Task(victim)) => victim == slot,
            Some(Victim::Kind(name)) => self.names[slot as usize] == name,
        }
    }
}
