//! A mount in the background: this program once more, in its own session, with its log in a file.
//!
//! The child runs `mount --foreground` and tells over its standard output, one line, that the mount answers or why there
//! is none; the parent waits for that line, so that the shell's next command finds the mount, or the reason.

use std::env;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::process::{Command, Stdio};

use nix::unistd::{dup2_stdout, setsid};

use crate::command::folders;
use crate::command::mount::MountArgs;
use crate::command::mount::running::Failure;

/// Set for the child, which then knows that somebody reads its first line.
const CHILD_VARIABLE: &str = "HOLDFAST_MOUNT_CHILD";
const MOUNTED: &str = "mounted";

/// Starts the child and waits until it has mounted.
pub(super) fn start(args: &MountArgs) -> Result<(), Failure> {
    let log = args.log_file.clone().unwrap_or_else(|| folders::state().join("mount.log"));
    if let Some(directory) = log.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let lines = OpenOptions::new().create(true).append(true).mode(0o600).open(&log)?;
    let mut child = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .arg("--foreground")
        .env(CHILD_VARIABLE, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(lines)
        .spawn()?;
    let mut first = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut first)?;
    }
    match first.trim_end() {
        MOUNTED => {
            println!(
                "{} is mounted at {} by process {}, log in {}",
                args.source,
                args.directory.display(),
                child.id(),
                log.display()
            );
            Ok(())
        }
        "" => Err(Failure::Child(format!("the mount's process ended early; its log is {}", log.display()))),
        reason => Err(Failure::Child(reason.to_string())),
    }
}

/// This process, if it is the child of [`start`].
pub(super) struct Child(bool);

impl Child {
    /// Also leaves the terminal's session, so that closing the terminal does not end the mount.
    pub(super) fn of_this_process() -> Self {
        let is_child = env::var_os(CHILD_VARIABLE).is_some();
        if is_child {
            let _ = setsid();
        }
        Self(is_child)
    }

    pub(super) fn mounted(&self) {
        self.tell(MOUNTED);
    }

    pub(super) fn failed(&self, failure: &Failure) {
        self.tell(&failure.to_string().replace('\n', " "));
    }

    /// One line to the parent, which then stops listening: standard output goes nowhere from now on.
    fn tell(&self, line: &str) {
        if !self.0 {
            return;
        }
        let mut stdout = io::stdout().lock();
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
        if let Ok(nowhere) = OpenOptions::new().write(true).open("/dev/null") {
            let _ = dup2_stdout(nowhere);
        }
    }
}
