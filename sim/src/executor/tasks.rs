//! The table of tasks: a slab whose slots are used again.
//!
//! Owns each task's future and its one waker while the task is not polled; both travel in a [`Turn`] while it is. A slot
//! number is an address within one executor and follows from the seed like everything else; a [`TaskId`] is never used
//! again, and tells whether whoever holds a slot number still means the task that lives there.

use std::borrow::Cow;
use std::task::Waker;

use super::state::{TaskFuture, TaskId};

/// Where a task lives.
pub(super) type SlotIndex = u32;

/// A task that is being polled, or is about to be.
pub(super) struct Turn {
    pub(super) slot: SlotIndex,
    pub(super) id: TaskId,
    pub(super) waker: Waker,
    /// `None`: the future that `block_on` awaits.
    pub(super) future: Option<TaskFuture>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Waiting,
    /// In the ready queue.
    Ready,
    Running,
    /// Woken while it runs: goes to the ready queue once its poll is over.
    RunningAndWoken,
}

/// Tasks that end together, as those of one process do. What a handle spawns is of the handle's group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(pub u32);

pub(super) struct Task {
    pub(super) id: TaskId,
    pub(super) name: &'static str,
    pub(super) group: Group,
    pub(super) status: Status,
    /// `None` while it runs.
    pub(super) waker: Option<Waker>,
    /// `None` while it runs, and always for the task that `block_on` awaits.
    pub(super) future: Option<TaskFuture>,
    /// What it says that it waits for, with the number of each statement.
    pub(super) labels: Vec<(u64, Cow<'static, str>)>,
}

#[derive(Default)]
pub(super) struct Tasks {
    slots: Vec<Option<Task>>,
    free: Vec<SlotIndex>,
}

impl Tasks {
    /// The slot that [`Tasks::insert`] will use next.
    pub(super) fn next_slot(&self) -> SlotIndex {
        self.free.last().copied().unwrap_or(self.slots.len() as SlotIndex)
    }

    pub(super) fn insert(&mut self, task: Task) -> SlotIndex {
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(task);
                slot
            }
            None => {
                self.slots.push(Some(task));
                (self.slots.len() - 1) as SlotIndex
            }
        }
    }

    pub(super) fn get_mut(&mut self, slot: SlotIndex, id: TaskId) -> Option<&mut Task> {
        self.slots.get_mut(slot as usize)?.as_mut().filter(|task| task.id == id)
    }

    /// Whoever lives there.
    pub(super) fn at_mut(&mut self, slot: SlotIndex) -> Option<&mut Task> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, slot: SlotIndex, id: TaskId) -> Option<Task> {
        let place = self.slots.get_mut(slot as usize)?;
        let task = place.take_if(|task| task.id == id)?;
        self.free.push(slot);
        Some(task)
    }

    /// All of them with their slots, by id.
    pub(super) fn by_id(&self) -> Vec<(SlotIndex, &Task)> {
        let mut tasks: Vec<_> =
            (0..).zip(&self.slots).filter_map(|(slot, task)| Some((slot, task.as_ref()?))).collect();
        tasks.sort_unstable_by_key(|(_, task)| task.id);
        tasks
    }

    /// Takes those of a group out that do not run just now; with their slots, by id.
    pub(super) fn take_group(&mut self, group: Group) -> Vec<(SlotIndex, Task)> {
        let mut members: Vec<_> = self.by_id().into_iter().map(|(slot, task)| (slot, task.id, task)).collect();
        members.retain(|(_, _, task)| task.group == group && task.future.is_some());
        let places: Vec<_> = members.into_iter().map(|(slot, id, _)| (slot, id)).collect();
        places.into_iter().filter_map(|(slot, id)| Some((slot, self.remove(slot, id)?))).collect()
    }

    /// Empties the table; the tasks by id.
    pub(super) fn take_all(&mut self) -> Vec<Task> {
        self.free.clear();
        let mut tasks: Vec<_> = std::mem::take(&mut self.slots).into_iter().flatten().collect();
        tasks.sort_unstable_by_key(|task| task.id);
        tasks
    }
}
