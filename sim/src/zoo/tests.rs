//! The table is whole, and every bug and every mark has its place in the core.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use holdfast::marks::Mark;
use holdfast::zoo::Bug;

use super::{ORACLES, Origin, zoo};

#[test]
fn every_bug_is_in_the_table_once_and_no_id_twice() {
    let bugs: Vec<Bug> = zoo().map(|animal| animal.bug).collect();
    assert_eq!(bugs, Bug::ALL, "in the order of the bugs");
    let ids: BTreeSet<&str> = zoo().map(|animal| animal.id).collect();
    assert_eq!(ids.len(), zoo().count());
    for animal in zoo() {
        assert_eq!(animal.sentence, animal.bug.sentence(), "{}", animal.id);
        assert_eq!(animal.id.replace('-', ""), animal.bug.name().to_lowercase());
    }
}

#[test]
fn the_zoo_is_large_mostly_real_and_mostly_shy() {
    let histories = zoo().filter(|animal| matches!(animal.origin, Origin::History(_))).count();
    let races = zoo().filter(|animal| animal.needs_race).count();
    assert!(zoo().count() >= 60 && histories >= 20, "{} animals, {histories} of history", zoo().count());
    assert!(races * 5 >= zoo().count() * 2, "{races} of {} need a race", zoo().count());
}

#[test]
fn every_oracle_is_expected_by_two_and_none_is_made_up() {
    for oracle in ORACLES {
        let expecting = zoo().filter(|animal| animal.expected.contains(oracle)).count();
        assert!(expecting >= 2, "{oracle} is expected by {expecting}");
    }
    for animal in zoo() {
        assert!(!animal.expected.is_empty(), "{}", animal.id);
        assert!(animal.expected.iter().all(|name| ORACLES.contains(name)), "{}: {:?}", animal.id, animal.expected);
    }
}

#[test]
fn every_bug_and_every_mark_has_its_place_in_the_core() {
    let core = core();
    let mentions = |name: String| {
        let ends = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric());
        core.match_indices(&name).any(|(at, _)| ends(&core[at + name.len()..]))
    };
    let missing: Vec<&str> = Bug::ALL
        .iter()
        .filter(|bug| !mentions(format!("zoo::has(Bug::{}", bug.name())))
        .map(|bug| bug.name())
        .chain(Mark::ALL.iter().filter(|mark| !mentions(format!("sometimes!({}", mark.name()))).map(|mark| mark.name()))
        .collect();
    assert!(missing.is_empty(), "nowhere in the core: {missing:?}");
}

/// The sources of the core but for the lists themselves.
fn core() -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut folders = vec![source.clone()];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the core's sources").flatten() {
            let path: PathBuf = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path != source.join("zoo.rs") && path != source.join("marks.rs") {
                text += &fs::read_to_string(path).expect("readable");
            }
        }
    }
    text
}
