//! Writers: several applications of one or two mounts change a few files, each in sessions as programs do; other clients
//! put and delete the same objects, and requests of every kind fail, hang, are lost or come late.

use super::{Draw, Profile, rarely, setting, slowly};
use crate::scenario::config::{
    ConflictName, Disk, DiskFaultName, DiskFaultSpec, DiskOpName, Machines, Object, ScenarioConfig,
};
use crate::scenario::{
    AllocationName, AppOp, Call, Cause, Change, ErrorName, FaultAt, FaultSpec, MutationAt, Point, RequestCause,
    RequestKind, Scenario, Slot,
};

const FILES: &[&str] = &["a", "b", "d/a", "d/e/b", "log", "d/new", "e/x"];
const DIRECTORIES: &[&str] = &["d", "e", "d/e", "f", "d/f"];
/// Versions of mutations count from here; objects have theirs below.
const VERSION_FIRST: u32 = 100;
/// Descriptors that an application uses.
const SLOTS_USED: u64 = 3;

/// What a scenario may hold of what goes wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weather {
    /// Nothing, and nobody else is at work.
    Calm,
    /// Nothing, but for other clients.
    Contested,
    /// Answers are lost, and requests late.
    Lossy,
    /// Requests are refused.
    Failing,
}

pub(super) fn scenario(draw: &mut Draw<'_>) -> Scenario {
    let mut config = setting::config(Profile::Writers, draw);
    config.mount.writable = true;
    config.mount.posix_metadata = draw.chance(1, 5);
    let behind = draw.chance(1, 6);
    config.mount.write_back_max = if behind { 1 << 30 } else { 0 };
    config.mount.on_conflict =
        draw.weigh(&[(6, ConflictName::Fail), (1, ConflictName::Overwrite), (1, ConflictName::KeepBoth)]);
    config.bucket.conditions_ignored = draw.chance(1, 16);
    config.bucket.unordered_listings = false;
    if draw.chance(1, 2) {
        config.disk = Disk::default();
    }
    if draw.chance(1, 10) {
        // What is written does not stay in memory, and the disk is a poor one.
        config.mount.memory_max = 4 * (16 << 20) / config.mount.sizes_divided_by;
        for _ in 0..draw.within(1, 3) {
            let (op, what) = draw.pick(&[
                (DiskOpName::Read, DiskFaultName::Rots),
                (DiskOpName::Read, DiskFaultName::Failed),
                (DiskOpName::Write, DiskFaultName::Torn),
                (DiskOpName::Write, DiskFaultName::Misplaced),
                (DiskOpName::Write, DiskFaultName::Full),
                (DiskOpName::Create, DiskFaultName::Failed),
            ]);
            config.disk.faults.push(DiskFaultSpec { op, nth: draw.chance(3, 4).then(|| 1 + draw.below(6)), what });
        }
    }
    config.weather.body_idle_max_ms = None;
    config.machines = Machines { mounts: draw.weigh(&[(1, 1), (2, 2)]), apps: draw.within(1, 5) as u8 };
    if draw.chance(1, 10) {
        return contended(config, draw);
    }
    if draw.chance(1, 30) {
        return rarely::cut_short(config, draw);
    }
    if draw.chance(1, 60) {
        return rarely::marked(config, draw);
    }
    if draw.chance(1, 40) {
        return rarely::left_in_the_journal(config, draw);
    }
    match draw.below(60) {
        0 | 1 => return slowly::moved(config, draw),
        2 => return slowly::opened(config, draw),
        3 => return slowly::synced(config, draw),
        _ => {}
    }
    let files: Vec<String> =
        draw.some(FILES, 1, 3).into_iter().map(|name| format!("{}{name}", config.mount.prefix)).collect();
    let there = files.iter().filter(|_| draw.chance(2, 3)).cloned().collect::<Vec<_>>();
    config.objects = there
        .into_iter()
        .enumerate()
        .map(|(version, key)| Object { key, version: version as u32, size: size(&config, draw), link_to: None })
        .collect();
    let weather =
        draw.weigh(&[(2, Weather::Calm), (3, Weather::Contested), (3, Weather::Lossy), (2, Weather::Failing)]);
    let ops = ops(&config, &files, draw);
    let faults = faults(weather, &files, &ops, draw);
    let mut mutations =
        if weather == Weather::Calm { Vec::new() } else { mutations(weather, &config, &files, &ops, draw) };
    mutations.extend(crashes(&config, &ops, draw));
    Scenario { config, ops, faults, mutations }
}

/// One file, which all processes of one mount open, save and replace, while others put it right before it is asked for: opens
/// that are told to look again come back to what was made of the file meanwhile.
fn contended(mut config: ScenarioConfig, draw: &mut Draw<'_>) -> Scenario {
    config.machines = Machines { mounts: 1, apps: draw.within(3, 6) as u8 };
    config.mount.metadata_ttl_ms = draw.pick(&[0, 0, 1_000]);
    config.weather.latency_us = draw.pick(&[(100, 20_000), (100, 60_000), (1, 1_000)]);
    let key = format!("{}{}", config.mount.prefix, draw.pick(FILES));
    let path = format!("/{}", &key[config.mount.prefix.len()..]);
    config.objects = vec![Object { key: key.clone(), version: 0, size: size(&config, draw), link_to: None }];
    let mut ops = Vec::new();
    for id in 1..=draw.within(12, 40) as u32 {
        let (path, file) = (path.clone(), 0);
        let truncate = draw.chance(1, 4);
        let call = match draw.below(15) {
            0..3 => Call::Open { file, path, direct: false },
            3..5 => Call::OpenWrite {
                file,
                path,
                create: draw.chance(1, 2),
                exclusive: false,
                truncate,
                append: false,
                write_only: draw.chance(1, 3),
                direct: false,
                sync: false,
                dsync: false,
            },
            5..8 => Call::Save { path, len: size(&config, draw) },
            8 => Call::SaveBeside { path, len: size(&config, draw) },
            9 => Call::WriteOn { file, len: 1 + size(&config, draw) },
            10 => Call::ReadToEnd { file },
            11 => Call::Close { file },
            12 => Call::Truncate { path, size: size(&config, draw) },
            13 => Call::Unlink { path },
            _ => Call::Rename { path, to: "/b".to_owned(), no_replace: false },
        };
        let app = draw.below(config.machines.apps.into()) as u8;
        ops.push(AppOp { id, app, pause_ms: draw.pick(&[0, 0, 0, 5, 40]), call, killed_after_ms: None });
    }
    let mut mutations = Vec::new();
    for nth in 1..=8 {
        if draw.chance(1, 2) {
            continue;
        }
        let kind = draw.pick(&[RequestKind::Get, RequestKind::Get, RequestKind::Head, RequestKind::Put]);
        let cause = RequestCause { kind: Some(kind), key: Some(key.clone()), nth: Some(nth), since: None, point: None };
        let version = VERSION_FIRST + nth as u32;
        let change = Change::Put { key: key.clone(), version, size: size(&config, draw) };
        mutations.push(MutationAt { when: Cause::Request(cause), change });
    }
    Scenario { config, ops, faults: Vec::new(), mutations }
}

/// Around the thresholds of publishing: a record, a part, several parts.
pub(super) fn size(config: &ScenarioConfig, draw: &mut Draw<'_>) -> u64 {
    let mib = (1 << 20) / config.mount.sizes_divided_by;
    let exact = draw.weigh(&[(2, 0), (4, 100), (4, mib), (3, 5 * mib), (3, 8 * mib), (2, 20 * mib)]);
    match draw.below(4) {
        0 => exact,
        1 => exact + 1,
        _ => draw.below(exact + 1),
    }
}

pub(super) fn ops(config: &ScenarioConfig, files: &[String], draw: &mut Draw<'_>) -> Vec<AppOp> {
    let count = draw.pick(&[6, 15, 40, 80]);
    let hurried = draw.chance(1, 2);
    let kills = draw.chance(1, 6);
    let paths: Vec<String> = files.iter().map(|key| format!("/{}", &key[config.mount.prefix.len()..])).collect();
    let mut ops = Vec::new();
    let mut sessions: Vec<Vec<Call>> = vec![Vec::new(); usize::from(config.machines.apps)];
    for id in 1..=count {
        let app = draw.below(config.machines.apps.into()) as u8;
        let left = &mut sessions[usize::from(app)];
        if left.is_empty() {
            *left = session(config, &paths, draw);
            left.reverse();
        }
        let call = left.pop().unwrap_or(Call::Sleep);
        let pause_ms = match draw.below(10) {
            0 => draw.below(3_000),
            1..4 if !hurried => draw.below(300),
            _ => 0,
        };
        let killed_after_ms = (kills && draw.chance(1, 12)).then(|| draw.below(60));
        ops.push(AppOp { id, app, pause_ms, call, killed_after_ms });
    }
    ops
}

/// What a program does from its start to its end.
fn session(config: &ScenarioConfig, paths: &[String], draw: &mut Draw<'_>) -> Vec<Call> {
    let path = draw.pick(paths);
    let file = draw.below(SLOTS_USED) as Slot;
    let directory = format!("/{}", draw.pick(DIRECTORIES));
    match draw.below(34) {
        27..29 => rarely::mapped(&mut |draw| size(config, draw), file, path, draw),
        29..31 => rarely::copied(&mut |draw| size(config, draw), (file, path), draw.pick(paths), draw),
        31 => vec![Call::Mknod { path, fifo: config.mount.posix_metadata && draw.chance(1, 3) }],
        32 => vec![rarely::attribute(path, draw)],
        33 => rarely::described(file, path, draw),
        25 if draw.chance(1, 3) => rewrite(config, file, path),
        0..4 => edit(config, file, path, draw),
        4..6 => vec![Call::Save { path, len: size(config, draw) }],
        6 => vec![Call::SaveBeside { path, len: size(config, draw) }],
        7..9 => append(config, file, path, draw),
        9..11 => vec![Call::Cat { path }],
        11 => {
            let len = 1 + size(config, draw);
            vec![Call::Open { file, path, direct: false }, Call::Read { file, len }, Call::ReadToEnd { file }]
        }
        12 => vec![Call::Stat { path }],
        13 => vec![Call::Unlink { path }],
        14 => vec![Call::Rename { path, to: draw.pick(paths), no_replace: draw.chance(1, 4) }],
        15 => vec![Call::Truncate { path, size: size(config, draw) }],
        16 => vec![Call::Readdir { path: draw.pick(&["/".to_owned(), directory]) }],
        17 => vec![Call::Mkdir { path: directory }],
        18 => vec![Call::Rmdir { path: directory }],
        19 => vec![Call::Rename { path: directory, to: format!("/{}", draw.pick(DIRECTORIES)), no_replace: false }],
        20 => vec![Call::ReadToEnd { file }, Call::Close { file }],
        21 => vec![Call::Close { file }],
        22 => vec![Call::DropCaches],
        23 => {
            let path = if draw.chance(1, 3) { directory } else { path };
            vec![match draw.below(2) {
                0 => Call::Chmod { path, perm: draw.pick(&[0o600, 0o644, 0o755]) },
                _ => Call::Utimens { path, seconds: draw.below(2_000_000_000) as i64 },
            }]
        }
        24 if config.mount.posix_metadata => vec![Call::Symlink { target: draw.pick(paths), path }],
        24 => vec![Call::DropPages],
        _ => vec![Call::Fstat { file }, Call::Pread { file, at: size(config, draw), len: 1 + size(config, draw) }],
    }
}

/// Opens, writes here and there, and closes as a rule.
fn edit(config: &ScenarioConfig, file: Slot, path: String, draw: &mut Draw<'_>) -> Vec<Call> {
    let truncate = draw.chance(1, 4);
    let mut calls = vec![Call::OpenWrite {
        file,
        path,
        create: draw.chance(2, 3),
        exclusive: draw.chance(1, 10),
        truncate,
        append: false,
        write_only: draw.chance(1, 3),
        // Who mixes O_DIRECT and the page cache sees what Linux makes of it.
        direct: false,
        sync: draw.chance(1, 12),
        dsync: draw.chance(1, 12),
    }];
    for _ in 0..draw.within(1, 6) {
        let (at, len) = (size(config, draw), size(config, draw));
        calls.push(match draw.below(12) {
            0..4 => Call::WriteOn { file, len },
            4..6 => Call::Pwrite { file, at, len },
            6 => Call::Ftruncate { file, size: at },
            7 => Call::Fsync { file },
            8 => Call::Pread { file, at: 0, len: at + 1 },
            9 => Call::Fallocate {
                file,
                at,
                len: len + 1,
                how: draw.pick(&[
                    AllocationName::Allocate,
                    AllocationName::AllocateKeepingSize,
                    AllocationName::Punch,
                    AllocationName::Zero,
                    AllocationName::ZeroKeepingSize,
                ]),
            },
            10 => rarely::attribute_of(file, draw),
            _ => Call::Fstat { file },
        });
    }
    if draw.chance(1, 8) {
        let to = (file + 1) % SLOTS_USED as Slot;
        calls.push(Call::Dup { file, to });
    }
    if draw.chance(5, 6) {
        calls.push(Call::Close { file });
    }
    calls
}

/// One place again and again: most of what was written is needed no more.
fn rewrite(config: &ScenarioConfig, file: Slot, path: String) -> Vec<Call> {
    let len = (16 << 20) / config.mount.sizes_divided_by;
    let mut calls = vec![open_for_both(file, path)];
    calls.extend((0..12).map(|_| Call::Pwrite { file, at: 0, len }));
    calls.extend([Call::Pread { file, at: 0, len }, Call::Close { file }]);
    calls
}

/// O_RDWR | O_CREAT
pub(super) fn open_for_both(file: Slot, path: String) -> Call {
    let (create, exclusive, truncate, append) = (true, false, false, false);
    let (write_only, direct, sync, dsync) = (false, false, false, false);
    Call::OpenWrite { file, path, create, exclusive, truncate, append, write_only, direct, sync, dsync }
}

fn append(config: &ScenarioConfig, file: Slot, path: String, draw: &mut Draw<'_>) -> Vec<Call> {
    let mut calls = vec![Call::OpenWrite {
        file,
        path,
        create: true,
        exclusive: false,
        truncate: false,
        append: true,
        write_only: draw.chance(1, 2),
        direct: false,
        sync: draw.chance(1, 12),
        dsync: draw.chance(1, 12),
    }];
    for _ in 0..draw.within(1, 4) {
        calls.push(Call::WriteOn { file, len: size(config, draw) });
        if draw.chance(1, 4) {
            calls.push(Call::Fsync { file });
        }
    }
    calls.push(Call::Close { file });
    calls
}

fn faults(weather: Weather, files: &[String], ops: &[AppOp], draw: &mut Draw<'_>) -> Vec<FaultAt> {
    let count = match weather {
        Weather::Calm | Weather::Contested => 0,
        Weather::Lossy | Weather::Failing => draw.within(1, 8),
    };
    let mut faults = Vec::new();
    for _ in 0..count {
        let what = match (weather, draw.below(5)) {
            (Weather::Lossy, 0 | 1) => FaultSpec::AnswerLost,
            (Weather::Lossy, 2) => FaultSpec::AppliedLate { ms: draw.below(3_000) },
            (Weather::Lossy, 3) => FaultSpec::HangsApplied,
            (Weather::Lossy, _) => FaultSpec::AnswerSlow { ms: draw.below(2_000) },
            (_, 0) => FaultSpec::Delayed { ms: draw.below(2_000) },
            (_, 1) => FaultSpec::Hangs,
            (_, 2) if draw.chance(1, 2) => {
                faults.push(FaultAt {
                    when: Cause::AtMs(draw.below(5_000)),
                    what: FaultSpec::Outage { ms: draw.below(20_000) },
                });
                continue;
            }
            (_, _) => {
                let error = draw.pick(&[
                    ErrorName::Throttled,
                    ErrorName::Unavailable,
                    ErrorName::Unreachable,
                    ErrorName::NoAnswer,
                    ErrorName::Conflict,
                    ErrorName::AccessDenied,
                ]);
                FaultSpec::Refused { error, retry_after_ms: None }
            }
        };
        let kind = draw.weigh(&[
            (6, Some(RequestKind::Put)),
            (2, Some(RequestKind::CompleteUpload)),
            (1, Some(RequestKind::CreateUpload)),
            (2, Some(RequestKind::UploadPart)),
            (1, Some(RequestKind::UploadPartCopy)),
            (2, Some(RequestKind::Copy)),
            (3, Some(RequestKind::Delete)),
            (2, Some(RequestKind::Head)),
            (2, Some(RequestKind::Get)),
            (1, Some(RequestKind::List)),
            (1, None),
        ]);
        let key = (kind != Some(RequestKind::List) && draw.chance(1, 2)).then(|| draw.pick(files));
        let since = draw.chance(1, 2).then(|| draw.pick(ops).id);
        let lasting = matches!(what, FaultSpec::Refused { .. }) && draw.chance(1, 6);
        let nth = (!lasting).then(|| 1 + draw.below(4));
        faults.push(FaultAt { when: Cause::Request(RequestCause { kind, key, nth, since, point: None }), what });
    }
    faults
}

/// What other clients do to the same objects, most of it around the requests by which a mount publishes.
fn mutations(
    weather: Weather,
    config: &ScenarioConfig,
    files: &[String],
    ops: &[AppOp],
    draw: &mut Draw<'_>,
) -> Vec<MutationAt> {
    let count = draw.pick(&[0, 1, 3, 8, 16]);
    let end_ms = end_ms(config, ops);
    let mut mutations = Vec::new();
    for n in 0..count {
        let key = draw.pick(files);
        let change = match draw.below(13) {
            // Where answers are lost, too, nobody can tell that from having succeeded and been replaced.
            12 if weather == Weather::Contested => Change::AbortUploads { key: key.clone() },
            0 | 6 => Change::Delete { key: key.clone() },
            1 | 7 => Change::PutAgain { key: key.clone() },
            _ => Change::Put { key: key.clone(), version: VERSION_FIRST + n, size: size(config, draw) },
        };
        let kind = draw.pick(&[
            RequestKind::Put,
            RequestKind::Put,
            RequestKind::CompleteUpload,
            RequestKind::Head,
            RequestKind::Get,
            RequestKind::Copy,
            RequestKind::Delete,
            RequestKind::UploadPartCopy,
        ]);
        let when = match draw.below(3) {
            0 => Cause::AtMs(draw.below(end_ms)),
            _ => Cause::Request(RequestCause {
                kind: Some(kind),
                key: Some(key),
                nth: Some(1 + draw.below(3)),
                since: draw.chance(1, 2).then(|| draw.pick(ops).id),
                point: Some(draw.pick(&[Point::Before, Point::After])),
            }),
        };
        mutations.push(MutationAt { when, change });
    }
    mutations
}

/// Mounts that die, most often in the middle of publishing, of renaming or of tidying up.
fn crashes(config: &ScenarioConfig, ops: &[AppOp], draw: &mut Draw<'_>) -> Vec<MutationAt> {
    if !draw.chance(1, 6) {
        return Vec::new();
    }
    let end_ms = end_ms(config, ops);
    let crash = |draw: &mut Draw<'_>| {
        let mount = draw.below(config.machines.mounts.into()) as u8;
        let kind = draw.pick(&[
            RequestKind::Put,
            RequestKind::CreateUpload,
            RequestKind::UploadPart,
            RequestKind::UploadPartCopy,
            RequestKind::CompleteUpload,
            RequestKind::AbortUpload,
            RequestKind::Copy,
            RequestKind::Copy,
            RequestKind::Delete,
            RequestKind::Delete,
        ]);
        let when = match draw.below(3) {
            0 => Cause::AtMs(draw.below(end_ms)),
            _ => Cause::Request(RequestCause {
                kind: Some(kind),
                key: None,
                nth: Some(1 + draw.below(4)),
                since: draw.chance(1, 3).then(|| draw.pick(ops).id),
                point: Some(draw.pick(&[Point::Before, Point::After])),
            }),
        };
        MutationAt { when, change: Change::Crash { mount } }
    };
    (0..draw.within(1, 2)).map(|_| crash(draw)).collect()
}

/// About when the applications have ended.
fn end_ms(config: &ScenarioConfig, ops: &[AppOp]) -> u64 {
    ops.iter().map(|op| op.pause_ms).sum::<u64>() / u64::from(config.machines.apps) + 500
}
