//! An open file holds one version of its object until it is closed, whatever happens to the bucket meanwhile.

use std::time::Duration;

use holdfast::config::Hold;
use holdfast::env::DiskError;
use holdfast::error::Errno;
use holdfast_sim::disk::{DiskFault, DiskOp};
use holdfast_sim::{FaultKind, KIB, Kind, MIB, Matcher, Mutation, World, WorldConfig, get, version};

/// Longer than any TTL, back-off or deadline.
const PAUSE: Duration = Duration::from_secs(3600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn tenths(tenths: u64) -> Duration {
    Duration::from_millis(100 * tenths)
}

// Sequential readers.

/// Rule R1.
#[test]
fn a_reader_finishes_the_version_it_opened_when_the_object_is_replaced() {
    for size in [24 * MIB, 10 * MIB, 40 * MIB] {
        let mut w = World::calm();
        w.s3().put("film", version(1), 24 * MIB);
        let film = w.app().open("/film");
        w.app().read(film, 0..MIB);
        w.s3().replace("film", version(2), size);
        assert_eq!(w.app().read_to_end(film), Ok(version(1)));
        assert_eq!(w.app().fstat(film).size, 24 * MIB);
    }
}

#[test]
fn a_reader_finishes_a_large_film_that_is_replaced_again_and_again() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 64 * MIB);
    let film = w.app().open("/film");
    for n in 0..64 {
        w.app().read(film, n * MIB..(n + 1) * MIB);
        w.s3().replace("film", version(n as u32 + 2), 64 * MIB);
    }
    w.wait(seconds(2));
    assert_eq!(w.app().cat("/film"), Ok(version(65)));
}

#[test]
fn a_reader_finishes_the_version_it_opened_when_the_object_is_deleted() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    w.s3().delete("film");
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
    w.wait(seconds(2));
    assert_eq!(w.app().try_open("/film"), Err(Errno::ENOENT));
}

/// Rule R6.
#[test]
fn a_small_object_is_held_whole_from_its_first_byte() {
    let mut w = World::calm();
    w.s3().put("note", version(1), 2 * MIB);
    let note = w.app().open("/note");
    w.s3().replace("note", version(2), 2 * MIB);
    w.wait(PAUSE);
    assert_eq!(w.app().pread(note, 2 * MIB - 5..2 * MIB), Ok(version(1)));
    assert_eq!(w.app().read_to_end(note), Ok(version(1)));
}

#[test]
fn an_old_handle_and_a_new_one_read_their_versions_side_by_side() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    let old = w.app().open("/film");
    w.app().read(old, 0..MIB);
    w.s3().replace("film", version(2), 24 * MIB);
    w.wait(Duration::from_millis(2500));
    let new = w.app().open("/film");
    assert_ne!(w.app().ino(old), w.app().ino(new));
    for n in 0..24 {
        assert_eq!(w.app().pread(old, n * MIB..(n + 1) * MIB), Ok(version(1)));
        assert_eq!(w.app().pread(new, n * MIB..(n + 1) * MIB), Ok(version(2)));
    }
}

#[test]
fn fstat_of_an_old_handle_goes_on_telling_of_its_version() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 5 * MIB);
    let film = w.app().open("/film");
    let before = w.app().fstat(film);
    w.s3().replace("film", version(2), 6 * MIB);
    w.wait(PAUSE);
    let after = w.app().stat("/film").unwrap();
    assert_eq!(w.app().fstat(film), before);
    assert_eq!(after.size, 6 * MIB);
    assert_ne!(after.ino, before.ino);
    let etag = w.app().xattr(film, "user.s3.etag");
    w.s3().delete("film");
    w.wait(PAUSE);
    assert_eq!(w.app().fstat(film), before);
    assert_eq!(w.app().xattr(film, "user.s3.etag"), etag);
}

#[test]
fn a_reader_that_pauses_past_every_ttl_before_the_end_still_meets_the_end() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 10 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..10 * MIB - 100);
    w.s3().replace("film", version(2), 3 * MIB);
    w.wait(400 * 24 * PAUSE / 400);
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
}

#[test]
fn readahead_out_of_order_holds_one_version_too() {
    let mut config = WorldConfig::rough(7);
    config.kernel.readahead = true;
    let mut w = World::new(config);
    w.s3().put("film", version(1), 24 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    w.s3().replace("film", version(2), 20 * MIB);
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
}

#[test]
fn two_readers_of_one_old_handle_finish_it() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    let first = w.app().open("/film");
    let second = w.app().open("/film");
    w.app().read(first, 0..3 * MIB);
    w.s3().replace("film", version(2), 24 * MIB);
    w.app().read(second, 0..MIB);
    assert_eq!(w.app().read_to_end(first), Ok(version(1)));
    w.app().close(first);
    assert_eq!(w.app().read_to_end(second), Ok(version(1)));
}

#[test]
fn a_mapping_shows_its_version_after_the_descriptor_is_closed_and_the_object_replaced() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    let mapping = w.app().map(film);
    w.app().close(film);
    w.s3().replace("film", version(2), 24 * MIB);
    w.wait(PAUSE);
    for n in 0..24 {
        assert_eq!(w.app().touch(mapping, n * MIB..n * MIB + 1), Ok(version(1)));
    }
    w.app().unmap(mapping);
}

// The lifeboat.

/// A film of which the first mebibyte was read and that was then replaced, which the reader has noticed.
fn replaced_film(config: WorldConfig) -> (World, holdfast_sim::File) {
    let mut w = World::new(config);
    w.s3().put("film", version(1), 24 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    w.s3().replace("film", version(2), 24 * MIB);
    w.wait(seconds(2));
    assert_eq!(w.app().stat("/film").map(|attr| attr.size), Ok(24 * MIB));
    (w, film)
}

/// Rule R7.
#[test]
fn once_a_replacement_is_seen_the_rest_is_drained_and_no_broken_connection_loses_it() {
    let (mut w, film) = replaced_film(WorldConfig::calm());
    w.wait(seconds(5));
    assert_eq!(w.fs().census().lifeboat_bytes, w.disk().used_bytes());
    w.s3().down();
    w.wait(PAUSE);
    assert_eq!(w.app().hold(film), "whole");
    assert_eq!(w.app().pread(film, 20 * MIB..21 * MIB), Ok(version(1)));
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
    w.drop_caches();
    assert_eq!(w.app().pread(film, MIB..24 * MIB), Ok(version(1)));
    w.app().close(film);
    assert_eq!((w.disk().used_bytes(), w.disk().spools()), (0, 0));
    w.s3().up();
}

#[test]
fn a_deletion_that_a_lookup_sees_is_a_sign_of_replacement_too() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    let film = w.app().open("/film");
    w.s3().delete("film");
    w.wait(seconds(2));
    assert_eq!(w.app().stat("/film"), Err(Errno::ENOENT));
    w.wait(seconds(5));
    w.s3().down_for(seconds(1));
    w.wait(PAUSE);
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
}

/// Rule R8.
#[test]
fn with_too_little_hold_max_the_anchor_still_serves_a_sequential_reader() {
    let (mut w, film) = replaced_film(WorldConfig::calm().mounted(|mount| mount.hold_max = 3 * MIB));
    w.wait(seconds(30));
    assert!(w.fs().census().lifeboat_bytes <= 3 * MIB);
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
}

#[test]
fn with_a_full_disk_the_anchor_still_serves_a_sequential_reader() {
    let mut config = WorldConfig::calm();
    config.disk.capacity = 5 * MIB;
    let (mut w, film) = replaced_film(config);
    w.wait(seconds(30));
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
}

#[test]
fn with_a_disk_that_fails_the_anchor_still_serves_a_sequential_reader() {
    for op in [DiskOp::Create, DiskOp::Space, DiskOp::Write] {
        for nth in [1, 3] {
            let mut w = World::calm();
            w.s3().put("film", version(1), 24 * MIB);
            let film = w.app().open("/film");
            w.app().read(film, 0..MIB);
            w.disk().fault(DiskFault { op, nth: Some(nth), error: DiskError::Failed("as the test asked".into()) });
            w.s3().replace("film", version(2), 24 * MIB);
            w.wait(seconds(2));
            w.app().stat("/film").unwrap();
            assert_eq!(w.app().read_to_end(film), Ok(version(1)), "{op:?} {nth}");
        }
    }
}

#[test]
fn a_refused_lifeboat_does_not_let_memory_grow_without_bound() {
    let config = WorldConfig::calm().mounted(|mount| (mount.hold_max, mount.memory_max) = (0, 64 * MIB));
    let mut w = World::new(config);
    w.s3().put("film", version(1), 200 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    w.s3().replace("film", version(2), 24 * MIB);
    w.wait(seconds(2));
    w.app().stat("/film").unwrap();
    for n in 0..200 {
        w.app().read(film, n * MIB..(n + 1) * MIB);
        let memory = w.fs().census().memory_bytes;
        assert!(memory <= 80 * MIB, "{} MiB are in memory after {n} MiB", memory / MIB);
    }
}

// What cannot be held.

/// A film of which somebody read places far from each other, so that no anchor waits.
fn scattered_film(config: WorldConfig) -> (World, holdfast_sim::File) {
    let mut w = World::new(config);
    w.s3().put("film", version(1), 128 * MIB);
    let film = w.app().open("/film");
    for at in [120, 60, 90, 30, 100, 40, 70, 50] {
        w.app().pread(film, at * MIB..at * MIB + 4 * KIB).unwrap();
    }
    w.s3().replace("film", version(2), 64 * MIB);
    (w, film)
}

/// Rule R13.
#[test]
fn ranges_that_nobody_holds_are_lost_now_and_later_while_others_still_read() {
    let (mut w, film) = scattered_film(WorldConfig::calm());
    for _ in 0..3 {
        assert_eq!(w.app().pread(film, 55 * MIB..55 * MIB + KIB), Err(Errno::ESTALE));
        assert_eq!(w.app().pread(film, 50 * MIB..50 * MIB + 4 * KIB), Ok(version(1)));
        w.drop_caches();
        assert_eq!(w.app().pread(film, 120 * MIB..120 * MIB + 4 * KIB), Ok(version(1)));
        w.wait(seconds(100));
    }
    assert_eq!(w.app().fstat(film).size, 128 * MIB);
    let requests = w.s3().requests().of(Kind::Get);
    assert_eq!(w.app().pread(film, 55 * MIB..55 * MIB + KIB), Err(Errno::ESTALE));
    assert_eq!(w.s3().requests().of(Kind::Get), requests, "what is lost is not asked for again");
    assert_eq!(w.app().cat("/film"), Ok(version(2)));
}

#[test]
fn on_a_versioned_bucket_nothing_is_lost() {
    let (mut w, film) = scattered_film(WorldConfig::calm().versioned());
    assert_eq!(w.app().pread(film, 55 * MIB..55 * MIB + KIB), Ok(version(1)));
    w.s3().delete("film");
    w.wait(PAUSE);
    w.drop_caches();
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
}

#[test]
fn on_a_versioned_bucket_a_purged_version_is_lost_but_what_is_held_reads() {
    let (mut w, film) = scattered_film(WorldConfig::calm().versioned());
    let v1 = w.history().of("film")[0].now.clone().unwrap();
    let purge = holdfast::env::store::Delete { key: "film".into(), version_id: v1.version_id, condition: None };
    w.s3().bucket().delete(purge, 0).unwrap();
    for _ in 0..2 {
        assert_eq!(w.app().pread(film, 55 * MIB..55 * MIB + KIB), Err(Errno::ESTALE));
        assert_eq!(w.app().pread(film, 50 * MIB..50 * MIB + 4 * KIB), Ok(version(1)));
    }
}

#[test]
fn with_hold_full_nothing_is_lost() {
    let (mut w, film) = scattered_film(WorldConfig::calm().mounted(|mount| mount.hold = Hold::Full));
    assert_eq!(w.app().pread(film, 55 * MIB..55 * MIB + KIB), Ok(version(1)));
    w.wait(seconds(2));
    w.app().stat("/film").unwrap();
    w.wait(seconds(5));
    w.s3().down();
    w.wait(PAUSE);
    w.drop_caches();
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
    w.s3().up();
}

#[test]
fn with_hold_full_an_anchor_that_waited_for_hours_still_serves() {
    let mut config = WorldConfig::calm().mounted(|mount| mount.hold = Hold::Full);
    config.store.body_idle_max = Some(seconds(60));
    let mut w = World::new(config);
    w.s3().put("film", version(1), 24 * MIB);
    let film = w.app().open("/film");
    w.wait(PAUSE);
    w.s3().replace("film", version(2), 24 * MIB);
    w.wait(seconds(30));
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
}

/// Rule R10.
#[test]
fn with_hold_off_no_request_outlives_its_reads_and_a_replacement_is_told() {
    let mut w = World::mounted(|mount| mount.hold = Hold::Off);
    w.s3().put("film", version(1), 64 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    w.wait(seconds(1));
    assert_eq!(w.s3().bodies_open(), 0);
    w.s3().replace("film", version(2), 64 * MIB);
    assert_eq!(w.app().read_to_end(film), Err(Errno::ESTALE));
    assert_eq!(w.app().pread(film, 0..MIB), Ok(version(1)));
}

#[test]
fn a_seek_back_before_the_anchor_is_lost_only_where_nothing_is_held() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 64 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 40 * MIB..44 * MIB);
    w.wait(seconds(1));
    w.s3().replace("film", version(2), 64 * MIB);
    // Either from the anchor that began at the open, or from the one that the sequential read began.
    assert_eq!(w.app().pread(film, 44 * MIB..64 * MIB), Ok(version(1)));
    assert_eq!(w.app().pread(film, 40 * MIB..44 * MIB), Ok(version(1)));
}

#[test]
fn an_object_put_again_with_the_same_bytes_is_still_the_version_held() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 128 * MIB);
    let film = w.app().open("/film");
    for at in [120, 60, 90, 30, 100, 40, 70, 50] {
        w.app().pread(film, at * MIB..at * MIB + 4 * KIB).unwrap();
    }
    w.wait(seconds(5));
    w.s3().replace("film", version(1), 128 * MIB);
    w.app().stat("/film").unwrap();
    assert_eq!(w.app().pread(film, 55 * MIB..56 * MIB), Ok(version(1)));
}

// Anchors.

#[test]
fn a_connection_that_dies_while_the_reader_pauses_is_resumed_if_nothing_was_replaced() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    w.s3().fault(get("film").nth(1), FaultKind::BodyDiesPaused { longer_than: seconds(3) });
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    w.wait(PAUSE);
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
}

#[test]
fn a_paused_anchor_is_kept_alive_against_servers_that_close_idle_connections() {
    let mut config = WorldConfig::calm();
    config.store.body_idle_max = Some(seconds(30));
    let mut w = World::new(config);
    w.s3().put("film", version(1), 24 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    w.wait(seconds(600));
    w.s3().replace("film", version(2), 24 * MIB);
    w.wait(tenths(1));
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
    assert_eq!(w.s3().requests().of(Kind::Get), 1, "the opening GET was the only one");
}

#[test]
fn a_long_pause_fills_no_memory() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 64 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    w.wait(24 * PAUSE);
    let memory = w.fs().census().memory_bytes;
    assert!(memory <= 40 * MIB, "{} MiB after a day of pause", memory / MIB);
    w.s3().replace("film", version(2), 64 * MIB);
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
}

/// Rule R2.
#[test]
fn an_object_replaced_between_two_ranged_gets_of_one_read_is_never_torn() {
    for at in 1..=3 {
        let mut w = World::mounted(|mount| mount.hold = Hold::Off);
        w.s3().put("film", version(1), 24 * MIB);
        w.s3().before(get("film").nth(at), Mutation::put("film", version(2), 24 * MIB));
        let film = w.app().open("/film");
        let read = w.app().read_to_end(film);
        assert!(read == Err(Errno::ESTALE) || (at == 1 && read == Ok(version(2))), "{at}: {read:?}");
    }
}

#[test]
fn closing_a_replaced_file_frees_what_held_it() {
    let (mut w, film) = replaced_film(WorldConfig::calm());
    w.wait(seconds(5));
    assert!(w.disk().used_bytes() > 0);
    w.app().close(film);
    w.wait(seconds(1));
    assert_eq!((w.disk().used_bytes(), w.fs().census().lifeboat_bytes), (0, 0));
    assert_eq!(w.s3().bodies_open(), 0);
}

#[test]
fn a_drain_that_is_cut_off_loses_only_the_rest() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 64 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    w.s3().replace("film", version(2), 64 * MIB);
    w.app().stat("/film").unwrap();
    w.wait(seconds(2));
    let _ = w.app().stat("/film");
    // Some of the rest is in the lifeboat by now.
    w.wait(Duration::from_millis(20));
    w.s3().down_for(seconds(1));
    w.wait(PAUSE);
    let saved = w.disk().used_bytes();
    assert!(saved > 4 * MIB && saved < 60 * MIB, "{saved}");
    assert_eq!(w.app().pread(film, 0..saved / MIB * MIB), Ok(version(1)));
    assert_eq!(w.app().pread(film, 63 * MIB..64 * MIB), Err(Errno::ESTALE));
    assert_eq!(w.app().fstat(film).size, 64 * MIB);
    assert_eq!(w.app().cat("/film"), Ok(version(2)));
}

#[test]
fn every_get_of_an_open_version_names_it() {
    let (mut w, film) = scattered_film(WorldConfig::calm());
    w.s3().fault(Matcher::of(Kind::Get), FaultKind::ConditionsIgnored);
    // The store ignores the condition: the answer's ETag tells all the same.
    let read = w.app().pread(film, 55 * MIB..55 * MIB + KIB);
    assert!(matches!(read, Err(Errno::EIO | Errno::ESTALE)), "{read:?}");
}

// Several GETs of one version.

#[test]
fn what_an_anchor_delivers_beyond_a_lane_that_died_is_read() {
    for nth in 2..5 {
        for break_after in [100 * KIB, 3 * MIB] {
            let mut config = WorldConfig::calm().mounted(|mount| mount.hold_max = 0);
            let chunk = Duration::from_micros(728);
            config.store.chunk = chunk..=chunk;
            let mut w = World::new(config);
            w.s3().put("film", version(1), 80 * MIB);
            // The reader outruns its connection; while the lanes are being set up, one is refused, for the object was
            // replaced, and another breaks.
            w.s3().before(get("film").nth(nth + 1), Mutation::put("film", version(2), 80 * MIB));
            w.s3().fault(get("film").nth(nth), FaultKind::BodyBreaks { after: break_after });
            let film = w.app().open("/film");
            assert_eq!(w.app().read_to_end(film), Ok(version(1)), "GET {nth} breaks after {break_after}");
            w.drop_caches();
            assert_eq!(w.app().pread(film, 60 * MIB..80 * MIB), Ok(version(1)), "GET {nth} breaks after {break_after}");
        }
    }
}

#[test]
fn two_anchors_of_one_version_are_saved_once() {
    let mut w = World::mounted(|mount| mount.hold_max = 70 * MIB);
    w.s3().put("film", version(1), 64 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    w.app().read(film, 32 * MIB..36 * MIB);
    w.s3().replace("film", version(2), 64 * MIB);
    w.wait(seconds(2));
    w.app().stat("/film").unwrap();
    w.wait(seconds(5));
    assert!(w.fs().census().lifeboat_bytes <= 64 * MIB);
    w.s3().down();
    assert_eq!(w.app().pread(film, 0..64 * MIB), Ok(version(1)));
    w.s3().up();
}

#[test]
fn a_scattered_reader_does_not_take_the_anchor_from_a_viewer() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 128 * MIB);
    let viewer = w.app().open("/film");
    let other = w.app().open("/film");
    w.app().read(viewer, 0..8 * MIB);
    for at in [120, 60, 90, 30, 100, 40, 70, 50] {
        w.app().pread(other, at * MIB..at * MIB + 4 * KIB).unwrap();
    }
    w.s3().replace("film", version(2), 64 * MIB);
    assert_eq!(w.app().read_to_end(viewer), Ok(version(1)));
}

/// What this mount itself publishes of a file takes nothing from those who read it.
#[test]
fn who_reads_a_file_whose_attributes_are_set_here_goes_on_when_it_is_replaced_elsewhere() {
    for hold in [Hold::Auto, Hold::Full] {
        let mut w = World::new(WorldConfig::calm().writable().mounted(|config| {
            config.posix_metadata = true;
            config.hold = hold;
        }));
        w.s3().put("film", version(1), 64 * MIB);
        let film = w.app().open("/film");
        w.app().read(film, 0..MIB);
        let setter = w.process();
        assert_eq!(w.run(async move { setter.chmod("/film", 0o600).await }), Ok(()));
        w.wait(Duration::from_secs(2));
        w.s3().put("film", version(2), 10);
        w.wait(Duration::from_secs(2));
        assert_eq!(w.app().read_to_end(film), Ok(version(1)), "{hold:?}");
    }
}
