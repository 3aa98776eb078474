//! Spools as nameless files in a cache directory; [`super::kept`] has the files of the recovery folder.
//!
//! A spool never has a name that another process could open: it is made with O_TMPFILE, or, where the file system does
//! not know that, under a random name that is removed before the first byte is written. So it is gone with its last
//! descriptor, also after a SIGKILL. Nothing here syncs: spools need not survive a crash.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::statvfs::statvfs;
use tokio::runtime::Handle;

use crate::env::{Disk, DiskError, DiskSpace, NoteId, Rng as _, Spool};
use crate::real::journal::Journal;
use crate::real::kept::LocalKept;
use crate::real::notes::Notes;
use crate::real::random::OsRng;

/// Only this user may read what was spooled.
const SPOOL_MODE: u32 = 0o600;

/// The cache directory, and the runtime whose blocking threads do the work.
#[derive(Clone, Debug)]
pub struct LocalDisk {
    directory: Arc<Path>,
    recovery: Arc<Path>,
    notes: Option<Arc<Notes>>,
    journal: Option<Arc<Journal>>,
    handle: Handle,
}

impl LocalDisk {
    /// `directory` must exist and be writable; the first [`Disk::create_spool`] tells if it is not. `recovery` is made when
    /// something must be kept.
    pub fn new(directory: PathBuf, recovery: PathBuf, handle: Handle) -> Self {
        Self { directory: directory.into(), recovery: recovery.into(), notes: None, journal: None, handle }
    }

    /// Leaves notes for the next mount there.
    pub fn with_notes(self, notes: Arc<Notes>) -> Self {
        Self { notes: Some(notes), ..self }
    }

    /// Has a journal there.
    pub fn with_journal(self, journal: Journal) -> Self {
        Self { journal: Some(Arc::new(journal)), ..self }
    }
}

impl Disk for LocalDisk {
    type Spool = LocalSpool;
    type Kept = LocalKept;

    async fn create_kept(&self) -> Result<LocalKept, DiskError> {
        let directory = self.recovery.clone();
        let handle = self.handle.clone();
        blocking(&self.handle, move || LocalKept::create(directory, handle)).await
    }

    async fn create_spool(&self) -> Result<LocalSpool, DiskError> {
        let directory = self.directory.clone();
        let file = blocking(&self.handle, move || create_nameless(&directory)).await?;
        Ok(LocalSpool { file: Some(Arc::new(file)), handle: self.handle.clone() })
    }

    async fn leave_note(&self, text: String) -> Result<NoteId, DiskError> {
        match self.notes.clone() {
            Some(notes) => blocking(&self.handle, move || notes.leave(&text)).await,
            None => Ok(NoteId(0)),
        }
    }

    async fn take_back_note(&self, note: NoteId) {
        if let Some(notes) = self.notes.clone() {
            // Whatever becomes of it: a note that stays is found to be done.
            let taken_back = move || {
                notes.take_back(note);
                Ok(())
            };
            let _ = blocking(&self.handle, taken_back).await;
        }
    }

    async fn notes_left(&self) -> Vec<String> {
        match self.notes.clone() {
            Some(notes) => blocking(&self.handle, move || Ok(notes.left())).await.unwrap_or_default(),
            None => Vec::new(),
        }
    }

    async fn create_entry(&self) -> Result<LocalKept, DiskError> {
        let Some(journal) = self.journal.clone() else {
            return Err(DiskError::Failed("there is no journal".to_string()));
        };
        let handle = self.handle.clone();
        blocking(&self.handle, move || journal.create(handle)).await
    }

    async fn amend_entry(&self, entry: &str, text: String) -> Result<(), DiskError> {
        let entry = PathBuf::from(entry);
        blocking(&self.handle, move || Journal::amend(&entry, &text)).await
    }

    async fn discard_entry(&self, entry: &str) -> Result<(), DiskError> {
        let entry = PathBuf::from(entry);
        blocking(&self.handle, move || Journal::discard(&entry)).await
    }

    async fn entries_left(&self) -> Vec<(String, String)> {
        match self.journal.clone() {
            Some(journal) => blocking(&self.handle, move || Ok(journal.take_over())).await.unwrap_or_default(),
            None => Vec::new(),
        }
    }

    async fn open_entry(&self, entry: &str) -> Result<LocalSpool, DiskError> {
        let entry = PathBuf::from(entry);
        let file = blocking(&self.handle, move || File::open(entry)).await?;
        Ok(LocalSpool { file: Some(Arc::new(file)), handle: self.handle.clone() })
    }

    async fn space(&self) -> Result<DiskSpace, DiskError> {
        let directory = self.directory.clone();
        blocking(&self.handle, move || {
            let stat = statvfs(&*directory)?;
            let block_bytes = stat.fragment_size();
            Ok(DiskSpace {
                free: stat.blocks_available().saturating_mul(block_bytes),
                total: stat.blocks().saturating_mul(block_bytes),
            })
        })
        .await
    }
}

/// One nameless file. Dropping it frees its blocks, once operations under way have ended.
#[derive(Debug)]
pub struct LocalSpool {
    /// `Some` until the drop.
    file: Option<Arc<File>>,
    handle: Handle,
}

impl LocalSpool {
    /// Runs `work` with the file on a blocking thread.
    async fn with_file<T: Send + 'static>(
        &self,
        work: impl FnOnce(&File) -> io::Result<T> + Send + 'static,
    ) -> Result<T, DiskError> {
        let Some(file) = self.file.clone() else {
            return Err(DiskError::Failed("the spool is closed".into()));
        };
        blocking(&self.handle, move || work(&file)).await
    }
}

impl Drop for LocalSpool {
    fn drop(&mut self) {
        // Closing the last descriptor of a large nameless file frees its blocks, which takes as long as it takes: not on
        // the thread that happens to drop the spool.
        let file = self.file.take();
        self.handle.spawn_blocking(move || drop(file));
    }
}

impl Spool for LocalSpool {
    fn write_at(&self, offset: u64, bytes: Bytes) -> impl Future<Output = Result<(), DiskError>> + Send {
        self.with_file(move |file| file.write_all_at(&bytes, offset))
    }

    fn read_at(&self, offset: u64, len: usize) -> impl Future<Output = Result<Bytes, DiskError>> + Send {
        self.with_file(move |file| {
            let mut buffer = vec![0; len];
            file.read_exact_at(&mut buffer, offset)?;
            Ok(Bytes::from(buffer))
        })
    }
}

/// Runs `work` on a blocking thread. The work starts when the future is first polled and, once started, goes on to its
/// end even if the future is dropped.
pub(super) async fn blocking<T: Send + 'static>(
    handle: &Handle,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, DiskError> {
    match handle.spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(disk_error(&error)),
        Err(ended) => Err(DiskError::Failed(format!("the disk thread ended early: {ended}"))),
    }
}

fn disk_error(error: &io::Error) -> DiskError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::Full,
        _ => DiskError::Failed(error.to_string()),
    }
}

fn create_nameless(directory: &Path) -> io::Result<File> {
    // std opens every file with O_CLOEXEC.
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(SPOOL_MODE);
    match options.clone().custom_flags(OFlag::O_TMPFILE.bits()).open(directory) {
        Err(error) if lacks_tmpfile(&error) => {
            let path = directory.join(format!(".holdfast-spool-{:016x}", OsRng.next_u64()));
            let file = options.create_new(true).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        }
        answer => answer,
    }
}

/// EOPNOTSUPP: the file system cannot. EISDIR: a kernel that does not know the flag took the directory for the file.
fn lacks_tmpfile(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(Errno::EOPNOTSUPP as i32) || code == Some(Errno::EISDIR as i32)
}

#[cfg(test)]
mod tests {
    use super::{LocalDisk, create_nameless, disk_error};
    use crate::env::{Disk, DiskError, Spool};
    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use nix::errno::Errno;
    use std::io;
    use std::os::unix::fs::MetadataExt as _;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    #[test]
    fn a_spool_gives_back_what_was_written_anywhere_in_it() {
        let (runtime, directory) = (runtime(), tempfile::tempdir().unwrap());
        let disk = LocalDisk::new(directory.path().into(), directory.path().join("kept"), runtime.handle().clone());
        // Polled here first, outside the runtime, as the core does.
        let mut create = Box::pin(disk.create_spool());
        let spool = match (&mut create).now_or_never() {
            Some(done) => done,
            None => runtime.block_on(create),
        };
        let spool = spool.unwrap();
        runtime.block_on(async {
            spool.write_at(1 << 30, Bytes::from_static(b"far")).await.unwrap();
            spool.write_at(2, Bytes::from_static(b"near")).await.unwrap();
            assert_eq!(spool.read_at(1 << 30, 3).await.unwrap(), "far");
            assert_eq!(spool.read_at(3, 3).await.unwrap(), "ear");
            assert!(spool.read_at((1 << 30) + 1, 3).await.is_err());
        });
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "a spool has no name");
    }

    #[test]
    fn a_spool_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let meta = create_nameless(directory.path()).unwrap().metadata().unwrap();
        assert_eq!((meta.mode() & 0o777, meta.nlink()), (0o600, 0));
    }

    #[test]
    fn a_directory_that_is_gone_is_an_error_and_no_panic() {
        let runtime = runtime();
        let disk = LocalDisk::new("/nonexistent/holdfast".into(), "/nonexistent/kept".into(), runtime.handle().clone());
        assert!(matches!(runtime.block_on(disk.create_spool()), Err(DiskError::Failed(_))));
        assert!(matches!(runtime.block_on(disk.space()), Err(DiskError::Failed(_))));
    }

    #[test]
    fn space_is_told_in_bytes() {
        let (runtime, directory) = (runtime(), tempfile::tempdir().unwrap());
        let disk = LocalDisk::new(directory.path().into(), directory.path().join("kept"), runtime.handle().clone());
        let space = runtime.block_on(disk.space()).unwrap();
        assert!(space.total > 0 && space.free <= space.total);
    }

    #[test]
    fn enospc_and_quota_mean_full() {
        for errno in [Errno::ENOSPC, Errno::EDQUOT] {
            assert_eq!(disk_error(&io::Error::from_raw_os_error(errno as i32)), DiskError::Full);
        }
        assert_ne!(disk_error(&io::Error::from_raw_os_error(Errno::EIO as i32)), DiskError::Full);
    }
}
