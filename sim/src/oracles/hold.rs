//! What must be within reach is within reach: when a read may be told ESTALE.

use holdfast::config::Hold as Holding;
use holdfast::error::Errno;

use super::{Oracle, OracleId};
use crate::court::{On, Sight, Truth, What};

pub struct Hold;

impl Oracle for Hold {
    fn id(&self) -> OracleId {
        "hold"
    }

    fn sentence(&self) -> &'static str {
        "A read of an open file is told ESTALE only if the object was replaced, and never where the hold is complete: on a \
         bucket with versions, or of a small object when nothing failed."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        let What::Failed { call, on: On::File { file, offset, .. }, errno: Errno::ESTALE } = &sight.what else {
            return;
        };
        let Some((held, published)) = truth.published(*file) else { return };
        let key = &held.key;
        let replaced = truth.history.look(key, |changes| {
            let last = changes
                .iter()
                .rposition(|change| change.now.as_ref().is_some_and(|content| content.etag == published.etag));
            // Also if the same bytes came back meanwhile.
            changes.len() > last.map_or(0, |at| at + 1) || changes.iter().any(|change| change.at >= held.opened_at)
        });
        if !replaced && !truth.lies {
            verdict(format!("{call} of {key} at {offset}: ESTALE, but nobody replaced it"));
            return;
        }
        if published.version_id.is_some() && !truth.purges && !truth.lies {
            verdict(format!("{call} of {key} at {offset}: ESTALE, but the bucket keeps its versions"));
        }
        let small = published.size <= truth.config.sizes.whole_fetch_bytes;
        let fair = !truth.faulty && !truth.poor_disk && truth.config.hold != Holding::Off;
        if small && fair {
            verdict(format!(
                "{call} of {key} at {offset}: ESTALE, but an object of {} bytes is held whole",
                published.size
            ));
        }
    }
}
