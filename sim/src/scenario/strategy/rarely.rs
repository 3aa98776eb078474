//! What few programs do to files: write through mappings, copy within the mount, set extended attributes; and what few mounts
//! meet: to die in the middle of a directory's rename.

use super::Draw;
use super::writers::{self, open_for_both};
use crate::scenario::config::{Disk, Object, ScenarioConfig};
use crate::scenario::{
    AppOp, Call, Cause, Change, FaultAt, FaultSpec, MutationAt, Point, RequestCause, RequestKind, Scenario,
    SetXattrName, Slot,
};

/// Mappings have places of their own.
const MAPS_FROM: Slot = 3;
/// The other descriptor of a copy.
const COPY_TO: Slot = 6;

type Size<'a> = dyn FnMut(&mut Draw<'_>) -> u64 + 'a;

/// Opens, maps, writes through the mapping, and lets go of both in any order.
pub(super) fn mapped(size: &mut Size<'_>, file: Slot, path: String, draw: &mut Draw<'_>) -> Vec<Call> {
    let map = MAPS_FROM + file;
    let mut calls = vec![open_for_both(file, path)];
    if draw.chance(1, 3) {
        calls.push(Call::Ftruncate { file, size: size(draw) });
    } else if draw.chance(1, 2) {
        calls.push(Call::WriteOn { file, len: size(draw) });
    }
    calls.push(Call::Map { file, to: map });
    for _ in 0..draw.within(1, 7) {
        let (at, len) = (size(draw), size(draw).max(1));
        calls.push(match draw.below(14) {
            0..5 => Call::Store { map, at: at / 2, len },
            5 => Call::Store { map, at: 0, len: draw.within(1, 5000) },
            6 => Call::Touch { map, at, len },
            7 => Call::Msync { map },
            8 => Call::Fsync { file },
            9 => Call::Pwrite { file, at, len },
            10 => Call::Ftruncate { file, size: at },
            11 => Call::DropPages,
            12 => Call::Pread { file, at: 0, len: at + 1 },
            _ => Call::Close { file },
        });
    }
    match draw.below(4) {
        0 | 1 => calls.extend([Call::Unmap { map }, Call::Close { file }]),
        2 => calls.extend([Call::Close { file }, Call::Store { map, at: 0, len: 100 }, Call::Unmap { map }]),
        _ => calls.push(Call::Close { file }),
    }
    calls
}

/// A rename of a file, or of the directory that it is in.
fn moved(path: &str, draw: &mut Draw<'_>) -> Call {
    let directory = path.rfind('/').map_or("", |at| &path[..at]);
    let whole = !directory.is_empty() && draw.chance(2, 3);
    let path = if whole { directory } else { path }.to_owned();
    Call::Rename { path, to: draw.pick(&["/f", "/b", "/g"]).to_owned(), no_replace: false }
}

/// A program that copies a file, or more of it, and may change either before and after.
pub(super) fn copied(
    size: &mut Size<'_>,
    (file, path): (Slot, String),
    to_path: String,
    draw: &mut Draw<'_>,
) -> Vec<Call> {
    let (to, whole) = (COPY_TO, 1 << 20);
    let source = if draw.chance(2, 3) { Call::Open { file, path, direct: false } } else { open_for_both(file, path) };
    let mut calls = vec![source, open_for_both(to, to_path.clone())];
    if draw.chance(1, 2) {
        calls.push(Call::Ftruncate { file: to, size: 0 });
    }
    let moved_at = draw.chance(1, 6).then(|| draw.within(1, 4));
    for n in 0..draw.within(1, 4) {
        if moved_at == Some(n) {
            calls.push(moved(&to_path, draw));
        }
        let (at, len) = (size(draw), size(draw) + 1);
        calls.push(match draw.below(10) {
            0..4 => Call::CopyRange { file, at: 0, to, to_at: 0, len: whole },
            4 => Call::CopyRange { file, at: 0, to, to_at: 0, len },
            5 => Call::CopyRange { file, at, to, to_at: at, len: whole },
            6 => Call::CopyRange { file, at, to, to_at: size(draw), len },
            7 => Call::Pwrite { file: draw.pick(&[file, to]), at, len },
            8 => Call::Ftruncate { file: to, size: at },
            _ => Call::Pread { file: to, at: 0, len: whole },
        });
    }
    if draw.chance(5, 6) {
        calls.extend([Call::Close { file: to }, Call::Close { file }]);
    }
    calls
}

fn name(draw: &mut Draw<'_>) -> String {
    draw.pick(&["user.colour", "user.origin"]).to_owned()
}

fn value(draw: &mut Draw<'_>) -> (String, SetXattrName) {
    let letter = char::from(b'a' + draw.below(26) as u8);
    let value = String::from(letter).repeat(draw.within(0, 40) as usize);
    (value, draw.pick(&[SetXattrName::Either, SetXattrName::Either, SetXattrName::Create, SetXattrName::Replace]))
}

pub(super) fn attribute(path: String, draw: &mut Draw<'_>) -> Call {
    let name = name(draw);
    match draw.below(7) {
        0..3 => {
            let (value, how) = value(draw);
            Call::Setxattr { path, name, value, how }
        }
        3 => Call::Removexattr { path, name },
        4 => Call::ListXattr { path },
        _ => Call::XattrAt { path, name },
    }
}

/// The same by a descriptor.
pub(super) fn attribute_of(file: Slot, draw: &mut Draw<'_>) -> Call {
    let name = name(draw);
    match draw.below(6) {
        0..3 => {
            let (value, how) = value(draw);
            Call::Fsetxattr { file, name, value, how }
        }
        3 => Call::Fremovexattr { file, name },
        _ => Call::Xattr { file, name },
    }
}

/// Opens a file to read it, and sets or asks for its attributes by that descriptor.
pub(super) fn described(file: Slot, path: String, draw: &mut Draw<'_>) -> Vec<Call> {
    let mut calls = vec![Call::Open { file, path, direct: false }];
    calls.extend((0..draw.within(1, 3)).map(|_| attribute_of(file, draw)));
    calls
}

/// A directory with a few files is renamed while others use them, and its mount dies in the middle of moving them. Nothing else
/// goes wrong, so that the next mount has to finish it.
pub(super) fn cut_short(mut config: ScenarioConfig, draw: &mut Draw<'_>) -> Scenario {
    let (from, to) = draw.pick(&[("d", "f"), ("d/e", "e"), ("d", "e")]);
    let names = draw.some(&["a", "b", "new", "e/b", "g/x"], 1, 2);
    let files: Vec<String> = names.iter().map(|name| format!("{}{from}/{name}", config.mount.prefix)).collect();
    let object = |(version, key): (usize, &String)| Object {
        key: key.clone(),
        version: version as u32,
        size: writers::size(&config, draw),
        link_to: None,
    };
    config.objects = files.iter().enumerate().map(object).collect();
    config.disk.faults.clear();
    let mut ops = writers::ops(&config, &files, draw);
    ops.truncate(draw.below(12) as usize);
    let id = 1000;
    let app = draw.below(config.machines.apps.into()) as u8;
    let call = Call::Rename { path: format!("/{from}"), to: format!("/{to}"), no_replace: false };
    let place = draw.below(ops.len() as u64 + 1) as usize;
    ops.insert(place, AppOp { id, app, pause_ms: 0, call, killed_after_ms: None });
    if draw.chance(1, 2) {
        // Somebody who lists it meanwhile, page by page.
        config.mount.list_page_keys = draw.pick(&[1, 2]);
        let (app, pause_ms) = (draw.below(config.machines.apps.into()) as u8, draw.below(100));
        let call = Call::Readdir { path: format!("/{from}") };
        ops.push(AppOp { id: id + 1, app, pause_ms, call, killed_after_ms: None });
    }
    let when = Cause::Request(RequestCause {
        kind: Some(draw.pick(&[RequestKind::Copy, RequestKind::Copy, RequestKind::Delete])),
        key: None,
        nth: Some(draw.within(1, files.len() as u64)),
        since: Some(id),
        point: Some(draw.pick(&[Point::Before, Point::After])),
    });
    let change = Change::Crash { mount: app % config.machines.mounts };
    let mutations = if draw.chance(3, 4) { vec![MutationAt { when, change }] } else { Vec::new() };
    Scenario { config, ops, faults: Vec::new(), mutations }
}

/// With `--write-back`: a file is saved, and edited again while it is published behind its close; then its mount dies, and the
/// next one finds in the bucket what the journal says is older, the latest, or nothing.
pub(super) fn left_in_the_journal(mut config: ScenarioConfig, draw: &mut Draw<'_>) -> Scenario {
    config.mount.write_back_max = 1 << 30;
    config.machines.mounts = 1;
    config.disk = Disk::default();
    let key = format!("{}log", config.mount.prefix);
    config.objects = Vec::new();
    if draw.chance(1, 2) {
        config.objects.push(Object { key: key.clone(), version: 0, size: writers::size(&config, draw), link_to: None });
    }
    let path = "/log".to_owned();
    let mut calls = vec![(0, Call::Save { path: path.clone(), len: 1 + writers::size(&config, draw) })];
    for _ in 0..draw.within(1, 3) {
        let pause_ms = draw.below(3) * draw.below(60);
        let len = 1 + writers::size(&config, draw);
        let edit = [open_for_both(0, path.clone()), Call::Pwrite { file: 0, at: 0, len }, Call::Close { file: 0 }];
        calls.extend(edit.into_iter().map(|call| (0, call)));
        calls.last_mut().expect("an edit is not empty").0 = pause_ms;
    }
    let op = |(n, (pause_ms, call)): (usize, (u64, Call))| AppOp {
        id: n as u32 + 1,
        app: 0,
        pause_ms,
        call,
        killed_after_ms: None,
    };
    let ops = calls.into_iter().enumerate().map(op).collect();
    let put =
        |point| RequestCause { kind: Some(RequestKind::Put), key: Some(key.clone()), nth: Some(1), since: None, point };
    let slow_ms = draw.within(100, 2_000);
    let faults = match draw.below(4) {
        0 => Vec::new(),
        1 => vec![FaultAt { when: Cause::Request(put(None)), what: FaultSpec::AnswerLost }],
        _ => vec![FaultAt { when: Cause::Request(put(None)), what: FaultSpec::AnswerSlow { ms: slow_ms } }],
    };
    let when = match draw.below(3) {
        0 => Cause::Request(put(Some(draw.pick(&[Point::Before, Point::After])))),
        _ => Cause::AtMs(draw.below(slow_ms)),
    };
    // It need not die.
    let dies = draw.chance(3, 4);
    let mutations = if dies { vec![MutationAt { when, change: Change::Crash { mount: 0 } }] } else { Vec::new() };
    Scenario { config, ops, faults, mutations }
}

/// A directory's attributes are set while others make, replace and remove its marker.
pub(super) fn marked(mut config: ScenarioConfig, draw: &mut Draw<'_>) -> Scenario {
    let marker = format!("{}d/", config.mount.prefix);
    config.mount.posix_metadata = draw.chance(1, 2);
    config.machines.mounts = 1;
    let object = |key: String, size| Object { key, version: 0, size, link_to: None };
    config.objects = vec![object(format!("{marker}a"), 1)];
    if draw.chance(1, 2) {
        config.objects.push(object(marker.clone(), draw.pick(&[0, 0, 3])));
    }
    let mut ops = Vec::new();
    for id in 1..=draw.within(3, 12) as u32 {
        let path = "/d".to_owned();
        let call = match draw.below(10) {
            0..4 => attribute(path, draw),
            4 | 5 => Call::Chmod { path, perm: draw.pick(&[0o700, 0o755]) },
            6 => Call::Utimens { path, seconds: draw.below(2_000_000_000) as i64 },
            7 => draw.pick(&[Call::Mkdir { path: path.clone() }, Call::Rmdir { path }]),
            8 => draw.pick(&[Call::Unlink { path: "/d/a".to_owned() }, Call::Save { path: "/d/a".to_owned(), len: 1 }]),
            _ => Call::Stat { path },
        };
        let app = draw.below(config.machines.apps.into()) as u8;
        ops.push(AppOp { id, app, pause_ms: draw.pick(&[0, 0, 5, 40]), call, killed_after_ms: None });
    }
    let mut mutations = Vec::new();
    for nth in 1..=draw.within(1, 4) {
        let kind = draw.pick(&[RequestKind::Put, RequestKind::Put, RequestKind::Copy]);
        let cause =
            RequestCause { kind: Some(kind), key: Some(marker.clone()), nth: Some(nth), since: None, point: None };
        let change = match draw.below(3) {
            0 => Change::Delete { key: marker.clone() },
            _ => Change::Put { key: marker.clone(), version: 100 + nth as u32, size: draw.pick(&[0, 2]) },
        };
        mutations.push(MutationAt { when: Cause::Request(cause), change });
    }
    Scenario { config, ops, faults: Vec::new(), mutations }
}
