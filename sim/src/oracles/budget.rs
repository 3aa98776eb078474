//! What the mount may use: memory, disk, connections, requests and bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast::config::{DISK_FREE_PERCENT_MIN, Hold, LANES, Sizes};
use holdfast::env::Time;
use holdfast::env::store::ErrorKind;

use super::{Oracle, OracleId};
use crate::court::{FileId, Machine, Sight, Truth, What};
use crate::store::{FaultKind, Kind, LogEntry};

/// What applications have asked for so far.
#[derive(Default)]
pub struct Budget {
    calls: u64,
    /// Of reads.
    bytes: u64,
    opens: u64,
    opens_of: BTreeMap<String, u32>,
    /// When calls ended, in order; of worlds with one application.
    ends: Vec<Time>,
}

/// Retries that may come at once, and per second after that, whatever fails (the core's budget of retries).
const RETRIES_SAVED: u64 = 100;
const RETRIES_PER_SECOND: u64 = 50;
/// For how long the first "slow down" silences a mount, if deadlines are longer than a second.
const PENALTY_FIRST: Duration = Duration::from_millis(100);
/// Extents that the streams of one open file may have in memory beside the budget: two sets of lanes and two windows.
const EXTENTS_PER_FILE: u64 = 2 * LANES + 4;

impl Oracle for Budget {
    fn id(&self) -> OracleId {
        "budget"
    }

    fn sentence(&self) -> &'static str {
        "Memory, lifeboats, connections, requests and fetched bytes stay within what the calls made so far can explain."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        match &sight.what {
            What::Bytes { bytes, .. } => {
                self.calls += 1;
                self.bytes += bytes.len() as u64;
            }
            What::Opened { file, .. } => {
                self.calls += 1;
                self.opens += 1;
                if let Some(held) = truth.files.get(file) {
                    *self.opens_of.entry(held.key.clone()).or_default() += 1;
                }
            }
            What::Listed { entries, .. } => self.calls += 1 + entries.len() as u64,
            What::Stat { .. } | What::Done { .. } | What::Failed { .. } | What::Link { .. } => self.calls += 1,
            What::Rest(_) => {
                self.sum_up(truth, sight, verdict);
                if truth.machines.len() == 1 && !truth.crashes {
                    self.judge_requests(truth, verdict);
                }
                return;
            }
            _ => {}
        }
        // What the kernel was told is seen while it takes it in.
        if matches!(sight.what, What::Named { .. } | What::Crashed) {
            return;
        }
        if truth.apps == 1 {
            self.ends.push(sight.ended);
        }
        if let Some(machine) = truth.machines.get(usize::from(sight.seat.mount)) {
            look_at(machine, truth, sight, verdict);
        }
        if let What::Bytes { file, .. } | What::Closed { file } = &sight.what {
            self.judge_reader(*file, truth, verdict);
        }
    }
}

/// What the machine uses at this moment.
fn look_at(machine: &Machine, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
    let Sizes { extent_bytes, lifeboat_write_bytes, .. } = truth.config.sizes;
    let Some(kernel) = machine.kernel() else { return };
    let census = kernel.fs().census();
    let files = truth.files.values().filter(|held| held.seat.mount == sight.seat.mount).count() as u64;
    let hold_max = truth.config.hold_max;
    if census.lifeboat_bytes > hold_max {
        verdict(format!("lifeboats take {} bytes, more than --hold-max, {hold_max}", census.lifeboat_bytes));
    }
    // What cannot be had again stays in memory where no disk takes it.
    let memory_max = truth.config.memory_max + (files + u64::from(truth.apps)) * EXTENTS_PER_FILE * extent_bytes;
    if truth.disk_plenty && census.memory_bytes > memory_max {
        let bytes = census.memory_bytes;
        verdict(format!("{bytes} bytes of memory with {files} open files, more than {memory_max}"));
    }
    let space = machine.disk.capacity();
    let used_max = space - space / 100 * DISK_FREE_PERCENT_MIN;
    // Whoever looks before he writes does not see what others are about to write.
    let piece = if truth.memory_plenty { lifeboat_write_bytes } else { extent_bytes }.saturating_add(truth.chunk_bytes);
    // What was written must be somewhere, and is no lifeboat.
    let used = match !truth.ledger.is_empty() {
        true => machine.disk.used_bytes().min(census.lifeboat_bytes),
        false => machine.disk.used_bytes(),
    };
    if used > used_max.saturating_add((2 * files).saturating_mul(piece)) {
        verdict(format!("{used} bytes of a disk of {space} are used: less than {DISK_FREE_PERCENT_MIN} % are left"));
    }
}

impl Budget {
    /// Judged once, at rest: a bound that holds of any run, tight enough that a storm breaks it.
    fn sum_up(&self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        let requests = truth.store.requests();
        let seconds = sight.ended.0.as_secs() + 1;
        let changes: u64 = truth.history.keys().iter().map(|key| truth.history.of(key.as_str()).len() as u64).sum();
        // A call may look up several names, a list and a HEAD each, and open; a paused stream is renewed twice a minute;
        // each change may be noticed by every inode of its key.
        let renewals = (self.opens + 1) * (seconds / 30 + 1);
        let lanes = 2 * requests.bytes_delivered / truth.config.sizes.random_fetch_bytes_min;
        let retries = if truth.faulty || truth.weathered { RETRIES_SAVED + RETRIES_PER_SECOND * seconds } else { 0 };
        // A path may lead through forty links, each as deep as any; directories are asked for again where nothing is kept.
        let depth = truth.history.keys().iter().map(|key| key.as_str().split('/').count() as u64).max().unwrap_or(1);
        let directories = if truth.config.metadata_ttl.is_zero() { depth } else { 1 };
        let per_call = if truth.config.posix_metadata { 12 + 40 * (1 + 2 * directories) } else { 12 };
        let calls = self.calls + truth.kills_max;
        let requests_max = 64 + per_call * calls + 8 * changes + renewals + lanes + retries;
        if requests.total() > requests_max {
            verdict(format!("{} requests for {calls} calls: more than {requests_max}", requests.total()));
        }
    }

    /// The only reader of an object, who has read a little from its beginning: however long he pauses, no more is fetched
    /// than lies within his reach.
    fn judge_reader(&self, file: FileId, truth: &Truth, verdict: &mut dyn FnMut(String)) {
        let Some((held, published)) = truth.published(file) else { return };
        let Sizes { window_bytes_min, window_bytes_max, outrun_bytes, trickle_bytes, .. } = truth.config.sizes;
        let large = published.size > outrun_bytes;
        if !large || truth.machines.len() != 1 || truth.crashes || truth.config.hold != Hold::Auto {
            return;
        }
        let Some(kernel) = truth.machines[0].kernel() else { return };
        let manner = kernel.manner_of(held.ino);
        // Beyond half of what shows a reader to be outrun, several GETs may run ahead.
        let alone =
            self.opens_of.get(&held.key) == Some(&1) && manner.runs <= 1 && manner.from_start_bytes == manner.end;
        if !alone || manner.end > outrun_bytes / 2 || truth.ledger.was_copied_from(held.seat.mount, held.ino) {
            return;
        }
        let window = manner.end.clamp(window_bytes_min, window_bytes_max);
        let ahead = window + window_bytes_max + trickle_bytes;
        let fetched_max = (manner.end + ahead).saturating_add(truth.chunk_bytes.saturating_mul(2));
        let fetched = truth.store.delivered_of(&held.key, &published.etag);
        if fetched <= fetched_max
            || truth.was_hit(&held.key, &|_| true)
            || truth.store.was_down(Time::ZERO, Time(Duration::MAX))
        {
            return;
        }
        if truth.history.look(&held.key, <[_]>::len) == 1 {
            let (key, end) = (&held.key, manner.end);
            verdict(format!(
                "{fetched} bytes of {key} were fetched for a reader who is at {end}: more than {fetched_max}"
            ));
        }
    }

    /// What the service asked for by its answers is heeded.
    fn judge_requests(&self, truth: &Truth, verdict: &mut dyn FnMut(String)) {
        let mut slow_down = false;
        truth.store.each_hit(|hit| {
            slow_down |= matches!(&hit.what, FaultKind::Refused(error)
                if error.kind == ErrorKind::Throttled || error.retry_after.is_some());
        });
        if !slow_down {
            return;
        }
        let log = truth.store.log();
        // R26: the whole mount, whatever it is about to ask.
        let penalty = PENALTY_FIRST.min(truth.config.deadline / 8);
        for (at, told) in answers(&log, |entry| entry.outcome == Some(Err(ErrorKind::Throttled))) {
            let hasty = log[at..].iter().find(|entry| entry.sent_at > told && entry.sent_at < told.plus(penalty));
            if let Some(entry) = hasty {
                let after = entry.sent_at.since(told);
                return verdict(format!("{} was sent {after:?} after the service had said \"slow down\"", entry.asked));
            }
        }
        if truth.apps != 1 || truth.kills {
            return;
        }
        // A listing is asked for by calls alone, and by one at a time.
        for (at, told) in answers(&log, |entry| entry.asked.kind == Kind::List && asks_for_patience(entry)) {
            let since = self.ends[..self.ends.partition_point(|end| *end <= told)].last().copied().unwrap_or_default();
            let next_end = self.ends.get(self.ends.partition_point(|end| *end < told)).copied().unwrap_or(told);
            let left = truth.config.deadline.saturating_sub(told.since(since));
            let wait = log[at].retry_after.unwrap_or_default().min(left);
            let again = log[at + 1..].iter().find(|entry| {
                entry.asked.kind == Kind::List && entry.asked.keys == log[at].asked.keys && entry.sent_at > told
            });
            if let Some(entry) = again.filter(|entry| entry.sent_at < told.plus(wait) && entry.sent_at < next_end) {
                let after = entry.sent_at.since(told);
                return verdict(format!(
                    "{} was sent again after {after:?}, though told to wait {wait:?}",
                    entry.asked
                ));
            }
        }
    }
}

/// Whether its answer says that it will be another one later, and when to ask again.
fn asks_for_patience(entry: &LogEntry) -> bool {
    let passing = [ErrorKind::Throttled, ErrorKind::Unavailable, ErrorKind::Unreachable, ErrorKind::NoAnswer];
    entry.retry_after.is_some() && passing.iter().any(|kind| entry.outcome == Some(Err(*kind)))
}

/// The entries that fit, by their place, and when their answer was learnt.
fn answers(log: &[LogEntry], fits: impl Fn(&LogEntry) -> bool) -> impl Iterator<Item = (usize, Time)> {
    let fitting = log.iter().enumerate().filter(move |(_, entry)| fits(entry));
    fitting.filter_map(|(at, entry)| Some((at, entry.answered_at?)))
}
