//! Pages are well-formed, need nothing from elsewhere, and show everything.

use super::html;
use crate::content::version;
use crate::court::Finding;
use crate::recording::tests::replaced_film;
use crate::recording::{Origin, Piece, Seen};
use crate::run::record;
use crate::scenario::format::ScenarioFile;
use crate::scenario::{Cause, Change, FaultAt, FaultSpec, MutationAt, Point, RequestCause, RequestKind, Scenario};

/// The film is replaced while its GET is under way, the hold is off, and the server ignores conditions.
fn torn_film() -> Scenario {
    let mut scenario = replaced_film();
    scenario.config.mount.hold = crate::scenario::config::HoldName::Off;
    scenario.config.objects[0].size = 4 << 20;
    let get = RequestCause { kind: Some(RequestKind::Get), key: Some("film".into()), ..RequestCause::default() };
    let when = Cause::Request(RequestCause { nth: Some(1), point: Some(Point::Chunk(1)), ..get.clone() });
    let change = Change::Put { key: "film".into(), version: 2, size: 4 << 20 };
    scenario.mutations = vec![MutationAt { when, change }];
    scenario.faults = vec![FaultAt { when: Cause::Request(get), what: FaultSpec::EtagWrong }];
    scenario
}

fn page(name: &str, scenario: Scenario) -> String {
    let (outcome, recording) = record(&scenario);
    let file = ScenarioFile { name: name.into(), sentence: "A film is replaced.".into(), scenario };
    html(&file, &outcome, &recording)
}

/// Every element is closed in the order in which it was opened.
fn assert_balanced(page: &str) {
    // Neither a style sheet nor a script is markup.
    let mut rest = page;
    let mut open: Vec<&str> = Vec::new();
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').expect("a tag ends");
        let tag = &rest[..end];
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap_or_default();
        rest = &rest[end + 1..];
        match name {
            "!doctype" | "meta" => continue,
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name), "near {:.80}", rest),
            _ => open.push(name),
        }
        if !tag.starts_with('/') && (name == "style" || name == "script") {
            let close = format!("</{name}>");
            rest = rest.find(&close).map_or("", |at| &rest[at..]);
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
}

#[test]
fn a_page_is_well_formed_and_needs_nothing_else() {
    for page in [page("a <b>bold</b> \"name\" & more", replaced_film()), page("torn", torn_film())] {
        assert_balanced(&page);
        for outside in ["<script src", "http:", "https:", "<link", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(!page.contains("<b>bold"), "text became markup");
        assert!(page.len() < 100_000, "{} bytes", page.len());
    }
}

#[test]
fn a_page_shows_every_operation_mutation_and_fault() {
    let page = page("calm", replaced_film());
    assert!(page.contains("nothing was found"));
    for id in 1..=6 {
        assert!(page.contains(&format!("id=\"op{id}\"")) && page.contains(&format!("href=\"#op{id}\"")), "op {id}");
    }
    assert!(page.contains("id=\"mutation0\"") && page.contains("⚡ Delayed(300ms)") && page.contains("hit <a"));
    assert!(page.contains("class=\"pause\"") && page.contains("S3 is down") && page.contains("class=\"arrow\""));
}

/// No oracle would find anything in this run: a recording is data, and so can be given a torn read.
#[test]
fn a_finding_stands_on_top_and_its_call_is_marked() {
    let scenario = replaced_film();
    let (outcome, mut recording) = record(&scenario);
    let torn = recording.calls.iter_mut().find(|call| call.op == Some(2)).expect("it was made");
    let of = |number| Piece { origin: Origin::Version(version(number)), bytes: 32_768 };
    torn.result = Ok(Seen::Bytes(vec![of(1), of(2)]));
    let at = torn.ended;
    recording.findings.push(Finding { oracle: "single-version", message: "torn <here>".into(), at, op: Some(2) });
    let file = ScenarioFile { name: "torn".into(), sentence: "A film is replaced.".into(), scenario };
    let page = html(&file, &outcome, &recording);
    assert_balanced(&page);
    assert!(page.contains("<h1>✗ single-version</h1>") && page.contains("torn &lt;here&gt;"));
    assert!(page.contains("Every byte that a handle or a mapping gives"), "the oracle's sentence");
    assert!(page.contains("culprit\" id=\"op2\"") && page.contains("id=\"finding\""));
    let stripes = "linear-gradient(90deg,var(--c0) 0.0% 50.0%,var(--c1) 50.0% 100.0%)";
    assert_eq!(page.matches(stripes).count(), 3, "the operation, the read in its file's lane, and the story");
    assert!(page.contains("32 KiB of v1, then 32 KiB of v2") && page.contains("b r wrong"));
}

#[test]
fn equal_runs_give_equal_pages() {
    assert_eq!(page("film", replaced_film()), page("film", replaced_film()));
    assert_eq!(page("torn", torn_film()), page("torn", torn_film()));
}
