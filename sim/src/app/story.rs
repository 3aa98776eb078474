//! One process that does one thing after another, as stories tell it.

use std::ops::Range;

use holdfast::error::Errno;
use holdfast::op::{Allocation, Attr, Ino, Kind, SetXattr};

use super::writing::{to_append, to_create, to_replace, to_write};
use super::{File, Mapping, Process};
use crate::World;
use crate::content::Version;
use crate::kernel::{Directory, Listed, OpenHow};

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

    pub fn try_close(&mut self, file: File) -> Result<(), Errno> {
        self.world.run(self.process.close(file))
    }

    pub fn dup(&mut self, file: File) -> File {
        self.process.dup(file)
    }

    // Changes.

    pub fn try_open_how(&mut self, path: &str, how: OpenHow) -> Result<File, Errno> {
        self.world.run(self.process.open_how(path, how))
    }

    pub fn open_how(&mut self, path: &str, how: OpenHow) -> File {
        self.try_open_how(path, how).unwrap_or_else(|errno| self.fail("open", path, errno))
    }

    /// O_RDWR | O_CREAT | O_EXCL
    pub fn create(&mut self, path: &str) -> File {
        self.open_how(path, OpenHow { exclusive: true, ..to_create() })
    }

    pub fn open_rw(&mut self, path: &str) -> File {
        self.open_how(path, to_write())
    }

    /// As a shell's `>`.
    pub fn open_truncated(&mut self, path: &str) -> File {
        self.open_how(path, to_replace())
    }

    /// As a shell's `>>`.
    pub fn append(&mut self, path: &str) -> File {
        self.open_how(path, to_append())
    }

    pub fn write(&mut self, file: File, bytes: impl Into<Vec<u8>>) {
        let written = self.try_write(file, bytes);
        written.unwrap_or_else(|errno| self.fail("write", "", errno));
    }

    pub fn try_write(&mut self, file: File, bytes: impl Into<Vec<u8>>) -> Result<u64, Errno> {
        self.world.run(self.process.write(file, bytes.into().into()))
    }

    pub fn pwrite(&mut self, file: File, at: u64, bytes: impl Into<Vec<u8>>) {
        let written = self.world.run(self.process.pwrite(file, at, bytes.into().into()));
        written.unwrap_or_else(|errno| self.fail("pwrite", "", errno));
    }

    pub fn fsync(&mut self, file: File) -> Result<(), Errno> {
        self.world.run(self.process.fsync(file))
    }

    pub fn ftruncate(&mut self, file: File, size: u64) -> Result<(), Errno> {
        self.world.run(self.process.ftruncate(file, size))
    }

    pub fn fallocate(&mut self, file: File, at: u64, len: u64, how: Allocation) -> Result<(), Errno> {
        self.world.run(self.process.fallocate(file, at, len, how))
    }

    pub fn truncate(&mut self, path: &str, size: u64) -> Result<(), Errno> {
        self.world.run(self.process.truncate(path, size))
    }

    pub fn unlink(&mut self, path: &str) -> Result<(), Errno> {
        self.world.run(self.process.unlink(path))
    }

    pub fn mkdir(&mut self, path: &str) -> Result<(), Errno> {
        self.world.run(self.process.mkdir(path))
    }

    pub fn rmdir(&mut self, path: &str) -> Result<(), Errno> {
        self.world.run(self.process.rmdir(path))
    }

    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        self.world.run(self.process.rename(from, to, false))
    }

    pub fn rename_new(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        self.world.run(self.process.rename(from, to, true))
    }

    /// The whole file, opened anew.
    pub fn content(&mut self, path: &str) -> Result<Vec<u8>, Errno> {
        let file = self.try_open(path)?;
        let read = self.read_bytes(file, 0..u64::MAX);
        self.close(file);
        read
    }

    pub fn read_bytes(&mut self, file: File, range: Range<u64>) -> Result<Vec<u8>, Errno> {
        self.world.run(self.process.read_bytes(file, range))
    }

    /// Writes a whole file, as a shell's `>` does.
    pub fn save(&mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Result<(), Errno> {
        let file = self.try_open_how(path, to_replace())?;
        self.write(file, bytes);
        self.try_close(file)
    }

    pub fn map(&mut self, file: File) -> Mapping {
        self.process.map(file)
    }

    pub fn touch(&mut self, mapping: Mapping, range: Range<u64>) -> Result<Version, Errno> {
        self.world.run(self.process.touch(mapping, range))
    }

    pub fn unmap(&mut self, mapping: Mapping) {
        self.world.run(self.process.unmap(mapping));
    }

    /// Writes through a mapping.
    pub fn store(&mut self, mapping: Mapping, at: u64, bytes: impl Into<Vec<u8>>) {
        let stored = self.try_store(mapping, at, bytes);
        stored.unwrap_or_else(|errno| self.fail("store", "", errno));
    }

    pub fn try_store(&mut self, mapping: Mapping, at: u64, bytes: impl Into<Vec<u8>>) -> Result<u64, Errno> {
        self.world.run(self.process.store(mapping, at, bytes.into().into()))
    }

    pub fn msync(&mut self, mapping: Mapping) -> Result<(), Errno> {
        self.world.run(self.process.msync(mapping))
    }

    pub fn copy_range(&mut self, from: (File, u64), to: (File, u64), len: u64) -> Result<u64, Errno> {
        self.world.run(self.process.copy_range(from, to, len))
    }

    pub fn mknod(&mut self, path: &str, kind: Kind) -> Result<(), Errno> {
        self.world.run(self.process.mknod(path, kind))
    }

    pub fn setxattr(&mut self, path: &str, name: &str, value: &str, how: SetXattr) -> Result<(), Errno> {
        self.world.run(self.process.setxattr(path, name, value, how))
    }

    pub fn removexattr(&mut self, path: &str, name: &str) -> Result<(), Errno> {
        self.world.run(self.process.removexattr(path, name))
    }

    pub fn fsetxattr(&mut self, file: File, name: &str, value: &str, how: SetXattr) -> Result<(), Errno> {
        self.world.run(self.process.fsetxattr(file, name, value, how))
    }

    pub fn fremovexattr(&mut self, file: File, name: &str) -> Result<(), Errno> {
        self.world.run(self.process.fremovexattr(file, name))
    }

    /// `None`: there is none.
    pub fn xattr_at(&mut self, path: &str, name: &str) -> Result<Option<String>, Errno> {
        self.world.run(self.process.xattr_at(path, name))
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
        Kind::File | Kind::Symlink | Kind::Fifo | Kind::Socket => entry.name.clone(),
    }
}
