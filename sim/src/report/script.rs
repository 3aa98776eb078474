//! The scenario's own lines, each with a link to what it did in the picture.

use super::View;
use super::text::{escape, link};
use crate::recording::{Answer, RequestRecord, words};
use crate::run::{fault_kind, matcher};
use crate::scenario::{Cause, FaultAt, FaultSpec, RequestCause};

/// Requests that a fault is linked to.
const HITS_TOLD: usize = 6;

pub(super) fn html(view: &View<'_>) -> String {
    let scenario = &view.file.scenario;
    let mut html = String::from("<section class=\"script\"><h2>the scenario</h2><table>\n");
    for op in &scenario.ops {
        let made = view.recording.ops.iter().find(|made| made.id == op.id);
        let name = format!("op {}", op.id);
        let (name, result) = match made {
            None => (escape(&name), "<em>the run was over before</em>".to_owned()),
            Some(made) => (link(&format!("op{}", op.id), &name), escape(&result(view, made.id))),
        };
        let pause = if op.pause_ms > 0 { format!("after {} ms: ", op.pause_ms) } else { String::new() };
        let culprit = view.culprit.and_then(|culprit| culprit.op).is_some_and(|culprit| culprit.id == op.id);
        let class = if culprit { " class=\"culprit\"" } else { "" };
        let what = format!("{pause}{}", words::call(&op.call));
        html += &row(class, &name, &format!("app {}", op.app), &what, &result);
    }
    for (at, fault) in scenario.faults.iter().enumerate() {
        let hits = hits(view, fault);
        let links: Vec<String> =
            hits.iter().take(HITS_TOLD).map(|id| link(&format!("request{id}"), &format!("request {id}"))).collect();
        let result = match (&fault.what, hits.len()) {
            (FaultSpec::Outage { .. }, _) => String::new(),
            (_, 0) => "<em>hit nothing</em>".into(),
            (_, n) if n > HITS_TOLD => format!("hit {} and {} more", links.join(", "), n - HITS_TOLD),
            _ => format!("hit {}", links.join(", ")),
        };
        html += &row("", &format!("⚡ fault {at}"), &cause(&fault.when), &json(&fault.what), &result);
    }
    for (at, mutation) in scenario.mutations.iter().enumerate() {
        let happened = view.recording.mutations.iter().find(|change| change.number == Some(at));
        let name = format!("◆ mutation {at}");
        let (name, result) = match happened {
            None => (escape(&name), "<em>did not happen</em>".to_owned()),
            Some(change) => (link(&format!("mutation{at}"), &name), escape(&words::time(change.at))),
        };
        html += &row("", &name, &cause(&mutation.when), &json(&mutation.change), &result);
    }
    html + "</table></section>\n"
}

/// `name` and `result` are HTML, the others text.
fn row(class: &str, name: &str, whose: &str, what: &str, result: &str) -> String {
    let (whose, what) = (escape(whose), escape(what));
    format!("<tr{class}><th>{name}</th><td>{whose}</td><td>{what}</td><td>{result}</td></tr>\n")
}

/// What came of an operation: its last call says it.
fn result(view: &View<'_>, op: u32) -> String {
    let call = view.recording.calls.iter().rfind(|call| {
        // Neither says anything of what was read.
        let end = call.call == "close" || call.result == Ok(crate::recording::Seen::Bytes(Vec::new()));
        call.op == Some(op) && !end
    });
    match call.map(|call| &call.result) {
        None => String::new(),
        Some(Ok(seen)) => words::seen(seen),
        Some(Err(errno)) => words::errno(*errno),
    }
}

fn cause(cause: &Cause) -> String {
    let RequestCause { kind, key, nth, since, point } = match cause {
        Cause::AtMs(ms) => return format!("at {ms} ms"),
        Cause::Request(cause) => cause,
    };
    let nth = nth.map_or("every".to_owned(), |nth| format!("#{nth}"));
    let kind = kind.map_or("request".to_owned(), |kind| format!("{kind:?}").to_uppercase());
    let key = key.as_ref().map_or(String::new(), |key| format!(" of {key}"));
    let since = since.map_or(String::new(), |op| format!(" since op {op}"));
    let point = point.map_or(String::new(), |point| format!(", {point:?}").to_lowercase());
    format!("{nth} {kind}{key}{since}{point}")
}

/// As the scenario's file says it.
fn json<T: serde::Serialize>(what: &T) -> String {
    serde_json::to_string(what).unwrap_or_default().replace(['{', '}', '"'], " ").trim().to_owned()
}

/// The requests that suffered it: those that its cause means and that bear it.
fn hits(view: &View<'_>, fault: &FaultAt) -> Vec<usize> {
    let (Cause::Request(cause), Some(kind)) = (&fault.when, fault_kind(&fault.what)) else { return Vec::new() };
    let from = match cause.since {
        None => 0,
        Some(id) => match view.recording.ops.iter().find(|op| op.id == id) {
            Some(op) => op.requests_before,
            None => return Vec::new(),
        },
    };
    let meant = matcher(cause);
    let fits = |request: &RequestRecord| meant.fits(&request.asked);
    let requests = view.recording.requests.iter().enumerate().skip(from).filter(|(_, request)| fits(request));
    let numbered = (1..).zip(requests).filter(|(n, _)| cause.nth.is_none_or(|nth| nth == *n));
    let suffered = |request: &RequestRecord| request.faults.contains(&kind) || request.outcome == Answer::Pending;
    numbered.filter(|(_, (_, request))| suffered(request)).map(|(_, (id, _))| id).collect()
}
