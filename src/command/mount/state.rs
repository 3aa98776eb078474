//! What a running mount holds, as the JSON that `holdfast status` asks for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::command::folders;
use crate::command::logging::PROBLEMS;
use crate::config::Config;
use crate::data::notes::Note;
use crate::env::Env;
use crate::fs::{Census, Fs};
use crate::fuse::Status;
use crate::real::Notes;

/// Uploads and renames beyond this are counted and not named: the text must fit an extended attribute.
const NAMED_MAX: usize = 50;

/// What of a mount does not change.
pub(super) struct Facts {
    pub source: String,
    pub recovery: PathBuf,
    pub journals: PathBuf,
    pub config: Config,
    pub notes: Option<Arc<Notes>>,
}

/// Tells it whenever it is asked.
pub(super) fn status<E: Env>(fs: Arc<Fs<E>>, facts: Facts) -> Status {
    let begun = Instant::now();
    Arc::new(move || {
        let notes = facts.notes.as_ref().map(|notes| notes.held()).unwrap_or_default();
        let mut state = describe(&facts, &fs.census(), &notes);
        state["uptime_seconds"] = begun.elapsed().as_secs().into();
        state.to_string()
    })
}

fn describe(facts: &Facts, census: &Census, notes: &[String]) -> Value {
    let (mut uploads, mut renames) = (Vec::new(), Vec::new());
    for note in notes.iter().filter_map(|text| Note::parse(text)) {
        match note {
            Note::Upload { key, id } => uploads.push(json!({"key": key.as_str(), "id": id.as_str()})),
            // Nothing is known of it yet but that.
            Note::Beginning { .. } => {}
            Note::Rename { from, to, began } => renames.push(json!({"from": from, "to": to, "began": began})),
        }
    }
    let (uploads_count, renames_count) = (uploads.len(), renames.len());
    uploads.truncate(NAMED_MAX);
    renames.truncate(NAMED_MAX);
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "source": facts.source,
        "read_only": facts.config.read_only,
        "inodes": census.inodes,
        "handles": census.handles,
        "drafts": census.drafts,
        "memory_bytes": census.memory_bytes,
        "memory_bytes_max": facts.config.memory_max,
        "held_bytes": census.lifeboat_bytes,
        "held_bytes_max": facts.config.hold_max,
        "hidden_keys": census.hidden_keys,
        "uploads_count": uploads_count,
        "uploads": uploads,
        "renames_count": renames_count,
        "renames": renames,
        "recovery": facts.recovery,
        "recovery_files": folders::kept_files(&facts.recovery),
        "journal_files": folders::journaled_files(&facts.journals),
        "warnings": PROBLEMS.warnings(),
        "errors": PROBLEMS.errors(),
        "last_problem": PROBLEMS.last(),
    })
}
