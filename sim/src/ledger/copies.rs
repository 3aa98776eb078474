//! copy_file_range(2) between two files of a mount: the target has the source's bytes, as they are when it is asked for.

use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::op::{Ino, Reply};

use super::{FileContent, Ledger, Request};

impl Ledger {
    /// What is copied of; `None` where that is not known, or is just being changed.
    pub(super) fn source_of_copy(
        &self,
        mount: u8,
        ino: Ino,
        base: &impl Fn(Ino) -> Option<FileContent>,
    ) -> Option<FileContent> {
        let Some(file) = self.files.get(&(mount, ino)) else { return base(ino) };
        let last = file.states.last().filter(|state| state.ended.is_some() && !file.uncertain)?;
        last.content.clone()
    }

    /// Whether others may read an inode as part of what they are.
    pub fn was_copied_from(&self, mount: u8, ino: Ino) -> bool {
        self.copied_from.contains(&(mount, ino))
    }

    pub(super) fn copy_begins(
        &mut self,
        at: u64,
        (mount, ino): (u8, Ino),
        now: Time,
        (sources, source): (Vec<String>, Option<FileContent>),
        (from, to, len): (u64, u64, u64),
    ) -> Request {
        let copied = source.map(|source| source.read(from, len));
        let bytes = copied.as_ref().map(|copied| copied.len() as u64);
        if let Some(file) = self.files.get_mut(&(mount, ino)) {
            let known = copied.is_some();
            file.sources.extend(sources);
            file.change(at, now, |content| content.write(to, copied.unwrap_or_default().into()));
            if let Some(last) = file.states.last_mut().filter(|_| !known) {
                last.content = None;
            }
        }
        Request::Copy { ino, bytes }
    }

    /// Fewer may have been copied, or others meanwhile have changed the source: then nobody knows what the target is.
    pub(super) fn copy_ends(
        &mut self,
        at: u64,
        (mount, ino): (u8, Ino),
        outcome: Option<Result<&Reply, Errno>>,
        bytes: Option<u64>,
    ) {
        let Some(Ok(Reply::Written(copied))) = outcome else { return };
        if Some(u64::from(*copied)) != bytes
            && let Some(file) = self.files.get_mut(&(mount, ino))
            && let Some(place) = file.states.iter().position(|state| state.made_by == at)
        {
            file.states[place..].iter_mut().for_each(|state| state.content = None);
        }
    }
}
