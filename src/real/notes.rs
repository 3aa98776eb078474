//! Notes that one mount leaves for the next: small files, in a folder that lives as long as the process that wrote them.
//!
//! Each mount has a folder of its own. The notes of a mount that is gone are there for the taking: each is moved into the own
//! folder, where the next finds it should this mount die before it has done what the note says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::env::NoteId;
use crate::real::folder::Folder;

const UNFINISHED_PREFIX: &str = ".unfinished-";
/// As the umask says.
const DIRECTORY_MODE: u32 = 0o777;

/// The folder of this mount.
#[derive(Debug)]
pub struct Notes {
    shared: PathBuf,
    own: Folder,
    next: AtomicU64,
    /// Notes of others that were moved here and that nobody has left anew: whoever does is given the note that is there.
    adopted: Mutex<Vec<(String, NoteId)>>,
}

impl Notes {
    /// `shared`: the folder of all mounts of one bucket; it is made if need be.
    pub fn new(shared: &Path) -> io::Result<Self> {
        let (shared, own) = (shared.to_path_buf(), Folder::create(shared, DIRECTORY_MODE)?);
        Ok(Self { shared, own, next: AtomicU64::new(1), adopted: Mutex::default() })
    }

    pub fn leave(&self, text: &str) -> io::Result<NoteId> {
        let mut adopted = self.adopted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = adopted.iter().position(|(known, _)| known == text) {
            return Ok(adopted.swap_remove(at).1);
        }
        drop(adopted);
        let id = self.fresh();
        // Whole or not at all, should this process be killed just now.
        let unfinished = self.own.path.join(format!("{UNFINISHED_PREFIX}{}", id.0));
        fs::write(&unfinished, text)?;
        fs::rename(unfinished, self.path(id))?;
        Ok(id)
    }

    fn fresh(&self) -> NoteId {
        NoteId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub fn take_back(&self, id: NoteId) {
        // Gone already, or in a folder that somebody has removed: either way there is no note.
        let _ = fs::remove_file(self.path(id));
    }

    /// The notes of mounts that are gone. They are this mount's from now on, until they are left anew and taken back.
    pub fn left(&self) -> Vec<String> {
        let adopted: Vec<_> = Folder::of_the_gone(&self.shared).flat_map(|folder| self.adopt(&folder.path)).collect();
        let notes = adopted.iter().map(|(text, _)| text.clone()).collect();
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner).extend(adopted);
        notes
    }

    /// What this mount has left word of: what it is in the middle of.
    pub fn held(&self) -> Vec<String> {
        notes_in(&self.own.path).filter_map(|note| fs::read_to_string(note).ok()).collect()
    }

    fn adopt(&self, folder: &Path) -> Vec<(String, NoteId)> {
        let mut adopted = Vec::new();
        for file in notes_in(folder) {
            // A power cut may leave a note of nothing.
            let Some(text) = fs::read_to_string(&file).ok().filter(|text| !text.is_empty()) else { continue };
            let id = self.fresh();
            if fs::rename(&file, self.path(id)).is_ok() {
                adopted.push((text, id));
            }
        }
        let _ = fs::remove_dir_all(folder);
        adopted
    }

    fn path(&self, id: NoteId) -> PathBuf {
        self.own.path.join(id.0.to_string())
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        self.own.remove_if_empty();
    }
}

fn notes_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    // Every note is named by its number.
    let is_note = |file: &Path| file.file_name()?.to_str()?.parse::<u64>().ok();
    files.filter(move |file| is_note(file).is_some())
}

/// The notes of mounts of one bucket that are gone, each with its file, for whoever does what they say in a mount's stead.
pub fn of_the_gone(shared: &Path) -> Vec<(PathBuf, String)> {
    let notes = Folder::of_the_gone(shared).flat_map(|folder| notes_in(&folder.path).collect::<Vec<_>>());
    notes.filter_map(|note| fs::read_to_string(&note).ok().map(|text| (note, text))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Notes, of_the_gone};

    #[test]
    fn the_next_mount_finds_what_was_not_taken_back_and_nothing_of_those_that_live() {
        let shared = tempfile::tempdir().unwrap();
        let dead = Notes::new(shared.path()).unwrap();
        let living = Notes::new(shared.path()).unwrap();
        let done = dead.leave("done").unwrap();
        dead.leave("left").unwrap();
        living.leave("of one that lives").unwrap();
        dead.take_back(done);
        // What a crash leaves of a note that was being written, and what a power cut leaves of one.
        std::fs::write(dead.own.path.join(".unfinished-9"), "ha").unwrap();
        std::fs::write(dead.own.path.join("10"), "").unwrap();
        drop(dead);
        let next = Notes::new(shared.path()).unwrap();
        assert_eq!(next.left(), ["left"]);
        assert_eq!(next.left(), Vec::<String>::new());
        // It dies as well, before and after it leaves the note anew.
        drop(next);
        let next = Notes::new(shared.path()).unwrap();
        assert_eq!(next.left(), ["left"]);
        next.leave("left").unwrap();
        drop(next);
        let next = Notes::new(shared.path()).unwrap();
        assert_eq!(next.left(), ["left"]);
        assert_eq!(next.held(), ["left"]);
        assert_eq!(of_the_gone(shared.path()), [], "both live");
        next.take_back(next.leave("left").unwrap());
        drop(next);
        drop(living);
        assert_eq!(of_the_gone(shared.path()).len(), 1);
        let last = Notes::new(shared.path()).unwrap();
        assert_eq!(last.left(), ["of one that lives"]);
    }
}
