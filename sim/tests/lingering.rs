//! Stories of attributes that are set right after a file was closed: they are published a little later, or by the rename that
//! follows, and a crash does not lose them.
//!
//! The rules are R50 of docs/semantics.md and decision 14. In every one of them the oracles judge besides.

use std::time::Duration;

use holdfast::config::ATTRIBUTES_LINGER;
use holdfast::env::store::ErrorKind;
use holdfast::error::Errno;
use holdfast_sim::World;
use holdfast_sim::store::{FaultKind, Kind, Matcher};

fn sent(w: &World, kind: Kind) -> u64 {
    w.s3().requests().of(kind)
}

/// A field of an object's user metadata.
fn field(w: &World, key: &str, name: &str) -> Option<String> {
    w.s3().bucket().current(key).and_then(|object| object.meta.user.get(name).cloned())
}

fn chmod(w: &mut World, path: &str, perm: u16) -> Result<(), Errno> {
    let process = w.process();
    w.run(process.chmod(path, perm))
}

fn set_time(w: &mut World, path: &str, seconds: i64) -> Result<(), Errno> {
    let process = w.process();
    w.run(process.utimens(path, seconds))
}

const MODE: &str = "33184"; // 0o100640

#[test]
#[ignore = "nothing lingers for now (decision 14)"]
fn all_that_is_set_right_after_a_close_costs_one_copy() {
    let mut w = World::writable();
    w.app().save("/note", "hello").unwrap();
    chmod(&mut w, "/note", 0o600).unwrap();
    set_time(&mut w, "/note", 1_000_000_000).unwrap();
    chmod(&mut w, "/note", 0o640).unwrap();
    assert_eq!(sent(&w, Kind::Copy), 0);
    w.wait(2 * ATTRIBUTES_LINGER);
    assert_eq!((sent(&w, Kind::Put), sent(&w, Kind::Copy)), (1, 1));
    assert_eq!(field(&w, "note", "mode").as_deref(), Some(MODE));
    assert_eq!(field(&w, "note", "mtime").as_deref(), Some("1000000000"));
    assert!(w.disk().notes().is_empty(), "the note is taken back");
    // Long after, it is published before the call returns.
    chmod(&mut w, "/note", 0o600).unwrap();
    assert_eq!(sent(&w, Kind::Copy), 2);
}

#[test]
#[ignore = "nothing lingers for now (decision 14)"]
fn a_rename_takes_them_along() {
    let mut w = World::writable();
    w.app().save("/.note.tmp", "hello").unwrap();
    set_time(&mut w, "/.note.tmp", 1_000_000_000).unwrap();
    chmod(&mut w, "/.note.tmp", 0o640).unwrap();
    w.app().rename("/.note.tmp", "/note").unwrap();
    assert_eq!((sent(&w, Kind::Put), sent(&w, Kind::Copy), sent(&w, Kind::Delete)), (1, 1, 1));
    assert_eq!(field(&w, "note", "mode").as_deref(), Some(MODE));
    assert_eq!(field(&w, "note", "mtime").as_deref(), Some("1000000000"));
    assert!(w.disk().notes().is_empty(), "the note is taken back");
    w.wait(5 * ATTRIBUTES_LINGER);
    assert_eq!(sent(&w, Kind::Copy), 1);
    assert_eq!(w.app().content("/note"), Ok(b"hello".to_vec()));
}

#[test]
#[ignore = "nothing lingers for now (decision 14)"]
fn the_next_mount_publishes_what_a_crash_cut_off() {
    let mut w = World::writable();
    w.app().save("/note", "hello").unwrap();
    chmod(&mut w, "/note", 0o640).unwrap();
    assert_eq!(w.disk().notes().len(), 1);
    w.machines().crash(0);
    w.wait(Duration::from_secs(1));
    assert_eq!(field(&w, "note", "mode").as_deref(), Some(MODE));
    assert!(w.disk().notes().is_empty());
}

#[test]
#[ignore = "nothing lingers for now (decision 14)"]
fn the_next_mount_leaves_what_somebody_replaced_alone() {
    let mut w = World::writable();
    w.app().save("/note", "hello").unwrap();
    chmod(&mut w, "/note", 0o640).unwrap();
    w.machines().crash(0);
    w.s3().put("note", holdfast_sim::version(1), 7);
    w.wait(Duration::from_secs(1));
    assert_eq!(field(&w, "note", "mode"), None);
    assert!(w.disk().notes().is_empty());
}

#[test]
#[ignore = "nothing lingers for now (decision 14)"]
fn where_they_may_not_be_set_the_next_is_told() {
    let mut w = World::writable();
    w.app().save("/note", "hello").unwrap();
    w.s3().fault(Matcher::of(Kind::Copy), FaultKind::refused(ErrorKind::AccessDenied));
    chmod(&mut w, "/note", 0o640).unwrap();
    w.wait(2 * ATTRIBUTES_LINGER);
    w.app().save("/other", "hello").unwrap();
    assert_eq!(chmod(&mut w, "/other", 0o640), Err(Errno::EACCES));
}

#[test]
#[ignore = "nothing lingers for now (decision 14)"]
fn who_writes_to_the_file_publishes_them_with_it() {
    let mut w = World::writable();
    w.app().save("/note", "hello").unwrap();
    chmod(&mut w, "/note", 0o640).unwrap();
    let note = w.app().open_rw("/note");
    w.app().write(note, "J");
    w.wait(3 * ATTRIBUTES_LINGER);
    assert_eq!((sent(&w, Kind::Put), sent(&w, Kind::Copy)), (1, 0), "nothing half written is published");
    w.app().close(note);
    assert_eq!((sent(&w, Kind::Put), sent(&w, Kind::Copy)), (2, 0));
    assert_eq!(field(&w, "note", "mode").as_deref(), Some(MODE));
    assert_eq!(w.app().content("/note"), Ok(b"Jello".to_vec()));
}
