//! Stories of long files, which are sent while they are written.
//!
//! The rules are those of docs/semantics.md and of decision 11. In every one of them the oracles judge besides.

use std::time::Duration;

use holdfast::env::store::ErrorKind;
use holdfast::error::Errno;
use holdfast_sim::store::{FaultKind, Kind, Matcher};
use holdfast_sim::{MIB, World, version};

fn sent(w: &World, kind: Kind) -> u64 {
    w.s3().requests().of(kind)
}

/// The bucket's bytes of a key.
fn object(w: &World, key: &str) -> Option<Vec<u8>> {
    w.s3().bucket().current(key).map(|object| object.content.to_bytes().to_vec())
}

fn pattern(seed: u64, bytes: u64) -> Vec<u8> {
    (0..bytes).map(|at| ((at * 31 + seed) >> 7) as u8 ^ at as u8).collect()
}

/// Writes `bytes` one MiB at a time, with a little time in between.
fn stream(w: &mut World, file: holdfast_sim::app::File, bytes: &[u8]) {
    for piece in bytes.chunks(MIB as usize) {
        w.app().write(file, piece);
        w.wait(Duration::from_millis(20));
    }
}

#[test]
fn a_long_file_is_sent_while_it_is_written() {
    let mut w = World::writable();
    let bytes = pattern(1, 40 * MIB + 5);
    let film = w.app().create("/film");
    stream(&mut w, film, &bytes);
    w.wait(Duration::from_secs(5));
    assert_eq!((sent(&w, Kind::CreateUpload), sent(&w, Kind::UploadPart)), (1, 5), "all whole parts are there already");
    assert_eq!(object(&w, "film"), None, "and nobody sees any of it");
    assert_eq!(w.app().stat("/film").unwrap().size, bytes.len() as u64);
    w.app().close(film);
    assert_eq!((sent(&w, Kind::UploadPart), sent(&w, Kind::CompleteUpload), sent(&w, Kind::Copy)), (6, 1, 0));
    assert_eq!(object(&w, "film"), Some(bytes));
}

#[test]
fn what_was_sent_ahead_and_changed_afterwards_is_sent_again() {
    let mut w = World::writable();
    let mut bytes = pattern(2, 30 * MIB);
    let film = w.app().create("/film");
    stream(&mut w, film, &bytes);
    w.wait(Duration::from_secs(5));
    w.app().pwrite(film, 9 * MIB, "a header, at last");
    bytes[9 * MIB as usize..][..17].copy_from_slice(b"a header, at last");
    w.app().ftruncate(film, 20 * MIB).unwrap();
    bytes.truncate(20 * MIB as usize);
    w.app().close(film);
    assert_eq!(sent(&w, Kind::CreateUpload), 1);
    assert_eq!(sent(&w, Kind::UploadPart), 3 + 2, "the part that was changed, and the one that was cut");
    assert_eq!(object(&w, "film"), Some(bytes));
}

#[test]
fn an_append_is_sent_ahead_beside_a_copy_of_what_was_there() {
    let mut w = World::writable();
    w.s3().put("log", version(1), 64 * MIB);
    let mut bytes = object(&w, "log").unwrap();
    let more = pattern(3, 20 * MIB);
    let log = w.app().append("/log");
    stream(&mut w, log, &more);
    w.wait(Duration::from_secs(5));
    assert_eq!(sent(&w, Kind::UploadPart), 2);
    w.app().close(log);
    assert_eq!((sent(&w, Kind::UploadPart), sent(&w, Kind::UploadPartCopy)), (3, 1));
    bytes.extend(more);
    assert_eq!(object(&w, "log"), Some(bytes));
}

#[test]
fn each_fsync_of_a_growing_file_sends_what_is_new() {
    let mut w = World::writable();
    let bytes = pattern(4, 30 * MIB);
    let log = w.app().create("/log");
    for piece in bytes.chunks(10 * MIB as usize) {
        stream(&mut w, log, piece);
        w.app().fsync(log).unwrap();
    }
    w.app().close(log);
    assert_eq!(object(&w, "log"), Some(bytes));
    assert_eq!(sent(&w, Kind::UploadPart), 2 + 2 + 2);
    assert_eq!(sent(&w, Kind::UploadPartCopy), 2, "what the fsync before had published");
}

#[test]
fn an_upload_that_was_begun_for_a_file_that_is_removed_is_aborted() {
    let mut w = World::writable();
    let film = w.app().create("/film");
    stream(&mut w, film, &pattern(5, 20 * MIB));
    w.app().unlink("/film").unwrap();
    w.app().close(film);
    w.wait(Duration::from_secs(5));
    assert_eq!((sent(&w, Kind::AbortUpload), sent(&w, Kind::CompleteUpload)), (1, 0));
    assert_eq!(w.s3().bucket().list_uploads("").len(), 0);
}

#[test]
fn attributes_that_were_set_while_a_long_file_was_sent_follow_it() {
    let mut w = World::writable();
    let film = w.app().create("/film");
    stream(&mut w, film, &pattern(6, 20 * MIB));
    let process = w.process();
    w.run(process.chmod("/film", 0o640)).unwrap();
    w.app().close(film);
    assert_eq!((sent(&w, Kind::CompleteUpload), sent(&w, Kind::Copy)), (1, 1));
    let mode = w.s3().bucket().current("film").map(|object| object.meta.user["mode"].clone());
    assert_eq!(mode, Some(0o100_640.to_string()));
    assert_eq!(object(&w, "film"), Some(pattern(6, 20 * MIB)));
}

#[test]
fn an_upload_that_may_not_be_begun_is_not_tried_at_each_write() {
    let mut w = World::writable();
    w.s3().fault(Matcher::of(Kind::CreateUpload), FaultKind::refused(ErrorKind::AccessDenied));
    let film = w.app().create("/film");
    stream(&mut w, film, &pattern(8, 30 * MIB));
    assert_eq!(sent(&w, Kind::CreateUpload), 1);
    assert_eq!(w.app().try_close(film), Err(Errno::EACCES));
}

#[test]
fn what_could_not_be_sent_ahead_is_sent_at_the_close() {
    for kind in [Kind::CreateUpload, Kind::UploadPart] {
        let mut w = World::writable();
        w.s3().fault(Matcher::of(kind).nth(1), FaultKind::refused(ErrorKind::AccessDenied));
        let film = w.app().create("/film");
        stream(&mut w, film, &pattern(7, 20 * MIB));
        w.app().close(film);
        assert_eq!(object(&w, "film"), Some(pattern(7, 20 * MIB)));
    }
}
