//! No request for a part of an object goes without the name of the version that it wants.

use holdfast::env::store::ByteRange;

use super::{Oracle, OracleId};
use crate::court::{Sight, Truth, What};
use crate::store::Kind;

/// Entries of the log that were looked at.
#[derive(Default)]
pub struct Conditions(usize);

impl Oracle for Conditions {
    fn id(&self) -> OracleId {
        "conditions"
    }

    fn sentence(&self) -> &'static str {
        "Every GET that does not begin at an object's first byte names the version it wants, by If-Match or version id."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        // Looked at where time has passed anyway.
        if !matches!(sight.what, What::Rest(_) | What::Closed { .. }) {
            return;
        }
        self.0 = truth.store.each_logged(self.0, |entry| {
            let asked = &entry.asked;
            let begins_later = match asked.range {
                Some(ByteRange::From(start) | ByteRange::Within { start, .. }) => start > 0,
                Some(ByteRange::Last(_)) => true,
                None => false,
            };
            if asked.kind == Kind::Get && begins_later && !asked.names_version {
                verdict(format!("{asked} was sent at {:?} without naming a version", entry.sent_at.0));
            }
        });
    }
}
