//! Which of the ready tasks runs next.

use std::collections::{BTreeSet, VecDeque};

use super::state::TaskId;
use crate::rng::SimRng;

/// How to choose among ready tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// First come, first served: the calm order, for stories in which order is not the point.
    Fifo,
    /// Any of them, equally likely, as the seed says.
    RandomWalk,
}

/// The ready tasks, each at most once.
pub(super) struct ReadyQueue {
    policy: Policy,
    rng: SimRng,
    order: VecDeque<TaskId>,
    members: BTreeSet<TaskId>,
}

impl ReadyQueue {
    pub(super) fn new(seed: u64, policy: Policy) -> Self {
        Self { policy, rng: SimRng::new(seed, "schedule"), order: VecDeque::new(), members: BTreeSet::new() }
    }

    pub(super) fn push(&mut self, id: TaskId) {
        if self.members.insert(id) {
            self.order.push_back(id);
        }
    }

    pub(super) fn pick(&mut self) -> Option<TaskId> {
        let index = match self.policy {
            Policy::Fifo => 0,
            Policy::RandomWalk => self.rng.below(self.order.len() as u64) as usize,
        };
        let id = self.order.remove(index)?;
        self.members.remove(&id);
        Some(id)
    }

    pub(super) fn remove(&mut self, id: TaskId) {
        if self.members.remove(&id) {
            self.order.retain(|&other| other != id);
        }
    }
}
