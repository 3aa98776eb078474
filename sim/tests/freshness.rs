//! What a name means, for how long that is taken for granted, and what it costs to find out.

use std::time::Duration;

use futures_util::future::join_all;
use holdfast::config::Hold;
use holdfast::error::Errno;
use holdfast::op::{Ino, Op, Reply};
use holdfast_sim::{FaultKind, KIB, Kind, MIB, Mutation, World, WorldConfig, get, head, version};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A mount that takes names for granted for a minute.
fn patient() -> WorldConfig {
    WorldConfig::calm().mounted(|mount| mount.metadata_ttl = seconds(60))
}

/// A mount that asks at each look-up.
fn doubtful() -> WorldConfig {
    WorldConfig::calm().mounted(|mount| (mount.metadata_ttl, mount.negative_metadata_ttl) = Default::default())
}

/// (HEADs, LISTs, GETs) that `story` costs.
fn cost(w: &mut World, story: impl FnOnce(&mut World)) -> (u64, u64, u64) {
    let count = |w: &World| {
        let requests = w.s3().requests();
        (requests.of(Kind::Head), requests.of(Kind::List), requests.of(Kind::Get))
    };
    let before = count(w);
    story(w);
    let after = count(w);
    (after.0 - before.0, after.1 - before.1, after.2 - before.2)
}

// What things cost.

#[test]
fn a_lookup_costs_one_head_and_one_list() {
    let mut w = World::calm();
    w.s3().put("d/film", version(1), MIB);
    assert_eq!(cost(&mut w, |w| drop(w.app().stat("/d"))), (1, 1, 0));
    assert_eq!(cost(&mut w, |w| drop(w.app().stat("/d/film"))), (1, 1, 0));
    assert_eq!(cost(&mut w, |w| drop(w.app().stat("/d/film"))), (0, 0, 0));
    w.wait(seconds(2));
    let (heads, lists, gets) = cost(&mut w, |w| drop(w.app().stat("/d/film")));
    assert!(heads <= 2 && lists <= 2 && gets == 0, "{heads} {lists} {gets}");
}

#[test]
fn the_requests_of_a_lookup_are_sent_together() {
    let mut w = World::calm();
    w.s3().put("film", version(1), MIB);
    w.app().stat("/film").unwrap();
    assert_eq!(w.now().0, millis(10));
}

#[test]
fn a_small_file_costs_one_get_from_open_to_close() {
    let mut w = World::calm();
    for (n, size) in [(1, 0), (2, 1), (3, 64 * KIB), (4, 4 * MIB)] {
        w.s3().put("note", version(n), size);
        w.wait(seconds(2));
        w.app().stat("/note").unwrap();
        assert_eq!(cost(&mut w, |w| assert_eq!(w.app().cat("/note"), Ok(version(n)))), (0, 0, 1));
    }
}

/// Rule R15.
#[test]
fn opening_again_within_the_ttl_costs_nothing() {
    let mut w = World::calm();
    w.s3().put("note", version(1), MIB);
    w.app().cat("/note").unwrap();
    let requests = w.s3().requests().total();
    w.app().cat("/note").unwrap();
    assert_eq!(w.s3().requests().total(), requests);
}

#[test]
fn reading_again_an_unchanged_file_after_the_ttl_costs_a_lookup_and_no_bytes() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    w.app().cat("/film").unwrap();
    w.wait(seconds(100));
    assert_eq!(cost(&mut w, |w| assert_eq!(w.app().cat("/film"), Ok(version(1)))), (1, 1, 0));
}

#[test]
fn a_large_file_read_from_end_to_end_costs_one_get() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 64 * MIB);
    assert_eq!(cost(&mut w, |w| assert_eq!(w.app().cat("/film"), Ok(version(1)))), (1, 1, 1));
    assert!(w.s3().requests().bytes_delivered <= 64 * MIB);
}

#[test]
fn a_name_that_was_just_listed_costs_nothing() {
    let mut w = World::calm();
    w.s3().put("d/film", version(1), MIB);
    w.app().stat("/d").unwrap();
    assert_eq!(cost(&mut w, |w| drop(w.app().readdir("/d"))), (0, 1, 0));
    assert_eq!(cost(&mut w, |w| drop(w.app().stat("/d/film"))), (0, 0, 0));
    w.kernel().drop_caches();
    assert_eq!(cost(&mut w, |w| drop(w.app().stat("/d/film"))).2, 0);
}

#[test]
fn a_name_listed_without_plus_costs_nothing_either() {
    let mut config = WorldConfig::calm();
    config.kernel.plus = false;
    let mut w = World::new(config);
    w.s3().put("film", version(1), MIB);
    w.app().readdir("/").unwrap();
    assert_eq!(cost(&mut w, |w| drop(w.app().stat("/film"))), (0, 0, 0));
}

#[test]
fn a_missing_name_is_remembered_for_its_ttl() {
    let mut w = World::calm();
    assert_eq!(w.app().stat("/film"), Err(Errno::ENOENT));
    assert_eq!(cost(&mut w, |w| assert_eq!(w.app().stat("/film"), Err(Errno::ENOENT))), (0, 0, 0));
    w.s3().put("film", version(1), MIB);
    w.wait(millis(1001));
    assert!(w.app().stat("/film").is_ok());
}

#[test]
fn fstat_and_reads_of_an_open_file_ask_for_no_metadata() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    let film = w.app().open("/film");
    w.wait(seconds(3600));
    assert_eq!(cost(&mut w, |w| assert_eq!(w.app().fstat(film).size, 24 * MIB)), (0, 0, 0));
    assert_eq!(cost(&mut w, |w| assert_eq!(w.app().read_to_end(film), Ok(version(1)))).0, 0);
}

// Time.

/// Rule R14.
#[test]
fn freshness_counts_from_when_the_request_began() {
    // The server looks at the key at once and answers slowly: the answer is old when it comes.
    let mut config = WorldConfig::calm();
    config.store.after = millis(900)..=millis(900);
    let mut w = World::new(config);
    w.s3().put("film", version(1), MIB);
    w.app().stat("/film").unwrap();
    w.s3().replace("film", version(2), 2 * MIB);
    w.wait(millis(100));
    assert_eq!(w.app().stat("/film").map(|attr| attr.size), Ok(2 * MIB));
}

/// Rule R14.
#[test]
fn a_replacement_shows_after_the_ttl_and_no_later() {
    let mut w = World::calm();
    w.s3().put("film", version(1), MIB);
    w.app().stat("/film").unwrap();
    w.s3().replace("film", version(2), 2 * MIB);
    w.wait(millis(1000));
    assert_eq!(w.app().stat("/film").map(|attr| attr.size), Ok(2 * MIB));
    assert_eq!(w.app().cat("/film"), Ok(version(2)));
}

/// Rule R14.
#[test]
fn with_a_ttl_of_zero_every_open_is_fresh() {
    let mut w = World::new(doubtful());
    for n in 1..20 {
        w.s3().put("film", version(n), u64::from(n) * MIB);
        assert_eq!(w.app().stat("/film").map(|attr| attr.size), Ok(u64::from(n) * MIB));
        assert_eq!(w.app().cat("/film"), Ok(version(n)));
        w.wait(millis(100));
    }
    w.s3().delete("film");
    assert_eq!(w.app().try_open("/film"), Err(Errno::ENOENT));
}

/// Rule R18.
#[test]
fn a_slow_and_stale_answer_does_not_override_a_newer_one() {
    for config in [patient(), doubtful()] {
        let mut w = World::new(config);
        w.s3().put("film", version(1), 24 * MIB);
        w.app().stat("/film").unwrap();
        w.wait(seconds(61));
        // This HEAD sees version 1 and takes two seconds to say so.
        w.s3().fault(head("film").nth(1), FaultKind::AnswerSlow(seconds(2)));
        w.s3().after(head("film").nth(1), Mutation::put("film", version(2), 20 * MIB));
        let (slow, process, handle) = (w.process(), w.process(), w.handle());
        let early = async move { slow.stat("/film").await.map(|attr| attr.size) };
        let film = async move {
            handle.sleep(millis(20)).await;
            let film = process.open("/film").await.unwrap();
            process.read(film, 0..MIB).await.unwrap();
            film
        };
        let (early, film) = w.run(futures_util::future::join(early, film));
        assert_eq!(early, Ok(20 * MIB), "its answer was out of date before it came");
        assert_eq!(w.app().hold(film), "current");
        assert_eq!(w.app().read_to_end(film), Ok(version(2)));
    }
}

// Reopening.

#[test]
fn a_file_replaced_while_its_name_is_taken_for_granted_is_opened_anew_at_once() {
    for versioned in [false, true] {
        let config = if versioned { patient().versioned() } else { patient() };
        let mut w = World::new(config);
        w.s3().put("film", version(1), 24 * MIB);
        let film = w.app().open("/film");
        w.app().read(film, 0..MIB);
        w.app().close(film);
        w.s3().replace("film", version(2), 24 * MIB);
        w.wait(seconds(1));
        assert_eq!(w.app().cat("/film"), Ok(version(2)), "versioned: {versioned}");
    }
}

#[test]
fn the_old_handle_goes_on_while_the_name_is_opened_anew() {
    let mut w = World::new(patient());
    w.s3().put("film", version(1), 24 * MIB);
    let old = w.app().open("/film");
    w.app().read(old, 0..MIB);
    w.s3().replace("film", version(2), 20 * MIB);
    let new = w.app().open("/film");
    w.app().read(new, 0..MIB);
    assert_eq!(w.app().read_to_end(old), Ok(version(1)));
    assert_eq!(w.app().fstat(new).size, 20 * MIB);
    assert_eq!(
        w.app().read_to_end(new),
        Ok(if w.app().ino(old) == w.app().ino(new) { version(1) } else { version(2) })
    );
}

/// Rule R16.
#[test]
fn ceaseless_replacement_never_makes_an_open_fail() {
    let full = patient().mounted(|mount| mount.hold = Hold::Full);
    let off = patient().mounted(|mount| mount.hold = Hold::Off);
    for config in [patient(), doubtful(), WorldConfig::calm(), patient().versioned(), full, off] {
        let held = config.mount.hold != Hold::Off;
        for read_first in [0, MIB, 24 * MIB] {
            let mut w = World::new(config.clone());
            w.s3().put("film", version(1), 24 * MIB);
            let film = w.app().open("/film");
            w.app().read(film, 0..read_first);
            w.app().close(film);
            // Before every request that the mount sends, the object is replaced.
            for n in 1..40 {
                w.s3().before(get("film").nth(n), Mutation::put("film", version(1 + 2 * n as u32), 24 * MIB));
                w.s3().before(head("film").nth(n), Mutation::put("film", version(2 + 2 * n as u32), 24 * MIB));
            }
            for _ in 0..4 {
                let opened = w.app().try_open("/film");
                let film = opened.unwrap_or_else(|errno| panic!("{errno:?} after reading {read_first}"));
                let read = w.app().read_to_end(film);
                assert!(read.is_ok() || !held, "{read:?}");
                w.app().close(film);
                w.wait(millis(1500));
            }
        }
    }
}

#[test]
fn a_name_that_an_open_brought_up_to_date_does_not_stay_behind_for_longer_than_the_ttl() {
    let mut w = World::new(doubtful());
    w.s3().put("film", version(1), 24 * MIB);
    w.app().stat("/film").unwrap();
    // The open finds another version than the look-up did.
    w.s3().before(get("film").nth(1), Mutation::put("film", version(2), 20 * MIB));
    let film = w.app().open("/film");
    w.s3().replace("film", version(3), 10 * MIB);
    assert_eq!(w.app().stat("/film").map(|attr| attr.size), Ok(10 * MIB));
    w.app().close(film);
}

#[test]
fn a_version_that_came_back_can_be_opened() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 128 * MIB);
    let film = w.app().open("/film");
    for at in [120, 60, 90, 30, 100, 40, 70, 50] {
        w.app().pread(film, at * MIB..at * MIB + 4 * KIB).unwrap();
    }
    w.s3().replace("film", version(2), 128 * MIB);
    assert_eq!(w.app().pread(film, 55 * MIB..56 * MIB), Err(Errno::ESTALE));
    // All within a second, so that the dates are equal too.
    w.s3().replace("film", version(1), 128 * MIB);
    assert_eq!(w.app().cat("/film"), Ok(version(1)));
    w.wait(seconds(5));
    assert_eq!(w.app().cat("/film"), Ok(version(1)));
}

#[test]
fn a_file_replaced_by_an_empty_one_and_back_is_opened_each_time() {
    for config in [patient(), WorldConfig::calm()] {
        let mut w = World::new(config);
        w.s3().put("film", version(1), 24 * MIB);
        for n in 2..8 {
            let film = w.app().open("/film");
            w.app().read(film, 0..KIB);
            w.app().close(film);
            let size = if n % 2 == 0 { 0 } else { 24 * MIB };
            w.s3().replace("film", version(n), size);
            w.wait(seconds(1));
            assert!(w.app().cat("/film").is_ok());
        }
    }
}

#[test]
fn a_file_deleted_while_its_name_is_taken_for_granted_is_called_absent() {
    let mut w = World::new(patient());
    w.s3().put("film", version(1), 24 * MIB);
    w.app().stat("/film").unwrap();
    w.s3().delete("film");
    assert_eq!(w.app().try_open("/film"), Err(Errno::ENOENT));
}

#[test]
fn a_file_that_became_a_directory_is_found_so() {
    let mut w = World::new(patient());
    w.s3().put("a", version(1), 24 * MIB);
    let old = w.app().open("/a");
    w.app().read(old, 0..MIB);
    w.s3().delete("a");
    w.s3().put("a/b", version(1), MIB);
    w.wait(seconds(61));
    assert_eq!(w.app().cat("/a/b"), Ok(version(1)));
    assert_eq!(w.app().read_to_end(old), Ok(version(1)));
    w.s3().delete("a/b");
    w.s3().put("a", version(2), 10 * MIB);
    w.wait(seconds(61));
    assert_eq!(w.app().cat("/a"), Ok(version(2)));
}

// Races.

#[test]
fn lookups_opens_and_forgets_may_overlap_in_any_order() {
    for seed in 0..40 {
        let mut w = World::rough(seed);
        w.s3().put("d/film", version(1), 2 * MIB);
        let process = w.process();
        let tasks = (0..6).map(|n| {
            let (process, kernel, handle) = (process.clone(), w.kernel().clone(), w.handle());
            async move {
                for round in 0..6 {
                    match (n + round) % 3 {
                        0 => kernel.drop_caches(),
                        1 => drop(process.stat("/d/film").await.unwrap()),
                        _ => {
                            let film = process.open("/d/film").await.unwrap();
                            process.pread(film, 0..KIB).await.unwrap();
                            process.close(film).await.unwrap();
                        }
                    }
                    handle.sleep(millis(n * 37 % 11 * 40)).await;
                }
            }
        });
        let tasks: Vec<_> = tasks.collect();
        w.run(join_all(tasks));
    }
}

#[test]
fn a_forgotten_parent_does_not_break_an_open_child() {
    let mut w = World::calm();
    w.s3().put("d/film", version(1), 24 * MIB);
    let film = w.app().open("/d/film");
    w.app().read(film, 0..MIB);
    let Ok(Reply::Entry(entry)) = w.ask(Op::Lookup { parent: Ino::ROOT, name: b"d".to_vec() }) else { panic!() };
    let directory = entry.attr.unwrap().ino;
    // More than the kernel ever may: the directory is gone, the file's handle is not.
    w.ask(Op::Forget { ino: directory, count: 2 }).unwrap();
    w.s3().replace("d/film", version(2), 24 * MIB);
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
    assert_eq!(w.app().fstat(film).size, 24 * MIB);
}

#[test]
fn two_openers_of_a_replaced_file_both_get_the_new_one() {
    for seed in 0..20 {
        let mut config = WorldConfig::rough(seed).mounted(|mount| mount.metadata_ttl = seconds(60));
        config.store.chunk = Duration::ZERO..=millis(1);
        let mut w = World::new(config);
        w.s3().put("film", version(1), 10 * MIB);
        let film = w.app().open("/film");
        w.app().read(film, 0..MIB);
        w.app().close(film);
        w.s3().replace("film", version(2), 10 * MIB);
        let openers = (0..3).map(|_| {
            let process = w.process();
            async move {
                let film = process.open("/film").await?;
                process.read_to_end(film).await
            }
        });
        let read = w.run(join_all(openers.collect::<Vec<_>>()));
        assert_eq!(read, [Ok(version(2)); 3]);
    }
}

#[test]
fn a_cold_open_that_was_overtaken_knows_that_it_is_superseded() {
    for seed in 0..60 {
        // Any two requests may overtake each other.
        let mut config = WorldConfig::rough(seed).mounted(|mount| mount.metadata_ttl = seconds(60));
        config.store.after = Duration::ZERO..=millis(300);
        config.store.chunk = Duration::ZERO..=millis(1);
        let mut w = World::new(config);
        w.s3().put("film", version(1), 10 * MIB);
        w.app().stat("/film").unwrap();
        // The opening GET sees version 1; meanwhile a listing sees version 2.
        w.s3().after(get("film").nth(1), Mutation::put("film", version(2), 10 * MIB));
        let (process, lister, handle) = (w.process(), w.process(), w.handle());
        let opening = async move { process.open("/film").await };
        let listing = async move {
            handle.sleep(millis(60)).await;
            lister.readdir("/").await
        };
        let (film, listed) = w.run(futures_util::future::join(opening, listing));
        let (film, _) = (film.unwrap(), listed.unwrap());
        w.wait(seconds(10));
        w.s3().down_for(seconds(1));
        w.wait(seconds(3600));
        let read = w.app().read_to_end(film);
        assert!(read.is_ok(), "seed {seed}: {read:?}");
    }
}
