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
use holdfast::fs::{Census, Fs};
use holdfast::op::{Op, Reply};

use crate::app::{App, Oracle, Process};
use crate::disk::{DiskConfig, SimDisk};
use crate::env::SimEnv;
use crate::executor::{Executor, Policy, SimHandle, TaskPanic};
use crate::history::History;
use crate::kernel::{Kernel, KernelConfig};
use crate::store::{SimStore, StoreConfig};

pub use outside::Outside;
pub use s3::S3;

/// Everything that a world begins with.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    pub seed: u64,
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
    disk: SimDisk,
    env: Arc<SimEnv>,
    history: History,
    kernel: Kernel,
    process: Process,
    panics_expected: bool,
}

impl World {
    pub fn new(config: WorldConfig) -> Self {
        let WorldConfig { seed, policy, bucket, store, disk, mount, kernel } = config;
        let exec = Executor::with_policy(seed, policy);
        let bucket = Arc::new(Mutex::new(Bucket::new(bucket)));
        let store = SimStore::new(exec.handle(), bucket, store, seed);
        let disk = SimDisk::new(exec.handle(), disk, seed, "disk");
        let env = Arc::new(SimEnv::new(exec.handle(), store.clone(), disk.clone(), seed, "test"));
        let history = History::default();
        let mount = mount.validated().expect("a test's options are valid");
        let oracle = Oracle::new(history.clone(), exec.handle(), &mount);
        let fs = Fs::new(SimEnv::new(exec.handle(), store.clone(), disk.clone(), seed, "mount"), mount);
        let kernel = Kernel::new(fs, exec.handle(), kernel, seed);
        let process = Process::new(kernel.clone(), oracle);
        Self { exec, seed, store, disk, env, history, kernel, process, panics_expected: false }
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
        let process = self.process.clone();
        App::new(self, process)
    }

    /// The same, for stories in which several things happen at a time.
    pub fn process(&self) -> Process {
        self.process.clone()
    }

    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    pub fn fs(&self) -> &Arc<Fs<SimEnv>> {
        self.kernel.fs()
    }

    /// Sends one request to the core, past the kernel.
    pub fn ask(&mut self, op: Op) -> Result<Reply, Errno> {
        let kernel = self.kernel.clone();
        self.run(kernel.call(op))
    }

    /// The kernel forgets every page and name, and the inodes that nobody uses.
    pub fn drop_caches(&mut self) {
        self.kernel.drop_caches();
    }

    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// An environment of its own on this machine.
    pub fn env(&self) -> &Arc<SimEnv> {
        &self.env
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
    /// Closes and forgets everything, and checks that the mount does so too. The world's end does it by itself.
    pub fn settle(&mut self) {
        if self.kernel.requests() == 0 {
            return;
        }
        self.process.exit();
        self.drop_caches();
        self.wait(SETTLE);
        // Forgets that came late.
        self.drop_caches();
        let census = self.fs().census();
        let at_rest = Census { inodes: 1, handles: 0, memory_bytes: 0, lifeboat_bytes: 0, ..census };
        assert_eq!(census, at_rest, "seed {}: the mount at rest still holds something", self.seed);
        let (bodies, spools) = (self.store.bodies_open(), self.disk.spools());
        assert_eq!((bodies, spools), (0, 0), "seed {}: bodies and spools of a mount at rest", self.seed);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.settle();
        let panics = self.exec.take_panics();
        assert!(
            self.panics_expected || panics.is_empty(),
            "seed {}: background tasks panicked: {panics:#?}",
            self.seed
        );
        let holes = self.disk.unwritten_reads();
        assert!(holes == 0, "seed {}: {holes} reads of spool bytes that nobody had written", self.seed);
    }
}

#[cfg(test)]
mod tests;
