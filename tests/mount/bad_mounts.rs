//! Mounts that cannot be: one clear sentence, a failure to the shell, nothing left behind.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use holdfast::bucket::Versioning;
use holdfast::real::mountpoint::mount_at;

use crate::mounted::{Endpoint, Mounted, holdfast};
use crate::remote::{Embedded, Remote};
use crate::require;
use crate::shell::output;
use crate::world::World;

/// Tries to mount, in the foreground and in the background; both must say the same sentence, which is returned.
fn refusal(endpoint: &Endpoint, source: &str, directory: &Path, args: &[&str]) -> String {
    let foreground = sentence(endpoint, source, directory, &[&["--foreground"], args].concat());
    let log = tempfile::NamedTempFile::new().expect("a log file");
    let log_args = ["--log-file", log.path().to_str().expect("UTF-8")];
    assert_eq!(sentence(endpoint, source, directory, &[&log_args, args].concat()), foreground, "in the background");
    foreground
}

fn sentence(endpoint: &Endpoint, source: &str, directory: &Path, args: &[impl AsRef<OsStr>]) -> String {
    let before = mount_at(directory).map(|entry| entry.source);
    let cache = tempfile::tempdir().expect("a cache directory");
    let mut command = holdfast();
    endpoint.lend_to(&mut command);
    // A cache directory unless the arguments name one.
    command.arg("mount").args(args).arg(source).arg(directory).env("XDG_CACHE_HOME", cache.path());
    let words = only_line(&mut command);
    assert_eq!(mount_at(directory).map(|entry| entry.source), before, "nothing is left mounted");
    assert!(!words.contains(&endpoint.secret_key), "{words}");
    words.strip_prefix("holdfast mount: ").unwrap_or_else(|| panic!("{words}")).to_string()
}

/// What a command that must fail says, in one line, on standard error only.
fn only_line(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = output(command);
    let words = String::from_utf8(stderr).expect("text");
    assert!(!status.success(), "{command:?}: {words}");
    assert!(stdout.is_empty(), "{}", String::from_utf8_lossy(&stdout));
    let lines: Vec<&str> = words.lines().collect();
    assert_eq!(lines.len(), 1, "one sentence: {words}");
    lines[0].to_string()
}

/// Rule R31.
#[test]
fn a_mount_that_cannot_be_says_why_in_one_sentence_and_leaves_nothing_behind() {
    if !require::fuse() {
        return;
    }
    let remote = Embedded::start(Versioning::Off);
    let endpoint = remote.endpoint();
    let beneath = tempfile::tempdir().expect("a directory");
    let beneath = beneath.path().canonicalize().expect("it was made just now");
    let directory = beneath.join("mount");
    std::fs::create_dir(&directory).expect("a mount point");
    let file = beneath.join("file");
    std::fs::write(&file, "").expect("a file");
    let says = |words: &str, sentence: String| assert!(sentence.contains(words), "{words:?} in {sentence:?}");

    says("does not exist", refusal(&endpoint, "s3://no-such-bucket", &directory, &[]));
    says("names no bucket", refusal(&endpoint, "s3://", &directory, &[]));
    says("no path", refusal(&endpoint, "s3://holdfast/a//b", &directory, &[]));
    says("no such directory", refusal(&endpoint, "s3://holdfast", &beneath.join("missing"), &[]));
    says("not a directory", refusal(&endpoint, "s3://holdfast", &file, &[]));
    says("minimum", refusal(&endpoint, "s3://holdfast", &directory, &["--memory", "1MiB"]));
    says("cache directory", refusal(&endpoint, "s3://holdfast", &directory, &["--cache-dir", "/proc/nowhere"]));

    let within = directory.join("cache");
    let within = within.to_str().expect("UTF-8");
    says("beneath the mount point", refusal(&endpoint, "s3://holdfast", &directory, &["--cache-dir", within]));

    let key = beneath.join("key");
    std::fs::write(&key, "too short").expect("a file");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("ours");
    let key = key.to_str().expect("UTF-8");
    let with = |args: &[&str]| refusal(&endpoint, "s3://holdfast", &directory, args);
    says("does not hold 32 bytes", with(&["--sse-c-key-file", key]));
    says("cannot be read", with(&["--sse-c-key-file", "/nonexistent"]));
    std::fs::set_permissions(key, PermissionsExt::from_mode(0o604)).expect("ours");
    says("chmod 600", with(&["--sse-c-key-file", key]));
    says("contradict", with(&["--sse-c-key-file", key, "--sse", "AES256"]));
    says("contradict", with(&["--sse-c-key-file", key, "--sse-kms-key-id", "alias/k"]));
    says("needs --sse=aws:kms", with(&["--sse-kms-key-id", "alias/k"]));
    says("needs --sse=aws:kms", with(&["--sse-kms-key-id", "alias/k", "--sse", "AES256"]));
    says("no id, ARN or alias", with(&["--sse-kms-key-id", "a b", "--sse", "aws:kms"]));

    let forged = Endpoint { secret_key: "forged-secret".into(), ..endpoint.clone() };
    says("refused the credentials", refusal(&forged, "s3://holdfast", &directory, &[]));
    let stranger = Endpoint { access_key: "stranger".into(), ..endpoint.clone() };
    says("refused the credentials", refusal(&stranger, "s3://holdfast", &directory, &[]));
    says("may not list", refusal(&endpoint, "s3://holdfast", &directory, &["--no-sign-request"]));
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let nobody = Endpoint { url: format!("http://{port}"), ..endpoint.clone() };
    says("cannot reach", refusal(&nobody, "s3://holdfast", &directory, &[]));

    let mut bare = holdfast();
    endpoint.lend_to(&mut bare);
    bare.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").env("HOME", &beneath);
    bare.args(["mount", "-f", "s3://holdfast"]).arg(&directory);
    says("no AWS credentials", only_line(&mut bare));

    assert_eq!(std::fs::read_dir(&directory).expect("still a plain directory").count(), 0);
}

#[test]
fn a_directory_with_a_mount_on_it_is_busy_and_the_mount_stays() {
    let Some(w) = World::plain() else { return };
    w.put_bytes("note", "here".into());
    let words = refusal(&w.endpoint(), "s3://holdfast", w.mount.directory(), &[]);
    assert!(words.contains("busy"), "{words}");
    assert_eq!(std::fs::read_to_string(w.path("note")).expect("the mount answers"), "here");
}

#[test]
fn unmount_of_what_is_no_mount_of_ours_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let words = only_line(holdfast().arg("unmount").arg(directory.path()));
    assert!(words.contains("nothing is mounted"), "{words}");
    let words = only_line(holdfast().args(["unmount", "/proc"]));
    assert!(words.contains("not holdfast"), "{words}");
    let words = only_line(holdfast().arg("unmount").arg(directory.path().join("missing")));
    assert!(words.contains("nothing is mounted") || words.contains("No such file"), "{words}");
}

#[test]
fn a_prefix_with_nothing_beneath_it_mounts_and_is_empty() {
    if !require::fuse() {
        return;
    }
    let remote = Embedded::start(Versioning::Off);
    let mount = Mounted::start(&remote.endpoint(), "s3://holdfast/no/such/prefix", &[""; 0]);
    assert_eq!(std::fs::read_dir(mount.directory()).expect("a directory").count(), 0);
}
