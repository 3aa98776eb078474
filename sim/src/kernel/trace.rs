//! A record of requests and answers, as text that a recording of a real mount can be compared with.
//!
//! Inodes and handles are named by the order in which they first appear (`i1` is the root), so that two recordings of one
//! story read the same whatever numbers the core drew. Times are left out: they differ from run to run.

use std::collections::BTreeMap;

use holdfast::error::FsError;
use holdfast::op::{Attr, DirEntry, Entry, Fh, Ino, Kind, Op, Reply, Whence};

/// What was asked, in the order of asking, each with its answer once that has come.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    lines: Vec<Line>,
    /// Lines that were taken before these.
    taken: usize,
    shown: Shown,
}

#[derive(Clone, Debug)]
struct Line {
    asked: String,
    answered: Option<String>,
    /// Of a LOOKUP.
    looked_up: Option<Place>,
}

/// A name in a directory.
type Place = (Ino, Vec<u8>);

/// The names that stand for numbers.
#[derive(Clone, Debug, Default)]
struct Shown {
    inodes: BTreeMap<Ino, usize>,
    inodes_named: usize,
    /// What was found since lines were taken.
    found: BTreeMap<Place, Attr>,
    handles: BTreeMap<Fh, usize>,
}

impl Trace {
    /// What to name to [`Trace::answered`].
    pub fn asked(&mut self, op: &Op) -> usize {
        let asked = self.shown.op(op);
        let looked_up = match op {
            Op::Lookup { parent, name } => Some((*parent, name.clone())),
            _ => None,
        };
        self.lines.push(Line { asked, answered: None, looked_up });
        self.taken + self.lines.len() - 1
    }

    pub fn answered(&mut self, at: usize, outcome: &Result<Reply, FsError>) {
        let Some(line) = at.checked_sub(self.taken).and_then(|at| self.lines.get_mut(at)) else { return };
        if let Some(place) = line.looked_up.take() {
            self.shown.look_up_found(place, outcome);
        }
        line.answered = Some(self.shown.outcome(outcome));
    }

    /// A request whose answer nobody looks at, and which is never refused.
    pub fn told(&mut self, op: &Op) {
        let asked = self.shown.op(op);
        self.lines.push(Line { asked, answered: Some("done".to_string()), looked_up: None });
    }

    /// Whether something is yet to be answered.
    pub fn is_under_way(&self) -> bool {
        self.lines.iter().any(|line| line.answered.is_none())
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Takes the lines so far; names stay given.
    pub fn take_lines(&mut self) -> Vec<String> {
        self.taken += self.lines.len();
        self.shown.found.clear();
        std::mem::take(&mut self.lines).into_iter().map(Line::shown).collect()
    }
}

impl Line {
    fn shown(self) -> String {
        match self.answered.as_deref() {
            Some(answered) => format!("{} -> {answered}", self.asked),
            None => format!("{} -> ?", self.asked),
        }
    }
}

impl Shown {
    fn ino(&mut self, ino: Ino) -> String {
        // The root is there from the start.
        if self.inodes.is_empty() {
            self.inodes.insert(Ino::ROOT, 1);
            self.inodes_named = 1;
        }
        let named = self.inodes.entry(ino).or_insert_with(|| {
            self.inodes_named += 1;
            self.inodes_named
        });
        format!("i{named}")
    }

    /// Linux forgets an inode that it did not expect and looks its name up again, both at once: whether the core sees it
    /// forgotten first, and gives it another number, is chance. Either number goes by one name.
    fn look_up_found(&mut self, place: Place, outcome: &Result<Reply, FsError>) {
        let Ok(Reply::Entry(Entry { attr: Some(attr), .. })) = outcome else { return };
        if let Some(before) = self.found.get(&place)
            && !self.inodes.contains_key(&attr.ino)
            && (before.kind, before.size) == (attr.kind, attr.size)
            && let Some(named) = self.inodes.get(&before.ino).copied()
        {
            self.inodes.insert(attr.ino, named);
        }
        self.found.insert(place, attr.clone());
    }

    fn fh(&mut self, fh: Fh) -> String {
        let next = self.handles.len() + 1;
        format!("h{}", self.handles.entry(fh).or_insert(next))
    }

    fn op(&mut self, op: &Op) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match op {
            Op::Lookup { parent, name } => format!("LOOKUP {} {}", self.ino(*parent), text(name)),
            Op::Forget { ino, count } => format!("FORGET {} {count}", self.ino(*ino)),
            Op::Getattr { ino } => format!("GETATTR {}", self.ino(*ino)),
            Op::Readlink { ino } => format!("READLINK {}", self.ino(*ino)),
            Op::Open { ino, mode } => {
                let mut flags = String::new();
                for (is, word) in [(mode.write, " write"), (mode.truncate, " truncate"), (mode.direct, " direct")] {
                    flags.push_str(if is { word } else { "" });
                }
                format!("OPEN {}{flags}", self.ino(*ino))
            }
            Op::Read { ino, fh, offset, len } => format!("READ {} {} {offset} {len}", self.ino(*ino), self.fh(*fh)),
            Op::Flush { ino, fh, still_open } => {
                let word = if *still_open { " again" } else { "" };
                format!("FLUSH {} {}{word}", self.ino(*ino), self.fh(*fh))
            }
            Op::Fsync { ino, fh } => format!("FSYNC {} {}", self.ino(*ino), self.fh(*fh)),
            Op::Release { ino, fh } => format!("RELEASE {} {}", self.ino(*ino), self.fh(*fh)),
            Op::Lseek { ino, fh, offset, whence } => {
                let whence = match whence {
                    Whence::Data => "data",
                    Whence::Hole => "hole",
                };
                format!("LSEEK {} {} {whence} {offset}", self.ino(*ino), self.fh(*fh))
            }
            Op::Opendir { ino } => format!("OPENDIR {}", self.ino(*ino)),
            Op::Readdir { ino, fh, offset, plus, .. } => {
                let word = if *plus { "READDIRPLUS" } else { "READDIR" };
                format!("{word} {} {} {offset}", self.ino(*ino), self.fh(*fh))
            }
            Op::Releasedir { ino, fh } => format!("RELEASEDIR {} {}", self.ino(*ino), self.fh(*fh)),
            Op::Statfs { ino } => format!("STATFS {}", self.ino(*ino)),
            Op::Access { ino, mask, .. } => format!("ACCESS {} {mask}", self.ino(*ino)),
            Op::Getxattr { ino, name } => format!("GETXATTR {} {}", self.ino(*ino), text(name)),
            Op::Listxattr { ino } => format!("LISTXATTR {}", self.ino(*ino)),
            changes => self.change(changes),
        }
    }

    fn change(&mut self, op: &Op) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match op {
            Op::Create { parent, name, exclusive, .. } => {
                let word = if *exclusive { " exclusive" } else { "" };
                format!("CREATE {} {}{word}", self.ino(*parent), text(name))
            }
            Op::Mknod { parent, name, .. } => format!("MKNOD {} {}", self.ino(*parent), text(name)),
            Op::Mkdir { parent, name, .. } => format!("MKDIR {} {}", self.ino(*parent), text(name)),
            Op::Symlink { parent, name, target, .. } => {
                format!("SYMLINK {} {} {}", self.ino(*parent), text(name), text(target))
            }
            Op::Unlink { parent, name } => format!("UNLINK {} {}", self.ino(*parent), text(name)),
            Op::Rmdir { parent, name } => format!("RMDIR {} {}", self.ino(*parent), text(name)),
            Op::Rename { parent, name, new_parent, new_name, .. } => {
                let (from, to) = (self.ino(*parent), self.ino(*new_parent));
                format!("RENAME {from} {} {to} {}", text(name), text(new_name))
            }
            Op::Write { ino, fh, offset, data } => {
                format!("WRITE {} {} {offset} {}", self.ino(*ino), self.fh(*fh), data.len())
            }
            Op::Setattr { ino, changes, .. } => match changes.size {
                Some(size) => format!("SETATTR {} size {size}", self.ino(*ino)),
                None => format!("SETATTR {}", self.ino(*ino)),
            },
            Op::Setxattr { ino, name, .. } => format!("SETXATTR {} {}", self.ino(*ino), text(name)),
            Op::Removexattr { ino, name } => format!("REMOVEXATTR {} {}", self.ino(*ino), text(name)),
            Op::Fallocate { ino, fh, offset, len, .. } => {
                format!("FALLOCATE {} {} {offset} {len}", self.ino(*ino), self.fh(*fh))
            }
            Op::CopyRange { from: (ino, fh), from_offset, to: (new_ino, new_fh), to_offset, len } => {
                let (from, to) = ((self.ino(*ino), self.fh(*fh)), (self.ino(*new_ino), self.fh(*new_fh)));
                format!("COPY_FILE_RANGE {} {} {from_offset} {} {} {to_offset} {len}", from.0, from.1, to.0, to.1)
            }
            Op::Unsupported { ino, what } => format!("UNSUPPORTED {} {what}", self.ino(*ino)),
            other => format!("{other:?}"),
        }
    }

    fn outcome(&mut self, outcome: &Result<Reply, FsError>) -> String {
        match outcome {
            Err(error) => format!("errno {}", error.errno().0),
            Ok(Reply::Done) => "done".to_string(),
            Ok(Reply::Entry(entry)) => self.entry(entry),
            Ok(Reply::Attr { attr, ttl }) => {
                let kept = if ttl.is_zero() { "once" } else { "kept" };
                format!("{} {} {} {kept}", self.ino(attr.ino), kind(attr.kind), attr.size)
            }
            Ok(Reply::Link(target)) => format!("link {}", String::from_utf8_lossy(target)),
            Ok(Reply::Opened { fh }) => self.fh(*fh),
            Ok(Reply::Created { entry, fh }) => format!("{} {}", self.entry(entry), self.fh(*fh)),
            Ok(Reply::Written(bytes)) => format!("{bytes} written"),
            Ok(Reply::Data(data)) => format!("{} bytes", data.len()),
            Ok(Reply::Offset(at)) => format!("at {at}"),
            Ok(Reply::Directory(entries)) => self.entries(entries),
            Ok(Reply::Statfs(_)) => "statfs".to_string(),
            Ok(Reply::Xattr(value)) => format!("value of {} bytes", value.len()),
        }
    }

    fn entry(&mut self, entry: &Entry) -> String {
        let kept = if entry.entry_ttl.is_zero() { "once" } else { "kept" };
        match &entry.attr {
            Some(attr) => format!("{} {} {} {kept}", self.ino(attr.ino), kind(attr.kind), attr.size),
            None => format!("absent {kept}"),
        }
    }

    /// How many, how many of them with attributes, and the cookie after the last.
    fn entries(&mut self, entries: &[DirEntry]) -> String {
        for entry in entries.iter().filter(|entry| entry.entry.is_some()) {
            self.ino(entry.ino);
        }
        let described = entries.iter().filter(|entry| entry.entry.is_some()).count();
        let end = entries.last().map_or(0, |last| last.offset);
        format!("{} entries, {described} described, to {end}", entries.len())
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "link",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
    }
}
