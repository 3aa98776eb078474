//! One process that does one thing after another, as stories tell it.

use std::ops::Range;

use holdfast::error::Errno;
use holdfast::op::{Attr, Ino, Kind};

use super::{File, Mapping, Process};
use crate::World;
use crate::content::Version;
use crate::kernel::{Directory, Listed};

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
        Kind::File | Kind::Symlink | Kind::Fifo | Kind::Socket => entry.name.clone(),
    }
}
