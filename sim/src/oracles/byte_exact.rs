//! What a read gives is what the version holds there: no other object's bytes, no zeros, no error page, nothing short.

use super::{Oracle, OracleId};
use crate::content::{self, Found};
use crate::court::{Sight, Truth, What};

pub struct ByteExact;

impl Oracle for ByteExact {
    fn id(&self) -> OracleId {
        "byte-exact"
    }

    fn sentence(&self) -> &'static str {
        "A read gives exactly the bytes that the version has there, and ends early only at the version's end."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        if let What::Sought { file, from, hole, to } = &sight.what
            && let Some((held, published)) = truth.published(*file)
            && *to != if *hole { published.size } else { *from }
            // Where it ends is what the service said, not what was read.
            && !truth.was_lied_to(held.opened_at.min(sight.began), sight.ended)
        {
            verdict(format!("a seek from {from} of {} went to {to}: an object is all data", held.key));
        }
        let What::Bytes { file, offset, asked, bytes, mismatch } = &sight.what else { return };
        let Some((held, published)) = truth.published(*file) else { return };
        let expected = published.size.saturating_sub(*offset).min(*asked);
        let got = bytes.len() as u64;
        // A failure cuts a read short without being seen, but an empty one says "end of file".
        if got > expected || (got == 0 && expected > 0) {
            verdict(format!("a read of {asked} bytes at {offset} of {} gave {got}, not {expected}", held.key));
        }
        let Some(mismatch) = mismatch else { return };
        if !matches!(mismatch.found, Found::Version(version) if version != published.version) {
            let seen = content::versions_seen(&held.key, bytes, *offset);
            verdict(format!("a handle of {} gave what is not its bytes: {mismatch:?}; in all {seen:?}", held.key));
        }
    }
}
