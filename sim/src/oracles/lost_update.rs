//! Nobody's version is replaced by somebody who had not seen it.

use super::{Oracle, OracleId};
use crate::court::{Sight, Truth};
use crate::history::Made;
use crate::ledger::LocalFile;
use crate::store::{FaultKind, Kind};

/// Changes by mounts that were looked at.
#[derive(Default)]
pub struct LostUpdate(usize);

impl Oracle for LostUpdate {
    fn id(&self) -> OracleId {
        "lost-update"
    }

    fn sentence(&self) -> &'static str {
        "A commit replaces the version that its file began from, or one that the same mount had published, and no other."
    }

    fn see(&mut self, truth: &Truth, _sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        self.0 = truth.history.each_made(self.0, |made| judge(truth, made, verdict));
    }
}

fn judge(truth: &Truth, made: &Made, verdict: &mut dyn FnMut(String)) {
    let key = made.key.as_str();
    // A rename replaces what is at its target, as rename(2) does.
    let put = matches!(made.kind, Kind::Put | Kind::CompleteUpload) && !key.ends_with('/');
    let (Some(replaced), Some(_)) = (&made.replaced, made.now.as_ref().filter(|_| put)) else { return };
    let ignored =
        truth.config.preconditions_ignored || truth.was_hit(key, &|what| *what == FaultKind::ConditionsIgnored);
    if ignored || truth.config.on_conflict != holdfast::config::OnConflict::Fail {
        return;
    }
    // Since when it was there. The same bytes put again are the same version to whoever asks by ETag.
    let since = truth.history.look(key, |changes| {
        let same = changes.iter().filter(|change| change.now.as_ref().is_some_and(|now| now.etag == replaced.etag));
        same.map(|change| change.at).min()
    });
    let Some(since) = since else { return };
    // Bytes that it had itself, it takes for its own: an answer that was lost.
    let same = replaced.content(key);
    let knew = |file: &LocalFile| {
        let had = |body| file.states.iter().any(|state| state.content.as_ref().is_some_and(|content| content.is(body)));
        since <= file.opened || same.as_ref().is_some_and(had)
    };
    let own = truth.history.was_made_by(made.mount, key, &replaced.etag);
    if !own && !truth.ledger.named(made.mount, key).any(knew) {
        verdict(format!(
            "mount {} replaced {key} at {:?} as it was put at {:?}, which no file of that name began from",
            made.mount, made.at.0, since.0
        ));
    }
}
