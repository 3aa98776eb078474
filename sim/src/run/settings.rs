//! A scenario's config in terms of the world.

use std::ops::RangeInclusive;
use std::time::Duration;

use holdfast::bucket::{BucketOptions, DigestKind, Limits, Versioning};
use holdfast::config::{Config, Hold, OnConflict, Sizes};
use holdfast::env::DiskError;
use holdfast::env::store::{Key, NewObject};

use crate::content::Version;
use crate::court::{Manner, Truth};
use crate::disk::{DiskConfig, DiskFault, DiskOp, Rot, SilentFault};
use crate::executor::Policy;
use crate::kernel::KernelConfig;
use crate::mutation::Mutation;
use crate::scenario::config::{ConflictName, DiskFaultName, DiskOpName, HoldName};
use crate::scenario::{Call, Change, ErrorName, FaultSpec, MountOptions, Scenario, ScenarioConfig, Schedule};
use crate::store::StoreConfig;
use crate::world::{World, WorldConfig};

/// Errors: which option is out of order, as the mount itself would say.
pub fn mount_config(options: &MountOptions) -> Result<Config, String> {
    let mut sizes = Sizes::production_divided_by(options.sizes_divided_by);
    sizes.list_page_keys = options.list_page_keys;
    let config = Config {
        prefix: options.prefix.clone(),
        metadata_ttl: Duration::from_millis(options.metadata_ttl_ms),
        negative_metadata_ttl: Duration::from_millis(options.negative_metadata_ttl_ms),
        hold: match options.hold {
            HoldName::Auto => Hold::Auto,
            HoldName::Full => Hold::Full,
            HoldName::Off => Hold::Off,
        },
        hold_max: options.hold_max,
        memory_max: options.memory_max,
        deadline: Duration::from_millis(options.deadline_ms),
        attempt_timeout: Duration::from_millis(options.attempt_timeout_ms),
        posix_metadata: options.posix_metadata,
        read_only: !options.writable,
        write_back_max: options.write_back_max,
        on_conflict: match options.on_conflict {
            ConflictName::Fail => OnConflict::Fail,
            ConflictName::Overwrite => OnConflict::Overwrite,
            ConflictName::KeepBoth => OnConflict::KeepBoth,
        },
        sizes,
        ..Config::default()
    };
    config.validated().map_err(|error| error.to_string())
}

pub(super) fn world_config(config: &ScenarioConfig) -> WorldConfig {
    let weather = &config.weather;
    WorldConfig {
        seed: config.seed,
        mounts: config.machines.mounts,
        manner: Manner::Patient,
        policy: policy(&config.schedule),
        bucket: BucketOptions {
            versioning: if config.bucket.versioned { Versioning::Enabled } else { Versioning::Off },
            // By S3's ETags a mount knows its own bytes.
            digest: if config.mount.writable { DigestKind::Md5 } else { DigestKind::Quick },
            preconditions_ignored: config.bucket.conditions_ignored,
            limits: limits(config.mount.sizes_divided_by),
            ..BucketOptions::default()
        },
        store: StoreConfig {
            before: micros(weather.latency_us),
            after: micros(weather.latency_us),
            chunk: micros(weather.chunk_us),
            chunk_bytes: weather.chunk_bytes as usize,
            body_idle_max: weather.body_idle_max_ms.map(Duration::from_millis),
            lists_in_order: !config.bucket.unordered_listings,
        },
        disk: DiskConfig { capacity: config.disk.total_bytes, latency: micros(config.disk.latency_us) },
        mount: Config {
            // As the probe at mount would find.
            preconditions_ignored: config.mount.writable && config.bucket.conditions_ignored,
            ..mount_config(&config.mount).expect("a scenario is checked before it runs")
        },
        kernel: KernelConfig {
            readahead: config.kernel.readahead,
            // As the mount sets it, in proportion.
            readahead_bytes: config.kernel.read_bytes_max.max(8 << 10),
            read_bytes_max: config.kernel.read_bytes_max,
            page_eviction_one_in: config.kernel.page_eviction_one_in,
            name_eviction_one_in: config.kernel.name_eviction_one_in,
            plus: config.kernel.plus,
            unhurried: config.kernel.unhurried,
            read_only: !config.mount.writable,
            ..KernelConfig::default()
        },
    }
}

/// S3's, in proportion to the measures of the data path.
fn limits(divisor: u64) -> Limits {
    let whole = Limits::default();
    Limits {
        part_bytes_min: whole.part_bytes_min / divisor,
        range_copy_source_bytes_min: whole.range_copy_source_bytes_min / divisor,
        ..whole
    }
}

fn policy(schedule: &Schedule) -> Policy {
    match schedule {
        Schedule::Fifo | Schedule::Script(_) => Policy::Fifo,
        Schedule::RandomWalk | Schedule::Pct(_) | Schedule::StarveOne => Policy::RandomWalk,
    }
}

fn micros((from, to): (u64, u64)) -> RangeInclusive<Duration> {
    Duration::from_micros(from)..=Duration::from_micros(to)
}

/// Connections that live this long while nobody reads are what every service has; the core sees to them.
const IDLE_FAIR_MS: u64 = 60_000;

/// Tells the court what sort of world this is.
pub(super) fn inform(truth: &mut Truth, scenario: &Scenario) {
    let config = &scenario.config;
    truth.faulty = !scenario.faults.is_empty() || config.weather.body_idle_max_ms.is_some_and(|ms| ms < IDLE_FAIR_MS);
    truth.lies = scenario.faults.iter().any(|fault| {
        use ErrorName::{AccessDenied, InvalidRange, NotFound, PreconditionFailed};
        matches!(
            fault.what,
            FaultSpec::EtagWrong
                | FaultSpec::SizeWrong { .. }
                | FaultSpec::ModifiedSkewed { .. }
                | FaultSpec::PageRepeats
                | FaultSpec::PageGoesBack
                | FaultSpec::PageTokenDropped
                | FaultSpec::PageTokenLoops
                | FaultSpec::Refused { error: AccessDenied | NotFound | PreconditionFailed | InvalidRange, .. }
        )
    });
    truth.clock_lies = scenario.faults.iter().any(|fault| matches!(fault.what, FaultSpec::ModifiedSkewed { .. }));
    truth.purges = scenario.mutations.iter().any(|mutation| matches!(mutation.change, Change::Purge { .. }));
    truth.archives = false;
    truth.crashes = scenario.mutations.iter().any(|mutation| matches!(mutation.change, Change::Crash { .. }));
    // A lifeboat that is refused leaves the rest of a version to its GET.
    let sizes = Sizes::production_divided_by(config.mount.sizes_divided_by);
    let held_max = 64 * sizes.window_bytes_max;
    truth.pages_are_kept = config.kernel.page_eviction_one_in == 0
        && !scenario.ops.iter().any(|op| {
            op.killed_after_ms.is_some()
                || matches!(op.call, Call::DropPages | Call::DropCaches | Call::Open { direct: true, .. })
        });
    truth.poor_disk =
        !config.disk.faults.is_empty() || config.disk.total_bytes < 1 << 32 || config.mount.hold_max < held_max;
    // Room for every version twice over: each may have several inodes, and its streams run ahead.
    let sizes_put = scenario.mutations.iter().map(|mutation| match mutation.change {
        Change::Put { size, .. } | Change::PutInFlight { size, .. } => size,
        _ => 0,
    });
    let largest = config.objects.iter().map(|object| object.size).chain(sizes_put).max().unwrap_or(0);
    // Each write may make a version of its own, over the largest there is.
    let writes = scenario.ops.iter().filter_map(|op| written_end(&op.call));
    let (writes, written) = writes.fold((0, 0_u64), |(count, sum), end| (count + 1, sum.saturating_add(end)));
    let largest = largest.saturating_add(written);
    let versions = (config.objects.len() + scenario.mutations.len()) as u64 + writes;
    let room = (versions * 2).saturating_mul(largest.saturating_add(2 * sizes.extent_bytes));
    truth.disk_faulty = !config.disk.faults.is_empty();
    truth.disk_plenty = !truth.disk_faulty && room <= config.mount.hold_max.min(config.disk.total_bytes / 20 * 19);
    truth.memory_plenty = room <= config.mount.memory_max;
    truth.body_idle_max = config.weather.body_idle_max_ms.map(Duration::from_millis);
    truth.chunk_bytes = config.weather.chunk_bytes;
    truth.kills_max = scenario.ops.iter().filter(|op| op.killed_after_ms.is_some()).count() as u64;
    truth.kills = truth.kills_max > 0;
    truth.apps = config.machines.apps;
    // One request, or one chunk, of the slowest.
    let (latency, chunk) = (config.weather.latency_us.1, config.weather.chunk_us.1);
    let chunks = largest / config.weather.chunk_bytes + 2;
    let disk = config.disk.latency_us.1;
    truth.step_max = Duration::from_micros(2 * latency + chunk * chunks + 4 * disk);
}

/// How much longer than it was a call may make a file.
fn written_end(call: &Call) -> Option<u64> {
    match call {
        Call::WriteOn { len, .. } | Call::Save { len, .. } | Call::SaveBeside { len, .. } => Some(*len),
        Call::Symlink { target, .. } => Some(target.len() as u64),
        Call::Pwrite { at, len, .. }
        | Call::Fallocate { at, len, .. }
        | Call::Store { at, len, .. }
        | Call::CopyRange { to_at: at, len, .. } => Some(at.saturating_add(*len)),
        // A version of its own, of the same bytes.
        Call::Setxattr { .. } | Call::Removexattr { .. } | Call::Mknod { .. } => Some(0),
        Call::Fsetxattr { .. } | Call::Fremovexattr { .. } => Some(0),
        Call::Ftruncate { size, .. } | Call::Truncate { size, .. } => Some(*size),
        _ => None,
    }
}

/// What the world holds at the beginning.
pub(super) fn furnish(world: &mut World, scenario: &Scenario) {
    for object in &scenario.config.objects {
        let key = Key::from(object.key.as_str());
        let version = Version(object.version);
        match &object.link_to {
            None => world.s3().apply(Mutation::put(key, version, object.size)),
            Some(target) => world.s3().apply(Mutation::Link { key, target: target.clone(), object: link() }),
        }
    }
    for fault in &scenario.config.disk.faults {
        let op = match fault.op {
            DiskOpName::Create => DiskOp::Create,
            DiskOpName::Write => DiskOp::Write,
            DiskOpName::Read => DiskOp::Read,
            DiskOpName::Space => DiskOp::Space,
        };
        let what = match fault.what {
            DiskFaultName::Failed => Err(DiskError::Failed("as the scenario says".into())),
            DiskFaultName::Full => Err(DiskError::Full),
            DiskFaultName::Rots => Ok(Rot::Rots),
            DiskFaultName::Torn => Ok(Rot::TornWrite),
            DiskFaultName::Misplaced => Ok(Rot::MisplacedWrite),
        };
        for mount in 0..scenario.config.machines.mounts {
            match what.clone() {
                Ok(what) => world.disk_of(mount).rot(SilentFault { what, nth: fault.nth }),
                Err(error) => world.disk_of(mount).fault(DiskFault { op, nth: fault.nth, error }),
            }
        }
    }
}

/// Metadata of a symbolic link, as other tools leave it: S_IFLNK | 0777.
fn link() -> NewObject {
    let mut object = NewObject::default();
    object.user.insert("mode".into(), (0o120_777).to_string());
    object
}
