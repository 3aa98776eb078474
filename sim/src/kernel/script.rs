//! Calibration scripts: one application's system calls, a line each, as text that the real and the simulated kernel both
//! play (tests/calibration).
//!
//! A script has options and objects of the bucket first, then steps. The recording of a play has, for each step, the
//! line of the step with its result, and beneath it the requests that the core saw.

use std::fmt;

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
            no_hold: false,
            readahead_raised: false,
        }
    }
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
        write: bool,
        direct: bool,
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
        ["open", file, path, how @ ..] => {
            if how.iter().any(|word| !["write", "direct"].contains(word)) {
                return None;
            }
            let (write, direct) = (how.contains(&"write"), how.contains(&"direct"));
            Step::Open { file: text(file), path: text(path), write, direct }
        }
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
    }
}
