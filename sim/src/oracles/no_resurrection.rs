//! What was removed stays removed until somebody makes it anew.

use std::collections::BTreeMap;

use holdfast::env::Time;

use super::{Oracle, OracleId};
use crate::court::{Sight, Truth, What};
use crate::history::Made;
use crate::ledger::{Alteration, LocalFile};
use crate::mutation::LINK;
use crate::store::Kind;

#[derive(Default)]
pub struct NoResurrection {
    /// Changes by mounts that were looked at.
    seen: usize,
    /// When each mount was last told that a name is gone.
    removed: BTreeMap<(u8, String), Time>,
}

impl Oracle for NoResurrection {
    fn id(&self) -> OracleId {
        "no-resurrection"
    }

    fn sentence(&self) -> &'static str {
        "After an unlink has succeeded the key has had no object, and the mount makes none of what was removed."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        if truth.ledger.is_empty() {
            return;
        }
        let removed = &self.removed;
        self.seen = truth.history.each_made(self.seen, |made| judge(truth, removed, made, verdict));
        if let What::Altered(altered) = &sight.what
            && let (Alteration::Unlink { key }, Ok(())) = (&altered.what, &altered.outcome)
        {
            // Of a file that was never published only this mount knew; another's of that name is another file.
            let mount = sight.seat.mount;
            let own = |file: &LocalFile| {
                file.closed_at.is_none_or(|at| at >= altered.began)
                    && !truth.history.was_made_within(mount, key, file.opened, sight.ended)
            };
            if !truth.ledger.named(mount, key).any(own)
                && !truth.was_lied_to(altered.began, sight.ended)
                && !truth.history.was(key, altered.began, sight.ended, |now| now.is_none())
            {
                verdict(format!(
                    "an unlink of {key} by mount {} between {:?} and {:?} succeeded, but it was there all the time",
                    sight.seat.mount, altered.began.0, sight.ended.0
                ));
            }
            self.removed.insert((sight.seat.mount, key.clone()), sight.ended);
        }
    }
}

fn judge(truth: &Truth, removed: &BTreeMap<(u8, String), Time>, made: &Made, verdict: &mut dyn FnMut(String)) {
    let key = made.key.as_str();
    let put = matches!(made.kind, Kind::Put | Kind::CompleteUpload) && !key.ends_with('/');
    // A link is made by symlink(2) alone, anew.
    let link = made.now.as_ref().is_some_and(|now| now.version == LINK);
    if !put || made.replaced.is_some() || made.now.is_none() || link {
        return;
    }
    if truth.ledger.was_making_node(made.mount, key, made.sent_at) {
        return;
    }
    // A request that the network delivers late nobody can take back.
    let Some(gone) = removed.get(&(made.mount, key.to_owned())).filter(|gone| made.sent_at > **gone) else { return };
    // What somebody else had put in its place is overwritten where the mount was told so, also when that is gone by then (R36).
    let overwrites = truth.config.on_conflict == holdfast::config::OnConflict::Overwrite;
    let replaced = |file: &LocalFile| overwrites && truth.history.others_changed(made.mount, key, file.called, *gone);
    let may = |file: &LocalFile| replaced(file) || file.doubtful || file.unnamed_at.is_none_or(|at| at > *gone);
    if !truth.ledger.named(made.mount, key).any(may) {
        verdict(format!(
            "mount {} made {key} again at {:?}, of a file whose unlink had succeeded at {:?}",
            made.mount, made.at.0, gone.0
        ));
    }
}
