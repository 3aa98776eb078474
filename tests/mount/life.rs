//! The mount's process: its beginning, its end, and what it says meanwhile.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use holdfast::bucket::Versioning;
use holdfast::env::store::NewObject;
use holdfast::real::mountpoint::{Unmount, mount_at, unmount};
use holdfast_sim::content::version_bytes;
use holdfast_sim::version;
use nix::errno::Errno;
use nix::libc::{EACCES, ENODATA, EPERM, EROFS};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::mounted::{Mounted, PATIENCE, died_of, holdfast};
use crate::reader::{KIB, MIB, saw, xattr, xattrs};
use crate::remote::{Embedded, Remote};
use crate::require;
use crate::shell::output;
use crate::world::{PAST_TTL, World};

/// A mount in the background, ended on drop.
struct Background {
    directory: PathBuf,
    log: PathBuf,
    pid: Pid,
    _beneath: tempfile::TempDir,
}

impl Background {
    fn start(remote: &Embedded) -> Self {
        let beneath = tempfile::tempdir().expect("a directory");
        let root = beneath.path().canonicalize().expect("it was made just now");
        let (directory, log) = (root.join("mount"), root.join("logs/mount.log"));
        std::fs::create_dir(&directory).expect("a mount point");
        let mut command = holdfast();
        remote.endpoint().lend_to(&mut command);
        command.args(["mount", "--log-file"]).arg(&log).arg("--cache-dir").arg(root.join("cache"));
        let Output { status, stdout, stderr } = output(command.arg("s3://holdfast").arg(&directory));
        assert!(status.success() && stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
        let told = String::from_utf8(stdout).expect("text");
        let pid = told.split_once("by process ").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
        let pid = Pid::from_raw(pid.unwrap_or_else(|| panic!("no process in {told:?}")));
        Self { directory, log, pid, _beneath: beneath }
    }

    /// Waits for the process, which is nobody's child here, to end.
    fn has_ended(&self) -> bool {
        let begun = Instant::now();
        while is_alive(self.pid) {
            if begun.elapsed() > PATIENCE {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if mount_at(&self.directory).is_some() {
            let _ = unmount(&self.directory, Unmount::Lazy);
        }
        // Still this very mount's process, not another that was given its number.
        let command = std::fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let directory = self.directory.to_str().expect("UTF-8").as_bytes();
        if is_alive(self.pid) && command.windows(directory.len()).any(|window| window == directory) {
            let _ = kill(self.pid, Signal::SIGKILL);
        }
    }
}

/// A zombie that nobody has waited for yet is dead.
fn is_alive(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn unmount_command(directory: &Path) -> Output {
    output(holdfast().arg("unmount").arg(directory))
}

#[test]
fn a_mount_in_the_background_answers_when_the_command_returns_and_unmount_ends_it() {
    if !require::fuse() {
        return;
    }
    let remote = Embedded::start(Versioning::Off);
    remote.put_bytes("note", "here".into());
    let mount = Background::start(&remote);
    assert_eq!(std::fs::read_to_string(mount.directory.join("note")).expect("it answers"), "here");

    let open = File::open(mount.directory.join("note")).expect("a file");
    let busy = unmount_command(&mount.directory);
    let words = String::from_utf8_lossy(&busy.stderr).into_owned();
    assert!(!busy.status.success() && words.contains("in use"), "{words}");
    assert!(std::fs::read_to_string(mount.directory.join("note")).is_ok(), "still there");
    drop(open);

    // A process that another test is just starting has the file open, too, until it executes.
    let begun = Instant::now();
    let unmounted = loop {
        let unmounted = unmount_command(&mount.directory);
        let busy = String::from_utf8_lossy(&unmounted.stderr).contains("in use");
        if !busy || begun.elapsed() > PATIENCE {
            break unmounted;
        }
    };
    assert!(unmounted.status.success(), "{unmounted:?}");
    assert!(mount_at(&mount.directory).is_none());
    assert!(mount.has_ended(), "its process ends too");
    let log = std::fs::read_to_string(&mount.log).expect("a log");
    assert!(log.contains("is mounted at") && !log.contains("holdfast-secret"), "{log}");
}

#[test]
fn sigterm_ends_a_mount_without_open_files() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        // A grace that would outlast the test: it is not used.
        let Some(mut w) = World::with(&["--unmount-grace", "1000s"]) else { return };
        w.put("note", version(1), 100);
        assert_eq!(w.open("note").read_to_end(), saw(version(1), 100));
        w.mount.signal(signal);
        let status = w.mount.wait();
        assert!(status.success(), "{signal}: {status}");
        assert!(!w.mount.is_mounted());
    }
}

/// Rule R31.
#[test]
fn sigterm_with_an_open_file_unmounts_lazily_and_the_file_reads_to_its_end() {
    let Some(mut w) = World::with(&["--unmount-grace", "1s"]) else { return };
    w.put("film", version(1), 64 * MIB);
    let mut film = w.open("film");
    assert_eq!(film.read_until(MIB), saw(version(1), MIB));
    w.mount.signal(Signal::SIGTERM);
    let begun = Instant::now();
    while w.mount.is_mounted() {
        assert!(begun.elapsed() < PATIENCE, "{}", w.mount.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(std::fs::metadata(w.path("film")).is_err(), "the name is gone");
    w.put("film", version(2), 64 * MIB);
    std::thread::sleep(PAST_TTL);
    assert_eq!(film.read_to_end(), saw(version(1), 63 * MIB));
    assert!(w.mount.status().is_none(), "it serves the open file");
    drop(film);
    let status = w.mount.wait();
    assert!(status.success(), "{status}: {}", w.mount.log());
}

#[test]
fn unmounting_by_umount_ends_the_process() {
    let Some(w) = World::plain() else { return };
    w.put("note", version(1), 100);
    assert_eq!(w.open("note").read_to_end(), saw(version(1), 100));
    let World { mount, remote: _remote } = w;
    assert!(mount.unmount().success());
}

#[test]
fn a_killed_mount_is_removed_by_unmount_and_a_new_mount_works() {
    let Some(mut w) = World::plain() else { return };
    w.put("note", version(1), 100);
    w.mount.signal(Signal::SIGKILL);
    let status = w.mount.wait();
    assert_eq!(died_of(status), Some(Signal::SIGKILL));
    let directory = w.mount.directory().to_path_buf();
    assert_eq!(nix::sys::statvfs::statvfs(&directory).expect_err("dead"), Errno::ENOTCONN);

    let mut again = holdfast();
    w.endpoint().lend_to(&mut again);
    let refused = output(again.args(["mount", "-f", "s3://holdfast"]).arg(&directory));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("dead mount") && words.contains("unmount"), "{words}");

    let removed = unmount_command(&directory);
    assert!(removed.status.success(), "{removed:?}");
    assert_eq!(std::fs::read_dir(&directory).expect("a plain directory again").count(), 0);
    let mount = Mounted::start(&w.endpoint(), "s3://holdfast", &[""; 0]);
    assert_eq!(std::fs::read(mount.path("note")).expect("it works"), version_bytes("note", version(1), 100));
}

#[test]
fn two_mounts_of_one_bucket_do_not_disturb_each_other() {
    let Some(w) = World::plain() else { return };
    let second = Mounted::start(&w.endpoint(), "s3://holdfast", &[""; 0]);
    w.put("film", version(1), 20 * MIB);
    let mut film = w.open("film");
    assert_eq!(film.read_until(MIB), saw(version(1), MIB));
    w.put("film", version(2), 20 * MIB);
    let other = std::fs::read(second.path("film")).expect("it reads");
    assert_eq!(holdfast_sim::content::identify("film", &other, 0), Ok(version(2)));
    assert!(second.unmount().success());
    assert_eq!(film.read_to_end(), saw(version(1), 19 * MIB));
}

/// Rule R12.
#[test]
fn each_handle_of_a_replaced_object_leaves_one_warning_that_names_key_etags_and_hold() {
    let Some(w) = World::plain() else { return };
    w.put("films/big", version(1), 64 * MIB);
    let etag = |w: &World| xattr(&w.path("films/big"), "user.s3.etag").expect("an ETag");
    let old = etag(&w);
    let mut films: Vec<_> = (0..2).map(|_| w.open("films/big")).collect();
    for film in &mut films {
        assert_eq!(film.read_until(MIB), saw(version(1), MIB));
    }
    w.put("films/big", version(2), 64 * MIB);
    std::thread::sleep(PAST_TTL);
    let new = etag(&w);
    for film in &mut films {
        assert_eq!(film.read_to_end(), saw(version(1), 63 * MIB));
    }
    w.mount.wait_for_log(&["WARN", "films/big"]);
    let lines = w.mount.log_lines(&["WARN", "was replaced while open"]);
    assert_eq!(lines.len(), 2, "one a handle: {lines:#?}");
    for line in &lines {
        for word in ["\"films/big\"", &old, &new, "held from now on by: "] {
            assert!(line.contains(word), "{word} in {line}");
        }
    }
    assert_ne!(lines[0].split("handle").nth(1), lines[1].split("handle").nth(1), "each names its handle");
    assert_eq!(w.mount.log_lines(&["WARN"]).len(), 2, "{}", w.mount.log());
}

/// Rule R28.
#[test]
fn an_archived_object_is_shown_and_cannot_be_opened() {
    let Some(w) = World::plain() else { return };
    let object = NewObject { storage_class: Some("GLACIER".into()), ..NewObject::default() };
    w.put_object("old", version_bytes("old", version(1), 100), object);
    assert_eq!(std::fs::metadata(w.path("old")).expect("it is shown").len(), 100);
    assert_eq!(xattr(&w.path("old"), "user.s3.storage-class"), Ok("GLACIER".into()));
    let errno = File::open(w.path("old")).expect_err("it must be restored first").raw_os_error();
    assert_eq!(errno, Some(EACCES));
    w.mount.wait_for_log(&["WARN", "\"old\"", "archive"]);
}

#[test]
fn no_log_line_holds_a_secret_however_much_is_logged() {
    let Some(w) = World::with(&["--log-level", "debug", "--deadline", "2s", "--attempt-timeout", "1s"]) else { return };
    w.put("film", version(1), 9 * MIB);
    assert_eq!(w.open("film").read_to_end(), saw(version(1), 9 * MIB));
    w.kill_server();
    assert!(std::fs::metadata(w.path("missing")).is_err());
    w.revive_server();
    assert_eq!(w.open("film").read_to_end(), saw(version(1), 9 * MIB));
    let log = w.mount.log();
    for secret in [w.endpoint().secret_key.as_str(), "Signature=", "AWS4-HMAC", "uthorization"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

/// Rule R30.
#[test]
fn a_read_only_mount_refuses_every_change_with_erofs() {
    let Some(w) = World::with(&["--read-only"]) else { return };
    w.put("note", version(1), 100);
    w.put("d/note", version(1), 100);
    w.reset_stats();
    let note = w.path("note");
    assert_eq!(errno(std::fs::write(&note, "x")), Some(EROFS));
    assert_eq!(errno(std::fs::write(w.path("new"), "x")), Some(EROFS));
    assert_eq!(errno(std::fs::remove_file(&note)), Some(EROFS));
    assert_eq!(errno(std::fs::rename(&note, w.path("other"))), Some(EROFS));
    assert_eq!(errno(std::fs::create_dir(w.path("directory"))), Some(EROFS));
    assert_eq!(errno(std::fs::remove_dir(w.path("d"))), Some(EROFS));
    assert_eq!(errno(std::os::unix::fs::symlink("note", w.path("link"))), Some(EROFS));
    assert_eq!(errno(File::options().append(true).open(&note).map(drop)), Some(EROFS));
    assert_eq!(w.open("note").read_to_end(), saw(version(1), 100));
    assert_eq!(w.stats().count("PutObject") + w.stats().count("DeleteObject"), 0, "not even tried");
}

/// Rule R30.
#[test]
fn without_deletion_or_overwriting_the_rest_of_writing_works() {
    let Some(w) = World::with(&["--no-delete"]) else { return };
    w.put_bytes("note", "old".into());
    assert_eq!(errno(std::fs::remove_file(w.path("note"))), Some(EPERM));
    assert_eq!(errno(std::fs::rename(w.path("note"), w.path("other"))), Some(EPERM));
    std::fs::write(w.path("note"), "edited").expect("it may be changed");
    std::fs::write(w.path("new"), "new").expect("a file may be made");
    assert_eq!((w.text("note").as_deref(), w.text("new").as_deref()), (Some("edited"), Some("new")));

    let Some(w) = World::with(&["--no-overwrite"]) else { return };
    w.put_bytes("note", "old".into());
    w.put_bytes("gone", "old".into());
    assert_eq!(errno(std::fs::write(w.path("note"), "edited")), Some(EPERM));
    assert_eq!(errno(File::options().append(true).open(w.path("note")).map(drop)), Some(EPERM));
    std::fs::write(w.path("new"), "new").expect("a file may be made");
    std::fs::remove_file(w.path("gone")).expect("and removed");
    assert_eq!((w.text("note").as_deref(), w.text("new").as_deref()), (Some("old"), Some("new")));
    assert_eq!(w.object("gone"), None);
}

fn errno(outcome: std::io::Result<()>) -> Option<i32> {
    outcome.expect_err("refused").raw_os_error()
}

#[test]
fn owner_and_modes_are_those_asked_for() {
    use std::os::unix::fs::MetadataExt;
    let args = ["--uid", "1234", "--gid", "4321", "--file-mode", "0640", "--dir-mode", "0750", "--allow-other"];
    let Some(w) = World::with(&args) else { return };
    w.put("d/note", version(1), 100);
    for (name, mode) in [("d", 0o040_750), ("d/note", 0o100_640)] {
        let meta = std::fs::metadata(w.path(name)).expect("it exists");
        assert_eq!((meta.uid(), meta.gid(), meta.mode()), (1234, 4321, mode), "{name}");
    }
    let statfs = nix::sys::statvfs::statvfs(w.mount.directory()).expect("statfs");
    assert!(statfs.blocks() > 0 && statfs.name_max() == 255);
}

/// Rule R23.
#[test]
fn extended_attributes_show_what_s3_knows() {
    let Some(w) = World::versioned() else { return };
    let object = NewObject {
        content_type: Some("video/mp4".into()),
        storage_class: Some("STANDARD_IA".into()),
        user: [("Director".to_string(), "Murnau".to_string()), ("year".to_string(), "1922".to_string())].into(),
    };
    w.put_object("film", version_bytes("film", version(1), 100 * KIB), object);
    w.put("note", version(1), 10);
    let (etag, id) = {
        let model = w.model();
        let film = model.current("film").expect("it was put");
        (film.meta.etag.to_string(), film.meta.version_id.as_ref().expect("a version").to_string())
    };
    // Once known from a look-up, once from a listing only.
    for listed in [false, true] {
        if listed {
            std::thread::sleep(PAST_TTL);
            assert_eq!(std::fs::read_dir(w.mount.directory()).expect("a listing").count(), 2);
        }
        let film = w.path("film");
        let get = |name: &str| xattr(&film, name);
        assert_eq!(get("user.s3.etag"), Ok(etag.clone()));
        assert_eq!(get("user.s3.version-id"), Ok(id.clone()));
        assert_eq!(get("user.s3.content-type"), Ok("video/mp4".into()));
        assert_eq!(get("user.s3.storage-class"), Ok("STANDARD_IA".into()));
        assert_eq!(get("user.s3.meta.director"), Ok("Murnau".into()));
        assert_eq!(get("user.s3.meta.year"), Ok("1922".into()));
        assert_eq!(get("user.holdfast.hold"), Ok("current".into()));
        for missing in ["user.s3.meta.producer", "user.other", "security.capability"] {
            assert_eq!(get(missing), Err(ENODATA), "{missing}");
        }
        let names = [
            "user.holdfast.hold",
            "user.s3.content-type",
            "user.s3.etag",
            "user.s3.meta.director",
            "user.s3.meta.year",
            "user.s3.storage-class",
            "user.s3.version-id",
        ];
        assert_eq!(xattrs(&film).expect("names"), names);
    }
    assert_eq!(xattr(&w.path("note"), "user.s3.storage-class"), Ok("STANDARD".into()));
    assert_eq!(xattrs(w.mount.directory()), Ok(vec![]), "the mount's own directory has none");
}
