//! Lifeboats on a disk that fills up and fails: saves one by one, together and given up half-way, reads, launches, drops.
//!
//! What `save` acknowledged reads back exactly, until the lifeboat is dropped or the disk has harmed it, and then not at
//! all, whatever became of other saves; nothing
//! else counts as saved. The allowance that all share is exactly what was reserved, never exceeded, asked for once for
//! bytes that come twice, and returned at the drop. What is refused or fails has a reason that was given.

#![no_main]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join_all, select};
use holdfast::config::DISK_FREE_PERCENT_MIN;
use holdfast::data::lifeboat::{Lifeboat, Lifeboats, Refused, Unreadable};
use holdfast::env::DiskError;
use holdfast_fuzz::Input;
use holdfast_sim::disk::{DiskConfig, DiskFault, DiskOp, Rot, SilentFault, SimDisk, SimSpool};
use holdfast_sim::executor::{Executor, Policy};
use libfuzzer_sys::fuzz_target;

const STEPS_MAX: usize = 200;
const BOATS_MAX: usize = 4;
const TOGETHER_MAX: usize = 6;
/// Offsets lie below this, so that saves meet and models stay small.
const SPAN: usize = 1 << 13;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mut story = Story::begin(&mut input);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        story.step(&mut input);
    }
    story.end();
});

struct Story {
    executor: Executor,
    disk: SimDisk,
    capacity: u64,
    fleet: Arc<Lifeboats>,
    hold_max: u64,
    boats: Vec<Boat>,
    launched: u64,
    /// The disk was told to fail or fill up.
    troubled: bool,
    /// The disk may have harmed what it was given, and said nothing.
    rots: bool,
    block_bytes: u64,
    /// A save was given up, the rest of which may be written at any time.
    given_up: bool,
}

/// A lifeboat and what is known of it, a flag a byte.
struct Boat {
    lifeboat: Arc<Lifeboat<SimSpool>>,
    base: u64,
    number: u64,
    reserved: Vec<bool>,
    reserved_bytes: u64,
    saved: Vec<bool>,
}

impl Boat {
    /// One Version's bytes: those at an offset are always the same.
    fn bytes(&self, range: Range<usize>) -> Bytes {
        range.map(|at| (at as u64 * 31 + (at as u64 >> 8) + self.number * 7 + 1) as u8).collect()
    }

    fn missing(&self, range: Range<usize>) -> u64 {
        self.reserved[range].iter().filter(|reserved| !**reserved).count() as u64
    }
}

/// A save that is asked for, and what must come of it.
struct Asked {
    boat: usize,
    range: Range<usize>,
    /// The allowance suffices.
    fits: bool,
}

impl Story {
    fn begin(input: &mut Input<'_>) -> Self {
        let flags = input.byte();
        let policy = if flags & 1 == 0 { Policy::Fifo } else { Policy::RandomWalk };
        let executor = Executor::with_policy(flags.into(), policy);
        let capacity = [1 << 40, 1 << 20, 16_000, 0][usize::from(flags >> 1 & 3)];
        let hold_max = [1 << 30, 10_000, 4000, 0][usize::from(flags >> 3 & 3)];
        let latency = Duration::ZERO..=Duration::from_micros(if flags & 32 == 0 { 0 } else { 500 });
        let disk = SimDisk::new(executor.handle(), DiskConfig { capacity, latency }, flags.into(), "spool");
        let fleet = Lifeboats::new(hold_max);
        Self {
            executor,
            disk,
            capacity,
            fleet,
            hold_max,
            boats: Vec::new(),
            launched: 0,
            troubled: false,
            rots: false,
            block_bytes: if flags & 64 == 0 { 100 } else { 4096 },
            given_up: false,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0..=4 => self.save(input),
            5 | 6 => self.save_together(input),
            7 => self.give_up(input),
            8..=10 => self.read(input),
            11 => self.launch(),
            12 => self.drop_one(input),
            13 => self.disturb(input),
            14 => {
                self.disk.clear_faults();
                self.troubled = false;
            }
            _ => {
                // `troubled` is about faults; a full disk is judged by what it holds.
                self.capacity = [1 << 40, 1 << 20, 16_000, 4000][input.below(4)];
                self.disk.set_capacity(self.capacity);
            }
        }
        self.judge_allowance();
    }

    // What happens.

    fn launch(&mut self) {
        if self.boats.len() == BOATS_MAX {
            return;
        }
        let (disk, fleet, block_bytes) = (self.disk.clone(), self.fleet.clone(), self.block_bytes);
        let number = self.launched;
        self.launched += 1;
        match self.run(async move { Lifeboat::launch(&disk, fleet, block_bytes).await }) {
            Ok(lifeboat) => self.boats.push(Boat {
                lifeboat: Arc::new(lifeboat),
                // Every other one far out, as the rest of a large object is.
                base: if number.is_multiple_of(2) { 0 } else { 1 << 42 },
                number,
                reserved: vec![false; SPAN],
                reserved_bytes: 0,
                saved: vec![false; SPAN],
            }),
            Err(refused) => assert!(self.troubled && is_disk(&refused), "{refused}"),
        }
    }

    fn save(&mut self, input: &mut Input<'_>) {
        let Some(asked) = self.ask(input) else { return };
        let outcome = self.run(self.saving(&asked));
        // A write that lands elsewhere takes room at both places, and nobody is told.
        if outcome.is_ok() && !self.given_up && !self.rots {
            let free = self.capacity.saturating_sub(self.disk.used_bytes());
            assert!(free >= self.capacity / 100 * DISK_FREE_PERCENT_MIN, "{free} bytes of {} are free", self.capacity);
        }
        self.judge_save(&asked, &outcome);
        if outcome.is_ok() {
            self.judge_read(asked.boat, asked.range.clone());
        }
    }

    fn save_together(&mut self, input: &mut Input<'_>) {
        let count = 2 + input.below(TOGETHER_MAX - 1);
        let asked: Vec<Asked> = (0..count).filter_map(|_| self.ask(input)).collect();
        let saves: Vec<_> = asked.iter().map(|asked| self.saving(asked)).collect();
        let outcomes = self.run(join_all(saves));
        // All is counted as saved before any of it is found rotten.
        for (asked, outcome) in asked.iter().zip(&outcomes) {
            self.judge_save(asked, outcome);
        }
        for (asked, _) in asked.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()) {
            self.judge_read(asked.boat, asked.range.clone());
        }
    }

    /// Whoever saves may be dropped at any moment.
    fn give_up(&mut self, input: &mut Input<'_>) {
        let after = Duration::from_micros(u64::from(input.byte()) * 5);
        let Some(asked) = self.ask(input) else { return };
        let handle = self.executor.handle();
        let saving = self.saving(&asked);
        let outcome = self.run(async move {
            let saving = std::pin::pin!(saving);
            let timer = std::pin::pin!(handle.sleep(after));
            match select(saving, timer).await {
                futures_util::future::Either::Left((outcome, _)) => Some(outcome),
                futures_util::future::Either::Right(_) => None,
            }
        });
        match outcome {
            Some(outcome) => self.judge_save(&asked, &outcome),
            None => self.given_up = true,
        }
    }

    fn read(&mut self, input: &mut Input<'_>) {
        let Some(at) = self.boat(input) else { return };
        let (offset, len) = (place(input), length(input));
        let boat = &self.boats[at];
        let saved = &boat.saved[offset..];
        // From the first saved byte on, as far as they go and the reader wants.
        let Some(skipped) = saved.iter().position(|saved| *saved) else {
            assert_eq!(boat.lifeboat.end_of(boat.base + offset as u64), None);
            return;
        };
        let run = saved[skipped..].iter().take_while(|saved| **saved).count();
        let start = offset + skipped;
        assert_eq!(boat.lifeboat.end_of(boat.base + start as u64), Some(boat.base + (start + run) as u64));
        self.judge_read(at, start..start + run.min(len));
    }

    fn drop_one(&mut self, input: &mut Input<'_>) {
        if let Some(at) = self.boat(input) {
            self.boats.remove(at);
        }
    }

    fn disturb(&mut self, input: &mut Input<'_>) {
        if input.chance(3) {
            let what = *input.pick(&[Rot::Rots, Rot::TornWrite, Rot::MisplacedWrite]);
            self.disk.rot(SilentFault { what, nth: Some(1 + input.below(4) as u64) });
            self.rots = true;
            return;
        }
        let op = *input.pick(&[DiskOp::Write, DiskOp::Read, DiskOp::Space, DiskOp::Create]);
        let nth = (!input.chance(4)).then(|| 1 + input.below(4) as u64);
        let error = if input.chance(2) { DiskError::Full } else { DiskError::Failed("as the test asked".into()) };
        self.disk.fault(DiskFault { op, nth, error });
        self.troubled = true;
    }

    // How.

    fn boat(&mut self, input: &mut Input<'_>) -> Option<usize> {
        if self.boats.is_empty() {
            self.launch();
        }
        (!self.boats.is_empty()).then(|| input.below(self.boats.len()))
    }

    /// A save to be made right after, and its reservation, which the first poll makes.
    fn ask(&mut self, input: &mut Input<'_>) -> Option<Asked> {
        let boat = self.boat(input)?;
        let start = place(input);
        let range = start..(start + length(input)).min(SPAN);
        let missing = self.boats[boat].missing(range.clone());
        let fits = self.reserved() + missing <= self.hold_max;
        if fits {
            self.boats[boat].reserved[range.clone()].fill(true);
            self.boats[boat].reserved_bytes += missing;
        }
        Some(Asked { boat, range, fits })
    }

    fn saving(&self, asked: &Asked) -> impl Future<Output = Result<(), Refused>> + use<> {
        let boat = &self.boats[asked.boat];
        let (lifeboat, disk) = (boat.lifeboat.clone(), self.disk.clone());
        let (offset, bytes) = (boat.base + asked.range.start as u64, boat.bytes(asked.range.clone()));
        async move { lifeboat.save(&disk, offset, bytes).await }
    }

    fn run<F: Future>(&mut self, future: F) -> F::Output {
        self.executor.block_on(future).unwrap_or_else(|stuck| panic!("{stuck}"))
    }

    fn reserved(&self) -> u64 {
        self.boats.iter().map(|boat| boat.reserved_bytes).sum()
    }

    // Judgement.

    fn judge_save(&mut self, asked: &Asked, outcome: &Result<(), Refused>) {
        let used_up = matches!(outcome, Err(Refused::HoldMax(_)));
        assert_eq!(used_up, !asked.fits, "{outcome:?} of {:?}", asked.range);
        match outcome {
            Ok(()) => {
                self.boats[asked.boat].saved[asked.range.clone()].fill(true);
            }
            Err(Refused::HoldMax(max)) => assert_eq!(*max, self.hold_max),
            Err(Refused::DiskShare) => assert!(self.capacity < 1 << 40, "nearly all of the disk is free"),
            Err(Refused::Disk(error)) => {
                let full = self.capacity < 1 << 40 && *error == DiskError::Full;
                assert!(self.troubled || full, "{error}, and nothing explains it");
            }
        }
    }

    /// All of the range is saved.
    fn judge_read(&mut self, at: usize, range: Range<usize>) {
        let boat = &self.boats[at];
        let (lifeboat, expected) = (boat.lifeboat.clone(), boat.bytes(range.clone()));
        let wanted = boat.base + range.start as u64..boat.base + range.end as u64;
        match self.run(async move { lifeboat.read(wanted).await }) {
            Ok(bytes) => assert!(bytes == expected, "{range:?} reads back as something else"),
            Err(Unreadable::Disk(error)) => assert!(self.troubled, "{error}, and nothing explains it"),
            Err(Unreadable::Rotten(_) | Unreadable::Missing) => {
                assert!(self.rots || range.is_empty(), "the disk keeps what it was given");
                self.count_losses(at);
            }
        }
        assert_eq!(self.disk.unwritten_reads(), 0);
    }

    /// What was found rotten is no longer saved, and nothing else changes.
    fn count_losses(&mut self, at: usize) {
        let boat = &mut self.boats[at];
        let mut left = vec![false; SPAN];
        for range in boat.lifeboat.saved() {
            left[(range.start - boat.base) as usize..(range.end - boat.base) as usize].fill(true);
        }
        for (saved, left) in boat.saved.iter_mut().zip(left) {
            assert!(*saved || !left, "nobody acknowledged it");
            *saved = left;
        }
    }

    fn judge_allowance(&self) {
        let used = self.fleet.used();
        assert_eq!(used, self.reserved(), "the allowance in use");
        assert!(used <= self.hold_max, "{used} of {}", self.hold_max);
    }

    /// Everything saved is read once more; then all is let go, and nothing is left.
    fn end(mut self) {
        self.disk.clear_faults();
        self.troubled = false;
        for at in 0..self.boats.len() {
            let boat = &self.boats[at];
            let bytes = boat.saved.iter().filter(|saved| **saved).count() as u64;
            assert_eq!(boat.lifeboat.bytes_saved(), bytes);
            let base = boat.base;
            for range in boat.lifeboat.saved() {
                let range = (range.start - base) as usize..(range.end - base) as usize;
                assert!(
                    self.boats[at].saved[range.clone()].iter().all(|saved| *saved),
                    "{range:?} was not acknowledged"
                );
                self.judge_read(at, range);
            }
        }
        self.boats.clear();
        assert_eq!(self.fleet.used(), 0, "allowance that nobody holds");
        // The rest of what was given up is written later.
        let handle = self.executor.handle();
        self.run(async move { handle.sleep(Duration::from_secs(1)).await });
        assert_eq!((self.disk.spools(), self.disk.used_bytes()), (0, 0), "spools are left");
    }
}

fn is_disk(refused: &Refused) -> bool {
    matches!(refused, Refused::Disk(_))
}

fn place(input: &mut Input<'_>) -> usize {
    match input.below(4) {
        0 => input.byte().into(),
        1 => usize::from(input.byte()) * 31,
        2 => usize::from(input.byte()) * 4,
        _ => SPAN - 1 - usize::from(input.byte()),
    }
}

fn length(input: &mut Input<'_>) -> usize {
    match input.below(4) {
        0 => usize::from(input.byte()) * 16,
        1 => input.byte().into(),
        2 => usize::from(input.byte()) * 32,
        _ => 0,
    }
}
