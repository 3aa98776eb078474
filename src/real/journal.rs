//! The journal of `--write-back`: what was closed and is not published yet, in files that outlive process and machine.
//!
//! Each mount has a folder of its own; the next mount of the bucket takes over those of mounts that are gone. An entry is two
//! files, as in the recovery folder: its bytes, and beside them the text that says what they are; only both together are an
//! entry.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;

use crate::real::folder::{Folder, LOCK};
use crate::real::kept::{DIRECTORY_MODE, FILE_MODE, LocalKept, SIDECAR_SUFFIX, sidecar_of};

const AMENDED_SUFFIX: &str = ".amended";

/// The journal of one mount, and what it has taken over.
#[derive(Debug)]
pub struct Journal {
    shared: PathBuf,
    own: Arc<Path>,
    folders: Mutex<Vec<Folder>>,
}

impl Journal {
    /// `shared`: the folder of all mounts of one bucket; it is made if need be.
    pub fn new(shared: &Path) -> io::Result<Self> {
        let folder = Folder::create(shared, DIRECTORY_MODE)?;
        // The folder itself must be found after a power cut.
        File::open(shared)?.sync_all()?;
        let own = folder.path.clone().into();
        Ok(Self { shared: shared.to_path_buf(), own, folders: Mutex::new(vec![folder]) })
    }

    /// Where mounts before have left something that this one could take over. `None`: nowhere.
    pub fn left(shared: &Path) -> Option<Self> {
        fs::read_dir(shared).ok()?.next()?.ok()?;
        Self::new(shared).ok()
    }

    pub(super) fn create(&self, handle: Handle) -> io::Result<LocalKept> {
        LocalKept::create(self.own.clone(), handle)
    }

    /// Replaces the text of an entry at one instant.
    pub(super) fn amend(entry: &Path, text: &str) -> io::Result<()> {
        let sidecar = sidecar_of(entry);
        let mut fresh = sidecar.clone().into_os_string();
        fresh.push(AMENDED_SUFFIX);
        let fresh = PathBuf::from(fresh);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // One that was discarded meanwhile stays so.
        if !entry.exists() {
            return fs::remove_file(&fresh);
        }
        fs::rename(&fresh, &sidecar)?;
        sync_folder_of(entry)
    }

    /// Without its bytes it is no entry any more, so these go first.
    pub(super) fn discard(entry: &Path) -> io::Result<()> {
        fs::remove_file(entry)?;
        fs::remove_file(sidecar_of(entry))?;
        sync_folder_of(entry)
    }

    /// The entries of mounts that are gone, which are this mount's from now on.
    pub(super) fn take_over(&self) -> Vec<(String, String)> {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<Folder> = Folder::of_the_gone(&self.shared).collect();
        let entries = gone.iter().flat_map(|folder| entries_in(&folder.path)).collect();
        folders.extend(gone);
        entries
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(Folder::remove_if_empty);
    }
}

/// Whole entries; what a crash left of others is removed.
fn entries_in(folder: &Path) -> Vec<(String, String)> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut entries = Vec::new();
    for path in files.filter(|path| path.file_name().is_some_and(|name| name != LOCK)) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes_of = name.strip_suffix(SIDECAR_SUFFIX).map(|bytes| folder.join(bytes));
        match bytes_of {
            Some(bytes) if bytes.exists() => {
                if let (Ok(text), Some(id)) = (fs::read_to_string(&path), bytes.to_str()) {
                    entries.push((id.to_string(), text));
                }
            }
            Some(_) => drop(fs::remove_file(&path)),
            None if sidecar_of(&path).exists() => {}
            None => drop(fs::remove_file(&path)),
        }
    }
    entries
}

fn sync_folder_of(entry: &Path) -> io::Result<()> {
    match entry.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use bytes::Bytes;

    use super::Journal;
    use crate::env::{Disk as _, Kept as _, Spool as _};
    use crate::real::LocalDisk;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    #[test]
    fn the_next_mount_takes_over_what_was_not_discarded_and_nothing_of_those_that_live() {
        let (runtime, beneath) = (runtime(), tempfile::tempdir().unwrap());
        let shared = beneath.path().join("journal");
        let disk = || {
            let disk = LocalDisk::new(beneath.path().into(), beneath.path().join("kept"), runtime.handle().clone());
            disk.with_journal(Journal::new(&shared).unwrap())
        };
        let store = async |disk: &LocalDisk, text: &str| {
            let file = disk.create_entry().await.unwrap();
            file.write_at(2, Bytes::from_static(b"bytes")).await.unwrap();
            file.finish("a/film".into(), 7, text.into()).await.unwrap()
        };
        runtime.block_on(async {
            let (dead, living) = (disk(), disk());
            let published = store(&dead, "published").await;
            let left = store(&dead, "left").await;
            store(&living, "of one that lives").await;
            dead.amend_entry(&left, "left, and amended".into()).await.unwrap();
            dead.discard_entry(&published).await.unwrap();
            drop(dead.create_entry().await.unwrap());
            drop(dead);
            let next = disk();
            assert_eq!(next.entries_left().await, [(left.clone(), "left, and amended".to_string())]);
            assert_eq!(next.entries_left().await, [], "once");
            let file = next.open_entry(&left).await.unwrap();
            assert_eq!(file.read_at(0, 7).await.unwrap(), "\0\0bytes");
            next.discard_entry(&left).await.unwrap();
            drop((next, living, file));
            let last = disk();
            let texts: Vec<String> = last.entries_left().await.into_iter().map(|(_, text)| text).collect();
            assert_eq!(texts, ["of one that lives"]);
        });
    }

    #[test]
    fn half_an_entry_is_none() {
        let shared = tempfile::tempdir().unwrap();
        let dead = Journal::new(shared.path()).unwrap();
        let folder = dead.own.to_path_buf();
        for name in ["text-only.json", "bytes-only", ".unfinished-7", "amended.json.amended"] {
            fs::write(folder.join(name), b"x").unwrap();
        }
        drop(dead);
        let next = Journal::left(shared.path()).unwrap();
        assert_eq!(next.take_over(), []);
        drop(next);
        assert_eq!(fs::read_dir(shared.path()).unwrap().count(), 0);
        assert!(Journal::left(Path::new("/nonexistent/journal")).is_none());
    }
}
