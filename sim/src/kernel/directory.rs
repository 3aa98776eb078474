//! Reading directories.

use holdfast::error::Errno;
use holdfast::op::{Fh, Ino, Kind, Op, Reply};

use super::Kernel;
use super::inodes::Held;

/// What the kernel offers for one request.
const BUFFER_BYTES: usize = 4096;

/// An open directory.
pub struct Directory {
    kernel: Kernel,
    fh: Fh,
    held: Held,
}

/// One entry as getdents(2) gives it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    pub name: String,
    pub kind: Kind,
    pub ino: Ino,
    /// telldir(3) after it.
    pub offset: u64,
}

impl Kernel {
    pub async fn open_directory(&self, path: &str) -> Result<Directory, Errno> {
        match self.open_directory_once(path, false).await {
            Err(Errno::ESTALE) => self.open_directory_once(path, true).await,
            outcome => outcome,
        }
    }

    async fn open_directory_once(&self, path: &str, revalidate: bool) -> Result<Directory, Errno> {
        let held = self.walk(path, revalidate).await?;
        if self.kind(held.ino()) != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        match self.call(Op::Opendir { ino: held.ino() }).await? {
            Reply::Opened { fh } => Ok(Directory { kernel: self.clone(), fh, held }),
            other => panic!("OPENDIR was answered with {other:?}"),
        }
    }

    /// One buffer of entries after `offset`; empty at the end.
    pub async fn read_directory(&self, directory: &Directory, offset: u64) -> Result<Vec<Listed>, Errno> {
        let (ino, plus) = (directory.held.ino(), self.shared.config.plus);
        let read = Op::Readdir { ino, fh: directory.fh, offset, max_bytes: BUFFER_BYTES, plus };
        let Reply::Directory(entries) = self.call(read).await? else {
            panic!("READDIR was answered with something else")
        };
        let mut listed = Vec::new();
        for entry in entries {
            if let Some(found) = &entry.entry
                && let Some(attr) = &found.attr
            {
                assert_eq!(attr.ino, entry.ino, "READDIRPLUS names two inodes for {}", entry.name);
                self.link(ino, entry.name.as_bytes(), attr, found);
            }
            let name = entry.name.to_string();
            listed.push(Listed { name, kind: entry.kind, ino: entry.ino, offset: entry.offset });
        }
        Ok(listed)
    }

    /// All entries but `.` and `..`, which must come first.
    pub async fn readdir(&self, path: &str) -> Result<Vec<Listed>, Errno> {
        let directory = self.open_directory(path).await?;
        let mut all: Vec<Listed> = Vec::new();
        loop {
            let offset = all.last().map_or(0, |last| last.offset);
            let buffer = self.read_directory(&directory, offset).await?;
            if buffer.is_empty() {
                break;
            }
            all.extend(buffer);
        }
        let dots: Vec<Listed> = all.drain(..2).collect();
        assert_eq!((dots[0].name.as_str(), dots[1].name.as_str()), (".", ".."));
        Ok(all)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.kernel.tell_with(Op::Releasedir { ino: self.held.ino(), fh: self.fh }, &self.held);
        }
    }
}
