//! Under pressure: little memory, slow and stalling services, names that change their kind, strangers that answer.

use std::time::Duration;

use holdfast_sim::{FaultKind, KIB, MIB, Mutation, World, WorldConfig, get, version};

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
