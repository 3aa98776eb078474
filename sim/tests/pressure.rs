//! Under pressure: little memory, slow and stalling services, names that change their kind, strangers that answer, and
//! disks that rot.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast::error::Errno;
use holdfast_sim::disk::{Rot, SilentFault};
use holdfast_sim::{FaultKind, File, KIB, Kind, MIB, Mutation, World, WorldConfig, get, version};
use tracing::field::Field;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn little_memory() -> WorldConfig {
    WorldConfig::calm().mounted(|mount| mount.memory_max = 64 * MIB)
}

#[test]
fn a_small_open_file_stays_held_whole_when_others_need_the_memory() {
    let mut w = World::new(little_memory());
    w.s3().put("note", version(1), 4 * MIB);
    w.s3().put("film", version(1), 160 * MIB);
    let note = w.app().open("/note");
    w.wait(seconds(1));
    assert_eq!(w.app().cat("/film"), Ok(version(1)));
    w.s3().replace("note", version(2), 4 * MIB);
    w.wait(seconds(2));
    let _ = w.app().stat("/note");
    assert_eq!(w.app().hold(note), "whole");
    assert_eq!(w.app().read_to_end(note), Ok(version(1)));
}

#[test]
fn many_replaced_files_are_held_on_disk_and_not_in_memory() {
    let mut w = World::new(little_memory());
    let names: Vec<String> = (0..60).map(|n| format!("note{n}")).collect();
    let mut notes = Vec::new();
    for name in &names {
        w.s3().put(name.as_str(), version(1), 4 * MIB);
        notes.push(w.app().open(&format!("/{name}")));
        w.wait(seconds(1));
        w.s3().replace(name.as_str(), version(2), KIB);
        w.wait(seconds(1));
        let _ = w.app().stat(&format!("/{name}"));
        let used = w.fs().census().memory_bytes;
        assert!(
            used <= 72 * MIB,
            "{used} bytes of memory, {} of disk, {} files",
            w.fs().census().lifeboat_bytes,
            notes.len()
        );
    }
    for note in notes {
        assert_eq!(w.app().read_to_end(note), Ok(version(1)));
    }
}

#[test]
fn a_directory_that_takes_a_files_name_takes_nothing_from_its_readers() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 64 * MIB);
    let film = w.app().open("/film");
    for at in [40, 20, 50, 10, 30, 55] {
        assert_eq!(w.app().pread(film, at * MIB..at * MIB + 4 * KIB), Ok(version(1)));
    }
    w.s3().apply(Mutation::put("film/trailer", version(1), KIB));
    w.wait(seconds(2));
    let _ = w.app().stat("/film");
    w.wait(seconds(2));
    assert_eq!(w.app().hold(film), "current", "the object is still there");
    assert_eq!(w.app().pread(film, 5 * MIB..6 * MIB), Ok(version(1)));
    w.s3().delete("film");
    w.s3().delete("film/trailer");
    w.wait(seconds(2));
    assert!(w.app().stat("/film").is_err());
}

#[test]
fn an_anchor_that_stalls_for_less_than_the_deadline_still_brings_the_replaced_version() {
    let mut config = WorldConfig::calm();
    config.store.chunk_bytes = 4 << 20;
    let mut w = World::new(config);
    w.s3().put("film", version(1), 24 * MIB);
    w.s3().fault(get("film").nth(1), FaultKind::BodySlow { chunk: seconds(25) });
    let film = w.app().open("/film");
    w.s3().replace("film", version(2), 24 * MIB);
    w.wait(seconds(2));
    let _ = w.app().stat("/film");
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
}

#[test]
fn an_anchor_that_stalls_unnoticed_is_not_dropped_for_a_get_that_is_refused() {
    let mut config = WorldConfig::calm();
    config.store.chunk_bytes = 4 << 20;
    let mut w = World::new(config);
    w.s3().put("film", version(1), 24 * MIB);
    w.s3().fault(get("film").nth(1), FaultKind::BodySlow { chunk: seconds(25) });
    let film = w.app().open("/film");
    w.s3().replace("film", version(2), 24 * MIB);
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
}

#[test]
fn a_seek_waits_for_a_slow_drain_as_long_as_it_moves() {
    let mut config = WorldConfig::calm().mounted(|mount| {
        mount.deadline = seconds(5);
        mount.attempt_timeout = seconds(5);
    });
    // 2 MB/s.
    let chunk = Duration::from_millis(32);
    config.store.chunk = chunk..=chunk;
    let mut w = World::new(config);
    w.s3().put("film", version(1), 64 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..4 * MIB);
    w.s3().replace("film", version(2), 64 * MIB);
    w.wait(seconds(2));
    let _ = w.app().stat("/film");
    assert_eq!(w.app().pread(film, 60 * MIB..60 * MIB + 4 * KIB), Ok(version(1)));
}

#[test]
fn a_file_that_was_only_given_to_the_kernel_is_not_called_whole() {
    let mut w = World::new(little_memory());
    w.s3().put("film", version(1), 160 * MIB);
    let film = w.app().open("/film");
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
    w.s3().replace("film", version(2), MIB);
    w.wait(seconds(2));
    let _ = w.app().stat("/film");
    assert_eq!(w.app().hold(film), "cached ranges only");
    assert_eq!(w.app().read_to_end(film), Ok(version(1)), "from the page cache");
}

#[test]
fn a_listing_that_meets_a_stray_not_found_fails_and_does_not_end_early() {
    use holdfast::env::store::ErrorKind;
    use holdfast::error::Errno;
    let mut w = World::calm();
    for n in 0..1500 {
        w.s3().put(format!("d/{n:04}"), version(1), KIB);
    }
    for kind in [ErrorKind::NotFound, ErrorKind::NoSuchBucket, ErrorKind::PreconditionFailed] {
        w.s3().fault(holdfast_sim::list("d/"), FaultKind::refused(kind));
        w.wait(seconds(2));
        assert_eq!(w.app().readdir("/d"), Err(Errno::EIO), "{kind:?}");
        w.s3().clear_faults();
        w.wait(seconds(2));
        assert_eq!(w.app().readdir("/d").map(|names| names.len()), Ok(1500));
    }
}

// Disks that give back other bytes than they were given.

/// A film that was replaced after its first MiB was read, and drained into the lifeboat by a disk that harms it.
fn drained_film(what: Rot, nth: u64) -> (World, File) {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    w.disk().rot(SilentFault { what, nth: Some(nth) });
    w.s3().replace("film", version(2), 24 * MIB);
    w.wait(seconds(2));
    w.app().stat("/film").unwrap();
    w.wait(seconds(5));
    assert_eq!(w.app().hold(film), "whole");
    assert!(w.fs().census().lifeboat_bytes > 16 * MIB);
    w.drop_caches();
    (w, film)
}

/// Every MiB of the film is the old version or out of reach, each time it is asked for the same. Those that are.
fn mebibytes_lost(w: &mut World, film: File) -> Vec<u64> {
    let mut lost = Vec::new();
    for n in 0..24 {
        let read = w.app().pread(film, n * MIB..(n + 1) * MIB);
        assert!([Ok(version(1)), Err(Errno::ESTALE)].contains(&read), "{read:?} of MiB {n}");
        w.drop_caches();
        assert_eq!(w.app().pread(film, n * MIB..(n + 1) * MIB), read, "MiB {n} again");
        if read.is_err() {
            lost.push(n);
        }
    }
    lost
}

/// Rule R11.
#[test]
fn what_rots_in_a_lifeboat_is_lost_and_all_else_still_reads() {
    // Reads that are the first of their MiB.
    for nth in [1, 5, 13] {
        let (mut w, film) = drained_film(Rot::Rots, nth);
        let lost = mebibytes_lost(&mut w, film);
        assert_eq!(lost.len(), 1, "read {nth}: {lost:?}");
        assert_eq!(w.app().hold(film), "cached ranges only");
        assert_eq!(w.app().pread(film, 0..MIB), Ok(version(1)), "this is in memory");
        // Only a block of it is lost.
        let at = lost[0] * MIB;
        let blocks = (0..16).filter(|n| w.app().pread(film, at + n * 64 * KIB..at + (n + 1) * 64 * KIB).is_err());
        assert_eq!(blocks.count(), 1);
        assert_eq!(w.app().cat("/film"), Ok(version(2)));
    }
}

/// Rule R11.
#[test]
fn a_write_that_was_torn_or_misplaced_is_never_given_out() {
    for what in [Rot::TornWrite, Rot::MisplacedWrite] {
        for nth in [1, 4, 9] {
            let (mut w, film) = drained_film(what, nth);
            let lost = mebibytes_lost(&mut w, film);
            assert!((1..=4).contains(&lost.len()), "{what:?} {nth}: {lost:?}");
            assert_eq!(w.app().fstat(film).size, 24 * MIB);
        }
    }
}

/// Rule R7.
#[test]
fn one_warning_names_the_disk_that_rots() {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        let (mut w, film) = drained_film(Rot::TornWrite, 4);
        assert_eq!(mebibytes_lost(&mut w, film).len(), 1);
    });
    let lines = lines.0.lock().unwrap();
    let told: Vec<_> = lines.iter().filter(|line| line.contains("the local disk gave back other bytes")).collect();
    assert!(told.len() == 1 && told[0].contains("film"), "{told:?}");
}

/// The warnings of the core.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let lines = self.0.clone();
        event.record(&mut move |field: &Field, value: &dyn Debug| {
            if field.name() == "message" {
                lines.lock().unwrap().push(format!("{value:?}"));
            }
        });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn what_rots_while_the_bucket_still_has_it_is_fetched_again() {
    let mut w = World::new(little_memory());
    w.s3().put("note", version(1), 4 * MIB);
    w.s3().put("film", version(1), 160 * MIB);
    let note = w.app().open("/note");
    w.wait(seconds(1));
    assert_eq!(w.app().cat("/film"), Ok(version(1)));
    assert!(w.fs().census().lifeboat_bytes > 0, "the note has moved");
    w.disk().rot(SilentFault { what: Rot::Rots, nth: None });
    let gets = w.s3().requests().of(Kind::Get);
    assert_eq!(w.app().read_to_end(note), Ok(version(1)));
    assert!(w.s3().requests().of(Kind::Get) > gets);
}

/// A conflict, and a disk that is smaller than the object: what was written of it is kept all the same.
#[test]
fn what_was_written_of_an_object_that_is_larger_than_the_disk_is_kept() {
    let mut config = WorldConfig::calm().writable().versioned();
    config.disk.capacity = 2 * MIB;
    let mut w = World::new(config);
    w.s3().put("film", version(1), 16 * MIB);
    let film = w.app().open_rw("/film");
    w.app().pwrite(film, 15 * MIB, "hello");
    w.s3().put("film", version(2), 10);
    assert_eq!(w.app().try_close(film), Err(Errno::ESTALE));
    let kept = w.disk().kept();
    assert_eq!(kept.len(), 1);
    assert_eq!(&kept[0].bytes[15 * MIB as usize..][..5], b"hello");
}
