//! The recovery folder: what could not be published, and a sidecar that says what it is.

use std::ops::Range;

use crate::config::DISK_FREE_PERCENT_MIN;
use crate::data::content::Kept;
use crate::data::draft::Draft;
use crate::data::overlay::{Source, pieces};
use crate::data::publish::{Expects, Snapshot};
use crate::env::{Clock, Disk, Env, Kept as KeptFile};
use crate::error::FsError;
use crate::marks::sometimes;
use crate::zoo::{self, Bug};

impl<E: Env> Draft<E> {
    /// Puts all of it into the recovery folder, and answers where.
    pub async fn keep(&self, reason: &str) -> Result<String, FsError> {
        self.keep_as(&self.snapshot(), reason).await
    }

    /// The same of the file as it was.
    pub async fn keep_as(&self, snapshot: &Snapshot<E>, reason: &str) -> Result<String, FsError> {
        let file = self.context.env.disk().create_kept().await.map_err(FsError::Disk)?;
        let size = snapshot.overlay.size();
        let mut missing: Vec<Range<u64>> = Vec::new();
        let runs = snapshot.overlay.runs(0..size);
        let record_bytes = self.context.config.sizes.record_bytes;
        // What was written comes first: of the rest there may be more than the disk has room for, or none is to be had. Where
        // nobody has written, nor is anything to be, nothing is written here either: a file may be longer than the disk.
        for piece in pieces(&runs, |source| matches!(source, Source::Log(_)), record_bytes) {
            match snapshot.bytes(piece.clone(), Kept::Nowhere).await {
                Ok(_) if zoo::has(Bug::KeptWithoutItsBytes) => {}
                Ok(bytes) => file.write_at(piece.start, bytes).await.map_err(FsError::Disk)?,
                Err(_) => missing.push(piece),
            }
        }
        let mut is_to_be_had = true;
        for piece in pieces(&runs, |source| source == Source::Base, record_bytes) {
            // What could not be had once is not waited for again, or each piece would cost a deadline.
            is_to_be_had = is_to_be_had && self.keep_of_base(snapshot, piece.clone(), &file).await;
            if !is_to_be_had {
                missing.push(piece);
            }
        }
        let missing = joined(missing);
        let base_etag = match &snapshot.expects {
            Expects::ETag(etag) => Some(etag.as_str()),
            Expects::Absent | Expects::Anything => None,
        };
        let time = self.context.env.clock().unix_seconds();
        let sidecar = sidecar(snapshot.key.as_str(), base_etag, size, time, reason, &missing);
        let name = snapshot.key.as_str().rsplit('/').next().unwrap_or_default().to_string();
        sometimes!(KeptForRecovery);
        file.finish(name, size, sidecar).await.map_err(FsError::Disk)
    }

    /// Bytes of the version that it began from. False: they are not to be had, or the disk has no room for them.
    async fn keep_of_base(&self, snapshot: &Snapshot<E>, piece: Range<u64>, file: &impl KeptFile) -> bool {
        let room = self.context.env.disk().space().await.is_ok_and(|space| {
            space.free.saturating_sub(piece.end - piece.start) >= space.total / 100 * DISK_FREE_PERCENT_MIN
        });
        if !room {
            sometimes!(KeptWithoutItsBase);
            return false;
        }
        match snapshot.bytes(piece.clone(), Kept::Nowhere).await {
            Ok(_) if zoo::has(Bug::KeptWithoutItsBytes) => true,
            Ok(bytes) => file.write_at(piece.start, bytes).await.is_ok(),
            Err(_) => false,
        }
    }
}

/// In order; those that follow each other as one.
fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            Some(_) | None => joined.push(range),
        }
    }
    joined
}

/// One JSON object, which `holdfast recover` shows.
fn sidecar(key: &str, base_etag: Option<&str>, bytes: u64, time: i64, reason: &str, missing: &[Range<u64>]) -> String {
    let base_etag = base_etag.map_or("null".to_string(), quoted);
    let missing: Vec<String> = missing.iter().map(|range| format!("[{}, {}]", range.start, range.end)).collect();
    format!(
        "{{\"key\": {}, \"base_etag\": {base_etag}, \"bytes\": {bytes}, \"time\": {time}, \"reason\": {}, \"missing\": [{}]}}\n",
        quoted(key),
        quoted(reason),
        missing.join(", ")
    )
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::{joined, sidecar};

    #[test]
    fn what_follows_each_other_is_missing_as_one() {
        assert_eq!(joined(vec![5..7, 0..2, 2..5, 9..10]), [0..7, 9..10]);
    }

    #[test]
    fn a_sidecar_is_json() {
        assert_eq!(
            sidecar("a \"b\"\n", Some("e"), 3, 7, "replaced", std::slice::from_ref(&(0..2))),
            "{\"key\": \"a \\\"b\\\"\\u000a\", \"base_etag\": \"e\", \"bytes\": 3, \"time\": 7, \"reason\": \"replaced\", \"missing\": [[0, 2]]}\n"
        );
    }
}
