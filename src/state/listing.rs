//! One directory's names from the pages of a listing: each name exactly once, though the bucket changes meanwhile.
//!
//! S3 lists keys in byte order, so a page can only add names after those that came before. One trap is left: the file
//! `a` and the directory `a/` are the same name, the directory wins, and between the two may lie any number of others
//! (`a-1`, `a.txt`: `-` and `.` sort before `/`). So a file is held back until the listing has passed its `/`. Held-back
//! names are prefixes of one another, so there are never more of them than bytes in a key. What is held back was seen by
//! its own page's request, not by the one that lets it go, and carries that one's stamp.
//!
//! A listing ends: a continuation token comes once, and of pages that bring nothing new only so many come in a row.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::BARREN_PAGES_MAX;
use crate::env::store::ListPage;
use crate::marks::sometimes;
use crate::op::{Kind, Name};
use crate::state::tree::{Stamp, Target};
use crate::state::version::Version;
use crate::zoo::{self, Bug};

/// The position in a directory that is being listed, and all names found so far, by which cookies stay valid.
#[derive(Debug)]
pub struct Listing {
    prefix: String,
    /// Whether the store lists in byte order.
    ordered: bool,
    names: Vec<(Name, Kind)>,
    held_back: Vec<(Name, Target, Stamp)>,
    /// Of an unordered store: everything, until it is complete and can be sorted.
    pile: BTreeMap<String, (Target, Stamp)>,
    last_key: Option<String>,
    next: Next,
    progress: Progress,
    /// Names that were not published when it began: no page may bring them. `None` once they were added.
    local: Option<Vec<Name>>,
    /// Names that were found before the directory was renamed.
    found_before: BTreeSet<Name>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    Page(Option<String>),
    Done,
}

/// By what a listing is known to go on, and so to end.
#[derive(Debug, Default)]
pub struct Progress {
    /// Every continuation token so far.
    tokens: BTreeSet<String>,
    /// Pages in a row, up to the last one, that brought nothing new.
    barren_pages: u64,
}

impl Progress {
    /// Whether a page can follow those before. `next`: its continuation token. Errors: why it cannot.
    pub fn check(&self, next: Option<&String>, brings_something: bool) -> Result<(), String> {
        if next.is_some_and(|token| self.tokens.contains(token)) && !zoo::has(Bug::RepeatedPageBelieved) {
            return Err("it gave a continuation token again that it had given before".to_string());
        }
        if next.is_some() && !brings_something && self.barren_pages >= BARREN_PAGES_MAX {
            return Err(format!("it is one of more than {BARREN_PAGES_MAX} in a row that bring nothing new"));
        }
        Ok(())
    }

    /// It is taken.
    pub fn goes_on(&mut self, next: Option<&String>, brings_something: bool) {
        self.barren_pages = if brings_something { 0 } else { self.barren_pages + 1 };
        self.tokens.extend(next.cloned());
    }
}

/// A key or common prefix, and when the request began that saw it.
type Item = (String, Target, Stamp);

/// What a page brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Names to be observed, in the order of the listing.
    pub names: Vec<(Name, Target, Stamp)>,
    /// Keys that no path can spell, or that a directory of the same name shadows.
    pub hidden: Vec<String>,
}

impl Listing {
    /// Of the directory whose keys begin with `prefix`. `local`: names that have unpublished changes as it begins.
    pub fn new(prefix: String, ordered: bool, local: Vec<Name>) -> Self {
        Self {
            prefix,
            ordered,
            names: Vec::new(),
            held_back: Vec::new(),
            pile: BTreeMap::new(),
            last_key: None,
            next: Next::Page(None),
            progress: Progress::default(),
            local: Some(local),
            found_before: BTreeSet::new(),
        }
    }

    /// The directory was renamed: it is listed from the start, where it is by now. Names that were found stay where they are.
    pub fn moves_to(&mut self, prefix: String) {
        sometimes!(ListingMoved);
        self.found_before = self.names.iter().map(|(name, _)| name.clone()).collect();
        (self.prefix, self.next, self.last_key) = (prefix, Next::Page(None), None);
        self.progress = Progress::default();
        self.held_back.clear();
        self.pile.clear();
    }

    /// Once, after the last page: the names that were local when it began.
    pub fn take_local(&mut self) -> Option<Vec<Name>> {
        self.local.take()
    }

    /// Adds those names that no page brought. False: there were none.
    pub fn append(&mut self, names: Vec<(Name, Kind)>) -> bool {
        let before = self.names.len();
        let listed: BTreeSet<Name> = match names.is_empty() {
            true => BTreeSet::new(),
            false => self.names.iter().map(|(name, _)| name.clone()).collect(),
        };
        let mut added = BTreeSet::new();
        for (name, kind) in names {
            if !listed.contains(&name) && added.insert(name.clone()) {
                sometimes!(LocalNameListed);
                self.names.push((name, kind));
            }
        }
        self.names.len() > before
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The names known so far, each at the position it keeps.
    pub fn names(&self) -> &[(Name, Kind)] {
        &self.names
    }

    /// The token of the page to fetch (`None` for the first), or `None` when all have come.
    pub fn wants_page(&self) -> Option<Option<String>> {
        match &self.next {
            Next::Page(token) => Some(token.clone()),
            Next::Done => None,
        }
    }

    /// Takes the next page, whose request began at `stamp`. `Err`: it cannot follow the pages before, and nothing of it
    /// was taken.
    pub fn add(&mut self, page: ListPage, stamp: Stamp) -> Result<Found, String> {
        let next = page.next.clone();
        let objects = page.objects.iter().map(|object| (&object.key, Target::File(Version::listed(object))));
        let prefixes = page.prefixes.iter().map(|prefix| (prefix, Target::Directory));
        let mut items: Vec<Item> =
            objects.chain(prefixes).map(|(key, target)| (key.as_str().to_string(), target, stamp)).collect();
        items.iter().try_for_each(|(key, target, _)| self.check_place(key, target))?;
        let brings_something = items.iter().any(|(key, ..)| self.ordered || !self.pile.contains_key(key));
        self.progress.check(next.as_ref(), brings_something)?;
        if self.ordered {
            items.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        } else {
            // Of the same key twice, the earlier stays.
            for (key, target, stamp) in items.drain(..) {
                self.pile.entry(key).or_insert((target, stamp));
            }
            if next.is_none() {
                items = std::mem::take(&mut self.pile)
                    .into_iter()
                    .map(|(key, (target, stamp))| (key, target, stamp))
                    .collect();
            }
        }
        self.check_order(&items)?;
        self.progress.goes_on(next.as_ref(), brings_something);
        let mut found = Found::default();
        for item in items {
            self.take(item, &mut found);
        }
        self.next = match next {
            Some(token) => Next::Page(Some(token)),
            None => {
                while let Some(file) = self.held_back.pop() {
                    self.release(file, &mut found);
                }
                Next::Done
            }
        };
        Ok(found)
    }

    /// Keys must lie directly beneath the prefix.
    fn check_place(&self, key: &str, target: &Target) -> Result<(), String> {
        let rest = key.strip_prefix(&self.prefix).ok_or_else(|| format!("it named {key:?}"))?;
        let slash = rest.find('/');
        let fits = match target {
            Target::Directory => slash.is_some_and(|at| at + 1 == rest.len()),
            Target::File(_) | Target::Absent => slash.is_none(),
        };
        if fits { Ok(()) } else { Err(format!("it named {key:?}, which is not directly beneath")) }
    }

    /// Keys must go on after those before.
    fn check_order(&self, items: &[Item]) -> Result<(), String> {
        let mut last = self.last_key.as_deref();
        for (key, ..) in items {
            if last.is_some_and(|last| key.as_str() <= last) && !zoo::has(Bug::RepeatedPageBelieved) {
                sometimes!(ListingPageOutOfOrder);
                return Err(format!("it named {key:?} again, or out of order"));
            }
            last = Some(key);
        }
        Ok(())
    }

    fn take(&mut self, (key, target, stamp): Item, found: &mut Found) {
        let rest = &key[self.prefix.len()..];
        if zoo::has(Bug::HeldBackAgesWithLaterPages) {
            self.held_back.iter_mut().for_each(|held_back| held_back.2 = stamp);
        }
        while let Some((file, ..)) = self.held_back.last() {
            let barrier = format!("{}/", file.as_str());
            if rest < barrier.as_str() && !zoo::has(Bug::SiblingReleasesTheFile) {
                sometimes!(HeldBackAcrossNames);
                break;
            }
            let shadowed = rest == barrier;
            if let Some(file) = self.held_back.pop() {
                if shadowed && !zoo::has(Bug::FileListedBesideItsDirectory) {
                    sometimes!(ListingDirectoryShadows);
                    found.hidden.push(format!("{}{}", self.prefix, file.0.as_str()));
                } else {
                    self.release(file, found);
                }
            }
        }
        let spelt = rest.strip_suffix('/').unwrap_or(rest);
        match (Name::new(spelt), &target) {
            (Some(name), Target::Directory) => self.release((name, target, stamp), found),
            (Some(name), Target::File(_) | Target::Absent) => self.held_back.push((name, target, stamp)),
            // The directory's own marker.
            (None, _) if rest.is_empty() && zoo::has(Bug::MarkerShown) => {
                let own = key.trim_end_matches('/').rsplit('/').next().and_then(Name::new);
                self.names.extend(own.map(|name| (name, Kind::File)));
            }
            (None, _) if rest.is_empty() => {}
            (None, _) => found.hidden.push(key.clone()),
        }
        self.last_key = Some(key);
    }

    fn release(&mut self, (name, target, stamp): (Name, Target, Stamp), found: &mut Found) {
        let kind = match target {
            Target::Directory => Kind::Directory,
            Target::File(_) | Target::Absent => Kind::File,
        };
        if !self.found_before.contains(&name) {
            self.names.push((name.clone(), kind));
        }
        found.names.push((name, target, stamp));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::{prop, proptest};

    use super::Listing;
    use crate::config::BARREN_PAGES_MAX;
    use crate::env::store::{Key, ListPage, ListedObject};
    use crate::op::{Kind, Name};
    use crate::state::tree::Stamp;

    fn object(key: &str) -> ListedObject {
        ListedObject { key: key.into(), etag: "e".into(), size: 1, last_modified: 0, storage_class: None }
    }

    fn page(objects: &[&str], prefixes: &[&str], next: Option<&str>) -> ListPage {
        ListPage {
            objects: objects.iter().map(|key| object(key)).collect(),
            prefixes: prefixes.iter().map(|prefix| Key::from(*prefix)).collect(),
            next: next.map(str::to_string),
        }
    }

    fn shown(listing: &Listing) -> Vec<(&str, Kind)> {
        listing.names().iter().map(|(name, kind)| (name.as_str(), *kind)).collect()
    }

    #[test]
    fn a_directory_shadows_the_file_of_its_name_though_others_sort_between_them() {
        let mut listing = Listing::new("d/".into(), true, Vec::new());
        let first = listing.add(page(&["d/", "d/a", "d/a-1", "d/a.txt"], &[], Some("t")), Stamp::nth(1)).expect("fits");
        assert_eq!(first.hidden, Vec::<String>::new());
        let second = listing.add(page(&["d/b"], &["d/a/"], None), Stamp::nth(1)).expect("fits");
        assert_eq!(second.hidden, ["d/a"]);
        let mut names = shown(&listing);
        names.sort();
        assert_eq!(names, [("a", Kind::Directory), ("a-1", Kind::File), ("a.txt", Kind::File), ("b", Kind::File)]);
    }

    #[test]
    fn keys_that_no_path_spells_are_hidden_and_named() {
        let long = "x".repeat(256);
        let mut listing = Listing::new(String::new(), true, Vec::new());
        let found = listing.add(page(&["..", "ok", &long], &["./", "/"], None), Stamp::nth(1)).expect("fits");
        assert_eq!(shown(&listing), [("ok", Kind::File)]);
        assert_eq!(found.hidden.len(), 4);
    }

    #[test]
    fn a_page_that_repeats_a_key_or_a_token_is_refused() {
        let mut listing = Listing::new(String::new(), true, Vec::new());
        listing.add(page(&["a", "b"], &[], Some("t")), Stamp::nth(1)).expect("fits");
        assert!(listing.add(page(&["b", "c"], &[], None), Stamp::nth(1)).is_err());
        assert!(listing.add(page(&["c"], &[], Some("t")), Stamp::nth(1)).is_err());
        assert!(listing.add(page(&["c/d"], &[], None), Stamp::nth(1)).is_err());
        listing.add(page(&[], &[], Some("u")), Stamp::nth(1)).expect("fits");
        assert!(listing.add(page(&["c"], &[], Some("t")), Stamp::nth(1)).is_err());
        listing.add(page(&["c"], &[], None), Stamp::nth(1)).expect("fits");
        assert_eq!(shown(&listing).len(), 3);
    }

    #[test]
    fn a_store_without_order_is_sorted_first() {
        let mut listing = Listing::new(String::new(), false, Vec::new());
        listing.add(page(&["z", "a"], &[], Some("t")), Stamp::nth(1)).expect("fits");
        assert!(shown(&listing).is_empty());
        listing.add(page(&["m"], &["a/"], None), Stamp::nth(1)).expect("fits");
        assert_eq!(shown(&listing).len(), 3);
    }

    #[test]
    fn empty_pages_are_waited_out_but_not_for_ever() {
        for ordered in [true, false] {
            let mut listing = Listing::new(String::new(), ordered, Vec::new());
            let token = |n: u64| Some(format!("{n}"));
            let mut add = |n: u64, keys: &[&str]| listing.add(page(keys, &[], token(n).as_deref()), Stamp::nth(1));
            for n in 0..BARREN_PAGES_MAX {
                add(n, &[]).expect("fits");
            }
            add(1 << 32, &["a"]).expect("fits");
            for n in BARREN_PAGES_MAX..2 * BARREN_PAGES_MAX {
                add(n, &[]).expect("fits");
            }
            assert!(add(1 << 33, &[]).is_err());
            // The same page once more, with something in it after all.
            add(1 << 33, &["b"]).expect("fits");
            listing.add(page(&["c"], &[], None), Stamp::nth(1)).expect("fits");
            assert_eq!(shown(&listing).len(), 3);
        }
    }

    #[test]
    fn a_directory_that_is_renamed_is_listed_on_where_it_is() {
        let mut listing = Listing::new("d/".into(), true, Vec::new());
        listing.add(page(&["d/a", "d/b"], &[], Some("t")), Stamp::nth(1)).expect("fits");
        assert_eq!(shown(&listing), [("a", Kind::File)]);
        listing.moves_to("e/".into());
        assert_eq!(listing.wants_page(), Some(None));
        listing.add(page(&["e/a", "e/b"], &[], Some("t")), Stamp::nth(2)).expect("fits");
        listing.add(page(&["e/c"], &[], None), Stamp::nth(3)).expect("fits");
        assert_eq!(shown(&listing), [("a", Kind::File), ("b", Kind::File), ("c", Kind::File)]);
    }

    proptest! {
        #[test]
        fn each_name_is_shown_once_whatever_the_paging(
            keys in prop::collection::btree_set("[a!./0]{1,5}", 0..40),
            page_keys in 1usize..5,
        ) {
            // What S3 would list with delimiter `/`.
            let mut items = BTreeMap::new();
            for key in &keys {
                match key.find('/') {
                    Some(at) => items.insert(key[..=at].to_string(), Kind::Directory),
                    None => items.insert(key.clone(), Kind::File),
                };
            }
            let items: Vec<_> = items.into_iter().collect();
            let mut listing = Listing::new(String::new(), true, Vec::new());
            let pages: Vec<_> = items.chunks(page_keys).collect();
            for (n, chunk) in pages.iter().enumerate() {
                let pick = |kind| chunk.iter().filter(move |i| i.1 == kind).map(|i| i.0.as_str()).collect::<Vec<_>>();
                let next = format!("{n}");
                let more = (n + 1 < pages.len()).then_some(next.as_str());
                listing.add(page(&pick(Kind::File), &pick(Kind::Directory), more), Stamp::nth(1)).expect("fits");
            }
            let expected: BTreeSet<_> = items
                .iter()
                .filter_map(|(key, _)| Name::new(key.trim_end_matches('/')))
                .map(|name| (name.as_str().to_string(), keys.iter().any(|k| k.starts_with(&format!("{}/", name.as_str())))))
                .collect();
            let got: Vec<_> = listing.names().iter().map(|(n, k)| (n.as_str().to_string(), *k == Kind::Directory)).collect();
            if !pages.is_empty() {
                assert_eq!(got.len(), expected.len(), "{got:?} {expected:?}");
                assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), expected);
            }
        }
    }
}
