//! What is called absent was absent.

use holdfast::error::Errno;

use super::freshness::before;
use super::{Oracle, OracleId};
use crate::court::{On, Sight, Truth, What};

pub struct Absence;

impl Oracle for Absence {
    fn id(&self) -> OracleId {
        "absence"
    }

    fn sentence(&self) -> &'static str {
        "ENOENT means that neither an object nor a directory of that name was there at some instant between the call, \
         less the TTL of missing names, and its return."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        let What::Failed { call, on: On::Key(key), errno: Errno::ENOENT } = &sight.what else { return };
        let ttl = truth.config.negative_metadata_ttl;
        let from = before(sight.began, ttl);
        // A missing parent makes all beneath it missing.
        let mut parts = vec![*key];
        parts.extend(key.match_indices('/').map(|(at, _)| &key[..at]));
        let absent = |name: &&str| truth.was_nothing(name, from, sight.ended);
        if truth.was_lied_to(sight.began, sight.ended) || truth.is_linked(key) {
            return;
        }
        // A rename is about two names, of which the message has one; and its own removals a mount knows at once.
        if *call == "rename" || truth.is_local_beneath(sight.seat.mount, key, from, sight.ended) {
            return;
        }
        if !parts.iter().any(absent) {
            verdict(format!("{call} called {key} absent, but it was there all the time since {:?}", from.0));
        }
    }
}
