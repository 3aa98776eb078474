//! What operations cost, as the server counts it.

use std::thread::sleep;

use holdfast_sim::version;

use crate::reader::{KIB, MIB, saw};
use crate::remote::Remote;
use crate::shell::output;
use crate::world::{PAST_TTL, World};

const GET: &str = "GetObject";
const HEAD: &str = "HeadObject";
const LIST: &str = "ListObjectsV2";

#[test]
fn a_cold_small_file_costs_one_look_up_and_one_get() {
    let Some(w) = World::plain() else { return };
    w.put("deep/down/note", version(1), 100 * KIB);
    std::fs::metadata(w.path("deep/down")).expect("a directory");
    w.reset_stats();
    assert_eq!(w.open("deep/down/note").key_is("deep/down/note").read_to_end(), saw(version(1), 100 * KIB));
    let stats = w.stats();
    assert_eq!(stats.count(GET), 1, "{stats:?}");
    assert!(stats.count(HEAD) <= 1 && stats.count(LIST) <= 1, "{stats:?}");
    assert_eq!(stats.total(), stats.count(GET) + stats.count(HEAD) + stats.count(LIST), "{stats:?}");
}

/// Rule R22.
#[test]
fn a_cold_name_costs_at_most_one_head_and_one_list() {
    let Some(w) = World::plain() else { return };
    w.put("note", version(1), 100 * KIB);
    w.put("directory/note", version(1), 100 * KIB);
    for name in ["note", "directory", "missing"] {
        w.reset_stats();
        let _ = std::fs::metadata(w.path(name));
        let stats = w.stats();
        assert!(stats.count(HEAD) <= 1 && stats.count(LIST) <= 1 && stats.total() <= 2, "{name}: {stats:?}");
    }
}

/// Rule R22.
#[test]
fn names_just_listed_cost_nothing() {
    let Some(w) = World::with(&["--metadata-ttl", "60"]) else { return };
    (0..300).for_each(|n| w.put(&format!("d/note-{n:03}"), version(1), n));
    w.put("d/e/f", version(1), 1);
    let listed = std::fs::read_dir(w.path("d")).expect("a directory").count();
    assert_eq!(listed, 301);
    w.reset_stats();
    for n in 0..300 {
        assert_eq!(std::fs::metadata(w.path(&format!("d/note-{n:03}"))).expect("listed").len(), n);
    }
    assert!(std::fs::metadata(w.path("d/e")).expect("listed").is_dir());
    assert_eq!(w.stats().total(), 0, "{:?}", w.stats());
}

#[test]
fn ls_l_of_a_directory_costs_its_pages() {
    let Some(w) = World::plain() else { return };
    (0..2500).for_each(|n| w.put(&format!("d/{n:04}"), version(1), 10));
    std::fs::metadata(w.path("d")).expect("a directory");
    w.reset_stats();
    let ls = output(std::process::Command::new("ls").args(["-l", "--"]).arg(w.path("d")));
    assert!(ls.status.success() && ls.stderr.is_empty(), "{ls:?}");
    let stats = w.stats();
    assert!(stats.total() <= 3 + 2, "3 pages, and at most one look-up: {stats:?}");
}

#[test]
fn an_unchanged_file_read_again_within_the_ttl_costs_nothing() {
    let Some(w) = World::with(&["--metadata-ttl", "60"]) else { return };
    for (key, size) in [("note", 100 * KIB), ("film", 20 * MIB)] {
        w.put(key, version(1), size);
        assert_eq!(w.open(key).read_to_end(), saw(version(1), size));
        w.reset_stats();
        for _ in 0..3 {
            assert_eq!(w.open(key).read_to_end(), saw(version(1), size));
        }
        assert_eq!(w.stats().total(), 0, "{key}: {:?}", w.stats());
    }
}

#[test]
fn an_unchanged_file_read_again_later_costs_no_data_request() {
    let Some(w) = World::plain() else { return };
    for (key, size) in [("note", 100 * KIB), ("film", 20 * MIB)] {
        w.put(key, version(1), size);
        assert_eq!(w.open(key).read_to_end(), saw(version(1), size));
        sleep(PAST_TTL);
        w.reset_stats();
        assert_eq!(w.open(key).read_to_end(), saw(version(1), size));
        let stats = w.stats();
        assert_eq!(stats.count(GET), 0, "{key}: {stats:?}");
        assert!(stats.count(HEAD) <= 2 && stats.count(LIST) <= 1, "{key}: {stats:?}");
    }
}

/// Rule R17.
#[test]
fn a_missing_name_is_asked_for_once_within_the_negative_ttl() {
    let Some(w) = World::with(&["--negative-metadata-ttl", "60"]) else { return };
    assert!(std::fs::metadata(w.path("missing")).is_err());
    w.reset_stats();
    for _ in 0..20 {
        assert!(std::fs::metadata(w.path("missing")).is_err());
        assert!(std::fs::File::open(w.path("missing")).is_err());
    }
    assert_eq!(w.stats().total(), 0, "{:?}", w.stats());
}

#[test]
fn a_sequential_read_fetches_each_byte_once() {
    let Some(w) = World::plain() else { return };
    w.put("film", version(1), 64 * MIB);
    w.reset_stats();
    assert_eq!(w.open("film").read_to_end(), saw(version(1), 64 * MIB));
    let stats = w.stats();
    // Two hundredths for an anchor that hops.
    assert!(stats.bytes_out < 64 * MIB * 102 / 100, "{stats:?}");
}

#[test]
fn a_random_read_does_not_fetch_the_whole_object() {
    let Some(w) = World::plain() else { return };
    w.put("film", version(1), 64 * MIB);
    let film = w.open("film").reads_at_random();
    for mib in [40, 3, 57, 22, 11, 50, 30, 61, 16, 36] {
        assert_eq!(film.read_at(mib * MIB..mib * MIB + 4 * KIB), saw(version(1), 4 * KIB));
    }
    let stats = w.stats();
    assert!(stats.bytes_out < 24 * MIB, "ten reads of 4 KiB: {stats:?}");
}

#[test]
fn xattrs_that_nobody_set_cost_nothing() {
    let Some(w) = World::with(&["--metadata-ttl", "60"]) else { return };
    w.put("note", version(1), 100 * KIB);
    std::fs::metadata(w.path("note")).expect("it exists");
    w.reset_stats();
    // As `ls -l` asks for every file.
    for name in ["security.capability", "system.posix_acl_access", "security.selinux", "user.mime_type"] {
        assert!(crate::reader::xattr(&w.path("note"), name).is_err());
    }
    assert_eq!(w.stats().total(), 0, "{:?}", w.stats());
}
