//! A small Linux: what stands between an application and the core, so that oracles judge what an application saw.
//!
//! It keeps names for their TTL, attributes and pages with their inode, sends look-ups, opens, reads, releases and forgets
//! as Linux does (fs/fuse/dir.c, file.c, readdir.c), and treats as a bug of the core what Linux would take for something
//! else: above all a short read before the end, which an application sees as the end of the file.
//!
//! Invariant: what is in use (an open file, a walk under way, a cached name) is referenced, and an inode without
//! references is forgotten with exactly as many look-ups as it was given.

mod directory;
mod inodes;
mod pages;
mod walk;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::fs::Fs;
use holdfast::op::{Attr, Caller, Fh, Ino, Op, OpenMode, Reply, Whence};

use crate::env::SimEnv;
use crate::executor::{SimHandle, locked};
use crate::rng::SimRng;
use inodes::{Dentry, Held, Inode};

pub use directory::{Directory, Listed};

/// How this Linux behaves where it has a choice.
#[derive(Clone, Debug)]
pub struct KernelConfig {
    /// Reads run ahead, in requests of 128 KiB that arrive in any order.
    pub readahead: bool,
    /// Directories are read with READDIRPLUS.
    pub plus: bool,
    /// Other tasks may run between a request's being sent, taken up, answered and its answer's being seen; releases and
    /// forgets come late.
    pub unhurried: bool,
}

impl Default for KernelConfig {
    fn default() -> Self {
        Self { readahead: false, plus: true, unhurried: false }
    }
}

/// Clones are the same kernel.
#[derive(Clone)]
pub struct Kernel {
    shared: Arc<Shared>,
    /// Of the system call that is being made.
    caller: Caller,
}

struct Shared {
    fs: Arc<Fs<SimEnv>>,
    handle: SimHandle,
    config: KernelConfig,
    rng: SimRng,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    inodes: BTreeMap<Ino, Inode>,
    dentries: BTreeMap<(Ino, Vec<u8>), Dentry>,
    requests: u64,
    threads: u32,
    /// Opens that the core made look their path up again: when they began, and when they were told.
    stale_opens: Vec<(Time, Time)>,
    last_error: Option<String>,
}

/// A `struct file`: open until its last holder, which may be a mapping, lets go.
pub struct OpenFile {
    kernel: Kernel,
    fh: Fh,
    held: Held,
}

impl Kernel {
    pub fn new(fs: Arc<Fs<SimEnv>>, handle: SimHandle, config: KernelConfig, seed: u64) -> Self {
        let rng = SimRng::new(seed, "kernel");
        let mut state = State::default();
        state.inodes.insert(Ino::ROOT, Inode::root());
        Self { caller: Caller::UNKNOWN, shared: Arc::new(Shared { fs, handle, config, rng, state: Mutex::new(state) }) }
    }

    pub fn fs(&self) -> &Arc<Fs<SimEnv>> {
        &self.shared.fs
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        locked(&self.shared.state).requests
    }

    /// When the earliest open began that was told ESTALE after `since`.
    pub fn stale_open_began(&self, since: Time) -> Option<Time> {
        let state = locked(&self.shared.state);
        state.stale_opens.iter().filter(|(_, told)| *told >= since).map(|(began, _)| *began).min()
    }

    /// What the core said about the failure it reported last.
    pub fn last_error(&self) -> String {
        locked(&self.shared.state).last_error.clone().unwrap_or_default()
    }

    /// Another thread of an application.
    fn thread(&self) -> Self {
        let mut state = locked(&self.shared.state);
        state.threads += 1;
        Self { shared: self.shared.clone(), caller: Caller(state.threads) }
    }

    // System calls.

    pub async fn open(&self, path: &str) -> Result<Arc<OpenFile>, Errno> {
        let thread = self.thread();
        match thread.open_once(path, false).await {
            // do_filp_open: once more, and past every entry TTL.
            Err(Errno::ESTALE) => thread.open_once(path, true).await,
            outcome => outcome,
        }
    }

    async fn open_once(&self, path: &str, revalidate: bool) -> Result<Arc<OpenFile>, Errno> {
        let began = self.now();
        let held = self.walk(path, revalidate).await?;
        let ino = held.ino();
        let opened = self.call(Op::Open { ino, mode: OpenMode::default() }).await;
        if opened.as_ref().err() == Some(&Errno::ESTALE) {
            locked(&self.shared.state).stale_opens.push((began, self.now()));
        }
        match opened? {
            Reply::Opened { fh } => Ok(Arc::new(OpenFile { kernel: self.clone(), fh, held })),
            other => panic!("OPEN was answered with {other:?}"),
        }
    }

    /// close(2) of one descriptor: its FLUSH. RELEASE follows when nobody holds the file any more.
    pub async fn close(&self, file: Arc<OpenFile>) -> Result<(), Errno> {
        let flush = Op::Flush { ino: file.ino(), fh: file.fh };
        self.call(flush).await.map(|_| ())
    }

    pub async fn stat(&self, path: &str) -> Result<Attr, Errno> {
        match self.stat_once(path, false).await {
            Err(Errno::ESTALE) => self.stat_once(path, true).await,
            outcome => outcome,
        }
    }

    async fn stat_once(&self, path: &str, revalidate: bool) -> Result<Attr, Errno> {
        let held = self.walk(path, revalidate).await?;
        self.attributes(held.ino()).await
    }

    pub async fn fstat(&self, file: &OpenFile) -> Result<Attr, Errno> {
        self.attributes(file.ino()).await
    }

    /// The target of a symbolic link.
    pub async fn readlink(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let held = self.walk(path, false).await?;
        match self.call(Op::Readlink { ino: held.ino() }).await? {
            Reply::Link(target) => Ok(target),
            other => panic!("READLINK was answered with {other:?}"),
        }
    }

    /// lseek(2) with SEEK_DATA, or with SEEK_HOLE.
    pub async fn seek(&self, file: &OpenFile, from: u64, hole: bool) -> Result<u64, Errno> {
        let whence = if hole { Whence::Hole } else { Whence::Data };
        let offset = i64::try_from(from).map_err(|_| Errno::EINVAL)?;
        match self.call(Op::Lseek { ino: file.ino(), fh: file.fh, offset, whence }).await? {
            Reply::Offset(to) => Ok(to),
            other => panic!("LSEEK was answered with {other:?}"),
        }
    }

    pub async fn getxattr(&self, file: &OpenFile, name: &str) -> Result<Vec<u8>, Errno> {
        match self.call(Op::Getxattr { ino: file.ino(), name: name.as_bytes().to_vec() }).await? {
            Reply::Xattr(value) => Ok(value),
            other => panic!("GETXATTR was answered with {other:?}"),
        }
    }

    /// Forgets pages and names, and the inodes that nothing else refers to.
    pub fn drop_caches(&self) {
        self.drop_pages();
        let names: Vec<_> = locked(&self.shared.state).dentries.keys().cloned().collect();
        for (parent, name) in names {
            self.drop_dentry(parent, &name);
        }
    }

    // Requests.

    async fn attributes(&self, ino: Ino) -> Result<Attr, Errno> {
        let now = self.now();
        if let Some(inode) = locked(&self.shared.state).inodes.get(&ino)
            && now < inode.attr_until
        {
            return Ok(inode.attr.clone());
        }
        match self.call(Op::Getattr { ino }).await? {
            Reply::Attr { attr, ttl } => {
                self.note_attributes(&attr, ttl);
                Ok(attr)
            }
            other => panic!("GETATTR was answered with {other:?}"),
        }
    }

    /// Sends one request and waits for its answer.
    pub async fn call(&self, op: Op) -> Result<Reply, Errno> {
        locked(&self.shared.state).requests += 1;
        self.linger().await;
        let outcome = self.shared.fs.handle_for(self.caller, op).await;
        self.linger().await;
        outcome.map_err(|error| {
            locked(&self.shared.state).last_error = Some(error.to_string());
            error.errno()
        })
    }

    /// Sends a request that the core answers without waiting and that no application waits for.
    fn tell(&self, op: Op) {
        if self.shared.config.unhurried {
            let kernel = self.clone();
            self.shared.handle.spawn("kernel", async move {
                kernel.linger().await;
                let _ = kernel.shared.fs.handle(op).await;
            });
            return;
        }
        let answered = pin!(self.shared.fs.handle(op)).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(answered, Poll::Ready(Ok(_))), "told the core something, was answered {answered:?}");
    }

    async fn linger(&self) {
        if self.shared.config.unhurried {
            for _ in 0..self.shared.rng.below(3) {
                self.shared.handle.yield_now().await;
            }
        }
    }

    fn now(&self) -> Time {
        self.shared.handle.now()
    }
}

impl OpenFile {
    pub fn ino(&self) -> Ino {
        self.held.ino()
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let release = Op::Release { ino: self.ino(), fh: self.fh };
            self.kernel.tell_with(release, &self.held);
        }
    }
}
