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
    whose: Whose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Of a mount that lives.
    Own,
    /// Its mount is gone.
    Orphaned,
    /// A living mount was told it, and has not left it anew: it is told again should that mount die, too.
    Adopted,
}

impl Notes {
    /// Who leaves a note anew that he was told is given that one.
    pub(super) fn leave(&mut self, text: String) -> NoteId {
        let adopted = self.left.iter_mut().find(|(_, note)| note.whose == Whose::Adopted && note.text == text);
        if let Some((id, note)) = adopted {
            note.whose = Whose::Own;
            return *id;
        }
        self.ever.push(text.clone());
        let id = NoteId(self.ever.len() as u64);
        self.left.insert(id, Note { text, whose: Whose::Own });
        id
    }

    pub(super) fn take_back(&mut self, id: NoteId) {
        self.left.remove(&id);
    }

    pub(super) fn orphan(&mut self) {
        self.left.values_mut().for_each(|note| note.whose = Whose::Orphaned);
    }

    /// Those of mounts that are gone. Each is told once, and stays until it is left anew and taken back.
    pub(super) fn tell(&mut self) -> Vec<String> {
        let orphaned = self.left.values_mut().filter(|note| note.whose == Whose::Orphaned);
        let adopt = |note: &mut Note| {
            note.whose = Whose::Adopted;
            note.text.clone()
        };
        orphaned.map(adopt).collect()
    }

    pub(super) fn left(&self) -> Vec<String> {
        self.left.values().map(|note| note.text.clone()).collect()
    }

    pub(super) fn ever(&self) -> &[String] {
        &self.ever
    }
}
