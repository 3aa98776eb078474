//! Files of a directory become objects.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use super::buckets::lock;
use crate::bucket::{Bucket, ContentBuilder};
use crate::env::store::{Key, NewObject};

/// Reads all regular files beneath `directory` into `bucket`, keyed by their path relative to it and dated like them.
/// Symbolic links and special files are left out.
pub(super) fn import(directory: &Path, bucket: &Mutex<Bucket>) -> io::Result<()> {
    let mut pending = vec![(directory.to_path_buf(), String::new())];
    while let Some((directory, prefix)) = pending.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| io::Error::other(format!("{name:?} is not UTF-8")))?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                pending.push((entry.path(), format!("{prefix}{name}/")));
            } else if kind.is_file() {
                import_file(&entry.path(), format!("{prefix}{name}").into(), bucket)?;
            }
        }
    }
    Ok(())
}

fn import_file(path: &Path, key: Key, bucket: &Mutex<Bucket>) -> io::Result<()> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let digest = lock(bucket).options().digest;
    let mut content = ContentBuilder::new(digest, metadata.len());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => content.push(&buffer[..read]),
        }
    }
    let dated = modified.map_or(0, |since| since.as_secs() as i64);
    lock(bucket).put_content(&key, content.finish(), NewObject::default(), None, dated).map_err(io::Error::other)?;
    Ok(())
}
