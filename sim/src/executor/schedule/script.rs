//! Choices taken from a list, and a record of those that were made.
//!
//! Ready tasks stand in the order in which they became ready, so that choice 0 is always first come, first served.

use std::collections::VecDeque;

use crate::executor::tasks::SlotIndex;

/// One pick among several ready tasks. A pick without an alternative is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which one, counted in the order in which they became ready.
    pub chosen: u32,
    /// Of how many. At least 2.
    pub alternatives: u32,
}

pub(super) struct Script {
    script: Vec<u32>,
    choices: Vec<Choice>,
    ready: VecDeque<SlotIndex>,
}

impl Script {
    pub(super) fn new(script: Vec<u32>) -> Self {
        Self { script, choices: Vec::new(), ready: VecDeque::new() }
    }

    pub(super) fn push(&mut self, slot: SlotIndex) {
        self.ready.push_back(slot);
    }

    pub(super) fn pick(&mut self) -> Option<SlotIndex> {
        let alternatives = self.ready.len() as u32;
        if alternatives < 2 {
            return self.ready.pop_front();
        }
        let asked = self.script.get(self.choices.len()).copied().unwrap_or(0);
        let chosen = asked.min(alternatives - 1);
        self.choices.push(Choice { chosen, alternatives });
        self.ready.remove(chosen as usize)
    }

    pub(super) fn remove(&mut self, slot: SlotIndex) {
        self.ready.retain(|&other| other != slot);
    }

    pub(super) fn take_choices(&mut self) -> Vec<Choice> {
        self.script.clear();
        std::mem::take(&mut self.choices)
    }
}
