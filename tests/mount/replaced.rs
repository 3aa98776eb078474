//! The object is replaced or deleted while somebody reads it.
//!
//! The core rows are stories over any server, so that an independent one tells them too (`moto.rs`).

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::thread::sleep;

use holdfast_sim::version;

use crate::mounted::PATIENCE;
use crate::reader::{MIB, Mapping, Saw, Sight, saw};
use crate::remote::Remote;
use crate::shell::spawn;
use crate::world::{PAST_TTL, World};

const SIZE: u64 = 64 * MIB;

/// A reader that took the first MiB of version 1 goes on after `change`, past every TTL.
pub fn rest_after(w: &World<impl Remote>, size: u64, change: impl FnOnce()) -> Result<Saw, Sight> {
    w.remote.put("film", version(1), size);
    let mut film = w.open("film");
    assert_eq!(film.read_until(MIB), saw(version(1), MIB));
    change();
    sleep(PAST_TTL);
    film.read_to_end()
}

/// Rule R1.
#[test]
fn a_reader_finishes_the_version_it_opened_when_the_object_is_replaced_by_one_of_the_same_size() {
    let Some(w) = World::plain() else { return };
    let rest = rest_after(&w, SIZE, || w.put("film", version(2), SIZE));
    assert_eq!(rest, saw(version(1), SIZE - MIB));
}

#[test]
fn a_reader_finishes_the_version_it_opened_when_the_object_is_replaced_by_a_smaller_one() {
    let Some(w) = World::plain() else { return };
    let rest = rest_after(&w, SIZE, || w.put("film", version(2), 2 * MIB));
    assert_eq!(rest, saw(version(1), SIZE - MIB));
}

#[test]
fn a_reader_finishes_the_version_it_opened_when_the_object_is_replaced_by_a_larger_one() {
    let Some(w) = World::plain() else { return };
    let rest = rest_after(&w, SIZE, || w.put("film", version(2), 80 * MIB));
    assert_eq!(rest, saw(version(1), SIZE - MIB));
}

#[test]
fn a_reader_finishes_the_version_it_opened_when_the_object_is_deleted() {
    let Some(w) = World::plain() else { return };
    let rest = rest_after(&w, SIZE, || w.delete("film"));
    assert_eq!(rest, saw(version(1), SIZE - MIB));
    assert!(std::fs::File::open(w.path("film")).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound));
}

/// Rule R6.
#[test]
fn a_reader_of_a_small_object_finishes_the_version_it_opened() {
    let Some(w) = World::plain() else { return };
    let rest = rest_after(&w, 2 * MIB, || w.put("film", version(2), 2 * MIB));
    assert_eq!(rest, saw(version(1), MIB));
}

#[test]
fn a_reader_on_a_versioned_bucket_finishes_the_version_it_opened() {
    let Some(w) = World::versioned() else { return };
    for (number, size) in [(2, SIZE), (3, 2 * MIB), (4, 80 * MIB)] {
        let rest = rest_after(&w, SIZE, || w.put("film", version(number), size));
        assert_eq!(rest, saw(version(1), SIZE - MIB), "replaced by {size} bytes");
    }
    let rest = rest_after(&w, SIZE, || w.delete("film"));
    assert_eq!(rest, saw(version(1), SIZE - MIB), "deleted");
}

#[test]
fn a_reader_finishes_also_when_the_rest_does_not_fit_the_lifeboat() {
    let Some(w) = World::with(&["--hold-max", "4MiB"]) else { return };
    let rest = rest_after(&w, SIZE, || w.put("film", version(2), SIZE));
    assert_eq!(rest, saw(version(1), SIZE - MIB));
}

#[test]
fn a_replaced_object_survives_the_servers_death_once_its_rest_is_in_the_lifeboat() {
    let Some(w) = World::plain() else { return };
    w.put("film", version(1), SIZE);
    let mut film = w.open("film");
    assert_eq!(film.read_until(MIB), saw(version(1), MIB));
    w.put("film", version(2), SIZE);
    sleep(PAST_TTL);
    // The look-up that notices.
    assert_eq!(std::fs::metadata(w.path("film")).expect("stat").size(), SIZE);
    let hold = || film.xattr("user.holdfast.hold").expect("it is open");
    let begun = std::time::Instant::now();
    while hold() != "whole" {
        assert!(begun.elapsed() < PATIENCE, "held by: {}", hold());
        sleep(std::time::Duration::from_millis(20));
    }
    w.kill_server();
    assert_eq!(film.read_to_end(), saw(version(1), SIZE - MIB));
    film.drop_pages();
    assert_eq!(film.read_at(40 * MIB..41 * MIB), saw(version(1), MIB), "and again, anywhere");
    w.revive_server();
    assert_eq!(w.open("film").read_to_end(), saw(version(2), SIZE));
}

/// An old and a new handle read in turn, to their ends.
pub fn two_handles_in_turn(w: &World<impl Remote>, size: u64) {
    w.remote.put("film", version(1), size);
    let mut early = w.open("film");
    assert_eq!(early.read_until(MIB), saw(version(1), MIB));
    w.remote.put("film", version(2), size);
    sleep(PAST_TTL);
    let mut late = w.open("film");
    for end in (0..size).step_by(4 * MIB as usize).map(|at| at + 4 * MIB) {
        assert_eq!(late.read_until(end).map(|saw| saw.version), Ok(version(2)), "the new handle to {end}");
        assert_eq!(early.read_until(end).map(|saw| saw.version), Ok(version(1)), "the old handle to {end}");
    }
}

/// Rule R5.
#[test]
fn an_old_handle_reads_all_old_and_a_new_handle_all_new_in_turn() {
    let Some(w) = World::plain() else { return };
    two_handles_in_turn(&w, SIZE);
}

#[test]
fn an_old_handle_reads_all_old_and_a_new_handle_all_new_on_a_versioned_bucket() {
    let Some(w) = World::versioned() else { return };
    two_handles_in_turn(&w, SIZE);
}

/// An old and a new mapping, in turn.
pub fn two_mappings_in_turn(w: &World<impl Remote>, size: u64) {
    w.remote.put("film", version(1), size);
    let early = w.open("film");
    let early: Mapping = early.map();
    assert_eq!(early.read(0..MIB), saw(version(1), MIB));
    w.remote.put("film", version(2), size);
    sleep(PAST_TTL);
    let late = w.open("film").map();
    for at in (0..size).step_by(MIB as usize) {
        assert_eq!(late.read(at..at + MIB), saw(version(2), MIB), "the new mapping at {at}");
        assert_eq!(early.read(at..at + MIB), saw(version(1), MIB), "the old mapping at {at}");
    }
}

/// Rule R1.
#[test]
fn an_old_mapping_shows_all_old_and_a_new_one_all_new() {
    let Some(w) = World::plain() else { return };
    two_mappings_in_turn(&w, SIZE);
}

/// Rule R3.
#[test]
fn fstat_of_a_handle_keeps_answering_with_the_attributes_it_was_opened_with() {
    let Some(w) = World::plain() else { return };
    w.put("film", version(1), SIZE);
    let film = w.open("film");
    let shape = || {
        let meta = film.file.metadata().expect("fstat of a held version never fails");
        (meta.ino(), meta.size(), meta.mtime(), meta.mode(), meta.nlink())
    };
    let before = shape();
    assert_eq!(before.1, SIZE);
    w.put("film", version(2), 2 * MIB);
    sleep(PAST_TTL);
    assert_eq!(shape(), before, "after the replacement");
    let new = std::fs::metadata(w.path("film")).expect("the path names the new version");
    assert_eq!(new.size(), 2 * MIB);
    assert_ne!(new.ino(), before.0, "a new version is a new inode");
    assert_eq!(shape(), before, "after the name was looked up again");
    w.delete("film");
    sleep(PAST_TTL);
    assert!(std::fs::metadata(w.path("film")).is_err(), "it was deleted");
    assert_eq!(shape(), before, "after the deletion");
}

#[test]
fn cat_that_pauses_before_the_end_of_file_prints_every_byte_and_succeeds() {
    let Some(w) = World::plain() else { return };
    w.put("film", version(1), SIZE);
    let mut cat = spawn(Command::new("cat").arg(w.path("film")).stdout(Stdio::piped())).expect("cat");
    let mut pipe = cat.stdout.take().expect("piped");
    let mut printed = vec![0; SIZE as usize];
    let (first, rest) = printed.split_at_mut(MIB as usize);
    // More than the pipe holds is left, so cat waits in its last write, and has not seen the end.
    let (middle, last) = rest.split_at_mut(rest.len() - 64 * 1024);
    pipe.read_exact(first).expect("the first MiB");
    w.put("film", version(2), 80 * MIB);
    sleep(PAST_TTL);
    pipe.read_exact(middle).expect("nearly all");
    sleep(PAST_TTL);
    pipe.read_exact(last).expect("the rest");
    assert_eq!(pipe.read(&mut [0]).expect("the end"), 0, "nothing follows");
    assert!(cat.wait().expect("cat ends").success());
    assert_eq!(holdfast_sim::content::identify("film", &printed, 0), Ok(version(1)));
}
