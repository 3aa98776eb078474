//! Files that outlive the mount: what could not be published, in the recovery folder.
//!
//! A file there is two: its bytes under a name that tells what it was, and beside it, under the same name and `.json`, what
//! is known of it. The sidecar is made first and reserves the name, so nothing is ever overwritten; the bytes get their name
//! last, when both are on the disk. Only this user may read them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use tokio::runtime::Handle;

use super::local_disk::blocking;
use super::random::OsRng;
use crate::env::{DiskError, Kept, Rng as _};

/// What the sidecar's name ends with.
pub const SIDECAR_SUFFIX: &str = ".json";
/// What a file is called before it is finished. A crash may leave one; it holds nothing that was promised.
const UNFINISHED_PREFIX: &str = ".unfinished-";
pub(super) const FILE_MODE: u32 = 0o600;
pub(super) const DIRECTORY_MODE: u32 = 0o700;
/// A name of the folder has room for what it was called, a number and a suffix within Linux's 255 bytes.
const NAME_BYTES_MAX: usize = 200;

/// A file on its way into the recovery folder. Dropped before it is finished, it is removed.
#[derive(Debug)]
pub struct LocalKept {
    file: Arc<File>,
    directory: Arc<Path>,
    /// `None` once it has its name.
    unfinished: Option<PathBuf>,
    handle: Handle,
}

impl LocalKept {
    pub(super) fn create(directory: Arc<Path>, handle: Handle) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&directory)?;
        let path = directory.join(format!("{UNFINISHED_PREFIX}{:016x}", OsRng.next_u64()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(&path)?;
        Ok(Self { file: Arc::new(file), directory, unfinished: Some(path), handle })
    }

    fn finish_now(mut self, name: &str, len: u64, sidecar: &str) -> io::Result<String> {
        self.file.set_len(len)?;
        self.file.sync_all()?;
        let Some(unfinished) = self.unfinished.clone() else { return Err(io::Error::other("it is finished already")) };
        let path = reserve(&self.directory, name, sidecar)?;
        let named = give_name(&unfinished, &path).and_then(|()| File::open(&self.directory)?.sync_all());
        if named.is_err() {
            let _ = fs::remove_file(sidecar_of(&path));
        } else {
            self.unfinished = None;
        }
        named.map(|()| path.display().to_string())
    }
}

impl Drop for LocalKept {
    fn drop(&mut self) {
        if let Some(path) = self.unfinished.take() {
            self.handle.spawn_blocking(move || fs::remove_file(path));
        }
    }
}

impl Kept for LocalKept {
    async fn write_at(&self, offset: u64, bytes: Bytes) -> Result<(), DiskError> {
        let file = self.file.clone();
        blocking(&self.handle, move || file.write_all_at(&bytes, offset)).await
    }

    async fn finish(self, name: String, len: u64, sidecar: String) -> Result<String, DiskError> {
        let handle = self.handle.clone();
        blocking(&handle, move || self.finish_now(&name, len, &sidecar)).await
    }
}

/// Where the sidecar of a kept file is.
pub fn sidecar_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(SIDECAR_SUFFIX);
    name.into()
}

/// Writes the sidecar under a name that nobody has, and answers the path that goes with it.
fn reserve(directory: &Path, name: &str, sidecar: &str) -> io::Result<PathBuf> {
    loop {
        let path = directory.join(format!("{}.{:08x}", plain(name), OsRng.next_u64() as u32));
        let made = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(sidecar_of(&path));
        let mut file = match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made?,
        };
        return match file.write_all(sidecar.as_bytes()).and_then(|()| file.sync_all()) {
            Ok(()) => Ok(path),
            Err(error) => {
                let _ = fs::remove_file(sidecar_of(&path));
                Err(error)
            }
        };
    }
}

/// Renames without overwriting.
fn give_name(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // A file system that does not know the flag. The sidecar has reserved the name.
        Err(Errno::EINVAL) if !to.exists() => fs::rename(from, to),
        outcome => outcome.map_err(io::Error::from),
    }
}

/// A name that is one component of a path, is not hidden, and does no harm on a terminal.
fn plain(name: &str) -> String {
    let mut plain: String = name.chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }).collect();
    while plain.len() > NAME_BYTES_MAX {
        plain.pop();
    }
    let shown = plain.trim_start_matches('.');
    if shown.is_empty() { "unnamed".to_string() } else { shown.to_string() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use bytes::Bytes;

    use super::{plain, sidecar_of};
    use crate::env::{Disk, Kept};
    use crate::real::LocalDisk;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    #[test]
    fn what_is_kept_is_there_whole_with_its_sidecar_and_for_this_user_only() {
        let (runtime, beneath) = (runtime(), tempfile::tempdir().unwrap());
        let folder = beneath.path().join("state/recovery");
        let disk = LocalDisk::new(beneath.path().into(), folder.clone(), runtime.handle().clone());
        let keep = || async {
            let kept = disk.create_kept().await.unwrap();
            kept.write_at(3, Bytes::from_static(b"def")).await.unwrap();
            kept.finish("dir/film".into(), 8, "{}".into()).await.unwrap()
        };
        let (first, second) = runtime.block_on(async { (keep().await, keep().await) });
        assert_ne!(first, second, "nothing is overwritten");
        for path in [first, second] {
            let path = Path::new(&path);
            assert!(path.file_name().unwrap().to_str().unwrap().starts_with("dir_film."), "{path:?}");
            assert_eq!(fs::read(path).unwrap(), b"\0\0\0def\0\0");
            assert_eq!(fs::read(sidecar_of(path)).unwrap(), b"{}");
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 4);
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let (runtime, beneath) = (runtime(), tempfile::tempdir().unwrap());
        let folder = beneath.path().join("kept");
        let disk = LocalDisk::new(beneath.path().into(), folder.clone(), runtime.handle().clone());
        drop(runtime.block_on(disk.create_kept()).unwrap());
        // It is removed by a thread of the runtime's, when there is one.
        while fs::read_dir(&folder).unwrap().count() > 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let runtime = runtime();
        let disk = LocalDisk::new("/tmp".into(), "/proc/nowhere".into(), runtime.handle().clone());
        assert!(runtime.block_on(disk.create_kept()).is_err());
    }

    #[test]
    fn any_key_gives_a_plain_name() {
        for (name, expected) in [("a/b", "a_b"), ("..", "unnamed"), ("", "unnamed"), ("a\nb", "a_b"), (".git", "git")] {
            assert_eq!(plain(name), expected);
        }
        assert!(plain(&"ü".repeat(200)).len() <= 200);
    }
}
