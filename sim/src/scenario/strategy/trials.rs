//! Scenarios around one promise each: an open file keeps its version, within what memory, disk and network may be used.
//!
//! Where the other profiles mix everything, these keep to one mechanism and leave out what would explain its failure, so
//! that the oracles may be strict: a viewer and somebody who replaces his film, and around them what makes it hard.

use holdfast::config::STREAMS_MAX;

use super::Draw;
use crate::scenario::config::{Disk, HoldName, Object, ScenarioConfig};
use crate::scenario::{
    AppOp, Call, Cause, Change, ErrorName, FaultAt, FaultSpec, MutationAt, Point, RequestCause, RequestKind, Scenario,
    Slot,
};

/// What makes it hard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Story {
    /// A reader that one connection cannot keep up with; replacements between the GETs of his relay.
    Outrun,
    /// Long pauses, on servers that close idle connections.
    Pauses,
    /// Others read the same film here and there.
    Strays,
    /// Little memory, and many who want it.
    Pressure,
    /// A look-up shows the replacement, and then the network is gone.
    Told,
    /// Connections that break again and again, far apart.
    Breaks,
    /// Little disk.
    Cramped,
    /// A server that refuses.
    Refusals,
    /// Opens of a file that is replaced without pause.
    Openers,
    /// A 404 that comes when its name is somebody's again.
    LateAbsence,
    /// The version that is read is purged.
    Purged,
    /// So many ask at once of a service that fails that retries run short.
    Crowd,
}

const STORIES: &[(u64, Story)] = &[
    (4, Story::Outrun),
    (4, Story::Pauses),
    (2, Story::Strays),
    (3, Story::Pressure),
    (3, Story::Told),
    (2, Story::Breaks),
    (2, Story::Cramped),
    (3, Story::Refusals),
    (3, Story::Openers),
    (1, Story::LateAbsence),
    (1, Story::Purged),
    (1, Story::Crowd),
];

/// Versions of mutations count from here.
const VERSION_FIRST: u32 = 100;
const PAGE_BYTES: u64 = 4096;
const FILM: &str = "film";

/// Takes the world that was drawn and makes it the story's.
pub(super) fn scenario(config: ScenarioConfig, draw: &mut Draw<'_>) -> Scenario {
    let mut tale = Tale { scenario: Scenario { config, ..Scenario::default() }, mib: 0 };
    tale.mib = (1 << 20) / tale.scenario.config.mount.sizes_divided_by;
    tale.settle(draw);
    match draw.weigh(STORIES) {
        Story::Outrun => tale.outrun(draw),
        Story::Pauses => tale.pauses(draw),
        Story::Strays => tale.strays(draw),
        Story::Pressure => tale.pressure(draw),
        Story::Told => tale.told(draw),
        Story::Breaks => tale.breaks(draw),
        Story::Cramped => tale.cramped(draw),
        Story::Refusals => tale.refusals(draw),
        Story::Openers => tale.openers(draw),
        Story::LateAbsence => tale.late_absence(draw),
        Story::Purged => tale.purged(draw),
        Story::Crowd => tale.crowd(draw),
    }
    tale.scenario
}

struct Tale {
    scenario: Scenario,
    /// What a mebibyte is here.
    mib: u64,
}

impl Tale {
    /// One mount, an unversioned bucket, room for everything, a film.
    fn settle(&mut self, draw: &mut Draw<'_>) {
        let config = &mut self.scenario.config;
        config.mount.prefix = String::new();
        config.mount.posix_metadata = false;
        config.mount.hold = draw.weigh(&[(4, HoldName::Auto), (1, HoldName::Full)]);
        config.mount.hold_max = 1 << 30;
        config.mount.memory_max = 256 << 20;
        config.bucket.versioned = false;
        config.disk = Disk { latency_us: draw.pick(&[(100, 100), (0, 5_000)]), ..Disk::default() };
        config.weather.body_idle_max_ms = None;
        // What readahead asks for comes in any order, and readers are judged by their order.
        config.kernel.readahead = draw.chance(1, 8);
        config.machines.mounts = 1;
        config.machines.apps = 1;
        let size = self.mib * draw.within(17, 90) + draw.below(self.mib);
        self.scenario.config.objects = vec![object(FILM, 0, size)];
    }

    fn size(&self) -> u64 {
        self.scenario.config.objects[0].size
    }

    fn op(&mut self, app: u8, pause_ms: u64, call: Call) -> u32 {
        let id = self.scenario.ops.len() as u32 + 1;
        self.scenario.ops.push(AppOp { id, app, pause_ms, call, killed_after_ms: None });
        id
    }

    fn open(&mut self, app: u8, file: Slot, key: &str) -> u32 {
        self.op(app, 0, Call::Open { file, path: format!("/{key}"), direct: false })
    }

    fn hold(&mut self, app: u8, file: Slot) {
        self.op(app, 0, Call::Xattr { file, name: "user.holdfast.hold".to_owned() });
    }

    /// Reads on by about so many bytes, in pieces of one READ, with a pause before each of some.
    fn view(&mut self, app: u8, file: Slot, bytes: u64, pause: impl Fn(&mut Draw<'_>) -> u64, draw: &mut Draw<'_>) {
        let pieces = draw.within(1, 6);
        for _ in 0..pieces {
            let pause_ms = pause(draw);
            let len = 1 + draw.below(2 * bytes / pieces + 1);
            self.op(app, pause_ms, Call::Read { file, len });
        }
    }

    fn put(&mut self, key: &str, draw: &mut Draw<'_>) -> Change {
        let version = VERSION_FIRST + self.scenario.mutations.len() as u32;
        let size = match draw.below(3) {
            0 => self.size(),
            1 => 1 + draw.below(self.size()),
            _ => 1 + draw.below(4 * self.mib),
        };
        Change::Put { key: key.to_owned(), version, size }
    }

    /// Mostly replaced, now and then deleted.
    fn replaced(&mut self, when: Cause, draw: &mut Draw<'_>) {
        let change = match draw.below(8) {
            0 => Change::Delete { key: FILM.to_owned() },
            _ => self.put(FILM, draw),
        };
        self.scenario.mutations.push(MutationAt { when, change });
    }

    fn fault(&mut self, cause: RequestCause, what: FaultSpec) {
        self.scenario.faults.push(FaultAt { when: Cause::Request(cause), what });
    }

    /// When all operations so far have been made, as far as pauses tell.
    fn elapsed_ms(&self) -> u64 {
        self.scenario.ops.iter().map(|op| op.pause_ms).sum()
    }

    fn outrun(&mut self, draw: &mut Draw<'_>) {
        // Slower than what makes more connections worth while, and no wait between chunks that would hide it.
        self.scenario.config.weather.chunk_us = draw.pick(&[(100, 100), (0, 1_000), (300, 300)]);
        self.scenario.config.weather.chunk_bytes = draw.pick(&[1_000, 4_096]);
        self.open(0, 0, FILM);
        if draw.chance(1, 3) {
            self.view(0, 0, 2 * self.mib, |draw| draw.below(3) * draw.below(20_000), draw);
        }
        self.op(0, 0, Call::ReadToEnd { file: 0 });
        self.hold(0, 0);
        // Between the GETs of a hop, or while one of them is answered.
        for _ in 0..draw.within(1, 2) {
            let point = draw.weigh(&[(4, Point::Before), (1, Point::After), (1, Point::Chunk(1))]);
            let when = get(FILM, Some(draw.within(2, 20)), None, Some(point));
            self.replaced(Cause::Request(when), draw);
        }
        if draw.chance(1, 4) {
            // A lane that is refused for a while.
            let what = FaultSpec::Refused { error: ErrorName::Unavailable, retry_after_ms: None };
            self.fault(get(FILM, Some(draw.within(2, 12)), None, None), what);
        }
    }

    fn pauses(&mut self, draw: &mut Draw<'_>) {
        let config = &mut self.scenario.config;
        config.weather.body_idle_max_ms = draw.pick(&[None, Some(60_000), Some(60_000), Some(90_000)]);
        config.machines.apps = draw.weigh(&[(3, 1), (1, 2)]);
        self.open(0, 0, FILM);
        let little = draw.pick(&[1, self.mib, 6 * self.mib, 30 * self.mib]);
        self.view(0, 0, little, |draw| draw.below(2) * draw.below(1_000), draw);
        let longest = draw.pick(&[30_000, 130_000, 900_000]);
        for _ in 0..draw.within(1, 3) {
            let pause_ms = draw.below(longest);
            self.op(0, pause_ms, Call::Read { file: 0, len: 1 + draw.below(self.mib) });
        }
        let end_ms = self.elapsed_ms();
        self.op(0, draw.below(3) * draw.below(longest), Call::ReadToEnd { file: 0 });
        if draw.chance(3, 4) {
            for _ in 0..draw.within(1, 2) {
                self.replaced(Cause::AtMs(draw.below(end_ms + 1_000)), draw);
            }
        }
        if self.scenario.config.machines.apps > 1 && draw.chance(1, 2) {
            self.op(1, draw.below(end_ms + 1_000), Call::Stat { path: format!("/{FILM}") });
        }
    }

    fn strays(&mut self, draw: &mut Draw<'_>) {
        self.scenario.config.mount.hold = HoldName::Auto;
        self.scenario.config.kernel.readahead = false;
        if draw.chance(1, 8) {
            return self.many_runs(draw);
        }
        self.scenario.config.machines.apps = 2;
        self.open(0, 0, FILM);
        // Mostly enough to count as sequential.
        let run = draw.below(9) * self.mib;
        self.op(0, 0, Call::Read { file: 0, len: run });
        self.op(1, 500, Call::Open { file: 0, path: format!("/{FILM}"), direct: draw.chance(1, 4) });
        for _ in 0..draw.within(4, 12) {
            let at = draw.below(self.size());
            let pause_ms = draw.below(200);
            self.op(1, pause_ms, Call::Pread { file: 0, at, len: 1 + draw.below(4096) });
        }
        self.op(0, draw.within(3_000, 9_000), Call::ReadToEnd { file: 0 });
        let at_ms = draw.within(500, 6_000);
        self.replaced(Cause::AtMs(at_ms), draw);
    }

    /// One who reads on from more places than there may be GETs for.
    fn many_runs(&mut self, draw: &mut Draw<'_>) {
        let places = STREAMS_MAX as u64 + draw.within(1, 8);
        let (apart, run) = (4 * self.mib, self.mib * draw.within(2, 3));
        self.scenario.config.objects = vec![object(FILM, 0, places * apart)];
        self.open(0, 0, FILM);
        // Backwards, so that no GET runs into the next place.
        for place in (0..places).rev() {
            self.op(0, draw.below(100), Call::Pread { file: 0, at: place * apart, len: run });
        }
        if draw.chance(1, 2) {
            let at_ms = draw.below(2_000);
            self.replaced(Cause::AtMs(at_ms), draw);
        }
        self.op(0, draw.below(3_000), Call::ReadToEnd { file: 0 });
    }

    fn pressure(&mut self, draw: &mut Draw<'_>) {
        let config = &mut self.scenario.config;
        config.mount.memory_max = draw.pick(&[64, 64, 96]) * self.mib;
        config.mount.metadata_ttl_ms = draw.pick(&[0, 1_000]);
        config.disk.latency_us = draw.pick(&[(100, 100), (0, 5_000), (20_000, 20_000)]);
        config.kernel.page_eviction_one_in = draw.pick(&[0, 3]);
        config.machines.apps = draw.weigh(&[(2, 1), (1, 2)]);
        let films = draw.within(1, 5);
        for n in 1..=films {
            let size = self.mib * draw.within(30, 90);
            self.scenario.config.objects.push(object(&format!("film{n}"), n as u32, size));
        }
        if draw.chance(1, 4) {
            return self.left_behind(draw);
        }
        let note = 1 + draw.below(4 * self.mib);
        self.scenario.config.objects.push(object("note", 9, note));
        self.open(0, 1, "note");
        if draw.chance(1, 2) {
            self.op(0, 0, Call::ReadToEnd { file: 1 });
        }
        self.open(0, 0, FILM);
        let opened = self.op(0, 0, Call::ReadToEnd { file: 0 });
        let (note, film) = (self.put("note", draw), self.put(FILM, draw));
        for change in [note, film] {
            let nth = Some(1 + draw.below(3));
            let when = get("film1", nth, Some(opened), Some(draw.pick(&[Point::Before, Point::Chunk(1)])));
            self.scenario.mutations.push(MutationAt { when: Cause::Request(when), change });
        }
        let reader = self.scenario.config.machines.apps - 1;
        for _ in 0..draw.within(1, 2) {
            for n in 1..=films {
                self.op(0, 0, Call::Cat { path: format!("/film{n}") });
                if draw.chance(1, 3) {
                    self.op(0, 1_100, Call::Stat { path: draw.pick(&["/note", "/film"]).to_owned() });
                }
                self.op(0, 0, Call::DropPages);
                self.op(0, 0, Call::Pread { file: 1, at: draw.below(4 * self.mib), len: 1 + draw.below(4096) });
                if draw.chance(1, 2) {
                    let at = draw.below(self.size());
                    self.op(0, 0, Call::Pread { file: 0, at, len: 1 + draw.below(4 * self.mib) });
                }
            }
        }
        if reader > 0 {
            // Reads the note again and again, while it is on its way from memory to the disk.
            self.op(reader, 0, Call::Open { file: 0, path: "/note".to_owned(), direct: draw.chance(1, 2) });
            for _ in 0..40 {
                let at = draw.below(4 * self.mib);
                self.op(reader, draw.below(30), Call::Pread { file: 0, at, len: 1 + draw.below(8192) });
            }
        }
    }

    /// Many films, begun and not read on: what was fetched ahead of each stays in memory.
    fn left_behind(&mut self, draw: &mut Draw<'_>) {
        self.scenario.config.machines.apps = 1;
        let films = draw.within(12, 20);
        self.scenario.config.objects.truncate(1);
        for n in 1..=films {
            let size = self.mib * draw.within(40, 90);
            self.scenario.config.objects.push(object(&format!("film{n}"), n as u32, size));
        }
        let opened = self.open(0, 0, FILM);
        for n in 1..=films {
            self.open(0, 1, &format!("film{n}"));
            let len = self.mib * draw.within(16, 24);
            self.op(0, 0, Call::Read { file: 1, len });
        }
        if draw.chance(1, 2) {
            let when = get("film1", None, Some(opened), Some(Point::Before));
            self.replaced(Cause::Request(when), draw);
        }
        self.op(0, 1_000, Call::ReadToEnd { file: 0 });
    }

    fn told(&mut self, draw: &mut Draw<'_>) {
        let config = &mut self.scenario.config;
        config.machines.apps = 2;
        config.mount.metadata_ttl_ms = draw.pick(&[0, 0, 1_000]);
        config.kernel.readahead = false;
        self.open(0, 0, FILM);
        self.view(0, 0, self.mib, |_| 0, draw);
        let stat = Call::Stat { path: format!("/{FILM}") };
        match draw.below(4) {
            // The news comes while it is opened.
            0 => {
                self.scenario.ops.truncate(1);
                for _ in 0..draw.within(1, 6) {
                    self.op(1, draw.below(60), stat.clone());
                }
                if draw.chance(1, 2) {
                    // Slowly enough that others are answered before.
                    let what = FaultSpec::AnswerSlow { ms: draw.within(10, 100) };
                    self.fault(get(FILM, Some(1), None, None), what);
                }
                let point = draw.pick(&[Point::After, Point::Before]);
                self.replaced(Cause::Request(get(FILM, Some(1), None, Some(point))), draw);
            }
            // The same bytes again, or a directory of the same name: no news.
            1 => {
                let change = match draw.below(2) {
                    0 => Change::PutAgain { key: FILM.to_owned() },
                    _ => Change::Put { key: format!("{FILM}/below"), version: VERSION_FIRST, size: 10 },
                };
                self.scenario.mutations.push(MutationAt { when: Cause::AtMs(draw.within(200, 3_000)), change });
                self.op(1, draw.within(3_000, 6_000), stat);
            }
            _ => {
                let change = self.put(FILM, draw);
                let at_ms = draw.within(200, 3_000);
                self.scenario.mutations.push(MutationAt { when: Cause::AtMs(at_ms), change });
                self.op(1, draw.within(3_000, 6_000), stat);
            }
        }
        self.op(0, 7_000, Call::Xattr { file: 0, name: "user.holdfast.hold".to_owned() });
        if draw.chance(1, 2) {
            let when = Cause::AtMs(draw.within(60_000, 80_000));
            self.scenario.faults.push(FaultAt { when, what: FaultSpec::Outage { ms: draw.within(1, 3_000) } });
            self.op(0, 90_000, Call::Sleep);
        }
        self.op(0, 0, Call::ReadToEnd { file: 0 });
    }

    /// The film is known, then gone; whoever asks for it again is answered late, and others have it made anew before.
    fn late_absence(&mut self, draw: &mut Draw<'_>) {
        self.scenario.config.machines.apps = 2;
        let ttl_ms = draw.pick(&[0, 1_000]);
        self.scenario.config.mount.metadata_ttl_ms = ttl_ms;
        let stat = || Call::Stat { path: format!("/{FILM}") };
        let gone_ms = draw.within(100, 1_000);
        let again_ms = gone_ms + ttl_ms + draw.within(100, 1_000);
        self.op(0, 0, stat());
        let late = self.op(0, again_ms, stat());
        self.op(1, again_ms + draw.within(20, 1_000), Call::Open { file: 0, path: format!("/{FILM}"), direct: false });
        let size = self.size();
        for _ in 0..draw.within(1, 8) {
            let pause_ms = draw.below(3) * draw.below(2_000);
            match draw.below(4) {
                0 => self.op(draw.below(2) as u8, pause_ms, stat()),
                1 => self.op(1, pause_ms, Call::Open { file: 1, path: format!("/{FILM}"), direct: false }),
                _ => self.op(1, pause_ms, Call::Pread { file: 0, at: draw.below(size), len: PAGE_BYTES }),
            };
        }
        let change = Change::Delete { key: FILM.to_owned() };
        self.scenario.mutations.push(MutationAt { when: Cause::AtMs(gone_ms), change });
        let head = |point| RequestCause {
            kind: Some(RequestKind::Head),
            key: Some(FILM.to_owned()),
            nth: Some(1),
            since: Some(late),
            point,
        };
        self.fault(head(None), FaultSpec::AnswerSlow { ms: draw.within(500, 4_000) });
        let change = self.put(FILM, draw);
        self.scenario.mutations.push(MutationAt { when: Cause::Request(head(Some(Point::After))), change });
    }

    /// On a bucket with versions, whoever reads here and there of one that is purged.
    fn purged(&mut self, draw: &mut Draw<'_>) {
        self.scenario.config.bucket.versioned = true;
        let size = self.size();
        self.open(0, 0, FILM);
        for _ in 0..draw.within(4, 14) {
            let pause_ms = draw.below(2) * draw.below(2_000);
            self.op(0, pause_ms, Call::Pread { file: 0, at: draw.below(size), len: 1 + draw.below(PAGE_BYTES) });
        }
        let purge = Change::Purge { key: FILM.to_owned() };
        let when = match draw.below(2) {
            0 => Cause::AtMs(draw.below(self.elapsed_ms() + 100)),
            _ => Cause::Request(get(FILM, Some(draw.within(2, 8)), None, Some(Point::Before))),
        };
        self.scenario.mutations.push(MutationAt { when, change: purge });
        if draw.chance(1, 2) {
            let at_ms = draw.below(self.elapsed_ms() + 100);
            let change = self.put(FILM, draw);
            self.scenario.mutations.push(MutationAt { when: Cause::AtMs(at_ms), change });
        }
        for _ in 0..draw.within(1, 4) {
            self.op(0, 0, Call::Pread { file: 0, at: draw.below(size), len: 1 + draw.below(PAGE_BYTES) });
        }
    }

    fn crowd(&mut self, draw: &mut Draw<'_>) {
        let config = &mut self.scenario.config;
        config.mount.deadline_ms = draw.within(2_000, 5_000);
        config.mount.attempt_timeout_ms = 1_000;
        config.machines.apps = draw.within(50, 64) as u8;
        for app in 0..config.machines.apps {
            let pause_ms = draw.below(2) * draw.below(100);
            self.op(app, pause_ms, Call::Stat { path: format!("/{FILM}-{app}") });
        }
        let cause = RequestCause::default();
        self.fault(cause, FaultSpec::Refused { error: ErrorName::Unavailable, retry_after_ms: None });
    }

    fn breaks(&mut self, draw: &mut Draw<'_>) {
        let config = &mut self.scenario.config;
        config.mount.deadline_ms = 5_000;
        config.mount.attempt_timeout_ms = 1_000;
        if draw.chance(1, 2) {
            return self.breaks_twice(draw);
        }
        let size = self.size();
        self.open(0, 0, FILM);
        for _ in 0..draw.within(3, 12) {
            let pause_ms = draw.within(1, 12_000);
            self.op(0, pause_ms, Call::Read { file: 0, len: 1 + draw.below(size / 6) });
        }
        self.op(0, 0, Call::ReadToEnd { file: 0 });
        let what = draw.pick(&[0, 1]);
        for nth in 1..=draw.within(1, 4) {
            let after = 1 + draw.below(size / 3);
            let what = if what == 0 { FaultSpec::BodyBreaks { after } } else { FaultSpec::BodyEnds { after } };
            self.fault(get(FILM, Some(nth), None, None), what);
        }
        if draw.chance(1, 3) {
            let error = draw.pick(&[ErrorName::Unavailable, ErrorName::NoAnswer]);
            let nth = Some(draw.within(1, 6));
            self.fault(get(FILM, nth, None, None), FaultSpec::Refused { error, retry_after_ms: None });
        }
    }

    /// So far apart that the second is a new failure, of one connection, and each while somebody waits for it.
    fn breaks_twice(&mut self, draw: &mut Draw<'_>) {
        // Too short for the reader to be outrun.
        let size = self.mib * draw.within(9, 15);
        self.scenario.config.objects = vec![object(FILM, 0, size)];
        let first = 1 + draw.below(size / 3);
        self.open(0, 0, FILM);
        self.op(0, 0, Call::Read { file: 0, len: first + draw.below(self.mib) });
        let second = 1 + draw.below(size - first);
        // A read that fails in its middle is a short one: this begins at the page where it breaks.
        let at = (first + second) / PAGE_BYTES * PAGE_BYTES;
        self.op(0, draw.within(6_000, 20_000), Call::Pread { file: 0, at, len: 1 + draw.below(self.mib) });
        self.op(0, 0, Call::ReadToEnd { file: 0 });
        for (nth, after) in [(1, first), (2, second)] {
            self.fault(get(FILM, Some(nth), None, None), FaultSpec::BodyBreaks { after });
        }
    }

    fn cramped(&mut self, draw: &mut Draw<'_>) {
        let mib = self.mib;
        let config = &mut self.scenario.config;
        match draw.below(2) {
            0 => config.mount.hold_max = draw.pick(&[0, mib, 10 * mib, 30 * mib]),
            _ => config.disk.total_bytes = draw.within(10, 80) * mib,
        }
        let second = object("second", 1, mib * draw.within(5, 60));
        self.scenario.config.objects.push(second);
        self.open(0, 0, FILM);
        self.view(0, 0, mib, |_| 0, draw);
        let both = draw.chance(1, 2);
        if both {
            self.open(0, 1, "second");
            self.view(0, 1, mib, |_| 0, draw);
        }
        for key in [FILM, "second"] {
            let change = self.put(key, draw);
            let when = Cause::AtMs(draw.within(300, 1_500));
            self.scenario.mutations.push(MutationAt { when, change });
        }
        self.op(0, 3_000, Call::Stat { path: format!("/{FILM}") });
        self.op(0, 0, Call::Stat { path: "/second".to_owned() });
        for _ in 0..draw.within(1, 3) {
            self.op(0, draw.below(4_000), Call::Read { file: draw.below(2) as Slot, len: 1 + draw.below(8 * mib) });
        }
        self.op(0, 0, Call::ReadToEnd { file: 0 });
        self.op(0, 0, Call::ReadToEnd { file: 1 });
    }

    fn refusals(&mut self, draw: &mut Draw<'_>) {
        let config = &mut self.scenario.config;
        config.mount.metadata_ttl_ms = 0;
        config.mount.negative_metadata_ttl_ms = 0;
        config.machines.apps = draw.weigh(&[(3, 1), (1, 3)]);
        let apps = u64::from(config.machines.apps);
        let small = object("d/note", 1, 1 + draw.below(4 * self.mib));
        self.scenario.config.objects.push(small);
        let paths = ["/film", "/d/note", "/d", "/missing"];
        for _ in 0..draw.within(4, 16) {
            let app = draw.below(apps) as u8;
            let path = draw.pick(&paths).to_owned();
            let call = match draw.below(6) {
                0 | 1 => Call::Stat { path },
                2 => Call::Cat { path },
                3 => Call::Readdir { path: draw.pick(&["/", "/d"]).to_owned() },
                4 => Call::Open { file: 0, path, direct: false },
                _ => Call::Read { file: 0, len: 1 + draw.below(4 * self.mib) },
            };
            let pause_ms = draw.below(2) * draw.below(300);
            self.op(app, pause_ms, call);
        }
        let error = draw.pick(&[
            ErrorName::Throttled,
            ErrorName::Throttled,
            ErrorName::Unavailable,
            ErrorName::AccessDenied,
            ErrorName::Archived,
            ErrorName::NoAnswer,
        ]);
        let lasting = matches!(error, ErrorName::AccessDenied | ErrorName::Archived) || draw.chance(1, 12);
        let kind = draw.pick(&[None, Some(RequestKind::Get), Some(RequestKind::Head), Some(RequestKind::List)]);
        let since = draw.chance(1, 2).then(|| draw.pick(&self.scenario.ops).id);
        let retry_after_ms = draw.chance(1, 2).then(|| draw.within(200, 3_000));
        let first = draw.within(1, 4);
        let burst = if lasting { 1 } else { draw.within(1, 3) };
        for nth in first..first + burst {
            let nth = (!lasting).then_some(nth);
            let cause = RequestCause { kind, key: None, nth, since, point: None };
            self.fault(cause, FaultSpec::Refused { error, retry_after_ms });
        }
    }

    fn openers(&mut self, draw: &mut Draw<'_>) {
        let config = &mut self.scenario.config;
        config.mount.metadata_ttl_ms = draw.pick(&[0, 1_000, 60_000]);
        config.machines.apps = draw.within(1, 3) as u8;
        let apps = u64::from(config.machines.apps);
        if draw.chance(1, 2) {
            let small = 1 + draw.below(4 * self.mib);
            self.scenario.config.objects[0].size = small;
        }
        for n in 0..draw.within(3, 15) {
            let app = draw.below(apps) as u8;
            let file = (n % 3) as Slot;
            let pause_ms = draw.below(2) * draw.below(2_000);
            let path = format!("/{FILM}");
            match draw.below(6) {
                0 => drop(self.op(app, pause_ms, Call::Stat { path })),
                1 => drop(self.op(app, pause_ms, Call::Cat { path })),
                2 => drop(self.op(app, pause_ms, Call::Read { file, len: 1 + draw.below(2 * self.mib) })),
                3 => self.hold(app, file),
                _ => drop(self.op(app, pause_ms, Call::Open { file, path, direct: false })),
            }
        }
        // Before, between and after the requests of an open and of its second try.
        for _ in 0..draw.within(4, 24) {
            let change = match draw.below(10) {
                0 => Change::PutAgain { key: FILM.to_owned() },
                _ => self.put(FILM, draw),
            };
            let kind = draw.pick(&[RequestKind::Get, RequestKind::Get, RequestKind::Head]);
            let point = draw.pick(&[Point::Before, Point::After]);
            let since = draw.chance(3, 4).then(|| draw.pick(&self.scenario.ops).id);
            let nth = Some(draw.within(1, 3));
            let cause = RequestCause { kind: Some(kind), key: Some(FILM.to_owned()), nth, since, point: Some(point) };
            self.scenario.mutations.push(MutationAt { when: Cause::Request(cause), change });
        }
    }
}

fn object(key: &str, version: u32, size: u64) -> Object {
    Object { key: key.to_owned(), version, size, link_to: None }
}

fn get(key: &str, nth: Option<u64>, since: Option<u32>, point: Option<Point>) -> RequestCause {
    RequestCause { kind: Some(RequestKind::Get), key: Some(key.to_owned()), nth, since, point }
}
