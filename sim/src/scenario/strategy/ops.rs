//! What applications do.

use super::setting::size;
use super::{Draw, Profile};
use crate::scenario::config::ScenarioConfig;
use crate::scenario::{AppOp, Call, Slot};

/// Kinds of calls, of which a scenario uses some.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Open,
    Read,
    Pread,
    ReadToEnd,
    Look,
    Seek,
    Xattr,
    Dup,
    Close,
    Map,
    Stat,
    Missing,
    Readdir,
    Stream,
    ListLong,
    Lstat,
    XattrAt,
    Again,
    Cat,
    Odd,
    Drop,
}

const SORTS: &[(u64, Sort)] = &[
    (6, Sort::Open),
    (10, Sort::Read),
    (8, Sort::Pread),
    (2, Sort::ReadToEnd),
    (2, Sort::Look),
    (1, Sort::Seek),
    (1, Sort::Xattr),
    (1, Sort::Dup),
    (4, Sort::Close),
    (2, Sort::Map),
    (4, Sort::Stat),
    (2, Sort::Missing),
    (3, Sort::Readdir),
    (4, Sort::Stream),
    (1, Sort::ListLong),
    (1, Sort::Lstat),
    (2, Sort::XattrAt),
    (2, Sort::Again),
    (2, Sort::Cat),
    (1, Sort::Odd),
    (1, Sort::Drop),
];

/// Descriptors that an application uses; few, so that they are used much.
const SLOTS_USED: u64 = 4;
/// Those of directory streams come after.
const STREAMS_USED: u64 = 2;

pub(super) fn ops(profile: Profile, config: &ScenarioConfig, draw: &mut Draw<'_>) -> Vec<AppOp> {
    let sorts: Vec<(u64, Sort)> = SORTS
        .iter()
        .copied()
        .map(|(weight, sort)| match (profile, sort) {
            (Profile::Listing, Sort::Readdir | Sort::Stream | Sort::ListLong | Sort::Stat) => (weight * 6, sort),
            _ => (weight, sort),
        })
        .filter(|(_, sort)| matches!(sort, Sort::Open | Sort::Close) || draw.chance(2, 3))
        .collect();
    let count = match profile {
        Profile::Tiny => draw.within(1, 3),
        _ => draw.pick(&[20, 60, 100, 200]),
    };
    let hurried = draw.chance(1, 3);
    let kills = draw.chance(1, 5);
    let mut ops = Vec::new();
    let mut again: Vec<Call> = Vec::new();
    for id in 1..=count {
        let app = draw.below(config.machines.apps.into()) as u8;
        let pause_ms = pause(profile, hurried, draw);
        let call = match again.pop() {
            Some(call) => call,
            None => match draw.weigh(&sorts) {
                Sort::Again => {
                    again = sight_and_use(config, draw);
                    again.pop().unwrap_or(Call::Sleep)
                }
                sort => call(sort, profile, config, draw),
            },
        };
        let killed_after_ms = (kills && draw.chance(1, 15)).then(|| draw.below(60));
        ops.push(AppOp { id: id as u32, app, pause_ms, call, killed_after_ms });
    }
    if profile == Profile::Tiny && !matches!(ops[0].call, Call::Open { .. } | Call::Cat { .. }) {
        ops[0].call = Call::Open { file: 0, path: path(config, draw), direct: false };
    }
    ops
}

fn pause(profile: Profile, hurried: bool, draw: &mut Draw<'_>) -> u64 {
    if hurried || profile == Profile::Tiny {
        return if draw.chance(1, 4) { draw.below(20) } else { 0 };
    }
    let long = if profile == Profile::Pauses { 4 } else { 1 };
    match draw.weigh(&[(20, 0), (20, 1), (10, 2), (long, 3)]) {
        0 => 0,
        1 => draw.below(50),
        2 => draw.below(2_000),
        _ => draw.below(100_000),
    }
}

/// The path of an object, most often of the first.
fn path(config: &ScenarioConfig, draw: &mut Draw<'_>) -> String {
    let object = if draw.chance(1, 2) { &config.objects[0] } else { &draw.pick(&config.objects) };
    path_of(config, &object.key)
}

fn path_of(config: &ScenarioConfig, key: &str) -> String {
    format!("/{}", key.strip_prefix(&config.mount.prefix).unwrap_or(key).trim_end_matches('/'))
}

fn directory(config: &ScenarioConfig, draw: &mut Draw<'_>) -> String {
    if draw.chance(1, 2) {
        return "/".to_owned();
    }
    let path = path_of(config, &draw.pick(&config.objects).key);
    match path.rfind('/') {
        Some(0) | None => draw.pick(&["/d", "/e", "/"]).to_owned(),
        Some(end) => path[..end].to_owned(),
    }
}

/// An offset in an object, or beyond it.
fn place(config: &ScenarioConfig, draw: &mut Draw<'_>) -> u64 {
    let end = size(&config.mount, draw);
    draw.below(end + 1)
}

/// A file is used, its directory is listed, and it is used again: what was learnt between the two must tell, in whatever
/// way the first and the second use it. Last first.
fn sight_and_use(config: &ScenarioConfig, draw: &mut Draw<'_>) -> Vec<Call> {
    let path = path(config, draw);
    let above = match path.rfind('/') {
        Some(0) | None => "/".to_owned(),
        Some(end) => path[..end].to_owned(),
    };
    let slot = draw.below(SLOTS_USED) as Slot;
    let using = |draw: &mut Draw<'_>| match draw.below(5) {
        0 => Call::Stat { path: path.clone() },
        1 => Call::Open { file: slot, path: path.clone(), direct: false },
        2 => Call::XattrAt { path: path.clone(), name: xattr(draw).to_owned() },
        _ => Call::Cat { path: path.clone() },
    };
    let mut calls = vec![using(draw)];
    if draw.chance(1, 3) {
        calls.push(Call::DropCaches);
    }
    calls.push(match draw.below(4) {
        0 => Call::ListLong { path: above.clone() },
        _ => Call::Readdir { path: above.clone() },
    });
    calls.push(using(draw));
    calls
}

fn xattr(draw: &mut Draw<'_>) -> &'static str {
    draw.pick(&[
        "user.s3.etag",
        "user.s3.version-id",
        "user.s3.content-type",
        "user.s3.meta.version",
        "user.holdfast.hold",
        "security.capability",
    ])
}

fn call(sort: Sort, profile: Profile, config: &ScenarioConfig, draw: &mut Draw<'_>) -> Call {
    let slot = |draw: &mut Draw<'_>| draw.below(SLOTS_USED) as Slot;
    let (file, to) = (slot(draw), slot(draw));
    let page = 4096;
    let len = |draw: &mut Draw<'_>| match draw.below(4) {
        0 => 1 + draw.below(200),
        1 => page,
        _ => 1 + draw.below(16 * page),
    };
    let direct = draw.chance(1, 12);
    match sort {
        Sort::Open => Call::Open { file, path: path(config, draw), direct },
        Sort::Read => Call::Read { file, len: len(draw) },
        Sort::Pread => Call::Pread { file, at: place(config, draw), len: len(draw) },
        Sort::ReadToEnd => Call::ReadToEnd { file },
        Sort::Look => Call::Fstat { file },
        Sort::Seek => match draw.below(3) {
            0 => Call::SeekData { file, from: draw.below(100_000) },
            1 => Call::SeekHole { file, from: draw.below(100_000) },
            _ => Call::Seek { file, to: place(config, draw) },
        },
        Sort::Xattr => {
            let name = xattr(draw);
            Call::Xattr { file, name: name.to_owned() }
        }
        Sort::XattrAt if draw.chance(1, 4) => Call::ListXattr { path: path(config, draw) },
        Sort::XattrAt => Call::XattrAt { path: path(config, draw), name: xattr(draw).to_owned() },
        Sort::Lstat => Call::Lstat { path: path(config, draw) },
        Sort::ListLong => Call::ListLong { path: directory(config, draw) },
        Sort::Stream => {
            let dir = (SLOTS_USED + draw.below(STREAMS_USED)) as Slot;
            match draw.below(10) {
                0..2 => Call::Opendir { dir, path: directory(config, draw) },
                2 => Call::Rewinddir { dir },
                3 => Call::Seekdir { dir, nth: draw.below(12) },
                4 if draw.chance(1, 2) => Call::Close { file: dir },
                _ => Call::Getdents { dir },
            }
        }
        Sort::Again => Call::Sleep,
        Sort::Dup => Call::Dup { file, to },
        Sort::Close => Call::Close { file },
        Sort::Map => match draw.below(4) {
            0 => Call::Map { file, to },
            1 => Call::Unmap { map: file },
            _ => Call::Touch { map: file, at: place(config, draw), len: len(draw) },
        },
        Sort::Stat if draw.chance(1, 4) => Call::Access { path: path(config, draw) },
        Sort::Stat => Call::Stat { path: path(config, draw) },
        Sort::Missing => {
            let path = draw.pick(&["/missing", "/d/missing", "/film/below", "/d", "/e", "/made", "/d/made"]);
            Call::Stat { path: path.to_owned() }
        }
        Sort::Readdir => Call::Readdir { path: directory(config, draw) },
        Sort::Cat => Call::Cat { path: path(config, draw) },
        Sort::Odd => match draw.below(4) {
            0 => Call::Statfs,
            1 => Call::Write { path: path(config, draw) },
            2 => Call::Readlink { path: path(config, draw) },
            _ => Call::Open { file, path: directory(config, draw), direct },
        },
        Sort::Drop if profile != Profile::Tiny && draw.chance(1, 2) => Call::DropCaches,
        Sort::Drop => Call::DropPages,
    }
}
