//! Notes that a mount leaves for the next one of its machine: they outlive it.

use std::collections::BTreeMap;

use holdfast::env::NoteId;

#[derive(Default)]
pub(super) struct Notes {
    left: BTreeMap<NoteId, Note>,
    /// All that there ever were.
    ever: Vec<String>,
}

struct Note {
    text: String,
    /// Its mount is gone.
    orphaned: bool,
}

impl Notes {
    pub(super) fn leave(&mut self, text: String) -> NoteId {
        self.ever.push(text.clone());
        let id = NoteId(self.ever.len() as u64);
        self.left.insert(id, Note { text, orphaned: false });
        id
    }

    pub(super) fn take_back(&mut self, id: NoteId) {
        self.left.remove(&id);
    }

    pub(super) fn orphan(&mut self) {
        self.left.values_mut().for_each(|note| note.orphaned = true);
    }

    /// Those of mounts that are gone. Each is told once.
    pub(super) fn tell(&mut self) -> Vec<String> {
        self.left.extract_if(.., |_, note| note.orphaned).map(|(_, note)| note.text).collect()
    }

    pub(super) fn left(&self) -> Vec<String> {
        self.left.values().map(|note| note.text.clone()).collect()
    }

    pub(super) fn ever(&self) -> &[String] {
        &self.ever
    }
}
