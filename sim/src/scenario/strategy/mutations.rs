//! What other clients do, most of it where it hurts: while a GET of the same key is in flight.

use super::setting::size;
use super::{Draw, Profile};
use crate::scenario::config::ScenarioConfig;
use crate::scenario::{AppOp, Cause, Change, MutationAt, Point, RequestCause, RequestKind};

/// Versions of mutations count from here; objects have theirs below.
const VERSION_FIRST: u32 = 100;

pub(super) fn mutations(
    profile: Profile,
    config: &ScenarioConfig,
    ops: &[AppOp],
    draw: &mut Draw<'_>,
) -> Vec<MutationAt> {
    let count = match profile {
        Profile::Tiny => draw.within(1, 2),
        _ => draw.pick(&[0, 2, 8, 20, 40]),
    };
    let end_ms: u64 = ops.iter().map(|op| op.pause_ms).sum::<u64>() / u64::from(config.machines.apps) + 200;
    let purges = config.bucket.versioned && draw.chance(1, 3);
    let deletes = draw.chance(2, 3);
    // A key that is put again and again, or all of them.
    let favourite = draw.chance(1, 2).then(|| draw.pick(&config.objects).key);
    let mut mutations = Vec::new();
    for n in 0..count {
        let key = favourite.clone().unwrap_or_else(|| key(config, draw));
        let version = VERSION_FIRST + n as u32;
        let new_size = if key.ends_with('/') { 0 } else { size(&config.mount, draw) };
        let put = Change::Put { key: key.clone(), version, size: new_size };
        let change = match draw.below(12) {
            0 if deletes => Change::Delete { key: key.clone() },
            1 if purges => Change::Purge { key: key.clone() },
            2 => Change::PutAgain { key: key.clone() },
            _ => put,
        };
        let request = |kind, key: &str, nth, point, draw: &mut Draw<'_>| {
            let since = draw.chance(3, 4).then(|| draw.pick(ops).id);
            Cause::Request(RequestCause { kind: Some(kind), key: Some(key.to_owned()), nth, since, point: Some(point) })
        };
        let (when, change) = match draw.below(12) {
            // Between two chunks of one body.
            0..4 => {
                let chunk = Point::Chunk(1 + draw.below(6));
                (request(RequestKind::Get, &key, Some(1 + draw.below(3)), chunk, draw), change)
            }
            // Between two GETs of one key.
            4..6 => {
                let most = draw.pick(&[3, 3, 18]);
                (request(RequestKind::Get, &key, Some(2 + draw.below(most)), Point::Before, draw), change)
            }
            6 => (request(RequestKind::Get, &key, Some(1), Point::After, draw), change),
            7 => {
                let point = draw.pick(&[Point::Before, Point::After]);
                (request(RequestKind::Head, &key, Some(1 + draw.below(2)), point, draw), change)
            }
            8 => {
                let prefix = config.mount.prefix.clone();
                let point = draw.pick(&[Point::Before, Point::After]);
                (request(RequestKind::List, &prefix, Some(1 + draw.below(3)), point, draw), change)
            }
            9 => {
                let pick = draw.below(8) as u8;
                let otherwise = config.objects[0].key.clone();
                let size = if otherwise.ends_with('/') { 0 } else { new_size };
                (Cause::AtMs(draw.below(end_ms)), Change::PutInFlight { otherwise, pick, version, size })
            }
            _ => (Cause::AtMs(draw.below(end_ms)), change),
        };
        mutations.push(MutationAt { when, change });
    }
    if profile != Profile::Fair && profile != Profile::Tiny && draw.chance(1, 10) {
        for _ in 0..draw.within(1, 3) {
            let mount = draw.below(config.machines.mounts.into()) as u8;
            mutations.push(MutationAt { when: Cause::AtMs(draw.below(end_ms)), change: Change::Crash { mount } });
        }
    }
    mutations
}

/// Mostly of what is there, now and then of what is not, or of what turns a file into a directory and back.
fn key(config: &ScenarioConfig, draw: &mut Draw<'_>) -> String {
    let object = draw.pick(&config.objects).key;
    match draw.below(10) {
        0 => format!("{}{}", config.mount.prefix, draw.pick(&["made", "d/made", "d", "d/", "e"])),
        1 if !object.ends_with('/') => format!("{object}/below"),
        _ => object,
    }
}
