//! Lanes of mounts and of keys: what was asked of S3, what it delivered, and what others changed.

use std::collections::{BTreeMap, BTreeSet};

use holdfast::env::Time;

use super::View;
use super::sheet::{Sheet, Stack};
use super::text::Mark;
use crate::recording::{Answer, MutationRecord, RequestRecord, words};

const STRIP_PX: u32 = 20;
const REQUEST_PX: u32 = 15;
const THIN_PX: u32 = 8;
const LINES_MAX: usize = 14;
/// Keys with a lane of their own; the rest shares one.
const KEYS_MAX: usize = 40;

/// Lanes of mounts: their requests as thin bars.
pub(super) fn mounts(view: &View<'_>, sheet: &mut Sheet) {
    sheet.section("mounts: their requests to S3");
    let mounts: BTreeSet<Option<u8>> = view.requests().map(|(_, request)| request.mount).collect();
    for mount in mounts {
        let mut stack = Stack::default();
        let mut marks = String::new();
        for (id, request) in view.requests().filter(|(_, request)| request.mount == mount) {
            let line = stack.place(request.sent, request.over(view.recording.ended), LINES_MAX);
            let mark = request_mark(view, id, request);
            marks +=
                &Mark { top: 3 + THIN_PX * line, height: THIN_PX - 2, id: String::new(), label: String::new(), ..mark }
                    .html();
        }
        let name = mount.map_or("others".to_owned(), |mount| format!("mount {mount}"));
        sheet.row("mount", &name, "", 6 + THIN_PX * stack.lines().max(1), &marks);
    }
}

/// Lanes of keys. Answers which have one.
pub(super) fn keys(view: &View<'_>, sheet: &mut Sheet) -> Vec<String> {
    sheet.section("S3: what each key held, and its requests");
    let (own, shared) = lanes(view);
    // Where each request is drawn, for arrows.
    let mut places: BTreeMap<usize, u32> = BTreeMap::new();
    let mut changes: Vec<(&MutationRecord, u32)> = Vec::new();
    for key in &own {
        let top = sheet.bottom();
        let mut marks = strip(view, key);
        // Prefixes of listings hold nothing.
        let strip_px = if view.colours.versions(key).is_empty() { 0 } else { STRIP_PX };
        changes.extend(view.recording.mutations.iter().filter(|change| change.key == *key).map(|c| (c, top)));
        marks += &view
            .recording
            .mutations
            .iter()
            .enumerate()
            .filter(|(_, c)| c.key == *key)
            .map(diamond(view))
            .collect::<String>();
        let mut stack = Stack::default();
        for (id, request) in view.requests().filter(|(_, request)| key_of(view, request) == key) {
            let line = stack.place(request.sent, request.over(view.recording.ended), LINES_MAX);
            let within = strip_px + 4 + REQUEST_PX * line;
            places.insert(id, top + within);
            let mark = request_mark(view, id, request);
            marks += &Mark { top: within, height: REQUEST_PX - 2, ..mark }.html();
            marks += &bolt(view, request, within);
        }
        let name = if key.is_empty() { "(listings)" } else { key };
        sheet.row("key", name, key, (strip_px + 8 + REQUEST_PX * stack.lines()).max(24), &marks);
    }
    if !shared.is_empty() {
        let of_shared = |change: &(usize, &MutationRecord)| shared.contains(&change.1.key);
        let marks: String = view.recording.mutations.iter().enumerate().filter(of_shared).map(diamond(view)).collect();
        let names: Vec<&str> = shared.iter().take(40).map(String::as_str).collect();
        sheet.row("key", &format!("{} other keys", shared.len()), &names.join(" "), STRIP_PX + 8, &marks);
    }
    for (change, top) in changes {
        arrow(view, sheet, change, top, &places);
    }
    own
}

/// Keys that something happened to, and those that were only there.
fn lanes(view: &View<'_>) -> (Vec<String>, BTreeSet<String>) {
    let mut eventful: BTreeMap<String, usize> = BTreeMap::new();
    for change in &view.recording.mutations {
        *eventful.entry(change.key.clone()).or_default() += usize::from(change.number.is_some());
    }
    // Those who look at everything in the end would give every key a lane.
    let calm = view.recording.calm_at.unwrap_or(view.recording.ended);
    for (_, request) in view.requests().filter(|(_, request)| request.sent < calm) {
        *eventful.entry(key_of(view, request).to_owned()).or_default() += 1;
    }
    let mut order: Vec<(String, usize)> = eventful.into_iter().collect();
    // The culprit's key above all, then the eventful ones; names decide between equals.
    let culprit = view.culprit.and_then(|culprit| culprit.call?.key.clone());
    order.sort_by_key(|(key, events)| (Some(key) != culprit.as_ref(), std::cmp::Reverse(*events)));
    let mut own = Vec::new();
    let mut shared = BTreeSet::new();
    for (key, events) in order {
        if events > 0 && own.len() < KEYS_MAX {
            own.push(key);
        } else if view.recording.mutations.iter().any(|change| change.key == key) {
            shared.insert(key);
        }
    }
    (own, shared)
}

/// The lane that a request belongs to: a listing of `film/` to `film`, which is looked up by it.
fn key_of<'r>(view: &View<'_>, request: &'r RequestRecord) -> &'r str {
    let key = request.asked.keys.first().map_or("", |key| key.as_str());
    let object = key.strip_suffix('/').filter(|object| !view.colours.versions(object).is_empty());
    object.unwrap_or(key)
}

/// What the key held when.
fn strip(view: &View<'_>, key: &str) -> String {
    let changes: Vec<_> = view.recording.mutations.iter().filter(|change| change.key == key).collect();
    let mut html = String::new();
    for (at, change) in changes.iter().enumerate() {
        let Some((version, size)) = change.now else { continue };
        let until = changes.get(at + 1).map_or(view.recording.ended, |next| next.at);
        let (name, size) = (words::version(Some(version)), words::size(size));
        html += &Mark {
            class: format!("s {}", view.colours.class(key, Some(version))),
            x: view.axis.x(change.at),
            width: Some(view.axis.width(change.at, until)),
            title: format!("{key} is {name}, {size}\n{} to {}", words::time(change.at), words::time(until)),
            label: format!("{name} · {size}"),
            ..Mark::default()
        }
        .html();
    }
    html
}

/// A change by somebody else.
fn diamond<'v>(view: &'v View<'_>) -> impl Fn((usize, &MutationRecord)) -> String + 'v {
    move |(at, change)| {
        // What was there at the beginning is no event.
        let Some(number) = change.number else { return String::new() };
        let what = match change.now {
            None => "is deleted".to_owned(),
            Some((version, size)) => format!("becomes {}, {}", words::version(Some(version)), words::size(size)),
        };
        let mut title = format!("mutation {number}: {} {what}\n{}", change.key, words::time(change.at));
        if let Some(request) = change.request {
            title += &format!("\nbecause of request {request}");
        }
        // A mutation of the scenario may be told of several times only if it is repeated: the first has its name.
        let first = view.recording.mutations.iter().position(|other| other.number == change.number) == Some(at);
        Mark {
            class: if change.now.is_none() { "m gone".into() } else { "m".into() },
            x: view.axis.x(change.at),
            id: if first { format!("mutation{number}") } else { String::new() },
            title,
            label: if change.now.is_none() { "✕".into() } else { "◆".into() },
            ..Mark::default()
        }
        .html()
    }
}

fn arrow(view: &View<'_>, sheet: &mut Sheet, change: &MutationRecord, top: u32, places: &BTreeMap<usize, u32>) {
    let Some(place) = change.request.and_then(|request| places.get(&request)) else { return };
    let from = top + STRIP_PX - 4;
    let (top, height) = if *place > from { (from, place - from) } else { (*place, from - place) };
    sheet.across(&Mark {
        class: "arrow".into(),
        x: view.axis.x(change.at),
        top,
        height: height.max(4),
        ..Mark::default()
    });
}

fn bolt(view: &View<'_>, request: &RequestRecord, top: u32) -> String {
    if request.faults.is_empty() {
        return String::new();
    }
    let faults: Vec<String> = request.faults.iter().map(words::fault).collect();
    let mark = Mark {
        class: "z".into(),
        x: view.axis.x(request.sent),
        top,
        title: format!("fault: {}", faults.join(", ")),
        label: "⚡".into(),
        ..Mark::default()
    };
    mark.html()
}

fn request_mark(view: &View<'_>, id: usize, request: &RequestRecord) -> Mark {
    let ended = view.recording.ended;
    let over = request.over(ended);
    let (width, colour) =
        (view.axis.width(request.sent, over), view.colours.class(key_of(view, request), request.version));
    let applied = request.applied.filter(|_| width > 0.0);
    let background = match (request.version, applied) {
        // Pale until the server decided which version it gives.
        (Some(_), Some(at)) => {
            let share = 100.0 * view.axis.width(request.sent, at) / width;
            format!("linear-gradient(90deg,var(--plain) {share:.1}%,var(--{colour}) {share:.1}%)")
        }
        _ => "var(--plain)".into(),
    };
    let failed = matches!(request.outcome, Answer::Came(_, Err(_)) | Answer::GivenUp(_));
    Mark {
        class: match request.outcome {
            Answer::Pending => "b q open".into(),
            _ if failed => "b q err".into(),
            _ => "b q".into(),
        },
        x: view.axis.x(request.sent),
        width: Some(width),
        background,
        id: format!("request{id}"),
        title: request_title(id, request, over),
        label: label(request),
        ..Mark::default()
    }
}

fn label(request: &RequestRecord) -> String {
    let what = format!("{}{}", words::kind(request.asked.kind), words::byte_range(request.asked.range));
    match request.outcome {
        Answer::Came(_, Err(kind)) => format!("{}: {what}", words::error(kind)),
        _ => match request.version {
            Some(version) => format!("{what}: {}", words::version(Some(version))),
            None if !request.listed.is_empty() => format!("{what}: {} names", request.listed.len()),
            None => what,
        },
    }
}

fn request_title(id: usize, request: &RequestRecord, over: Time) -> String {
    let keys: Vec<&str> = request.asked.keys.iter().map(|key| key.as_str()).collect();
    let (kind, range) = (words::kind(request.asked.kind), words::byte_range(request.asked.range));
    let mut title = format!("request {id}: {kind} {}{range}", keys.join(" "));
    title += &format!("\nsent {}", words::time(request.sent));
    if let Some(at) = request.applied {
        title += &format!(", applied {}", words::time(at));
    }
    match request.outcome {
        Answer::Pending => title += "\nnever answered",
        Answer::GivenUp(at) => title += &format!("\ngiven up {}", words::time(at)),
        Answer::Came(at, Ok(())) => title += &format!(", answered {}", words::time(at)),
        Answer::Came(at, Err(kind)) => title += &format!("\nfailed {}: {}", words::time(at), words::error(kind)),
    }
    if request.version.is_some() {
        title += &format!("\ngives {}", words::version(request.version));
    }
    if let Some(body) = &request.body {
        let bytes = words::size(request.bytes_delivered());
        title += &format!("\n{bytes} of {} delivered in {} chunks", words::span(&body.range), body.chunks.len());
        title += &format!(", over {}", words::time(over));
    }
    if !request.listed.is_empty() {
        title += &format!("\n{}", words::names(&request.listed));
    }
    for fault in &request.faults {
        title += &format!("\n⚡ {}", words::fault(fault));
    }
    title
}
