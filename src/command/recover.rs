//! `holdfast recover`: files that were written on a mount and could not be published.
//!
//! Each is two files of the recovery folder, the bytes and a sidecar that says what they were. Nothing is removed but by
//! `discard`, and nothing is overwritten.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::command::folders;
use crate::real::kept::{SIDECAR_SUFFIX, sidecar_of};

/// List, restore or discard files that were written on a mount and could not be published
#[derive(Args, Debug)]
pub struct RecoverArgs {
    #[command(subcommand)]
    pub verb: Verb,
    /// Directory that they are in [default: holdfast/recovery in the state directory]
    #[arg(long, value_name = "DIR", global = true)]
    pub recovery_dir: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Show what is there
    List,
    /// Copy one to a local file, which must not exist
    Restore {
        /// As `list` shows it
        name: String,
        /// Where to [default: its own name, in the current directory]
        to: Option<PathBuf>,
    },
    /// Remove one for good
    Discard {
        /// As `list` shows it
        name: String,
    },
}

/// Why a verb failed. Each is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("no file {0:?} was kept in {1}; `holdfast recover list` shows what was")]
    Unknown(String, PathBuf),
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
}

/// What the sidecar says.
struct Kept {
    name: String,
    key: String,
    bytes: u64,
    /// `None`: the object was new.
    base_etag: Option<String>,
    /// Seconds since 1970.
    time: i64,
    reason: String,
    /// Bytes of the version it began from that could not be had any more. They read as zeros.
    missing: u64,
}

impl Kept {
    fn what_is_missing(&self) -> String {
        let missing = self.missing;
        format!(
            "{missing} bytes that were not changed are zeros here: the version they were of was replaced before it was read"
        )
    }
}

pub fn run(args: RecoverArgs) -> ExitCode {
    let folder = args.recovery_dir.unwrap_or_else(folders::recovery);
    let outcome = match &args.verb {
        Verb::List => list(&folder).map(|kept| print(&folder, &kept)),
        Verb::Restore { name, to } => restore(&folder, name, to.as_deref()),
        Verb::Discard { name } => discard(&folder, name),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("holdfast recover: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Oldest first. A folder that does not exist yet is empty.
fn list(folder: &Path) -> Result<Vec<Kept>, Failure> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| Failure::File(folder.to_path_buf(), error))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Failure::File(folder.to_path_buf(), error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Without its bytes it is what a crash left.
        if let Some(name) = name.strip_suffix(SIDECAR_SUFFIX)
            && let Ok(kept) = find(folder, name)
        {
            found.push(kept);
        }
    }
    found.sort_by(|a, b| (a.time, &a.name).cmp(&(b.time, &b.name)));
    Ok(found)
}

/// Also with a sidecar that cannot be read: the bytes are what matters.
fn find(folder: &Path, name: &str) -> Result<Kept, Failure> {
    let path = folder.join(name);
    let is_plain = path.file_name().is_some_and(|last| last == name);
    if !is_plain || !path.is_file() || !sidecar_of(&path).is_file() {
        return Err(Failure::Unknown(name.to_string(), folder.to_path_buf()));
    }
    let length = fs::metadata(&path).map(|meta| meta.len()).map_err(|error| Failure::File(path.clone(), error))?;
    let text = fs::read_to_string(sidecar_of(&path)).unwrap_or_default();
    let sidecar: Value = serde_json::from_str(&text).unwrap_or_default();
    let word = |key: &str| sidecar[key].as_str().map(str::to_string);
    Ok(Kept {
        name: name.to_string(),
        key: word("key").unwrap_or_default(),
        bytes: length,
        base_etag: word("base_etag"),
        time: sidecar["time"].as_i64().unwrap_or_default(),
        reason: word("reason").unwrap_or_default(),
        missing: sidecar["missing"].as_array().into_iter().flatten().filter_map(range_bytes).sum(),
    })
}

/// Of a range as the sidecar has it: `[start, end]`.
fn range_bytes(range: &Value) -> Option<u64> {
    range[1].as_u64()?.checked_sub(range[0].as_u64()?)
}

fn print(folder: &Path, kept: &[Kept]) {
    if kept.is_empty() {
        println!("nothing is kept in {}", folder.display());
    }
    for file in kept {
        let time = DateTime::from_secs(file.time).fmt(Format::DateTime).unwrap_or_default();
        let base = file.base_etag.as_deref().map_or("a new object".to_string(), |etag| format!("based on {etag}"));
        println!("{}\n    key {:?}, {} bytes, {base}, {time}, {}", file.name, file.key, file.bytes, file.reason);
        if file.missing > 0 {
            println!("    {}", file.what_is_missing());
        }
    }
}

fn restore(folder: &Path, name: &str, to: Option<&Path>) -> Result<(), Failure> {
    let kept = find(folder, name)?;
    let own_name = kept.key.rsplit('/').next().filter(|own| !own.is_empty() && *own != "..").unwrap_or(name);
    let to = to.unwrap_or(Path::new(own_name));
    let from = folder.join(name);
    let mut source = File::open(&from).map_err(|error| Failure::File(from.clone(), error))?;
    let failed = |error| Failure::File(to.to_path_buf(), error);
    let mut target = OpenOptions::new().write(true).create_new(true).open(to).map_err(failed)?;
    let copied = io::copy(&mut source, &mut target).and_then(|_| target.sync_all());
    if let Err(error) = copied {
        let _ = fs::remove_file(to);
        return Err(failed(error));
    }
    if kept.missing > 0 {
        println!("{}", kept.what_is_missing());
    }
    println!(
        "{} bytes of {:?} are in {}; `holdfast recover discard` removes the kept file",
        kept.bytes,
        kept.key,
        to.display()
    );
    Ok(())
}

fn discard(folder: &Path, name: &str) -> Result<(), Failure> {
    find(folder, name)?;
    let path = folder.join(name);
    for path in [path.clone(), sidecar_of(&path)] {
        fs::remove_file(&path).map_err(|error| Failure::File(path, error))?;
    }
    println!("{name} is discarded");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Failure, discard, find, list, restore};
    use crate::real::kept::sidecar_of;

    #[test]
    fn a_kept_file_is_listed_restored_and_discarded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("film.0001");
        fs::write(&path, "bytes").expect("written");
        let sidecar = r#"{"key": "a/film", "base_etag": "\"e\"", "bytes": 5, "time": 1700000000, "reason": "conflict",
                          "missing": [[0, 2], [3, 4]]}"#;
        fs::write(sidecar_of(&path), sidecar).expect("written");
        fs::write(folder.path().join(".unfinished-1"), "half").expect("written");
        let listed = list(folder.path()).expect("a list");
        let told: Vec<_> = listed.iter().map(|kept| (&*kept.name, &*kept.key, kept.bytes, kept.time)).collect();
        assert_eq!(told, [("film.0001", "a/film", 5, 1_700_000_000)]);
        assert_eq!(listed[0].missing, 3);
        assert_eq!(listed[0].base_etag.as_deref(), Some("\"e\""));

        let to = folder.path().join("restored");
        restore(folder.path(), "film.0001", Some(&to)).expect("restored");
        assert_eq!(fs::read(&to).expect("a file"), b"bytes");
        assert!(matches!(restore(folder.path(), "film.0001", Some(&to)), Err(Failure::File(..))), "never overwrites");
        discard(folder.path(), "film.0001").expect("discarded");
        assert!(list(folder.path()).expect("a list").is_empty() && !path.exists());
    }

    #[test]
    fn only_names_of_the_folder_are_taken() {
        let beneath = tempfile::tempdir().expect("a directory");
        let folder = beneath.path().join("recovery");
        fs::create_dir(&folder).expect("a folder");
        for file in ["other", "other.json"] {
            fs::write(beneath.path().join(file), "{}").expect("written");
        }
        for name in ["../other", "other", "", ".", ".."] {
            assert!(matches!(find(&folder, name), Err(Failure::Unknown(..))), "{name:?}");
        }
        assert!(list(&beneath.path().join("missing")).expect("empty").is_empty());
    }
}
