//! What a test needs of the machine: without it the test is skipped with one visible line, or fails if everything is
//! required (`HOLDFAST_REQUIRE=all`, as CI sets it).

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::shell::spawn;

/// Whether nothing may be skipped, and long tests run at full length.
pub fn everything_is_required() -> bool {
    std::env::var("HOLDFAST_REQUIRE").is_ok_and(|value| value == "all")
}

/// Whether mounts are possible.
pub fn fuse() -> bool {
    available(Path::new("/dev/fuse").exists(), "there is no /dev/fuse")
}

/// Whether `program` can be run; `from` says where to get it.
pub fn program(program: &str, from: &str) -> bool {
    let runs = spawn(Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()));
    available(
        runs.and_then(|mut child| child.wait()).is_ok_and(|status| status.success()),
        &format!("there is no {program} ({from})"),
    )
}

/// Whether python3 has `module`.
pub fn python(module: &str, from: &str) -> bool {
    let import = format!("import importlib.util, sys; sys.exit(importlib.util.find_spec({module:?}) is None)");
    let runs = spawn(Command::new("python3").args(["-c", &import]).stdout(Stdio::null()).stderr(Stdio::null()));
    available(
        runs.and_then(|mut child| child.wait()).is_ok_and(|status| status.success()),
        &format!("python3 has no {module} ({from})"),
    )
}

pub fn available(is: bool, reason: &str) -> bool {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if is {
        return true;
    }
    assert!(!everything_is_required(), "{reason}, and HOLDFAST_REQUIRE=all");
    if SAID.lock().expect("no panic while it is held").insert(reason.to_string()) {
        // Not eprintln!, which the test harness captures.
        let _ = writeln!(std::io::stderr(), "SKIP: {reason}");
    }
    false
}
