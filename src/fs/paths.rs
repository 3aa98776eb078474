//! Who is changing what at which key, so that a directory is not renamed around a change beneath it.
//!
//! Changes of single keys run side by side. A directory's rename waits for those beneath it that have begun, and those that
//! come later wait for it, and then find their file elsewhere.

use event_listener::Event;

use crate::env::store::Key;
use crate::lock::Lock;
use crate::marks::sometimes;

#[derive(Default)]
pub(super) struct Paths {
    inner: Lock<Inner>,
    left: Event,
}

#[derive(Default)]
struct Inner {
    changing: Vec<Key>,
    /// Prefixes, each ending in a slash.
    renaming: Vec<String>,
}

/// A change under way; it has ended when this is dropped.
pub(super) struct Changing<'a> {
    paths: &'a Paths,
    key: Key,
}

/// A directory's rename under way, of one prefix or of both.
pub(super) struct Renaming<'a> {
    paths: &'a Paths,
    prefixes: [String; 2],
}

impl Paths {
    /// Waits until no directory above `key` is being renamed.
    pub(super) async fn enter(&self, key: &Key) -> Changing<'_> {
        loop {
            let left = {
                let mut inner = self.inner.lock();
                if !inner.renaming.iter().any(|prefix| key.as_str().starts_with(prefix.as_str())) {
                    inner.changing.push(key.clone());
                    return Changing { paths: self, key: key.clone() };
                }
                self.left.listen()
            };
            sometimes!(WaitedForRename);
            left.await;
        }
    }

    /// Waits until nothing is changed beneath either prefix; from then on, nothing is.
    pub(super) async fn close(&self, prefixes: [String; 2]) -> Renaming<'_> {
        loop {
            let left = {
                let mut inner = self.inner.lock();
                let beneath = |path: &str| prefixes.iter().any(|prefix| path.starts_with(prefix.as_str()));
                let above = |path: &str| prefixes.iter().any(|prefix| prefix.starts_with(path));
                let busy = inner.changing.iter().any(|key| beneath(key.as_str()))
                    || inner.renaming.iter().any(|other| beneath(other) || above(other));
                if !busy {
                    inner.renaming.extend(prefixes.iter().cloned());
                    return Renaming { paths: self, prefixes };
                }
                self.left.listen()
            };
            left.await;
        }
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        let mut inner = self.paths.inner.lock();
        if let Some(at) = inner.changing.iter().position(|key| *key == self.key) {
            inner.changing.swap_remove(at);
        }
        drop(inner);
        self.paths.left.notify(usize::MAX);
    }
}

impl Drop for Renaming<'_> {
    fn drop(&mut self) {
        let mut inner = self.paths.inner.lock();
        inner.renaming.retain(|prefix| !self.prefixes.contains(prefix));
        drop(inner);
        self.paths.left.notify(usize::MAX);
    }
}
