//! Where holdfast keeps what is its own, by the XDG base directory specification.

use std::env;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};

use crate::real::kept::SIDECAR_SUFFIX;

/// What can be lost at any time.
pub fn cache() -> PathBuf {
    base("XDG_CACHE_HOME", ".cache", "/var/cache").join("holdfast")
}

/// Logs, and files that could not be published.
pub fn state() -> PathBuf {
    base("XDG_STATE_HOME", ".local/state", "/var/lib").join("holdfast")
}

/// What was written and could not be published.
pub fn recovery() -> PathBuf {
    state().join("recovery")
}

/// Where mounts of one bucket leave word for the next, and their journals: `of` says which bucket, of which service, and for
/// whom.
pub fn notes_and_journals(of: &[&str]) -> (PathBuf, PathBuf) {
    let digest = Md5::digest(of.join("\n"));
    let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    (state().join("notes").join(&name), state().join("journal").join(name))
}

/// How many files a folder keeps that has each with a sidecar, as the recovery folder and a mount's journal do.
pub fn kept_files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(SIDECAR_SUFFIX)).count()
}

/// The same of the journals of all mounts of one bucket.
pub fn journaled_files(journals: &Path) -> usize {
    let mounts = std::fs::read_dir(journals).into_iter().flatten().flatten();
    mounts.map(|mount| kept_files(&mount.path())).sum()
}

fn base(variable: &str, beneath_home: &str, without_home: &str) -> PathBuf {
    let chosen = env::var_os(variable).map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(beneath_home));
    chosen.or_else(home).unwrap_or_else(|| PathBuf::from(without_home))
}
