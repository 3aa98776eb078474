//! Which of the ready tasks runs next.
//!
//! Owns the ready tasks, each at most once; a running task is never among them. Every choice follows from the seed, from
//! the tasks in the order of their spawning, and from the script if there is one.

mod pct;
mod script;
mod starve;

use std::collections::VecDeque;

use self::pct::Pct;
use self::script::Script;
use self::starve::StarveOne;
use super::tasks::SlotIndex;
use crate::rng::SimRng;

pub use script::Choice;

/// How to choose among ready tasks. To choose as a list says, see [`super::Executor::follow_script`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// First come, first served: the calm order, for stories in which order is not the point.
    Fifo,
    /// Any of them, equally likely, as the seed says.
    RandomWalk,
    /// Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010): tasks have random
    /// priorities, the highest runs, and at `depth - 1` random moments the one that runs falls below all others. Finds
    /// a bug that takes `depth` ordered events far more often than a random walk does. 2, 3 and 5 are customary.
    Pct { depth: u32 },
    /// One task, or all tasks of one name, run only when nothing else is ready; now and then the victim changes.
    StarveOne,
}

pub(super) struct ReadyQueue {
    chooser: Chooser,
    len: usize,
    choice_count: u64,
}

enum Chooser {
    Fifo(VecDeque<SlotIndex>),
    RandomWalk(Vec<SlotIndex>, SimRng),
    Pct(Pct),
    StarveOne(StarveOne),
    Script(Script),
}

impl ReadyQueue {
    pub(super) fn new(seed: u64, policy: Policy) -> Self {
        let rng = SimRng::new(seed, "schedule");
        Self::by(match policy {
            Policy::Fifo => Chooser::Fifo(VecDeque::new()),
            Policy::RandomWalk => Chooser::RandomWalk(Vec::new(), rng),
            Policy::Pct { depth } => Chooser::Pct(Pct::new(rng, depth)),
            Policy::StarveOne => Chooser::StarveOne(StarveOne::new(rng)),
        })
    }

    pub(super) fn scripted(script: Vec<u32>) -> Self {
        Self::by(Chooser::Script(Script::new(script)))
    }

    fn by(chooser: Chooser) -> Self {
        Self { chooser, len: 0, choice_count: 0 }
    }

    /// Tells of a task before it is ready for the first time.
    pub(super) fn spawned(&mut self, slot: SlotIndex, name: &'static str) {
        match &mut self.chooser {
            Chooser::Fifo(_) | Chooser::RandomWalk(..) | Chooser::Script(_) => {}
            Chooser::Pct(pct) => pct.spawned(slot),
            Chooser::StarveOne(starve) => starve.spawned(slot, name),
        }
    }

    /// The caller sees to it that a task is pushed only when it is not there.
    pub(super) fn push(&mut self, slot: SlotIndex) {
        self.len += 1;
        match &mut self.chooser {
            Chooser::Fifo(queue) => queue.push_back(slot),
            Chooser::RandomWalk(ready, _) => ready.push(slot),
            Chooser::Pct(pct) => pct.push(slot),
            Chooser::StarveOne(starve) => starve.push(slot),
            Chooser::Script(script) => script.push(slot),
        }
    }

    pub(super) fn pick(&mut self) -> Option<SlotIndex> {
        self.choice_count += u64::from(self.len > 1);
        self.len = self.len.saturating_sub(1);
        match &mut self.chooser {
            Chooser::Fifo(queue) => queue.pop_front(),
            Chooser::RandomWalk(ready, rng) => pick_any(ready, rng),
            Chooser::Pct(pct) => pct.pick(),
            Chooser::StarveOne(starve) => starve.pick(),
            Chooser::Script(script) => script.pick(),
        }
    }

    /// Takes time in proportion to what is ready: for the rare task that ends without a turn of its own. The caller sees
    /// to it that the task is there.
    pub(super) fn remove(&mut self, slot: SlotIndex) {
        self.len -= 1;
        match &mut self.chooser {
            Chooser::Fifo(queue) => queue.retain(|&other| other != slot),
            Chooser::RandomWalk(ready, _) => ready.retain(|&other| other != slot),
            Chooser::Pct(pct) => pct.remove(slot),
            Chooser::StarveOne(starve) => starve.remove(slot),
            Chooser::Script(script) => script.remove(slot),
        }
    }

    /// Picks so far that had an alternative.
    pub(super) fn choice_count(&self) -> u64 {
        self.choice_count
    }

    /// The run is expected to take so many more choices. Only [`Policy::Pct`] wants to know.
    pub(super) fn expect_choices(&mut self, count: u64) {
        if let Chooser::Pct(pct) = &mut self.chooser {
            pct.expect_choices(count);
        }
    }

    /// What a script's picks were.
    pub(super) fn take_choices(&mut self) -> Vec<Choice> {
        match &mut self.chooser {
            Chooser::Script(script) => script.take_choices(),
            Chooser::Fifo(_) | Chooser::RandomWalk(..) | Chooser::Pct(_) | Chooser::StarveOne(_) => Vec::new(),
        }
    }
}

/// Any of them, equally likely.
fn pick_any(ready: &mut Vec<SlotIndex>, rng: &SimRng) -> Option<SlotIndex> {
    match ready.len() {
        0 => None,
        1 => ready.pop(),
        count => Some(ready.swap_remove(rng.below(count as u64) as usize)),
    }
}
