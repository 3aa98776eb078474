//! Whether a scenario agrees with itself: what it names exists, what it asks for can be.

use std::collections::{BTreeMap, BTreeSet};

use super::{AppOp, Call, Cause, Change, FaultSpec, SLOTS, Scenario, Slot};
use crate::run::mount_config;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub place: Place,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Config,
    Op(usize),
    Fault(usize),
    Mutation(usize),
}

/// The lines that a file's operations, faults and mutations stand on.
#[derive(Clone, Debug, Default)]
pub struct Places {
    pub ops: Vec<usize>,
    pub faults: Vec<usize>,
    pub mutations: Vec<usize>,
}

impl Places {
    pub fn line_of(&self, place: Place) -> usize {
        match place {
            Place::Config => 2,
            Place::Op(at) => self.ops[at],
            Place::Fault(at) => self.faults[at],
            Place::Mutation(at) => self.mutations[at],
        }
    }
}

/// Limits of one scenario: beyond them a run takes more memory or time than anybody wants to give it.
pub const OPS_MAX: usize = 100_000;
pub const OBJECT_BYTES_MAX: u64 = 1 << 32;
/// The ledger keeps what was written in memory.
pub const WRITTEN_BYTES_MAX: u64 = 1 << 27;
/// Several fit into what S3 takes of metadata.
const XATTR_BYTES_MAX: usize = 100;
const APPS_MAX: u8 = 64;
const MOUNTS_MAX: u8 = 8;
/// A year.
/// Times of files are within so many seconds of 1970: a thousand years.
const SECONDS_MAX: u64 = 1000 * 365 * 24 * 3600;
const TIME_MS_MAX: u64 = 365 * 24 * 3600 * 1000;

/// The first thing that is wrong.
pub fn check(scenario: &Scenario) -> Result<(), Problem> {
    let mut versions = Versions::default();
    check_config(scenario, &mut versions).map_err(|reason| Problem { place: Place::Config, reason })?;
    let mut ids = BTreeSet::new();
    for (at, op) in scenario.ops.iter().enumerate() {
        check_op(scenario, op, &mut ids).map_err(|reason| Problem { place: Place::Op(at), reason })?;
    }
    for (at, fault) in scenario.faults.iter().enumerate() {
        let outage = matches!(fault.what, FaultSpec::Outage { .. });
        check_cause(&fault.when, &ids)
            .and_then(|()| match (&fault.when, outage) {
                (Cause::AtMs(_), false) => Err("only an outage happens at a time; other faults hit a request".into()),
                (Cause::Request(_), true) => Err("an outage happens at a time".into()),
                _ => Ok(()),
            })
            .map_err(|reason| Problem { place: Place::Fault(at), reason })?;
    }
    for (at, mutation) in scenario.mutations.iter().enumerate() {
        check_cause(&mutation.when, &ids)
            .and_then(|()| check_change(scenario, &mutation.change, &mut versions))
            .map_err(|reason| Problem { place: Place::Mutation(at), reason })?;
    }
    Ok(())
}

/// Versions that each key has been given: one number means one content.
#[derive(Default)]
struct Versions(BTreeMap<(String, u32), u64>);

impl Versions {
    fn add(&mut self, key: &str, version: u32, size: u64) -> Result<(), String> {
        if size > OBJECT_BYTES_MAX {
            return Err(format!("{size} bytes are more than the {OBJECT_BYTES_MAX} that an object may have here"));
        }
        if key.is_empty() || key.len() > holdfast::config::KEY_BYTES_MAX {
            return Err(format!("{key:?} is no key: S3 wants 1 to {} bytes", holdfast::config::KEY_BYTES_MAX));
        }
        match self.0.insert((key.to_owned(), version), size) {
            None => Ok(()),
            Some(_) => {
                Err(format!("version {version} of {key:?} is put twice; say put_again, or give it a new number"))
            }
        }
    }
}

fn check_config(scenario: &Scenario, versions: &mut Versions) -> Result<(), String> {
    let config = &scenario.config;
    let machines = &config.machines;
    if !(1..=MOUNTS_MAX).contains(&machines.mounts) || !(1..=APPS_MAX).contains(&machines.apps) {
        return Err(format!("1 to {MOUNTS_MAX} mounts and 1 to {APPS_MAX} applications"));
    }
    for (name, (from, to)) in [
        ("latency_us", config.weather.latency_us),
        ("chunk_us", config.weather.chunk_us),
        ("disk latency_us", config.disk.latency_us),
    ] {
        if from > to || to > 1000 * TIME_MS_MAX {
            return Err(format!("{name} goes from {from} to {to}"));
        }
    }
    if let Some(fault) = config.disk.faults.iter().find(|fault| fault.what.befalls().is_some_and(|op| op != fault.op)) {
        return Err(format!("{:?} does not befall a {:?}", fault.what, fault.op));
    }
    if config.weather.chunk_bytes == 0 || config.weather.chunk_bytes > 1 << 30 {
        return Err("chunk_bytes is from 1 to a GiB".into());
    }
    let read_bytes_max = config.kernel.read_bytes_max;
    if !read_bytes_max.is_multiple_of(4096) || !(4096..=1 << 20).contains(&read_bytes_max) {
        return Err("read_bytes_max is a number of pages, at most a MiB".into());
    }
    let divisor = config.mount.sizes_divided_by;
    if !divisor.is_power_of_two() || divisor > 1024 {
        return Err("sizes_divided_by is a power of two up to 1024".into());
    }
    mount_config(&config.mount)?;
    for object in &config.objects {
        versions.add(&object.key, object.version, object.size)?;
        if object.link_to.as_ref().is_some_and(|target| target.len() as u64 != object.size) {
            return Err(format!("the link {:?} has not the size of its target", object.key));
        }
    }
    Ok(())
}

fn check_op(scenario: &Scenario, op: &AppOp, ids: &mut BTreeSet<u32>) -> Result<(), String> {
    if scenario.ops.len() > OPS_MAX {
        return Err(format!("more than {OPS_MAX} operations"));
    }
    if !ids.insert(op.id) {
        return Err(format!("a second operation {}", op.id));
    }
    if op.app >= scenario.config.machines.apps {
        return Err(format!("application {} of {}", op.app, scenario.config.machines.apps));
    }
    if op.pause_ms > TIME_MS_MAX || op.killed_after_ms.is_some_and(|ms| ms > TIME_MS_MAX) {
        return Err("longer than a year".into());
    }
    let slots: &[Slot] = match &op.call {
        Call::Open { file, .. }
        | Call::Read { file, .. }
        | Call::Pread { file, .. }
        | Call::ReadToEnd { file }
        | Call::Seek { file, .. }
        | Call::SeekData { file, .. }
        | Call::SeekHole { file, .. }
        | Call::Fstat { file }
        | Call::Xattr { file, .. }
        | Call::OpenWrite { file, .. }
        | Call::WriteOn { file, .. }
        | Call::Pwrite { file, .. }
        | Call::Fsync { file }
        | Call::Ftruncate { file, .. }
        | Call::Fallocate { file, .. }
        | Call::Fsetxattr { file, .. }
        | Call::Fremovexattr { file, .. }
        | Call::Close { file } => &[*file],
        Call::Dup { file, to } | Call::Map { file, to } | Call::CopyRange { file, to, .. } => &[*file, *to],
        Call::Opendir { dir, .. } | Call::Getdents { dir } | Call::Rewinddir { dir } | Call::Seekdir { dir, .. } => {
            &[*dir]
        }
        Call::Touch { map, .. } | Call::Store { map, .. } | Call::Msync { map } | Call::Unmap { map } => &[*map],
        Call::Stat { path }
        | Call::Access { path }
        | Call::Readlink { path }
        | Call::Readdir { path }
        | Call::ListLong { path }
        | Call::Lstat { path }
        | Call::XattrAt { path, .. }
        | Call::ListXattr { path }
        | Call::Cat { path }
        | Call::Truncate { path, .. }
        | Call::Chmod { path, .. }
        | Call::Utimens { path, .. }
        | Call::Symlink { path, .. }
        | Call::Mknod { path, .. }
        | Call::Setxattr { path, .. }
        | Call::Removexattr { path, .. }
        | Call::Unlink { path }
        | Call::Mkdir { path }
        | Call::Rmdir { path }
        | Call::Rename { path, .. }
        | Call::Save { path, .. }
        | Call::SaveBeside { path, .. }
        | Call::Write { path } => {
            check_path(path)?;
            &[]
        }
        Call::Statfs | Call::DropPages | Call::DropCaches | Call::Sleep => &[],
    };
    if let Call::Open { path, .. } | Call::OpenWrite { path, .. } | Call::Opendir { path, .. } = &op.call {
        check_path(path)?;
    }
    check_change_by(scenario, &op.call)?;
    match slots.iter().find(|slot| **slot >= SLOTS) {
        Some(slot) => Err(format!("descriptor {slot}: there are {SLOTS}")),
        None => Ok(()),
    }
}

/// What an application writes.
fn check_change_by(scenario: &Scenario, call: &Call) -> Result<(), String> {
    let end = match call {
        Call::OpenWrite { .. } | Call::Fsync { .. } | Call::Unlink { .. } | Call::Mkdir { .. } | Call::Rmdir { .. } => {
            0
        }
        Call::Setxattr { name, .. }
        | Call::Removexattr { name, .. }
        | Call::Fsetxattr { name, .. }
        | Call::Fremovexattr { name, .. }
            if !is_a_users(name) =>
        {
            return Err(format!("{name:?} is no attribute that a user may set"));
        }
        Call::Setxattr { value, .. } | Call::Fsetxattr { value, .. } if value.len() > XATTR_BYTES_MAX => {
            return Err(format!("a value of an attribute has at most {XATTR_BYTES_MAX} bytes here"));
        }
        Call::Setxattr { .. } | Call::Removexattr { .. } | Call::Fsetxattr { .. } | Call::Fremovexattr { .. } => 0,
        Call::Mknod { .. } | Call::Msync { .. } => 0,
        Call::CopyRange { at, to_at, len, .. } => at.max(to_at).saturating_add(*len),
        Call::Chmod { perm, .. } if *perm > 0o7777 => return Err(format!("{perm:o} are no permissions")),
        Call::Utimens { seconds, .. } if seconds.unsigned_abs() > SECONDS_MAX => {
            return Err(format!("{seconds} s are no time of a file"));
        }
        Call::Symlink { target, .. } if target.is_empty() || target.contains('\0') => {
            return Err(format!("{target:?} is no target of a link"));
        }
        Call::Chmod { .. } | Call::Utimens { .. } => 0,
        Call::Symlink { target, .. } => target.len() as u64,
        Call::Fallocate { len: 0, .. } => return Err("fallocate of no bytes".into()),
        Call::Fallocate { at, len, .. } => at.saturating_add(*len),
        Call::Rename { to, .. } => {
            check_path(to)?;
            0
        }
        Call::WriteOn { len, .. } | Call::Save { len, .. } | Call::SaveBeside { len, .. } => *len,
        Call::Pwrite { at, len, .. } | Call::Store { at, len, .. } => at.saturating_add(*len),
        Call::Ftruncate { size, .. } | Call::Truncate { size, .. } => *size,
        _ => return Ok(()),
    };
    if !scenario.config.mount.writable {
        return Err("the mount is not writable; say so in its options".into());
    }
    if end > WRITTEN_BYTES_MAX {
        return Err(format!("an application writes no further than {WRITTEN_BYTES_MAX} bytes here"));
    }
    if let Call::Save { path, .. }
    | Call::SaveBeside { path, .. }
    | Call::OpenWrite { path, .. }
    | Call::Mknod { path, .. }
    | Call::Symlink { path, .. } = call
        && path.ends_with('/')
    {
        return Err(format!("{path:?} is no path of a file"));
    }
    Ok(())
}

/// Neither the core's nor another namespace's.
fn is_a_users(name: &str) -> bool {
    let own = name.strip_prefix("user.").filter(|rest| !rest.is_empty() && !rest.contains('\0'));
    own.is_some_and(|rest| !rest.starts_with("s3.") && !rest.starts_with("holdfast."))
}

fn check_path(path: &str) -> Result<(), String> {
    if path.starts_with('/') && !path.contains('\0') {
        return Ok(());
    }
    Err(format!("{path:?} is no absolute path"))
}

fn check_cause(when: &Cause, ids: &BTreeSet<u32>) -> Result<(), String> {
    match when {
        Cause::AtMs(ms) if *ms > TIME_MS_MAX => Err("later than a year".into()),
        Cause::AtMs(_) => Ok(()),
        Cause::Request(cause) => match cause.since {
            Some(id) if !ids.contains(&id) => Err(format!("there is no operation {id}")),
            _ if cause.nth == Some(0) => Err("requests count from 1".into()),
            _ => Ok(()),
        },
    }
}

fn check_change(scenario: &Scenario, change: &Change, versions: &mut Versions) -> Result<(), String> {
    match change {
        Change::Put { key, version, size } => versions.add(key, *version, *size),
        Change::PutInFlight { otherwise, version, size, .. } => {
            // Any key may be meant.
            for object in &scenario.config.objects {
                versions.add(&object.key, *version, *size)?;
            }
            match scenario.config.objects.iter().any(|object| object.key == *otherwise) {
                true => Ok(()),
                false => versions.add(otherwise, *version, *size),
            }
        }
        Change::Crash { mount } if *mount >= scenario.config.machines.mounts => {
            Err(format!("mount {mount} of {}", scenario.config.machines.mounts))
        }
        Change::AbortUploads { .. } => Ok(()),
        Change::Crash { .. } | Change::PutAgain { .. } | Change::Delete { .. } | Change::Purge { .. } => Ok(()),
    }
}
