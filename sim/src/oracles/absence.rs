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
        let What::Failed { call, on, errno: Errno::ENOENT } = &sight.what else { return };
        let (key, to) = match on {
            On::Key(key) => (key, None),
            On::Rename { from, to } => (from, Some(to)),
            On::File { .. } | On::Nothing => return,
        };
        let ttl = truth.config.negative_metadata_ttl;
        let from = before(sight.began, ttl);
        // A missing parent makes all beneath it missing.
        let mut parts = vec![*key];
        parts.extend(key.match_indices('/').map(|(at, _)| &key[..at]));
        // Where it is to go, there need be nothing yet but the directories above.
        parts.extend(to.iter().flat_map(|to| to.match_indices('/').map(|(at, _)| &to[..at])));
        let absent = |name: &&str| truth.was_nothing(name, from, sight.ended);
        let mut names = [*key].into_iter().chain(to.copied());
        if truth.was_lied_to(sight.began, sight.ended) || names.clone().any(|name| truth.is_linked(name)) {
            return;
        }
        // Its own removals a mount knows at once.
        // And what it has open itself, it knows to be there.
        let beneath = format!("{}/", key.trim_end_matches('/'));
        if matches!(*call, "rmdir" | "rename" | "stat" | "readdir")
            && to.is_none_or(|to| !to.contains('/'))
            && !truth.ledger.was_renamed(sight.seat.mount, key)
            // Of which nobody else can know.
            && truth
                .ledger
                .steady(sight.seat.mount, &beneath, sight.began)
                .any(|file| truth.history.look(file.key(), <[_]>::is_empty))
        {
            verdict(format!("{call} called {key} absent, where a file is open"));
            return;
        }
        if names.any(|name| truth.is_local_beneath(sight.seat.mount, name, from, sight.ended)) {
            return;
        }
        if !parts.iter().any(absent) {
            verdict(format!("{call} called {key} absent, but it was there all the time since {:?}", from.0));
        }
    }
}
