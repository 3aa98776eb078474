//! The ledger: what applications did to files, as the kernels' requests and their answers tell; the oracles of writing
//! judge by it.
//!
//! It knows nothing of drafts as the core keeps them. Of each file that a mount changed it has the states that the file
//! went through: each is possible from when the request was sent that made it, and certain once that was answered. Requests
//! that change one file follow one another, because Linux locks it; so states have an order.
//!
//! What it cannot know, such as what a write that failed left behind, it says: then nobody judges by it.

mod asked;
pub mod content;
mod copies;
mod file;
mod handles;
mod mapped;
mod names;
mod nodes;
mod spans;
mod xattrs;

use std::collections::{BTreeMap, BTreeSet};

use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::op::{Fh, Ino, Kind, Op, Reply};

pub use content::FileContent;
pub use file::{LocalFile, State};

/// The number of files whose mount died: none of a living one.
const NOBODY: Ino = Ino(0);

/// What came of a request that oracles want to know of.
#[derive(Clone, Debug)]
pub struct Altered {
    pub what: Alteration,
    pub began: Time,
    pub outcome: Result<(), Errno>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alteration {
    /// FSYNC, or the FLUSH of a descriptor that was the process's last.
    Commit {
        ino: Ino,
        /// The request that had made the file what it certainly was when the commit was asked for.
        reached: u64,
        /// A close, which with `--write-back` may leave it to the journal.
        closes: bool,
    },
    Unlink {
        key: String,
    },
    Rmdir {
        key: String,
    },
    Mkdir {
        key: String,
    },
    Rename {
        from: String,
        to: String,
    },
    /// Nobody has it open any more.
    Closed {
        ino: Ino,
    },
    /// An open with O_TRUNC emptied a file that others had open and that nobody on this mount was writing to.
    Emptied {
        ino: Ino,
        key: String,
        /// Somebody here had written to it before.
        written: bool,
    },
    /// A file or a FIFO was made; all names that it may have.
    Node {
        keys: Vec<String>,
    },
    /// Anything else.
    Other,
}

/// A request under way.
#[derive(Debug)]
struct UnderWay {
    mount: u8,
    began: Time,
    called: Time,
    what: Request,
    keys: Vec<String>,
    /// Names of `keys` before directories above them were renamed meanwhile.
    earlier: Vec<String>,
    /// Names to which one of `keys` was moved meanwhile.
    perhaps: Vec<String>,
}

#[derive(Debug)]
enum Request {
    Open {
        ino: Ino,
        changes: bool,
        truncates: bool,
        /// Of those who had it open, while nobody had it open to write to it, and were not letting go of it.
        viewers: BTreeSet<Fh>,
        /// How often it had been opened to be written to.
        writers: u32,
        /// The ledger had no such file before.
        enters: bool,
    },
    Create {
        truncates: bool,
    },
    /// WRITE, FALLOCATE, or SETATTR of the size.
    Change {
        ino: Ino,
        /// SETATTR: it may fail after it was done.
        sets_attributes: bool,
        /// truncate(2) by path, which commits where nobody has the file open to write to it, nor opens it so meanwhile: how often
        /// that had been done before.
        commits: Option<u32>,
    },
    /// SETATTR of anything else.
    Attributes {
        ino: Ino,
    },
    /// COPY_FILE_RANGE into a file.
    Copy {
        ino: Ino,
        /// How many are to be copied, if that is known.
        bytes: Option<u64>,
    },
    /// SETXATTR or REMOVEXATTR.
    Xattr {
        ino: Ino,
    },
    /// SYMLINK.
    Link,
    /// MKNOD.
    Node {
        kind: Kind,
    },
    Commit {
        ino: Ino,
        reached: u64,
        closes: bool,
    },
    /// FLUSH of a descriptor that is not the process's last.
    Flush {
        ino: Ino,
    },
    Release {
        ino: Ino,
        fh: Fh,
    },
    Unlink,
    Rmdir,
    Mkdir,
    Rename,
    Other,
}

/// For how long a mount had something of its own under a name.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: Time,
    /// `None`: it still has.
    to: Option<Time>,
}

#[derive(Debug, Default)]
pub struct Ledger {
    files: BTreeMap<(u8, Ino), LocalFile>,
    /// Those that were closed, oldest first.
    past: Vec<LocalFile>,
    handles: BTreeMap<(u8, Ino), BTreeSet<Fh>>,
    /// Inodes that ever were in `files`.
    changed: BTreeSet<(u8, Ino)>,
    /// Handles that were opened for writing.
    writers: BTreeSet<(u8, Fh)>,
    spans: BTreeMap<(u8, String), Vec<Span>>,
    under_way: BTreeMap<u64, UnderWay>,
    requests: u64,
    /// Unlinks that have ended: of which mount and name, from when to when.
    unlinks: Vec<(u8, String, Span)>,
    /// Removals of directories that may have been done, like `unlinks`.
    rmdirs: Vec<(u8, String, Span)>,
    /// Names that were moved, by mount.
    renamed: BTreeSet<(u8, String)>,
    /// Where and whither a mount was renaming when it died: the prefixes of what is beneath.
    cut_short: Vec<(u8, String)>,
    /// The same, each from where to where, and when.
    moved: Vec<(u8, String, String, Time)>,
    /// Prefixes beneath which some may have been moved by a rename that failed, and those where to, by mount.
    moved_in_part: Vec<(u8, String, String)>,
    /// When names were last taken away, by mount.
    removed: BTreeMap<(u8, String), Time>,
    /// Names that somebody opened with O_TRUNC.
    truncated: BTreeSet<(u8, String)>,
    /// MKNODs that have ended, like `unlinks`.
    nodes: Vec<(u8, String, Span)>,
    xattrs: xattrs::Xattrs,
    /// Inodes of which a kernel has pages that the core does not have: they could not be written back.
    lost: BTreeSet<(u8, Ino)>,
    /// Requests that have ended by which files are published.
    asked: Vec<asked::Asked>,
    /// A request of what was refused then may have been done before, for all that is known.
    pub doubts_refusals: bool,
    /// Inodes that copy_file_range(2) copied from.
    copied_from: BTreeSet<(u8, Ino)>,
}

impl Ledger {
    /// Whether anything was ever changed from here.
    pub fn is_empty(&self) -> bool {
        self.requests == 0
    }

    /// A file that is open and was changed, or opened to be.
    pub fn file(&self, mount: u8, ino: Ino) -> Option<&LocalFile> {
        self.files.get(&(mount, ino))
    }

    /// The same, or the latest of this number that was closed.
    pub fn latest(&self, mount: u8, ino: Ino) -> Option<&LocalFile> {
        let closed = || self.past.iter().rev().find(|file| file.mount == mount && file.ino == ino);
        self.file(mount, ino).or_else(closed)
    }

    pub fn with_id(&self, id: u64) -> Option<&LocalFile> {
        self.files.values().chain(&self.past).find(|file| file.id == id)
    }

    /// All files of a mount that ever had this name.
    pub fn named<'a>(&'a self, mount: u8, key: &'a str) -> impl Iterator<Item = &'a LocalFile> {
        let all = self.files.values().chain(&self.past);
        all.filter(move |file| file.mount == mount && file.keys.iter().any(|name| name == key))
    }

    /// The same, of this name or of any beneath it.
    pub fn beneath<'a>(&'a self, mount: u8, name: &'a str) -> impl Iterator<Item = &'a LocalFile> {
        let is_beneath =
            move |key: &String| key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let all = self.files.values().chain(&self.past);
        all.filter(move |file| file.mount == mount && file.keys.iter().any(is_beneath))
    }

    /// Whether a mount is just taking this name away, or giving it to another.
    pub fn is_being_removed(&self, mount: u8, key: &str) -> bool {
        self.under_way.values().any(|request| {
            let removes = matches!(request.what, Request::Unlink | Request::Rename);
            removes
                && request.mount == mount
                && with_parents(key).any(|name| request.keys.iter().any(|key| key == name))
        })
    }

    /// Open files of a mount that have had a name beneath this prefix since then, and nothing happens to.
    pub fn steady(&self, mount: u8, prefix: &str, since: Time) -> impl Iterator<Item = &LocalFile> {
        let steady = move |file: &&LocalFile| {
            let told = file.is_named() && !file.doubtful && !file.abandoned && !file.uncertain && file.opened < since;
            let used = |request: &UnderWay| match request.what {
                Request::Commit { ino, .. } | Request::Release { ino, .. } => request.mount == mount && ino == file.ino,
                _ => false,
            };
            told && file.mount == mount
                && self.handles.contains_key(&(mount, file.ino))
                && !self.under_way.values().any(used)
                && !self.was_removed_since(mount, &file.keys, since)
        };
        self.files.values().filter(move |file| file.key().starts_with(prefix)).filter(steady)
    }

    /// Whether an application of a mount was removing this name at that time.
    pub fn was_unlinking(&self, mount: u8, key: &str, at: Time) -> bool {
        let ended =
            self.unlinks.iter().any(|(of, name, span)| (*of, name.as_str()) == (mount, key) && span.touches(at, at));
        let names = |request: &UnderWay| request.keys.iter().chain(&request.earlier).any(|name| name == key);
        let under_way = |request: &UnderWay| {
            matches!(request.what, Request::Unlink) && request.mount == mount && request.began <= at && names(request)
        };
        ended || self.under_way.values().any(under_way)
    }

    /// How often applications of a mount were removing this name at some moment of `from..=until`.
    pub fn removals_within(&self, mount: u8, key: &str, from: Time, until: Time) -> usize {
        let ended = self.unlinks.iter().filter(|(of, name, span)| {
            let this = (*of, name.as_str()) == (mount, key);
            this && span.touches(from, until)
        });
        let under_way = self.under_way.values().filter(|request| {
            let names = request.keys.iter().chain(&request.earlier).any(|name| name == key);
            matches!(request.what, Request::Unlink) && request.mount == mount && request.began <= until && names
        });
        ended.count() + under_way.count()
    }

    /// Files of a mount that were opened while their names were taken away: which they have since, is not known.
    pub fn doubtful(&self, mount: u8) -> impl Iterator<Item = &LocalFile> {
        self.files.values().chain(&self.past).filter(move |file| file.mount == mount && file.doubtful)
    }

    /// Whether a name is beneath a directory that its mount was renaming when it died: the next one goes on with that.
    pub fn is_finished_later(&self, mount: u8, key: &str) -> bool {
        self.cut_short.iter().any(|(of, prefix)| *of == mount && key.starts_with(prefix.as_str()))
    }

    /// Whether anybody on this mount opened a name with O_TRUNC.
    pub fn was_truncated(&self, mount: u8, key: &str) -> bool {
        self.truncated.contains(&(mount, key.to_owned()))
    }

    /// Whether an inode was ever changed from here.
    pub fn was_changed(&self, mount: u8, ino: Ino) -> bool {
        self.changed.contains(&(mount, ino))
    }

    /// Whether the mount moved this name, or one above it, or moved something there, or is about to.
    pub fn was_renamed(&self, mount: u8, key: &str) -> bool {
        let renames = |request: &&UnderWay| matches!(request.what, Request::Rename) && request.mount == mount;
        let moving = |name: &str| {
            let mut renaming = self.under_way.values().filter(renames);
            renaming.any(|request| request.keys.iter().any(|key| key == name))
        };
        with_parents(key).any(|name| self.renamed.contains(&(mount, name.to_owned())) || moving(name))
    }

    /// Whether the mount had something of its own under this name, or one above it, at some moment of `from..=until`.
    pub fn was_local(&self, mount: u8, key: &str, from: Time, until: Time) -> bool {
        with_parents(key).any(|name| {
            let spans = self.spans.get(&(mount, name.to_owned()));
            spans.is_some_and(|spans| spans.iter().any(|span| span.touches(from, until)))
        })
    }

    /// Whether it had beneath it.
    pub fn was_local_beneath(&self, mount: u8, directory: &str, from: Time, until: Time) -> bool {
        let prefix = match directory {
            "" => String::new(),
            directory => format!("{}/", directory.trim_end_matches('/')),
        };
        let spans = self.spans.range((mount, prefix.clone())..);
        let mut beneath = spans.take_while(|((of, key), _)| *of == mount && key.starts_with(&prefix));
        beneath.any(|(_, spans)| spans.iter().any(|span| span.touches(from, until)))
    }

    /// What a file was when it was opened, if that is yet to be told.
    pub fn learn(&mut self, mount: u8, ino: Ino, content: impl FnOnce() -> Option<FileContent>) {
        if let Some(file) = self.files.get_mut(&(mount, ino))
            && let [only] = &mut file.states[..]
            && only.content.is_none()
        {
            only.content = content();
        }
    }

    // What kernels tell.

    /// `called`: when the system call began. `base`: what the version holds that an open file of this number was opened with;
    /// `name`: by which.
    pub fn begins(
        &mut self,
        mount: u8,
        (called, now): (Time, Time),
        op: &Op,
        keys: Vec<String>,
        base: impl Fn(Ino) -> Option<FileContent>,
        name: impl Fn(Ino) -> Option<String>,
    ) -> u64 {
        self.requests += 1;
        let at = self.requests;
        let what = match op {
            Op::Open { ino, mode } => {
                let (changes, truncates) = (mode.write || mode.truncate, mode.truncate);
                let viewers = if truncates { self.viewers(mount, *ino) } else { BTreeSet::new() };
                let writers = self.files.get(&(mount, *ino)).map_or(0, |file| file.writers);
                let enters = changes && !self.files.contains_key(&(mount, *ino)) && !self.was_changed(mount, *ino);
                if changes {
                    self.enter(mount, *ino, &keys, (called, now), base);
                }
                if truncates && let Some(file) = self.files.get_mut(&(mount, *ino)) {
                    file.states.push(State {
                        began: now,
                        ended: None,
                        content: Some(FileContent::default()),
                        made_by: at,
                    });
                }
                Request::Open { ino: *ino, changes, truncates, viewers, writers, enters }
            }
            Op::Create { mode, .. } => Request::Create { truncates: mode.truncate },
            Op::Write { ino, offset, data, .. } => {
                self.enter(mount, *ino, &keys, (called, now), base);
                if let Some(file) = self.files.get_mut(&(mount, *ino)) {
                    file.change(at, now, |content| content.write(*offset, data.clone()));
                    file.write_begins(at, *offset, data.len() as u64);
                }
                Request::Change { ino: *ino, sets_attributes: false, commits: None }
            }
            Op::Setattr { ino, fh, changes } => match changes.size {
                Some(size) => {
                    self.enter(mount, *ino, &keys, (called, now), base);
                    if let Some(file) = self.files.get_mut(&(mount, *ino)) {
                        file.change(at, now, |content| content.resize(size));
                        if let Some(last) = file.states.last_mut()
                            && size == 0
                        {
                            last.content = Some(FileContent::default());
                        }
                    }
                    Request::Change {
                        ino: *ino,
                        sets_attributes: true,
                        commits: if fh.is_none() { self.opened_to_write(mount, *ino) } else { None },
                    }
                }
                None => {
                    self.enter(mount, *ino, &keys, (called, now), base);
                    Request::Attributes { ino: *ino }
                }
            },
            Op::Fallocate { ino, offset, len, how, .. } => {
                self.enter(mount, *ino, &keys, (called, now), base);
                if let Some(file) = self.files.get_mut(&(mount, *ino)) {
                    file.change(at, now, |content| content.allocate(*offset, *len, *how));
                }
                Request::Change { ino: *ino, sets_attributes: false, commits: None }
            }
            Op::CopyRange { from: (from, _), from_offset, to: (ino, _), to_offset, len } => {
                let source = self.source_of_copy(mount, *from, &base);
                let names = name(*from).into_iter().collect();
                self.copied_from.insert((mount, *from));
                self.enter(mount, *ino, &keys, (called, now), base);
                self.copy_begins(at, (mount, *ino), now, (names, source), (*from_offset, *to_offset, *len))
            }
            Op::Setxattr { ino, .. } | Op::Removexattr { ino, .. } => {
                self.enter(mount, *ino, &keys, (called, now), base);
                // fsetxattr(2) of a descriptor whose name is gone.
                if keys.is_empty()
                    && let Some(file) = self.files.get_mut(&(mount, *ino)).filter(|file| file.keys.is_empty())
                {
                    file.keys.extend(name(*ino));
                    file.unnamed_at = Some(now);
                }
                self.xattr_begins(at, mount, op, now);
                Request::Xattr { ino: *ino }
            }
            Op::Mknod { kind, .. } => Request::Node { kind: *kind },
            Op::Symlink { .. } => Request::Link,
            Op::Fsync { ino, .. } => Request::Commit { ino: *ino, reached: self.reached(mount, *ino), closes: false },
            Op::Flush { ino, fh, still_open: false } if self.writers.contains(&(mount, *fh)) => {
                Request::Commit { ino: *ino, reached: self.reached(mount, *ino), closes: true }
            }
            Op::Flush { ino, fh, .. } if self.writers.contains(&(mount, *fh)) => Request::Flush { ino: *ino },
            Op::Release { ino, fh } => Request::Release { ino: *ino, fh: *fh },
            Op::Unlink { .. } => Request::Unlink,
            Op::Rmdir { .. } => Request::Rmdir,
            Op::Mkdir { .. } => Request::Mkdir,
            Op::Rename { .. } => Request::Rename,
            _ => Request::Other,
        };
        if let Op::Open { mode, .. } | Op::Create { mode, .. } = op
            && mode.truncate
        {
            self.truncated.extend(keys.iter().map(|key| (mount, key.clone())));
        }
        let makes_local = match &what {
            Request::Open { changes, .. } => *changes,
            Request::Create { .. } | Request::Change { .. } | Request::Copy { .. } => true,
            Request::Attributes { .. } | Request::Xattr { .. } | Request::Link | Request::Node { .. } => true,
            Request::Unlink | Request::Rmdir | Request::Mkdir | Request::Rename => true,
            Request::Commit { .. } | Request::Flush { .. } | Request::Release { .. } | Request::Other => false,
        };
        match &what {
            Request::Open { ino, truncates: true, .. } | Request::Change { ino, .. } | Request::Copy { ino, .. } => {
                self.contest(mount, *ino, at);
            }
            _ => {}
        }
        if makes_local {
            keys.iter().for_each(|key| self.local_from(mount, key, now));
        }
        if let Op::Open { ino, .. } | Op::Setattr { ino, .. } | Op::Setxattr { ino, .. } | Op::Removexattr { ino, .. } =
            op
        {
            self.doubt(mount, called, *ino, &keys);
        }
        self.under_way
            .insert(at, UnderWay { mount, began: now, called, what, keys, earlier: Vec::new(), perhaps: Vec::new() });
        at
    }

    /// `outcome`: `None` where it was not sent after all. Answers what oracles want to know, and of which mount.
    /// `journaled`: whether a file of this key of the mount was closed and is not published yet.
    pub fn ends(
        &mut self,
        at: u64,
        now: Time,
        outcome: Option<Result<&Reply, Errno>>,
        journaled: impl Fn(u8, &str) -> bool,
    ) -> Option<(u8, Altered)> {
        let request = self.under_way.remove(&at)?;
        self.note_asked(&request, now);
        let UnderWay { mount, began, called, what, keys, earlier, perhaps } = request;
        let done = outcome.is_some_and(|outcome| outcome.is_ok());
        let errno = outcome.and_then(Result::err);
        let alteration = match what {
            Request::Open { ino, changes, truncates, viewers, writers, enters } => {
                let emptied = done && self.has_emptied((mount, ino), at, &viewers, writers);
                let written = self.files.get(&(mount, ino)).is_some_and(|file| file.made_by(at) > 1);
                if truncates {
                    self.settle(mount, ino, at, now, done, errno);
                }
                if enters && !done {
                    self.take_back(mount, ino);
                }
                if let Some(Ok(Reply::Opened { fh })) = outcome {
                    self.named_again(mount, ino, &keys, called);
                    self.opened(mount, ino, (at, called, now), *fh, changes);
                    self.may_be(mount, ino, perhaps);
                    self.doubt(mount, called, ino, &keys);
                }
                if emptied {
                    Alteration::Emptied { ino, key: keys.first().cloned().unwrap_or_default(), written }
                } else {
                    Alteration::Other
                }
            }
            Request::Create { truncates } => {
                if let Some(Ok(Reply::Created { entry, fh })) = outcome
                    && let Some(attr) = &entry.attr
                {
                    self.enter(mount, attr.ino, &keys, (called, began), |_| {
                        (attr.size == 0 || truncates).then(FileContent::default)
                    });
                    if let Some(file) = self.files.get_mut(&(mount, attr.ino)) {
                        if let [only] = &mut file.states[..] {
                            only.ended = Some(now);
                        } else if truncates {
                            let content = Some(FileContent::default());
                            file.states.push(State { began, ended: Some(now), content, made_by: at });
                        }
                    }
                    self.opened(mount, attr.ino, (at, called, now), *fh, true);
                    self.may_be(mount, attr.ino, perhaps);
                    self.doubt(mount, called, attr.ino, &keys);
                }
                Alteration::Other
            }
            Request::Change { ino, sets_attributes, commits } => {
                self.settle(mount, ino, at, now, done, errno);
                if sets_attributes
                    && errno.is_some()
                    && let Some(file) = self.files.get_mut(&(mount, ino))
                {
                    // What S3 refuses has changed nothing (R39).
                    match errno {
                        Some(Errno::EACCES) if !self.doubts_refusals => file.tried.push((began, now)),
                        _ => file.uncertain = true,
                    }
                }
                let commits = done && commits.is_some() && commits == self.opened_to_write(mount, ino);
                if commits { Alteration::Commit { ino, reached: at, closes: false } } else { Alteration::Other }
            }
            Request::Commit { ino, reached, closes } => {
                if errno == Some(Errno::ESTALE)
                    && let Some(file) = self.files.get_mut(&(mount, ino))
                {
                    file.abandoned = true;
                }
                Alteration::Commit { ino, reached, closes }
            }
            Request::Release { ino, fh } => {
                let left = self.released(mount, ino, fh);
                if left { Alteration::Other } else { Alteration::Closed { ino } }
            }
            Request::Unlink => {
                let key = keys.first().cloned().unwrap_or_default();
                let span = Span { from: began, to: Some(now) };
                self.unlinks.extend(keys.iter().chain(&earlier).map(|key| (mount, key.clone(), span)));
                if done {
                    self.unname(mount, &key, None, now);
                    self.removed.extend(keys.into_iter().chain(earlier).map(|key| ((mount, key), now)));
                }
                Alteration::Unlink { key }
            }
            Request::Rmdir => {
                let refused = matches!(errno, Some(Errno::ENOTEMPTY | Errno::ENOENT | Errno::ENOTDIR));
                let span = Span { from: began, to: Some(now) };
                self.rmdirs.extend(keys.iter().filter(|_| !refused).map(|key| (mount, key.clone(), span)));
                Alteration::Rmdir { key: keys.first().cloned().unwrap_or_default() }
            }
            Request::Mkdir => Alteration::Mkdir { key: keys.first().cloned().unwrap_or_default() },
            Request::Rename => {
                let [from, to] = &keys[..] else { return None };
                self.renamed.extend([(mount, from.clone()), (mount, to.clone())]);
                if done {
                    self.rename(mount, from, to, now);
                    self.moved.push((mount, from.clone(), to.clone(), now));
                    self.removed.extend([((mount, from.clone()), now), ((mount, to.clone()), now)]);
                } else if matches!(errno, Some(Errno::EIO | Errno::EACCES)) {
                    // It may have been copied all the same.
                    let there = |file: &&mut LocalFile| file.mount == mount && file.key() == to;
                    self.files.values_mut().filter(there).for_each(|file| file.doubtful = true);
                    self.renamed_in_part(mount, from, to, now);
                }
                Alteration::Rename { from: from.clone(), to: to.clone() }
            }
            Request::Copy { ino, bytes } => {
                self.copy_ends(at, (mount, ino), outcome, bytes);
                self.settle(mount, ino, at, now, done, errno);
                Alteration::Other
            }
            Request::Xattr { ino } => {
                self.xattr_ends(at, mount, ino, now, outcome.map(|outcome| outcome.map(drop)));
                Alteration::Other
            }
            Request::Node { kind } => {
                let reply = outcome.and_then(Result::ok);
                self.node_ended(mount, kind, (&keys, &earlier), (began, called, now), reply)
            }
            Request::Attributes { .. } | Request::Flush { .. } | Request::Link | Request::Other => Alteration::Other,
        };
        self.close_spans(mount, now, |key| journaled(mount, key));
        let outcome = match outcome {
            None => return None,
            Some(Ok(_)) => Ok(()),
            Some(Err(errno)) => Err(errno),
        };
        Some((mount, Altered { what: alteration, began, outcome }))
    }

    /// The mount died: whatever it had not published is gone.
    pub fn crashed(&mut self, mount: u8, now: Time) {
        let (dead, living) =
            std::mem::take(&mut self.under_way).into_iter().partition(|(_, request)| request.mount == mount);
        self.under_way = living;
        let dead: BTreeMap<u64, UnderWay> = dead;
        dead.values().for_each(|request| self.note_asked(request, now));
        self.under_way.extend(dead);
        for request in self.under_way.values().filter(|request| request.mount == mount) {
            let span = Span { from: request.began, to: Some(now) };
            let names = request.keys.iter().chain(&request.earlier).map(|key| (mount, key.clone(), span));
            match request.what {
                Request::Unlink => self.unlinks.extend(names),
                Request::Node { .. } => self.nodes.extend(names),
                Request::Rename => {
                    let names = request.keys.iter().chain(&request.earlier);
                    self.cut_short.extend(names.map(|key| (mount, format!("{}/", key.trim_end_matches('/')))));
                }
                _ => {}
            }
        }
        self.under_way.retain(|_, request| request.mount != mount);
        self.handles.retain(|(of, _), _| *of != mount);
        self.changed.retain(|(of, _)| *of != mount);
        self.writers.retain(|(of, _)| *of != mount);
        self.xattrs.retain(|(of, _, _), _| *of != mount);
        self.lost.retain(|(of, _)| *of != mount);
        let dead: Vec<_> = self.files.extract_if(.., |(of, _), _| *of == mount).map(|(_, file)| file).collect();
        self.past.extend(dead);
        // Numbers begin anew.
        self.past.iter_mut().filter(|file| file.mount == mount).for_each(|file| file.ino = NOBODY);
        self.close_spans(mount, now, |_| false);
    }

    // Private.

    /// A file that is opened for writing, or changed, and was not before.
    fn enter(
        &mut self,
        mount: u8,
        ino: Ino,
        keys: &[String],
        (called, now): (Time, Time),
        base: impl FnOnce(Ino) -> Option<FileContent>,
    ) {
        if let Some(file) = self.files.get_mut(&(mount, ino)) {
            file.entered_again = true;
            return;
        }
        self.changed.insert((mount, ino));
        // What was not known when it was closed last is not known when it is opened again.
        let before = self.past.iter().rev().find(|file| (file.mount, file.ino) == (mount, ino));
        let uncertain = before.is_some_and(|file| file.uncertain);
        // What had lost its name when it was closed is in no bucket: it is what it was.
        let nameless = before.filter(|file| !file.is_named()).and_then(|file| file.states.last());
        let content = nameless.map_or_else(|| base(ino), |state| state.content.clone());
        let first = State { began: Time::ZERO, ended: Some(Time::ZERO), content, made_by: 0 };
        let perhaps = self.perhaps_moved(mount, keys);
        perhaps.iter().for_each(|key| self.local_from(mount, key, now));
        let file = LocalFile {
            id: self.requests,
            mount,
            ino,
            // The last is the present one, as far as is known.
            keys: perhaps.iter().chain(keys).cloned().collect(),
            unnamed_at: None,
            states: vec![first],
            opened: now,
            called,
            perhaps,
            writers: 0,
            uncertain,
            tried: Vec::new(),
            entered_again: false,
            abandoned: false,
            doubtful: false,
            closed_at: None,
            sources: Vec::new(),
            stored: Vec::new(),
            lost: None,
        };
        self.files.insert((mount, ino), file);
    }

    fn reached(&self, mount: u8, ino: Ino) -> u64 {
        let file = self.files.get(&(mount, ino));
        let certain = |file: &LocalFile| {
            file.states.iter().rev().find(|state| state.ended.is_some()).map_or(0, |state| state.made_by)
        };
        file.map_or(0, certain)
    }

    /// An open with O_TRUNC waits for nobody: which of it and of a change that overlaps it came last, the ledger does not
    /// know.
    fn contest(&mut self, mount: u8, ino: Ino, at: u64) {
        let changes = |request: &UnderWay| match request.what {
            Request::Open { ino: of, truncates: true, .. }
            | Request::Change { ino: of, .. }
            | Request::Copy { ino: of, .. } => request.mount == mount && of == ino,
            _ => false,
        };
        if self.under_way.values().any(changes)
            && let Some(file) = self.files.get_mut(&(mount, ino))
        {
            for state in file.states.iter_mut().filter(|state| state.ended.is_none() || state.made_by == at) {
                state.content = None;
            }
        }
    }

    /// A change of a file was answered.
    fn settle(&mut self, mount: u8, ino: Ino, at: u64, now: Time, done: bool, errno: Option<Errno>) {
        let Some(file) = self.files.get_mut(&(mount, ino)) else { return };
        file.write_ends(at, done.then_some(now));
        let Some(place) = file.states.iter().position(|state| state.made_by == at) else { return };
        if done {
            file.states[place].ended = Some(now);
            if place == 1 && !self.handles.contains_key(&(mount, ino)) {
                file.opened = now;
            }
            return;
        }
        // Some of it may have been done.
        let refused = match errno {
            None => true,
            Some(errno) => [
                Errno::ESTALE,
                Errno::EBADF,
                Errno::EROFS,
                Errno::EPERM,
                Errno::EACCES,
                Errno::EFBIG,
                Errno::ENOENT,
                Errno::EINVAL,
                Errno::EOPNOTSUPP,
            ]
            .contains(&errno),
        };
        file.uncertain |= !refused;
        file.states.remove(place);
    }

    /// Whether a name was taken away since a call began that was about it: which of the two came first, nobody knows.
    fn was_removed_since(&self, mount: u8, keys: &[String], called: Time) -> bool {
        keys.iter().flat_map(|key| with_parents(key)).any(|name| {
            let removed = self.removed.get(&(mount, name.to_owned()));
            removed.is_some_and(|at| *at >= called) || self.is_being_removed(mount, name)
        })
    }
}

/// A key, and the names of all directories that it is in.
fn with_parents(key: &str) -> impl Iterator<Item = &str> {
    let key = key.trim_end_matches('/');
    std::iter::once(key).chain(key.match_indices('/').map(move |(at, _)| &key[..at]))
}
