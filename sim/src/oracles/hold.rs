//! What must be within reach is within reach: when a read may be told ESTALE.

use std::collections::BTreeMap;

use holdfast::config::Hold as Holding;
use holdfast::error::Errno;
use holdfast::op::Ino;

use super::{Oracle, OracleId};
use crate::court::{FileId, Held, On, Sight, Truth, What};
use crate::history::Published;

/// How each inode of each mount was read so far.
#[derive(Default)]
pub struct Hold(BTreeMap<(u8, Ino), Watched>);

#[derive(Default)]
struct Watched {
    /// Everything before was read, from the first byte on and in order.
    next: u64,
    /// Somebody read elsewhere, too.
    strayed: bool,
}

impl Oracle for Hold {
    fn id(&self) -> OracleId {
        "hold"
    }

    fn sentence(&self) -> &'static str {
        "A read of an open file is told ESTALE only if the object was replaced, and never where the hold is complete: on a \
         bucket with versions, of a small object, with --hold=full, or for whoever reads from the first byte on in order."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        match &sight.what {
            What::Crashed => self.0.retain(|(mount, _), _| *mount != sight.seat.mount),
            What::Bytes { file, offset, bytes, .. } => {
                if let Some(held) = truth.files.get(file) {
                    self.read(held, *offset, bytes.len() as u64);
                }
            }
            What::Failed { call, on: On::File { file, offset, len }, errno: Errno::ESTALE } if *len > 0 => {
                self.judge(truth, *file, *offset, call, verdict);
            }
            _ => {}
        }
    }
}

impl Hold {
    fn read(&mut self, held: &Held, offset: u64, len: u64) {
        let watched = self.0.entry((held.seat.mount, held.ino)).or_default();
        if offset == watched.next {
            watched.next += len;
        } else if offset + len > watched.next {
            watched.strayed = true;
        }
    }

    fn judge(&self, truth: &Truth, file: FileId, offset: u64, call: &str, verdict: &mut dyn FnMut(String)) {
        let Some((held, published)) = truth.published(file) else { return };
        let told = format!("{call} of {} at {offset}: ESTALE", held.key);
        if truth.lies {
            return;
        }
        if !was_replaced(truth, held, published) {
            return verdict(format!("{told}, but nobody replaced it"));
        }
        if published.version_id.is_some() && !truth.purges {
            return verdict(format!("{told}, but the bucket keeps its versions"));
        }
        if truth.faulty || truth.poor_disk || published.version_id.is_some() || truth.config.hold == Holding::Off {
            return;
        }
        if published.size <= truth.config.sizes.whole_fetch_bytes {
            return verdict(format!("{told}, but an object of {} bytes is held whole", published.size));
        }
        let watched = self.0.get(&(held.seat.mount, held.ino));
        let in_order = match watched {
            Some(watched) => !watched.strayed && offset == watched.next,
            None => offset == 0,
        };
        if in_order && truth.pages_are_kept && !truth.crashes {
            verdict(format!("{told}, but all its bytes so far were read in order"));
        }
    }
}

/// Also if the same bytes came back meanwhile.
fn was_replaced(truth: &Truth, held: &Held, published: &Published) -> bool {
    truth.history.look(&held.key, |changes| {
        let same = |content: &Published| content.etag == published.etag;
        let last = changes.iter().rposition(|change| change.now.as_ref().is_some_and(same));
        // Putting the same bytes once more replaces nothing.
        let other = |change: &crate::history::Change| !change.now.as_ref().is_some_and(same);
        changes.len() > last.map_or(0, |at| at + 1)
            || changes.iter().any(|change| change.at >= held.opened_at && other(change))
    })
}
