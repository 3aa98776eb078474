//! `holdfast status`: what a running mount holds.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::fuse::STATUS;
use crate::real::mountpoint::{attribute, mount_at};

/// A mount that is alive answers at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Show what a running mount holds: open files, what is not published yet, memory, problems
#[derive(Args, Debug)]
pub struct StatusArgs {
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: StatusArgs) -> ExitCode {
    match ask(&args.directory) {
        Ok(text) if args.json => println!("{text}"),
        Ok(text) => print!("{}", shown(&serde_json::from_str(&text).unwrap_or_default())),
        Err(reason) => {
            eprintln!("holdfast status: {reason}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// On a thread of its own, which a mount that hangs may keep.
fn ask(directory: &Path) -> Result<String, String> {
    let (answers, answer) = mpsc::channel();
    let asked = directory.to_path_buf();
    std::thread::spawn(move || answers.send(ask_and_wait(&asked)));
    let shown = directory.display();
    match answer.recv_timeout(PATIENCE) {
        Ok(answer) => answer,
        Err(_) => Err(format!("the mount at {shown} does not answer")),
    }
}

fn ask_and_wait(directory: &Path) -> Result<String, String> {
    let shown = directory.display();
    let path = directory.canonicalize().map_err(|error| format!("{shown}: {error}"))?;
    let Some(entry) = mount_at(&path) else { return Err(format!("nothing is mounted at {shown}")) };
    if !entry.is_holdfast() {
        return Err(format!("what is mounted at {shown} is {}, not holdfast", entry.kind));
    }
    attribute(&path, STATUS).map_err(|error| format!("{shown}: {error}"))
}

fn shown(state: &Value) -> String {
    let text = |name: &str| state[name].as_str().unwrap_or_default().to_string();
    let number = |name: &str| state[name].as_u64().unwrap_or_default();
    let of = |used: &str, most: &str| format!("{} of {} bytes", number(used), number(most));
    let mut lines = vec![
        ("mounted", format!("{} for {} s by process {}", text("source"), number("uptime_seconds"), number("pid"))),
        ("open", format!("{} handles, {} inodes known to Linux", number("handles"), number("inodes"))),
        ("changed here", format!("{} files that are open or not published yet", number("drafts"))),
        ("uploads", format!("{} under way", number("uploads_count"))),
        ("renames", format!("{} of directories under way", number("renames_count"))),
        ("memory", of("memory_bytes", "memory_bytes_max")),
        ("held on disk", format!("{}, of objects that were replaced", of("held_bytes", "held_bytes_max"))),
        ("not published", format!("{} files kept in {}", number("recovery_files"), text("recovery"))),
        ("journal", format!("{} files closed and not published yet", number("journal_files"))),
        ("problems", format!("{} warnings, {} errors", number("warnings"), number("errors"))),
    ];
    for upload in state["uploads"].as_array().into_iter().flatten() {
        lines.push(("upload", format!("{}", upload["key"])));
    }
    for rename in state["renames"].as_array().into_iter().flatten() {
        lines.push(("rename", format!("{} to {}", rename["from"], rename["to"])));
    }
    if !text("last_problem").is_empty() {
        lines.push(("the last", text("last_problem")));
    }
    lines.iter().map(|(name, value)| format!("{name:<14} {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::shown;

    #[test]
    fn what_a_mount_tells_is_shown_a_line_each() {
        let text = shown(&json!({
            "source": "s3://b/", "pid": 7, "handles": 3, "memory_bytes": 5, "memory_bytes_max": 9,
            "uploads_count": 1, "uploads": [{"key": "a b"}], "last_problem": "it broke",
        }));
        for line in ["s3://b/ for 0 s by process 7", "3 handles", "5 of 9 bytes", "upload         \"a b\"", "it broke"]
        {
            assert!(text.contains(line), "{line:?} in\n{text}");
        }
    }
}
