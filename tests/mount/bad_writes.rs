//! Writes that cannot be: a clear errno, one log line, nothing lost, nothing half visible, and the mount goes on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use holdfast::bucket::BucketOptions;
use holdfast_sim::content::version_bytes;
use holdfast_sim::version;
use nix::errno::Errno;
use nix::libc::{EACCES, EINVAL, ENAMETOOLONG, ENOSPC};

use crate::conflicts::kept;
use crate::mounted::{Mounted, PATIENCE};
use crate::proxy::{Answer, Lying};
use crate::reader::MIB;
use crate::remote::{Embedded, Remote};
use crate::require;
use crate::shell::quiet;
use crate::world::{PAST_TTL, World};
use crate::writing::{close, read_write};

fn errno<T: std::fmt::Debug>(outcome: io::Result<T>) -> i32 {
    outcome.expect_err("refused").raw_os_error().expect("an errno")
}

/// Waits until so many files are kept, with these bytes: that happens a moment after close(2) has failed.
#[track_caller]
fn are_kept(mount: &Mounted, expected: &[&[u8]]) {
    let begun = Instant::now();
    while kept(mount).len() < expected.len() {
        assert!(begun.elapsed() < PATIENCE, "{:?} are kept:\n{}", kept(mount), mount.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut files: Vec<Vec<u8>> = kept(mount).iter().map(|file| fs::read(file).expect("kept")).collect();
    for bytes in expected {
        let at = files.iter().position(|file| file == bytes);
        files.swap_remove(at.expect("what was written is not kept"));
    }
    assert!(files.is_empty(), "more is kept");
}

/// Rule R45. Rule R36.
#[test]
fn where_preconditions_are_ignored_a_replaced_file_is_noticed_all_the_same() {
    if !require::fuse() {
        return;
    }
    let ignoring = Embedded::with(BucketOptions { preconditions_ignored: true, ..BucketOptions::default() });
    let w = World::of(ignoring, &[]);
    w.put_bytes("note", "base".into());
    let quietly = quiet();
    let mut mine = read_write(&w.path("note"));
    mine.write_all(b"mine").expect("written");
    w.put_bytes("note", "theirs".into());
    assert_eq!(close(mine), Err(Errno::ESTALE));
    let mut new = File::create_new(w.path("new")).expect("new");
    new.write_all(b"mine").expect("written");
    w.put_bytes("new", "theirs".into());
    assert_eq!(close(new), Err(Errno::ESTALE));
    drop(quietly);
    assert_eq!((w.text("note").as_deref(), w.text("new").as_deref()), (Some("theirs"), Some("theirs")));
    assert_eq!(kept(&w.mount).len(), 2);
    assert_eq!(w.mount.log_lines(&["WARN", "not published"]).len(), 2, "{}", w.mount.log());
}

/// Rule R28. Rule R37.
#[test]
fn a_folder_that_may_not_be_written_to_is_eacces_and_what_was_written_is_kept() {
    let Some(w) = Lying::world(&[]) else { return };
    w.put_bytes("closed/old", "old".into());
    w.guard(|asked, _| {
        let closed = asked.target.starts_with("/holdfast/closed/") && ["PUT", "POST"].contains(&asked.method.as_str());
        closed.then(|| Answer::error(403, "AccessDenied"))
    });
    let quietly = quiet();
    let mut file = File::create(w.path("closed/new")).expect("nobody knows yet");
    file.write_all(b"precious").expect("written");
    assert_eq!(close(file), Err(Errno::EACCES));
    drop(quietly);
    are_kept(&w.mount, &[b"precious"]);
    let embedded = w.embedded();
    assert_eq!(embedded.keys(), ["closed/old"]);
    let lines = w.mount.log_lines(&["WARN", "closed/new"]);
    assert!((1..=2).contains(&lines.len()), "{lines:?}");
    assert_eq!(errno(fs::create_dir(w.path("closed/d"))), EACCES);
    fs::write(w.path("open"), "works").expect("elsewhere");
    assert_eq!(errno(fs::rename(w.path("open"), w.path("closed/open"))), EACCES);
    assert_eq!(embedded.text("open").as_deref(), Some("works"), "it stays where it was");
    let mut old = read_write(&w.path("closed/old"));
    old.write_all(b"NEW").expect("written");
    assert_eq!(close(old), Err(Errno::EACCES));
    assert_eq!(embedded.text("closed/old").as_deref(), Some("old"));
    are_kept(&w.mount, &[b"precious", b"NEW"]);
    assert_eq!(fs::read_to_string(w.path("closed/old")).expect("it reads"), "old", "as the bucket has it");
}

/// Rule R28.
#[test]
fn where_nothing_may_be_deleted_nothing_is_lost() {
    let Some(w) = Lying::world(&[]) else { return };
    for key in ["note", "d/a", "d/b", "empty/"] {
        w.put_bytes(key, key.to_string().into());
    }
    w.guard(|asked, _| {
        let deletes = asked.method == "DELETE" || (asked.method == "POST" && asked.target.contains("delete"));
        deletes.then(|| Answer::error(403, "AccessDenied"))
    });
    assert_eq!(errno(fs::remove_file(w.path("note"))), EACCES);
    assert_eq!(errno(fs::remove_dir(w.path("empty"))), EACCES);
    for (from, to) in [("note", "other"), ("d", "e")] {
        assert_eq!(errno(fs::rename(w.path(from), w.path(to))), EACCES, "{from}");
    }
    let embedded = w.embedded();
    std::thread::sleep(PAST_TTL);
    for key in ["note", "d/a", "d/b", "empty/"] {
        assert_eq!(embedded.text(key).as_deref(), Some(key), "nothing is lost");
        if !key.ends_with('/') {
            assert_eq!(fs::read_to_string(w.path(key)).expect("it is still there"), key);
        }
    }
    fs::write(w.path("note"), "new").expect("what is there may be replaced");
    assert_eq!(embedded.text("note").as_deref(), Some("new"));
}

/// What a PUT of a part is asked with.
fn is_part(target: &str) -> bool {
    target.contains("partNumber=")
}

/// Rule R25.
#[test]
fn credentials_that_expire_in_the_middle_of_an_upload_are_loaded_anew() {
    let Some(w) = Lying::world(&["--part-size", "5MiB"]) else { return };
    let parts = AtomicU32::new(0);
    w.guard(move |asked, _| {
        let third = asked.method == "PUT" && is_part(&asked.target) && parts.fetch_add(1, Ordering::SeqCst) == 2;
        third.then(|| Answer::error(400, "ExpiredToken"))
    });
    let bytes = version_bytes("film", version(1), 24 * MIB);
    fs::write(w.path("film"), &bytes).expect("published");
    assert!(w.embedded().object("film").expect("it is there") == bytes);
}

/// Rule R34. Rule R37.
#[test]
fn an_upload_whose_credentials_stay_expired_fails_and_is_kept_and_nothing_of_it_is_there() {
    let Some(w) = Lying::world(&["--part-size", "5MiB"]) else { return };
    let parts = AtomicU32::new(0);
    w.guard(move |asked, _| {
        let expired = asked.method == "PUT" && is_part(&asked.target) && parts.fetch_add(1, Ordering::SeqCst) >= 2;
        expired.then(|| Answer::error(400, "ExpiredToken"))
    });
    let bytes = version_bytes("film", version(1), 24 * MIB);
    let quietly = quiet();
    let mut file = File::create(w.path("film")).expect("a new file");
    // What fails early may be told by a write already.
    let written = bytes.chunks(MIB as usize).try_for_each(|piece| file.write_all(piece));
    let closed = close(file);
    drop(quietly);
    assert!(written.is_err() || closed.is_err(), "nobody was told");
    if let Err(error) = closed {
        assert!([Errno::EACCES, Errno::EIO].contains(&error), "{error}");
    }
    if written.is_ok() {
        are_kept(&w.mount, &[&bytes]);
    }
    assert_eq!(w.embedded().object("film"), None, "nothing half visible");
    w.mount.wait_for_log(&["WARN", "film"]);
    w.be_honest();
    fs::write(w.path("film"), "again").expect("the mount lives");
    assert_eq!(w.embedded().text("film").as_deref(), Some("again"));
}

/// Rule R33. Rule R34.
#[test]
fn an_upload_that_somebody_aborts_is_begun_anew_or_told_and_kept() {
    let Some(w) = Lying::world(&["--part-size", "5MiB"]) else { return };
    let (bucket, parts) = (w.embedded().shared(), Arc::new(AtomicU32::new(0)));
    w.guard(move |asked, _| {
        if asked.method == "PUT" && is_part(&asked.target) && parts.fetch_add(1, Ordering::SeqCst) == 2 {
            let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            for upload in bucket.list_uploads("") {
                bucket.abort_upload(upload.key, upload.upload).expect("it is in progress");
            }
        }
        None
    });
    let bytes = version_bytes("film", version(1), 24 * MIB);
    let quietly = quiet();
    let mut file = File::create(w.path("film")).expect("a new file");
    let written = bytes.chunks(MIB as usize).try_for_each(|piece| file.write_all(piece));
    assert!(written.is_ok(), "{written:?}");
    // The next fsync or close tries again.
    let synced = file.sync_all();
    let closed = close(file);
    drop(quietly);
    match closed {
        Ok(()) => assert!(w.embedded().object("film").expect("it is there") == bytes),
        Err(error) => {
            are_kept(&w.mount, &[&bytes]);
            panic!("fsync {synced:?}, then close {error}: it could have been published by a second upload");
        }
    }
    assert!(w.embedded().model().list_uploads("").is_empty());
}

/// A small disk, unmounted when it is dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(mib: u64) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("holdfast-disk-").tempdir().expect("a folder");
        let options = format!("size={mib}m");
        let mounted = nix::mount::mount(
            Some("tmpfs"),
            folder.path(),
            Some("tmpfs"),
            nix::mount::MsFlags::empty(),
            Some(options.as_str()),
        );
        require::available(mounted.is_ok(), "no tmpfs can be mounted (root?)").then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH);
    }
}

/// Rule R34.
#[test]
fn what_fits_neither_memory_nor_disk_is_enospc_and_nothing_of_it_is_published() {
    let Some(disk) = SmallDisk::new(24) else { return };
    let cache = disk.0.path().to_str().expect("UTF-8");
    let Some(w) = World::with(&["--memory", "64MiB", "--cache-dir", cache]) else { return };
    w.put_bytes("film", "base".into());
    let quietly = quiet();
    let file = OpenOptions::new().write(true).open(w.path("film")).expect("it is there");
    let piece = vec![7; MIB as usize];
    // Backwards, so that nothing can be uploaded before it is complete.
    let written = (0..300).rev().try_for_each(|at| file.write_all_at(&piece, 4 + at * MIB));
    let refused = match written {
        Err(error) => error.raw_os_error(),
        Ok(()) => file.sync_all().expect_err("it fits nowhere").raw_os_error(),
    };
    assert_eq!(refused, Some(ENOSPC));
    assert_eq!(w.text("film").as_deref(), Some("base"), "nothing half visible");
    w.mount.answers();
    // Who gives up cuts what he wrote; the mount has room again.
    file.set_len(0).expect("truncated");
    let _ = close(file);
    drop(quietly);
    fs::write(w.path("small"), "works").expect("the mount lives");
    assert_eq!(w.text("small").as_deref(), Some("works"));
    assert!(!w.mount.log_lines(&["WARN"]).is_empty(), "{}", w.mount.log());
}

/// Rule R19.
#[test]
fn a_key_that_s3_cannot_have_is_enametoolong_and_nothing_is_sent() {
    let Some(w) = World::with(&["--posix-metadata", "--metadata-ttl", "60"]) else { return };
    // Five components of 200 bytes: 1004 with what separates them.
    let deep: PathBuf = (0..5).map(|_| "d".repeat(200)).collect();
    fs::create_dir_all(w.path(deep.to_str().expect("ASCII"))).expect("1004 bytes, and a slash");
    let at = |name: &str| w.path(deep.join(name).to_str().expect("ASCII"));
    fs::write(at(&"n".repeat(19)), "fits").expect("1024 bytes");
    fs::write(w.path("note"), "short").expect("a short name");
    w.reset_stats();
    let long = at(&"n".repeat(20));
    assert_eq!(errno(File::create(&long)), ENAMETOOLONG);
    assert_eq!(errno(fs::create_dir(at(&"n".repeat(19 + 1)))), ENAMETOOLONG);
    assert_eq!(errno(fs::rename(w.path("note"), &long)), ENAMETOOLONG);
    assert_eq!(errno(std::os::unix::fs::symlink("note", &long)), ENAMETOOLONG);
    for change in ["PutObject", "CopyObject", "DeleteObject"] {
        assert_eq!(w.stats().count(change), 0, "{:?}", w.stats());
    }
    assert_eq!(w.text("note").as_deref(), Some("short"));
}

/// Rule R40.
#[test]
fn a_name_is_renamed_to_itself_for_nothing_and_a_directory_never_into_itself() {
    let Some(w) = World::plain() else { return };
    w.put_bytes("d/e/note", "bytes".into());
    fs::metadata(w.path("d/e/note")).expect("it is there");
    w.reset_stats();
    fs::rename(w.path("d/e/note"), w.path("d/e/note")).expect("nothing to do");
    fs::rename(w.path("d/e"), w.path("d/e")).expect("nothing to do");
    fs::rename(w.path("d/e/note"), w.path("d/../d/e/note")).expect("the same by another path");
    assert_eq!(errno(fs::rename(w.path("d"), w.path("d/e/f"))), EINVAL);
    assert_eq!(errno(fs::rename(w.path("d"), w.path("d/f"))), EINVAL);
    for change in ["PutObject", "CopyObject", "DeleteObject"] {
        assert_eq!(w.stats().count(change), 0, "{:?}", w.stats());
    }
    assert_eq!((w.keys(), w.object("d/e/note")), (vec!["d/e/note".to_string()], Some(Bytes::from("bytes"))));
}
