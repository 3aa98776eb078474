//! Every option and limit of the core, named, with its unit.
//!
//! Options come from the user and are validated once, here. Limits are constants with their reason; relations between
//! them are checked when this file compiles.

use std::time::Duration;

pub const KIB: u64 = 1 << 10;
pub const MIB: u64 = 1 << 20;

/// S3 keys are at most this long, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 1024;
/// The largest read the kernel sends (fs.fuse.max_pages_limit = 256 pages).
pub const READ_BYTES_MAX: u64 = MIB;
/// An outrun reader is served by this many GETs side by side.
pub const LANES: u64 = 8;
/// A stream that brought this much without once waiting for its reader is outrun by it (see [`Sizes::outrun_bytes`]) unless
/// it is faster than this, when more connections would bring work, not speed.
pub const OUTRUN_BYTES_PER_SECOND: u64 = 300_000_000;
/// Runs of sequential reads that one inode keeps apart.
pub const RUNS_MAX: usize = 8;
/// Streams of one inode at a time; the one unused for longest makes room.
pub const STREAMS_MAX: usize = 32;
/// After this many reads in a row that no run explains, a reader counts as random, and its paused stream is dropped.
pub const RANDOM_READS_MAX: u32 = 4;
/// A paused stream is read on a little, so that neither side takes it for dead.
/// How often. Services and proxies begin to reset idle streams after about a minute.
pub const TRICKLE_EVERY: Duration = Duration::from_secs(10);
/// Once it has read far ahead, its GET is renewed so often, while that is still possible.
pub const RENEW_EVERY: Duration = Duration::from_secs(30);
/// A stream in use that brings no byte for this long is taken for broken and resumed.
pub const STALL_MAX: Duration = Duration::from_secs(10);
/// The lifeboat leaves this share of its disk free.
pub const DISK_FREE_PERCENT_MIN: u64 = 5;
/// A Version that `open` pinned for a name is handed to the look-up and open that follow within this time. Nobody can
/// tell whose look-up it is: others' may be answered from it too, so it must be short, yet let Linux walk the path again.
pub const PIN_KEPT: Duration = Duration::from_secs(2);
/// With `posix_metadata`, HEADs sent together for the names of a directory that is being listed.
pub const LISTED_HEADS: usize = 64;
/// S3 may answer a page of a listing that is empty and yet not the last. After so many in a row that bring no new name,
/// which would be a million keys at S3's page size, a listing is taken for one that never ends.
pub const BARREN_PAGES_MAX: u64 = 1000;
/// S3's limits (docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html): bytes of an object, parts of an upload, bytes of
/// one part or of one copy.
pub const OBJECT_BYTES_MAX: u64 = 5 << 40;
pub const PARTS_MAX: u64 = 10_000;
pub const COPY_BYTES_MAX: u64 = 5 << 30;
/// Bytes a second: a request that sends, or that has S3 copy, gets the time that this takes on top of the attempt's time-out.
/// Of what is sent side by side each has its share of it.
pub const SEND_RATE_MIN: u64 = 128 << 10;
/// See [`SEND_RATE_MIN`].
pub const COPY_RATE_MIN: u64 = 32 << 20;
/// The same for an upload that is completed, for each of its parts: S3 looks at all of them.
pub const COMPLETE_TIME_PER_PART: Duration = Duration::from_millis(10);
/// Bodies of all files under way at a time, of at most half of the memory.
pub const SENDS_AT_ONCE: usize = 64;
/// How many times the time of [`SEND_RATE_MIN`] each of them has at most.
pub const SENDS_SHARING_MAX: usize = 8;
/// With `--write-back`, files that are published behind their close at a time.
pub const PUBLICATIONS_BEHIND_AT_ONCE: usize = 8;
/// Parts of one upload under way at a time.
pub const PARTS_AT_ONCE: usize = 8;
/// With `--write-back`, a publication that failed is tried again after this long: at first, and at most.
pub const REPUBLISH_DELAY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Keys of a directory that is renamed, under way at a time.
pub const RENAMES_AT_ONCE: usize = 32;
/// S3 takes so much of user metadata, names and values together (docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html).
pub const USER_METADATA_BYTES_MAX: usize = 2048;
/// The longest target of a symbolic link: Linux's PATH_MAX.
pub const LINK_BYTES_MAX: u64 = 4096;
/// Answers that contradict each other because they overlapped in time are asked again so often.
pub const CONTRADICTIONS_MAX: u32 = 3;
/// No service answers faster than this reliably.
pub const ATTEMPT_TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// Attributes belong to an inode and never change under it, so the kernel may keep them.
pub const ATTR_TTL: Duration = Duration::from_secs(365 * 24 * 3600);

const _: () = assert!(STREAMS_MAX as u64 > 3 * LANES, "a relay leaves room for other readers");
const _: () = assert!(Sizes::PRODUCTION.are_coherent());
const _: () = assert!(Sizes::PRODUCTION.window_bytes_min >= READ_BYTES_MAX, "a stream is never a read short");

/// The data path's measures, in bytes. In production they are [`Sizes::PRODUCTION`]; the simulator shrinks them, so that
/// objects of some hundred KiB go through everything that objects of many GiB do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// A stream's bytes are assembled in extents of this size: large, so that few reads straddle two of them and must be
    /// joined by a copy; small beside the memory budget. A relay's lanes are as long, and with `--hold=off`, when nothing
    /// may wait paused, a fetch asks for as much at a time.
    pub extent_bytes: u64,
    /// How far a stream may run ahead of its reader: two extents, so that one fills while the other is read. A stream that
    /// trickled as far beyond that trickles no further: a long pause must not fill the memory.
    pub window_bytes_max: u64,
    /// How far a stream runs ahead before its reader has shown that it reads on. At least the kernel's largest read.
    pub window_bytes_min: u64,
    /// Objects up to this size are fetched whole by the GET that opens them, so their hold is complete at once.
    pub whole_fetch_bytes: u64,
    /// A random read fetches at least this much: below it the request costs more than the bytes.
    pub random_fetch_bytes_min: u64,
    /// A bounded fetch that follows a short sequential run asks for no more than this.
    pub random_fetch_bytes_max: u64,
    /// A reader that has read this much in a row is given an open-ended GET.
    pub sequential_bytes_min: u64,
    /// A stream that brought this much without once waiting for its reader is outrun by it.
    pub outrun_bytes: u64,
    /// A read this close to the end of a run still belongs to it: the kernel's readahead arrives out of order.
    pub run_slack_bytes: u64,
    /// A paused stream is read on by this much at a time.
    pub trickle_bytes: u64,
    /// The lifeboat is written in pieces of this size.
    pub lifeboat_write_bytes: u64,
    /// What a lifeboat holds is under checksums, one for every such block, or for each part of one that was saved by
    /// itself; reads of it are widened to them. A checksum takes some 20 bytes of memory: a third of a MiB for each GiB
    /// of lifeboat, and up to several times that where a reader kept asking for pieces much smaller than a block.
    pub lifeboat_block_bytes: u64,
    /// What was written is published by one PUT up to this size, and by parts of this size beyond it; the parts of a file that
    /// would have too many of them are longer.
    pub part_bytes: u64,
    /// S3 refuses a part below this, unless it is the last.
    pub part_bytes_min: u64,
    /// What was written is kept in pieces of this size, and each is moved to the disk when memory is short.
    pub record_bytes: u64,
    /// Names on one page of a listing; S3 gives no more than a thousand.
    pub list_page_keys: u32,
    /// Names that are out of date and whose inodes the kernel does not know are dropped from a directory once there are
    /// more than this.
    pub idle_names_min: usize,
}

impl Sizes {
    pub const PRODUCTION: Self = Self {
        extent_bytes: 8 * MIB,
        window_bytes_max: 16 * MIB,
        window_bytes_min: MIB,
        whole_fetch_bytes: 4 * MIB,
        random_fetch_bytes_min: 64 * KIB,
        random_fetch_bytes_max: 4 * MIB,
        sequential_bytes_min: 2 * MIB,
        outrun_bytes: 16 * MIB,
        run_slack_bytes: 4 * MIB,
        trickle_bytes: 64 * KIB,
        lifeboat_write_bytes: MIB,
        lifeboat_block_bytes: 64 * KIB,
        part_bytes: 8 * MIB,
        part_bytes_min: 5 * MIB,
        record_bytes: MIB,
        list_page_keys: 1000,
        idle_names_min: 4096,
    };

    /// All but the names of a page divided by `divisor`, a power of two up to 1024.
    pub const fn production_divided_by(divisor: u64) -> Self {
        assert!(divisor.is_power_of_two() && divisor <= 1024);
        let whole = Self::PRODUCTION;
        Self {
            extent_bytes: whole.extent_bytes / divisor,
            window_bytes_max: whole.window_bytes_max / divisor,
            window_bytes_min: whole.window_bytes_min / divisor,
            whole_fetch_bytes: whole.whole_fetch_bytes / divisor,
            random_fetch_bytes_min: whole.random_fetch_bytes_min / divisor,
            random_fetch_bytes_max: whole.random_fetch_bytes_max / divisor,
            sequential_bytes_min: whole.sequential_bytes_min / divisor,
            outrun_bytes: whole.outrun_bytes / divisor,
            run_slack_bytes: whole.run_slack_bytes / divisor,
            trickle_bytes: whole.trickle_bytes / divisor,
            lifeboat_write_bytes: whole.lifeboat_write_bytes / divisor,
            lifeboat_block_bytes: whole.lifeboat_block_bytes / divisor,
            part_bytes: whole.part_bytes / divisor,
            part_bytes_min: whole.part_bytes_min / divisor,
            record_bytes: whole.record_bytes / divisor,
            list_page_keys: whole.list_page_keys,
            idle_names_min: whole.idle_names_min / divisor as usize,
        }
    }

    const fn are_coherent(&self) -> bool {
        let positive = self.random_fetch_bytes_min > 0 && self.trickle_bytes > 0 && self.lifeboat_write_bytes > 0;
        // A bounded fetch fills one extent; a window holds a small object, and spans more than one extent.
        positive
            && self.list_page_keys > 0
            && self.lifeboat_block_bytes > 0
            && self.record_bytes > 0
            && self.part_bytes_min > 0
            && self.part_bytes_min <= self.part_bytes
            && self.lifeboat_block_bytes <= self.lifeboat_write_bytes
            && self.random_fetch_bytes_min <= self.random_fetch_bytes_max
            && self.random_fetch_bytes_max <= self.extent_bytes
            && self.window_bytes_min <= self.extent_bytes
            && self.extent_bytes <= self.window_bytes_max
    }
}

/// How hard Holdfast tries to keep a replaced object's bytes within reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Sequential readers are fed from an open-ended GET, which S3 keeps delivering.
    Auto,
    /// Besides, every open starts one at offset 0, so the whole Version stays within reach.
    Full,
    /// No GET outlives the reads it serves.
    Off,
}

/// What becomes of a file that was written here while somebody else published another version of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// `fsync` and `close` fail with ESTALE; what was written is kept in the recovery folder.
    Fail,
    /// What was written here replaces the other version.
    Overwrite,
    /// What was written here is published as `NAME.conflict-HOST-TIME` beside it.
    KeepBoth,
}

/// The options of the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Keys of the mount begin with this: empty, or ending in `/`.
    pub prefix: String,
    /// For how long a name is taken for granted; zero asks at each look-up.
    pub metadata_ttl: Duration,
    /// For how long a missing name is.
    pub negative_metadata_ttl: Duration,
    pub hold: Hold,
    /// Bytes of local disk that all lifeboats together may take.
    pub hold_max: u64,
    /// Bytes of object data kept in memory.
    pub memory_max: u64,
    /// An operation that S3 has not let succeed for this long fails with EIO.
    pub deadline: Duration,
    /// One attempt that has brought no answer for this long is given up and repeated.
    pub attempt_timeout: Duration,
    pub uid: u32,
    pub gid: u32,
    /// Whether modes, owners, times and symbolic links that other tools left in objects' metadata are shown. Listings do
    /// not tell them, so every file then costs a HEAD.
    pub posix_metadata: bool,
    /// Permission bits of files and directories.
    pub file_mode: u16,
    pub dir_mode: u16,
    /// Every change is EROFS.
    pub read_only: bool,
    /// Names may not be removed nor renamed: EPERM.
    pub no_delete: bool,
    /// What is there may not be replaced nor edited: EPERM.
    pub no_overwrite: bool,
    pub on_conflict: OnConflict,
    /// The store was seen to ignore preconditions: what stands is looked at before and after each publication instead.
    pub preconditions_ignored: bool,
    /// This machine's name, for names of conflicting copies.
    pub host: String,
    /// The storage class of new objects; `None`: the bucket's.
    pub storage_class: Option<String>,
    /// A directory with more keys is not renamed.
    pub rename_directory_max: usize,
    /// Bytes that close(2) may leave in the local journal, to be published afterwards. Zero: it waits until they are.
    pub write_back_max: u64,
    pub sizes: Sizes,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            metadata_ttl: Duration::from_secs(1),
            negative_metadata_ttl: Duration::from_secs(1),
            hold: Hold::Auto,
            hold_max: 1024 * MIB,
            memory_max: 256 * MIB,
            deadline: Duration::from_secs(60),
            attempt_timeout: Duration::from_secs(10),
            uid: 0,
            gid: 0,
            posix_metadata: false,
            file_mode: 0o644,
            dir_mode: 0o755,
            read_only: false,
            no_delete: false,
            no_overwrite: false,
            on_conflict: OnConflict::Fail,
            preconditions_ignored: false,
            host: "localhost".to_string(),
            storage_class: None,
            rename_directory_max: 100_000,
            write_back_max: 0,
            sizes: Sizes::PRODUCTION,
        }
    }
}

/// Why an option was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "the prefix {0:?} is no path in a bucket: it must not start with '/' nor hold empty, '.' or '..' components"
    )]
    Prefix(String),
    #[error("the memory budget of {given} bytes is below the minimum of {min}")]
    Memory { given: u64, min: u64 },
    #[error(
        "the deadline must not be shorter than one attempt's time-out, nor that shorter than {ATTEMPT_TIMEOUT_MIN:?}"
    )]
    Deadline,
    #[error("the sizes of the data path contradict each other")]
    Sizes,
    #[error("mode {0:o} has bits beyond 0777")]
    Mode(u16),
}

impl Config {
    /// Checks the options against each other and normalises the prefix.
    pub fn validated(mut self) -> Result<Self, ConfigError> {
        if !self.prefix.is_empty() && !self.prefix.ends_with('/') {
            self.prefix.push('/');
        }
        let components = self.prefix.strip_suffix('/').unwrap_or_default();
        let well_formed = components.split('/').all(|name| crate::op::Name::new(name).is_some());
        if !self.prefix.is_empty() && !well_formed {
            return Err(ConfigError::Prefix(self.prefix));
        }
        if !self.sizes.are_coherent() {
            return Err(ConfigError::Sizes);
        }
        let min = 4 * self.sizes.window_bytes_max;
        if self.memory_max < min {
            return Err(ConfigError::Memory { given: self.memory_max, min });
        }
        if self.deadline < self.attempt_timeout || self.attempt_timeout < ATTEMPT_TIMEOUT_MIN {
            return Err(ConfigError::Deadline);
        }
        for mode in [self.file_mode, self.dir_mode] {
            if mode & !0o777 != 0 {
                return Err(ConfigError::Mode(mode));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, ConfigError};

    #[test]
    fn a_prefix_ends_in_one_slash() {
        for given in ["a/b", "a/b/"] {
            let config = Config { prefix: given.into(), ..Config::default() };
            assert_eq!(config.validated().map(|c| c.prefix), Ok("a/b/".to_string()));
        }
    }

    #[test]
    fn a_prefix_that_no_path_spells_is_refused() {
        for given in ["/a", "a//b", "a/../b", "."] {
            let config = Config { prefix: given.into(), ..Config::default() };
            assert!(matches!(config.validated(), Err(ConfigError::Prefix(_))), "{given}");
        }
    }
}
