//! A file as its mount's applications made it: its names, and the states that it went through.

use bytes::Bytes;
use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::op::Ino;

use super::FileContent;

/// One content of a file.
#[derive(Clone, Debug)]
pub struct State {
    /// From then on it may be what the file is.
    pub began: Time,
    /// From then on it is, until the next one begins. `None`: that is not known yet.
    pub ended: Option<Time>,
    /// `None`: the ledger does not know.
    pub content: Option<FileContent>,
    /// The request that made it.
    pub(super) made_by: u64,
}

/// A file that a mount opened for writing, or changed.
#[derive(Clone, Debug)]
pub struct LocalFile {
    /// No other file has it.
    pub id: u64,
    pub mount: u8,
    pub ino: Ino,
    /// Every name that it had, the present one last.
    pub keys: Vec<String>,
    /// When its name was removed, or given to another.
    pub unnamed_at: Option<Time>,
    /// Oldest first. The first is what it was when it was opened.
    pub states: Vec<State>,
    /// When it had been opened: the version that it began from is no younger.
    pub opened: Time,
    /// When the call began that opened it: the version that it began from may be as old as what that call looked up.
    pub called: Time,
    /// Names that it may have besides: its directory's, or its own, was changed while it was opened.
    pub perhaps: Vec<String>,
    /// How often it was opened to be written to.
    pub writers: u32,
    /// Some write failed, or was not answered: what it holds is not known.
    pub uncertain: bool,
    /// When calls that failed, and changed nothing, may have had it be otherwise meanwhile.
    pub(super) tried: Vec<(Time, Time)>,
    /// By another request than the first.
    pub(super) entered_again: bool,
    /// An application was told that it lost its condition.
    pub abandoned: bool,
    /// Its name was taken away, or given to another, while it was being opened.
    pub doubtful: bool,
    /// When nobody had it open any more.
    pub closed_at: Option<Time>,
    /// Names of what was copied into it, which may still be read there.
    pub sources: Vec<String>,
    /// What was written through mappings, oldest first.
    pub(super) stored: Vec<Stored>,
    /// What the WRITE failed with by which a kernel wanted to give such bytes back.
    pub lost: Option<Errno>,
}

/// Bytes in a kernel's page cache, which the core does not have yet.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) began: Time,
    /// When the core had them, or others in their place. Until then they may be what is read.
    pub(super) ended: Option<Time>,
    pub(super) offset: u64,
    pub(super) bytes: Bytes,
    /// The WRITE under way.
    pub(super) written_by: Option<u64>,
}

impl LocalFile {
    pub fn key(&self) -> &str {
        self.keys.last().map_or("", String::as_str)
    }

    pub fn is_named(&self) -> bool {
        self.unnamed_at.is_none()
    }

    /// The states that it may have had at some moment of `from..=until`.
    pub fn admissible(&self, from: Time, until: Time) -> &[State] {
        let last = self.states.partition_point(|state| state.began <= until);
        let first = self.states[..last].iter().rposition(|state| state.ended.is_some_and(|ended| ended < from));
        &self.states[first.unwrap_or(0)..last]
    }

    /// Whether it may have been otherwise at some moment of `from..=until`, because of a call that failed.
    pub fn was_tried(&self, from: Time, until: Time) -> bool {
        self.tried.iter().any(|(began, ended)| *began <= until && *ended >= from)
    }

    /// Whether some byte was written through a mapping and may have been read at some moment of `from..=until`.
    pub fn may_have_stored(&self, at: u64, byte: u8, from: Time, until: Time) -> bool {
        self.stored.iter().any(|stored| {
            let there = at.checked_sub(stored.offset).and_then(|at| stored.bytes.get(at as usize));
            there == Some(&byte) && stored.began <= until && stored.ended.is_none_or(|ended| ended >= from)
        })
    }

    /// A WRITE of this range is sent, is answered, or failed.
    pub(super) fn write_begins(&mut self, at: u64, offset: u64, len: u64) {
        let within =
            |stored: &&mut Stored| stored.offset >= offset && stored.offset + stored.bytes.len() as u64 <= offset + len;
        let pending = self.stored.iter_mut().filter(|stored| stored.ended.is_none());
        pending.filter(within).for_each(|stored| stored.written_by = Some(at));
    }

    pub(super) fn write_ends(&mut self, at: u64, now: Option<Time>) {
        for stored in self.stored.iter_mut().filter(|stored| stored.written_by == Some(at)) {
            (stored.ended, stored.written_by) = (now, None);
        }
    }

    /// The place of the state that this request made.
    pub fn made_by(&self, request: u64) -> usize {
        self.states.iter().rposition(|state| state.made_by == request).unwrap_or(0)
    }

    pub(super) fn change(&mut self, at: u64, now: Time, how: impl FnOnce(&mut FileContent)) {
        let mut content = self.states.last().and_then(|state| state.content.clone());
        if let Some(content) = &mut content {
            how(content);
        }
        self.states.push(State { began: now, ended: None, content, made_by: at });
    }
}
