//! The simulated store keeps the contract of `holdfast::env::store`, and each fault does what it says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast::env::Env as _;
use holdfast::env::store::{
    Body as _, ByteRange, ErrorKind, Get, GetReply, Key, List, NewObject, Put, ReadConditions, Store as _, StoreError,
    WriteCondition, Written,
};

use super::{Event, FaultKind, Kind, Matcher, SimBody, get};
use crate::content::{identify, piece, version, version_bytes};
use crate::env::SimEnv;
use crate::mutation::Mutation;
use crate::{KIB, MIB, World, WorldConfig, list};

/// Most bytes that a test takes from one body.
const TAKE_ALL: u64 = u64::MAX;

fn ask(key: &str) -> Get {
    Get { key: key.into(), version_id: None, range: None, conditions: ReadConditions::none() }
}

fn within(key: &str, start: u64, end: u64) -> Get {
    Get { range: Some(ByteRange::Within { start, end }), ..ask(key) }
}

async fn open(env: Arc<SimEnv>, request: Get) -> Result<GetReply<SimBody>, StoreError> {
    env.store().get(request).await
}

/// Takes about `bytes_max` bytes, or up to the end or the error.
async fn take(body: &mut SimBody, bytes_max: u64) -> (Vec<u8>, Option<ErrorKind>) {
    let mut taken = Vec::new();
    while (taken.len() as u64) < bytes_max {
        match body.next().await {
            None => break,
            Some(Ok(bytes)) => {
                assert!(!bytes.is_empty());
                taken.extend_from_slice(&bytes);
            }
            Some(Err(error)) => {
                assert!(body.next().await.is_none(), "nothing comes after an error");
                return (taken, Some(error.kind));
            }
        }
    }
    (taken, None)
}

async fn fetch(env: Arc<SimEnv>, request: Get) -> Result<(Vec<u8>, Option<ErrorKind>), ErrorKind> {
    let mut reply = open(env, request).await.map_err(|error| error.kind)?;
    Ok(take(&mut reply.body, TAKE_ALL).await)
}

async fn put(env: Arc<SimEnv>, key: &str, condition: Option<WriteCondition>) -> Result<Written, ErrorKind> {
    let body = Bytes::from_static(b"by the mount");
    let request = Put { key: key.into(), body, object: NewObject::default(), condition };
    env.store().put(request).await.map_err(|error| error.kind)
}

fn film(size: u64) -> (World, Arc<SimEnv>) {
    let w = World::calm();
    w.s3().put("film", version(1), size);
    let env = w.env().clone();
    (w, env)
}

#[test]
fn a_get_that_has_begun_keeps_its_version_through_replacement_and_deletion() {
    let (mut w, env) = film(MIB);
    let mut reply = w.run(open(env, ask("film"))).unwrap();
    let (mut bytes, _) = w.run(take(&mut reply.body, 100 * KIB));
    w.s3().replace("film", version(2), 2 * MIB);
    w.s3().delete("film");
    w.wait(Duration::from_secs(3600));
    let (rest, error) = w.run(take(&mut reply.body, TAKE_ALL));
    bytes.extend(rest);
    assert_eq!((bytes.len() as u64, error), (MIB, None));
    assert_eq!(identify("film", &bytes, 0), Ok(version(1)));
}

#[test]
fn a_request_takes_time_before_it_is_applied_and_before_it_is_answered() {
    let (mut w, env) = film(KIB);
    w.run(env.store().get(ask("film"))).unwrap();
    assert_eq!(w.now().0, Duration::from_millis(10));
    assert_eq!((w.s3().requests().of(Kind::Get), w.s3().requests().total()), (1, 1));
}

#[test]
fn a_mutation_strikes_before_the_request_it_is_tied_to() {
    let (mut w, env) = film(MIB);
    w.s3().before(get("film").nth(2), Mutation::put("film", version(2), MIB));
    let first = w.run(fetch(env.clone(), within("film", 0, 4096))).unwrap().0;
    let second = w.run(fetch(env, within("film", 4096, 8192))).unwrap().0;
    assert_eq!(identify("film", &first, 0), Ok(version(1)));
    assert_eq!(identify("film", &second, 4096), Ok(version(2)));
    assert_eq!(w.s3().hooks_waiting(), 0);
}

#[test]
fn a_mutation_strikes_after_a_chunk_or_after_the_request() {
    let (mut w, env) = film(MIB);
    w.s3().at_chunk(get("film"), 2, Mutation::put("film", version(2), MIB));
    let mut reply = w.run(open(env.clone(), ask("film"))).unwrap();
    w.run(take(&mut reply.body, 64 * KIB));
    assert_eq!(w.history().current("film").unwrap().version, version(1));
    w.run(take(&mut reply.body, 64 * KIB));
    assert_eq!(w.history().current("film").unwrap().version, version(2));

    w.s3().after(Matcher::of(Kind::Put), Mutation::delete("note"));
    w.run(put(env.clone(), "note", None)).unwrap();
    assert_eq!(w.run(fetch(env, ask("note"))), Err(ErrorKind::NotFound));
}

#[test]
fn a_refused_request_is_not_applied_and_a_lost_answer_was() {
    let (mut w, env) = film(KIB);
    w.s3().fault(Matcher::of(Kind::Put).nth(1), FaultKind::refused(ErrorKind::Unavailable));
    w.s3().fault(Matcher::of(Kind::Put).nth(2), FaultKind::AnswerLost);
    assert_eq!(w.run(put(env.clone(), "a", None)), Err(ErrorKind::Unavailable));
    assert_eq!(w.run(put(env, "b", None)), Err(ErrorKind::NoAnswer));
    let bucket = w.s3().bucket();
    assert!(bucket.current("a").is_none() && bucket.current("b").is_some());
}

#[test]
fn an_ambiguous_request_may_be_applied_later() {
    let (mut w, env) = film(KIB);
    w.s3().fault(Matcher::of(Kind::Put), FaultKind::AppliedLate(Duration::from_secs(5)));
    assert_eq!(w.run(put(env, "late", None)), Err(ErrorKind::NoAnswer));
    assert!(w.s3().bucket().current("late").is_none());
    w.wait(Duration::from_secs(6));
    assert!(w.s3().bucket().current("late").is_some());
}

#[test]
fn giving_up_on_a_request_does_not_take_it_back() {
    let (mut w, env) = film(KIB);
    let handle = w.handle();
    w.run(async move {
        let put = Box::pin(put(env, "orphan", None));
        let given_up = Box::pin(handle.sleep(Duration::from_millis(1)));
        futures_util::future::select(put, given_up).await;
    });
    w.wait(Duration::from_secs(1));
    assert!(w.s3().bucket().current("orphan").is_some());
}

#[test]
fn a_hanging_request_is_named_when_the_world_gets_stuck() {
    let (mut w, env) = film(KIB);
    w.s3().fault(get("film"), FaultKind::Hangs);
    let stuck = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| w.run(fetch(env, ask("film")))));
    let message = *stuck.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("deadlock") && message.contains("s3 GET"), "{message}");
}

#[test]
fn a_body_breaks_ends_or_overflows_where_it_was_told_to() {
    let (mut w, env) = film(300_000);
    w.s3().fault(get("film").nth(1), FaultKind::BodyBreaks { after: 100_000 });
    w.s3().fault(get("film").nth(2), FaultKind::BodyEnds { after: 65_536 });
    w.s3().fault(get("film").nth(3), FaultKind::BodyOverflows { by: 10 });
    let mut lengths = Vec::new();
    for _ in 0..4 {
        let (bytes, error) = w.run(fetch(env.clone(), ask("film"))).unwrap();
        lengths.push((bytes.len(), error));
    }
    let broken = Some(ErrorKind::BrokenBody);
    assert_eq!(lengths, [(100_000, broken), (65_536, None), (300_010, None), (300_000, None)]);
    assert_eq!(w.s3().requests().bytes_delivered, 765_546);
    assert_eq!(w.s3().bodies_open(), 0);
}

#[test]
fn a_body_stalls_for_ever_without_blocking_its_reader() {
    let (mut w, env) = film(MIB);
    w.s3().fault(get("film"), FaultKind::BodyStalls { after: 128 * KIB });
    let mut reply = w.run(open(env, ask("film"))).unwrap();
    w.run(take(&mut reply.body, 128 * KIB));
    let handle = w.handle();
    let gave_up = w.run(async {
        let next = std::pin::pin!(reply.body.next());
        let deadline = handle.sleep(Duration::from_secs(600));
        matches!(futures_util::future::select(next, deadline).await, futures_util::future::Either::Right(_))
    });
    assert!(gave_up);
}

#[test]
fn a_paused_body_dies_and_a_slow_one_does_not() {
    let (mut w, env) = film(MIB);
    w.s3().fault(get("film"), FaultKind::BodyDiesPaused { longer_than: Duration::from_secs(60) });
    w.s3().fault(get("film"), FaultKind::BodySlow { chunk: Duration::from_secs(100) });
    let mut reply = w.run(open(env, ask("film"))).unwrap();
    assert_eq!(w.run(take(&mut reply.body, 128 * KIB)).1, None);
    w.wait(Duration::from_secs(159));
    assert_eq!(w.run(take(&mut reply.body, 1)).1, None);
    w.wait(Duration::from_secs(161));
    assert_eq!(w.run(take(&mut reply.body, 1)).1, Some(ErrorKind::BrokenBody));
}

#[test]
fn a_dropped_wait_for_the_next_chunk_loses_no_byte() {
    let (mut w, env) = film(300_000);
    let handle = w.handle();
    let bytes = w.run(async move {
        let mut body = open(env, ask("film")).await.unwrap().body;
        let mut bytes = Vec::new();
        loop {
            let nap = handle.sleep(Duration::from_micros(30));
            match futures_util::future::select(std::pin::pin!(body.next()), nap).await {
                futures_util::future::Either::Left((Some(chunk), _)) => bytes.extend(chunk.unwrap()),
                futures_util::future::Either::Left((None, _)) => return bytes,
                futures_util::future::Either::Right(_) => {}
            }
        }
    });
    assert_eq!(bytes, version_bytes("film", version(1), 300_000));
}

#[test]
fn an_outage_refuses_new_connections_and_breaks_old_ones() {
    let (mut w, env) = film(MIB);
    let mut reply = w.run(open(env.clone(), ask("film"))).unwrap();
    w.run(take(&mut reply.body, 1));
    w.s3().down_for(Duration::from_secs(10));
    assert_eq!(w.run(fetch(env.clone(), ask("film"))), Err(ErrorKind::Unreachable));
    w.wait(Duration::from_secs(20));
    assert_eq!(w.run(take(&mut reply.body, TAKE_ALL)).1, Some(ErrorKind::BrokenBody));
    assert_eq!(w.run(fetch(env, ask("film"))).unwrap().1, None);
}

#[test]
fn a_bad_server_answers_another_range_another_etag_or_ignores_conditions() {
    let (mut w, env) = film(MIB);
    w.s3().fault(get("film").nth(1), FaultKind::RangeShifted(4096));
    w.s3().fault(get("film").nth(2), FaultKind::RangeIgnored);
    w.s3().fault(get("film").nth(3), FaultKind::EtagWrong);
    w.s3().fault(get("film").nth(4), FaultKind::ConditionsIgnored);
    let old = w.history().current("film").unwrap().etag;

    let mut shifted = w.run(open(env.clone(), within("film", 0, 16))).unwrap();
    assert_eq!(shifted.range, 4096..4112);
    assert_eq!(w.run(take(&mut shifted.body, TAKE_ALL)).0, piece("film", version(1), 4096..4112));
    assert_eq!(w.run(open(env.clone(), within("film", 0, 16))).unwrap().range, 0..MIB);
    assert_ne!(w.run(open(env.clone(), within("film", 0, 16))).unwrap().meta.etag, old);

    w.s3().replace("film", version(2), MIB);
    let if_old = Get { conditions: ReadConditions::if_match(&old), ..ask("film") };
    let (bytes, _) = w.run(fetch(env.clone(), if_old.clone())).unwrap();
    assert_eq!(identify("film", &bytes, 0), Ok(version(2)));
    assert_eq!(w.run(fetch(env, if_old)), Err(ErrorKind::PreconditionFailed));
}

#[test]
fn a_server_that_ignores_conditions_once_keeps_them_again() {
    let (mut w, env) = film(KIB);
    w.s3().fault(Matcher::of(Kind::Put).nth(1), FaultKind::ConditionsIgnored);
    assert!(w.run(put(env.clone(), "film", Some(WriteCondition::IfAbsent))).is_ok());
    let refused = w.run(put(env, "film", Some(WriteCondition::IfAbsent)));
    assert_eq!(refused, Err(ErrorKind::PreconditionFailed));
}

/// Keys of each page of two, until the last or the sixth.
fn pages(w: &mut World) -> Vec<Vec<Key>> {
    let env = w.env().clone();
    w.run(async move {
        let mut pages: Vec<Vec<Key>> = Vec::new();
        let mut continuation = None;
        while pages.len() < 6 {
            let request = List { max_keys: 2, continuation, ..List::default() };
            let page = env.store().list(request).await.unwrap();
            pages.push(page.objects.into_iter().map(|object| object.key).collect());
            continuation = page.next;
            if continuation.is_none() {
                break;
            }
        }
        pages
    })
}

#[test]
fn a_bad_server_repeats_pages_goes_back_or_mislays_the_token() {
    let story = |what: Option<FaultKind>| {
        let mut w = World::calm();
        for key in ["a", "b", "c", "d", "e"] {
            w.s3().put(key, version(1), 1);
        }
        if let Some(what) = what {
            w.s3().fault(list("").nth(2), what);
        }
        pages(&mut w).into_iter().map(|page| page.iter().map(Key::as_str).collect::<String>()).collect::<Vec<_>>()
    };
    assert_eq!(story(None), ["ab", "cd", "e"]);
    assert_eq!(story(Some(FaultKind::PageRepeats)), ["ab", "ab", "cd", "e"]);
    assert_eq!(story(Some(FaultKind::PageGoesBack)), ["ab", "ab", "e"]);
    assert_eq!(story(Some(FaultKind::PageTokenDropped)), ["ab", "cd"]);
    assert_eq!(story(Some(FaultKind::PageTokenLoops)), ["ab", "cd", "cd", "e"]);
}

#[test]
fn equal_seeds_give_equal_worlds_and_others_do_not() {
    let story = |seed| {
        let mut w = World::new(WorldConfig::rough(seed));
        w.s3().put("film", version(1), MIB);
        w.s3().on(Event::Before(get("film").nth(3)), Mutation::put("film", version(2), MIB));
        let env = w.env().clone();
        let gets = (0..6).map(|n| fetch(env.clone(), within("film", n * 4096, (n + 1) * 4096)));
        let all = w.run(futures_util::future::join_all(gets));
        let seen: Vec<_> =
            all.iter().zip(0..).map(|(got, n)| identify("film", &got.as_ref().unwrap().0, n * 4096)).collect();
        (seen, w.now(), w.hash())
    };
    assert_eq!(story(1), story(1));
    assert_ne!(story(1).2, story(2).2);
}
