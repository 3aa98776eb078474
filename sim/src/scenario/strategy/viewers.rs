//! Viewers: applications that read large objects from the first byte on, in order and with pauses, while others put new
//! ones over them. What they began they must be able to finish.

use super::Draw;
use crate::scenario::config::{Object, ScenarioConfig};
use crate::scenario::{AppOp, Call, Cause, Change, MutationAt, Point, RequestCause, RequestKind};

/// Also makes the world one in which nothing but replacement happens, and the objects long.
pub(super) fn ops(config: &mut ScenarioConfig, draw: &mut Draw<'_>) -> Vec<AppOp> {
    let mib = (1 << 20) / config.mount.sizes_divided_by;
    config.machines.apps = draw.within(1, 3) as u8;
    config.machines.mounts = 1;
    config.bucket = crate::scenario::config::BucketSpec::default();
    config.mount.posix_metadata = false;
    config.kernel.page_eviction_one_in = 0;
    config.kernel.name_eviction_one_in = 0;
    config.weather.body_idle_max_ms = draw.chance(1, 2).then_some(60_000);
    config.weather.chunk_us = draw.pick(&[(0, 100), (0, 1_500), (100, 100), (500, 500)]);
    // Small ones too, many at a time and little memory: what is open must then move to the disk.
    let large = draw.chance(2, 3);
    let per_app = if large { 1 } else { 4 };
    config.objects.clear();
    for n in 0..u32::from(config.machines.apps) * per_app {
        let most = draw.pick(&[5, 30, 90]) * mib;
        let size = if large { 1 + draw.below(most) } else { 4 * mib - draw.below(100) };
        let key = format!("{}film-{n}", config.mount.prefix);
        config.objects.push(Object { key, version: n, size, link_to: None });
    }
    let mut ops = Vec::new();
    for app in 0..config.machines.apps {
        let mut add = |pause_ms, call| {
            ops.push(AppOp { id: ops.len() as u32 + 1, app, pause_ms, call, killed_after_ms: None });
        };
        let pauses = draw.pick(&[2, 20]);
        for _ in 0..draw.within(1, 2) {
            for n in 0..per_app {
                let path = format!("/film-{}", u32::from(app) * per_app + n);
                add(draw.below(200), Call::Open { file: n as u8, path, direct: false });
            }
            for _ in 0..draw.within(5, 40) {
                let pause_ms = if draw.below(100) < pauses { draw.below(200_000) } else { 0 };
                let file = draw.below(per_app.into()) as u8;
                add(pause_ms, Call::Read { file, len: 1 + draw.below(6 * mib) });
            }
            for n in 0..per_app {
                add(0, Call::ReadToEnd { file: n as u8 });
            }
        }
    }
    ops
}

/// New films over the old: at the requests that set up a reader's next stretch, where it hurts, and at any time.
pub(super) fn mutations(config: &ScenarioConfig, ops: &[AppOp], draw: &mut Draw<'_>) -> Vec<MutationAt> {
    let mib = (1 << 20) / config.mount.sizes_divided_by;
    let mut mutations = Vec::new();
    for version in 100..100 + draw.within(1, 8) as u32 {
        let key = draw.pick(&config.objects).key;
        let change = match draw.below(8) {
            0 => Change::PutAgain { key: key.clone() },
            1 => Change::Put { key: format!("{key}/below"), version, size: 10 },
            _ => Change::Put { key: key.clone(), version, size: 1 + draw.below(30 * mib) },
        };
        let request = |nth, point, draw: &mut Draw<'_>| {
            let since = draw.chance(1, 3).then(|| draw.pick(ops).id);
            let kind = Some(RequestKind::Get);
            Cause::Request(RequestCause { kind, key: Some(key.clone()), nth: Some(nth), since, point: Some(point) })
        };
        let when = match draw.below(8) {
            0..4 => request(2 + draw.below(18), Point::Before, draw),
            4..6 => request(1 + draw.below(18), Point::Chunk(1 + draw.below(8)), draw),
            6 => request(1 + draw.below(3), Point::After, draw),
            _ => Cause::AtMs(draw.pick(&[500, 10_000, 300_000]) * draw.below(100) / 100),
        };
        mutations.push(MutationAt { when, change });
    }
    mutations
}
