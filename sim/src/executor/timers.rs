//! The timers: a heap of deadlines beside a slab of wakers.
//!
//! A cancelled timer leaves its slot at once and its place in the heap later: most timers are deadlines of requests that
//! answer long before. Timers fire by deadline, equal deadlines in the order of registration. Wakers leave through
//! return values, for the caller to wake or drop once it holds no lock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

use holdfast::env::Time;

use super::state::TaskId;

/// Below this many dead entries the heap is not worth a sweep.
const SWEEP_MIN: usize = 64;

/// A slot, and which of the timers that lived there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimerId {
    slot: u32,
    number: u64,
}

struct Timer {
    /// From 1 in the order of registration; 0: the slot is free.
    number: u64,
    waker: Option<Waker>,
    deadline: Time,
    /// Who registered it, for reports.
    task: Option<TaskId>,
}

#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Time, u64, u32)>>,
    slots: Vec<Timer>,
    free: Vec<u32>,
    count: u64,
}

impl Timers {
    pub(super) fn add(&mut self, deadline: Time, waker: Waker, task: Option<TaskId>) -> TimerId {
        self.count += 1;
        let number = self.count;
        let timer = Timer { number, waker: Some(waker), deadline, task };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = timer;
                slot
            }
            None => {
                self.slots.push(timer);
                (self.slots.len() - 1) as u32
            }
        };
        self.heap.push(Reverse((deadline, number, slot)));
        TimerId { slot, number }
    }

    /// `None`: it has fired.
    pub(super) fn waker_mut(&mut self, id: TimerId) -> Option<&mut Waker> {
        let timer = &mut self.slots[id.slot as usize];
        if timer.number == id.number { timer.waker.as_mut() } else { None }
    }

    pub(super) fn remove(&mut self, id: TimerId) -> Option<Waker> {
        let waker = self.release(id.slot, id.number)?;
        let alive = self.slots.len() - self.free.len();
        if self.heap.len() > 2 * alive + SWEEP_MIN {
            let slots = &self.slots;
            self.heap.retain(|&Reverse((_, number, slot))| slots[slot as usize].number == number);
        }
        Some(waker)
    }

    /// The deadline of the timer that fires next.
    pub(super) fn next(&mut self) -> Option<Time> {
        while let Some(&Reverse((deadline, number, slot))) = self.heap.peek() {
            if self.slots[slot as usize].number == number {
                return Some(deadline);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes the wakers of all that are due by `now`, in the order of firing.
    pub(super) fn take_due(&mut self, now: Time, due: &mut Vec<Waker>) {
        while let Some(&Reverse((deadline, number, slot))) = self.heap.peek() {
            if deadline > now {
                return;
            }
            self.heap.pop();
            due.extend(self.release(slot, number));
        }
    }

    /// The earliest deadline that `task` has registered.
    pub(super) fn earliest_of(&self, task: TaskId) -> Option<Time> {
        self.slots
            .iter()
            .filter(|timer| timer.number != 0 && timer.task == Some(task))
            .map(|timer| timer.deadline)
            .min()
    }

    fn release(&mut self, slot: u32, number: u64) -> Option<Waker> {
        let timer = &mut self.slots[slot as usize];
        if timer.number != number {
            return None;
        }
        timer.number = 0;
        self.free.push(slot);
        timer.waker.take()
    }
}
