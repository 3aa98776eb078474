//! Directories: each name once, whatever the bucket and its pages do meanwhile.

use std::time::Duration;

use holdfast::config::BARREN_PAGES_MAX;
use holdfast::error::Errno;
use holdfast::op::Kind as FileKind;
use holdfast_sim::{FaultKind, KIB, Kind, MIB, Mutation, World, WorldConfig, list, version};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn name(n: u64) -> String {
    format!("name-{n:05}")
}

/// A bucket of `count` small objects at its root.
fn many(config: WorldConfig, count: u64) -> World {
    let w = World::new(config);
    for n in 0..count {
        w.s3().put(name(n), version(1), 16);
    }
    w
}

/// A calm world whose store lists as a directory bucket does.
fn unordered() -> WorldConfig {
    let mut config = WorldConfig::calm();
    config.store.lists_in_order = false;
    config
}

#[test]
fn an_empty_bucket_is_an_empty_directory() {
    let mut w = World::calm();
    assert_eq!(w.app().readdir("/"), Ok(vec![]));
}

#[test]
fn a_listing_of_many_pages_costs_one_request_a_page() {
    for config in [WorldConfig::calm(), unordered()] {
        let mut w = many(config, 3500);
        let listed = w.app().readdir("/").unwrap();
        assert_eq!(listed, (0..3500).map(name).collect::<Vec<_>>());
        assert_eq!(w.s3().requests().of(Kind::List), 4);
    }
}

#[test]
fn names_that_come_and_go_between_pages_do_not_disturb_the_others() {
    for config in [WorldConfig::calm(), unordered()] {
        let mut w = many(config, 3500);
        let changes = [(2, 0), (2, 1500), (3, 10), (3, 2500), (4, 3499), (4, 3)];
        for (page, n) in changes {
            w.s3().before(list("").nth(page), Mutation::delete(name(n)));
            w.s3().before(list("").nth(page), Mutation::put(format!("{}-new", name(n)), version(1), 16));
        }
        // The oracle of `readdir` judges who must be there.
        let listed = w.app().readdir("/").unwrap();
        assert!(listed.len() >= 3494, "{}", listed.len());
        w.wait(seconds(2));
        assert_eq!(w.app().readdir("/").map(|listed| listed.len()), Ok(3500));
    }
}

#[test]
fn replaced_objects_are_listed_once_and_open_as_they_are() {
    let mut w = many(WorldConfig::calm(), 2500);
    for page in 2..=3 {
        w.s3().before(list("").nth(page), Mutation::put(name(7), version(page as u32), 32));
        w.s3().before(list("").nth(page), Mutation::put(name(2400), version(page as u32), 32));
    }
    assert_eq!(w.app().readdir("/").map(|listed| listed.len()), Ok(2500));
    w.wait(seconds(2));
    assert_eq!(w.app().cat(&format!("/{}", name(7))), Ok(version(3)));
    assert_eq!(w.app().cat(&format!("/{}", name(2400))), Ok(version(3)));
}

// Bad servers.

/// Rule R27.
#[test]
fn pages_that_do_not_follow_one_another_are_an_error_and_leave_nothing_behind() {
    for fault in [FaultKind::PageRepeats, FaultKind::PageGoesBack, FaultKind::PageTokenLoops] {
        for page in 2..=3 {
            let mut w = many(WorldConfig::calm(), 3500);
            w.s3().fault(list("").nth(page), fault.clone());
            assert_eq!(w.app().readdir("/"), Err(Errno::EIO), "{fault:?} {page}");
            assert_eq!(w.app().readdir("/").map(|listed| listed.len()), Ok(3500));
        }
    }
}

/// Rule R27.
#[test]
fn tokens_that_lead_in_a_circle_are_an_error() {
    for config in [WorldConfig::calm(), unordered()] {
        let mut w = many(config, 3500);
        w.s3().fault(list(""), FaultKind::PageTokenCircles);
        assert_eq!(w.app().readdir("/"), Err(Errno::EIO));
        assert!(w.s3().requests().of(Kind::List) <= 6);
        w.s3().clear_faults();
        assert_eq!(w.app().readdir("/").map(|listed| listed.len()), Ok(3500));
    }
}

/// Rule R27.
#[test]
fn a_listing_that_goes_on_and_on_without_anything_new_is_an_error() {
    let mut config = unordered();
    config.mount.sizes.list_page_keys = 1;
    let mut w = many(config, BARREN_PAGES_MAX + 10);
    w.s3().fault(list(""), FaultKind::PageGoesBack);
    assert_eq!(w.app().readdir("/"), Err(Errno::EIO));
    // One page brought something. The one too many is asked for twice: `.` and `..` are given out first.
    assert_eq!(w.s3().requests().of(Kind::List), 1 + BARREN_PAGES_MAX + 2);
}

#[test]
fn a_page_that_fails_may_be_read_again_on_the_same_handle() {
    for config in [WorldConfig::calm(), unordered()] {
        let mut w = many(config, 3500);
        w.s3().fault(list("").nth(3), FaultKind::PageTokenLoops);
        let directory = w.app().open_directory("/");
        let (mut names, mut offset, mut errors) = (Vec::new(), 0, 0);
        loop {
            match w.app().read_directory(&directory, offset) {
                Ok(listed) if listed.is_empty() => break,
                Ok(listed) => {
                    offset = listed.last().map_or(offset, |last| last.offset);
                    names.extend(listed.into_iter().map(|entry| entry.name));
                }
                Err(errno) => {
                    assert_eq!(errno, Errno::EIO);
                    errors += 1;
                }
            }
        }
        // Names that are ready are given first, and then the error may have passed.
        assert!(errors <= 1);
        assert_eq!(names[2..], (0..3500).map(name).collect::<Vec<_>>());
    }
}

#[test]
fn a_listing_of_a_store_without_order_survives_a_page_that_does_not_fit() {
    let mut w = many(unordered(), 2500);
    // The last page brings what does not belong there.
    w.s3().fault(list("").nth(3), FaultKind::PageRepeats);
    let directory = w.app().open_directory("/");
    let mut names = std::collections::BTreeSet::new();
    let mut offset = 0;
    loop {
        match w.app().read_directory(&directory, offset) {
            Ok(listed) if listed.is_empty() => break,
            Ok(listed) => {
                offset = listed.last().map_or(offset, |last| last.offset);
                names.extend(listed.into_iter().map(|entry| entry.name));
            }
            Err(errno) => assert_eq!(errno, Errno::EIO),
        }
    }
    assert_eq!(names.len(), 2502);
}

// Files and directories of one name.

#[test]
fn a_directory_shadows_the_file_of_its_name() {
    let mut w = World::calm();
    for key in ["a", "a-1", "a.txt", "a/x", "b", "c/"] {
        w.s3().put(key, version(1), 16);
    }
    let mut listed = w.app().readdir("/").unwrap();
    listed.sort();
    assert_eq!(listed, ["a-1", "a.txt", "a/", "b", "c/"]);
    assert_eq!(w.app().readdir("/a"), Ok(vec!["x".to_string()]));
    assert_eq!(w.app().readdir("/c"), Ok(vec![]));
    assert_eq!(w.app().stat("/a").map(|attr| attr.kind), Ok(FileKind::Directory));
    assert_eq!(w.fs().census().hidden_keys, 1, "the file `a`");
}

#[test]
fn a_file_and_the_directory_that_shadows_it_may_be_pages_apart() {
    let mut w = World::calm();
    w.s3().put("a", version(1), 16);
    for n in 0..2500 {
        w.s3().put(format!("a-{n:04}"), version(1), 16);
    }
    w.s3().put("a/x", version(1), 16);
    let listed = w.app().readdir("/").unwrap();
    assert_eq!(listed.len(), 2501);
    assert!(listed.contains(&"a/".to_string()) && !listed.contains(&"a".to_string()));
}

#[test]
fn a_file_that_was_held_back_for_pages_is_as_old_as_its_own_page() {
    let mut w = World::mounted(|mount| mount.metadata_ttl = seconds(60));
    w.s3().put("a", version(1), 24 * MIB);
    for n in 0..2500 {
        w.s3().put(format!("a-{n:04}"), version(1), 16);
    }
    // The first page shows version 1. Before the second is asked for, version 2 comes and is opened.
    let directory = w.app().open_directory("/");
    let first = w.app().read_directory(&directory, 0).unwrap();
    w.s3().replace("a", version(2), 24 * MIB);
    let a = w.app().open("/a");
    w.app().read(a, 0..MIB);
    let mut offset = first.last().unwrap().offset;
    loop {
        let listed = w.app().read_directory(&directory, offset).unwrap();
        let Some(last) = listed.last() else { break };
        offset = last.offset;
    }
    assert_eq!(w.app().hold(a), "current");
    let gets = w.s3().requests().of(Kind::Get);
    assert_eq!(w.app().cat("/a"), Ok(version(2)));
    assert!(w.s3().requests().of(Kind::Get) <= gets + 1);
    assert_eq!(w.app().pread(a, 20 * MIB..21 * MIB), Ok(version(2)));
}

#[test]
fn names_that_no_path_can_spell_are_hidden_and_counted() {
    let mut w = World::calm();
    let long = "x".repeat(300);
    for key in ["ok", "..", ".", "d//x", "d/./y", "d/z", "nul\0", long.as_str(), "/root"] {
        w.s3().put(key, version(1), 16);
    }
    assert_eq!(w.app().readdir("/"), Ok(vec!["d/".to_string(), "ok".to_string()]));
    let at_root = w.fs().census().hidden_keys;
    assert_eq!(at_root, 5, "`..`, `.`, the NUL, the long one and `/`");
    assert_eq!(w.app().readdir("/d"), Ok(vec!["z".to_string()]));
    assert_eq!(w.fs().census().hidden_keys, at_root + 2);
}

#[test]
fn a_deep_tree_is_walked_by_names() {
    let mut w = World::calm();
    w.s3().put("a/b/c/d/e/film", version(1), 16);
    assert_eq!(w.app().cat("/a/b/c/d/e/film"), Ok(version(1)));
    assert_eq!(w.app().readdir("/a/b/c"), Ok(vec!["d/".to_string()]));
    assert_eq!(w.app().stat("/a/b/x"), Err(Errno::ENOENT));
    assert_eq!(w.app().stat("/a/b/c/d/e/film/x"), Err(Errno::ENOTDIR));
}

#[test]
fn a_mount_of_a_prefix_shows_what_is_beneath_it() {
    let mut w = World::mounted(|mount| mount.prefix = "films/old".into());
    w.s3().put("films/old/film", version(1), 16);
    w.s3().put("films/older", version(1), 16);
    w.s3().put("films/old", version(1), 16);
    assert_eq!(w.app().readdir("/"), Ok(vec!["film".to_string()]));
    assert_eq!(w.app().cat("/film"), Ok(version(1)));
}

// Positions.

#[test]
fn seeking_back_in_an_open_directory_shows_the_same_names_again() {
    let mut w = many(WorldConfig::calm(), 2200);
    let directory = w.app().open_directory("/");
    let mut buffers = Vec::new();
    let mut offset = 0;
    loop {
        let listed = w.app().read_directory(&directory, offset).unwrap();
        let Some(last) = listed.last() else { break };
        let next = last.offset;
        buffers.push((offset, listed));
        offset = next;
        // Whatever happens to the bucket.
        w.s3().delete(name(buffers.len() as u64));
    }
    for (offset, listed) in buffers.iter().rev().filter(|(offset, _)| *offset > 0) {
        let again = w.app().read_directory(&directory, *offset).unwrap();
        let names = |listed: &[holdfast_sim::kernel::Listed]| {
            listed.iter().map(|entry| (entry.name.clone(), entry.offset)).collect::<Vec<_>>()
        };
        let common = listed.len().min(again.len());
        assert_eq!(names(&again)[..common], names(listed)[..common]);
    }
    assert_eq!(w.app().read_directory(&directory, 1 << 40), Ok(vec![]));
    assert_eq!(w.app().read_directory(&directory, u64::MAX), Ok(vec![]));
}

#[test]
fn rewinding_lists_afresh() {
    let mut w = many(WorldConfig::calm(), 10);
    let directory = w.app().open_directory("/");
    assert_eq!(w.app().read_directory(&directory, 0).map(|listed| listed.len()), Ok(12));
    w.s3().delete(name(3));
    assert_eq!(w.app().read_directory(&directory, 0).map(|listed| listed.len()), Ok(11));
}

#[test]
fn two_readers_of_one_directory_handle_fetch_each_page_once() {
    let mut w = many(WorldConfig::calm(), 2500);
    let directory = w.app().open_directory("/");
    let kernel = w.kernel().clone();
    let read = |offset| kernel.read_directory(&directory, offset);
    w.run(futures_util::future::join(read(2), read(2000))).0.unwrap();
    assert!(w.s3().requests().of(Kind::List) <= 3);
}

#[test]
fn the_inode_numbers_of_a_listing_are_those_of_stat() {
    for plus in [false, true] {
        let mut config = WorldConfig::calm();
        config.kernel.plus = plus;
        let mut w = World::new(config);
        w.s3().put("film", version(1), KIB);
        w.s3().put("d/x", version(1), KIB);
        let directory = w.app().open_directory("/");
        let listed = w.app().read_directory(&directory, 0).unwrap();
        for entry in &listed[2..] {
            assert_eq!(w.app().stat(&format!("/{}", entry.name)).map(|attr| attr.ino), Ok(entry.ino));
        }
    }
}

#[test]
fn a_listing_does_not_tell_an_open_file_a_lie() {
    // A listing that began before a replacement ends after the new version was opened.
    let mut w = World::mounted(|mount| mount.metadata_ttl = seconds(60));
    w.s3().put("film", version(1), 24 * MIB);
    w.s3().fault(list("").nth(1), FaultKind::AnswerSlow(seconds(2)));
    w.s3().after(list("").nth(1), Mutation::put("film", version(2), 24 * MIB));
    let (lister, opener, handle) = (w.process(), w.process(), w.handle());
    let listing = async move { lister.readdir("/").await };
    let opening = async move {
        handle.sleep(Duration::from_millis(6)).await;
        opener.open("/film").await
    };
    let (listed, film) = w.run(futures_util::future::join(listing, opening));
    let (film, _) = (film.unwrap(), listed.unwrap());
    assert_eq!(w.app().read_to_end(film), Ok(version(2)));
    assert_eq!(w.app().hold(film), "current");
}
