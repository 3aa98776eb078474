//! fuser's callbacks to [`Op`] and back. Only this file and those in its folder name fuser, and they decide nothing.
//!
//! A request is polled once on the thread that read it from the kernel: what is in memory is answered right there. Only
//! what must wait becomes a task. A panic in a request is caught: its caller gets EIO, its handle is fenced, the mount
//! lives on.

mod convert;
mod requests;

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fuser::{FileHandle, Generation, MountOption, Session, SessionACL, SessionUnmounter};
use futures_util::FutureExt;

use crate::env::{Env, Spawn};
use crate::error::FsError;
use crate::fs::Fs;
use crate::op::{Caller, Fh, Ino, Op, Reply};

/// The generation of every inode: numbers are never used again, so there is only one.
const GENERATION: Generation = Generation(0);
/// Requests that the kernel may have under way in the background, readahead above all.
const BACKGROUND_REQUESTS_MAX: u16 = 64;
/// Threads that read requests. Two keep answering inline while a third prepares a request that must wait.
const THREADS: usize = 3;

/// Who may use the mount besides its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Owner,
    Root,
    Everybody,
}

/// How a file system is mounted.
pub struct MountOptions {
    /// What the mount table shows as mounted.
    pub source: String,
    pub access: Access,
    /// The kernel refuses every change by itself.
    pub read_only: bool,
    pub descriptors: Option<Descriptors>,
    /// What the extended attribute [`STATUS`] of the root tells.
    pub status: Option<Status>,
    pub observer: Option<Arc<dyn Observer>>,
}

/// Whether the process of a thread has a descriptor of an inode open. The thread is in the middle of a close(2), waiting for
/// us. Answers in bounded time, and `false` when it cannot be found out.
pub type Descriptors = Arc<dyn Fn(u32, u64) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// The extended attribute of the root that says what the mount holds (docs/decisions/0011).
pub const STATUS: &str = "user.holdfast.status";

/// Makes that text, without waiting.
pub type Status = Arc<dyn Fn() -> String + Send + Sync>;

/// A file system that is mounted and answers; unmounted when dropped.
pub struct Mounted<E: Env> {
    session: Session<Adapter<E>>,
}

/// Sees every request and its outcome: for recordings of what a real kernel asks for. Called on the threads that read
/// from the kernel, so it must not wait.
pub trait Observer: Send + Sync + 'static {
    /// Answers a number by which [`Observer::answered`] is told of the outcome.
    fn asked(&self, op: &Op) -> usize;
    fn answered(&self, number: usize, outcome: &Result<Reply, FsError>);
}

/// Unmounts from another thread.
pub struct Unmounter(SessionUnmounter);

impl<E: Env> Mounted<E> {
    /// Mounts `fs` at `directory`.
    pub fn new(fs: Arc<Fs<E>>, directory: &Path, options: MountOptions) -> io::Result<Self> {
        let mut config = fuser::Config::default();
        config.mount_options = vec![
            MountOption::FSName(options.source),
            MountOption::Subtype("holdfast".to_string()),
            MountOption::DefaultPermissions,
            MountOption::NoAtime,
            MountOption::NoSuid,
            MountOption::NoDev,
        ];
        config.mount_options.push(if options.read_only { MountOption::RO } else { MountOption::RW });
        config.acl = match options.access {
            Access::Owner => SessionACL::Owner,
            Access::Root => SessionACL::RootAndOwner,
            Access::Everybody => SessionACL::All,
        };
        config.n_threads = Some(THREADS);
        config.clone_fd = true;
        let MountOptions { descriptors, status, observer, .. } = options;
        let adapter = Adapter { fs, observer, descriptors, status };
        Session::new(adapter, directory, &config).map(|session| Self { session })
    }

    pub fn unmounter(&mut self) -> Unmounter {
        Unmounter(self.session.unmount_callable())
    }

    /// Answers requests until the file system is unmounted.
    pub fn run(self) -> io::Result<()> {
        match self.session.run() {
            // The kernel took the mount down while a thread was taking a request from it: an end like any other.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(()),
            outcome => outcome,
        }
    }
}

impl Unmounter {
    /// Fails with EBUSY while files are open.
    pub fn unmount(&mut self) -> io::Result<()> {
        self.0.unmount()
    }
}

struct Adapter<E: Env> {
    fs: Arc<Fs<E>>,
    observer: Option<Arc<dyn Observer>>,
    descriptors: Option<Descriptors>,
    status: Option<Status>,
}

impl<E: Env> Clone for Adapter<E> {
    fn clone(&self) -> Self {
        Self {
            fs: self.fs.clone(),
            observer: self.observer.clone(),
            descriptors: self.descriptors.clone(),
            status: self.status.clone(),
        }
    }
}

type Outcome = Result<Reply, FsError>;

impl<E: Env> Adapter<E> {
    fn run(&self, fh: Option<FileHandle>, op: Op, answer: impl FnOnce(Outcome) + Send + 'static) {
        self.run_for(Caller::UNKNOWN, fh, op, answer);
    }

    /// Runs `op` and hands the outcome to `answer`, on this thread if it is ready at once.
    fn run_for(&self, caller: Caller, fh: Option<FileHandle>, op: Op, answer: impl FnOnce(Outcome) + Send + 'static) {
        let seen = self.observer.clone().map(|observer| (observer.asked(&op), observer));
        let answer = move |outcome: Outcome| {
            if let Some((number, observer)) = seen {
                observer.answered(number, &outcome);
            }
            answer(outcome);
        };
        let fs = self.fs.clone();
        let fence = self.fs.clone();
        let request = async move {
            match AssertUnwindSafe(fs.handle_for(caller, op)).catch_unwind().await {
                Ok(outcome) => outcome,
                Err(_) => {
                    let fh = Fh(fh.map_or(0, |fh| fh.0));
                    tracing::error!("internal error in a request on handle {}; that handle is fenced", fh.0);
                    fence.fence(fh);
                    Err(FsError::Fenced(fh.0))
                }
            }
        };
        let mut request: Pin<Box<dyn Future<Output = Outcome> + Send>> = Box::pin(request);
        match request.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => answer(outcome),
            // Polled again at once by the task, which leaves its waker where this poll left none.
            Poll::Pending => self.fs.env().spawn().spawn("request", async move { answer(request.await) }),
        }
    }

    /// For requests that nothing answers: FORGET.
    fn tell(&self, op: Op) {
        let seen = self.observer.as_ref().map(|observer| (observer.asked(&op), observer));
        let told = catch_unwind(AssertUnwindSafe(|| {
            let mut request = Box::pin(self.fs.handle(op));
            if let Poll::Ready(outcome) = request.as_mut().poll(&mut Context::from_waker(Waker::noop()))
                && let Some((number, observer)) = seen
            {
                observer.answered(number, &outcome);
            }
        }));
        if told.is_err() {
            tracing::error!("internal error in a request that expects no answer");
        }
    }

    /// Runs the FLUSH of a close(2) by `caller`. Of a file that is still blank, just created or truncated, it must be known
    /// whether the process goes on to write by another descriptor, as a shell does for `echo x > f`. That is found out on a
    /// task: the kernel's requests must not wait for it.
    fn flush_for(&self, caller: Caller, fh: FileHandle, ino: Ino, answer: impl FnOnce(Outcome) + Send + 'static) {
        let flush = move |still_open| Op::Flush { ino, fh: Fh(fh.0), still_open };
        let asks = caller != Caller::UNKNOWN && self.fs.is_blank(Fh(fh.0));
        let Some(descriptors) = self.descriptors.clone().filter(|_| asks) else {
            return self.run_for(caller, Some(fh), flush(false), answer);
        };
        let adapter = self.clone();
        self.fs.env().spawn().spawn("flush", async move {
            let still_open = descriptors(caller.0, ino.0).await;
            adapter.run_for(caller, Some(fh), flush(still_open), answer);
        });
    }
}
