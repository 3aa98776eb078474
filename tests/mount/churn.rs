//! Objects that are replaced ceaselessly.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdfast::bucket::Versioning;
use holdfast_sim::Version;

use crate::reader::{MIB, Reader};
use crate::remote::{Embedded, Remote};
use crate::require;
use crate::world::World;

const KEYS: u32 = 8;
const SIZE: u64 = 6 * MIB;
const READERS: u32 = 4;

/// Replaces all keys over and over while readers open, read and close: each read is of one version, and none fails.
pub fn readers_of_objects_that_are_replaced_ceaselessly(w: &World<impl Remote + Sync>, size: u64, lasts: Duration) {
    let key = |n: u32| format!("film-{n}");
    (0..KEYS).for_each(|n| w.remote.put(&key(n), Version(1), size));
    let over = Arc::new(AtomicBool::new(false));
    let (reads, writes) = (AtomicU64::new(0), AtomicU64::new(0));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 2.. {
                for n in 0..KEYS {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    w.remote.put(&key(n), Version(number), size);
                    writes.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let readers = (0..READERS).map(|reader| {
            let (reads, mount) = (&reads, &w.mount);
            scope.spawn(move || {
                // Another order for each, without randomness: steps that 8 does not divide.
                for n in (0..).map(|step: u32| (step * (2 * reader + 1) + reader) % KEYS) {
                    if begun.elapsed() > lasts {
                        return Ok(());
                    }
                    let opened = File::open(mount.path(key(n)));
                    let mut film = Reader::new(&key(n), opened.map_err(|error| format!("open: {error}"))?);
                    let bytes = film.file.metadata().map_err(|error| format!("fstat: {error}"))?.len();
                    match film.read_to_end() {
                        Ok(saw) if saw.bytes == bytes => reads.fetch_add(1, Ordering::Relaxed),
                        other => return Err(format!("{} of {bytes} bytes read as {other:?}", key(n))),
                    };
                }
                Ok(())
            })
        });
        let readers: Vec<_> = readers.collect();
        let outcomes: Vec<Result<(), String>> = readers.into_iter().map(|r| r.join().expect("no panic")).collect();
        over.store(true, Ordering::Relaxed);
        writer.join().expect("no panic");
        assert_eq!(outcomes, vec![Ok(()); READERS as usize]);
    });
    let (reads, writes) = (reads.into_inner(), writes.into_inner());
    assert!(reads >= READERS.into() && writes >= KEYS.into(), "{reads} reads, {writes} replacements");
}

fn lasts() -> Duration {
    Duration::from_secs(if require::everything_is_required() { 15 } else { 5 })
}

/// Rule R16.
#[test]
fn readers_of_objects_that_are_replaced_ceaselessly_see_one_version_each_and_no_error() {
    let Some(w) = World::plain() else { return };
    readers_of_objects_that_are_replaced_ceaselessly(&w, SIZE, lasts());
}

#[test]
fn the_same_on_a_versioned_bucket() {
    let Some(w) = World::versioned() else { return };
    // Versions pile up in memory: smaller ones.
    readers_of_objects_that_are_replaced_ceaselessly(&w, MIB, lasts() / 2);
}

/// Rule R16.
#[test]
fn the_same_from_a_service_far_away() {
    if require::fuse() {
        let w = World::of(Embedded::start_far_away(Versioning::Off, Duration::from_millis(30)), &[]);
        readers_of_objects_that_are_replaced_ceaselessly(&w, MIB, lasts());
    }
}
