//! What each key held, from when on: the truth that oracles judge by.
//!
//! Knows what was published through [`crate::mutation::Mutation`]. Clones share one history. A change is recorded in the
//! instant in which it takes effect.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use holdfast::bucket::{Content, Object};
use holdfast::env::Time;
use holdfast::env::store::{ETag, Key, VersionId};

use crate::content::{self, Found, Mismatch, Version};
use crate::executor::locked;
use crate::mutation::LINK;
use crate::recording::Recorder;
use crate::store::Kind;

/// One content of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub version: Version,
    /// In bytes.
    pub size: u64,
    pub etag: ETag,
    pub version_id: Option<VersionId>,
    /// Seconds since 1970.
    pub last_modified: i64,
    /// What a mount published, whose bytes do not follow from key and version.
    pub body: Option<Body>,
}

impl Published {
    /// Where bytes read at `offset` are not those of this content of `key`.
    pub fn check(&self, key: &str, bytes: &[u8], offset: u64) -> Result<(), Mismatch> {
        match &self.body {
            None => content::check(key, self.version, bytes, offset),
            Some(Body(body)) => {
                let end = (offset + bytes.len() as u64).min(body.size());
                let wanted = body.slice(offset.min(end)..end).to_bytes();
                let differs = bytes.iter().zip(wanted.iter()).position(|(a, b)| a != b);
                differs.map_or(Ok(()), |at| Err(Mismatch { at: offset + at as u64, found: Found::Ragged }))
            }
        }
    }

    /// Whether it may be shown with this time. A mount shows what it published itself with the time of its last write.
    pub fn may_show(&self, mtime: i64) -> bool {
        self.body.is_some() || self.last_modified == mtime
    }

    /// All of it; `None` of a symbolic link.
    pub fn content(&self, key: &str) -> Option<Content> {
        match &self.body {
            Some(Body(body)) => Some(body.clone()),
            None if self.version == LINK => None,
            None => Some(Content::from(content::version_bytes(key, self.version, self.size))),
        }
    }
}

/// Bytes beside an ETag that tells them apart.
#[derive(Clone)]
pub struct Body(pub Content);

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.0.size() == other.0.size()
    }
}

impl Eq for Body {}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.size())
    }
}

/// A change that a mount made.
#[derive(Clone, Debug)]
pub struct Made {
    pub mount: u8,
    pub kind: Kind,
    pub key: Key,
    pub sent_at: Time,
    pub at: Time,
    /// What the key held before.
    pub replaced: Option<Published>,
    pub now: Option<Published>,
}

/// A key's change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub at: Time,
    /// `None`: it was deleted.
    pub now: Option<Published>,
}

/// Versions that mounts publish count from here.
const MADE_FIRST: u32 = 1 << 31;

#[derive(Clone, Debug, Default)]
pub struct History {
    changes: Arc<Mutex<BTreeMap<Key, Vec<Change>>>>,
    made: Arc<Mutex<Vec<Made>>>,
    recorder: Arc<OnceLock<Recorder>>,
}

impl History {
    pub(crate) fn record(&self, key: &Key, change: Change) {
        if let Some(recorder) = self.recorder.get() {
            recorder.changed(key, &change);
        }
        locked(&self.changes).entry(key.clone()).or_default().push(change);
    }

    /// A mount has changed a key, which holds `object` now.
    pub(crate) fn record_made(&self, made: Made, object: Option<&Object>) {
        let replaced = self.current(made.key.as_str());
        if replaced.is_none() && object.is_none() {
            return;
        }
        let number = locked(&self.made).len() as u32;
        let now = object.map(|object| {
            let link = is_link(object);
            Published {
                version: if link { LINK } else { Version(MADE_FIRST + number) },
                size: object.meta.size,
                etag: object.meta.etag.clone(),
                version_id: object.meta.version_id.clone(),
                last_modified: object.meta.last_modified,
                body: (!link).then(|| Body(object.content.clone())),
            }
        });
        self.record(&made.key, Change { at: made.at, now: now.clone() });
        locked(&self.made).push(Made { replaced, now, ..made });
    }

    /// Whether a mount made a key hold this.
    pub fn was_made_by(&self, mount: u8, key: &str, etag: &ETag) -> bool {
        let is_it = |made: &Made| {
            let of = made.mount == mount && made.key.as_str() == key;
            of && made.now.as_ref().is_some_and(|now| now.etag == *etag)
        };
        locked(&self.made).iter().any(is_it)
    }

    /// Whether any mount made any key hold this: bytes go from name to name.
    pub fn was_made(&self, etag: &ETag) -> bool {
        locked(&self.made).iter().any(|made| made.now.as_ref().is_some_and(|now| now.etag == *etag))
    }

    /// Whether a mount changed a key within `from..=until`.
    pub fn was_made_within(&self, mount: u8, key: &str, from: Time, until: Time) -> bool {
        let is_it =
            |made: &Made| made.mount == mount && made.key.as_str() == key && made.sent_at >= from && made.at <= until;
        locked(&self.made).iter().any(is_it)
    }

    /// Whether a request that a mount had sent before `called` changed a key after that, or one that it had sent before another
    /// of its that was faster did so after `from`; and until then.
    pub fn was_late(&self, mount: u8, key: &str, (from, called): (Time, Time), until: Time) -> bool {
        let made = locked(&self.made);
        let own = || made.iter().filter(|made| made.mount == mount && made.key.as_str() == key);
        own().filter(|made| made.at > from && made.at <= until).any(|late| {
            let begun_before = late.sent_at <= called && late.at > called;
            begun_before || own().any(|other| other.sent_at > late.sent_at && other.at < late.at)
        })
    }

    /// Whether anybody but this mount changed a key within `from..=until`.
    pub fn others_changed(&self, mount: u8, key: &str, from: Time, until: Time) -> bool {
        let within = |at: Time| at >= from && at <= until;
        let own = locked(&self.made)
            .iter()
            .filter(|made| made.mount == mount && made.key.as_str() == key && within(made.at))
            .count();
        self.changes_within(key, from, until) > own
    }

    /// Looks at what mounts have changed, from the `from`-th change on; answers how many there are.
    pub fn each_made(&self, from: usize, mut look: impl FnMut(&Made)) -> usize {
        let made: Vec<Made> = {
            let made = locked(&self.made);
            match made.get(from..) {
                None | Some([]) => return made.len(),
                Some(rest) => rest.to_vec(),
            }
        };
        made.iter().for_each(&mut look);
        from + made.len()
    }

    /// From now on changes are also written there.
    pub(crate) fn record_to(&self, recorder: Recorder) {
        // A second recorder would miss what the first was told: the first stays.
        let _ = self.recorder.set(recorder);
    }

    /// Looks at a key's changes, oldest first.
    pub fn look<T>(&self, key: &str, at: impl FnOnce(&[Change]) -> T) -> T {
        at(locked(&self.changes).get(&Key::from(key)).map_or(&[], Vec::as_slice))
    }

    /// Oldest first.
    pub fn of(&self, key: &str) -> Vec<Change> {
        self.look(key, <[Change]>::to_vec)
    }

    /// What the key holds now.
    pub fn current(&self, key: &str) -> Option<Published> {
        self.look(key, |changes| changes.last()?.now.clone())
    }

    /// The latest content of a key with this ETag.
    pub fn with_etag(&self, key: &str, etag: &str) -> Option<Published> {
        self.look(key, |changes| {
            let contents = changes.iter().rev().filter_map(|change| change.now.as_ref());
            contents.clone().find(|content| content.etag.as_str() == etag).cloned()
        })
    }

    /// Whether the key was so at some moment of `from..=until`.
    pub fn was(&self, key: &str, from: Time, until: Time, seen: impl Fn(Option<&Published>) -> bool) -> bool {
        self.look(key, |changes| was(changes, from, until, seen))
    }

    /// Changes of a key within `from..=until`.
    pub fn changes_within(&self, key: &str, from: Time, until: Time) -> usize {
        self.look(key, |changes| changes.iter().filter(|change| change.at >= from && change.at <= until).count())
    }

    /// The size that a version of a key has, or last had.
    pub fn size_of(&self, key: &str, version: Version) -> Option<u64> {
        self.look(key, |changes| {
            let mut contents = changes.iter().rev().filter_map(|change| change.now.as_ref());
            contents.find(|content| content.version == version).map(|content| content.size)
        })
    }

    /// Every key that was ever published.
    pub fn keys(&self) -> Vec<Key> {
        locked(&self.changes).keys().cloned().collect()
    }

    /// Looks at every key beneath a prefix, and the prefix itself, in order; stops at the first `true` and answers it.
    pub fn any_under(&self, prefix: &str, mut seen: impl FnMut(&Key, &[Change]) -> bool) -> bool {
        let changes = locked(&self.changes);
        let from = changes.range(Key::from(prefix)..);
        from.take_while(|(key, _)| key.as_str().starts_with(prefix)).any(|(key, changes)| seen(key, changes))
    }
}

/// Whether its metadata make it a symbolic link (S_IFLNK).
fn is_link(object: &Object) -> bool {
    let mode = object.meta.user.get("mode").and_then(|mode| mode.parse::<u32>().ok());
    mode.is_some_and(|mode| mode & 0o170_000 == 0o120_000)
}

/// Whether a key with these changes was so at some moment of `from..=until`.
pub fn was(changes: &[Change], from: Time, until: Time, seen: impl Fn(Option<&Published>) -> bool) -> bool {
    // Before its first change a key is absent. A change at this very instant may have come before or after.
    let first = changes.first().map_or(Time(Duration::MAX), |change| change.at);
    if first >= from && seen(None) {
        return true;
    }
    changes.iter().enumerate().any(|(at, change)| {
        let next = changes.get(at + 1).map_or(Time(Duration::MAX), |next| next.at);
        next >= from && change.at <= until && seen(change.now.as_ref())
    })
}
