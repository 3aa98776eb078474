//! Which lines of the core a run of the simulator reached: builds with the compiler's own counters, runs, and counts.
//!
//! `-C instrument-coverage` is part of every toolchain; only its reader, LLVM's command line tools, is a component that
//! cannot be had everywhere. So the two formats are read here: [`profile`] what a run counted, [`mapping`] which lines
//! each counter stands for. Both are bound to a version of LLVM, and an unknown one is refused rather than guessed at.
//!
//! A line can be covered if it lies within a region of any copy of its function, generic functions that nobody
//! instantiates included; it is covered if any region of any copy that touches it was entered. Never runs anything in
//! the target directory of ordinary builds, since other flags would throw those builds away.

mod bytes;
mod mapping;
mod object;
mod profile;
mod report;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fmt, fs, io};

pub use report::{FileLines, Report};

use mapping::Mapping;
use profile::Profile;

/// Where the core is. Not `real`, `server`, `command` and `fuse`, which simulation replaces, nor `bucket`, which serves it.
pub const CORE: &[&str] =
    &["src/config.rs", "src/data", "src/env", "src/error.rs", "src/fs", "src/lock.rs", "src/op.rs", "src/state"];

/// Objects whose instrumented code is of interest, for libraries: what no program uses is found nowhere else.
const LIBRARY: &str = "libholdfast";

/// One build and one run, measured.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// The workspace.
    pub root: PathBuf,
    /// A `cargo test` or `cargo run` command line without the word `cargo`.
    pub cargo: Vec<String>,
}

#[derive(Debug)]
pub enum CoverageError {
    Io(String, io::Error),
    /// Not a command to measure, or it failed and has said why.
    Cargo(String),
    /// A file is not what this version of the reader understands.
    Format(String),
}

impl fmt::Display for CoverageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(what, error) => write!(f, "{what}: {error}"),
            Self::Cargo(line) => write!(f, "`cargo {line}` failed"),
            Self::Format(what) => write!(f, "{what}"),
        }
    }
}

impl std::error::Error for CoverageError {}

impl Measurement {
    /// Builds, runs, and reports the files whose path below the root begins with one of `wanted`.
    pub fn take(&self, wanted: &[&str]) -> Result<Report, CoverageError> {
        let objects = self.build()?;
        let profiles = self.run()?;
        let mut profile = Profile::default();
        for path in &profiles {
            profile.add(&read(path)?).map_err(|what| format_error(path, what))?;
        }
        let mut mapping = Mapping::default();
        for path in &objects {
            for (covmap, covfun) in object::coverage_sections(&read(path)?).map_err(|what| format_error(path, what))? {
                mapping.add(&covmap, &covfun).map_err(|what| format_error(path, what))?;
            }
        }
        Ok(Report::of(&mapping, &profile, &self.root, wanted))
    }

    /// Answers the programs and libraries that were built.
    fn build(&self) -> Result<Vec<PathBuf>, CoverageError> {
        let mut line: Vec<String> = self.cargo.iter().take_while(|argument| *argument != "--").cloned().collect();
        match line.first_mut() {
            Some(verb) if verb == "run" => *verb = "build".to_string(),
            Some(verb) if verb == "test" => line.push("--no-run".to_string()),
            Some(_) | None => return Err(CoverageError::Cargo(self.cargo.join(" "))),
        }
        line.push("--message-format=json-render-diagnostics".to_string());
        // Build scripts and macros count too, where nobody looks.
        let output = self.command(&line, &self.target().join("build.profraw")).stdout(Stdio::piped()).output();
        let output = output.map_err(|error| CoverageError::Io("cargo".into(), error))?;
        if !output.status.success() {
            return Err(CoverageError::Cargo(line.join(" ")));
        }
        let messages = String::from_utf8_lossy(&output.stdout).into_owned();
        let artifacts = messages.lines().filter(|message| message.contains(r#""reason":"compiler-artifact""#));
        let mut objects = Vec::new();
        for message in artifacts {
            objects.extend(strings_after(message, r#""executable":"#).take(1).map(PathBuf::from));
            let files = strings_after(message, r#""filenames":["#).map(PathBuf::from);
            objects.extend(files.filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with(LIBRARY) && name.ends_with(".rlib")
            }));
        }
        Ok(objects)
    }

    /// Answers the profiles that the run left.
    fn run(&self) -> Result<Vec<PathBuf>, CoverageError> {
        let folder = self.target().join("profiles");
        let failed = |error| CoverageError::Io(folder.display().to_string(), error);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(failed)?;
        }
        fs::create_dir_all(&folder).map_err(failed)?;
        // One file a process and program.
        let status = self.command(&self.cargo, &folder.join("%p-%m.profraw")).stdin(Stdio::null()).status();
        let status = status.map_err(|error| CoverageError::Io("cargo".into(), error))?;
        // A simulator that has found something says so with 1.
        if !matches!(status.code(), Some(0 | 1)) {
            return Err(CoverageError::Cargo(self.cargo.join(" ")));
        }
        let mut profiles = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            profiles.push(entry.map_err(failed)?.path());
        }
        profiles.sort();
        Ok(profiles)
    }

    fn command(&self, line: &[String], profile: &Path) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.args(line).current_dir(&self.root);
        command.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", "-C instrument-coverage");
        command.env("CARGO_TARGET_DIR", self.target()).env("LLVM_PROFILE_FILE", profile);
        command
    }

    fn target(&self) -> PathBuf {
        self.root.join("target").join("coverage")
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CoverageError> {
    fs::read(path).map_err(|error| CoverageError::Io(path.display().to_string(), error))
}

fn format_error(path: &Path, what: String) -> CoverageError {
    CoverageError::Format(format!("{}: {what}", path.display()))
}

/// The run of JSON strings that follows `label`. Paths with escapes in them are not understood.
fn strings_after<'a>(message: &'a str, label: &str) -> impl Iterator<Item = &'a str> {
    let mut rest = message.split_once(label).map_or("", |(_, rest)| rest);
    std::iter::from_fn(move || {
        let (text, after) = rest.strip_prefix('"')?.split_once('"')?;
        rest = after.strip_prefix(',').unwrap_or_default();
        Some(text)
    })
}

#[cfg(test)]
mod tests;
