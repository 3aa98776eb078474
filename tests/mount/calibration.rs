//! What a real Linux asks of the core when an application makes certain system calls: played, and compared with what is
//! recorded in tests/calibration. The simulated kernel is held to the same recordings (sim/tests/calibration.rs).
//!
//! `HOLDFAST_RECORD=1` writes the recordings anew. Each script is played by a process of its own, in which nothing else
//! happens: a fork elsewhere would close descriptors a second time.

mod player;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use holdfast_sim::kernel::recording::Recording;
use holdfast_sim::kernel::script::{Script, Step};

use crate::mounted::end_with_this_thread;
use crate::require;
use crate::shell::spawn;

const SCRIPT: &str = "HOLDFAST_CALIBRATION_SCRIPT";
const OUTPUT: &str = "HOLDFAST_CALIBRATION_OUTPUT";
/// A play that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Another process may have had the processor just when a step was taken for done.
const TRIES: usize = 3;

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/calibration");
    let entries = std::fs::read_dir(folder).expect("tests/calibration").map(|entry| entry.expect("an entry").path());
    let mut scripts: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "script")).collect();
    scripts.sort();
    scripts
}

fn parsed(path: &Path) -> Script {
    let text = std::fs::read_to_string(path).expect("a script");
    Script::parse(&text).unwrap_or_else(|bad| panic!("{}: {bad}", path.display()))
}

/// Plays a script in a process of its own.
fn play(script: &Path) -> Recording {
    let output = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "calibration::one_script", "--ignored"]);
    command.env(SCRIPT, script).env(OUTPUT, output.path()).stdin(Stdio::null()).stdout(Stdio::null());
    end_with_this_thread(&mut command);
    let mut process = spawn(&mut command).expect("this test, again");
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = process.try_wait().expect("our own child") {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            // Not waited for: it serves its own mount, and may not be able to end while it waits for itself.
            let _ = process.kill();
            panic!("{} hangs", script.display());
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "{} failed", script.display());
    Recording::parse(&std::fs::read_to_string(output.path()).expect("a recording"))
}

#[test]
fn the_real_kernel_asks_for_what_is_recorded() {
    if !require::fuse() {
        return;
    }
    let recording = std::env::var("HOLDFAST_RECORD").is_ok_and(|value| value == "1");
    let whole = recording || require::everything_is_required();
    let mut findings = Vec::new();
    for script in scripts() {
        // It takes the caches of everybody on the machine.
        if parsed(&script).steps.iter().any(|(_, step)| *step == Step::DropCaches) && !whole {
            continue;
        }
        let recorded_at = script.with_extension("trace");
        if recording {
            std::fs::write(&recorded_at, play(&script).normal().to_string()).expect("tests/calibration is writable");
            continue;
        }
        let text = std::fs::read_to_string(&recorded_at).expect("a recording for every script");
        let recorded = Recording::parse(&text);
        let mut plays = (0..TRIES).map(|_| recorded.first_difference(&play(&script).normal()));
        if let Some(difference) = plays.by_ref().try_fold(None, |_, difference| difference.map(Some)).flatten() {
            findings.push(format!("{}: {difference}", script.display()));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
#[ignore = "a part of the_real_kernel_asks_for_what_is_recorded"]
fn one_script() {
    let (Some(script), Some(output)) = (std::env::var_os(SCRIPT), std::env::var_os(OUTPUT)) else { return };
    let recording = player::play(&parsed(Path::new(&script)));
    std::fs::write(output, recording.to_string()).expect("a file of the parent's");
}
