//! The applications: what they do to files, and what they tell the court of it.
//!
//! A [`Process`] makes system calls of the simulated kernel and reports every answer to the [`Court`]. In a story a handle
//! that gives bytes of two versions, an open that gives a stale one, a size that is not the version's, fail the test where
//! they happen. [`App`] is the same for stories that do one thing after another.

mod mapped;
mod story;
mod streams;
mod writing;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::op::{Attr, Ino, OpenMode};

use crate::content::Version;
use crate::court::{Court, Described, FileId, On, Seat, Sight, What};
use crate::executor::locked;
use crate::history::Published;
use crate::kernel::{self, Kernel, Listed, OpenFile, OpenHow, SeekFrom};
use crate::scenario::OpId;
use crate::{KIB, MIB};

pub use story::App;
pub use streams::Stream;
use streams::Streams;
pub use writing::{to_append, to_create, to_replace, to_write};

/// A file descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct File(u64);

/// A memory mapping of a whole file: outlives the descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mapping(File);

/// Clones share descriptors.
#[derive(Clone)]
pub struct Process {
    /// Of the machine; another one after the mount died and was made anew.
    kernel: Arc<Mutex<Kernel>>,
    court: Court,
    seat: Seat,
    /// The operation of a scenario that is being made.
    op: Option<OpId>,
    files: Arc<Mutex<Files>>,
    streams: Arc<Mutex<Streams>>,
}

#[derive(Default)]
struct Files {
    next: u64,
    open: BTreeMap<File, Open>,
}

#[derive(Clone)]
struct Open {
    /// That it was opened with.
    kernel: Kernel,
    file: Arc<OpenFile>,
    /// For the court.
    id: FileId,
    key: Arc<str>,
    published: Option<Published>,
    /// Shared by descriptors that were dup'ed.
    position: Arc<Mutex<u64>>,
    mapping: Option<kernel::Mapping>,
}

impl Open {
    fn version(&self) -> Version {
        self.published.as_ref().map_or(Version(u32::MAX), |published| published.version)
    }

    fn size(&self) -> u64 {
        self.published.as_ref().map_or(0, |published| published.size)
    }
}

/// A close under way.
struct Closing<'a> {
    court: &'a Court,
    file: Option<FileId>,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.file
            && !std::thread::panicking()
        {
            self.court.inform(|truth| drop(truth.files.remove(&file)));
        }
    }
}

/// What read(2) is usually asked for.
const READ_BYTES: u64 = MIB;

impl Process {
    pub fn new(kernel: Arc<Mutex<Kernel>>, court: Court, seat: Seat) -> Self {
        Self { kernel, court, seat, op: None, files: Arc::default(), streams: Arc::default() }
    }

    /// The same process, in an operation of a scenario.
    pub fn at(&self, op: OpId) -> Self {
        Self { op: Some(op), ..self.clone() }
    }

    pub fn seat(&self) -> Seat {
        self.seat
    }

    /// The one that the machine has now.
    pub fn kernel(&self) -> Kernel {
        locked(&self.kernel).clone()
    }

    pub async fn open(&self, path: &str) -> Result<File, Errno> {
        self.open_as(path, false).await
    }

    /// `direct`: O_DIRECT.
    pub async fn open_as(&self, path: &str, direct: bool) -> Result<File, Errno> {
        self.open_how(path, OpenHow { mode: OpenMode { direct, ..OpenMode::default() }, ..OpenHow::default() }).await
    }

    pub async fn open_how(&self, path: &str, how: OpenHow) -> Result<File, Errno> {
        let began = self.court.now();
        let key = self.court.key(path);
        let kernel = self.kernel();
        let opened = kernel.open_how(path, how).await;
        let file = self.check("open", began, On::Key(&key), opened)?;
        let began_fstat = self.court.now();
        let attr = kernel.fstat(&file).await;
        let etag = kernel.getxattr(&file, "user.s3.etag").await;
        let etag = String::from_utf8_lossy(&etag.unwrap_or_default()).into_owned();
        let (id, name, published) = self.court.opened(self.seat, self.op, key, &file, (&etag, began));
        let attr = self.check("fstat", began_fstat, On::File { file: id, offset: 0, len: 0 }, attr)?;
        self.see(began, What::Opened { file: id, attr: &attr, etag: &etag });
        Ok(self.add(Open { kernel, file, id, key: name, published, position: Arc::default(), mapping: None }))
    }

    /// Moves the descriptor's position to the end of what was read.
    pub async fn read(&self, file: File, range: Range<u64>) -> Result<Version, Errno> {
        let version = self.pread(file, range.clone()).await?;
        self.seek(file, range.end);
        Ok(version)
    }

    /// read(2): from the position on.
    pub async fn read_on(&self, file: File, len: u64) -> Result<Version, Errno> {
        let open = self.get(file);
        let at = *locked(&open.position);
        let version = self.pread(file, at..at.saturating_add(len)).await?;
        self.seek(file, at.saturating_add(len).min(open.size()));
        Ok(version)
    }

    /// All of `range`, cut at the end of the file. The version is the one that every byte of it belongs to.
    pub async fn pread(&self, file: File, range: Range<u64>) -> Result<Version, Errno> {
        let open = self.get(file);
        let mut at = range.start;
        while at < range.end {
            let began = self.court.now();
            let asked = (range.end - at).min(READ_BYTES);
            let read = open.kernel.pread(&open.file, at, asked).await;
            let bytes = self.check("read", began, On::File { file: open.id, offset: at, len: asked }, read)?;
            self.see_bytes(&open, began, at, asked, &bytes);
            if bytes.is_empty() {
                break;
            }
            at += bytes.len() as u64;
        }
        Ok(open.version())
    }

    /// From the descriptor's position to the end of the file.
    pub async fn read_to_end(&self, file: File) -> Result<Version, Errno> {
        let open = self.get(file);
        let position = *locked(&open.position);
        let version = self.pread(file, position..u64::MAX).await?;
        self.seek(file, open.size());
        Ok(version)
    }

    pub async fn fstat(&self, file: File) -> Result<Attr, Errno> {
        let open = self.get(file);
        let began = self.court.now();
        let attr = open.kernel.fstat(&open.file).await;
        let attr = self.check("fstat", began, On::File { file: open.id, offset: 0, len: 0 }, attr)?;
        self.see(began, What::Fstat { file: open.id, attr: &attr });
        Ok(attr)
    }

    pub async fn stat(&self, path: &str) -> Result<Attr, Errno> {
        let began = self.court.now();
        let key = self.court.key(path);
        let attr = self.kernel().stat(path).await;
        let attr = self.check("stat", began, On::Key(&key), attr)?;
        self.see(began, What::Stat { key: &key, attr: &attr });
        Ok(attr)
    }

    pub async fn readdir(&self, path: &str) -> Result<Vec<Listed>, Errno> {
        let began = self.court.now();
        let key = self.court.key(path);
        let listed = self.kernel().readdir(path).await;
        let entries = self.check("readdir", began, On::Key(&key), listed)?;
        self.see(began, What::Listed { key: &key, entries: &entries, since: began, whole: true });
        Ok(entries)
    }

    /// `ls -l`
    pub async fn list_long(&self, path: &str) {
        let Ok(entries) = self.readdir(path).await else { return };
        for entry in entries {
            let _ = self.lstat(&format!("{}/{}", path.trim_end_matches('/'), entry.name)).await;
        }
    }

    /// Of a symbolic link itself.
    pub async fn lstat(&self, path: &str) -> Result<Attr, Errno> {
        let began = self.court.now();
        let key = self.court.key(path);
        let attr = self.kernel().lstat(path).await;
        let attr = self.check("stat", began, On::Key(&key), attr)?;
        self.see(began, What::Stat { key: &key, attr: &attr });
        Ok(attr)
    }

    /// getxattr(2); `None`: there is none.
    pub async fn xattr_at(&self, path: &str, name: &str) -> Result<Option<String>, Errno> {
        let began = self.court.now();
        let key = self.court.key(path);
        let answer = self.kernel().getxattr_beside(path, name).await;
        let (attr, value) = self.check("getxattr", began, On::Key(&key), answer)?;
        let value = value.map(|value| String::from_utf8(value).expect("attributes are text here"));
        let of = Described::Path { key: &key, attr: &attr };
        self.see(began, What::Attribute { of, name, value: value.as_deref() });
        Ok(value)
    }

    /// listxattr(2)
    pub async fn list_xattr(&self, path: &str) -> Result<Vec<String>, Errno> {
        let began = self.court.now();
        let key = self.court.key(path);
        let listed = self.kernel().listxattr_beside(path).await;
        let (attr, names) = self.check("listxattr", began, On::Key(&key), listed)?;
        let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        self.see(began, What::AttributeNames { key: &key, attr: &attr, names: &names });
        Ok(names)
    }

    pub async fn access(&self, path: &str) -> Result<(), Errno> {
        let began = self.court.now();
        let key = self.court.key(path);
        let found = self.kernel().access(path, 0).await;
        self.check("access", began, On::Key(&key), found)?;
        self.see(began, What::Done { call: "access" });
        Ok(())
    }

    pub async fn readlink(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let began = self.court.now();
        let key = self.court.key(path);
        let target = self.kernel().readlink(path).await;
        let target = self.check("readlink", began, On::Key(&key), target)?;
        self.see(began, What::Link { key: &key, target: &target });
        Ok(target)
    }

    pub async fn statfs(&self) {
        let began = self.court.now();
        let answered = self.kernel().statfs("/").await;
        if self.check("statfs", began, On::Nothing, answered).is_ok() {
            self.see(began, What::Done { call: "statfs" });
        }
    }

    /// lseek(2) with SEEK_DATA, or with SEEK_HOLE.
    pub async fn seek_data(&self, file: File, from: u64, hole: bool) {
        let open = self.get(file);
        let began = self.court.now();
        let found = open.kernel.lseek(&open.file, if hole { SeekFrom::Hole(from) } else { SeekFrom::Data(from) }).await;
        let on = On::File { file: open.id, offset: 0, len: 0 };
        if let Ok(to) = self.check("lseek", began, on, found) {
            self.see(began, What::Sought { file: open.id, from, hole, to });
            self.seek(file, to);
        }
    }

    pub async fn xattr(&self, file: File, name: &str) -> Result<String, Errno> {
        let open = self.get(file);
        let began = self.court.now();
        let value = open.kernel.getxattr(&open.file, name).await;
        let of = Described::File(open.id);
        if value == Err(Errno::ENODATA) {
            self.see(began, What::Attribute { of, name, value: None });
        }
        let value = self.check("getxattr", began, On::File { file: open.id, offset: 0, len: 0 }, value)?;
        let value = String::from_utf8(value).expect("attributes are text here");
        self.see(began, What::Attribute { of, name, value: Some(&value) });
        Ok(value)
    }

    pub async fn close(&self, file: File) -> Result<(), Errno> {
        let open = locked(&self.files).open.remove(&file).expect("the file is open");
        let began = self.court.now();
        let last = !locked(&self.files).open.values().any(|other| other.id == open.id);
        let on = On::File { file: open.id, offset: 0, len: 0 };
        let id = open.id;
        // Mappings are no descriptors.
        let again = |other: &&Open| other.id == open.id && other.mapping.is_none();
        let still_open = locked(&self.files).open.values().any(|other| again(&other));
        // Whoever is killed in it has closed all the same.
        let mut closing = Closing { court: &self.court, file: last.then_some(id) };
        let closed = open.kernel.close_one(open.file, still_open).await;
        let closed = self.check("close", began, on, closed);
        closing.file = None;
        if last {
            self.see(began, What::Closed { file: id });
        }
        closed
    }

    /// dup(2): another descriptor of the same open file.
    pub fn dup(&self, file: File) -> File {
        self.add(self.get(file))
    }

    /// Pages of the file stay within reach until [`Process::unmap`], though the descriptor be closed.
    pub fn map(&self, file: File) -> Mapping {
        let open = self.get(file);
        let mapping = Some(open.kernel.map(&open.file));
        Mapping(self.add(Open { mapping, ..open }))
    }

    /// Reads through the mapping. An error stands for SIGBUS, and says why. Where the file may not be read there is nothing to
    /// read through.
    pub async fn touch(&self, mapping: Mapping, range: Range<u64>) -> Result<Version, Errno> {
        let page = 4 * KIB;
        let open = self.get(mapping.0);
        let mapping = open.mapping.as_ref().expect("it is a mapping");
        let offset = range.start / page * page;
        // Beyond the last page there is nothing to touch.
        let end = range.end.next_multiple_of(page).min(open.size());
        if offset >= end || !open.file.is_for_reading() {
            return Ok(open.version());
        }
        let began = self.court.now();
        let asked = end - offset;
        let touched = open.kernel.fault_in(mapping, offset, asked).await;
        let pieces = self.check("page fault", began, On::File { file: open.id, offset, len: asked }, touched)?;
        self.see_bytes(&open, began, offset, asked, &pieces.to_vec());
        Ok(open.version())
    }

    /// What was written through it goes back before it is gone.
    pub async fn unmap(&self, mapping: Mapping) {
        let open = locked(&self.files).open.remove(&mapping.0).expect("it is mapped");
        let began = self.court.now();
        let last = !locked(&self.files).open.values().any(|other| other.id == open.id);
        let Open { kernel, file, mapping, id, .. } = open;
        drop(file);
        let mut closing = Closing { court: &self.court, file: last.then_some(id) };
        kernel.unmap(mapping.expect("it is a mapping")).await;
        closing.file = None;
        if last {
            self.see(began, What::Closed { file: id });
        }
    }

    pub fn ino(&self, file: File) -> Ino {
        self.get(file).file.ino()
    }

    /// The version that the descriptor was given when it was opened.
    pub fn version(&self, file: File) -> Version {
        self.get(file).version()
    }

    /// Closes whatever is open.
    pub fn exit(&self) {
        let open = std::mem::take(&mut locked(&self.files).open);
        for open in open.into_values() {
            if let Some(mapping) = open.mapping {
                open.kernel.unmap_in_background(mapping);
            }
        }
        locked(&self.streams).close_all();
    }

    pub fn position(&self, file: File) -> u64 {
        *locked(&self.get(file).position)
    }

    pub fn seek(&self, file: File, position: u64) {
        if let Some(open) = locked(&self.files).open.get(&file) {
            *locked(&open.position) = position;
        }
    }

    /// Reports a failure; hands a success on.
    fn check<T>(&self, call: &'static str, began: Time, on: On<'_>, result: Result<T, Errno>) -> Result<T, Errno> {
        if let Err(errno) = result {
            self.see(began, What::Failed { call, on, errno });
        }
        result
    }

    fn see_bytes(&self, open: &Open, began: Time, offset: u64, asked: u64, bytes: &[u8]) {
        let checked = open.published.as_ref().map(|held| held.check(&open.key, bytes, offset));
        let mismatch = checked.and_then(Result::err);
        self.see(began, What::Bytes { file: open.id, offset, asked, bytes, mismatch });
    }

    fn see(&self, began: Time, what: What<'_>) {
        self.court.see(&Sight { seat: self.seat, op: self.op, began, ended: self.court.now(), what });
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
}
