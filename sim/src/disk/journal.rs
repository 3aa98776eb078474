//! The journal: files that outlive the process that wrote them, for the next one to publish.

use bytes::Bytes;
use holdfast::env::DiskError;

use super::extents::Extents;
use super::{SimDisk, SimSpool, SpoolContent};
use crate::executor::locked;

/// An entry of the journal.
#[derive(Clone, Debug)]
pub struct JournalEntry {
    pub name: String,
    pub bytes: Bytes,
    /// What is known of it.
    pub text: String,
}

#[derive(Default)]
pub(super) struct Journal {
    entries: Vec<JournalEntry>,
    made: u64,
}

impl Journal {
    pub(super) fn add(&mut self, bytes: Bytes, text: String) -> String {
        self.made += 1;
        let name = format!("journal/{}", self.made);
        self.entries.push(JournalEntry { name: name.clone(), bytes, text });
        name
    }

    fn find(&mut self, name: &str) -> Result<&mut JournalEntry, DiskError> {
        let found = self.entries.iter_mut().find(|entry| entry.name == name);
        found.ok_or_else(|| DiskError::Failed(format!("bug: {name} is not in the journal")))
    }
}

impl SimDisk {
    /// What is in the journal, oldest first.
    pub fn journal(&self) -> Vec<JournalEntry> {
        locked(&self.inner.state).journal.entries.clone()
    }

    /// Whether a file of this key is in it.
    pub fn has_journaled(&self, key: &str) -> bool {
        let state = locked(&self.inner.state);
        if state.journal.entries.is_empty() {
            return false;
        }
        // Each field of what is known of an entry has its length before it.
        let field = format!("\n{}:{key}\n", key.len());
        state.journal.entries.iter().any(|entry| entry.text.contains(&field))
    }

    pub(super) fn amend(&self, name: &str, text: String) -> Result<(), DiskError> {
        locked(&self.inner.state).journal.find(name)?.text = text;
        Ok(())
    }

    pub(super) fn discard(&self, name: &str) {
        locked(&self.inner.state).journal.entries.retain(|entry| entry.name != name);
    }

    pub(super) fn open(&self, name: &str) -> Result<SimSpool, DiskError> {
        let mut state = locked(&self.inner.state);
        let bytes = state.journal.find(name)?.bytes.clone();
        let mut extents = Extents::default();
        let held = bytes.len() as u64;
        if held > 0 {
            extents.write(0, bytes);
        }
        // It is another budget's than that of spools, until it is open.
        (state.spools, state.used) = (state.spools + 1, state.used + held);
        let content = SpoolContent { disk: self.inner.clone(), extents: extents.into() };
        Ok(SimSpool { content: content.into() })
    }
}
