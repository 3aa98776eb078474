//! The rules of names and inodes, one a test.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{ObserveError, Target, Tree};
use crate::config::Config;
use crate::env::Time;
use crate::env::store::ObjectMeta;
use crate::op::{Caller, Ino, Name};
use crate::state::version::{Holds, Successor, Version};

#[derive(Debug, Default)]
struct Fake {
    superseded: AtomicBool,
}

impl Holds for Fake {
    fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Relaxed)
    }
}

fn tree() -> Tree<Fake> {
    Tree::new(&Config::default(), 0)
}

fn film() -> Name {
    Name::new("film").expect("valid")
}

fn version(etag: &str) -> Target {
    Target::File(Version { key: "film".into(), etag: etag.into(), version_id: None, size: 9, last_modified: 1 })
}

fn at(ms: u64) -> Time {
    Time(Duration::from_millis(ms))
}

/// Looks the name up as if the bucket had answered `target` at once.
fn look_up(tree: &mut Tree<Fake>, ms: u64, target: Target) -> Option<Ino> {
    let stamp = tree.stamp(at(ms));
    tree.observe(Ino::ROOT, &film(), stamp, target).expect("no contradiction");
    tree.grant(Ino::ROOT, &film(), at(ms)).expect("granted").attr.map(|attr| attr.ino)
}

/// Rule R4.
#[test]
fn a_new_version_at_a_name_is_a_new_inode_and_numbers_are_never_used_again() {
    let mut tree = tree();
    let first = look_up(&mut tree, 0, version("a"));
    assert_eq!(look_up(&mut tree, 1, version("a")), first);
    let second = look_up(&mut tree, 2, version("b"));
    assert_ne!(second, first);
    let back = look_up(&mut tree, 3, version("a"));
    assert!(back != first && back != second, "even the same bytes again are a new inode");
}

#[test]
fn an_inode_keeps_its_attributes_while_the_name_moves_on() {
    let mut tree = tree();
    let first = look_up(&mut tree, 0, version("a")).expect("exists");
    let before = tree.attr(first);
    look_up(&mut tree, 1, Target::Absent);
    assert_eq!(tree.attr(first), before);
}

#[test]
fn a_number_shown_by_a_listing_alone_may_be_repinned() {
    let mut tree = tree();
    let stamp = tree.stamp(at(0));
    tree.observe(Ino::ROOT, &film(), stamp, version("a")).expect("observed");
    let shown = tree.number(Ino::ROOT, &film()).expect("a number");
    assert_eq!(look_up(&mut tree, 5, version("b")), Some(shown));
}

#[test]
fn freshness_counts_from_the_beginning_of_the_request() {
    let mut tree = tree();
    let stamp = tree.stamp(at(0));
    // The answer took 900 ms.
    tree.observe(Ino::ROOT, &film(), stamp, version("a")).expect("observed");
    let entry = tree.known(Caller::UNKNOWN, Ino::ROOT, &film(), at(900)).expect("a directory").expect("fresh");
    assert_eq!(entry.entry_ttl, Duration::from_millis(100));
    assert_eq!(tree.known(Caller::UNKNOWN, Ino::ROOT, &film(), at(1000)), Ok(None));
}

#[test]
fn a_missing_name_is_remembered_for_the_negative_ttl() {
    let mut tree = Tree::<Fake>::new(&Config { negative_metadata_ttl: Duration::from_secs(9), ..Config::default() }, 0);
    assert_eq!(look_up(&mut tree, 0, Target::Absent), None);
    let entry = tree.known(Caller::UNKNOWN, Ino::ROOT, &film(), at(8_000)).expect("a directory").expect("remembered");
    assert_eq!((entry.attr, entry.entry_ttl), (None, Duration::from_secs(1)));
}

#[test]
fn a_stale_answer_does_not_overwrite_a_newer_one() {
    let mut tree = tree();
    let slow = tree.stamp(at(0));
    look_up(&mut tree, 1, version("new"));
    let outcome = tree.observe(Ino::ROOT, &film(), slow, version("old"));
    assert_eq!(outcome.err(), Some(ObserveError::Contradiction));
    let stamp = tree.stamp(at(2));
    assert!(tree.observe(Ino::ROOT, &film(), stamp, version("new")).is_ok());
}

#[test]
fn an_open_inode_is_told_what_replaced_it() {
    let mut tree = tree();
    let ino = look_up(&mut tree, 0, version("a")).expect("exists");
    let content = Arc::new(Fake::default());
    tree.file_mut(ino).expect("a file").content = Some(content.clone());
    let stamp = tree.stamp(at(1));
    let obsolete = tree.observe(Ino::ROOT, &film(), stamp, version("b")).expect("no contradiction");
    let [(told, successor)] = &obsolete[..] else { panic!("{obsolete:?}") };
    assert!(Arc::ptr_eq(told, &content));
    assert_eq!(*successor, Successor::Replaced("b".into()));
}

#[test]
fn an_inode_pinned_beside_its_name_is_told_what_the_name_becomes() {
    let mut tree = tree();
    look_up(&mut tree, 0, version("a"));
    let slow = tree.stamp(at(1));
    let Target::File(b) = version("b") else { unreachable!() };
    let content = Arc::new(Fake::default());
    let meta = ObjectMeta {
        etag: b.etag.clone(),
        version_id: None,
        size: b.size,
        last_modified: b.last_modified,
        content_type: None,
        storage_class: None,
        user: BTreeMap::new(),
    };
    tree.pin(Caller(1), (Ino::ROOT, &film()), &b, content.clone(), Arc::new(meta)).expect("pinned");
    let before = tree.observe(Ino::ROOT, &film(), slow, version("a")).expect("no contradiction");
    assert!(before.is_empty(), "it was asked before the pin");
    let stamp = tree.stamp(at(2));
    let obsolete = tree.observe(Ino::ROOT, &film(), stamp, version("a")).expect("no contradiction");
    let [(told, _)] = &obsolete[..] else { panic!("{obsolete:?}") };
    assert!(Arc::ptr_eq(told, &content));
}

#[test]
fn a_name_whose_version_is_known_to_be_gone_is_looked_up_again_whatever_the_ttl() {
    let mut tree = tree();
    let ino = look_up(&mut tree, 0, version("a")).expect("exists");
    let content = Arc::new(Fake::default());
    tree.file_mut(ino).expect("a file").content = Some(content.clone());
    assert!(tree.known(Caller::UNKNOWN, Ino::ROOT, &film(), at(1)).expect("a directory").is_some());
    assert_eq!(tree.is_verified(ino, at(1)), Ok(true));
    content.superseded.store(true, Ordering::Relaxed);
    assert_eq!(tree.known(Caller::UNKNOWN, Ino::ROOT, &film(), at(1)), Ok(None));
    assert_eq!(tree.is_verified(ino, at(1)), Ok(false));
}

#[test]
fn an_inode_goes_when_the_kernel_forgets_it_and_no_handle_is_open() {
    let mut tree = tree();
    let ino = look_up(&mut tree, 0, version("a")).expect("exists");
    look_up(&mut tree, 1, version("a"));
    tree.file_mut(ino).expect("a file").opens = 1;
    tree.forget(ino, 2);
    assert_eq!(tree.inodes(), 2);
    tree.file_mut(ino).expect("a file").opens = 0;
    tree.drop_if_unknown(ino);
    assert_eq!(tree.inodes(), 1);
    let again = look_up(&mut tree, 2, version("a"));
    assert_ne!(again, Some(ino), "a number is never used again");
}

#[test]
fn names_nobody_uses_are_dropped_from_large_directories() {
    let mut tree = tree();
    for i in 0..20_000u64 {
        let stamp = tree.stamp(at(i));
        let name = Name::new(&format!("n{i}")).expect("valid");
        tree.observe(Ino::ROOT, &name, stamp, version("a")).expect("observed");
    }
    assert!(tree.directory(Ino::ROOT).expect("root").names.len() < 10_000);
}
