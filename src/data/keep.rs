//! The recovery folder: what could not be published, and a sidecar that says what it is.

use std::ops::Range;

use crate::data::content::Kept;
use crate::data::draft::Draft;
use crate::data::overlay::Source;
use crate::data::publish::{Expects, Snapshot};
use crate::env::{Clock, Disk, Env, Kept as _};
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
        let mut at = 0;
        while at < size {
            let end = (at + self.context.config.sizes.record_bytes).min(size);
            // Piece by piece, so that what cannot be had of the base costs no byte that was written.
            for run in snapshot.overlay.runs(at..end) {
                // Nobody has written there, nor is anything to be: a file may be longer than the disk.
                if run.source == Source::Zeros {
                    continue;
                }
                // What could not be had once is not waited for again, or each piece would cost a deadline.
                if run.source == Source::Base && !missing.is_empty() {
                    missing.push(run.range);
                    continue;
                }
                match snapshot.bytes(run.range.clone(), Kept::Nowhere).await {
                    Ok(_) if zoo::has(Bug::KeptWithoutItsBytes) => {}
                    Ok(bytes) => file.write_at(run.range.start, bytes).await.map_err(FsError::Disk)?,
                    Err(_) => missing.push(run.range),
                }
            }
            at = end;
        }
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
    use super::sidecar;

    #[test]
    fn a_sidecar_is_json() {
        assert_eq!(
            sidecar("a \"b\"\n", Some("e"), 3, 7, "replaced", std::slice::from_ref(&(0..2))),
            "{\"key\": \"a \\\"b\\\"\\u000a\", \"base_etag\": \"e\", \"bytes\": 3, \"time\": 7, \"reason\": \"replaced\", \"missing\": [[0, 2]]}\n"
        );
    }
}
