//! A stuck test must not hang whoever runs it. A mount that lives too long is killed: what waits for it gets an error, and
//! the test fails by itself. One that does not even then takes the whole run with it, under its name.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use holdfast::real::mountpoint::{Unmount, mount_at, unmount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Tests with one mount take seconds.
const LIFE_MAX: Duration = Duration::from_secs(120);
/// From the death of its mount until the run is ended.
const AGONY_MAX: Duration = Duration::from_secs(60);
const LOOKS_EVERY: Duration = Duration::from_millis(500);
/// The exit status of a run that had to be ended.
const EXIT_STATUS: i32 = 102;

struct Life {
    test: String,
    pid: Pid,
    directory: PathBuf,
    ends: Instant,
    killed: bool,
}

static LIVES: Mutex<BTreeMap<u64, Life>> = Mutex::new(BTreeMap::new());

/// One mount under watch, until this is dropped.
pub struct Watched(u64);

impl Watched {
    /// The mount of this test at `directory`, served by `pid`.
    pub fn new(pid: Pid, directory: &Path) -> Self {
        static START: Once = Once::new();
        START.call_once(|| drop(std::thread::spawn(watch)));
        let test = std::thread::current().name().unwrap_or("a test without a name").to_string();
        let life =
            Life { test, pid, directory: directory.to_path_buf(), ends: Instant::now() + LIFE_MAX, killed: false };
        let mut lives = lives();
        let number = lives.keys().next_back().map_or(0, |last| last + 1);
        lives.insert(number, life);
        Self(number)
    }

    /// A long test says so.
    pub fn may_live(&self, time: Duration) {
        if let Some(life) = lives().get_mut(&self.0) {
            life.ends = Instant::now() + time;
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        lives().remove(&self.0);
    }
}

fn lives() -> MutexGuard<'static, BTreeMap<u64, Life>> {
    LIVES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch() {
    loop {
        std::thread::sleep(LOOKS_EVERY);
        for life in lives().values_mut().filter(|life| life.ends < Instant::now()) {
            if life.killed {
                say(&format!("STUCK: {} does not end though its mount is dead; the run is ended", life.test));
                std::process::exit(EXIT_STATUS);
            }
            say(&format!("STUCK: {} took too long; its mount is killed", life.test));
            life.killed = true;
            life.ends = Instant::now() + AGONY_MAX;
            kill_mount(life.pid, &life.directory);
        }
    }
}

/// Only if the process is still that mount's, not another that was given its number.
fn kill_mount(pid: Pid, directory: &Path) {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let directory_bytes = directory.as_os_str().as_encoded_bytes();
    if command.windows(directory_bytes.len()).any(|window| window == directory_bytes) {
        let _ = kill(pid, Signal::SIGKILL);
    }
    if mount_at(directory).is_some() {
        let _ = unmount(directory, Unmount::Lazy);
    }
}

/// Not eprintln!, which the test harness captures.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
