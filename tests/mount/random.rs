//! Random reads of an object that is replaced: no anchor helps, unless the bucket has versions or the hold is full.

use holdfast_sim::version;
use nix::libc::ESTALE;

use crate::reader::{KIB, MIB, Reader, Sight, saw};
use crate::remote::Remote;
use crate::world::World;

const SIZE: u64 = 64 * MIB;
const PIECE: u64 = 4 * KIB;
/// Far apart and in no order, so that no read looks like the continuation of another.
const BEFORE: [u64; 12] = [40, 3, 57, 22, 11, 50, 30, 61, 16, 36, 46, 26];
/// Others, beyond what the GET of the open may have brought by then.
const AFTER: [u64; 6] = [38, 54, 48, 33, 43, 59];

fn piece(mib: u64) -> std::ops::Range<u64> {
    mib * MIB..mib * MIB + PIECE
}

/// Reads here and there, has the object replaced, and is the reader that goes on.
fn reads_here_and_there_and_is_replaced(w: &World) -> Reader {
    w.put("film", version(1), SIZE);
    let film = w.open("film").reads_at_random();
    for at in BEFORE {
        assert_eq!(film.read_at(piece(at)), saw(version(1), PIECE), "before the replacement, at {at} MiB");
    }
    w.put("film", version(2), SIZE);
    film
}

/// Rule R11.
#[test]
fn random_reads_on_a_plain_bucket_fail_with_estale_for_what_is_not_held_and_the_rest_reads() {
    let Some(w) = World::plain() else { return };
    let film = reads_here_and_there_and_is_replaced(&w);
    let mut lost = 0;
    for again in ["at first", "later", "still later"] {
        for at in AFTER {
            match film.read_at(piece(at)) {
                Err(Sight::Errno(ESTALE)) => lost += 1,
                read => assert_eq!(read, saw(version(1), PIECE), "{again}, at {at} MiB"),
            }
        }
        for at in BEFORE {
            assert_eq!(film.read_at(piece(at)), saw(version(1), PIECE), "{again}, held at {at} MiB");
        }
    }
    assert_eq!(lost, 3 * AFTER.len(), "what was never fetched cannot be had, now and on every later try");
    let mut new = w.open("film");
    assert_eq!(new.read_to_end(), saw(version(2), SIZE), "a new open has the new version");
    assert_eq!(film.read_at(piece(AFTER[0])), Err(Sight::Errno(ESTALE)), "which does not help the old handle");
    assert_eq!(film.read_at(piece(BEFORE[0])), saw(version(1), PIECE), "nor harm it");
}

/// Rule R9.
#[test]
fn random_reads_on_a_versioned_bucket_read_the_old_version() {
    let Some(w) = World::versioned() else { return };
    let film = reads_here_and_there_and_is_replaced(&w);
    for at in AFTER.iter().chain(&BEFORE) {
        assert_eq!(film.read_at(piece(*at)), saw(version(1), PIECE), "at {at} MiB");
    }
    w.delete("film");
    film.drop_pages();
    for at in BEFORE.iter().chain(&AFTER) {
        assert_eq!(film.read_at(piece(*at + 1)), saw(version(1), PIECE), "deleted, at {at} MiB and one");
    }
}

/// Rule R10.
#[test]
fn random_reads_with_hold_full_read_the_old_version() {
    let Some(w) = World::with(&["--hold=full"]) else { return };
    let film = reads_here_and_there_and_is_replaced(&w);
    for at in AFTER.iter().chain(&BEFORE) {
        assert_eq!(film.read_at(piece(*at)), saw(version(1), PIECE), "at {at} MiB");
    }
    film.drop_pages();
    for at in AFTER.iter().chain(&BEFORE) {
        assert_eq!(film.read_at(piece(*at + 1)), saw(version(1), PIECE), "at {at} MiB and one");
    }
}

#[test]
fn without_a_hold_sequential_reads_too_fail_with_estale_and_never_tear() {
    let Some(w) = World::with(&["--hold=off"]) else { return };
    w.put("film", version(1), SIZE);
    let mut film = w.open("film");
    assert_eq!(film.read_until(MIB), saw(version(1), MIB));
    w.put("film", version(2), SIZE);
    let rest = film.read_to_end();
    assert_eq!(rest, Err(Sight::Errno(ESTALE)));
    assert_eq!(film.read_to_end(), rest, "and later again");
    assert_eq!(film.read_at(0..MIB), saw(version(1), MIB));
    assert_eq!(w.open("film").read_to_end(), saw(version(2), SIZE));
}
