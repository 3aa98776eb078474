//! One mount by the real binary, in a process of its own, which ends with this value whatever happens to the test.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use holdfast::real::mountpoint::{Unmount, mount_at, unmount};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::shell::spawn;
use crate::watchdog::Watched;

/// A hung test ends after this.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where the bucket is, and who asks.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub url: String,
    pub access_key: String,
    pub secret_key: String,
}

impl Endpoint {
    /// The environment of a client: these credentials and nobody else's.
    pub fn lend_to(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("AWS_")) {
                command.env_remove(name);
            }
        }
        command
            .env("AWS_ACCESS_KEY_ID", &self.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret_key)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/nonexistent")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent");
    }
}

/// The binary under test.
pub fn holdfast() -> Command {
    Command::new(env!("CARGO_BIN_EXE_holdfast"))
}

pub struct Mounted {
    /// `None` once it was waited for.
    process: Option<Child>,
    directory: PathBuf,
    log: PathBuf,
    recovery: PathBuf,
    how: How,
    watched: Watched,
    /// Holds the mount point, the cache and the log; removed last.
    _beneath: TempDir,
}

/// What was mounted, and with which options.
struct How {
    endpoint: Endpoint,
    source: String,
    args: Vec<OsString>,
}

impl How {
    /// The command that mounts at `root`'s directory, with everything else that a mount keeps beneath `root` too.
    fn command(&self, root: &Path) -> Command {
        let mut command = holdfast();
        command.args(["mount", "--foreground"]);
        if !self.args.iter().any(|arg| arg == "--cache-dir") {
            command.arg("--cache-dir").arg(root.join("cache"));
        }
        command.arg("--recovery-dir").arg(root.join("recovery")).env("XDG_STATE_HOME", root.join("state"));
        command.args(&self.args).arg(&self.source).arg(root.join("mount"));
        self.endpoint.lend_to(&mut command);
        let log = File::options().create(true).append(true).open(root.join("log")).expect("a log file");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        end_with_this_thread(&mut command);
        command
    }
}

impl Mounted {
    /// Mounts `source` and waits until it answers. Panics with the log when it does not.
    pub fn start(endpoint: &Endpoint, source: &str, args: &[impl AsRef<OsStr>]) -> Self {
        let beneath = tempfile::Builder::new().prefix("holdfast-test-").tempdir().expect("a temporary directory");
        // Resolved, so that it can be found in the mount table.
        let root = beneath.path().canonicalize().expect("it was made just now");
        let (directory, log, recovery) = (root.join("mount"), root.join("log"), root.join("recovery"));
        std::fs::create_dir(&directory).expect("a mount point");
        let args = args.iter().map(|arg| arg.as_ref().to_os_string()).collect();
        let how = How { endpoint: endpoint.clone(), source: source.to_string(), args };
        let process = spawn(&mut how.command(&root)).expect("the binary starts");
        let watched = Watched::new(Pid::from_raw(process.id() as i32), &directory);
        let mut mounted = Self { process: Some(process), directory, log, recovery, how, watched, _beneath: beneath };
        mounted.wait_until_it_answers();
        mounted
    }

    /// The process dies, in the middle of whatever it does, and its mount is taken away.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait();
        // Who has files of it open keeps it busy.
        unmount(&self.directory, Unmount::Lazy).expect("it was mounted");
    }

    /// Mounts once more what was mounted, with the same folders, as after a crash.
    pub fn mount_again(&mut self) {
        assert!(self.process.is_none(), "it still runs");
        let root = self.directory.parent().expect("the mount point has a parent").to_path_buf();
        let process = spawn(&mut self.how.command(&root)).expect("the binary starts");
        self.watched = Watched::new(Pid::from_raw(process.id() as i32), &self.directory);
        self.process = Some(process);
        self.wait_until_it_answers();
    }

    fn wait_until_it_answers(&mut self) {
        let begun = Instant::now();
        while mount_at(&self.directory).is_none() {
            if let Some(status) = self.status() {
                panic!("the mount ended with {status}: {}", self.log());
            }
            assert!(begun.elapsed() < PATIENCE, "the mount does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.answers();
    }

    /// Panics unless the mount's process answers. Not stat(2): that the kernel answers from memory.
    pub fn answers(&self) {
        let statfs = statvfs(&self.directory);
        assert!(statfs.is_ok(), "the mount does not answer: {statfs:?}\n{}", self.log());
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.join(name)
    }

    /// Where what could not be published is kept.
    pub fn recovery(&self) -> &Path {
        &self.recovery
    }

    /// Notes for the next mount: what this one is in the middle of, or is finishing for one that died.
    pub fn notes(&self) -> usize {
        let beneath = self.directory.with_file_name("state").join("holdfast/notes");
        let entries = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        let files = entries(beneath).flat_map(entries).flat_map(entries);
        files.filter(|file| file.file_name().is_some_and(|name| name != "lock")).count()
    }

    /// A test that takes longer than others says so.
    pub fn may_live(&self, time: Duration) {
        self.watched.may_live(time);
    }

    /// All log lines so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The log lines that hold all of `words`.
    pub fn log_lines(&self, words: &[&str]) -> Vec<String> {
        let fits = |line: &&str| words.iter().all(|word| line.contains(word));
        self.log().lines().filter(fits).map(str::to_string).collect()
    }

    /// Waits for a line that holds all of `words`: some are written a moment after what they tell of.
    pub fn wait_for_log(&self, words: &[&str]) -> String {
        let begun = Instant::now();
        loop {
            if let Some(line) = self.log_lines(words).into_iter().next() {
                return line;
            }
            assert!(begun.elapsed() < PATIENCE, "no line with {words:?} in the log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn pid(&self) -> Pid {
        let process = self.process.as_ref().expect("it runs");
        Pid::from_raw(process.id() as i32)
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("our own child");
    }

    /// How the process ended, if it has.
    pub fn status(&mut self) -> Option<ExitStatus> {
        match self.process.as_mut()?.try_wait().expect("our own child") {
            Some(status) => {
                self.process = None;
                Some(status)
            }
            None => None,
        }
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.status() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the mount's process does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn is_mounted(&self) -> bool {
        mount_at(&self.directory).is_some()
    }

    /// Unmounts and waits for the process, whose exit status it returns.
    pub fn unmount(mut self) -> ExitStatus {
        let begun = Instant::now();
        // A process that another test starts has our descriptors until its exec.
        while let Err(error) = unmount(&self.directory, Unmount::Strict) {
            let busy = error.raw_os_error() == Some(libc::EBUSY) && begun.elapsed() < PATIENCE;
            assert!(busy, "no file is open, and yet: {error}");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.wait()
    }

    fn end(&mut self) -> io::Result<()> {
        while mount_at(&self.directory).is_some() {
            if unmount(&self.directory, Unmount::Strict).is_err() {
                unmount(&self.directory, Unmount::Lazy)?;
            }
        }
        let begun = Instant::now();
        while let Some(process) = &mut self.process {
            if process.try_wait()?.is_some() {
                self.process = None;
            } else if begun.elapsed() > Duration::from_secs(10) {
                process.kill()?;
                process.wait()?;
                self.process = None;
            } else {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            eprintln!("--- the mount's log\n{}---", self.log());
        }
        if let Err(error) = self.end() {
            eprintln!("cannot end the mount at {}: {error}", self.directory.display());
        }
    }
}

/// Has the kernel end the child when the thread that starts it is gone, so that an interrupted test run leaves nothing.
pub fn end_with_this_thread(command: &mut Command) {
    let ask = || {
        // SAFETY: prctl(2) with PR_SET_PDEATHSIG touches no memory, and is allowed between fork and exec.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(ask) };
}

/// For assertions about processes that were not asked to end.
pub fn died_of(status: ExitStatus) -> Option<Signal> {
    status.signal().and_then(|number| Signal::try_from(number).ok())
}
