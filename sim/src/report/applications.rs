//! Lanes of applications: what each called, and beneath it the files that it held open.

use std::collections::BTreeMap;

use holdfast::env::Time;

use super::View;
use super::colours::is_mixed;
use super::sheet::{Sheet, Stack};
use super::text::Mark;
use crate::court::Seat;
use crate::recording::{CallRecord, FileRecord, OpRecord, Piece, Seen, words};

const OP_PX: u32 = 24;
const FILE_PX: u32 = 15;
/// Of one application.
const FILE_LINES_MAX: usize = 12;

pub(super) fn draw(view: &View<'_>, sheet: &mut Sheet) {
    sheet.section("applications");
    let mut seats: Vec<Seat> = view.recording.ops.iter().map(|op| op.seat).collect();
    seats.extend(view.recording.calls.iter().map(|call| call.seat));
    seats.sort_by_key(|seat| (seat.app, seat.mount));
    seats.dedup();
    for seat in seats {
        calls(view, sheet, seat);
        files(view, sheet, seat);
    }
}

fn calls(view: &View<'_>, sheet: &mut Sheet, seat: Seat) {
    let mut of_op: BTreeMap<_, Vec<&CallRecord>> = BTreeMap::new();
    for call in view.recording.calls.iter().filter(|call| call.seat == seat) {
        of_op.entry(call.op).or_default().push(call);
    }
    let mut marks = String::new();
    for op in view.recording.ops.iter().filter(|op| op.seat == seat) {
        marks += &op_mark(view, op, of_op.get(&Some(op.id)).map_or(&[], Vec::as_slice)).html();
    }
    // Calls of no operation: of those who look at everything in the end.
    for call in of_op.get(&None).into_iter().flatten() {
        marks += &call_mark(view, call).html();
    }
    let (name, title) = match seat.app {
        u8::MAX => (format!("visitor of {}", seat.mount), "reads everything once the scenario is over"),
        app => (format!("app {app}"), ""),
    };
    let title = format!("{name}, on mount {}\n{title}", seat.mount);
    sheet.row("app", &name, &title, OP_PX + 8, &marks);
}

fn op_mark(view: &View<'_>, op: &OpRecord, calls: &[&CallRecord]) -> Mark {
    let over = op.over(view.recording.ended);
    let mut title = format!("operation {}: {}\n{} to ", op.id, words::call(&op.call), words::time(op.began));
    title += &op.ended.map_or("… the run was over before it returned".into(), words::time);
    title += &told(calls);
    let mut mark = Mark {
        class: "b op".into(),
        x: view.axis.x(op.began),
        width: Some(view.axis.width(op.began, over)),
        top: 4,
        height: OP_PX,
        background: background(view, calls),
        id: format!("op{}", op.id),
        title,
        label: format!("{} {}", op.id, words::call(&op.call)),
    };
    if let Some(errno) = calls.iter().find_map(|call| call.result.as_ref().err()) {
        mark.class += " err";
        mark.label = format!("{} {}: {}", op.id, words::errno(*errno), words::call(&op.call));
    }
    if mark.background == "var(--plain)" {
        mark.background.clear();
        mark.class += " plain";
    }
    if op.ended.is_none() {
        mark.class += " open";
    }
    if view.culprit.and_then(|culprit| culprit.op).is_some_and(|culprit| culprit.id == op.id) {
        mark.class += " culprit";
    }
    mark
}

fn call_mark(view: &View<'_>, call: &CallRecord) -> Mark {
    let is_culprit = view.culprit.and_then(|culprit| culprit.call).is_some_and(|culprit| culprit == call);
    let key = call.key.as_deref().unwrap_or_default();
    let failed = if call.result.is_err() { " err" } else { "" };
    Mark {
        class: format!("b op{failed}{}", if is_culprit { " culprit" } else { "" }),
        x: view.axis.x(call.began),
        width: Some(view.axis.width(call.began, call.ended)),
        top: 4,
        height: OP_PX,
        background: background(view, &[call]),
        id: String::new(),
        title: told(&[call]).trim_start().to_owned(),
        label: format!("{} {key}", call.call),
    }
}

/// Calls of an operation that a tooltip tells.
const CALLS_TOLD: usize = 14;

fn told(calls: &[&CallRecord]) -> String {
    let mut text = String::new();
    for call in calls.iter().take(CALLS_TOLD) {
        let key = call.key.as_deref().unwrap_or_default();
        let range = call.range.as_ref().map_or(String::new(), |range| format!(" {}", words::span(range)));
        let result = match &call.result {
            Ok(seen) => words::seen(seen),
            Err(errno) => words::errno(*errno),
        };
        text += &format!("\n{}  {} {key}{range}: {result}", words::time(call.ended), call.call);
    }
    if calls.len() > CALLS_TOLD {
        text += &format!("\n… and {} calls more", calls.len() - CALLS_TOLD);
    }
    text
}

/// The colours of the bytes that the calls brought, else of the version that they named.
fn background(view: &View<'_>, calls: &[&CallRecord]) -> String {
    let mut bytes: Vec<Piece> = Vec::new();
    let mut named = None;
    let mut key = "";
    for call in calls {
        let of = call.key.as_deref().unwrap_or_default();
        match &call.result {
            Ok(Seen::Bytes(pieces)) => {
                bytes.extend(pieces);
                key = of;
            }
            Ok(Seen::Opened(version) | Seen::Attributes { version, .. }) => named = Some((of, *version)),
            _ => {}
        }
    }
    match named {
        _ if !bytes.is_empty() => view.colours.stripes(key, &bytes),
        Some((key, version @ Some(_))) => {
            let colour = view.colours.class(key, version);
            format!("color-mix(in srgb,var(--{colour}) 45%,var(--plain))")
        }
        _ => "var(--plain)".into(),
    }
}

fn files(view: &View<'_>, sheet: &mut Sheet, seat: Seat) {
    let ended = view.recording.ended;
    let mut stack = Stack::default();
    let mut marks = String::new();
    for file in view.recording.files.iter().filter(|file| file.seat == seat) {
        let closed = file.closed.unwrap_or(ended);
        let top = 1 + FILE_PX * stack.place(file.opened, closed, FILE_LINES_MAX);
        marks += &file_mark(view, file, closed, top).html();
        let reads = view.recording.calls.iter().filter(|call| call.file == Some(file.file));
        for read in reads {
            if let Ok(Seen::Bytes(pieces)) = &read.result
                && !pieces.is_empty()
            {
                marks += &read_mark(view, file, read, pieces, top).html();
            }
        }
    }
    if stack.lines() > 0 {
        let title = "each open file, in the colour of the version that its open pinned; in it, the bytes read";
        sheet.row("files", "open files", title, FILE_PX * stack.lines() + 5, &marks);
    }
}

fn file_mark(view: &View<'_>, file: &FileRecord, closed: Time, top: u32) -> Mark {
    let version = words::version(file.version);
    let mut title = format!("{}: its open pinned {version}\n{} to ", file.key, words::time(file.opened));
    title += &file.closed.map_or("the end of the run".into(), words::time);
    Mark {
        class: format!("f {}", view.colours.class(&file.key, file.version)),
        x: view.axis.x(file.opened),
        width: Some(view.axis.width(file.opened, closed)),
        top,
        height: FILE_PX - 2,
        id: format!("file{}", file.file.0),
        title,
        label: format!("{} pinned at {version}", file.key),
        ..Mark::default()
    }
}

fn read_mark(view: &View<'_>, file: &FileRecord, read: &CallRecord, pieces: &[Piece], top: u32) -> Mark {
    let wrong = if is_mixed(pieces, file.version) { " wrong" } else { "" };
    Mark {
        class: format!("b r{wrong}"),
        x: view.axis.x(read.began),
        width: Some(view.axis.width(read.began, read.ended)),
        top: top + 3,
        height: FILE_PX - 8,
        background: view.colours.stripes(&file.key, pieces),
        title: told(&[read]).trim_start().to_owned(),
        ..Mark::default()
    }
}
