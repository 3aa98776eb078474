//! Modes, owners, times and kinds, which last with `--posix-metadata`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::time::{Duration, UNIX_EPOCH};

use crate::reader::{xattr, xattrs};
use crate::world::World;

const SHOWN: &[&str] = &["--posix-metadata"];

/// Rule R43.
#[test]
fn modes_owners_times_and_links_last_across_mounts() {
    let Some(w) = World::with(SHOWN) else { return };
    fs::write(w.path("note"), "x").expect("written");
    fs::create_dir(w.path("d")).expect("made");
    symlink("note", w.path("link")).expect("made");
    symlink("../some where/ü", w.path("d/dangling")).expect("made");
    w.mount.sh("mkfifo fifo; chmod 600 fifo");
    let time = UNIX_EPOCH + Duration::new(1_234_567_890, 123_000_000);
    for (name, mode) in [("note", 0o640), ("d", 0o751)] {
        fs::set_permissions(w.path(name), Permissions::from_mode(mode)).expect("chmod");
        chown(w.path(name), Some(1234), Some(4321)).expect("chown");
    }
    let file = fs::File::options().write(true).open(w.path("note")).expect("to set its times");
    file.set_times(fs::FileTimes::new().set_accessed(time).set_modified(time)).expect("utimensat");
    drop(file);
    let elsewhere = w.elsewhere(SHOWN);
    for mount in [&w.mount, &elsewhere] {
        let meta =
            |name: &str| fs::symlink_metadata(mount.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let note = meta("note");
        assert_eq!((note.mode(), note.uid(), note.gid()), (0o100_640, 1234, 4321));
        assert_eq!(note.modified().expect("a time"), time);
        let d = meta("d");
        assert_eq!((d.mode(), d.uid(), d.gid()), (0o040_751, 1234, 4321));
        assert!(meta("link").is_symlink() && meta("fifo").file_type().is_fifo());
        assert_eq!(meta("fifo").mode() & 0o777, 0o600);
        assert_eq!(fs::read_link(mount.path("link")).expect("a link").to_str(), Some("note"));
        assert_eq!(fs::read_link(mount.path("d/dangling")).expect("a link").to_str(), Some("../some where/ü"));
        assert_eq!(fs::read_to_string(mount.path("link")).expect("followed"), "x");
    }
}

/// Rule R43.
#[test]
fn modes_are_written_also_by_a_mount_that_does_not_show_them() {
    let Some(w) = World::plain() else { return };
    w.mount.sh("umask 027; echo x > note; mkdir d");
    let elsewhere = w.elsewhere(SHOWN);
    assert_eq!(fs::metadata(elsewhere.path("note")).expect("stat").mode(), 0o100_640);
    assert_eq!(fs::metadata(elsewhere.path("d")).expect("stat").mode(), 0o040_750);
}

#[test]
fn the_umask_is_taken_off_once() {
    let Some(w) = World::with(SHOWN) else { return };
    w.mount.sh("umask 026; echo x > note; mkdir d; mkfifo fifo; mknod made p");
    for (name, mode) in [("note", 0o640), ("d", 0o751), ("fifo", 0o640), ("made", 0o640)] {
        assert_eq!(fs::metadata(w.path(name)).expect("stat").mode() & 0o777, mode, "{name}");
    }
}

#[test]
fn times_of_what_was_written_are_of_its_last_write() {
    let Some(w) = World::plain() else { return };
    let before = std::time::SystemTime::now() - Duration::from_secs(1);
    fs::write(w.path("note"), "x").expect("written");
    let written = fs::metadata(w.path("note")).expect("stat").modified().expect("a time");
    assert!(written >= before, "{written:?} is before {before:?}");
    w.mount.sh("touch -d 2001-02-03T04:05:06Z note");
    assert_eq!(fs::read_to_string(w.path("note")).expect("read"), "x");
}

#[test]
fn an_edit_keeps_what_others_left_in_metadata() {
    let Some(w) = World::plain() else { return };
    let object = holdfast::env::store::NewObject {
        content_type: Some("text/x-tale".into()),
        user: [("director".to_string(), "Murnau".to_string())].into(),
        ..Default::default()
    };
    w.put_object("note", "base".into(), object);
    w.mount.sh("echo more >> note");
    assert_eq!(w.text("note").as_deref(), Some("basemore\n"));
    let meta = w.model().current("note").expect("published").meta.clone();
    assert_eq!(meta.content_type.as_deref(), Some("text/x-tale"));
    assert_eq!(meta.user.get("director").map(String::as_str), Some("Murnau"));
    assert_eq!(xattr(&w.path("note"), "user.s3.content-type"), Ok("text/x-tale".into()));
}

#[test]
fn a_directory_has_attributes_in_its_marker_and_keeps_what_others_left_there() {
    let Some(w) = World::plain() else { return };
    let object = holdfast::env::store::NewObject {
        user: [("mode".to_string(), "16832".to_string()), ("director".to_string(), "Murnau".to_string())].into(),
        ..Default::default()
    };
    w.put_object("films/", "somebody's bytes".into(), object);
    w.put_object("implied/note", "x".into(), Default::default());
    for name in ["films", "implied"] {
        let set = "import os, sys; os.setxattr(sys.argv[1], 'user.colour', b'red'); os.utime(sys.argv[1], (1, 2))";
        w.mount.sh(&format!("python3 -c \"{set}\" {name}"));
        assert_eq!(xattr(&w.path(name), "user.colour"), Ok("red".into()), "{name}");
        assert_eq!(xattrs(&w.path(name)), Ok(vec!["user.colour".to_string()]), "{name}");
    }
    let meta = w.model().current("films/").expect("the marker").meta.clone();
    assert_eq!(meta.user.get("director").map(String::as_str), Some("Murnau"));
    assert_eq!(meta.user.get("mode").map(String::as_str), Some("16832"), "0700, though it is not shown");
    assert_eq!(w.text("films/").as_deref(), Some("somebody's bytes"));
    let elsewhere = w.elsewhere(SHOWN);
    assert_eq!(xattr(&elsewhere.path("implied"), "user.colour"), Ok("red".into()));
    let shown = fs::metadata(elsewhere.path("films")).expect("stat");
    assert_eq!((shown.mode() & 0o777, shown.mtime()), (0o700, 2));
}

#[test]
fn a_mode_set_elsewhere_is_seen_here() {
    let Some(w) = World::with(&["--posix-metadata", "--metadata-ttl", "minimal"]) else { return };
    let elsewhere = w.elsewhere(SHOWN);
    w.mount.sh("echo x > note; chmod 644 note");
    // Objects of one ETag and one date are taken for the same, and S3's dates have whole seconds.
    std::thread::sleep(Duration::from_millis(1100));
    fs::set_permissions(elsewhere.path("note"), Permissions::from_mode(0o600)).expect("chmod");
    assert_eq!(fs::metadata(w.path("note")).expect("stat").mode() & 0o777, 0o600);
    assert_eq!(w.text("note").as_deref(), Some("x\n"));
}
