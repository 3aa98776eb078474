//! What the world of a scenario is like. Everything has a default, the calm world of format version 1, which never
//! changes its meaning; a file gives only what differs.

use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScenarioConfig {
    /// Of whatever the scenario leaves open: latencies, jitter, the order of tasks.
    pub seed: u64,
    pub schedule: Schedule,
    pub bucket: BucketSpec,
    pub weather: Weather,
    pub kernel: Kernel,
    pub disk: Disk,
    pub mount: MountOptions,
    pub machines: Machines,
    /// What the bucket holds at the beginning.
    pub objects: Vec<Object>,
}

/// In which order ready tasks run.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    #[default]
    Fifo,
    RandomWalk,
    /// Probabilistic concurrency testing, for bugs of this depth.
    Pct(u32),
    StarveOne,
    /// These choices, in order, then always the first.
    Script(Vec<u32>),
}

#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BucketSpec {
    pub versioned: bool,
    /// As stores that do not know conditions.
    pub conditions_ignored: bool,
    /// As directory buckets, whose listings come in no order.
    pub unordered_listings: bool,
}

/// How a good day looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weather {
    /// From sending to applying, and from applying to the answer: between these.
    pub latency_us: (u64, u64),
    /// Between chunks of a body.
    pub chunk_us: (u64, u64),
    pub chunk_bytes: u64,
    /// Connections that nobody reads from for longer die.
    pub body_idle_max_ms: Option<u64>,
}

impl Default for Weather {
    fn default() -> Self {
        Self { latency_us: (5_000, 5_000), chunk_us: (100, 100), chunk_bytes: 65_536, body_idle_max_ms: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kernel {
    pub readahead: bool,
    /// READDIRPLUS.
    pub plus: bool,
    /// Other tasks run between any two steps; releases and forgets come late.
    pub unhurried: bool,
    /// The largest READ.
    pub read_bytes_max: u64,
    /// One read in so many loses pages to memory pressure first; 0: none.
    pub page_eviction_one_in: u64,
    /// One system call in so many loses an unused name first; 0: none.
    pub name_eviction_one_in: u64,
}

impl Default for Kernel {
    fn default() -> Self {
        Self {
            readahead: false,
            plus: true,
            unhurried: false,
            read_bytes_max: 1 << 20,
            page_eviction_one_in: 0,
            name_eviction_one_in: 0,
        }
    }
}

/// The disk that spools live on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Disk {
    pub latency_us: (u64, u64),
    pub total_bytes: u64,
    /// The n-th of these operations fails, from 1, or goes wrong without a word.
    pub faults: Vec<DiskFaultSpec>,
}

impl Default for Disk {
    fn default() -> Self {
        Self { latency_us: (100, 100), total_bytes: 1 << 40, faults: Vec::new() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskFaultSpec {
    pub op: DiskOpName,
    /// Left out: each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    #[serde(default)]
    pub what: DiskFaultName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskOpName {
    Create,
    Write,
    Read,
    Space,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskFaultName {
    #[default]
    Failed,
    Full,
    /// A read succeeds, and some of its bytes are others.
    Rots,
    /// A write succeeds, of which only a prefix arrived.
    Torn,
    /// A write succeeds, and landed elsewhere.
    Misplaced,
}

impl DiskFaultName {
    /// The operation that alone it can befall; `None`: any.
    pub fn befalls(self) -> Option<DiskOpName> {
        match self {
            Self::Failed | Self::Full => None,
            Self::Rots => Some(DiskOpName::Read),
            Self::Torn | Self::Misplaced => Some(DiskOpName::Write),
        }
    }
}

/// The mount's options, in the words of its command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MountOptions {
    pub prefix: String,
    pub metadata_ttl_ms: u64,
    pub negative_metadata_ttl_ms: u64,
    pub hold: HoldName,
    pub hold_max: u64,
    pub memory_max: u64,
    pub deadline_ms: u64,
    pub attempt_timeout_ms: u64,
    pub posix_metadata: bool,
    /// Applications may write.
    pub writable: bool,
    /// Of what a close may leave to the journal; 0: nothing, a close publishes.
    pub write_back_max: u64,
    /// What becomes of a file that somebody else has changed meanwhile.
    pub on_conflict: ConflictName,
    /// The data path's measures are those of production divided by this, a power of two up to 1024.
    pub sizes_divided_by: u64,
    pub list_page_keys: u32,
}

impl Default for MountOptions {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            metadata_ttl_ms: 1000,
            negative_metadata_ttl_ms: 1000,
            hold: HoldName::Auto,
            hold_max: 1 << 30,
            memory_max: 256 << 20,
            deadline_ms: 60_000,
            attempt_timeout_ms: 10_000,
            posix_metadata: false,
            writable: false,
            write_back_max: 0,
            on_conflict: ConflictName::Fail,
            sizes_divided_by: 1,
            list_page_keys: 1000,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictName {
    #[default]
    Fail,
    Overwrite,
    KeepBoth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldName {
    #[default]
    Auto,
    Full,
    Off,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Machines {
    /// Mounts of the one bucket, each on its own machine. Application n is on mount n modulo this.
    pub mounts: u8,
    pub apps: u8,
}

impl Default for Machines {
    fn default() -> Self {
        Self { mounts: 1, apps: 1 }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    pub key: String,
    /// Its first version is 0 unless given.
    #[serde(default)]
    pub version: u32,
    pub size: u64,
    /// A symbolic link, where the mount shows them: then its content is this, and `size` that many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_to: Option<String>,
}
