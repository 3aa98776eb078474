//! What an open or a stat finds was true a moment ago.

use std::time::Duration;

use holdfast::env::Time;
use holdfast::op::Kind;

use super::{Oracle, OracleId};
use crate::court::{Sight, Truth, What};

pub struct Freshness;

impl Oracle for Freshness {
    fn id(&self) -> OracleId {
        "freshness"
    }

    fn sentence(&self) -> &'static str {
        "What an open or a stat shows was current at some instant between the call, less the metadata TTL, and its return."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        if truth.was_lied_to(sight.began, sight.ended) {
            return;
        }
        let ttl = truth.config.metadata_ttl;
        match &sight.what {
            What::Opened { file, .. } => {
                let Some((held, published)) = truth.published(*file) else { return };
                let current = truth.history.was(&held.key, before(sight.began, ttl), sight.ended, |now| {
                    now.is_some_and(|now| now.etag == published.etag)
                });
                if !current {
                    let (key, version) = (&held.key, published.version.0);
                    let changes = truth.history.of(key);
                    let last = changes.iter().rfind(|change| {
                        change.now.as_ref().is_some_and(|content| content.version == published.version)
                    });
                    verdict(format!(
                        "version {version} of {key} was opened between {:?} and {:?}, but had not been current within \
                         {ttl:?} before (put at {:?})",
                        sight.began.0,
                        sight.ended.0,
                        last.map(|change| change.at.0)
                    ));
                }
            }
            What::Stat { key, .. } if truth.is_linked(key) => {}
            What::Stat { key, attr } if attr.kind == Kind::File => {
                let current = truth.history.was(key, before(sight.began, ttl), sight.ended, |now| {
                    now.is_some_and(|now| {
                        let on_time =
                            now.last_modified == attr.mtime || truth.clock_lies || truth.config.posix_metadata;
                        now.size == attr.size && on_time
                    })
                });
                if !current {
                    verdict(format!(
                        "{key} was shown with {} bytes, which it had not within {ttl:?} before",
                        attr.size
                    ));
                }
            }
            What::Stat { key, attr }
                if attr.kind == Kind::Directory && !truth.was_directory(key, before(sight.began, ttl), sight.ended) =>
            {
                verdict(format!("{key} was called a directory, but nothing was beneath it within {ttl:?} before"));
            }
            _ => {}
        }
    }
}

pub(super) fn before(time: Time, by: Duration) -> Time {
    Time(time.0.saturating_sub(by))
}
