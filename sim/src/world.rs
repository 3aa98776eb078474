//! One simulated world, as a story tells it: a bucket that others change, a mount, time that passes when told.
//!
//! Owns the executor. Between two calls nothing happens: whatever background tasks do, they do while a call waits.
//! At its end a world fails the test for every background task that panicked, unless the story said that it expects
//! panics; for every read of spool bytes that nobody had written; and for whatever the mount still holds once everything
//! is closed and forgotten.

mod outside;
mod s3;

use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast::bucket::{Bucket, BucketOptions, DigestKind, Versioning};
use holdfast::config::Config;
use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::fs::Fs;
use holdfast::op::{Op, Reply};

use crate::app::{App, Process};
use crate::court::{Court, Manner, Rest, Seat, Sight, What};
use crate::disk::{DiskConfig, SimDisk};
use crate::env::SimEnv;
use crate::executor::{Executor, Limits, Policy, SimHandle, Stuck, TaskPanic};
use crate::history::History;
use crate::kernel::{Kernel, KernelConfig};
use crate::store::{SimStore, StoreConfig};

pub use outside::Outside;
pub use s3::S3;

/// Everything that a world begins with.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    pub seed: u64,
    /// Mounts of the bucket, each on a machine of its own.
    pub mounts: u8,
    /// What a finding leads to.
    pub manner: Manner,
    pub policy: Policy,
    pub bucket: BucketOptions,
    pub store: StoreConfig,
    pub disk: DiskConfig,
    pub mount: Config,
    pub kernel: KernelConfig,
}

/// How long a mount at rest may take to let go of what it no longer needs: the longest back-off, and then some.
const SETTLE: Duration = Duration::from_secs(120);

impl WorldConfig {
    /// No randomness in order or latency.
    pub fn calm() -> Self {
        Self {
            seed: 0,
            mounts: 1,
            manner: Manner::Strict,
            policy: Policy::Fifo,
            bucket: BucketOptions { digest: DigestKind::Quick, ..BucketOptions::default() },
            store: StoreConfig::default(),
            disk: DiskConfig::default(),
            mount: Config::default(),
            kernel: KernelConfig::default(),
        }
    }

    /// Any order of tasks, and latencies that let any two requests overtake each other.
    pub fn rough(seed: u64) -> Self {
        let up_to = |ms| Duration::from_micros(100)..=Duration::from_millis(ms);
        let quick: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_millis(5);
        Self {
            seed,
            policy: Policy::RandomWalk,
            store: StoreConfig { before: up_to(50), after: up_to(50), chunk: quick.clone(), ..StoreConfig::default() },
            disk: DiskConfig { latency: quick, ..DiskConfig::default() },
            kernel: KernelConfig { unhurried: true, ..KernelConfig::default() },
            ..Self::calm()
        }
    }

    pub fn versioned(mut self) -> Self {
        self.bucket.versioning = Versioning::Enabled;
        self
    }

    /// With these options of the mount.
    pub fn mounted(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.mount);
        self
    }
}

/// See the module.
pub struct World {
    exec: Executor,
    seed: u64,
    store: SimStore,
    env: Arc<SimEnv>,
    history: History,
    court: Court,
    machines: Vec<Machine>,
    panics_expected: bool,
    /// Whoever runs it judges it.
    patient: bool,
}

/// A mount and what it runs on.
struct Machine {
    disk: SimDisk,
    kernel: Kernel,
    process: Process,
}

impl World {
    pub fn new(config: WorldConfig) -> Self {
        let WorldConfig { seed, mounts, manner, policy, bucket, store, disk, mount, kernel } = config;
        let exec = Executor::with_policy(seed, policy);
        let bucket = Arc::new(Mutex::new(Bucket::new(bucket)));
        let store = SimStore::new(exec.handle(), bucket, store, seed);
        let history = History::default();
        let mount = mount.validated().expect("a test's options are valid");
        let court = Court::new(exec.handle(), history.clone(), store.clone(), mount.clone(), manner);
        let machine = |n: u8| {
            // The first one's streams of random numbers are those of a world with one mount.
            let label = |what: &str| if n == 0 { what.to_owned() } else { format!("{what} {n}") };
            let disk = SimDisk::new(exec.handle(), disk.clone(), seed, &label("disk"));
            let env = SimEnv::new(exec.handle(), store.clone(), disk.clone(), seed, &label("mount"));
            let fs = Fs::new(env, mount.clone());
            let kernel = Kernel::new(fs, exec.handle(), kernel.clone(), seed ^ u64::from(n));
            court.attend(kernel.clone(), disk.clone());
            let process = Process::new(kernel.clone(), court.clone(), Seat { mount: n, app: 0 });
            Machine { disk, kernel, process }
        };
        let machines: Vec<Machine> = (0..mounts.max(1)).map(machine).collect();
        let env = Arc::new(SimEnv::new(exec.handle(), store.clone(), machines[0].disk.clone(), seed, "test"));
        Self {
            exec,
            seed,
            store,
            env,
            history,
            court,
            machines,
            panics_expected: false,
            patient: manner == Manner::Patient,
        }
    }

    /// A calm world whose mount has these options.
    pub fn mounted(change: impl FnOnce(&mut Config)) -> Self {
        Self::new(WorldConfig::calm().mounted(change))
    }

    /// For stories in which neither order nor latency is the point.
    pub fn calm() -> Self {
        Self::new(WorldConfig::calm())
    }

    /// For stories that must hold whatever the order.
    pub fn rough(seed: u64) -> Self {
        Self::new(WorldConfig::rough(seed))
    }

    /// A calm world whose bucket keeps versions.
    pub fn versioned() -> Self {
        Self::new(WorldConfig::calm().versioned())
    }

    /// The bucket as its other clients and its operators see it. Acts at once, without latency.
    pub fn s3(&self) -> S3<'_> {
        S3::new(self)
    }

    /// Those who change the bucket and make the weather, for stories in which several things happen at a time.
    pub fn outside(&self) -> Outside {
        Outside::new(self.store.clone(), self.history.clone(), self.exec.handle())
    }

    /// An application on this machine.
    pub fn app(&mut self) -> App<'_> {
        let process = self.process();
        App::new(self, process)
    }

    /// The same, for stories in which several things happen at a time.
    pub fn process(&self) -> Process {
        self.machines[0].process.clone()
    }

    /// A process of its own on one of the machines.
    pub fn process_at(&self, seat: Seat) -> Process {
        Process::new(self.machines[usize::from(seat.mount)].kernel.clone(), self.court.clone(), seat)
    }

    pub fn court(&self) -> &Court {
        &self.court
    }

    pub fn kernel(&self) -> &Kernel {
        &self.machines[0].kernel
    }

    pub fn kernel_of(&self, mount: u8) -> &Kernel {
        &self.machines[usize::from(mount)].kernel
    }

    pub fn fs(&self) -> &Arc<Fs<SimEnv>> {
        self.kernel().fs()
    }

    /// Sends one request to the core, past the kernel.
    pub fn ask(&mut self, op: Op) -> Result<Reply, Errno> {
        let kernel = self.kernel().clone();
        self.run(kernel.call(op))
    }

    /// The kernel forgets every page and name, and the inodes that nobody uses.
    pub fn drop_caches(&mut self) {
        for machine in &self.machines {
            machine.kernel.drop_caches();
        }
    }

    pub fn disk(&self) -> &SimDisk {
        &self.machines[0].disk
    }

    pub fn disk_of(&self, mount: u8) -> &SimDisk {
        &self.machines[usize::from(mount)].disk
    }

    /// An environment of its own on this machine.
    pub fn env(&self) -> &Arc<SimEnv> {
        &self.env
    }

    pub(crate) fn store(&self) -> &SimStore {
        &self.store
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    pub fn handle(&self) -> SimHandle {
        self.exec.handle()
    }

    pub fn now(&self) -> Time {
        self.exec.now()
    }

    /// Of all that has happened. Equal for equal seeds and stories.
    pub fn hash(&self) -> u64 {
        self.exec.hash()
    }

    /// Lets time pass, and whatever is due in it happen.
    pub fn wait(&mut self, duration: Duration) {
        if let Err(stuck) = self.exec.run_for(duration) {
            panic!("seed {}: {stuck}", self.seed);
        }
    }

    /// Runs the world until `future` is done; a world that gets stuck fails the test with the names of who waits.
    pub fn run<F: Future>(&mut self, future: F) -> F::Output {
        match self.exec.block_on(future) {
            Ok(output) => output,
            Err(stuck) => panic!("seed {}: {stuck}", self.seed),
        }
    }

    /// Background tasks may panic in this story; [`World::take_panics`] tells which did.
    pub fn expect_panics(&mut self) {
        self.panics_expected = true;
    }

    pub fn take_panics(&mut self) -> Vec<TaskPanic> {
        self.exec.take_panics()
    }
}

impl World {
    pub fn set_limits(&mut self, limits: Limits) {
        self.exec.set_limits(limits);
    }

    /// Lets time pass; what keeps it from passing is answered.
    pub fn try_wait(&mut self, duration: Duration) -> Result<(), Stuck> {
        self.exec.run_for(duration)
    }

    /// [`World::run`] for worlds whose court is patient.
    pub fn try_run<F: Future>(&mut self, future: F) -> Result<F::Output, Stuck> {
        self.exec.block_on(future)
    }

    /// Closes and forgets everything, and has the court look at what is left. The world's end does it by itself.
    pub fn settle(&mut self) {
        if self.machines.iter().all(|machine| machine.kernel.requests() == 0) {
            return;
        }
        for machine in &self.machines {
            machine.process.exit();
        }
        self.drop_caches();
        self.wait(SETTLE);
        // Forgets that came late.
        self.drop_caches();
        self.judge_rest();
    }

    /// Has the court look at what every mount still holds.
    pub fn judge_rest(&self) {
        for (machine, n) in self.machines.iter().zip(0..) {
            let rest = Rest {
                census: machine.kernel.fs().census(),
                bodies: self.store.bodies_open(),
                spools: machine.disk.spools(),
                unwritten_reads: machine.disk.unwritten_reads(),
            };
            self.see(Seat { mount: n, app: 0 }, What::Rest(rest));
        }
    }

    /// Has the court look at the panics so far.
    pub fn judge_panics(&mut self) {
        for panic in self.exec.take_panics() {
            self.see(Seat::default(), What::Panicked(&panic));
        }
    }

    pub fn judge_stuck(&self, stuck: &Stuck) {
        self.see(Seat::default(), What::Stuck(stuck));
    }

    fn see(&self, seat: Seat, what: What<'_>) {
        let now = self.now();
        self.court.see(&Sight { seat, op: None, began: now, ended: now, what });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() || self.patient {
            return;
        }
        self.settle();
        if !self.panics_expected {
            self.judge_panics();
        }
        for machine in &self.machines {
            let holes = machine.disk.unwritten_reads();
            assert!(holes == 0, "seed {}: {holes} reads of spool bytes that nobody had written", self.seed);
        }
    }
}

#[cfg(test)]
mod tests;
