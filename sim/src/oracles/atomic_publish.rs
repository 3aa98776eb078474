//! What a mount publishes is a file as it was, whole.

use holdfast::bucket::Content;
use holdfast::env::Time;

use super::durability::of_conflict;
use super::{Oracle, OracleId};
use crate::court::{Sight, Truth};
use crate::history::{Body, Made};
use crate::ledger::LocalFile;
use crate::store::Kind;

/// Changes by mounts that were looked at.
#[derive(Default)]
pub struct AtomicPublish(usize);

impl Oracle for AtomicPublish {
    fn id(&self) -> OracleId {
        "atomic-publish"
    }

    fn sentence(&self) -> &'static str {
        "Every version that a mount puts into the bucket is what the file was at some instant before: never a mixture, \
         never half; and somebody had asked for it since the file was so."
    }

    fn see(&mut self, truth: &Truth, _sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        // Of requests past the kernel nobody knows what they were about.
        if truth.ledger.is_empty() {
            return;
        }
        self.0 = truth.history.each_made(self.0, |made| judge(truth, made, verdict));
    }
}

fn judge(truth: &Truth, made: &Made, verdict: &mut dyn FnMut(String)) {
    // A copy is of an object as it is; what a key that ends in a slash holds nobody reads.
    let put = matches!(made.kind, Kind::Put | Kind::CompleteUpload);
    let key = of_conflict(truth, made.key.as_str());
    let Some(published) = made.now.as_ref().filter(|_| put && !key.ends_with('/')) else { return };
    let Some(Body(body)) = &published.body else { return };
    judge_asked(truth, made, key, body, verdict);
    // Whoever asks for it between an open with O_TRUNC and what it writes may publish that.
    if body.size() == 0 && truth.ledger.was_truncated(made.mount, key) {
        return;
    }
    if body.size() == 0 && truth.ledger.was_making_node(made.mount, key, made.sent_at) {
        return;
    }
    let was_so = |file: &LocalFile| {
        let unknown = file.uncertain || file.states.iter().any(|state| state.content.is_none());
        let states = file.states.iter().filter(|state| state.began <= made.at);
        unknown || states.rev().any(|state| state.content.as_ref().is_some_and(|content| content.is(body)))
    };
    // Such a file may be published under any name.
    if truth.ledger.doubtful(made.mount).any(was_so) {
        return;
    }
    let mut files = truth.ledger.named(made.mount, key).peekable();
    if files.peek().is_none() {
        verdict(format!("{} bytes were published as {key}, which nobody on mount {} wrote", body.size(), made.mount));
        return;
    }
    let sizes: Vec<u64> = truth
        .ledger
        .named(made.mount, key)
        .flat_map(|file| file.states.iter().filter_map(|state| Some(state.content.as_ref()?.size())))
        .collect();
    if !files.any(was_so) {
        verdict(format!(
            "mount {} published {} bytes as {key} at {:?}, which is nothing that the file ever was (its sizes were \
             {sizes:?})",
            made.mount,
            body.size(),
            made.at.0
        ));
    }
}

/// A file that is only opened, written to and read is not published (R33, R42).
fn judge_asked(truth: &Truth, made: &Made, key: &str, body: &Content, verdict: &mut dyn FnMut(String)) {
    let mut so = Vec::new();
    for file in truth.ledger.named(made.mount, key).chain(truth.ledger.doubtful(made.mount)) {
        if file.uncertain || file.doubtful || file.states.iter().any(|state| state.content.is_none()) {
            return;
        }
        let states = file.states.iter().filter(|state| state.began <= made.at);
        let since = states.filter(|state| state.content.as_ref().is_some_and(|content| content.is(body)));
        so.extend(since.map(|state| state.began).min().map(|since| (file, since)));
    }
    let asked = |(file, since): &(&LocalFile, Time)| truth.ledger.was_asked_to_publish(file, *since, made.at);
    if !so.is_empty() && !so.iter().any(asked) {
        verdict(format!(
            "mount {} published {} bytes as {key} at {:?}, which the file had only been opened and written to for",
            made.mount,
            body.size(),
            made.at.0
        ));
    }
}
