//! Files that must be read back as they were, and files that must be refused.

use super::{ScenarioFile, parse, print};
use crate::scenario::{
    AppOp, Call, Cause, Change, ErrorName, FaultAt, FaultSpec, MutationAt, Point, RequestCause, RequestKind, Scenario,
    Schedule,
};

fn example() -> ScenarioFile {
    let mut scenario = Scenario::default();
    scenario.config.schedule = Schedule::Pct(3);
    scenario.config.mount.metadata_ttl_ms = 0;
    scenario.config.objects.push(crate::scenario::Object {
        key: "film".into(),
        version: 1,
        size: 70_000,
        link_to: None,
    });
    let open = Call::Open { file: 0, path: "/film".into(), direct: false };
    let call = Call::Pread { file: 0, at: 4096, len: 100 };
    scenario.ops = vec![
        AppOp { id: 1, app: 0, pause_ms: 0, call: open, killed_after_ms: None },
        AppOp { id: 2, app: 0, pause_ms: 30, call, killed_after_ms: Some(9) },
    ];
    let get = RequestCause { kind: Some(RequestKind::Get), nth: Some(2), since: Some(2), ..RequestCause::default() };
    let what = FaultSpec::Refused { error: ErrorName::Throttled, retry_after_ms: Some(2000) };
    scenario.faults.push(FaultAt { when: Cause::Request(get.clone()), what });
    let when = Cause::Request(RequestCause { point: Some(Point::Chunk(1)), ..get });
    let change = Change::Put { key: "film".into(), version: 2, size: 90_000 };
    scenario.mutations.push(MutationAt { when, change });
    ScenarioFile { name: "example".into(), sentence: "A film is replaced.".into(), scenario }
}

fn refused(text: &str) -> String {
    parse(text).expect_err("it is to be refused").to_string()
}

/// The example with its line `number` replaced.
fn with_line(number: usize, line: &str) -> String {
    let text = print(&example());
    let lines: Vec<&str> =
        text.lines().enumerate().map(|(at, old)| if at + 1 == number { line } else { old }).collect();
    lines.join("\n")
}

#[test]
fn what_is_printed_is_read_back_and_defaults_are_left_out() {
    let text = print(&example());
    assert_eq!(parse(&text), Ok(example()));
    assert!(!text.contains("deadline_ms") && text.contains("metadata_ttl_ms"), "{text}");
    assert_eq!(text.lines().count(), 7);
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_refused() {
    let text = print(&example());
    for len in 0..text.len() - 1 {
        assert!(parse(&text[..len]).is_err(), "cut at {len}: {:?}", &text[..len]);
    }
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(refused(&lines[..3].join("\n")), "line 4: the file is cut off: its last line, {\"end\":…}, is missing");
    let without_one = [&lines[..3], &lines[4..]].concat().join("\n");
    assert_eq!(refused(&without_one), "line 6: 6 lines were written before this one, 5 are here");
}

#[test]
fn a_newer_format_and_other_files_are_refused() {
    let newer = with_line(1, r#"{"holdfast_scenario":2,"mood":"sunny"}"#);
    assert_eq!(refused(&newer), "line 1: format 2; this simulator reads format 1 only");
    assert!(refused("{}").starts_with("line 1: this is no scenario file"));
    assert!(refused("").starts_with("line 1: the file is empty"));
    assert!(refused("film").starts_with("line 1: expected"));
}

#[test]
fn what_is_unknown_is_refused_with_its_line() {
    let unknown = refused(&with_line(2, r#"{"config":{"mount":{"holdd":"full"}}}"#));
    assert!(unknown.starts_with("line 2: unknown field `holdd`"), "{unknown}");
    let unknown = refused(&with_line(4, r#"{"op":{"id":2,"call":{"levitate":{}}}}"#));
    assert!(unknown.starts_with("line 4: unknown variant `levitate`"), "{unknown}");
}

#[test]
fn what_contradicts_itself_is_refused_with_its_line() {
    let story = |line, text: &str| refused(&with_line(line, text));
    assert_eq!(story(4, r#"{"op":{"id":1,"call":"statfs"}}"#), "line 4: a second operation 1");
    assert_eq!(story(3, r#"{"op":{"id":1,"app":1,"call":"statfs"}}"#), "line 3: application 1 of 1");
    assert_eq!(story(3, r#"{"op":{"id":1,"call":{"close":{"file":8}}}}"#), "line 3: descriptor 8: there are 8");
    assert_eq!(story(4, r#"{"op":{"id":3,"call":"statfs"}}"#), "line 5: there is no operation 2");
    let again = r#"{"mutation":{"when":{"at_ms":1},"change":{"put":{"key":"film","version":1,"size":1}}}}"#;
    assert!(story(6, again).starts_with("line 6: version 1 of \"film\" is put twice"));
    let outage = r#"{"fault":{"when":{"request":{}},"what":{"outage":{"ms":1}}}}"#;
    assert_eq!(story(5, outage), "line 5: an outage happens at a time");
    let memory = r#"{"config":{"mount":{"memory_max":1}}}"#;
    assert!(story(2, memory).starts_with("line 2: the memory budget of 1 bytes"));
}
