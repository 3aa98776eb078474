//! What becomes of files when names are taken away or moved.

use holdfast::env::Time;
use holdfast::op::Ino;

use super::{Ledger, Request, UnderWay};

impl Ledger {
    /// Whether a mount was removing a directory at some moment of `from..=until`, and may have done so.
    pub fn was_removing_directory(&self, mount: u8, key: &str, from: Time, until: Time) -> bool {
        let key = key.trim_end_matches('/');
        let is_it = |name: &String| name.trim_end_matches('/') == key;
        let under_way = |request: &UnderWay| {
            matches!(request.what, Request::Rmdir) && request.mount == mount && request.keys.iter().any(is_it)
        };
        self.rmdirs.iter().any(|(of, name, span)| *of == mount && is_it(name) && span.touches(from, until))
            || self.under_way.values().any(under_way)
    }

    /// A file is opened, or cut, by a name that was taken away, or is being taken away, since that call began. Whoever is
    /// told to look again comes back to the file that he was given, wherever that was moved.
    pub(super) fn doubt(&mut self, mount: u8, called: Time, ino: Ino, keys: &[String]) {
        if !self.was_removed_since(mount, keys, called) || !self.files.contains_key(&(mount, ino)) {
            return;
        }
        let moves = self.moved.iter().filter(|(of, _, _, at)| *of == mount && *at >= called);
        let moved: Vec<String> = moves
            .flat_map(|(_, from, to, _)| {
                let rest = keys.iter().filter_map(move |key| key.strip_prefix(from.as_str()));
                rest.filter(|rest| rest.is_empty() || rest.starts_with('/')).map(move |rest| format!("{to}{rest}"))
            })
            .collect();
        moved.iter().for_each(|key| self.local_from(mount, key, called));
        if let Some(file) = self.files.get_mut(&(mount, ino)) {
            file.doubtful = true;
            file.perhaps.extend(moved);
        }
    }

    /// A file is opened by a path, of which a call before had not known any: a descriptor whose name the kernel had dropped.
    pub(super) fn named_again(&mut self, mount: u8, ino: Ino, keys: &[String], called: Time) {
        let Some(key) = keys.first() else { return };
        if let Some(file) = self.files.get_mut(&(mount, ino))
            && file.unnamed_at.is_some_and(|at| at < called)
        {
            file.unnamed_at = None;
            file.keys.push(key.clone());
        }
    }

    /// The files of this name have it no more, but for one that is given it.
    pub(super) fn unname(&mut self, mount: u8, key: &str, given: Option<Ino>, now: Time) {
        for file in self.files.values_mut().filter(|file| file.mount == mount && file.is_named()) {
            if file.key() != key && file.perhaps.iter().any(|perhaps| perhaps == key) {
                file.doubtful = true;
            }
            if file.key() == key && given != Some(file.ino) {
                // It may have been at another name all along.
                match file.perhaps.pop() {
                    Some(other) if other != key => {
                        file.keys.push(other);
                        file.doubtful = true;
                    }
                    Some(_) | None => file.unnamed_at = Some(now),
                }
            }
        }
    }

    /// A rename of a directory failed half way: what has been moved by then, its mount follows; which that is, is not known.
    pub(super) fn renamed_in_part(&mut self, mount: u8, from: &str, to: &str, now: Time) {
        let beneath = format!("{from}/");
        let mut entered = Vec::new();
        for file in self.files.values_mut().filter(|file| file.mount == mount && file.is_named()) {
            if let Some(rest) = file.key().strip_prefix(&beneath) {
                let moved = format!("{to}/{rest}");
                entered.push(moved.clone());
                file.perhaps.push(moved.clone());
                // The last is the present one, as far as is known.
                file.keys.insert(file.keys.len() - 1, moved);
            }
        }
        entered.iter().for_each(|key| self.local_from(mount, key, now));
        self.moved_in_part.push((mount, beneath, format!("{to}/")));
    }

    /// Where a file of these names may be because of such renames: whoever opens it by what the kernel knows comes to the file,
    /// wherever that is.
    pub(super) fn perhaps_moved(&self, mount: u8, keys: &[String]) -> Vec<String> {
        let of_mount = self.moved_in_part.iter().filter(|(of, _, _)| *of == mount);
        let moves = |(_, from, to): &(u8, String, String)| {
            keys.iter().filter_map(|key| Some(format!("{to}{}", key.strip_prefix(from.as_str())?))).collect::<Vec<_>>()
        };
        of_mount.flat_map(moves).collect()
    }

    pub(super) fn rename(&mut self, mount: u8, from: &str, to: &str, now: Time) {
        let beneath = format!("{from}/");
        let moved: Vec<(Ino, String)> = self
            .files
            .values()
            .filter(|file| file.mount == mount && file.is_named())
            .filter_map(|file| {
                let key = file.key();
                if key == from {
                    return Some((file.ino, to.to_owned()));
                }
                let rest = key.strip_prefix(&beneath)?;
                Some((file.ino, format!("{to}/{rest}")))
            })
            .collect();
        let mut entered = Vec::new();
        for file in self.files.values_mut().filter(|file| file.mount == mount) {
            let moves = |key: &String| {
                let rest = key.strip_prefix(from).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
                Some(format!("{to}{rest}"))
            };
            let new: Vec<String> = file.perhaps.iter().filter_map(moves).collect();
            entered.extend(new.iter().cloned());
            file.perhaps.extend(new);
        }
        // Who removes or moves a name in a directory does so wherever the directory is by then.
        for request in self.under_way.values_mut().filter(|request| request.mount == mount) {
            let opens = matches!(request.what, Request::Open { .. } | Request::Create { .. });
            let UnderWay { keys, earlier, perhaps, .. } = request;
            if opens && keys.iter().any(|key| key == from) {
                entered.push(to.to_owned());
                perhaps.push(to.to_owned());
            }
            for key in keys {
                if let Some(rest) = key.strip_prefix(&beneath) {
                    let new = format!("{to}/{rest}");
                    entered.push(new.clone());
                    earlier.push(std::mem::replace(key, new));
                }
            }
        }
        entered.iter().for_each(|key| self.local_from(mount, key, now));
        self.unname(mount, to, None, now);
        for (ino, key) in moved {
            self.local_from(mount, &key, now);
            if let Some(file) = self.files.get_mut(&(mount, ino)) {
                file.keys.push(key);
            }
        }
    }
}
