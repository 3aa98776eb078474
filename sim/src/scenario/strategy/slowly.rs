//! What only happens where one request takes its time, and others of the same mount do not wait for it.

use super::Draw;
use super::rarely::attribute;
use super::writers::{self, open_for_both};
use crate::scenario::config::{Disk, Object, ScenarioConfig};
use crate::scenario::{AppOp, Call, Cause, FaultAt, FaultSpec, Point, RequestCause, RequestKind, Scenario};

fn op(id: usize, app: u64, pause_ms: u64, call: Call) -> AppOp {
    AppOp { id: id as u32, app: app as u8, pause_ms, call, killed_after_ms: None }
}

fn request(kind: RequestKind, key: Option<String>, nth: u64) -> Cause {
    Cause::Request(RequestCause { kind: Some(kind), key, nth: Some(nth), since: None, point: None::<Point> })
}

fn alone(config: &mut ScenarioConfig, apps: u8) {
    config.machines.mounts = 1;
    config.machines.apps = apps;
    config.disk = Disk::default();
}

/// A directory is renamed, one of its files after a while; meanwhile its mount's applications go on in it, by its old name, by
/// its new one, and by what they have open. Nobody else is at work.
pub(super) fn moved(mut config: ScenarioConfig, draw: &mut Draw<'_>) -> Scenario {
    alone(&mut config, 4);
    config.mount.list_page_keys = draw.pick(&[1, 2, 1000]);
    let names = draw.some(&["a", "f", "h", "s/x"], 2, 4);
    let key = |directory: &str, name: &str| format!("{}{directory}/{name}", config.mount.prefix);
    let objects = names.iter().enumerate().map(|(version, name)| Object {
        key: key("d", name),
        version: version as u32,
        size: 1 + writers::size(&config, draw),
        link_to: None,
    });
    config.objects = objects.collect();
    let slow = draw.pick(&names);
    let ms = draw.pick(&[50, 300, 3_000]);
    let kind = draw.pick(&[RequestKind::Copy, RequestKind::Copy, RequestKind::Delete]);
    let at = if kind == RequestKind::Copy { key("e", slow) } else { key("d", slow) };
    let faults = vec![FaultAt { when: request(kind, Some(at), 1), what: FaultSpec::Delayed { ms } }];
    let mut ops = Vec::new();
    let mut id = 0;
    let mut add = |app: u64, pause_ms: u64, call: Call| {
        id += 1;
        ops.push(op(id, app, pause_ms, call));
    };
    add(0, draw.below(60), Call::Rename { path: "/d".into(), to: "/e".into(), no_replace: false });
    if draw.chance(1, 2) {
        // It is in the middle of a listing of its old name.
        add(3, 0, Call::Opendir { dir: 0, path: "/d".into() });
        add(3, draw.below(40), Call::Getdents { dir: 0 });
        add(3, draw.below(ms * 2), Call::Getdents { dir: 0 });
        add(3, 0, Call::Getdents { dir: 0 });
    }
    for app in 1..=draw.within(1, 2) {
        let name = draw.pick(&names);
        let path = |draw: &mut Draw<'_>| format!("/{}/{name}", draw.pick(&["d", "d", "e"]));
        let opened = draw.chance(1, 2);
        if opened {
            add(app, 0, open_for_both(0, format!("/d/{name}")));
        }
        for _ in 0..draw.within(1, 4) {
            let (pause_ms, len) = (draw.pick(&[0, 30, 60, ms / 2, ms]), 1 + writers::size(&config, draw));
            let call = match draw.below(10) {
                0 | 1 => Call::Save { path: path(draw), len },
                2 | 3 => Call::Cat { path: path(draw) },
                4 => Call::Stat { path: path(draw) },
                5 => Call::Pwrite { file: 0, at: 0, len },
                6 => Call::Pread { file: 0, at: 0, len: 1 << 20 },
                7 => Call::Fsync { file: 0 },
                8 => attribute(path(draw), draw),
                _ => Call::Truncate { path: path(draw), size: len / 2 },
            };
            add(app, pause_ms, call);
        }
        if opened {
            add(app, draw.below(ms), Call::Pwrite { file: 0, at: 0, len: 1 + writers::size(&config, draw) });
            add(app, draw.below(60), Call::Close { file: 0 });
        }
    }
    Scenario { config, ops, faults, mutations: Vec::new() }
}

/// A file is opened, which takes its time; meanwhile its mount publishes over it, its attributes or all of it.
pub(super) fn opened(mut config: ScenarioConfig, draw: &mut Draw<'_>) -> Scenario {
    alone(&mut config, 3);
    config.mount.write_back_max = 0;
    let key = format!("{}a", config.mount.prefix);
    let size = 1 + writers::size(&config, draw);
    config.objects = vec![Object { key: key.clone(), version: 0, size, link_to: None }];
    let path = || "/a".to_owned();
    let mut ops = vec![op(1, 0, draw.below(60), Call::Stat { path: path() })];
    let mut id = 1;
    for app in 0..3 {
        for _ in 0..draw.within(1, 3) {
            id += 1;
            let call = match draw.below(if app == 0 { 3 } else { 9 }) {
                0 => Call::Cat { path: path() },
                1 => Call::Open { file: draw.below(2) as u8, path: path(), direct: false },
                2 => Call::Pread { file: draw.below(2) as u8, at: 0, len: 1 << 20 },
                3 | 4 => Call::Chmod { path: path(), perm: draw.pick(&[0o600, 0o644]) },
                5 => Call::Truncate { path: path(), size: writers::size(&config, draw) },
                6 => Call::Save { path: path(), len: writers::size(&config, draw) },
                7 => Call::Close { file: draw.below(2) as u8 },
                _ => attribute(path(), draw),
            };
            ops.push(op(id, app, draw.pick(&[0, 5, 10, 20, 40]), call));
        }
    }
    let kinds = [RequestKind::Get, RequestKind::Get, RequestKind::Head, RequestKind::Copy, RequestKind::Put];
    let slow = |draw: &mut Draw<'_>| FaultAt {
        when: request(draw.pick(&kinds), Some(key.clone()), draw.within(1, 3)),
        what: FaultSpec::AnswerSlow { ms: draw.within(10, 200) },
    };
    let faults = (0..draw.within(1, 3)).map(|_| slow(draw)).collect();
    Scenario { config, ops, faults, mutations: Vec::new() }
}

/// With `--write-back`: what was closed waits, because the service fails; what is written since is synced, which fails, too, but
/// was done; then what was closed is to be published.
pub(super) fn synced(mut config: ScenarioConfig, draw: &mut Draw<'_>) -> Scenario {
    alone(&mut config, 2);
    config.mount.write_back_max = 1 << 30;
    (config.mount.attempt_timeout_ms, config.mount.deadline_ms) = (1_000, draw.pick(&[1_000, 2_000, 5_000]));
    config.objects = Vec::new();
    let key = format!("{}a", config.mount.prefix);
    let path = || "/a".to_owned();
    let len = |draw: &mut Draw<'_>| 1 + writers::size(&config, draw);
    let mut calls = vec![(0, Call::Save { path: path(), len: len(draw) }), (draw.below(20), open_for_both(0, path()))];
    for _ in 0..draw.within(1, 3) {
        calls.push((draw.pick(&[0, 10, 1_000]), Call::Pwrite { file: 0, at: 0, len: len(draw) }));
        let sync =
            draw.pick(&[Call::Fsync { file: 0 }, Call::Fsync { file: 0 }, Call::Truncate { path: path(), size: 1 }]);
        calls.push((draw.pick(&[0, 0, 500, 3_000]), sync));
    }
    calls.push((draw.pick(&[0, 1_000, 60_000]), Call::Close { file: 0 }));
    let ops = calls.into_iter().enumerate().map(|(n, (pause_ms, call))| op(n + 1, 0, pause_ms, call)).collect();
    let throttled = FaultSpec::Refused { error: crate::scenario::ErrorName::Throttled, retry_after_ms: None };
    let faults = (1..=draw.within(2, 8)).filter_map(|nth| {
        let what = draw.pick(&[
            Some(throttled.clone()),
            Some(throttled.clone()),
            Some(FaultSpec::HangsApplied),
            Some(FaultSpec::HangsApplied),
            Some(FaultSpec::AnswerLost),
            None,
        ])?;
        Some(FaultAt { when: request(RequestKind::Put, Some(key.clone()), nth), what })
    });
    let faults = faults.collect();
    Scenario { config, ops, faults, mutations: Vec::new() }
}
