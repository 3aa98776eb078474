//! The network and the service fail: reads survive what can be survived, and nothing wrong is ever given.

use std::time::Duration;

use futures_util::future::join_all;
use holdfast::env::store::{ByteRange, ErrorKind};
use holdfast::error::Errno;
use holdfast_sim::{FaultKind, File, KIB, Kind, MIB, Matcher, World, WorldConfig, get, head, version};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A film of 24 MiB of which the first was read.
fn film(w: &mut World) -> File {
    w.s3().put("film", version(1), 24 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    film
}

/// The ranges of the GETs so far.
fn gets(w: &World) -> Vec<Option<ByteRange>> {
    w.s3().log().into_iter().filter(|entry| entry.asked.kind == Kind::Get).map(|entry| entry.asked.range).collect()
}

// Outages.

#[test]
fn a_server_that_is_back_before_the_deadline_is_not_noticed() {
    let mut w = World::calm();
    let film = film(&mut w);
    w.s3().down_for(seconds(50));
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
    assert!(w.now().0 > seconds(50));
}

#[test]
fn a_server_that_stays_away_is_told_after_the_deadline_and_used_again_when_it_is_back() {
    let mut w = World::calm();
    let film = film(&mut w);
    w.s3().down();
    let began = w.now();
    assert_eq!(w.app().pread(film, 10 * MIB..11 * MIB), Err(Errno::EIO));
    let waited = w.now().since(began);
    assert!(waited >= seconds(50) && waited <= seconds(75), "{waited:?}");
    assert_eq!(w.app().try_open("/other"), Err(Errno::EIO));
    assert_eq!(w.app().readdir("/"), Err(Errno::EIO));
    assert_eq!(w.app().fstat(film).size, 24 * MIB);
    w.s3().up();
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
    assert_eq!(w.app().readdir("/"), Ok(vec!["film".to_string()]));
    assert_eq!(w.app().try_open("/other"), Err(Errno::ENOENT));
}

#[test]
fn requests_that_are_never_answered_are_repeated() {
    for nth in 1..=4 {
        let mut w = World::calm();
        w.s3().fault(Matcher::any().nth(nth), FaultKind::Hangs);
        w.s3().put("film", version(1), 24 * MIB);
        assert_eq!(w.app().cat("/film"), Ok(version(1)));
        assert_eq!(w.app().readdir("/"), Ok(vec!["film".to_string()]));
        assert!(w.now().0 < seconds(30), "{:?}", w.now());
    }
}

#[test]
fn answers_that_are_lost_are_asked_for_again() {
    for nth in 1..=4 {
        let mut w = World::calm();
        w.s3().fault(Matcher::any().nth(nth), FaultKind::AnswerLost);
        w.s3().put("film", version(1), 24 * MIB);
        assert_eq!(w.app().cat("/film"), Ok(version(1)));
        assert_eq!(w.app().readdir("/"), Ok(vec!["film".to_string()]));
    }
}

#[test]
fn every_transient_refusal_is_survived() {
    for kind in [
        ErrorKind::Conflict,
        ErrorKind::Throttled,
        ErrorKind::Unavailable,
        ErrorKind::Unreachable,
        ErrorKind::NoAnswer,
        ErrorKind::InvalidAnswer,
    ] {
        for nth in 1..=3 {
            let mut w = World::calm();
            w.s3().fault(Matcher::any().nth(nth), FaultKind::refused(kind));
            w.s3().put("film", version(1), 24 * MIB);
            assert_eq!(w.app().cat("/film"), Ok(version(1)), "{kind} {nth}");
        }
    }
}

#[test]
fn a_lasting_refusal_has_its_errno() {
    for (kind, errno) in [
        (ErrorKind::AccessDenied, Errno::EACCES),
        (ErrorKind::Archived, Errno::EACCES),
        (ErrorKind::BadCredentials, Errno::EACCES),
        (ErrorKind::InvalidAnswer, Errno::EIO),
        (ErrorKind::InvalidRequest, Errno::EIO),
        (ErrorKind::Unavailable, Errno::EIO),
    ] {
        let mut w = World::calm();
        w.s3().put("film", version(1), 24 * MIB);
        w.app().stat("/film").unwrap();
        w.s3().fault(get("film"), FaultKind::refused(kind));
        assert_eq!(w.app().try_open("/film"), Err(errno), "{kind}");
        w.s3().clear_faults();
        assert_eq!(w.app().cat("/film"), Ok(version(1)), "{kind}");
    }
}

#[test]
fn a_lookup_that_fails_is_not_taken_for_absence() {
    for matcher in [head("film"), Matcher::of(Kind::List)] {
        let mut w = World::calm();
        w.s3().put("film", version(1), MIB);
        w.s3().fault(matcher, FaultKind::refused(ErrorKind::Unavailable));
        assert_eq!(w.app().stat("/film").map(drop), Err(Errno::EIO));
        w.s3().clear_faults();
        assert!(w.app().stat("/film").is_ok());
    }
}

#[test]
fn who_may_not_list_may_still_read_what_he_can_name() {
    let mut w = World::calm();
    w.s3().put("film", version(1), MIB);
    w.s3().fault(Matcher::of(Kind::List), FaultKind::refused(ErrorKind::AccessDenied));
    assert_eq!(w.app().cat("/film"), Ok(version(1)));
    assert_eq!(w.app().readdir("/"), Err(Errno::EACCES));
}

// Bodies.

/// Rule R25.
#[test]
fn a_body_that_breaks_is_resumed_at_its_byte_under_the_same_condition() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    w.s3().fault(get("film").nth(1), FaultKind::BodyBreaks { after: 7 * MIB + 13 });
    assert_eq!(w.app().cat("/film"), Ok(version(1)));
    assert_eq!(gets(&w), [None, Some(ByteRange::From(7 * MIB + 13))]);
}

#[test]
fn a_body_that_ends_early_is_resumed() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    w.s3().fault(get("film").nth(1), FaultKind::BodyEnds { after: 5 * MIB });
    w.s3().fault(get("film").nth(2), FaultKind::BodyEnds { after: 0 });
    assert_eq!(w.app().cat("/film"), Ok(version(1)));
    assert_eq!(gets(&w).len(), 3);
}

#[test]
fn a_body_that_stalls_is_resumed() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    w.s3().fault(get("film").nth(1), FaultKind::BodyStalls { after: 5 * MIB });
    assert_eq!(w.app().cat("/film"), Ok(version(1)));
    assert!(w.now().0 < seconds(20));
}

/// Rule R2.
#[test]
fn a_body_that_runs_over_gives_no_byte_too_many() {
    for size in [0, 100 * KIB, 24 * MIB] {
        let mut w = World::calm();
        w.s3().put("film", version(1), size);
        w.s3().fault(get("film").nth(1), FaultKind::BodyOverflows { by: 5000 });
        assert_eq!(w.app().cat("/film"), Ok(version(1)));
        w.drop_caches();
        assert_eq!(w.app().cat("/film"), Ok(version(1)));
    }
}

#[test]
fn bodies_that_always_break_after_some_progress_still_bring_the_file() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    w.s3().fault(get("film"), FaultKind::BodyBreaks { after: MIB });
    assert_eq!(w.app().cat("/film"), Ok(version(1)));
}

#[test]
fn bodies_that_bring_nothing_are_given_up_at_the_deadline() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    w.s3().fault(get("film"), FaultKind::BodyBreaks { after: 0 });
    let film = w.app().open("/film");
    assert_eq!(w.app().pread(film, 0..MIB), Err(Errno::EIO));
    assert!(w.now().0 < seconds(80));
    w.s3().clear_faults();
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
}

#[test]
fn a_slow_body_is_not_taken_for_a_dead_one() {
    let mut w = World::calm();
    w.s3().put("note", version(1), MIB);
    w.s3().fault(get("note"), FaultKind::BodySlow { chunk: seconds(5) });
    assert_eq!(w.app().cat("/note"), Ok(version(1)));
    assert_eq!(gets(&w).len(), 1);
}

#[test]
fn a_body_that_breaks_while_the_replaced_version_is_drained_is_saved_up_to_there() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    w.s3().fault(get("film").nth(1), FaultKind::BodyBreaks { after: 20 * MIB + 100 });
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    w.s3().replace("film", version(2), 24 * MIB);
    w.wait(seconds(2));
    w.app().stat("/film").unwrap();
    w.wait(seconds(5));
    assert_eq!(w.app().pread(film, 0..20 * MIB), Ok(version(1)));
    assert_eq!(w.app().pread(film, 20 * MIB..21 * MIB), Err(Errno::ESTALE));
}

// Nonsense.

#[test]
fn wrong_answers_are_asked_again_and_never_used() {
    for fault in [FaultKind::RangeShifted(4096), FaultKind::RangeIgnored, FaultKind::EtagWrong] {
        for nth in 2..=4 {
            let mut w = World::mounted(|mount| mount.hold = holdfast::config::Hold::Off);
            w.s3().put("film", version(1), 40 * MIB);
            w.s3().fault(get("film").nth(nth), fault.clone());
            assert_eq!(w.app().cat("/film"), Ok(version(1)), "{fault:?} {nth}");
        }
    }
}

#[test]
fn a_server_that_only_answers_nonsense_gives_eio_and_leaves_nothing_behind() {
    for fault in [FaultKind::RangeShifted(4096), FaultKind::RangeIgnored, FaultKind::EtagWrong] {
        let mut w = World::calm();
        w.s3().put("film", version(1), 128 * MIB);
        let film = w.app().open("/film");
        w.s3().fault(get("film"), fault.clone());
        assert_eq!(w.app().pread(film, 90 * MIB..91 * MIB), Err(Errno::EIO), "{fault:?}");
        w.s3().clear_faults();
        assert_eq!(w.app().pread(film, 90 * MIB..91 * MIB), Ok(version(1)), "{fault:?}");
    }
}

#[test]
fn an_opening_get_with_the_wrong_etag_never_makes_a_version() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    w.s3().fault(get("film").nth(1), FaultKind::EtagWrong);
    // Nobody can tell: the answer names another version than the look-up did, as after a replacement. No oracle here.
    let kernel = w.kernel().clone();
    let _ = w.run(async move { kernel.open("/film").await });
    w.wait(seconds(10));
    assert_eq!(w.app().cat("/film"), Ok(version(1)));
}

#[test]
fn an_opening_get_of_the_wrong_range_is_not_used() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    w.s3().fault(get("film").nth(1), FaultKind::RangeShifted(16));
    assert_eq!(w.app().cat("/film"), Ok(version(1)));
}

#[test]
fn a_store_that_ignores_conditions_is_caught_by_its_etag() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 128 * MIB);
    w.s3().fault(get("film"), FaultKind::ConditionsIgnored);
    let film = w.app().open("/film");
    for at in [120, 60, 90, 30, 100, 40, 70, 50] {
        w.app().pread(film, at * MIB..at * MIB + 4 * KIB).unwrap();
    }
    w.s3().replace("film", version(2), 128 * MIB);
    let read = w.app().pread(film, 110 * MIB..111 * MIB);
    assert!(matches!(read, Err(Errno::ESTALE | Errno::EIO)), "{read:?}");
    assert_eq!(w.app().pread(film, 120 * MIB..120 * MIB + 4 * KIB), Ok(version(1)));
}

// Throttling.

/// Rule R26.
#[test]
fn throttling_slows_everybody_down() {
    let mut w = World::calm();
    for n in 0..40 {
        w.s3().put(format!("note-{n}"), version(1), KIB);
    }
    w.s3().fault(Matcher::any(), FaultKind::refused(ErrorKind::Throttled));
    let process = w.process();
    let reads = (0..40).map(|n| {
        let process = process.clone();
        async move { process.stat(&format!("/note-{n}")).await.map(drop) }
    });
    let reads: Vec<_> = reads.collect();
    let stats = w.run(join_all(reads));
    assert!(stats.iter().all(|stat| *stat == Err(Errno::EIO)));
    let requests = w.s3().requests().total();
    assert!(requests <= 3000, "{requests} requests of 80 in a minute");
    w.s3().clear_faults();
    w.wait(seconds(10));
    let began = w.now();
    assert!(w.app().stat("/note-1").is_ok());
    assert!(w.now().since(began) < seconds(6));
}

#[test]
fn retry_after_is_heeded() {
    let mut w = World::calm();
    w.s3().put("note", version(1), KIB);
    w.s3().fault(get("note").nth(1), FaultKind::throttled(seconds(7)));
    assert_eq!(w.app().cat("/note"), Ok(version(1)));
    assert!(w.now().0 >= seconds(7) && w.now().0 < seconds(10), "{:?}", w.now());
    assert_eq!(gets(&w).len(), 2);
}

#[test]
fn an_outage_costs_few_requests() {
    let mut w = World::calm();
    let film = film(&mut w);
    let before = w.s3().requests().total();
    w.s3().down_for(seconds(55));
    w.app().read_to_end(film).unwrap();
    let requests = w.s3().requests().total() - before;
    assert!(requests < 100, "{requests}");
}

// Rough weather: any order, any latency.

#[test]
fn connections_that_always_break_somewhere_do_not_tear_a_read() {
    for seed in 0..20 {
        let mut config = WorldConfig::rough(seed);
        config.kernel.readahead = true;
        config.store.chunk = Duration::ZERO..=millis(1);
        let mut w = World::new(config);
        w.s3().put("film", version(1), 12 * MIB);
        w.s3().fault(get("film"), FaultKind::BodyBreaks { after: 900 * KIB + seed * 7777 });
        let film = w.app().open("/film");
        w.app().read(film, 0..MIB);
        assert_eq!(w.app().read_to_end(film), Ok(version(1)), "seed {seed}");
    }
}
