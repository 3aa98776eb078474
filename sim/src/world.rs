//! One simulated world, as a story tells it: a bucket that others change, a mount, time that passes when told.
//!
//! Owns the executor. Between two calls nothing happens: whatever background tasks do, they do while a call waits.
//! At its end a world fails the test for every background task that panicked, unless the story said that it expects
//! panics; for every read of spool bytes that nobody had written; and for whatever the mount still holds once everything
//! is closed and forgotten.

mod machines;
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
use crate::executor::{Choice, Executor, Limits, Policy, SimHandle, Stuck, TaskPanic};
use crate::history::History;
use crate::kernel::{Kernel, KernelConfig};
use crate::recording::Recorder;
use crate::store::{SimStore, StoreConfig};

pub use machines::Machines;
pub use outside::Outside;

use machines::Setting;
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
            mount: Config { read_only: true, ..Config::default() },
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

    /// Mounts and kernels that let applications write. ETags are S3's, by which a mount knows its own bytes.
    pub fn writable(mut self) -> Self {
        self.bucket.digest = DigestKind::Md5;
        self.mount.read_only = false;
        self.kernel.read_only = false;
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
    machines: Machines,
    panics_expected: bool,
    /// Whoever runs it judges it.
    patient: bool,
}

impl World {
    pub fn new(config: WorldConfig) -> Self {
        let WorldConfig { seed, mounts, manner, policy, bucket, store, disk, mount, kernel } = config;
        let exec = Executor::with_policy(seed, policy);
        let bucket = Arc::new(Mutex::new(Bucket::new(bucket)));
        let store = SimStore::new(exec.handle(), bucket, store, seed);
        let history = History::default();
        store.write_down(history.clone());
        let mount = mount.validated().expect("a test's options are valid");
        let court = Court::new(exec.handle(), history.clone(), store.clone(), mount.clone(), manner);
        let setting =
            Setting { seed, handle: exec.handle(), store: store.clone(), mount, kernel, court: court.clone() };
        let machines = Machines::new(setting, &disk, mounts.max(1));
        let env = Arc::new(SimEnv::new(exec.handle(), store.clone(), machines.disk(0).clone(), seed, "test"));
        let patient = manner == Manner::Patient;
        Self { exec, seed, store, env, history, court, machines, panics_expected: false, patient }
    }

    /// A calm world whose mount has these options.
    pub fn mounted(change: impl FnOnce(&mut Config)) -> Self {
        Self::new(WorldConfig::calm().mounted(change))
    }

    /// A calm world whose applications may write.
    pub fn writable() -> Self {
        Self::new(WorldConfig::calm().writable())
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

    /// An application on another machine.
    pub fn app_on(&mut self, mount: u8) -> App<'_> {
        let process = self.machines.process(mount);
        App::new(self, process)
    }

    /// The same, for stories in which several things happen at a time.
    pub fn process(&self) -> Process {
        self.machines.process(0)
    }

    /// A process of its own on one of the machines.
    pub fn process_at(&self, seat: Seat) -> Process {
        self.machines.process_at(seat)
    }

    /// From now on what happens is written down.
    pub(crate) fn record(&self) -> Recorder {
        let recorder = Recorder::default();
        self.court.record_to(recorder.clone());
        self.history.record_to(recorder.clone());
        self.store.record_to(recorder.clone());
        recorder
    }

    pub fn court(&self) -> &Court {
        &self.court
    }

    pub fn kernel(&self) -> Kernel {
        self.kernel_of(0)
    }

    pub fn kernel_of(&self, mount: u8) -> Kernel {
        self.machines.kernel(mount)
    }

    pub fn fs(&self) -> Arc<Fs<SimEnv>> {
        self.kernel().fs().clone()
    }

    pub fn machines(&self) -> &Machines {
        &self.machines
    }

    /// Sends one request to the core, past the kernel.
    pub fn ask(&mut self, op: Op) -> Result<Reply, Errno> {
        let kernel = self.kernel();
        self.run(kernel.call(op))
    }

    /// The kernel forgets every page and name, and the inodes that nobody uses.
    pub fn drop_caches(&mut self) {
        for n in 0..self.machines.count() {
            self.machines.kernel(n).drop_caches();
        }
    }

    pub fn disk(&self) -> &SimDisk {
        self.machines.disk(0)
    }

    pub fn disk_of(&self, mount: u8) -> &SimDisk {
        self.machines.disk(mount)
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

    /// See [`Executor::checkpoints`].
    pub fn checkpoints(&self) -> Vec<u64> {
        self.exec.checkpoints()
    }

    /// See [`Executor::record_events_within`].
    pub fn record_events_within(&mut self, numbers: std::ops::Range<u64>) {
        self.exec.record_events_within(numbers);
    }

    /// What was recorded.
    pub fn take_events(&mut self) -> Vec<crate::executor::Event> {
        self.exec.take_events()
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
    /// See [`Executor::follow_script`].
    pub fn follow_script(&mut self, script: Vec<u32>) {
        self.exec.follow_script(script);
    }

    /// See [`Executor::take_choices`].
    pub fn take_choices(&mut self) -> Vec<Choice> {
        self.exec.take_choices()
    }

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
        if (0..self.machines.count()).all(|n| self.machines.kernel(n).requests() == 0) {
            return;
        }
        for n in 0..self.machines.count() {
            self.machines.process(n).exit();
        }
        self.drop_caches();
        self.wait(SETTLE);
        // Forgets that came late.
        self.drop_caches();
        self.judge_rest();
    }

    /// Has the court look at what every mount still holds.
    pub fn judge_rest(&self) {
        for n in 0..self.machines.count() {
            let disk = self.machines.disk(n);
            let rest = Rest {
                census: self.machines.kernel(n).fs().census(),
                bodies: self.store.bodies_open(),
                uploads: self.store.bucket().list_uploads("").len() as u64,
                spools: disk.spools(),
                journal: disk.journal().len() as u64,
                unwritten_reads: disk.unwritten_reads(),
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
        for n in 0..self.machines.count() {
            let holes = self.machines.disk(n).unwritten_reads();
            assert!(holes == 0, "seed {}: {holes} reads of spool bytes that nobody had written", self.seed);
        }
    }
}

#[cfg(test)]
mod tests;
