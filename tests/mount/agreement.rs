//! Whether the bucket has what applications see: every name, every byte, every link's target, and nothing besides.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::mounted::Mounted;
use crate::remote::Embedded;

/// Panics unless what `mount` shows beneath `folder` (`""`: everything) is what the bucket has there. Answers how many
/// objects were compared.
#[track_caller]
pub fn agree(mount: &Mounted, remote: &Embedded, folder: &str) -> usize {
    let mut seen = BTreeSet::new();
    walk(&mount.path(folder), folder, remote, &mut seen);
    let beneath = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let has = remote.keys().into_iter().filter(|key| key.starts_with(&beneath) && !key.ends_with('/'));
    let unseen: Vec<String> = has.filter(|key| !seen.contains(key)).collect();
    assert!(unseen.is_empty(), "in the bucket, and not on the mount: {unseen:?}");
    seen.len()
}

#[track_caller]
fn walk(directory: &Path, key: &str, remote: &Embedded, seen: &mut BTreeSet<String>) {
    let mut empty = true;
    for entry in fs::read_dir(directory).unwrap_or_else(|error| panic!("{key}: {error}")) {
        let entry = entry.unwrap_or_else(|error| panic!("{key}: {error}"));
        empty = false;
        let name = entry.file_name().into_string().expect("keys are UTF-8");
        let key = if key.is_empty() { name } else { format!("{key}/{name}") };
        let kind = entry.file_type().unwrap_or_else(|error| panic!("{key}: {error}"));
        if kind.is_dir() {
            walk(&entry.path(), &key, remote, seen);
            continue;
        }
        let object = remote.object(&key).unwrap_or_else(|| panic!("{key} is on the mount, and not in the bucket"));
        if kind.is_symlink() {
            let target = fs::read_link(entry.path()).unwrap_or_else(|error| panic!("{key}: {error}"));
            assert_eq!(target.as_os_str().as_bytes(), object, "{key}");
        } else if kind.is_file() {
            let read = fs::read(entry.path()).unwrap_or_else(|error| panic!("{key}: {error}"));
            let differs = read.iter().zip(&object).position(|(a, b)| a != b);
            let sizes = (read.len(), object.len());
            assert!(sizes.0 == sizes.1 && differs.is_none(), "{key}: {sizes:?} bytes, differ at {differs:?}");
        }
        seen.insert(key);
    }
    let marker = format!("{key}/");
    assert!(!empty || key.is_empty() || remote.keys().contains(&marker), "{key} is empty, and has no marker");
}
