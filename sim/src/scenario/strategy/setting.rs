//! What the world is like: options, weather, objects.

use super::{Draw, Profile};
use crate::scenario::config::{
    BucketSpec, ConflictName, Disk, DiskFaultName, DiskFaultSpec, DiskOpName, HoldName, Kernel, Machines, MountOptions,
    Object, ScenarioConfig, Schedule, Weather,
};

const KEYS: &[&str] =
    &["film", "a", "b", "d/c", "d/e/f", "d/g", "d-1/x", "d", "e/", "e/h", "space here", "ünï", "d/c.part", "z"];
/// The data path's measures, divided. A window then spans at least one page.
const DIVISORS: &[(u64, u64)] = &[(6, 256), (3, 128), (1, 64)];

pub(super) fn config(profile: Profile, draw: &mut Draw<'_>) -> ScenarioConfig {
    let mount = mount(profile, draw);
    let bucket =
        BucketSpec { versioned: draw.chance(1, 5), conditions_ignored: false, unordered_listings: draw.chance(1, 12) };
    let machines = match profile {
        Profile::Tiny => Machines { mounts: 1, apps: draw.within(1, 2) as u8 },
        _ => Machines { mounts: draw.weigh(&[(4, 1), (1, 2)]), apps: draw.within(1, 6) as u8 },
    };
    let objects = objects(profile, &mount, draw);
    ScenarioConfig {
        seed: draw.any() >> 16,
        schedule: schedule(draw),
        bucket,
        weather: weather(profile, draw),
        kernel: Kernel {
            readahead: draw.chance(1, 2),
            plus: draw.chance(2, 3),
            unhurried: draw.chance(2, 3),
            read_bytes_max: (1 << 20) / mount.sizes_divided_by,
            page_eviction_one_in: draw.weigh(&[(4, 0), (1, 3), (1, 20)]),
            name_eviction_one_in: draw.weigh(&[(4, 0), (1, 3), (1, 20)]),
        },
        disk: disk(profile, draw),
        mount,
        machines,
        objects,
    }
}

fn schedule(draw: &mut Draw<'_>) -> Schedule {
    match draw.below(8) {
        0 => Schedule::Fifo,
        1 => Schedule::Pct(2),
        2 => Schedule::Pct(3),
        3 => Schedule::Pct(5),
        4 => Schedule::StarveOne,
        _ => Schedule::RandomWalk,
    }
}

fn weather(profile: Profile, draw: &mut Draw<'_>) -> Weather {
    let latency_us = draw.pick(&[(5_000, 5_000), (100, 20_000), (100, 60_000), (1, 1_000)]);
    let chunk_us = draw.pick(&[(100, 100), (0, 1_000), (0, 5_000), (1, 10)]);
    let idle = match profile {
        Profile::Pauses => draw.chance(1, 2),
        Profile::Fair => false,
        _ => draw.chance(1, 8),
    };
    let body_idle_max_ms = idle.then(|| draw.pick(&[2_000, 30_000, 60_000]));
    Weather { latency_us, chunk_us, chunk_bytes: draw.pick(&[1_000, 4_096, 4_096, 16_384]), body_idle_max_ms }
}

fn mount(profile: Profile, draw: &mut Draw<'_>) -> MountOptions {
    let sizes_divided_by = draw.weigh(DIVISORS);
    let window = (16 << 20) / sizes_divided_by;
    MountOptions {
        prefix: draw.weigh(&[(5, ""), (1, "p/")]).to_owned(),
        metadata_ttl_ms: draw.pick(&[0, 1_000, 1_000, 60_000]),
        negative_metadata_ttl_ms: draw.pick(&[0, 1_000, 5_000]),
        hold: draw.weigh(&[(4, HoldName::Auto), (1, HoldName::Full), (1, HoldName::Off)]),
        hold_max: draw.weigh(&[(6, 1 << 30), (1, window), (1, 0)]),
        memory_max: draw.weigh(&[(5, 256 << 20), (1, 4 * window), (1, 8 * window)]),
        deadline_ms: draw.pick(&[5_000, 20_000, 60_000]),
        attempt_timeout_ms: draw.pick(&[1_000, 3_000, 5_000]),
        posix_metadata: draw.chance(1, 10),
        writable: false,
        write_back_max: 0,
        on_conflict: ConflictName::Fail,
        sizes_divided_by,
        list_page_keys: match profile {
            Profile::Listing => draw.pick(&[1, 2, 3, 10]),
            _ => draw.pick(&[2, 5, 1000]),
        },
    }
}

fn disk(profile: Profile, draw: &mut Draw<'_>) -> Disk {
    let mut disk = Disk { latency_us: draw.pick(&[(100, 100), (0, 5_000)]), ..Disk::default() };
    if profile == Profile::Fair || !draw.chance(1, 8) {
        return disk;
    }
    if draw.chance(1, 3) {
        disk.total_bytes = draw.pick(&[0, 20_000, 200_000]);
    }
    for _ in 0..draw.below(3) {
        let op = draw.pick(&[DiskOpName::Create, DiskOpName::Write, DiskOpName::Read, DiskOpName::Space]);
        let rot: &[DiskFaultName] = match op {
            DiskOpName::Write => &[DiskFaultName::Torn, DiskFaultName::Misplaced],
            DiskOpName::Read => &[DiskFaultName::Rots],
            DiskOpName::Create | DiskOpName::Space => &[],
        };
        let what = draw.pick(&[&[DiskFaultName::Failed, DiskFaultName::Full], rot].concat());
        disk.faults.push(DiskFaultSpec { op, nth: draw.chance(4, 5).then(|| 1 + draw.below(4)), what });
    }
    disk
}

fn objects(profile: Profile, mount: &MountOptions, draw: &mut Draw<'_>) -> Vec<Object> {
    let count = match profile {
        Profile::Tiny => draw.within(1, 2),
        Profile::Listing => draw.within(3, 10),
        _ => draw.within(1, 5),
    };
    let mut keys: Vec<&str> = KEYS.to_vec();
    let mut objects = Vec::new();
    for version in 0..count {
        let key = if version == 0 { keys[0] } else { draw.pick(&keys) };
        keys.retain(|other| *other != key);
        let key = format!("{}{key}", mount.prefix);
        let size = if key.ends_with('/') { 0 } else { size(mount, draw) };
        let link_to = (mount.posix_metadata && draw.chance(1, 4)).then(|| "film".to_owned());
        let size = link_to.as_ref().map_or(size, |target| target.len() as u64);
        objects.push(Object { key, version: version as u32, size, link_to });
    }
    objects
}

/// Around every threshold of the data path.
pub(super) fn size(mount: &MountOptions, draw: &mut Draw<'_>) -> u64 {
    let mib = (1 << 20) / mount.sizes_divided_by;
    let exact = draw.weigh(&[(1, 0), (1, 1), (3, mib), (4, 4 * mib), (4, 8 * mib), (3, 24 * mib), (2, 90 * mib)]);
    match draw.below(4) {
        0 => exact,
        1 => exact + 1,
        2 => exact.saturating_sub(1),
        _ => draw.below(exact + 1),
    }
}
