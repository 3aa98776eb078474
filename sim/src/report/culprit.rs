//! Who saw what must not be: the first finding, its operation and its call.

use crate::court::Finding;
use crate::recording::{CallRecord, FileRecord, OpRecord, Recording};

#[derive(Clone, Copy)]
pub(super) struct Culprit<'a> {
    pub(super) finding: &'a Finding,
    pub(super) op: Option<&'a OpRecord>,
    pub(super) call: Option<&'a CallRecord>,
    /// The open file that the call was about.
    pub(super) file: Option<&'a FileRecord>,
}

impl<'a> Culprit<'a> {
    pub(super) fn of(recording: &'a Recording) -> Option<Self> {
        let finding = recording.findings.first()?;
        let named = recording.ops.iter().find(|op| Some(op.id) == finding.op);
        // Where nobody is named, as at a deadlock, whoever has waited longest.
        let waiting = || recording.ops.iter().filter(|op| op.ended.is_none()).min_by_key(|op| op.began);
        let call = recording.calls.iter().rfind(|call| call.op == finding.op && call.ended == finding.at);
        let op = if finding.op.is_none() && call.is_none() { waiting() } else { named };
        let file = call.and_then(|call| call.file);
        let file = recording.files.iter().find(|record| Some(record.file) == file);
        Some(Self { finding, op, call, file })
    }
}
