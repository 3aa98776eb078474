//! A mount that is being served by this process: start to end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::command::mount::probe;
use crate::command::mount::state::{self, Facts};
use crate::config::{Config, ConfigError};
use crate::fs::Fs;
use crate::fuse::{Access, MountOptions, Mounted};
use crate::real::mountpoint::{self, MountpointError, Unmount};
use crate::real::{
    ConnectError, Descriptors, Encryption, Journal, KeyFileError, LocalDisk, Notes, RealEnv, S3Options, S3Store,
};

/// Why a mount did not come about, or how it ended. Each is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Mountpoint(#[from] MountpointError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    #[error("{0} contradict each other: use one of them")]
    Contradiction(&'static str),
    #[error("--sse-kms-key-id needs --sse=aws:kms or --sse=aws:kms:dsse")]
    KmsKeyAlone,
    #[error("{0:?} is no id, ARN or alias of a KMS key")]
    KmsKey(String),
    #[error("{0:?} names no bucket: write s3://BUCKET, s3://BUCKET/PREFIX or the same without s3://")]
    Source(String),
    #[error("the cache directory {0} cannot be used: {1}")]
    Cache(PathBuf, io::Error),
    #[error("the journal of --write-back cannot be kept in {0}: {1}")]
    Journal(PathBuf, io::Error),
    #[error("{0} is beneath the mount point: a mount cannot keep there what it needs itself")]
    Beneath(PathBuf),
    #[error("the kernel refused to mount at {0}: {1}")]
    Kernel(PathBuf, io::Error),
    #[error("the mount ended with an error: {0}")]
    Ended(io::Error),
    #[error("cannot unmount {0}: {1}")]
    Unmount(PathBuf, io::Error),
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    #[error("{0}")]
    Child(String),
}

/// All that a mount needs to know.
#[derive(Clone, Debug)]
pub struct Plan {
    pub s3: S3Options,
    /// Validated.
    pub config: Config,
    pub directory: PathBuf,
    pub cache: PathBuf,
    /// Where files go that could not be published. Made when it is needed.
    pub recovery: PathBuf,
    /// Where mounts of this bucket leave word for the next one.
    pub notes: PathBuf,
    /// Where they put what `--write-back` has not published yet.
    pub journal: PathBuf,
    pub access: Access,
}

/// How often a busy mount is tried again during the grace.
const UNMOUNT_EVERY: Duration = Duration::from_millis(100);

pub struct Running {
    source: String,
    directory: PathBuf,
    session: Option<JoinHandle<io::Result<()>>>,
    ended: watch::Receiver<bool>,
    fs: Arc<Fs<RealEnv>>,
}

/// The runtime that a mount runs on.
pub fn runtime() -> io::Result<Runtime> {
    allow_descriptors();
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("holdfast").build()
}

/// As many as this user may have: each request to S3 under way has a connection, and each file that is written may have a spool.
fn allow_descriptors() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::debug!("the number of descriptors could not be raised: {error}");
    }
}

impl Running {
    /// Mounts, and returns once the mount answers. On failure nothing is left behind.
    pub fn start(plan: Plan, runtime: &Runtime) -> Result<Self, Failure> {
        let directory = mountpoint::check(&plan.directory)?;
        for own in [&plan.cache, &plan.recovery, &plan.notes, &plan.journal] {
            if std::path::absolute(own)?.starts_with(&directory) {
                return Err(Failure::Beneath(own.clone()));
            }
        }
        prepare_cache(&plan.cache).map_err(|error| Failure::Cache(plan.cache.clone(), error))?;
        let source = format!("s3://{}/{}", plan.s3.bucket, plan.s3.prefix);
        let handle = runtime.handle().clone();
        let lends_a_key = matches!(plan.s3.protection.encryption, Encryption::Customer(_));
        let store = runtime.block_on(S3Store::connect(plan.s3, handle.clone()))?;
        if lends_a_key && !store.is_private() {
            tracing::warn!("--sse-c-key-file without TLS: whoever sees the network sees the key, and AWS refuses it");
        }
        let mut config = plan.config;
        if !config.read_only {
            config.preconditions_ignored = runtime.block_on(probe::ignores_preconditions(&store, &config.prefix));
        }
        let mut disk = LocalDisk::new(plan.cache, plan.recovery.clone(), handle.clone());
        let mut facts = Facts {
            source: source.clone(),
            recovery: plan.recovery,
            journals: plan.journal.clone(),
            config: config.clone(),
            notes: None,
        };
        match Notes::new(&plan.notes) {
            Ok(notes) => {
                let notes = Arc::new(notes);
                facts.notes = Some(notes.clone());
                disk = disk.with_notes(notes);
            }
            Err(error) => tracing::info!(
                "no notes can be left in {} ({error}): should this process be killed, the next mount will not finish what it began",
                plan.notes.display()
            ),
        }
        if config.write_back_max > 0 {
            let journal = Journal::new(&plan.journal);
            disk = disk.with_journal(journal.map_err(|error| Failure::Journal(plan.journal.clone(), error))?);
        } else if let Some(journal) = Journal::left(&plan.journal) {
            // A mount before this one had one.
            disk = disk.with_journal(journal);
        }
        let env = RealEnv::new(store, disk, handle.clone());
        let read_only = config.read_only;
        let fs = Fs::new(env, config);
        let options = MountOptions {
            source: source.clone(),
            access: plan.access,
            read_only,
            descriptors: Some(descriptors(Descriptors::new(directory.clone(), handle.clone()))),
            status: Some(state::status(fs.clone(), facts)),
            observer: None,
        };
        fs.begin();
        let kernel = |error| Failure::Kernel(directory.clone(), error);
        let mounted = Mounted::new(fs.clone(), &directory, options).map_err(kernel)?;
        let (ends, ended) = watch::channel(false);
        let session = std::thread::Builder::new().name("kernel".to_string()).spawn(move || {
            let outcome = mounted.run();
            ends.send_replace(true);
            outcome
        })?;
        let running = Self { source, directory, session: Some(session), ended, fs };
        // Nothing here may look at the mount, not even to see whether it answers: a process that is killed while one of its own
        // threads waits for it never ends, and nor does the mount. The kernel has been answered its first request by now.
        match mountpoint::raise_readahead(&running.directory) {
            Ok(bytes) => tracing::debug!("the kernel reads ahead {bytes} bytes"),
            Err(error) => tracing::info!("the kernel's readahead stays small, which costs throughput: {error}"),
        }
        Ok(running)
    }

    /// What is mounted, like `s3://bucket/prefix/`.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Completes when the file system has been unmounted, by whomever, and its last file closed.
    pub async fn ended(&mut self) {
        // An error means that the session's thread is gone, which is an end too.
        let _ = self.ended.wait_for(|ended| *ended).await;
    }

    /// Unmounts; while files are open, waits for up to `grace`, then takes the name away and lets them be closed.
    pub fn unmount(&self, grace: Duration) -> Result<(), Failure> {
        let asked = Instant::now();
        loop {
            match mountpoint::unmount(&self.directory, Unmount::Strict) {
                Ok(()) => return Ok(()),
                // Somebody else was faster.
                Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => return Ok(()),
                Err(error) if error.raw_os_error() != Some(Errno::EBUSY as i32) => {
                    return Err(Failure::Unmount(self.directory.clone(), error));
                }
                Err(_) if asked.elapsed() < grace => std::thread::sleep(UNMOUNT_EVERY),
                Err(_) => break,
            }
        }
        tracing::warn!(
            "files are still open under {}: unmounted lazily; they work until they are closed, then this process ends",
            self.directory.display()
        );
        mountpoint::unmount(&self.directory, Unmount::Lazy)
            .map_err(|error| Failure::Unmount(self.directory.clone(), error))
    }

    /// Waits for the end, and then until what was written and never closed is published or kept.
    pub fn join(mut self, runtime: &Runtime) -> Result<(), Failure> {
        let ended = self.session.take().map(JoinHandle::join);
        runtime.block_on(self.fs.settle());
        match ended {
            Some(Ok(Ok(()))) | None => Ok(()),
            Some(Ok(Err(error))) => Err(Failure::Ended(error)),
            Some(Err(_)) => Err(Failure::Ended(io::Error::other("internal error in the session"))),
        }
    }
}

impl Drop for Running {
    /// A mount that was not unmounted properly leaves nothing behind all the same.
    fn drop(&mut self) {
        if self.session.is_some() && !*self.ended.borrow() {
            let _ = mountpoint::unmount(&self.directory, Unmount::Lazy);
        }
    }
}

fn descriptors(of_processes: Descriptors) -> crate::fuse::Descriptors {
    Arc::new(move |pid, ino| Box::pin(of_processes.of(pid, ino)))
}

/// Creates the cache directory, for this user only, and shows early whether it can be written.
fn prepare_cache(cache: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(cache)?;
    let probe = cache.join(format!(".probe-{}", std::process::id()));
    std::fs::write(&probe, b"")?;
    std::fs::remove_file(&probe)
}
