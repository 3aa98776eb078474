//! Reading directories.

use std::sync::{Arc, Mutex};

use holdfast::error::Errno;
use holdfast::op::{DirEntry, Fh, Ino, Kind, Op, Reply};

use super::Kernel;
use super::names::{Held, Seen};
use super::system_call::{SystemCall, Thread};
use super::witness::How as Told;
use crate::executor::locked;

/// What the kernel offers for one request.
const BUFFER_BYTES: usize = 4096;

/// An open directory. Clones are descriptors made by dup(2); the last gives the handle back.
#[derive(Clone)]
pub struct Directory(Arc<OpenDirectory>);

struct OpenDirectory {
    kernel: Kernel,
    fh: Fh,
    position: Mutex<u64>,
    /// One getdents(2) at a time (f_pos_lock).
    turn: futures_util::lock::Mutex<()>,
    /// `None` once released.
    held: Option<Held>,
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
    pub fn open_directory(&self, path: &str) -> SystemCall<Result<Directory, Errno>> {
        let open = |thread: Thread, held: Held, ()| async move { thread.open_directory(held).await };
        self.at_path(path, true, open, ())
    }

    /// getdents(2): the next buffer of entries; empty at the end.
    pub fn getdents(&self, directory: &Directory) -> SystemCall<Result<Vec<Listed>, Errno>> {
        let directory = directory.0.clone();
        self.enter(|thread| async move {
            let _turn = directory.turn.lock().await;
            let from = *locked(&directory.position);
            let listed = thread.read_directory(&directory, from).await?;
            if let Some(last) = listed.last() {
                *locked(&directory.position) = last.offset;
            }
            Ok(listed)
        })
    }

    /// lseek(2) to where telldir(3) once was, or to the start: waits for a getdents(2) under way, though it be a killed one.
    pub fn seek_directory(&self, directory: &Directory, to: u64) -> SystemCall<()> {
        let directory = directory.clone();
        self.enter(move |_| async move {
            let _turn = directory.0.turn.lock().await;
            directory.seek(to);
        })
    }

    /// One buffer of entries after `offset`, as seekdir(3) and getdents(2) give it; empty at the end.
    pub fn read_directory(&self, directory: &Directory, offset: u64) -> SystemCall<Result<Vec<Listed>, Errno>> {
        let directory = directory.0.clone();
        self.enter(|thread| async move { thread.read_directory(&directory, offset).await })
    }

    /// All entries but `.` and `..`, which must come first.
    pub async fn readdir(&self, path: &str) -> Result<Vec<Listed>, Errno> {
        let directory = self.open_directory(path).await?;
        let mut all: Vec<Listed> = Vec::new();
        loop {
            let buffer = self.getdents(&directory).await?;
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

impl Directory {
    pub fn ino(&self) -> Ino {
        self.0.ino()
    }

    /// telldir(3)
    pub fn tell(&self) -> u64 {
        *locked(&self.0.position)
    }

    /// seekdir(3), to where telldir(3) once was.
    pub fn seek(&self, to: u64) {
        *locked(&self.0.position) = to;
    }

    /// rewinddir(3)
    pub fn rewind(&self) {
        self.seek(0);
    }
}

impl OpenDirectory {
    fn ino(&self) -> Ino {
        self.held.as_ref().expect("it is not released while it is used").ino()
    }
}

impl Thread {
    async fn open_directory(&self, held: Held) -> Result<Directory, Errno> {
        const READ: u32 = 4;
        if self.kind(held.ino()) != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        self.permit(held.ino(), READ).await?;
        match self.request(Op::Opendir { ino: held.ino() }).await? {
            // Of a thread that was killed meanwhile it is dropped, and thereby released.
            Reply::Opened { fh } => Ok(Directory(Arc::new(OpenDirectory {
                kernel: self.kernel.clone(),
                fh,
                position: Mutex::default(),
                turn: futures_util::lock::Mutex::new(()),
                held: Some(held),
            }))),
            other => self.kernel.violated(format!("OPENDIR was answered with {other:?}")),
        }
    }

    async fn read_directory(&self, directory: &OpenDirectory, offset: u64) -> Result<Vec<Listed>, Errno> {
        let ino = directory.ino();
        // At the start, and where somebody has used what the last one brought (fuse_use_readdirplus).
        let advised = self.kernel.with(|state| {
            let inode = state.names.inode_mut(ino).expect("the directory refers to it");
            std::mem::take(&mut inode.advised_plus)
        });
        let plus = self.kernel.shared.config.plus && (advised || offset == 0);
        let read = Op::Readdir { ino, fh: directory.fh, offset, max_bytes: BUFFER_BYTES, plus };
        let _shared = match self.kernel.shared.config.read_only {
            true => None,
            false => Some(self.lock(ino, false).await),
        };
        let evictions = self.kernel.with(|state| state.names.evictions());
        let asked = self.kernel.now();
        let Reply::Directory(entries) = self.request(read).await? else {
            self.kernel.violated("READDIR was answered with something else".to_string())
        };
        // Linux counts the TTLs of a listing's names from when it links each, which is later if it must wait for a
        // look-up of the same name. By then the answer may be older than it says; see the limits in docs/semantics.md.
        let seen = self.seen(evictions);
        let dentry = directory.held.as_ref().expect("it is not released while it is used").dentry;
        for listed in &entries {
            if let Some(entry) = &listed.entry {
                self.kernel.witness(dentry, listed.name.as_bytes(), entry, asked, Told::Listed);
            }
        }
        let mut late = false;
        for entry in &entries {
            self.link_listed(directory, entry, seen, &mut late).await;
        }
        self.kernel.note_read(ino);
        let listed = |entry: DirEntry| {
            let name = entry.name.to_string();
            Listed { name, kind: entry.kind, ino: entry.ino, offset: entry.offset }
        };
        Ok(entries.into_iter().map(listed).collect())
    }

    async fn link_listed(&self, directory: &OpenDirectory, listed: &DirEntry, seen: Seen, late: &mut bool) {
        let Some(entry) = &listed.entry else { return };
        let Some(attr) = &entry.attr else { return };
        if attr.ino != listed.ino {
            self.kernel.violated(format!("READDIRPLUS names two inodes for {}", listed.name));
        }
        let parent = directory.held.as_ref().expect("it is not released while it is used").dentry;
        let name = listed.name.as_bytes();
        // Whoever looks the name up right now is waited for, and its answer is then what the cache has.
        *late |= self.wait_for_look_up(parent, name).await;
        if *late {
            self.kernel.witness(parent, name, entry, seen.now, Told::ListedLate);
        }
        self.kernel.with(|state| state.names.link_listed(parent, name, attr, entry, seen));
    }
}

impl Drop for OpenDirectory {
    fn drop(&mut self) {
        if !std::thread::panicking()
            && let Some(held) = self.held.take()
        {
            self.kernel.release(Op::Releasedir { ino: held.ino(), fh: self.fh }, held);
        }
    }
}
