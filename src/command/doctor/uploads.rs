//! Multipart uploads that nobody will complete: they cost storage, and no listing of objects shows them.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::bucket::asked;
use super::report::{Finding, Report};
use crate::data::notes::Note;
use crate::env::Store;
use crate::env::store::{ErrorKind, Upload};
use crate::real::notes::of_the_gone;

/// Others' uploads that are named one by one.
const NAMED_MAX: usize = 10;
const HOUR_SECONDS: i64 = 3600;
/// Nobody uploads one file for so long.
const OLD_HOURS: i64 = 24;

pub(super) async fn look(report: &mut Report, store: &impl Store, prefix: &str, notes: &Path, fix: bool) {
    let ours = noted(notes);
    let uploads = match asked(store.list_uploads(prefix.to_string())).await {
        Ok(uploads) => uploads,
        Err(error) => {
            report.add(Finding::warn(
                "uploads",
                format!("those in progress cannot be listed: {error}"),
                "allow s3:ListBucketMultipartUploads, or let a lifecycle rule abort old uploads",
            ));
            return;
        }
    };
    let (mut left, mut others) = (Vec::new(), Vec::new());
    for upload in &uploads {
        match ours.iter().find(|(_, note)| note.may_be_of(upload)) {
            Some((file, Note::Upload { .. })) => left.push((upload, file)),
            Some((file, _)) if is_empty(store, upload).await => left.push((upload, file)),
            Some(_) | None => others.push(upload),
        }
    }
    let mut aborted = 0;
    for (upload, note) in &left {
        let words = format!("a mount that is gone has left an upload to {:?}, begun {}", upload.key, age(upload));
        if !fix {
            report.add(Finding::warn("uploads", words, "the next mount from here aborts it, and so does --fix"));
            continue;
        }
        match asked(store.abort_upload(upload.key.clone(), upload.upload.clone())).await {
            Err(error) if error.kind != ErrorKind::NoSuchUpload => report.add(Finding::fail(
                "uploads",
                format!("{words}, and it cannot be aborted: {error}"),
                "allow s3:AbortMultipartUpload",
            )),
            Ok(()) | Err(_) => {
                aborted += 1;
                let _ = std::fs::remove_file(note);
                report.add(Finding::ok("uploads", format!("{words}: aborted")));
            }
        }
    }
    let (old, young): (Vec<&Upload>, Vec<&Upload>) = others.into_iter().partition(|upload| hours(upload) >= OLD_HOURS);
    for upload in old.iter().take(NAMED_MAX) {
        report.add(Finding::warn(
            "uploads",
            format!("somebody's upload to {:?} was begun {} (id {})", upload.key, age(upload), upload.upload),
            "if nobody will complete it: abort it, or let a lifecycle rule do so (AbortIncompleteMultipartUpload)",
        ));
    }
    if old.len() > NAMED_MAX {
        let more = format!("and {} more that are as old", old.len() - NAMED_MAX);
        report.add(Finding::warn("uploads", more, "a lifecycle rule can abort them"));
    }
    if left.len() == aborted && old.is_empty() {
        report.add(Finding::ok("uploads", format!("none is orphaned; {} in progress", young.len())));
    }
}

/// Whether nothing was sent into it: only then it may be one whose id its mount has never learnt.
async fn is_empty(store: &impl Store, upload: &Upload) -> bool {
    matches!(asked(store.has_parts(upload.key.clone(), upload.upload.clone())).await, Ok(false))
}

/// What mounts that are gone were uploading, with the note that says so.
fn noted(notes: &Path) -> Vec<(PathBuf, Note)> {
    of_the_gone(notes).into_iter().filter_map(|(file, text)| Some((file, Note::parse(&text)?))).collect()
}

fn hours(upload: &Upload) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    (now - upload.initiated).max(0) / HOUR_SECONDS
}

fn age(upload: &Upload) -> String {
    match hours(upload) {
        0 => "less than an hour ago".to_string(),
        hours if hours < 48 => format!("{hours} hours ago"),
        hours => format!("{} days ago", hours / 24),
    }
}
