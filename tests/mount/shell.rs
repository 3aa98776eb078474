//! Programs as processes that work on a mount, each with a bound on its time.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::mounted::{Mounted, end_with_this_thread};

/// A program that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(90);

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
    let mut process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
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
