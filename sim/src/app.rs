//! The applications of a story: what they do to files, and what they are promised.
//!
//! A [`Process`] makes system calls of the simulated kernel and judges every answer by itself (see [`oracle`]): a handle
//! that gives bytes of two versions, an open that gives a stale one, a size that is not the version's, fail the test
//! where they happen. [`App`] is the same for stories that do one thing after another.

mod oracle;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use holdfast::config::PIN_KEPT;
use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::op::{Attr, Ino, Kind};

use crate::World;
use crate::content::Version;
use crate::executor::locked;
use crate::kernel::{Directory, Kernel, Listed, OpenFile};
use crate::{KIB, MIB};
use oracle::Expected;
pub use oracle::Oracle;

/// A file descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct File(u64);

/// A memory mapping of a whole file: outlives the descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mapping(File);

/// Clones share descriptors.
#[derive(Clone)]
pub struct Process {
    kernel: Kernel,
    oracle: Oracle,
    files: Arc<Mutex<Files>>,
}

#[derive(Default)]
struct Files {
    next: u64,
    open: BTreeMap<File, Open>,
}

#[derive(Clone)]
struct Open {
    file: Arc<OpenFile>,
    expected: Arc<Expected>,
    position: u64,
}

/// What read(2) is usually asked for.
const READ_BYTES: u64 = MIB;

impl Process {
    pub fn new(kernel: Kernel, oracle: Oracle) -> Self {
        Self { kernel, oracle, files: Arc::default() }
    }

    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    pub async fn open(&self, path: &str) -> Result<File, Errno> {
        let began = self.oracle.now();
        let opened = self.kernel.open(path).await;
        let file = match opened {
            Ok(file) => file,
            Err(errno) => {
                self.oracle.judge_absence(path, began, errno);
                return Err(errno);
            }
        };
        let attr = self.kernel.fstat(&file).await.expect("fstat of a handle never fails");
        let etag = self.kernel.getxattr(&file, "user.s3.etag").await.expect("a file's ETag is always known");
        let expected = self.oracle.expect(path, &etag, &attr);
        self.oracle.judge_freshness(&expected, self.seen_from(began));
        Ok(self.add(Open { file, expected: Arc::new(expected), position: 0 }))
    }

    /// Moves the descriptor's position to the end of what was read.
    pub async fn read(&self, file: File, range: Range<u64>) -> Result<Version, Errno> {
        let version = self.pread(file, range.clone()).await?;
        self.seek(file, range.end);
        Ok(version)
    }

    /// All of `range`, cut at the end of the file. The version is the one that every byte of it belongs to.
    pub async fn pread(&self, file: File, range: Range<u64>) -> Result<Version, Errno> {
        let open = self.get(file);
        let mut at = range.start;
        while at < range.end {
            let bytes = self.kernel.pread(&open.file, at, (range.end - at).min(READ_BYTES)).await?;
            open.expected.judge_bytes(at, &bytes);
            if bytes.is_empty() {
                open.expected.judge_end(at);
                break;
            }
            at += bytes.len() as u64;
        }
        Ok(open.expected.version())
    }

    /// From the descriptor's position to the end of the file.
    pub async fn read_to_end(&self, file: File) -> Result<Version, Errno> {
        let position = self.get(file).position;
        let version = self.pread(file, position..u64::MAX).await?;
        self.seek(file, self.get(file).expected.size());
        Ok(version)
    }

    pub async fn fstat(&self, file: File) -> Result<Attr, Errno> {
        let open = self.get(file);
        let attr = self.kernel.fstat(&open.file).await?;
        open.expected.judge_attributes(&attr);
        Ok(attr)
    }

    pub async fn stat(&self, path: &str) -> Result<Attr, Errno> {
        let began = self.oracle.now();
        let stat = self.kernel.stat(path).await;
        match &stat {
            Ok(attr) if attr.kind == Kind::File => self.oracle.judge_size(path, attr.size, self.seen_from(began)),
            Ok(_) => {}
            Err(errno) => self.oracle.judge_absence(path, began, *errno),
        }
        stat
    }

    pub async fn readdir(&self, path: &str) -> Result<Vec<Listed>, Errno> {
        let began = self.oracle.now();
        let listed = self.kernel.readdir(path).await?;
        self.oracle.judge_listing(path, &listed, began);
        Ok(listed)
    }

    pub async fn xattr(&self, file: File, name: &str) -> Result<String, Errno> {
        let open = self.get(file);
        let value = self.kernel.getxattr(&open.file, name).await?;
        Ok(String::from_utf8(value).expect("attributes are text here"))
    }

    pub async fn close(&self, file: File) -> Result<(), Errno> {
        let open = locked(&self.files).open.remove(&file).expect("the file is open");
        self.kernel.close(open.file).await
    }

    /// Pages of the file stay within reach until [`Process::unmap`], though the descriptor be closed.
    pub fn map(&self, file: File) -> Mapping {
        Mapping(self.add(self.get(file)))
    }

    /// Reads through the mapping. An error stands for SIGBUS.
    pub async fn touch(&self, mapping: Mapping, range: Range<u64>) -> Result<Version, Errno> {
        let page = 4 * KIB;
        self.pread(mapping.0, range.start / page * page..range.end.next_multiple_of(page)).await
    }

    pub fn unmap(&self, mapping: Mapping) {
        // No FLUSH: munmap(2) sends none.
        locked(&self.files).open.remove(&mapping.0).expect("it is mapped");
    }

    pub fn ino(&self, file: File) -> Ino {
        self.get(file).file.ino()
    }

    /// The version that the descriptor was given when it was opened.
    pub fn version(&self, file: File) -> Version {
        self.get(file).expected.version()
    }

    /// Closes whatever is open.
    pub fn exit(&self) {
        let open = std::mem::take(&mut locked(&self.files).open);
        drop(open);
    }

    /// Since when what a call saw may be: what an open pinned for its own second look-up may be given to others meanwhile.
    fn seen_from(&self, began: Began) -> Began {
        let since = Time(began.0.saturating_sub(PIN_KEPT));
        self.kernel.stale_open_began(since).map_or(began, |pinned| pinned.min(began))
    }

    fn add(&self, open: Open) -> File {
        let mut files = locked(&self.files);
        files.next += 1;
        let file = File(files.next);
        files.open.insert(file, open);
        file
    }

    fn get(&self, file: File) -> Open {
        locked(&self.files).open.get(&file).expect("the file is open").clone()
    }

    fn seek(&self, file: File, position: u64) {
        if let Some(open) = locked(&self.files).open.get_mut(&file) {
            open.position = position;
        }
    }
}

/// A process that does one thing after another. What does not say `try` fails the test when it fails.
pub struct App<'w> {
    world: &'w mut World,
    process: Process,
}

impl<'w> App<'w> {
    pub(crate) fn new(world: &'w mut World, process: Process) -> Self {
        Self { world, process }
    }

    pub fn open(&mut self, path: &str) -> File {
        let opened = self.try_open(path);
        opened.unwrap_or_else(|errno| self.fail("open", path, errno))
    }

    pub fn try_open(&mut self, path: &str) -> Result<File, Errno> {
        self.world.run(self.process.open(path))
    }

    /// Moves the descriptor's position to the end of what was read.
    pub fn read(&mut self, file: File, range: Range<u64>) -> Version {
        let read = self.world.run(self.process.read(file, range.clone()));
        read.unwrap_or_else(|errno| self.fail("read", &format!("{range:?}"), errno))
    }

    /// Leaves the position alone.
    pub fn pread(&mut self, file: File, range: Range<u64>) -> Result<Version, Errno> {
        self.world.run(self.process.pread(file, range))
    }

    pub fn read_to_end(&mut self, file: File) -> Result<Version, Errno> {
        self.world.run(self.process.read_to_end(file))
    }

    /// Opens, reads and closes, as `cat` does.
    pub fn cat(&mut self, path: &str) -> Result<Version, Errno> {
        let file = self.try_open(path)?;
        let version = self.read_to_end(file);
        self.close(file);
        version
    }

    pub fn fstat(&mut self, file: File) -> Attr {
        let stat = self.world.run(self.process.fstat(file));
        stat.unwrap_or_else(|errno| self.fail("fstat", "", errno))
    }

    pub fn stat(&mut self, path: &str) -> Result<Attr, Errno> {
        self.world.run(self.process.stat(path))
    }

    /// Names in the order of the listing, directories with a `/` after them.
    pub fn readdir(&mut self, path: &str) -> Result<Vec<String>, Errno> {
        let listed = self.world.run(self.process.readdir(path))?;
        Ok(listed.into_iter().map(|entry| shown(&entry)).collect())
    }

    pub fn open_directory(&mut self, path: &str) -> Directory {
        let opened = self.world.run(self.process.kernel().open_directory(path));
        opened.unwrap_or_else(|errno| self.fail("opendir", path, errno))
    }

    /// One buffer of entries after `offset`.
    pub fn read_directory(&mut self, directory: &Directory, offset: u64) -> Result<Vec<Listed>, Errno> {
        self.world.run(self.process.kernel().read_directory(directory, offset))
    }

    pub fn close(&mut self, file: File) {
        let closed = self.world.run(self.process.close(file));
        closed.unwrap_or_else(|errno| self.fail("close", "", errno));
    }

    pub fn map(&mut self, file: File) -> Mapping {
        self.process.map(file)
    }

    pub fn touch(&mut self, mapping: Mapping, range: Range<u64>) -> Result<Version, Errno> {
        self.world.run(self.process.touch(mapping, range))
    }

    pub fn unmap(&mut self, mapping: Mapping) {
        self.process.unmap(mapping);
    }

    pub fn ino(&self, file: File) -> Ino {
        self.process.ino(file)
    }

    /// `user.holdfast.hold`
    pub fn hold(&mut self, file: File) -> String {
        self.xattr(file, "user.holdfast.hold")
    }

    pub fn xattr(&mut self, file: File, name: &str) -> String {
        let value = self.world.run(self.process.xattr(file, name));
        value.unwrap_or_else(|errno| self.fail("getxattr", name, errno))
    }

    fn fail<T>(&self, call: &str, what: &str, errno: Errno) -> T {
        panic!("{call} {what}: {errno:?}; the core said last: {}", self.process.kernel().last_error())
    }
}

fn shown(entry: &Listed) -> String {
    match entry.kind {
        Kind::Directory => format!("{}/", entry.name),
        Kind::File | Kind::Symlink => entry.name.clone(),
    }
}

/// When something began, for the judgement of what it saw.
type Began = Time;
