//! When a replacement shows: at the next open of what is not wholly at hand, at the TTL's end otherwise.

use std::thread::sleep;
use std::time::Duration;

use holdfast_sim::version;

use crate::reader::{KIB, MIB, Sight, saw};
use crate::remote::Remote;
use crate::world::{PAST_TTL, World};

#[test]
fn reopening_after_a_replacement_has_the_new_version_at_once() {
    let Some(w) = World::plain() else { return };
    w.put("film", version(1), 64 * MIB);
    let mut film = w.open("film");
    assert_eq!(film.read_until(MIB), saw(version(1), MIB));
    for number in 2..6 {
        w.put("film", version(number), 64 * MIB);
        let mut again = w.open("film");
        assert_eq!(again.read_until(MIB), saw(version(number), MIB));
    }
    assert_eq!(film.read_to_end(), saw(version(1), 63 * MIB));
}

/// Rule R15.
#[test]
fn reopening_has_the_new_version_at_once_also_when_the_name_is_cached_for_a_minute() {
    let Some(w) = World::with(&["--metadata-ttl", "60"]) else { return };
    w.put("film", version(1), 64 * MIB);
    let seen = std::fs::metadata(w.path("film")).expect("it exists");
    assert_eq!(seen.len(), 64 * MIB);
    let mut film = w.open("film");
    assert_eq!(film.read_until(MIB), saw(version(1), MIB));
    for (number, size) in [(2, 64 * MIB), (3, 9 * MIB), (4, 10 * MIB), (5, 70 * MIB)] {
        w.put("film", version(number), size);
        let mut again = w.open("film");
        assert_eq!(again.file.metadata().expect("fstat").len(), size, "version {number}");
        assert_eq!(again.read_until(MIB), saw(version(number), MIB));
    }
    assert_eq!(film.read_to_end(), saw(version(1), 63 * MIB));
}

#[test]
fn a_name_that_was_only_looked_at_opens_as_the_version_that_is_there_now() {
    let Some(w) = World::with(&["--metadata-ttl", "60"]) else { return };
    for (seen, there) in [(300 * KIB, 300 * KIB), (MIB, 0), (0, 10 * MIB), (10 * MIB, 32), (32, 20 * MIB)] {
        let key = format!("from-{seen}-to-{there}");
        w.put(&key, version(1), seen);
        assert_eq!(std::fs::metadata(w.path(&key)).expect("it exists").len(), seen);
        w.put(&key, version(2), there);
        let mut file = w.open(&key);
        assert_eq!(file.file.metadata().expect("fstat").len(), there, "{key}");
        match there {
            0 => assert_eq!(file.read_to_end(), Err(Sight::Nothing), "{key}"),
            _ => assert_eq!(file.read_to_end(), saw(version(2), there), "{key}"),
        }
    }
}

#[test]
fn a_wholly_read_file_shows_its_replacement_once_the_ttl_has_passed() {
    let Some(w) = World::plain() else { return };
    for (key, size) in [("note", 100 * KIB), ("film", 9 * MIB)] {
        w.put(key, version(1), size);
        let mut old = w.open(key);
        assert_eq!(old.read_to_end(), saw(version(1), size));
        w.put(key, version(2), size + KIB);
        sleep(PAST_TTL);
        assert_eq!(w.open(key).read_to_end(), saw(version(2), size + KIB));
        old.drop_pages();
        assert_eq!(w.open(key).read_to_end(), saw(version(2), size + KIB));
        w.delete(key);
        sleep(PAST_TTL);
        assert!(std::fs::File::open(w.path(key)).is_err(), "deleted");
    }
}

#[test]
fn with_a_minimal_ttl_every_stat_and_open_shows_what_is_there_now() {
    let Some(w) = World::with(&["--metadata-ttl", "minimal"]) else { return };
    for number in 1..12 {
        let size = u64::from(number) * 1000;
        w.put("note", version(number), size);
        assert_eq!(std::fs::metadata(w.path("note")).expect("stat").len(), size);
        assert_eq!(w.open("note").read_to_end(), saw(version(number), size));
        w.delete("note");
        assert!(std::fs::metadata(w.path("note")).is_err());
    }
}

#[test]
fn a_new_object_shows_once_the_negative_ttl_has_passed() {
    let Some(w) = World::with(&["--metadata-ttl", "60", "--negative-metadata-ttl", "0.3"]) else { return };
    assert!(std::fs::metadata(w.path("note")).is_err());
    w.put("note", version(1), 1000);
    sleep(Duration::from_millis(600));
    assert_eq!(w.open("note").read_to_end(), saw(version(1), 1000));
}
