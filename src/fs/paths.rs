//! Who is changing what at which key, so that a directory is not renamed around a change beneath it.
//!
//! Changes of single keys run side by side. A directory's rename waits for those beneath it that have begun, and those that
//! come later wait for it, and then find their file elsewhere. So nobody who is changing something may begin another change,
//! or wait for anybody who has yet to begin one.

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
    /// The same, of renames that wait for changes to end: no others begin.
    announced: Vec<String>,
}

/// A change under way; it has ended when this is dropped.
pub(super) struct Changing<'a> {
    paths: &'a Paths,
    keys: Vec<Key>,
}

/// A rename that waits, until this is dropped.
struct Announced<'a> {
    paths: &'a Paths,
    prefixes: [String; 2],
}

/// A directory's rename under way, of one prefix or of both.
pub(super) struct Renaming<'a> {
    paths: &'a Paths,
    prefixes: [String; 2],
}

impl Paths {
    /// Waits until no directory above any of the keys is being renamed, or is about to be.
    pub(super) async fn enter(&self, keys: &[Key]) -> Changing<'_> {
        let above = |prefix: &String| keys.iter().any(|key| key.as_str().starts_with(prefix.as_str()));
        let entered = |inner: &mut Inner| {
            let closed = inner.renaming.iter().chain(&inner.announced).any(above);
            if closed {
                sometimes!(WaitedForRename);
            } else {
                inner.changing.extend_from_slice(keys);
            }
            !closed
        };
        self.until(entered).await;
        Changing { paths: self, keys: keys.to_vec() }
    }

    /// Waits while a directory above `key` is being renamed: what S3 says of the key meanwhile says nothing of the file.
    pub(super) async fn pass(&self, key: &Key) {
        let passes = |inner: &mut Inner| {
            let closed = inner.renaming.iter().any(|prefix| key.as_str().starts_with(prefix.as_str()));
            if closed {
                sometimes!(LookedAtWhileRenamed);
            }
            !closed
        };
        self.until(passes).await;
    }

    /// Waits until nothing is changed beneath either prefix; from then on, nothing is.
    pub(super) async fn close(&self, prefixes: [String; 2]) -> Renaming<'_> {
        self.inner.lock().announced.extend(prefixes.iter().cloned());
        let _announced = Announced { paths: self, prefixes: prefixes.clone() };
        let beneath = |path: &str| prefixes.iter().any(|prefix| path.starts_with(prefix.as_str()));
        let above = |path: &str| prefixes.iter().any(|prefix| prefix.starts_with(path));
        let closed = |inner: &mut Inner| {
            let busy = inner.changing.iter().any(|key| beneath(key.as_str()))
                || inner.renaming.iter().any(|other| beneath(other) || above(other));
            if !busy {
                inner.renaming.extend(prefixes.iter().cloned());
            }
            !busy
        };
        self.until(closed).await;
        Renaming { paths: self, prefixes }
    }

    /// Tries, and tries again whenever somebody has left.
    async fn until(&self, mut done: impl FnMut(&mut Inner) -> bool) {
        loop {
            let left = {
                let mut inner = self.inner.lock();
                if done(&mut inner) {
                    return;
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
        for key in &self.keys {
            remove_one(&mut inner.changing, key);
        }
        drop(inner);
        self.paths.left.notify(usize::MAX);
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        let mut inner = self.paths.inner.lock();
        for prefix in &self.prefixes {
            remove_one(&mut inner.announced, prefix);
        }
        drop(inner);
        self.paths.left.notify(usize::MAX);
    }
}

fn remove_one<T: PartialEq>(of: &mut Vec<T>, it: &T) {
    if let Some(at) = of.iter().position(|other| other == it) {
        of.swap_remove(at);
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
