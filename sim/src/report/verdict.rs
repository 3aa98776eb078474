//! The top of the page: which rule was broken, by what, and the few events that it came from.

use std::collections::BTreeMap;

use holdfast::env::Time;

use super::View;
use super::culprit::Culprit;
use super::text::{escape, link};
use crate::content::Version;
use crate::oracles;
use crate::recording::{Answer, CallRecord, RequestRecord, Seen, words};

/// Requests, and pending operations, that a story tells of.
const REQUESTS_TOLD: usize = 5;
const PENDING_TOLD: usize = 8;
const CHANGES_TOLD: usize = 6;

pub(super) fn html(view: &View<'_>) -> String {
    let about = format!("<p class=\"about\"><b>{}</b> {}</p>", escape(&view.file.name), escape(&view.file.sentence));
    let Some(culprit) = view.culprit else {
        return format!("<header class=\"verdict good\">{about}<h1>nothing was found</h1></header>\n");
    };
    let finding = culprit.finding;
    let sentence = oracles::catalogue().into_iter().find(|(id, _)| *id == finding.oracle).map_or("", |(_, text)| text);
    let (first, rest) = finding.message.split_once('\n').unwrap_or((&finding.message, ""));
    let mut html = format!("<header class=\"verdict bad\">{about}<h1>✗ {}</h1>", escape(finding.oracle));
    html += &format!("<p class=\"sentence\">{}</p><p class=\"message\">{}</p>", escape(sentence), escape(first));
    if !rest.is_empty() {
        html += &format!("<details><summary>the whole message</summary><pre>{}</pre></details>", escape(rest));
    }
    html += &story(view, culprit);
    let others = &view.recording.findings[1..];
    if !others.is_empty() {
        html += &format!("<details class=\"others\"><summary>{} findings more</summary>", others.len());
        for other in others {
            html += &format!("<p class=\"other\">{}: {}</p>", escape(other.oracle), escape(&other.message));
        }
        html += "</details>";
    }
    html + "</header>\n"
}

/// What led up to it, in the order of time.
fn story(view: &View<'_>, culprit: Culprit<'_>) -> String {
    let mut lines: Vec<(Time, String)> = Vec::new();
    let at = culprit.finding.at;
    if let Some(file) = culprit.file {
        let by = file.op.map_or("a visitor".to_owned(), |op| link(&format!("op{op}"), &format!("op {op}")));
        let holds = swatch(view, &file.key, file.version);
        lines.push((file.opened, format!("{by} opened {}: the handle holds {holds}", escape(&file.key))));
    }
    let call = culprit.call;
    if let Some((call, key)) = call.and_then(|call| Some((call, call.key.as_deref()?))) {
        changes(view, key, at, &mut lines);
        let pinned = culprit.file.and_then(|file| file.version);
        requests(view, call, key, pinned, &mut lines);
    }
    match (call, culprit.op) {
        (Some(call), _) => lines.push((at, seen(view, culprit, call))),
        (None, _) => pending(view, at, &mut lines),
    }
    lines.sort_by_key(|(at, _)| *at);
    let items: String = lines
        .into_iter()
        .map(|(at, text)| format!("<li><time>{}</time><span>{text}</span></li>", escape(&moment(at))))
        .collect();
    format!("<ol class=\"story\">{items}</ol>")
}

/// What the key became, from what the handle holds on.
fn changes(view: &View<'_>, key: &str, until: Time, lines: &mut Vec<(Time, String)>) {
    let changes = view.recording.mutations.iter().filter(|change| change.key == key && change.at <= until);
    let changes: Vec<_> = changes.collect();
    for change in &changes[changes.len().saturating_sub(CHANGES_TOLD)..] {
        let who = match change.number {
            None => "the bucket began with it".to_owned(),
            Some(number) => link(&format!("mutation{number}"), &format!("mutation {number}")),
        };
        let because = change.request.map_or(String::new(), |request| {
            format!(", in {}", link(&format!("request{request}"), &format!("request {request}")))
        });
        let what = match change.now {
            None => "was deleted".to_owned(),
            Some((version, _)) => format!("became {}", swatch(view, key, Some(version))),
        };
        lines.push((change.at, format!("{} {what} ({who}{because})", escape(key))));
    }
}

/// Requests for the key that suffered during the call, that failed, or that gave another version than the handle's.
fn requests(view: &View<'_>, call: &CallRecord, key: &str, pinned: Option<Version>, lines: &mut Vec<(Time, String)>) {
    let asks = |request: &RequestRecord| {
        request.mount == Some(call.seat.mount)
            && request.asked.keys.iter().any(|asked| asked.as_str().trim_end_matches('/') == key)
    };
    let strange = |request: &RequestRecord| {
        let other = pinned.is_some() && request.version.is_some() && request.version != pinned;
        let during = request.sent >= call.began && !request.faults.is_empty();
        other || during || (pinned.is_some() && matches!(request.outcome, Answer::Came(_, Err(_))))
    };
    let told = view.requests().filter(|(_, request)| asks(request) && strange(request) && request.sent <= call.ended);
    for (id, request) in told.take(REQUESTS_TOLD) {
        let name = link(&format!("request{id}"), &format!("request {id}"));
        let (kind, range) = (words::kind(request.asked.kind), words::byte_range(request.asked.range));
        let mut text = format!("{name}, {kind}{}", escape(&range));
        if request.version.is_some() {
            text += &format!(", gave {}", swatch(view, key, request.version));
        }
        if let Answer::Came(_, Err(error)) = request.outcome {
            text += &format!(", failed: {}", escape(&words::error(error)));
        }
        for fault in &request.faults {
            text += &format!(" <em>⚡ {}</em>", escape(&words::fault(fault)));
        }
        lines.push((request.applied.unwrap_or(request.sent), text));
    }
}

/// The sight itself.
fn seen(view: &View<'_>, culprit: Culprit<'_>, call: &CallRecord) -> String {
    let who = match culprit.op {
        Some(op) => link(&format!("op{}", op.id), &format!("op {}", op.id)),
        None => "the visitor".to_owned(),
    };
    let key = call.key.as_deref().unwrap_or_default();
    let range = call.range.as_ref().map_or(String::new(), |range| format!(", {}", words::span(range)));
    let what = format!("<b>{who}: {} {}{}</b>", escape(call.call), escape(key), escape(&range));
    match &call.result {
        Err(errno) => format!("{what} failed with <b>{}</b>", words::errno(*errno)),
        Ok(Seen::Opened(version)) => format!("{what} was given {}", swatch(view, key, *version)),
        Ok(Seen::Attributes { size, version }) => {
            format!("{what} was shown {size} bytes, {}", swatch(view, key, *version))
        }
        Ok(Seen::Bytes(pieces)) => {
            let stripes = view.colours.stripes(key, pieces);
            let told = escape(&words::pieces(pieces));
            format!("{what} gave {told}<span class=\"stripes\" style=\"background:{stripes}\"></span>")
        }
        Ok(Seen::Names(names)) => format!("{what} listed {}", listing(view, call, key, names)),
        Ok(other) => format!("{what} brought {}", escape(&words::seen(other))),
    }
}

/// Names as they were listed; struck out those that were never there, added those that were there throughout.
fn listing(view: &View<'_>, call: &CallRecord, directory: &str, names: &[String]) -> String {
    let prefix = if directory.is_empty() { String::new() } else { format!("{}/", directory.trim_end_matches('/')) };
    // Of each key: whether it was there throughout, and whether it ever was.
    let mut keys: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    for change in view.recording.mutations.iter().filter(|change| change.at <= call.ended) {
        let presence = keys.entry(&change.key).or_insert((false, false));
        let there = change.now.is_some();
        if change.at < call.began {
            *presence = (there, there);
        } else {
            *presence = (presence.0 && there, presence.1 || there);
        }
    }
    let mut children: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    for (key, (throughout, ever)) in &keys {
        let Some(rest) = key.strip_prefix(&prefix) else { continue };
        let child = children.entry(rest.split('/').next().unwrap_or_default()).or_default();
        *child = (child.0 || *throughout, child.1 || *ever);
    }
    let mut items = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let ever = children.get(name.as_str()).is_some_and(|(_, ever)| *ever);
        let again = names[..at].contains(name);
        let class = if again {
            "twice"
        } else if ever {
            "right"
        } else {
            "never"
        };
        items.push((class, name.as_str()));
    }
    let missing = children.iter().filter(|(name, (throughout, _))| {
        *throughout && !name.is_empty() && !names.iter().any(|listed| listed == **name)
    });
    items.extend(missing.map(|(name, _)| ("missing", *name)));
    let bad_first = |item: &(&str, &str)| item.0 == "right";
    items.sort_by_key(bad_first);
    let told = items.iter().take(60).map(|(class, name)| {
        let note = match *class {
            "missing" => " (missing)",
            "twice" => " (listed again)",
            "never" => " (never was there)",
            _ => "",
        };
        format!("<span class=\"entry {class}\">{}{note}</span>", escape(name))
    });
    format!("{} names: {}", names.len(), told.collect::<Vec<_>>().join(" "))
}

/// Whoever still waits.
fn pending(view: &View<'_>, at: Time, lines: &mut Vec<(Time, String)>) {
    for op in view.recording.ops.iter().filter(|op| op.ended.is_none()).take(PENDING_TOLD) {
        let name = link(&format!("op{}", op.id), &format!("op {}", op.id));
        lines.push((op.began, format!("{name} began: {}; it never returned", escape(&words::call(&op.call)))));
    }
    let open = view.requests().filter(|(_, request)| request.outcome == Answer::Pending);
    for (id, request) in open.take(PENDING_TOLD) {
        let name = link(&format!("request{id}"), &format!("request {id}"));
        let keys: Vec<&str> = request.asked.keys.iter().map(|key| key.as_str()).collect();
        let faults: Vec<String> = request.faults.iter().map(|fault| format!("⚡ {}", words::fault(fault))).collect();
        let what = format!("{} {}", words::kind(request.asked.kind), keys.join(" "));
        let text = format!("{name}, {}, was never answered <em>{}</em>", escape(&what), escape(&faults.join(" ")));
        lines.push((request.sent, text));
    }
    lines.push((at, "<b>nothing more could happen, or the longest wait allowed was over</b>".into()));
}

/// In seconds where milliseconds would be hard to read.
fn moment(at: Time) -> String {
    let seconds = at.0.as_secs_f64();
    if seconds < 10.0 { words::time(at) } else { format!("{seconds:.4} s") }
}

fn swatch(view: &View<'_>, key: &str, version: Option<Version>) -> String {
    let class = view.colours.class(key, version);
    format!("<span class=\"swatch {class}\">{}</span>", escape(&words::version(version)))
}
