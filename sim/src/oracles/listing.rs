//! Directory listings: what was there throughout is listed exactly once, what was absent throughout never.

use std::collections::BTreeMap;

use holdfast::op::{Kind, Name};

use super::{Oracle, OracleId};
use crate::court::{Sight, Truth, What};
use crate::history;

pub struct Listing;

impl Oracle for Listing {
    fn id(&self) -> OracleId {
        "listing"
    }

    fn sentence(&self) -> &'static str {
        "A name that is there throughout a listing is listed exactly once, one that is absent throughout never; whatever \
         the pages say, no name twice."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        let What::Listed { key, entries, since, whole } = &sight.what else { return };
        let mut listed: BTreeMap<&str, (u32, Kind)> = BTreeMap::new();
        for entry in *entries {
            listed.entry(&entry.name).or_insert((0, entry.kind)).0 += 1;
        }
        for (name, (times, _)) in &listed {
            if *times > 1 {
                verdict(format!("{name} was listed {times} times in {key:?}"));
            }
        }
        if truth.was_lied_to(*since, sight.ended) || truth.is_linked(key) {
            return;
        }
        let directory = if key.is_empty() || key.ends_with('/') { (*key).to_owned() } else { format!("{key}/") };
        // What could have been a file, and what could have been a directory, of each name.
        let mut children: BTreeMap<String, Child> = BTreeMap::new();
        truth.history.any_under(&directory, |key, changes| {
            let rest = &key.as_str()[directory.len()..];
            let name = rest.split('/').next().unwrap_or_default();
            if Name::new(name).is_none() {
                return false;
            }
            let ever = |present| history::was(changes, *since, sight.ended, |now| now.is_some() == present);
            let child = children.entry(name.to_owned()).or_default();
            let of = if rest.len() == name.len() { &mut child.file } else { &mut child.directory };
            of.ever |= ever(true);
            of.throughout |= !ever(false);
            // Keys beneath that no path spells show no directory.
            false
        });
        // Names of its own, not yet published or lately removed, a mount shows and hides as it knows.
        let mount = sight.seat.mount;
        let is_local = |name: &str| truth.is_local_beneath(mount, &format!("{directory}{name}"), *since, sight.ended);
        for (name, child) in children.iter().filter(|(name, _)| !is_local(name)) {
            let shown = listed.get(name.as_str()).map(|(_, kind)| *kind);
            if *whole && shown.is_none() && (child.file.throughout || child.directory.throughout) {
                verdict(format!("{name} was not listed in {key:?}, but was there throughout"));
            }
            if shown == Some(Kind::Directory) && !child.directory.ever {
                verdict(format!("{name} was listed in {key:?} as a directory, but nothing was beneath it"));
            }
            if matches!(shown, Some(Kind::File | Kind::Symlink)) && (!child.file.ever || child.directory.throughout) {
                verdict(format!("{name} was listed in {key:?} as a file, but was none, or a directory hid it"));
            }
        }
        // What was made here, or written to, and stands in no bucket yet. What was only opened, and renamed here while another
        // mount moved it elsewhere, is neither.
        for file in truth.ledger.steady(mount, &directory, *since) {
            let name = &file.key()[directory.len()..];
            let never = |key: &String| truth.history.look(key, <[_]>::is_empty);
            let made = file.states.len() > 1 || file.keys.iter().all(never);
            let unpublished = !name.contains('/') && made && truth.history.look(file.key(), <[_]>::is_empty);
            if *whole && unpublished && !listed.contains_key(name) {
                verdict(format!("{name}, which mount {mount} made and has not published, was not listed in {key:?}"));
            }
        }
        for name in listed.keys().filter(|name| !children.contains_key(**name) && !is_local(name)) {
            verdict(format!("{name} was listed in {key:?}, but never existed"));
        }
    }
}

#[derive(Default)]
struct Child {
    file: Presence,
    directory: Presence,
}

#[derive(Default)]
struct Presence {
    ever: bool,
    throughout: bool,
}
