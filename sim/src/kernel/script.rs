//! Calibration scripts: one application's system calls, a line each, as text that the real and the simulated kernel both
//! play (tests/calibration).
//!
//! A script has options and objects of the bucket first, then steps. The recording of a play has, for each step, the
//! line of the step with its result, and beneath it the requests that the core saw.

use std::fmt;

use holdfast::op::Allocation;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    pub options: Options,
    /// Each with its line.
    pub steps: Vec<(String, Step)>,
}

/// How the mount is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub metadata_ttl_ms: u64,
    pub negative_metadata_ttl_ms: u64,
    pub posix_metadata: bool,
    /// Applications may write.
    pub writable: bool,
    /// `--hold=off`
    pub no_hold: bool,
    /// As `holdfast mount` raises it where it may; else as Linux has it.
    pub readahead_raised: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            metadata_ttl_ms: 60_000,
            negative_metadata_ttl_ms: 60_000,
            posix_metadata: false,
            writable: false,
            no_hold: false,
            readahead_raised: false,
        }
    }
}

/// The flags of open(2), but for O_RDWR, which `write` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    pub write: bool,
    /// O_WRONLY in its place.
    pub write_only: bool,
    pub create: bool,
    pub exclusive: bool,
    pub truncate: bool,
    pub append: bool,
    pub direct: bool,
    pub sync: bool,
    pub dsync: bool,
}

/// Descriptors, mappings and directories go by names of the script.
type Name = String;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    // Of other clients.
    Put {
        key: String,
        version: u32,
        size: u64,
    },
    /// `prefix000` to the number before `count`, of one byte each.
    PutMany {
        prefix: String,
        count: u64,
    },
    PutLink {
        key: String,
        target: String,
    },
    Delete {
        key: String,
    },
    // Of the application.
    Stat {
        path: String,
    },
    Lstat {
        path: String,
    },
    Access {
        path: String,
        mask: u32,
    },
    Readlink {
        path: String,
    },
    Statfs {
        path: String,
    },
    Getxattr {
        path: String,
        name: String,
    },
    Listxattr {
        path: String,
    },
    Open {
        file: Name,
        path: String,
        flags: Flags,
    },
    Dup {
        file: Name,
        twin: Name,
    },
    Close {
        file: Name,
    },
    Fstat {
        file: Name,
    },
    Fsync {
        file: Name,
    },
    Read {
        file: Name,
        len: u64,
    },
    Pread {
        file: Name,
        offset: u64,
        len: u64,
    },
    SeekEnd {
        file: Name,
    },
    SeekData {
        file: Name,
        offset: u64,
    },
    SeekHole {
        file: Name,
        offset: u64,
    },
    AdviseRandom {
        file: Name,
    },
    Map {
        file: Name,
        mapping: Name,
    },
    /// One byte.
    Touch {
        mapping: Name,
        offset: u64,
    },
    Unmap {
        mapping: Name,
    },
    Write {
        file: Name,
        len: u64,
    },
    Pwrite {
        file: Name,
        offset: u64,
        len: u64,
    },
    Ftruncate {
        file: Name,
        size: u64,
    },
    Truncate {
        path: String,
        size: u64,
    },
    Fallocate {
        file: Name,
        how: Allocation,
        offset: u64,
        len: u64,
    },
    /// copy_file_range(2)
    Copy {
        file: Name,
        offset: u64,
        to: Name,
        to_offset: u64,
        len: u64,
    },
    Setxattr {
        path: String,
        name: String,
        value: String,
    },
    Removexattr {
        path: String,
        name: String,
    },
    Fsetxattr {
        file: Name,
        name: String,
        value: String,
    },
    Fremovexattr {
        file: Name,
        name: String,
    },
    Chmod {
        path: String,
        perm: u16,
    },
    Mknod {
        path: String,
    },
    Unlink {
        path: String,
    },
    Mkdir {
        path: String,
    },
    Rmdir {
        path: String,
    },
    Rename {
        path: String,
        to: String,
    },
    OpenDirectory {
        directory: Name,
        path: String,
    },
    Getdents {
        directory: Name,
    },
    /// To the end.
    ListRest {
        directory: Name,
    },
    Rewind {
        directory: Name,
    },
    CloseDirectory {
        directory: Name,
    },
    // Of the machine.
    DropCaches,
    Wait {
        ms: u64,
    },
}

/// A line that says nothing that can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    pub number: usize,
    pub line: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.number, self.line)
    }
}

impl Script {
    /// Empty lines and those that begin with `#` say nothing.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let mut script = Script { options: Options::default(), steps: Vec::new() };
        for (at, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let understood = match words.as_slice() {
                [] => Some(()),
                [first, ..] if first.starts_with('#') => Some(()),
                ["option", rest @ ..] => script.options.set(rest),
                _ => step(&words).map(|step| script.steps.push((words.join(" "), step))),
            };
            understood.ok_or_else(|| BadLine { number: at + 1, line: line.to_string() })?;
        }
        Ok(script)
    }
}

impl Options {
    fn set(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["metadata-ttl-ms", ms] => self.metadata_ttl_ms = ms.parse().ok()?,
            ["negative-metadata-ttl-ms", ms] => self.negative_metadata_ttl_ms = ms.parse().ok()?,
            ["posix-metadata"] => self.posix_metadata = true,
            ["writable"] => self.writable = true,
            ["no-hold"] => self.no_hold = true,
            ["readahead-raised"] => self.readahead_raised = true,
            _ => return None,
        }
        Some(())
    }
}

fn step(words: &[&str]) -> Option<Step> {
    let text = |word: &&str| word.to_string();
    let number = |word: &str| word.parse::<u64>().ok();
    Some(match words {
        ["put", key, version, size] => {
            Step::Put { key: text(key), version: version.parse().ok()?, size: number(size)? }
        }
        ["put-many", prefix, count] => Step::PutMany { prefix: text(prefix), count: number(count)? },
        ["put-link", key, target] => Step::PutLink { key: text(key), target: text(target) },
        ["delete", key] => Step::Delete { key: text(key) },
        ["stat", path] => Step::Stat { path: text(path) },
        ["lstat", path] => Step::Lstat { path: text(path) },
        ["access", path, mask] => Step::Access { path: text(path), mask: mask.parse().ok()? },
        ["readlink", path] => Step::Readlink { path: text(path) },
        ["statfs", path] => Step::Statfs { path: text(path) },
        ["getxattr", path, name] => Step::Getxattr { path: text(path), name: text(name) },
        ["listxattr", path] => Step::Listxattr { path: text(path) },
        ["open", file, path, how @ ..] => Step::Open { file: text(file), path: text(path), flags: flags(how)? },
        ["dup", file, twin] => Step::Dup { file: text(file), twin: text(twin) },
        ["close", file] => Step::Close { file: text(file) },
        ["fstat", file] => Step::Fstat { file: text(file) },
        ["fsync", file] => Step::Fsync { file: text(file) },
        ["read", file, len] => Step::Read { file: text(file), len: number(len)? },
        ["pread", file, offset, len] => Step::Pread { file: text(file), offset: number(offset)?, len: number(len)? },
        ["seek-end", file] => Step::SeekEnd { file: text(file) },
        ["seek-data", file, offset] => Step::SeekData { file: text(file), offset: number(offset)? },
        ["seek-hole", file, offset] => Step::SeekHole { file: text(file), offset: number(offset)? },
        ["advise-random", file] => Step::AdviseRandom { file: text(file) },
        ["map", file, mapping] => Step::Map { file: text(file), mapping: text(mapping) },
        ["touch", mapping, offset] => Step::Touch { mapping: text(mapping), offset: number(offset)? },
        ["write", file, len] => Step::Write { file: text(file), len: number(len)? },
        ["pwrite", file, offset, len] => Step::Pwrite { file: text(file), offset: number(offset)?, len: number(len)? },
        ["ftruncate", file, size] => Step::Ftruncate { file: text(file), size: number(size)? },
        ["truncate", path, size] => Step::Truncate { path: text(path), size: number(size)? },
        ["fallocate", file, how, offset, len] => {
            let (offset, len) = (number(offset)?, number(len)?);
            Step::Fallocate { file: text(file), how: allocation(how)?, offset, len }
        }
        ["copy", file, offset, to, to_offset, len] => {
            let (offset, to_offset, len) = (number(offset)?, number(to_offset)?, number(len)?);
            Step::Copy { file: text(file), offset, to: text(to), to_offset, len }
        }
        ["setxattr", path, name, value] => Step::Setxattr { path: text(path), name: text(name), value: text(value) },
        ["removexattr", path, name] => Step::Removexattr { path: text(path), name: text(name) },
        ["fsetxattr", file, name, value] => Step::Fsetxattr { file: text(file), name: text(name), value: text(value) },
        ["fremovexattr", file, name] => Step::Fremovexattr { file: text(file), name: text(name) },
        ["chmod", path, perm] => Step::Chmod { path: text(path), perm: u16::from_str_radix(perm, 8).ok()? },
        ["mknod", path] => Step::Mknod { path: text(path) },
        ["unlink", path] => Step::Unlink { path: text(path) },
        ["mkdir", path] => Step::Mkdir { path: text(path) },
        ["rmdir", path] => Step::Rmdir { path: text(path) },
        ["rename", path, to] => Step::Rename { path: text(path), to: text(to) },
        ["unmap", mapping] => Step::Unmap { mapping: text(mapping) },
        ["opendir", directory, path] => Step::OpenDirectory { directory: text(directory), path: text(path) },
        ["getdents", directory] => Step::Getdents { directory: text(directory) },
        ["list-rest", directory] => Step::ListRest { directory: text(directory) },
        ["rewind", directory] => Step::Rewind { directory: text(directory) },
        ["closedir", directory] => Step::CloseDirectory { directory: text(directory) },
        ["drop-caches"] => Step::DropCaches,
        ["wait", ms] => Step::Wait { ms: number(ms)? },
        _ => return None,
    })
}

fn flags(words: &[&str]) -> Option<Flags> {
    let mut flags = Flags::default();
    for word in words {
        match *word {
            "write" => flags.write = true,
            "write-only" => (flags.write, flags.write_only) = (true, true),
            "create" => flags.create = true,
            "exclusive" => flags.exclusive = true,
            "truncate" => flags.truncate = true,
            "append" => flags.append = true,
            "direct" => flags.direct = true,
            "sync" => flags.sync = true,
            "dsync" => flags.dsync = true,
            _ => return None,
        }
    }
    Some(flags)
}

fn allocation(word: &str) -> Option<Allocation> {
    Some(match word {
        "allocate" => Allocation::Allocate { keep_size: false },
        "allocate-keeping-size" => Allocation::Allocate { keep_size: true },
        "punch" => Allocation::Punch,
        "zero" => Allocation::Zero { keep_size: false },
        "zero-keeping-size" => Allocation::Zero { keep_size: true },
        _ => return None,
    })
}

/// The name of the `n`th of the objects of [`Step::PutMany`].
pub fn nth_key(prefix: &str, n: u64) -> String {
    format!("{prefix}{n:03}")
}

#[cfg(test)]
mod tests {
    use super::{Script, Step};

    #[test]
    fn a_line_is_a_step_and_a_wrong_one_is_named() {
        let script = Script::parse("# A story.\noption no-hold\n\nput film 1 10\nstat /film\n").unwrap();
        assert!(script.options.no_hold);
        assert_eq!(script.steps[1], ("stat /film".into(), Step::Stat { path: "/film".into() }));
        assert_eq!(Script::parse("stat /film\nstat").unwrap_err().number, 2);
        assert!(Script::parse("open f /film sideways").is_err());
        assert!(Script::parse("fallocate f sideways 0 1").is_err());
    }
}
