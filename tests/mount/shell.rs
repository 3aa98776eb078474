//! Programs as processes that work on a mount, each with a bound on its time.
//!
//! Every process of this test binary is started here. A child has the descriptors of all tests until its exec closes them,
//! and each such close publishes what was written by then: a test that watches what is published when asks for quiet.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::mounted::{Mounted, end_with_this_thread};

/// A program that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(90);

static FORKS: RwLock<()> = RwLock::new(());

/// Nobody starts a process until this is dropped; its holder must not either.
pub fn quiet() -> RwLockWriteGuard<'static, ()> {
    FORKS.write().unwrap_or_else(PoisonError::into_inner)
}

/// `Command::spawn`, which returns when the child has done its exec.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let _forks = FORKS.read().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// `Command::output`.
pub fn output(command: &mut Command) -> Output {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = spawn(piped).and_then(Child::wait_with_output);
    child.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// What a program said and how it ended.
pub struct Said {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Mounted {
    /// Runs a shell script in the mount's root; it must succeed. Answers what it printed.
    pub fn sh(&self, script: &str) -> String {
        let said = self.try_sh(script);
        assert!(said.status.success(), "{script}\n{}: {}{}", said.status, said.stdout, said.stderr);
        said.stdout
    }

    pub fn try_sh(&self, script: &str) -> Said {
        let mut command = Command::new("sh");
        command.args(["-euc", script]).current_dir(self.directory());
        run(&mut command, PATIENCE)
    }
}

/// Runs a program to its end, or kills it and all that it started.
pub fn run(command: &mut Command, patience: Duration) -> Said {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let open = |path| File::create(path).expect("a temporary file");
    command.stdin(Stdio::null()).stdout(open(&out)).stderr(open(&err)).process_group(0);
    end_with_this_thread(command);
    let mut process = spawn(command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let begun = Instant::now();
    let read = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let status = loop {
        if let Some(status) = process.try_wait().expect("our own child") {
            break status;
        }
        if begun.elapsed() > patience {
            let _ = killpg(Pid::from_raw(process.id() as i32), Signal::SIGKILL);
            let _ = process.wait();
            panic!("{command:?} hangs: {}{}", read(&out), read(&err));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Said { status, stdout: read(&out), stderr: read(&err) }
}
