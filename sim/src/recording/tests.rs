//! A recording tells what happened.

use crate::content::version;
use crate::recording::{Answer, Origin, Seen};
use crate::run::{record, run};
use crate::scenario::{
    AppOp, Call, Cause, Change, FaultAt, FaultSpec, MutationAt, Object, Point, RequestCause, RequestKind, Scenario,
};
use crate::store::{FaultKind, Kind};

/// A film is opened, replaced after the first chunk of the first GET, read and closed; that GET is slow to begin.
pub(crate) fn replaced_film() -> Scenario {
    let mut scenario = Scenario::default();
    scenario.config.mount.sizes_divided_by = 64;
    let film = Object { key: "film".into(), version: 1, size: 300_000, link_to: None };
    scenario.config.objects.push(film);
    let op = |id, call| AppOp { id, app: 0, pause_ms: 1, call, killed_after_ms: None };
    scenario.ops = vec![
        op(1, Call::Open { file: 0, path: "/film".into(), direct: false }),
        op(2, Call::Pread { file: 0, at: 0, len: 65_536 }),
        op(3, Call::Stat { path: "/none".into() }),
        op(4, Call::ReadToEnd { file: 0 }),
        op(5, Call::Readdir { path: "/".into() }),
        op(6, Call::Close { file: 0 }),
    ];
    let first_get = RequestCause {
        kind: Some(RequestKind::Get),
        key: Some("film".into()),
        nth: Some(1),
        ..RequestCause::default()
    };
    let when = Cause::Request(RequestCause { point: Some(Point::Chunk(1)), ..first_get.clone() });
    scenario.mutations.push(MutationAt { when, change: Change::Put { key: "film".into(), version: 2, size: 310_000 } });
    let when = Cause::Request(first_get);
    scenario.faults.push(FaultAt { when, what: FaultSpec::Delayed { ms: 300 } });
    scenario.faults.push(FaultAt { when: Cause::AtMs(20_000), what: FaultSpec::Outage { ms: 10 } });
    scenario
}

#[test]
fn a_recording_contains_what_happened() {
    let (outcome, recording) = record(&replaced_film());
    assert_eq!(recording.findings, outcome.findings);
    let ids: Vec<_> = recording.ops.iter().map(|op| op.id).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
    assert!(recording.ops.iter().all(|op| op.ended >= Some(op.began)));
    // The handle's version, and the bytes of each read.
    let film = &recording.files[0];
    assert_eq!((film.key.as_str(), film.version, film.op), ("film", Some(version(1)), Some(1)));
    assert!(film.closed > Some(film.opened));
    let reads = recording.calls.iter().filter(|call| call.op == Some(2) || call.op == Some(4));
    let mut bytes = 0;
    for read in reads {
        let Ok(Seen::Bytes(pieces)) = &read.result else { panic!("{read:?}") };
        assert!(pieces.iter().all(|piece| piece.origin == Origin::Version(version(1))));
        bytes += pieces.iter().map(|piece| piece.bytes).sum::<u64>();
    }
    assert_eq!(bytes, 65_536 + 300_000);
    let stat = recording.calls.iter().find(|call| call.op == Some(3)).expect("it was made");
    assert_eq!((stat.key.as_deref(), stat.result.is_err()), (Some("none"), true));
    let listed = recording.calls.iter().find(|call| call.op == Some(5)).expect("it was made");
    assert_eq!(listed.result, Ok(Seen::Names(vec!["film".into()])));
    // The replacement, with its cause.
    assert_eq!(recording.mutations[0].number, None);
    let put = &recording.mutations[1];
    assert_eq!((put.number, put.now), (Some(0), Some((version(2), 310_000))));
    let cause = &recording.requests[put.request.expect("it was tied to a request")];
    assert_eq!((cause.asked.kind, cause.mount, cause.version), (Kind::Get, Some(0), Some(version(1))));
    assert!(cause.sent < put.at && put.at < cause.over(recording.ended));
    assert!(cause.bytes_delivered() > 0);
    let slow = recording.requests.iter().find(|request| !request.faults.is_empty());
    let delay = FaultKind::Delayed(std::time::Duration::from_millis(300));
    assert_eq!(slow.expect("the fault hit one").faults, [delay]);
    assert_eq!(recording.outages.len(), 1);
    assert!(recording.requests.iter().all(|request| request.outcome != Answer::Pending));
    assert!(recording.calm_at > recording.ops[5].ended && recording.calm_at < Some(recording.ended));
}

#[test]
fn recording_changes_nothing_and_repeats_itself() {
    let (outcome, recording) = record(&replaced_film());
    assert_eq!(run(&replaced_film()).hash, outcome.hash);
    assert_eq!(record(&replaced_film()).1, recording);
}

#[test]
fn a_trace_is_in_the_order_of_time_and_names_everything() {
    let trace = record(&replaced_film()).1.print_trace();
    let times: Vec<f64> = trace
        .lines()
        .map(|line| line[..15].trim().trim_end_matches(" ms").parse().expect("a line begins with its time"))
        .collect();
    assert!(times.is_sorted());
    for part in [
        "app 0           op 2 begins: pread #0 64 KiB at 0 B",
        "app 0           op 2: read film 64 KiB at 0 B: 64 KiB of v1",
        "op 3: stat none: ENOENT",
        "s3 film         v2 (310000 bytes), by mutation 0, because of request ",
        "GET film",
        "suffers Delayed(300ms)",
        "s3              down",
    ] {
        assert!(trace.contains(part), "{part} is missing in\n{trace}");
    }
}
