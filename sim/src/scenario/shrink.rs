//! Makes a failing scenario small: a proptest value tree, so that proptest and everything built on it can shrink
//! scenarios, those read from files included.
//!
//! First whole stretches of operations, faults and mutations go (delta debugging, Zeller and Hildebrandt 2002), then the
//! world becomes calm, then numbers become small. What refers to an operation that is gone goes with it.

use proptest::strategy::ValueTree;

use super::config::{ScenarioConfig, Schedule};
use super::{AppOp, Call, Cause, Change, FaultSpec, Scenario, SetXattrName, check};

/// See the module.
#[derive(Clone, Debug)]
pub struct ScenarioTree {
    /// The smallest that is known to fail.
    best: Scenario,
    /// The one that is being tried.
    current: Scenario,
    pass: Pass,
    /// The next edit of this pass.
    at: usize,
    /// Whether this round made anything smaller: then there is another.
    progress: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// Takes out this many neighbours at a time, of the list.
    Remove {
        list: List,
        span: usize,
    },
    Config,
    Numbers,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Mutations,
    Faults,
    Ops,
    Objects,
}

impl ScenarioTree {
    pub fn new(scenario: Scenario) -> Self {
        let pass = first_pass(&scenario);
        Self { best: scenario.clone(), current: scenario, pass, at: 0, progress: false }
    }

    /// Moves on to the next smaller scenario than the best; false: there is none left.
    fn advance(&mut self) -> bool {
        loop {
            if self.pass == Pass::Done {
                if !self.progress {
                    self.current = self.best.clone();
                    return false;
                }
                (self.pass, self.at, self.progress) = (first_pass(&self.best), 0, false);
            }
            match self.edit() {
                Some(candidate) => {
                    self.at += 1;
                    if candidate != self.best && check::check(&candidate).is_ok() {
                        self.current = candidate;
                        return true;
                    }
                }
                None => (self.pass, self.at) = (next_pass(self.pass, &self.best), 0),
            }
        }
    }

    /// The candidate of the `at`-th edit of the pass; `None`: the pass is over.
    fn edit(&self) -> Option<Scenario> {
        match self.pass {
            Pass::Remove { list, span } => remove(&self.best, list, self.at, span),
            Pass::Config => calm(&self.best, self.at),
            Pass::Numbers => reduce(&self.best, self.at),
            Pass::Done => None,
        }
    }
}

impl ValueTree for ScenarioTree {
    type Value = Scenario;

    fn current(&self) -> Scenario {
        self.current.clone()
    }

    /// The current one fails: it is the best so far.
    fn simplify(&mut self) -> bool {
        if self.current != self.best {
            self.best = self.current.clone();
            self.progress = true;
            // What stood at this place is gone, and something else stands there.
            self.at = self.at.saturating_sub(usize::from(matches!(self.pass, Pass::Remove { .. })));
        }
        self.advance()
    }

    /// The current one does not fail: back to the best, and on with another edit.
    fn complicate(&mut self) -> bool {
        self.advance()
    }
}

/// Shrinks until nothing smaller fails, or until `enough` says so. `fails` runs a candidate; it may answer with another
/// scenario in its place, such as the same one under another schedule.
pub fn shrink(
    scenario: Scenario,
    mut fails: impl FnMut(&Scenario) -> Option<Scenario>,
    mut enough: impl FnMut() -> bool,
) -> Scenario {
    let mut tree = ScenarioTree::new(scenario);
    let mut failed = true;
    while !enough() && if failed { tree.simplify() } else { tree.complicate() } {
        failed = match fails(&tree.current) {
            Some(as_run) => {
                tree.current = as_run;
                true
            }
            None => false,
        };
    }
    tree.best
}

fn first_pass(scenario: &Scenario) -> Pass {
    Pass::Remove { list: List::Mutations, span: scenario.mutations.len().div_ceil(2).max(1) }
}

fn next_pass(pass: Pass, scenario: &Scenario) -> Pass {
    let longest = |list| Pass::Remove { list, span: len(scenario, list).div_ceil(2).max(1) };
    match pass {
        Pass::Remove { list, span } if span > 1 => Pass::Remove { list, span: span / 2 },
        Pass::Remove { list: List::Mutations, .. } => longest(List::Faults),
        Pass::Remove { list: List::Faults, .. } => longest(List::Ops),
        Pass::Remove { list: List::Ops, .. } => longest(List::Objects),
        Pass::Remove { list: List::Objects, .. } => Pass::Config,
        Pass::Config => Pass::Numbers,
        Pass::Numbers | Pass::Done => Pass::Done,
    }
}

fn len(scenario: &Scenario, list: List) -> usize {
    match list {
        List::Mutations => scenario.mutations.len(),
        List::Faults => scenario.faults.len(),
        List::Ops => scenario.ops.len(),
        List::Objects => scenario.config.objects.len(),
    }
}

/// Without the `at`-th stretch of `span` entries.
fn remove(scenario: &Scenario, list: List, at: usize, span: usize) -> Option<Scenario> {
    let from = at * span;
    let len = len(scenario, list);
    if from >= len {
        return None;
    }
    let range = from..(from + span).min(len);
    let mut smaller = scenario.clone();
    match list {
        List::Mutations => drop(smaller.mutations.drain(range)),
        List::Faults => drop(smaller.faults.drain(range)),
        List::Ops => drop(smaller.ops.drain(range)),
        List::Objects => drop(smaller.config.objects.drain(range)),
    }
    Some(smaller.tidied())
}

/// The `at`-th way to a calmer world.
fn calm(scenario: &Scenario, at: usize) -> Option<Scenario> {
    let default = ScenarioConfig::default();
    let mut calmer = scenario.clone();
    let config = &mut calmer.config;
    match at {
        0 => config.schedule = Schedule::Fifo,
        1 => config.kernel.unhurried = false,
        2 => config.kernel.readahead = false,
        3 => config.kernel.plus = default.kernel.plus,
        4 => config.weather.latency_us = default.weather.latency_us,
        5 => config.weather.chunk_us = default.weather.chunk_us,
        6 => config.weather.body_idle_max_ms = None,
        7 => config.bucket = default.bucket,
        8 => config.disk = default.disk,
        9 => {
            config.machines.mounts = 1;
            config.machines.apps = config.machines.apps.max(1);
        }
        10 => {
            // All in one application.
            config.machines.apps = 1;
            for op in &mut calmer.ops {
                op.app = 0;
            }
        }
        11 => {
            // No application that does nothing.
            let mut used: Vec<u8> = calmer.ops.iter().map(|op| op.app).collect();
            used.sort_unstable();
            used.dedup();
            for op in &mut calmer.ops {
                op.app = used.iter().position(|app| *app == op.app).unwrap_or_default() as u8;
            }
            config.machines.apps = used.len().max(1) as u8;
        }
        12 => config.mount.hold = default.mount.hold,
        13 => config.mount.hold_max = default.mount.hold_max,
        14 => config.mount.memory_max = default.mount.memory_max,
        15 => config.mount.metadata_ttl_ms = default.mount.metadata_ttl_ms,
        16 => config.mount.negative_metadata_ttl_ms = default.mount.negative_metadata_ttl_ms,
        17 => config.mount.posix_metadata = false,
        18 => config.mount.list_page_keys = default.mount.list_page_keys,
        19 => config.mount.deadline_ms = default.mount.deadline_ms,
        20 => config.mount.attempt_timeout_ms = default.mount.attempt_timeout_ms,
        21 => {
            config.mount.sizes_divided_by = 256;
            config.kernel.read_bytes_max = 4096;
        }
        22 => config.weather.chunk_bytes = 4096,
        23 => config.seed = 0,
        24 => config.machines.mounts = 1,
        25 => config.kernel.page_eviction_one_in = 0,
        26 => config.kernel.name_eviction_one_in = 0,
        27 => config.mount.write_back_max = 0,
        28 => config.mount.on_conflict = default.mount.on_conflict,
        _ => return None,
    }
    Some(calmer)
}

/// One number made smaller: the `at`-th of all edits to operations, mutations, faults and objects.
fn reduce(scenario: &Scenario, at: usize) -> Option<Scenario> {
    let mut smaller = scenario.clone();
    let mut left = at;
    for op in &mut smaller.ops {
        for edit in 0..4 {
            if left == 0 {
                reduce_op(op, edit);
                return Some(smaller);
            }
            left -= 1;
        }
    }
    for mutation in &mut smaller.mutations {
        for edit in 0..3 {
            if left == 0 {
                reduce_cause(&mut mutation.when, edit);
                if edit == 2
                    && let Change::Put { size, .. } | Change::PutInFlight { size, .. } = &mut mutation.change
                {
                    *size /= 2;
                }
                return Some(smaller);
            }
            left -= 1;
        }
    }
    for fault in &mut smaller.faults {
        for edit in 0..3 {
            if left == 0 {
                reduce_cause(&mut fault.when, edit);
                if edit == 2 {
                    reduce_fault(&mut fault.what);
                }
                return Some(smaller);
            }
            left -= 1;
        }
    }
    for object in smaller.config.objects.iter_mut().filter(|object| object.link_to.is_none()) {
        if left == 0 {
            object.size /= 2;
            return Some(smaller);
        }
        left -= 1;
    }
    None
}

fn reduce_op(op: &mut AppOp, edit: usize) {
    match (edit, &mut op.call) {
        (0, _) => op.pause_ms = 0,
        (1, _) => op.pause_ms /= 2,
        (2, Call::Pread { at, .. } | Call::Touch { at, .. } | Call::Store { at, .. }) => *at /= 2,
        (2, Call::Pwrite { at, .. } | Call::Fallocate { at, .. }) => *at /= 2,
        (2, Call::Ftruncate { size, .. } | Call::Truncate { size, .. }) => *size /= 2,
        (2, Call::OpenWrite { direct, exclusive, sync, dsync, .. }) => {
            (*direct, *exclusive, *sync, *dsync) = (false, false, false, false);
        }
        (2, Call::CopyRange { at, to_at, .. }) => (*at, *to_at) = (*at / 2, *to_at / 2),
        (2, Call::Mknod { fifo, .. }) => *fifo = false,
        (2, Call::Setxattr { how, .. } | Call::Fsetxattr { how, .. }) => *how = SetXattrName::Either,
        (3, Call::Setxattr { value, .. } | Call::Fsetxattr { value, .. }) => value.truncate(1),
        (
            3,
            Call::WriteOn { len, .. }
            | Call::Pwrite { len, .. }
            | Call::Fallocate { len, .. }
            | Call::Store { len, .. }
            | Call::CopyRange { len, .. }
            | Call::Save { len, .. }
            | Call::SaveBeside { len, .. },
        ) => *len = (*len / 2).max(1),
        (2, Call::SaveBeside { path, len }) => op.call = Call::Save { path: path.clone(), len: *len },
        (2, Call::Seek { to, .. }) => *to /= 2,
        (2, Call::Open { direct, .. }) => *direct = false,
        (3, Call::Pread { len, .. } | Call::Read { len, .. } | Call::Touch { len, .. }) => *len = (*len / 2).max(1),
        (3, _) => op.killed_after_ms = None,
        _ => {}
    }
}

fn reduce_cause(when: &mut Cause, edit: usize) {
    match (when, edit) {
        (Cause::AtMs(ms), 0) => *ms /= 2,
        (Cause::Request(cause), 0) => cause.since = None,
        (Cause::Request(cause), 1) => cause.nth = cause.nth.map(|nth| (nth - 1).max(1)),
        _ => {}
    }
}

fn reduce_fault(what: &mut FaultSpec) {
    use FaultSpec::{
        AnswerSlow, AppliedLate, BodyBreaks, BodyDiesPaused, BodyEnds, BodyOverflows, BodySlow, BodyStalls, Delayed,
        Outage, RangeShifted, SizeWrong,
    };
    match what {
        Delayed { ms } | AnswerSlow { ms } | AppliedLate { ms } | Outage { ms } => *ms /= 2,
        BodyBreaks { after } | BodyEnds { after } | BodyStalls { after } => *after /= 2,
        BodyOverflows { by } | RangeShifted { by } | SizeWrong { by } => *by = (*by / 2).max(1),
        BodyDiesPaused { longer_than_ms } => *longer_than_ms /= 2,
        BodySlow { chunk_ms } => *chunk_ms /= 2,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::shrink;
    use crate::scenario::strategy::{Profile, of_seed};
    use crate::scenario::{Call, Scenario};

    /// Fails while somebody opens, and later the bucket is mutated by a put of more than 1000 bytes.
    fn fails(scenario: &Scenario) -> bool {
        let opens = scenario.ops.iter().any(|op| matches!(op.call, Call::Open { .. }));
        let puts = scenario
            .mutations
            .iter()
            .any(|mutation| matches!(mutation.change, crate::scenario::Change::Put { size, .. } if size > 1000));
        opens && puts
    }

    #[test]
    fn what_does_not_matter_is_shrunk_away() {
        let failing = (0..).map(|seed| of_seed(seed, Profile::Swarm)).filter(fails).take(10);
        for scenario in failing {
            let small = shrink(scenario, |candidate| fails(candidate).then(|| candidate.clone()), || false);
            assert_eq!((small.ops.len(), small.mutations.len(), small.faults.len()), (1, 1, 0), "{small:#?}");
            assert_eq!(small.config.machines.apps, 1);
        }
    }
}
