//! A small Linux: what stands between an application and the core, so that oracles judge what an application saw.
//!
//! It keeps names, attributes and pages as Linux does (fs/namei.c, fs/dcache.c, fs/fuse, mm/filemap.c, mm/readahead.c of
//! 6.18), sends the requests that Linux sends, in its order, and treats as a bug of the core what Linux would take for
//! something else: above all a short read before the end, which an application sees as the end of the file. What the
//! real kernel does is recorded in tests/calibration, and this one must do the same.
//!
//! - [`system_call`]: a call that may be killed; [`requests`]: how a request reaches the core and its answer comes back.
//! - [`names`] and [`walk`]: the dentry cache, references, forgets; paths.
//! - [`attributes`], [`files`], [`directory`]: the calls that need neither pages nor readahead.
//! - [`witness`]: who watches what the core says of names.
//! - [`naming`]: the calls that make, remove and move names; [`writing`], [`changing`] and [`copying`]: those that
//!   change a file; [`locks`].
//! - [`pages`], [`readahead`], [`reading`], [`mapping`], [`write_back`]: the page cache, the four ways to it, and the way back.
//!
//! Invariants: what is in use (an open file, a walk under way, a name beneath) is referenced; an inode without names is
//! forgotten with exactly as many look-ups as it was given; a handle is released after its last read was answered, and
//! its inode forgotten after that; once begun, a request is never dropped before its answer.

mod attributes;
mod changing;
mod copying;
mod directory;
mod files;
mod locks;
mod mapping;
mod names;
mod naming;
mod pages;
mod readahead;
mod reading;
mod reads;
pub mod recording;
mod requests;
pub mod script;
mod system_call;
mod trace;
mod walk;
mod witness;
mod write_back;
mod writing;

use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;

use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::fs::Fs;
use holdfast::op::Ino;

use crate::env::SimEnv;
use crate::executor::{SimHandle, locked};
use crate::rng::SimRng;
use crate::{KIB, MIB};
use names::Names;
use reads::Reads;

pub use attributes::Beside;
pub use copying::CopyError;
pub use directory::{Directory, Listed};
pub use files::{OpenFile, OpenHow, SeekFrom};
pub use mapping::{Mapping, SIGBUS};
pub use reading::Pieces;
pub use reads::Manner;
pub use system_call::SystemCall;
pub use trace::Trace;
pub use witness::{Naming, Watcher, Witness};
pub use writing::{At, Written};

/// A system call that was killed: nobody is left to see it.
pub const EINTR: Errno = Errno(4);
/// More symbolic links than a path may have.
pub const ELOOP: Errno = Errno(40);
/// The root is not removed nor moved.
pub const EBUSY: Errno = Errno(16);
/// "Transport endpoint is not connected": the file system's process is gone.
pub const ENOTCONN: Errno = Errno(107);

/// How this Linux behaves where it has a choice.
#[derive(Clone, Debug)]
pub struct KernelConfig {
    /// Reads run ahead, as mm/readahead.c does. Otherwise, simpler than any Linux, what is absent of a read is asked for
    /// in one request, and its failure is the read's: for stories that count requests.
    pub readahead: bool,
    /// read_ahead_kb of the mount, in bytes.
    pub readahead_bytes: u64,
    /// The largest READ (fs.fuse.max_pages_limit, max_read).
    pub read_bytes_max: u64,
    /// Directories are read with READDIRPLUS when Linux finds that worth while (FUSE_READDIRPLUS_AUTO).
    pub plus: bool,
    /// Writing is refused by the kernel, as mounted with `ro`.
    pub read_only: bool,
    /// Times are those that others have left in metadata, and so not the same for all that is taken for one Version.
    pub metadata_shown: bool,
    /// The kernel checks mode bits by itself (default_permissions).
    pub default_permissions: bool,
    /// Other tasks may run between a request's being sent, taken up, answered and its answer's being seen; releases and
    /// forgets come late and in any order.
    pub unhurried: bool,
    /// One read in so many loses pages to memory pressure first; 0: none.
    pub page_eviction_one_in: u64,
    /// One system call in so many loses a name that nobody uses first; 0: none.
    pub name_eviction_one_in: u64,
    /// Of all applications.
    pub uid: u32,
    pub gid: u32,
}

impl Default for KernelConfig {
    fn default() -> Self {
        Self {
            readahead: false,
            readahead_bytes: 128 * KIB,
            read_bytes_max: MIB,
            plus: true,
            read_only: true,
            metadata_shown: false,
            default_permissions: true,
            unhurried: false,
            page_eviction_one_in: 0,
            name_eviction_one_in: 0,
            uid: 0,
            gid: 0,
        }
    }
}

/// Clones are the same kernel.
#[derive(Clone)]
pub struct Kernel {
    shared: Arc<Shared>,
}

struct Shared {
    fs: Arc<Fs<SimEnv>>,
    handle: SimHandle,
    config: KernelConfig,
    rng: SimRng,
    witness: OnceLock<Witness>,
    watcher: OnceLock<Box<dyn Watcher>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    names: Names,
    requests: u64,
    interrupts: u64,
    threads: u32,
    /// Tasks that hand forgets to the core.
    forgetting: bool,
    /// Opens that the core made look their path up again: when they began, and when they were told.
    stale_opens: Vec<(Time, Time)>,
    last_error: Option<String>,
    /// What the core did that no file system may: every call fails the test with it from then on.
    violation: Option<String>,
    trace: Option<Trace>,
    reads: Reads,
    renames: locks::Renames,
    /// The file system's process is gone: nothing is answered any more.
    dead: bool,
    /// Of those who wait for its answers.
    bereaved: Vec<Waker>,
}

impl Kernel {
    pub fn new(fs: Arc<Fs<SimEnv>>, handle: SimHandle, config: KernelConfig, seed: u64) -> Self {
        let rng = SimRng::new(seed, "kernel");
        let mut state = State::default();
        state.names.metadata_shown = config.metadata_shown;
        Self {
            shared: Arc::new(Shared {
                fs,
                handle,
                config,
                rng,
                witness: OnceLock::new(),
                watcher: OnceLock::new(),
                state: Mutex::new(state),
            }),
        }
    }

    pub fn fs(&self) -> &Arc<Fs<SimEnv>> {
        &self.shared.fs
    }

    /// Whether both are the same.
    pub fn is(&self, other: &Kernel) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Requests sent so far, forgets and releases apart.
    pub fn requests(&self) -> u64 {
        locked(&self.shared.state).requests
    }

    /// System calls that were killed while the core was at a request of theirs.
    pub fn interrupts(&self) -> u64 {
        locked(&self.shared.state).interrupts
    }

    /// When the earliest open began that was told ESTALE after `since`.
    pub fn stale_open_began(&self, since: Time) -> Option<Time> {
        let state = locked(&self.shared.state);
        state.stale_opens.iter().filter(|(_, told)| *told >= since).map(|(began, _)| *began).min()
    }

    /// How the open files of an inode have been read so far, as the core was asked.
    pub fn manner_of(&self, ino: Ino) -> Manner {
        locked(&self.shared.state).reads.of(ino)
    }

    /// What the core said about the failure it reported last.
    pub fn last_error(&self) -> String {
        locked(&self.shared.state).last_error.clone().unwrap_or_default()
    }

    /// Forgets pages and the names that nobody uses, and with those their inodes (/proc/sys/vm/drop_caches). Until the
    /// next system call begins, what becomes unused is forgotten at once.
    pub fn drop_caches(&self) {
        self.drop_pages();
        self.with(|state| {
            state.names.prune();
            state.names.pressed = true;
        });
    }

    /// Drops every clean page, as memory pressure may at any time, and has the others written back.
    pub fn drop_pages(&self) {
        self.write_back_some();
        self.with(|state| state.names.inodes_mut().for_each(|inode| inode.pages.drop_all()));
    }

    /// Drops the pages of one inode.
    pub fn drop_pages_of(&self, ino: Ino) {
        self.with(|state| state.names.inode_mut(ino).map(|inode| inode.pages.drop_all()));
    }

    /// The file system's process died: what waits for its answers, and whatever is asked later, is told ENOTCONN.
    pub fn die(&self) {
        let bereaved = {
            let mut state = locked(&self.shared.state);
            state.dead = true;
            std::mem::take(&mut state.bereaved)
        };
        bereaved.into_iter().for_each(Waker::wake);
    }

    /// Keeps record of all requests from now on.
    pub fn start_trace(&self) {
        self.with(|state| state.trace = Some(Trace::default()));
    }

    /// What was recorded since it was last taken, a line each.
    pub fn take_trace(&self) -> Vec<String> {
        self.with(|state| state.trace.as_mut().map(Trace::take_lines)).unwrap_or_default()
    }

    /// Looks at or changes the state; what was forgotten by that is told to the core.
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = locked(&self.shared.state);
        let result = change(&mut state);
        let forgets = !state.names.forgets.is_empty();
        drop(state);
        if forgets {
            self.tell_forgets();
        }
        result
    }

    /// The core broke a rule that Linux relies on: said loudly, here and to whoever waits for it.
    fn violated(&self, what: String) -> ! {
        let wakers = self.with(|state| {
            state.violation.get_or_insert_with(|| what.clone());
            state.names.inodes_mut().flat_map(|inode| inode.pages.take_waiters()).collect::<Vec<_>>()
        });
        wakers.into_iter().for_each(std::task::Waker::wake);
        panic!("{what}")
    }

    fn now(&self) -> Time {
        self.shared.handle.now()
    }

    fn one_in(&self, n: u64) -> bool {
        n > 0 && self.shared.rng.below(n) == 0
    }
}

#[cfg(test)]
mod tests;
