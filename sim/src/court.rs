//! Where what applications saw is judged.
//!
//! Applications and the world's end tell the court what was seen, as [`Sight`]s; each oracle (see [`crate::oracles`])
//! looks at every one of them beside the [`Truth`], which knows what the bucket held when and what went wrong, and never
//! asks the core. In a story the first finding fails the test where it happens; in a scenario it is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use holdfast::config::Config;
use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::fs::Census;
use holdfast::op::{Attr, Entry, Ino, Op, Reply};

use crate::content::Mismatch;
use crate::disk::SimDisk;
use crate::executor::{SimHandle, Slot, Stuck, TaskPanic, locked};
use crate::history::{Change, History, Published};
use crate::kernel::{Kernel, Listed, Naming, OpenFile};
use crate::ledger::{Altered, FileContent, Ledger, LocalFile};
use crate::mutation::LINK;
use crate::oracles::{self, Oracle, OracleId};
use crate::recording::{self, Recorder};
use crate::scenario::OpId;
use crate::store::{FaultKind, Hit, SimStore, Suffered};

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub oracle: OracleId,
    pub message: String,
    pub at: Time,
    /// The operation that saw it.
    pub op: Option<OpId>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.oracle, self.message)?;
        match self.op {
            Some(op) => write!(f, " (operation {op}, at {:?})", self.at.0),
            None => write!(f, " (at {:?})", self.at.0),
        }
    }
}

/// Who made a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Seat {
    pub mount: u8,
    pub app: u8,
}

/// An open file as the court knows it; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(pub u64);

/// What an open file promised when it was opened.
#[derive(Clone, Debug)]
pub struct Held {
    pub seat: Seat,
    pub key: String,
    /// It was found by way of a symbolic link: then `key` is a guess by its ETag.
    pub linked: bool,
    pub ino: Ino,
    /// `None`: nobody ever published its ETag, which was reported.
    pub published: Option<Published>,
    pub opened_at: Time,
    /// When the call began that opened it: what it pinned was current since then, or within the TTL before.
    pub called_at: Time,
    /// Not O_WRONLY
    pub reads: bool,
    /// Its mount died.
    pub dead: bool,
}

/// One thing that was seen.
pub struct Sight<'a> {
    pub seat: Seat,
    pub op: Option<OpId>,
    /// When the call began.
    pub began: Time,
    pub ended: Time,
    pub what: What<'a>,
}

pub enum What<'a> {
    Opened {
        file: FileId,
        attr: &'a Attr,
        etag: &'a str,
    },
    /// A read, a page fault or a piece of either was answered. Fewer bytes than asked are the end of the file, or come
    /// before a failure that is told apart.
    Bytes {
        file: FileId,
        offset: u64,
        asked: u64,
        bytes: &'a [u8],
        /// Where they are not those of the file's version.
        mismatch: Option<Mismatch>,
    },
    Fstat {
        file: FileId,
        attr: &'a Attr,
    },
    Stat {
        key: &'a str,
        attr: &'a Attr,
    },
    /// The target of a symbolic link.
    Link {
        key: &'a str,
        target: &'a [u8],
    },
    /// What has come of a directory since `since`, when its listing began.
    Listed {
        key: &'a str,
        entries: &'a [Listed],
        since: Time,
        /// It came to its end.
        whole: bool,
    },
    /// The core told the kernel what a name is.
    Named {
        key: &'a str,
        entry: &'a Entry,
        listed: bool,
        /// It was told before, and is taken in now.
        late: bool,
    },
    /// An extended attribute: of an open file, or of what a path led to, beside that inode's attributes.
    Attribute {
        of: Described<'a>,
        name: &'a str,
        /// `None`: there is none.
        value: Option<&'a str>,
    },
    /// The names of all extended attributes of what a path led to, beside that inode's attributes.
    AttributeNames {
        key: &'a str,
        attr: &'a Attr,
        names: &'a [String],
    },
    Closed {
        file: FileId,
    },
    /// lseek(2) to data, or to a hole, at or after `from`.
    Sought {
        file: FileId,
        from: u64,
        hole: bool,
        to: u64,
    },
    /// A request that changes something was answered. Of the mount in `seat`.
    Altered(&'a Altered),
    /// Any other success.
    Done {
        call: &'static str,
    },
    Failed {
        call: &'static str,
        on: On<'a>,
        errno: Errno,
    },
    /// The kernel met an answer that breaks the protocol.
    Broken {
        oracle: OracleId,
        message: String,
    },
    /// The mount died, and another was started in its place.
    Crashed,
    /// Everything is closed and forgotten, and time has passed.
    Rest(Rest),
    Stuck(&'a Stuck),
    Panicked(&'a TaskPanic),
}

/// What an extended attribute was asked of.
#[derive(Clone, Copy, Debug)]
pub enum Described<'a> {
    File(FileId),
    Path { key: &'a str, attr: &'a Attr },
}

/// What a failed call was about.
#[derive(Clone, Copy, Debug)]
pub enum On<'a> {
    Key(&'a str),
    /// A rename, by both of its names.
    Rename {
        from: &'a str,
        to: &'a str,
    },
    /// Bytes `offset..offset + len` of an open file; other calls on it have `len` 0.
    File {
        file: FileId,
        offset: u64,
        len: u64,
    },
    Nothing,
}

/// What a mount at rest still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    pub census: Census,
    pub bodies: u64,
    /// Multipart uploads that were neither completed nor aborted.
    pub uploads: u64,
    pub spools: u64,
    /// Files that were closed and are not published.
    pub journal: u64,
    pub unwritten_reads: u64,
}

/// A machine of the world, whose use of resources anybody may look at.
pub struct Machine {
    /// Of the present mount. The kernel knows the court, and must not be kept by it.
    pub(crate) kernel: Weak<Mutex<Kernel>>,
    pub(crate) disk: SimDisk,
}

impl Machine {
    pub fn kernel(&self) -> Option<Kernel> {
        self.kernel.upgrade().map(|kernel| locked(&kernel).clone())
    }
}

/// What is known independently of the core.
pub struct Truth {
    pub history: History,
    /// What this world's mounts changed.
    pub ledger: Ledger,
    pub store: SimStore,
    pub config: Config,
    /// The disk of the mount is small or fails.
    pub poor_disk: bool,
    /// Operations on the disk of the mount fail, or go wrong without a word.
    pub disk_faulty: bool,
    /// The disk and `--hold-max` have room for every version that there will be.
    pub disk_plenty: bool,
    /// The memory has.
    pub memory_plenty: bool,
    /// Connections that nobody reads from for longer die.
    pub body_idle_max: Option<Duration>,
    /// The most bytes that one chunk of a body has.
    pub chunk_bytes: u64,
    /// Callers may be killed: then calls go on that nobody sees.
    pub kills: bool,
    /// How many calls at most, which nobody sees an answer of.
    pub kills_max: u64,
    pub apps: u8,
    pub machines: Vec<Machine>,
    /// Things go wrong in this world.
    pub faulty: bool,
    /// They did, and are over.
    pub weathered: bool,
    /// Answers may claim what is not so: another ETag, another size, that there is nothing.
    pub lies: bool,
    /// Last-Modified may be wrong.
    pub clock_lies: bool,
    /// Versions may be removed for good.
    pub purges: bool,
    /// Objects may be in archives.
    pub archives: bool,
    /// Nothing but the core's own reads brings pages, and nothing takes them away.
    pub pages_are_kept: bool,
    /// Mounts may die.
    pub crashes: bool,
    /// When each mount last died.
    died: BTreeMap<u8, Time>,
    /// The longest that any one step of the store may take without a fault.
    pub step_max: Duration,
    pub files: BTreeMap<FileId, Held>,
    next_file: u64,
    /// Since when nothing goes wrong any more.
    pub calm_since: Option<Time>,
    calls: u64,
}

impl Truth {
    /// From now on nothing explains a failure.
    pub fn weather_is_over(&mut self, now: Time) {
        self.weathered = self.faulty;
        self.calm_since = Some(now);
        self.faulty = false;
        self.poor_disk = false;
    }

    /// Whether the service may have said something untrue that what is seen within `since..=until` rests on.
    pub fn was_lied_to(&self, since: Time, until: Time) -> bool {
        // What a name or an inode was told is kept for a TTL, and by its content as long as it is open.
        let since = Time(since.0.saturating_sub(self.config.deadline + self.config.metadata_ttl));
        self.lies && self.store.has_suffered(since, until, &is_lie)
    }

    /// Whether a fault that `fits` ever hit a request on which `key` depends: what is open remembers.
    pub fn was_hit(&self, key: &str, fits: &dyn Fn(&FaultKind) -> bool) -> bool {
        let mut found = false;
        self.store.each_hit(|hit| found |= fits(&hit.what) && hit.concerns(key));
        found
    }

    /// Looks at every fault that may still have an effect within `since..=until`: a body's trouble comes when it comes.
    pub fn each_hit(&self, since: Time, until: Time, look: &mut dyn FnMut(&Hit)) {
        let since = self.calm_since.map_or(since, |calm| since.max(calm));
        self.store.each_hit(|hit| {
            let latent = is_of_body(&hit.what) && self.calm_since.is_none();
            if hit.at <= until && (hit.at >= since || latent) {
                look(hit);
            }
        });
    }

    /// Whether the server was down within `since..=until`.
    pub fn was_down(&self, since: Time, until: Time) -> bool {
        let since = self.calm_since.map_or(since, |calm| since.max(calm));
        self.store.was_down(since, until)
    }

    /// Whether something that `fits` went wrong within `since..=until`.
    pub fn has_suffered(&self, since: Time, until: Time, fits: &dyn Fn(&Suffered) -> bool) -> bool {
        let since = self.calm_since.map_or(since, |calm| since.max(calm));
        self.store.has_suffered(since, until, fits)
    }

    /// How long an answer may be under way, of whatever the core asks.
    pub fn under_way_max(&self) -> Duration {
        if self.faulty || self.weathered { self.config.deadline } else { self.step_max }
    }

    /// The key that a path names.
    pub fn key(&self, path: &str) -> String {
        let mut key = self.config.prefix.clone();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if !key.is_empty() && !key.ends_with('/') {
                key.push('/');
            }
            key.push_str(name);
        }
        key
    }

    /// Whether a mount ever died: descriptors of before are its predecessor's.
    pub fn has_died(&self, mount: u8) -> bool {
        self.died.contains_key(&mount)
    }

    /// Whether a call began before its mount died: some of what it shows may be that one's.
    pub fn is_of_the_dead(&self, sight: &Sight<'_>) -> bool {
        self.died.get(&sight.seat.mount).is_some_and(|died| sight.began <= *died)
    }

    /// Whether a symbolic link was ever on the way to a key: what is found there may be elsewhere.
    pub fn is_linked(&self, key: &str) -> bool {
        let ends = key.match_indices('/').map(|(at, _)| at).chain([key.len()]);
        let mut names = ends.map(|end| &key[..end]);
        names.any(|name| {
            let link = |change: &Change| change.now.as_ref().is_some_and(|content| content.version == LINK);
            self.history.look(name, |changes| changes.iter().any(link))
        })
    }

    /// The content that an open file must give. None of a file that its mount changes: what that gives, the ledger knows.
    pub fn published(&self, file: FileId) -> Option<(&Held, &Published)> {
        let held = self.files.get(&file)?;
        let (mount, ino) = (held.seat.mount, held.ino);
        if (held.dead && !self.config.read_only)
            || self.ledger.file(mount, ino).is_some()
            || self.ledger.has_lost(mount, ino)
        {
            return None;
        }
        Some((held, held.published.as_ref()?))
    }

    /// The file that a mount changes and of which this is a descriptor.
    pub fn local_file(&self, file: FileId) -> Option<(&Held, &LocalFile)> {
        let held = self.files.get(&file).filter(|held| !held.dead)?;
        Some((held, self.ledger.file(held.seat.mount, held.ino)?))
    }

    /// Whether what a mount shows of a name may be of its own making, not yet published, or so lately that what others
    /// told it before may still be on its way.
    pub fn is_local(&self, mount: u8, key: &str, from: Time, until: Time) -> bool {
        !self.ledger.is_empty() && self.ledger.was_local(mount, key, self.lately(from), until)
    }

    /// Of names beneath a directory, or of the directory itself.
    pub fn is_local_beneath(&self, mount: u8, directory: &str, from: Time, until: Time) -> bool {
        let lately = self.lately(from);
        !self.ledger.is_empty()
            && (self.ledger.was_local(mount, directory, lately, until)
                || self.ledger.was_local_beneath(mount, directory, lately, until))
    }

    fn lately(&self, time: Time) -> Time {
        let ttl = self.config.metadata_ttl.max(self.config.negative_metadata_ttl);
        let slack = ttl + holdfast::config::PIN_KEPT + self.under_way_max() * 2;
        Time(time.0.saturating_sub(slack))
    }

    /// Whether what a key holds may be shown with this time. Bytes that a mount published have its own time there, also when
    /// somebody puts the same ones again.
    pub fn may_show(&self, now: &Published, mtime: i64) -> bool {
        now.may_show(mtime) || (!self.ledger.is_empty() && self.history.was_made(&now.etag))
    }

    /// Whether there was a directory of this name, implied by keys or marked, at some moment.
    pub fn was_directory(&self, key: &str, from: Time, until: Time) -> bool {
        let key = key.trim_end_matches('/');
        if key == self.config.prefix.trim_end_matches('/') {
            return true;
        }
        let beneath = format!("{key}/");
        self.history.any_under(&beneath, |_, changes| crate::history::was(changes, from, until, |now| now.is_some()))
    }

    /// Whether, for every name that would have to be there, there was a moment without it.
    pub fn was_nothing(&self, key: &str, from: Time, until: Time) -> bool {
        let absent = |changes: &[_]| crate::history::was(changes, from, until, |now| now.is_none());
        let beneath = format!("{key}/");
        let remained = self.history.any_under(&beneath, |_, changes| !absent(changes));
        !remained && self.history.look(key, absent)
    }
}

/// Whether a file is in its machine's journal until it is published, under whichever of its names.
pub fn has_journaled(machines: &[Machine], file: &LocalFile) -> bool {
    file.keys.iter().any(|key| is_journaled(machines, file.mount, key))
}

/// Whether a file of this key was closed on a machine, and is in its journal until it is published.
pub fn is_journaled(machines: &[Machine], mount: u8, key: &str) -> bool {
    machines.get(usize::from(mount)).is_some_and(|machine| machine.disk.has_journaled(key))
}

fn file_content(key: &str, published: &Published) -> Option<FileContent> {
    published.content(key).map(|content| FileContent::of(content.to_bytes()))
}

fn is_denial(suffered: &Suffered) -> bool {
    use holdfast::env::store::ErrorKind::AccessDenied;
    matches!(suffered, Suffered::Fault(FaultKind::Refused(error)) if error.kind == AccessDenied)
}

fn is_lie(suffered: &Suffered) -> bool {
    match suffered {
        Suffered::Fault(what) => is_untrue(what),
        Suffered::Outage => false,
    }
}

/// Whether it comes with a body, at any time after its request.
pub fn is_of_body(what: &FaultKind) -> bool {
    use FaultKind::{BodyBreaks, BodyDiesPaused, BodyEnds, BodyOverflows, BodySlow, BodyStalls};
    matches!(
        what,
        BodyBreaks { .. }
            | BodyEnds { .. }
            | BodyOverflows { .. }
            | BodyStalls { .. }
            | BodyDiesPaused { .. }
            | BodySlow { .. }
    )
}

/// Whether it has the service say something untrue of an object.
pub fn is_untrue(what: &FaultKind) -> bool {
    use holdfast::env::store::ErrorKind::{AccessDenied, InvalidRange, NotFound, PreconditionFailed};
    match what {
        FaultKind::Refused(error) => {
            // Where listing is denied, a look-up makes do with what a HEAD says.
            matches!(error.kind, AccessDenied | NotFound | PreconditionFailed | InvalidRange)
        }
        what => matches!(
            what,
            FaultKind::EtagWrong
                | FaultKind::SizeWrong(_)
                | FaultKind::ModifiedSkewed(_)
                | FaultKind::PageRepeats
                | FaultKind::PageGoesBack
                | FaultKind::PageTokenDropped
                | FaultKind::PageTokenLoops
                | FaultKind::PageTokenCircles
        ),
    }
}

/// Clones are the same court.
#[derive(Clone)]
pub struct Court {
    inner: Arc<Mutex<Inner>>,
    handle: SimHandle,
    first: Slot<()>,
}

struct Inner {
    truth: Truth,
    oracles: Vec<Box<dyn Oracle>>,
    findings: Vec<Finding>,
    manner: Manner,
    recorder: Option<Recorder>,
}

/// What a finding leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The test fails on the spot.
    Strict,
    /// It is kept.
    Patient,
}

impl Court {
    pub fn new(handle: SimHandle, history: History, store: SimStore, config: Config, manner: Manner) -> Self {
        let step_max = Duration::from_secs(3600);
        let truth = Truth {
            history,
            ledger: Ledger::default(),
            store,
            config,
            poor_disk: true,
            disk_faulty: true,
            disk_plenty: false,
            memory_plenty: false,
            body_idle_max: None,
            chunk_bytes: u64::MAX,
            kills: true,
            kills_max: 0,
            apps: 0,
            machines: Vec::new(),
            faulty: true,
            weathered: false,
            lies: true,
            clock_lies: false,
            purges: true,
            archives: true,
            pages_are_kept: false,
            crashes: false,
            died: BTreeMap::new(),
            step_max,
            files: BTreeMap::new(),
            next_file: 0,
            calm_since: None,
            calls: 0,
        };
        let inner = Inner { truth, oracles: oracles::all(), findings: Vec::new(), manner, recorder: None };
        Self { inner: Arc::new(Mutex::new(inner)), handle, first: Slot::empty() }
    }

    /// Tells the oracles what sort of world it is.
    pub fn inform(&self, tell: impl FnOnce(&mut Truth)) {
        tell(&mut locked(&self.inner).truth);
    }

    /// From now on what is seen is also written there.
    pub(crate) fn record_to(&self, recorder: Recorder) {
        locked(&self.inner).recorder = Some(recorder);
    }

    pub(crate) fn recorder(&self) -> Option<Recorder> {
        locked(&self.inner).recorder.clone()
    }

    pub fn now(&self) -> Time {
        self.handle.now()
    }

    pub fn key(&self, path: &str) -> String {
        locked(&self.inner).truth.key(path)
    }

    /// Writes a new open file down; what it promised is found by its ETag.
    pub fn opened(
        &self,
        seat: Seat,
        op: Option<OpId>,
        key: String,
        open: &OpenFile,
        (etag, began): (&str, Time),
    ) -> (FileId, Arc<str>, Option<Published>) {
        let mut inner = locked(&self.inner);
        let Inner { truth, recorder, .. } = &mut *inner;
        let (ino, reads) = (open.ino(), open.is_for_reading());
        truth.next_file += 1;
        let file = FileId(truth.next_file);
        let mut key = key;
        let mut published = truth.history.with_etag(&key, etag);
        let linked = truth.is_linked(&key);
        let plain = published.as_ref().is_some_and(|content| content.version != LINK);
        if linked && !plain && truth.config.posix_metadata {
            // Which of the keys it led to, the ETag tells.
            let keys = truth.history.keys();
            let found = keys.iter().find_map(|key| Some((key, truth.history.with_etag(key.as_str(), etag)?)));
            if let Some((target, content)) = found {
                (key, published) = (target.to_string(), Some(content));
            }
        }
        // What was written to it was closed, and its name taken away, while this open was on its way.
        let closed = |file: &LocalFile| file.closed_at.is_some_and(|at| at >= began) && !file.is_named();
        if truth.ledger.latest(seat.mount, ino).is_some_and(closed) {
            published = None;
        }
        truth.ledger.learn(seat.mount, ino, || file_content(&key, published.as_ref()?));
        let name: Arc<str> = key.as_str().into();
        let held = Held {
            seat,
            key,
            linked,
            ino,
            published: published.clone(),
            opened_at: self.handle.now(),
            called_at: began,
            reads,
            dead: false,
        };
        if let Some(recorder) = recorder {
            recorder.opened(file, op, &held);
        }
        truth.files.insert(file, held);
        (file, name, published)
    }

    /// Judges one sight.
    pub fn see(&self, sight: &Sight<'_>) {
        let mut inner = locked(&self.inner);
        let Inner { truth, oracles, findings, manner, recorder } = &mut *inner;
        if matches!(sight.what, What::Crashed) {
            truth.ledger.crashed(sight.seat.mount, sight.ended);
            truth.died.insert(sight.seat.mount, sight.ended);
            let lost = truth.files.values_mut().filter(|held| held.seat.mount == sight.seat.mount);
            lost.for_each(|held| held.dead = true);
        }
        let before = findings.len();
        if !matches!(
            sight.what,
            What::Rest(_)
                | What::Stuck(_)
                | What::Panicked(_)
                | What::Broken { .. }
                | What::Named { .. }
                | What::Altered(_)
        ) {
            truth.calls += 1;
        }
        if let Some(recorder) = recorder {
            recorder.saw(truth, sight);
        }
        for oracle in oracles {
            let id = oracle.id();
            let mut verdict = |message: String| {
                findings.push(Finding { oracle: id, message, at: sight.ended, op: sight.op });
            };
            oracle.see(truth, sight, &mut verdict);
        }
        if let What::Broken { oracle, message } = &sight.what {
            findings.push(Finding { oracle, message: message.clone(), at: sight.ended, op: sight.op });
        }
        if let What::Closed { file } = &sight.what {
            truth.files.remove(file);
        }
        if findings.len() == before {
            return;
        }
        if *manner == Manner::Strict {
            let finding = findings[before].clone();
            drop(inner);
            panic!("{finding}");
        }
        drop(inner);
        self.first.fill(());
    }

    /// Judges what the core told a kernel of a name.
    pub fn named(&self, seat: Seat, naming: &Naming<'_>) {
        let key = self.key(&naming.path);
        let what = What::Named { key: &key, entry: naming.entry, listed: naming.listed, late: naming.late };
        self.see(&Sight { seat, op: None, began: naming.began, ended: self.now(), what });
    }

    /// A kernel is about to send a request that changes something, opens, commits or gives back.
    pub(crate) fn change_begins(&self, mount: u8, op: &Op, paths: &[String], called: Time) -> u64 {
        let now = self.now();
        let mut inner = locked(&self.inner);
        let Truth { ledger, files, config, .. } = &mut inner.truth;
        let keys = paths.iter().map(|path| format!("{}{}", config.prefix, path.trim_start_matches('/'))).collect();
        // Those that have it open, the last first.
        let open =
            |ino| files.values().rev().filter(move |held| held.seat.mount == mount && held.ino == ino && !held.dead);
        let base = |ino| open(ino).find_map(|held| file_content(&held.key, held.published.as_ref()?));
        let name = |ino| open(ino).next().map(|held| held.key.clone());
        let at = ledger.begins(mount, (called, now), op, keys, base, name);
        if let Some(recorder) = &inner.recorder {
            recorder.said(now, "KERNEL", format!("of mount {mount}, request {at}: {}", recording::words::op(op)));
        }
        at
    }

    /// It was answered, or not sent.
    pub(crate) fn change_ends(&self, at: u64, outcome: Option<Result<&Reply, Errno>>) {
        let now = self.now();
        let altered = {
            let mut inner = locked(&self.inner);
            if let Some(recorder) = &inner.recorder {
                recorder.said(now, "KERNEL", format!("request {at}: {}", recording::words::outcome(outcome)));
            }
            let Truth { ledger, machines, store, .. } = &mut inner.truth;
            ledger.doubts_refusals |= matches!(outcome, Some(Err(Errno::EACCES)))
                && store.has_suffered(Time::ZERO, now, &|suffered| !is_denial(suffered));
            ledger.ends(at, now, outcome, |mount, key| is_journaled(machines, mount, key))
        };
        if let Some((mount, altered)) = altered {
            let (seat, began) = (Seat { mount, app: u8::MAX }, altered.began);
            self.see(&Sight { seat, op: None, began, ended: now, what: What::Altered(&altered) });
        }
    }

    /// A kernel has bytes in its page cache that were written through a mapping.
    pub(crate) fn stored(&self, mount: u8, ino: Ino, offset: u64, bytes: &Bytes) {
        let now = self.now();
        locked(&self.inner).truth.ledger.stored(mount, ino, offset, bytes, now);
    }

    /// It could not write such bytes back.
    pub(crate) fn lost(&self, mount: u8, ino: Ino, errno: Errno) {
        locked(&self.inner).truth.ledger.lost(mount, ino, errno);
    }

    /// Waits for the first finding.
    pub async fn first_finding(&self) {
        self.first.take().await;
    }

    /// System calls judged so far.
    pub fn calls(&self) -> u64 {
        locked(&self.inner).truth.calls
    }

    pub fn findings(&self) -> Vec<Finding> {
        locked(&self.inner).findings.clone()
    }

    pub fn accuse(&self, oracle: OracleId, message: String) {
        let now = self.now();
        self.see(&Sight {
            seat: Seat::default(),
            op: None,
            began: now,
            ended: now,
            what: What::Broken { oracle, message },
        });
    }
}

/// Ends the application that met an answer which breaks the protocol; whoever runs the world learns which and why.
pub fn broken(oracle: OracleId, message: String) -> ! {
    std::panic::panic_any(Violation { oracle, message })
}

struct Violation {
    oracle: OracleId,
    message: String,
}

/// What a panic of an application stands for.
pub fn violation_of(payload: Box<dyn std::any::Any + Send>) -> (OracleId, String) {
    let payload = match payload.downcast::<Violation>() {
        Ok(violation) => return (violation.oracle, violation.message),
        Err(payload) => payload,
    };
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "a panic without a message".to_owned());
    // What the simulated kernel says when it is given what no file system may give.
    let short = text.starts_with("short read") || text.starts_with("a read past the end");
    let odd = text.contains("was answered with") || text.starts_with("READDIRPLUS");
    let oracle = if short {
        "byte-exact"
    } else if odd {
        "protocol"
    } else {
        "panic"
    };
    (oracle, text)
}
