//! A reader that is faster than one connection is served by several, and is held all the same (Rule R7).

use std::time::Duration;

use holdfast_sim::{FaultKind, MIB, World, WorldConfig, get, version};

const SIZE: u64 = 128 * MIB;

/// A service that sends about 90 MB/s on a connection, as S3 does.
fn slow_connections() -> WorldConfig {
    let mut config = WorldConfig::calm();
    let chunk = Duration::from_micros(728);
    config.store.chunk = chunk..=chunk;
    config
}

#[test]
fn several_connections_serve_a_reader_that_outruns_one() {
    let mut w = World::new(slow_connections());
    w.s3().put("film", version(1), SIZE);
    let began = w.now();
    assert_eq!(w.app().cat("/film"), Ok(version(1)));
    let took = w.now().since(began).as_secs_f64();
    let one_connection = SIZE as f64 / 90e6;
    assert!(took < one_connection / 2.5, "{took:.2} s, one connection takes {one_connection:.2} s");
}

#[test]
fn hopping_wastes_at_most_two_percent() {
    let mut w = World::new(slow_connections());
    w.s3().put("film", version(1), SIZE);
    assert_eq!(w.app().cat("/film"), Ok(version(1)));
    let fetched = w.s3().requests().bytes_delivered;
    assert!(fetched <= SIZE + SIZE / 50, "{fetched} bytes for {SIZE}");
}

#[test]
fn a_fast_connection_is_left_alone() {
    let mut w = World::calm();
    w.s3().put("film", version(1), SIZE);
    assert_eq!(w.app().cat("/film"), Ok(version(1)));
    assert_eq!(w.s3().requests().of(holdfast_sim::Kind::Get), 1);
}

#[test]
fn wherever_the_replacement_falls_the_old_version_is_read_to_its_end() {
    for moment in 0..12 {
        let mut w = World::new(slow_connections());
        w.s3().put("film", version(1), SIZE);
        let film = w.app().open("/film");
        let read = 12 * MIB + moment * 7 * MIB;
        w.app().read(film, 0..read);
        w.s3().replace("film", version(2), SIZE);
        assert_eq!(w.app().read_to_end(film), Ok(version(1)), "replaced after {read} bytes");
    }
}

#[test]
fn a_replacement_between_the_gets_of_one_hop_loses_nothing() {
    for nth in 2..18 {
        let mut w = World::new(slow_connections());
        w.s3().put("film", version(1), SIZE);
        let film = w.app().open("/film");
        w.s3().before(get("film").nth(nth), holdfast_sim::Mutation::put("film", version(2), SIZE));
        assert_eq!(w.app().read_to_end(film), Ok(version(1)), "replaced before GET {nth}");
    }
}

#[test]
fn a_lane_that_breaks_or_never_begins_is_made_good() {
    for nth in (2..18).step_by(3) {
        for fault in [
            FaultKind::BodyBreaks { after: 3 * MIB },
            FaultKind::refused(holdfast::env::store::ErrorKind::Unavailable),
            FaultKind::Hangs,
            FaultKind::RangeShifted(4096),
        ] {
            let mut w = World::new(slow_connections());
            w.s3().put("film", version(1), SIZE);
            w.s3().fault(get("film").nth(nth), fault);
            assert_eq!(w.app().cat("/film"), Ok(version(1)));
        }
    }
}

#[test]
fn the_lanes_stay_within_memory() {
    let mut config = slow_connections().mounted(|config| config.memory_max = 64 * MIB);
    config.store.chunk_bytes = 256 << 10;
    let mut w = World::new(config);
    w.s3().put("film", version(1), SIZE);
    let film = w.app().open("/film");
    for at in (0..SIZE).step_by(4 << 20) {
        w.app().read(film, at..at + 4 * MIB);
        let used = w.fs().census().memory_bytes;
        assert!(used <= 96 * MIB, "{used} bytes at {at}");
    }
}

#[test]
fn a_scattered_reader_does_not_take_the_anchor_that_waits_ahead_of_a_viewer() {
    let mut w = World::new(slow_connections());
    w.s3().put("film", version(1), 2 * SIZE);
    let film = w.app().open("/film");
    w.app().read(film, 0..40 * MIB);
    let other = w.app().open("/film");
    for at in [240, 130, 250, 140, 230, 150, 245, 135] {
        assert_eq!(w.app().pread(other, at * MIB..at * MIB + 4096), Ok(version(1)));
    }
    w.app().close(other);
    w.s3().replace("film", version(2), MIB);
    w.wait(Duration::from_secs(2));
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
}
