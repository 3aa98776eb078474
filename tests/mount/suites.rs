//! Public suites for file systems: fsx, which compares random operations with what they should have done, and pjdfstest,
//! which tries system calls for what POSIX says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::require;
use crate::shell::{output, run};
use crate::world::World;

/// Long for a suite, short for whoever waits for a hung one.
const PATIENCE: Duration = Duration::from_secs(400);
const FSX_OPERATIONS: u32 = 5000;

#[test]
fn fsx_finds_no_difference() {
    if !require::program("fsx", "cargo install --locked fsx --version 0.3.2") {
        return;
    }
    let Some(w) = World::plain() else { return };
    w.mount.may_live(PATIENCE + Duration::from_secs(20));
    let config = tempfile::NamedTempFile::new().expect("a file");
    // What is not named keeps fsx's own weights.
    let weights = "flen = 1048576\n[weights]\nfsync = 2\nfdatasync = 1\npunch_hole = 3\nposix_fallocate = 2\n\
                   close_open = 2\ninvalidate = 2\n";
    fs::write(config.path(), weights).expect("written");
    for seed in [1, 2] {
        let mut command = Command::new("fsx");
        command.args(["-N", &FSX_OPERATIONS.to_string(), "-S", &seed.to_string(), "-f"]).arg(config.path());
        let said = run(command.arg(w.path(&format!("fsx-{seed}"))), PATIENCE);
        let tail: Vec<&str> = said.stderr.lines().chain(said.stdout.lines()).rev().take(60).collect();
        assert!(said.status.success(), "seed {seed}: {}\n{}", said.status, tail.join("\n"));
    }
}

fn group_of(user: &str) -> String {
    let said = output(Command::new("id").args(["-gn", user]));
    String::from_utf8(said.stdout).expect("a name").trim().to_string()
}

/// The tests that may fail, each with its reason.
fn may_fail() -> BTreeMap<String, String> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mount/pjdfstest-may-fail.txt");
    let text = fs::read_to_string(list).expect("the list");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let entry = |line: &str| {
        let (name, reason) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} has no reason"));
        (name.to_string(), reason.to_string())
    };
    lines.map(entry).collect()
}

/// `*` stands for one component.
fn fits(known: &str, name: &str) -> bool {
    let (known, name): (Vec<_>, Vec<_>) = (known.split("::").collect(), name.split("::").collect());
    known.len() == name.len() && known.iter().zip(&name).all(|(known, name)| *known == "*" || known == name)
}

#[test]
fn pjdfstest_fails_only_where_it_is_known_to() {
    if !require::program("pjdfstest", "cargo install --locked pjdfstest --version 0.2.2") {
        return;
    }
    // It becomes other users, who must get in.
    let Some(w) = World::with(&["--posix-metadata", "--allow-other", "--metadata-ttl", "60"]) else { return };
    w.mount.may_live(PATIENCE + Duration::from_secs(20));
    let beneath = tempfile::tempdir().expect("a directory");
    let config = beneath.path().join("pjdfstest.toml");
    let others: Vec<String> = ["nobody", "daemon"].map(|user| format!("[{user:?}, {:?}]", group_of(user))).to_vec();
    let settings = "[settings]\nnaptime = 0.01\nallow_remount = false\n[features]\nposix_fallocate = {}\n";
    fs::write(&config, format!("{settings}[dummy_auth]\nentries = [{}]\n", others.join(", "))).expect("written");
    let mut command = Command::new("pjdfstest");
    command.arg("-c").arg(&config).arg("-p").arg(w.mount.directory()).env("RUST_BACKTRACE", "0");
    let said = run(&mut command, PATIENCE);
    let (mut passed, mut failed, mut unexpected) = (0, 0, Vec::new());
    let may_fail = may_fail();
    for line in said.stdout.lines() {
        let Some((name, outcome)) = line.trim().split_once(char::is_whitespace) else { continue };
        match outcome.trim() {
            "ok" => passed += 1,
            "FAILED" => {
                failed += 1;
                if !may_fail.keys().any(|known| fits(known, name)) {
                    unexpected.push(name.to_string());
                }
            }
            _ => {}
        }
    }
    let shown = format!("{passed} passed, {failed} failed");
    assert!(passed >= 100, "{shown}: {}\n{}", said.stdout, said.stderr);
    assert!(unexpected.is_empty(), "{shown}; not known to: {unexpected:#?}\n{}", said.stdout);
}
