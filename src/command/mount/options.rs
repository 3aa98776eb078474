//! The options of `holdfast mount` and what they mean.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::command::folders;
use crate::command::logging::LogLevel;
use crate::command::mount::running::{Failure, Plan};
use crate::config::{Config, Hold, MIB, OnConflict, Sizes};
use crate::fuse::Access;
use crate::real::{ChecksumKind, CustomerKey, Encryption, Protection, S3Options};
use crate::units::{parse_bytes, parse_duration};

/// Mount a bucket, or a prefix of one, at a directory
#[derive(Args, Debug)]
pub struct MountArgs {
    /// What to mount: s3://BUCKET, s3://BUCKET/PREFIX, or the same without s3://
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// Where to mount it: an existing directory
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Stay in the foreground and log to standard error
    #[arg(short, long)]
    pub foreground: bool,
    /// Where a mount in the background logs to [default: holdfast/mount.log in the state directory]
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// The least serious lines to log
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: LogLevel,

    /// Refuse every change
    #[arg(long, help_heading = "Writing")]
    pub read_only: bool,
    /// Refuse to remove and to rename
    #[arg(long, help_heading = "Writing")]
    pub no_delete: bool,
    /// Refuse to change what is there; new files can be made
    #[arg(long, help_heading = "Writing")]
    pub no_overwrite: bool,
    /// What becomes of a file written here when somebody else has published another version meanwhile
    #[arg(long, value_name = "WHAT", default_value = "fail", help_heading = "Writing")]
    pub on_conflict: OnConflictArg,
    /// Directory for what could not be published [default: holdfast/recovery in the state directory]
    #[arg(long, value_name = "DIR", help_heading = "Writing")]
    pub recovery_dir: Option<PathBuf>,
    /// Storage class of new objects [default: the bucket's]
    #[arg(long, value_name = "CLASS", help_heading = "Writing")]
    pub storage_class: Option<String>,
    /// Let close(2) return once a file is safe in a local journal, and publish it afterwards; fsync(2) still waits for S3
    #[arg(long, help_heading = "Writing")]
    pub write_back: bool,
    /// What may be in the journal, e.g. 10GiB; beyond it close(2) waits for S3
    #[arg(long, value_name = "SIZE", default_value = "10GiB", value_parser = parse_bytes, help_heading = "Writing")]
    pub write_back_max: u64,
    /// A directory with more keys beneath it is not renamed
    #[arg(long, value_name = "KEYS", default_value_t = 100_000, help_heading = "Writing")]
    pub rename_directory_max: usize,

    /// How hard to keep a replaced object's bytes within reach
    #[arg(long, value_name = "HOW", default_value = "auto", help_heading = "Holding")]
    pub hold: HoldArg,
    /// Local disk that saved rests of replaced objects may take, e.g. 1GiB; 5 % of the disk always stay free
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_bytes, help_heading = "Holding")]
    pub hold_max: u64,
    /// Directory for them [default: holdfast in the user's cache directory]
    #[arg(long, value_name = "DIR", help_heading = "Holding")]
    pub cache_dir: Option<PathBuf>,
    /// How long a name is taken for granted: seconds, `minimal` (ask every time) or `indefinite`
    #[arg(long, value_name = "TTL", default_value = "1", value_parser = parse_ttl, help_heading = "Holding")]
    pub metadata_ttl: Duration,
    /// How long a missing name is [default: as --metadata-ttl]
    #[arg(long, value_name = "TTL", value_parser = parse_ttl, help_heading = "Holding")]
    pub negative_metadata_ttl: Option<Duration>,

    /// Memory for object data, e.g. 256MiB
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_bytes, help_heading = "Limits")]
    pub memory: u64,
    /// Size up to which a file is uploaded in one piece, and of the parts beyond it: 5MiB to 64MiB
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = parse_part_size, help_heading = "Limits")]
    pub part_size: u64,
    /// How long an operation keeps trying before it fails with EIO, e.g. 60s
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration, help_heading = "Limits")]
    pub deadline: Duration,
    /// How long one request may stay unanswered before it is repeated; with bytes to send or to copy it gets more [default: 10s,
    /// at most the deadline]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = "Limits")]
    pub attempt_timeout: Option<Duration>,
    /// How long a signal waits for open files before it unmounts lazily
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration, help_heading = "Limits")]
    pub unmount_grace: Duration,

    /// Owner of all files [default: who mounts]
    #[arg(long, value_name = "UID", help_heading = "Files")]
    pub uid: Option<u32>,
    /// Group of all files [default: that of who mounts]
    #[arg(long, value_name = "GID", help_heading = "Files")]
    pub gid: Option<u32>,
    /// Show modes, owners, times and symbolic links that s3fs, rclone and others keep in metadata; costs a HEAD a file
    #[arg(long, help_heading = "Files")]
    pub posix_metadata: bool,
    /// Permissions of files, octal [default: 0666 less the mask]
    #[arg(long, value_name = "MODE", value_parser = parse_mode, help_heading = "Files")]
    pub file_mode: Option<u16>,
    /// Permissions of directories, octal [default: 0777 less the mask]
    #[arg(long, value_name = "MODE", value_parser = parse_mode, help_heading = "Files")]
    pub dir_mode: Option<u16>,
    /// Permissions that files and directories do not have unless they were given some, octal
    #[arg(long, value_name = "MASK", default_value = "0022", value_parser = parse_mode, help_heading = "Files")]
    pub umask: u16,
    /// Let every user in
    #[arg(long, conflicts_with = "allow_root", help_heading = "Files")]
    pub allow_other: bool,
    /// Let root in besides who mounts
    #[arg(long, help_heading = "Files")]
    pub allow_root: bool,

    #[command(flatten)]
    pub s3: S3Args,

    #[command(flatten)]
    pub protection: ProtectionArgs,
}

/// What new objects are given
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "New objects")]
pub struct ProtectionArgs {
    /// Encryption by the service [default: as the bucket says]
    #[arg(long, value_name = "HOW")]
    pub sse: Option<SseArg>,
    /// Key for --sse=aws:kms and aws:kms:dsse: its id, ARN or alias [default: the account's own for S3]
    #[arg(long, value_name = "KEY")]
    pub sse_kms_key_id: Option<String>,
    /// File with a key of your own (SSE-C), 32 bytes or their base64; objects are read with it, too
    #[arg(long, value_name = "FILE")]
    pub sse_c_key_file: Option<PathBuf>,
    /// Canned access list
    #[arg(long, value_name = "ACL")]
    pub acl: Option<AclArg>,
    /// Checksum that the service compares with what arrives, of every object and part
    #[arg(long, value_name = "KIND")]
    pub checksum: Option<ChecksumArg>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SseArg {
    /// By keys of the service's own
    #[value(name = "AES256")]
    Aes256,
    /// By a key of the Key Management Service
    #[value(name = "aws:kms")]
    Kms,
    /// Twice
    #[value(name = "aws:kms:dsse")]
    KmsTwice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AclArg {
    Private,
    PublicRead,
    PublicReadWrite,
    AuthenticatedRead,
    AwsExecRead,
    BucketOwnerRead,
    BucketOwnerFullControl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ChecksumArg {
    Crc64nvme,
    Crc32c,
    Crc32,
}

impl ProtectionArgs {
    /// Checked against each other; reads the key file.
    pub(in crate::command) fn protection(self) -> Result<Protection, Failure> {
        let Self { sse, sse_kms_key_id: key_id, sse_c_key_file, acl, checksum } = self;
        let contradiction = |words: &'static str| Err(Failure::Contradiction(words));
        let encryption = match (sse, sse_c_key_file) {
            (Some(_), Some(_)) => return contradiction("--sse and --sse-c-key-file"),
            (None | Some(SseArg::Aes256), None) if key_id.is_some() => {
                return Err(Failure::KmsKeyAlone);
            }
            (None, Some(_)) if key_id.is_some() => return contradiction("--sse-kms-key-id and --sse-c-key-file"),
            (None, Some(path)) => Encryption::Customer(CustomerKey::from_file(&path)?),
            (None, None) => Encryption::Bucket,
            (Some(SseArg::Aes256), None) => Encryption::Service,
            (Some(SseArg::Kms), None) => Encryption::Kms { key_id },
            (Some(SseArg::KmsTwice), None) => Encryption::KmsTwice { key_id },
        };
        if let Encryption::Kms { key_id: Some(id) } | Encryption::KmsTwice { key_id: Some(id) } = &encryption
            && (id.is_empty() || !id.chars().all(|c| c.is_ascii_graphic()))
        {
            return Err(Failure::KmsKey(id.clone()));
        }
        let acl = acl.and_then(|acl| acl.to_possible_value()).map(|value| value.get_name().to_string());
        let checksum = checksum.map(|kind| match kind {
            ChecksumArg::Crc64nvme => ChecksumKind::Crc64Nvme,
            ChecksumArg::Crc32c => ChecksumKind::Crc32c,
            ChecksumArg::Crc32 => ChecksumKind::Crc32,
        });
        Ok(Protection { encryption, acl, checksum })
    }
}

/// How to reach the bucket
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "S3")]
pub struct S3Args {
    /// URL of an S3 service other than AWS [env: AWS_ENDPOINT_URL]
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// Region of the bucket [default: from the environment, the profile, or asked from the service]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Profile of the AWS configuration files
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Name the bucket in the path of URLs
    #[arg(long, conflicts_with = "force_virtual_host")]
    pub force_path_style: bool,
    /// Name the bucket in the host of URLs
    #[arg(long)]
    pub force_virtual_host: bool,
    /// Do not sign requests: for public buckets
    #[arg(long)]
    pub no_sign_request: bool,
    /// Agree to pay for requests to a requester-pays bucket
    #[arg(long)]
    pub requester_pays: bool,
    /// Account that must own the bucket
    #[arg(long, value_name = "ACCOUNT")]
    pub expected_bucket_owner: Option<String>,
    /// Use endpoints that also speak IPv6
    #[arg(long)]
    pub dual_stack: bool,
    /// Use FIPS endpoints
    #[arg(long)]
    pub fips: bool,
    /// Use S3 Transfer Acceleration
    #[arg(long)]
    pub transfer_acceleration: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HoldArg {
    /// A sequential reader's GET serves as anchor
    Auto,
    /// Every open keeps a GET from offset 0 as well
    Full,
    /// No GET outlives the reads it serves
    Off,
}

impl From<HoldArg> for Hold {
    fn from(arg: HoldArg) -> Self {
        match arg {
            HoldArg::Auto => Self::Auto,
            HoldArg::Full => Self::Full,
            HoldArg::Off => Self::Off,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnConflictArg {
    /// fsync and close fail with ESTALE; what was written here is kept in the recovery folder
    Fail,
    /// What was written here replaces the other version
    Overwrite,
    /// What was written here is published beside it, as NAME.conflict-HOST-TIME
    KeepBoth,
}

impl From<OnConflictArg> for OnConflict {
    fn from(arg: OnConflictArg) -> Self {
        match arg {
            OnConflictArg::Fail => Self::Fail,
            OnConflictArg::Overwrite => Self::Overwrite,
            OnConflictArg::KeepBoth => Self::KeepBoth,
        }
    }
}

impl MountArgs {
    pub(super) fn plan(self) -> Result<Plan, Failure> {
        let (bucket, prefix) = parse_source(&self.source)?;
        let config = Config {
            prefix,
            metadata_ttl: self.metadata_ttl,
            negative_metadata_ttl: self.negative_metadata_ttl.unwrap_or(self.metadata_ttl),
            hold: self.hold.into(),
            hold_max: self.hold_max,
            memory_max: self.memory,
            deadline: self.deadline,
            attempt_timeout: self.attempt_timeout.unwrap_or(Config::default().attempt_timeout.min(self.deadline)),
            uid: self.uid.unwrap_or_else(|| nix::unistd::geteuid().as_raw()),
            gid: self.gid.unwrap_or_else(|| nix::unistd::getegid().as_raw()),
            posix_metadata: self.posix_metadata,
            file_mode: self.file_mode.unwrap_or(0o666 & !self.umask),
            dir_mode: self.dir_mode.unwrap_or(0o777 & !self.umask),
            read_only: self.read_only,
            no_delete: self.no_delete,
            no_overwrite: self.no_overwrite,
            on_conflict: self.on_conflict.into(),
            host: this_machine(),
            storage_class: self.storage_class,
            rename_directory_max: self.rename_directory_max,
            write_back_max: if self.write_back { self.write_back_max } else { 0 },
            sizes: Sizes { part_bytes: self.part_size, ..Sizes::PRODUCTION },
            ..Config::default()
        }
        .validated()?;
        let access = match (self.allow_other, self.allow_root) {
            (true, _) => Access::Everybody,
            (false, true) => Access::Root,
            (false, false) => Access::Owner,
        };
        let protection = self.protection.protection()?;
        let s3 = S3Options { protection, ..self.s3.options(bucket, config.prefix.clone()) };
        let (notes, journal) = notes_and_journals(&s3);
        Ok(Plan {
            s3,
            config,
            directory: self.directory,
            cache: self.cache_dir.unwrap_or_else(folders::cache),
            recovery: self.recovery_dir.unwrap_or_else(folders::recovery),
            notes,
            journal,
            access,
        })
    }
}

/// Where mounts of this bucket, under this prefix, leave word for the next, and their journals.
pub(in crate::command) fn notes_and_journals(s3: &S3Options) -> (PathBuf, PathBuf) {
    folders::notes_and_journals(&[
        s3.endpoint_url.as_deref().unwrap_or_default(),
        &variable("AWS_ENDPOINT_URL_S3"),
        &variable("AWS_ENDPOINT_URL"),
        s3.profile.as_deref().unwrap_or_default(),
        &variable("AWS_PROFILE"),
        &s3.bucket,
        &s3.prefix,
    ])
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

impl S3Args {
    pub(in crate::command) fn options(self, bucket: String, prefix: String) -> S3Options {
        let force_path_style = match (self.force_path_style, self.force_virtual_host) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        };
        S3Options {
            prefix,
            region: self.region,
            endpoint_url: self.endpoint_url,
            profile: self.profile,
            force_path_style,
            anonymous: self.no_sign_request,
            requester_pays: self.requester_pays,
            expected_bucket_owner: self.expected_bucket_owner,
            dual_stack: self.dual_stack,
            fips: self.fips,
            transfer_acceleration: self.transfer_acceleration,
            ..S3Options::new(bucket)
        }
    }
}

/// Bucket and prefix. An access point's ARN contains slashes of its own and takes no `s3://`.
pub(in crate::command) fn parse_source(source: &str) -> Result<(String, String), Failure> {
    let wrong = || Failure::Source(source.to_string());
    let rest = source.strip_prefix("s3://").unwrap_or(source);
    // arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME[/PREFIX]
    let slashes_in_bucket = if rest.starts_with("arn:") { 1 } else { 0 };
    let cut = rest.match_indices('/').nth(slashes_in_bucket).map_or(rest.len(), |(at, _)| at);
    let (bucket, prefix) = rest.split_at(cut);
    if bucket.is_empty() || (bucket.contains(':') && slashes_in_bucket == 0) {
        return Err(wrong());
    }
    Ok((bucket.to_string(), prefix.strip_prefix('/').unwrap_or(prefix).to_string()))
}

/// Seconds, a duration with a unit, `minimal` or `indefinite`.
fn parse_ttl(text: &str) -> Result<Duration, String> {
    match text {
        "minimal" => Ok(Duration::ZERO),
        // Longer than any mount lives, and still a number that can be added to a time.
        "indefinite" => Ok(Duration::from_secs(100 * 365 * 24 * 3600)),
        _ => match text.parse::<f64>() {
            Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()),
            Err(_) => parse_duration(text).map_err(|error| error.to_string()),
        },
    }
}

fn parse_part_size(text: &str) -> Result<u64, String> {
    let bytes = parse_bytes(text).map_err(|error| error.to_string())?;
    if (5 * MIB..=64 * MIB).contains(&bytes) { Ok(bytes) } else { Err("it must be from 5MiB to 64MiB".to_string()) }
}

fn parse_mode(text: &str) -> Result<u16, String> {
    u16::from_str_radix(text, 8).map_err(|_| format!("{text:?} is no octal mode such as 0644"))
}

/// This machine's name, as it may stand in the name of a file.
fn this_machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain: String = name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).collect();
    if plain.is_empty() { Config::default().host } else { plain }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{parse_source, parse_ttl};

    #[test]
    fn a_source_is_a_bucket_and_perhaps_a_prefix() {
        let cases = [
            ("s3://b", ("b", "")),
            ("b", ("b", "")),
            ("s3://b/", ("b", "")),
            ("s3://b/a/c/", ("b", "a/c/")),
            ("b/a", ("b", "a")),
            (
                "arn:aws:s3:us-west-2:123456789012:accesspoint/ap/data",
                ("arn:aws:s3:us-west-2:123456789012:accesspoint/ap", "data"),
            ),
        ];
        for (text, (bucket, prefix)) in cases {
            assert_eq!(parse_source(text).expect(text), (bucket.to_string(), prefix.to_string()));
        }
        for text in ["", "s3://", "/b", "http://b"] {
            assert!(parse_source(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_ttl_is_seconds_or_a_word() {
        assert_eq!(parse_ttl("60"), Ok(Duration::from_secs(60)));
        assert_eq!(parse_ttl("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_ttl("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_ttl("minimal"), Ok(Duration::ZERO));
        assert!(parse_ttl("indefinite").is_ok_and(|ttl| ttl > Duration::from_secs(1 << 31)));
        for text in ["-1", "soon", "NaN"] {
            assert!(parse_ttl(text).is_err(), "{text:?}");
        }
    }
}
