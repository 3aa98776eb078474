//! Where holdfast keeps what is its own, by the XDG base directory specification.

use std::env;
use std::path::PathBuf;

use md5::{Digest, Md5};

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

fn base(variable: &str, beneath_home: &str, without_home: &str) -> PathBuf {
    let chosen = env::var_os(variable).map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(beneath_home));
    chosen.or_else(home).unwrap_or_else(|| PathBuf::from(without_home))
}
