//! The machines of a world: each has a disk and a mount of the one bucket, whose process may die and be started again.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use holdfast::config::Config;
use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::fs::Fs;
use holdfast::op::{Ino, Op, Reply};

use crate::app::Process;
use crate::court::{self, Court, Seat, Sight, What};
use crate::disk::{DiskConfig, SimDisk};
use crate::env::SimEnv;
use crate::executor::{Group, SimHandle, locked};
use crate::kernel::{Kernel, KernelConfig, Watcher};
use crate::store::SimStore;

/// What every mount starts with.
pub(super) struct Setting {
    pub(super) seed: u64,
    pub(super) handle: SimHandle,
    pub(super) store: SimStore,
    pub(super) mount: Config,
    pub(super) kernel: KernelConfig,
    pub(super) court: Court,
}

/// Clones are the same machines.
#[derive(Clone)]
pub struct Machines {
    setting: Arc<Setting>,
    machines: Arc<Vec<Machine>>,
}

struct Machine {
    disk: SimDisk,
    /// Of the present mount.
    kernel: Arc<Mutex<Kernel>>,
    /// Its applications' first process.
    process: Process,
    life: Mutex<Life>,
}

/// The present mount's place in the history of its machine.
#[derive(Clone, Copy)]
struct Life {
    deaths: u64,
    /// Whose tasks are its process's.
    group: Group,
}

/// More than there are machines: the groups of one machine's mounts are this far apart.
const GROUPS_APART: u32 = 256;

impl Machines {
    pub(super) fn new(setting: Setting, disk: &DiskConfig, count: u8) -> Self {
        let machine = |n: u8| {
            let disk = SimDisk::new(setting.handle.clone(), disk.clone(), setting.seed, &label("disk", n, 0));
            let life = Life { deaths: 0, group: Group(1 + u32::from(n)) };
            let kernel = Arc::new(Mutex::new(setting.boot(&disk, n, life)));
            let seen = court::Machine { kernel: Arc::downgrade(&kernel), disk: disk.clone() };
            setting.court.inform(|truth| truth.machines.push(seen));
            let process = Process::new(kernel.clone(), setting.court.clone(), Seat { mount: n, app: 0 });
            Machine { disk, kernel, process, life: Mutex::new(life) }
        };
        let machines = Arc::new((0..count).map(machine).collect());
        Self { setting: Arc::new(setting), machines }
    }

    pub fn count(&self) -> u8 {
        self.machines.len() as u8
    }

    pub fn disk(&self, n: u8) -> &SimDisk {
        &self.machines[usize::from(n)].disk
    }

    /// Of the present mount.
    pub fn kernel(&self, n: u8) -> Kernel {
        locked(&self.machines[usize::from(n)].kernel).clone()
    }

    /// The process that stories speak of.
    pub fn process(&self, n: u8) -> Process {
        self.machines[usize::from(n)].process.clone()
    }

    /// A process of its own.
    pub fn process_at(&self, seat: Seat) -> Process {
        Process::new(self.machines[usize::from(seat.mount)].kernel.clone(), self.setting.court.clone(), seat)
    }

    /// The mount's process dies wherever it is, and another is started on the disk that it left. Not for a task of that
    /// process to call.
    pub fn crash(&self, n: u8) {
        let machine = &self.machines[usize::from(n)];
        let life = *locked(&machine.life);
        self.kernel(n).die();
        self.setting.handle.end_group(life.group);
        // Whatever of the old process still runs must not count as the new one's.
        let life = Life { deaths: life.deaths + 1, group: Group(life.group.0 + GROUPS_APART) };
        *locked(&machine.life) = life;
        machine.disk.orphan_notes();
        let kernel = self.setting.boot(&machine.disk, n, life);
        if !self.setting.kernel.read_only {
            kernel.fs().begin();
        }
        let dead = std::mem::replace(&mut *locked(&machine.kernel), kernel);
        drop(dead);
        let now = self.setting.handle.now();
        let seat = Seat { mount: n, app: 0 };
        self.setting.court.see(&Sight { seat, op: None, began: now, ended: now, what: What::Crashed });
    }
}

impl Setting {
    /// Mounts the bucket on machine `n`.
    fn boot(&self, disk: &SimDisk, n: u8, life: Life) -> Kernel {
        let handle = self.handle.of_group(life.group);
        let label = label("mount", n, life.deaths);
        let env = SimEnv::new(handle.clone(), self.store.of_mount(n), disk.clone(), self.seed, &label);
        let fs = Fs::new(env, Config { host: format!("machine-{n}"), ..self.mount.clone() });
        let config = KernelConfig { metadata_shown: self.mount.posix_metadata, ..self.kernel.clone() };
        let kernel = Kernel::new(fs, handle, config, self.seed ^ u64::from(n) ^ (life.deaths << 8));
        let witness = self.court.clone();
        if !self.kernel.read_only {
            kernel.watch_changes(Box::new(Changes { court: self.court.clone(), mount: n }));
        }
        kernel.watch(Box::new(move |naming| witness.named(Seat { mount: n, app: u8::MAX }, naming)));
        kernel
    }
}

/// Tells the court what a kernel changes.
struct Changes {
    court: Court,
    mount: u8,
}

impl Watcher for Changes {
    fn begins(&self, op: &Op, names: &[String], called: Time) -> u64 {
        self.court.change_begins(self.mount, op, names, called)
    }

    fn ends(&self, at: u64, outcome: Option<Result<&Reply, Errno>>) {
        self.court.change_ends(at, outcome);
    }

    fn stored(&self, ino: Ino, offset: u64, bytes: &Bytes) {
        self.court.stored(self.mount, ino, offset, bytes);
    }

    fn lost(&self, ino: Ino, errno: Errno) {
        self.court.lost(self.mount, ino, errno);
    }
}

/// Of a stream of random numbers. The first ones are those of a world with one mount that never dies.
fn label(what: &str, n: u8, deaths: u64) -> String {
    match (n, deaths) {
        (0, 0) => what.to_owned(),
        (n, 0) => format!("{what} {n}"),
        (n, deaths) => format!("{what} {n} after {deaths}"),
    }
}
