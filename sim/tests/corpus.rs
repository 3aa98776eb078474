//! The regression corpus, `tests/scenarios/`: every file is in order, runs clean, and runs the same twice; and with the
//! feature `zoo` those that re-create a bug's history find that bug once it is in the core.
//!
//! Here too: what `docs/simulation.md` must name, taken from the code it describes.

use std::fs;
use std::path::{Path, PathBuf};

use holdfast_sim::oracles::catalogue;
use holdfast_sim::scenario::format::{ScenarioFile, parse, print};
use holdfast_sim::scenario::strategy::Profile;
use holdfast_sim::scenario::{
    AppOp, Call, Cause, Change, ErrorName, FaultAt, FaultSpec, MutationAt, Point, RequestCause, RequestKind,
    ScenarioConfig, config,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Fewer are no corpus.
const SCENARIOS_MIN: usize = 30;

/// Every file of the corpus, in the order of names, with its stem.
fn corpus() -> Vec<(String, ScenarioFile)> {
    let folder = root().join("tests/scenarios");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        assert_eq!(path.extension().and_then(|ext| ext.to_str()), Some("jsonl"), "{} is no scenario", path.display());
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = parse(&text).unwrap_or_else(|refusal| panic!("{}: {refusal}", path.display()));
        (path.file_stem().expect("it has a name").to_string_lossy().into_owned(), file)
    };
    paths.iter().map(read).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

#[test]
fn every_scenario_of_the_corpus_is_in_order_and_tells_what_it_is() {
    let corpus = corpus();
    assert!(corpus.len() >= SCENARIOS_MIN, "{} scenarios", corpus.len());
    for (stem, file) in &corpus {
        assert_eq!(&file.name, stem);
        assert!(!file.sentence.is_empty(), "{stem} says nothing");
        assert!(!file.scenario.ops.is_empty(), "{stem} does nothing");
        assert_eq!(parse(&print(file)).as_ref(), Ok(file), "{stem} is printed as something else");
    }
}

fn manual() -> String {
    fs::read_to_string(root().join("docs/simulation.md")).expect("the simulator's page")
}

/// What serde would have taken in place of "?": the names of a type's fields or variants, as files spell them.
fn names<T: DeserializeOwned>(wrong: Value) -> Vec<String> {
    let error = serde_json::from_value::<T>(wrong).err().expect("nothing is called ?").to_string();
    let (_, expected) = error.split_once("expected").unwrap_or_else(|| panic!("{error}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn keys<T: DeserializeOwned>() -> Vec<String> {
    names::<T>(json!({ "?": 1 }))
}

fn words<T: DeserializeOwned>() -> Vec<String> {
    names::<T>(json!("?"))
}

#[test]
fn the_manual_names_whatever_a_scenario_can_say_and_every_oracle() {
    let oracles: Vec<String> = catalogue().iter().map(|(id, _)| (*id).to_owned()).collect();
    let config = [
        keys::<ScenarioConfig>(),
        keys::<config::BucketSpec>(),
        keys::<config::Weather>(),
        keys::<config::Kernel>(),
        keys::<config::Disk>(),
        keys::<config::DiskFaultSpec>(),
        words::<config::DiskOpName>(),
        words::<config::DiskFaultName>(),
        keys::<config::MountOptions>(),
        words::<config::HoldName>(),
        words::<config::ConflictName>(),
        keys::<config::Machines>(),
        keys::<config::Object>(),
        keys::<config::Schedule>(),
    ];
    let rest = [
        keys::<AppOp>(),
        keys::<Call>(),
        keys::<Cause>(),
        keys::<RequestCause>(),
        words::<RequestKind>(),
        keys::<Point>(),
        keys::<FaultAt>(),
        keys::<FaultSpec>(),
        words::<ErrorName>(),
        keys::<MutationAt>(),
        keys::<Change>(),
        Profile::ALL.iter().map(|profile| profile.name().to_owned()).collect(),
    ];
    let all = config.into_iter().chain(rest).chain([oracles]).flatten().collect::<Vec<String>>();
    assert!(all.len() > 150, "{} names", all.len());
    let manual = manual();
    let named = |name: &String| [format!("`{name}`"), format!("\"{name}\"")].iter().any(|it| manual.contains(it));
    let missing: Vec<&String> = all.iter().filter(|name| !named(name)).collect();
    assert!(missing.is_empty(), "docs/simulation.md does not name {missing:?}");
}

#[test]
fn the_rules_of_the_manual_are_those_of_the_oracles() {
    let manual = manual();
    for (id, sentence) in catalogue() {
        assert!(manual.contains(&format!("| `{id}` | {sentence} |")), "the row of {id} is to say: {sentence}");
    }
}

#[test]
fn the_files_in_the_manual_can_be_read_and_everything_in_them_happens() {
    let manual = manual();
    let files: Vec<&str> = manual.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(files.len(), 2);
    for text in files {
        let file = parse(text).unwrap_or_else(|refusal| panic!("{refusal}\n{text}"));
        let outcome = holdfast_sim::run::run(&file.scenario);
        assert_eq!(outcome.findings, [], "{}", file.name);
        assert_eq!(outcome.figures.mutations, 1, "{}", file.name);
    }
}

#[test]
fn the_manual_has_a_place_for_the_zoo() {
    let manual = manual();
    let begin = manual.find("<!-- zoo:begin -->").expect("the table's begin");
    assert!(manual[begin..].contains("<!-- zoo:end -->"));
}

#[cfg(not(feature = "zoo"))]
#[test]
fn every_scenario_of_the_corpus_runs_clean_and_twice_the_same() {
    let mut wrong = Vec::new();
    for (stem, file) in corpus() {
        // A difference between its two runs is a finding too.
        let findings = holdfast_sim::run::run_twice(&file.scenario).findings;
        wrong.extend(findings.first().map(|finding| format!("{stem}: {finding}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Which bugs of the zoo a scenario was written against: the history it re-creates, or what it guards.
#[cfg(feature = "zoo")]
const GUARDS: &[(&str, &[&str])] = &[
    ("a-directory-shadows-a-file", &["sibling-releases-the-file", "file-listed-beside-its-directory"]),
    ("another-range-answered", &["wrong-range-accepted"]),
    ("body-ends-early", &["short-body-is-end-of-file", "resumed-at-its-block"]),
    ("body-overflows", &["overflow-appended"]),
    ("closed-early", &["release-forgets-the-inode", "forget-count-ignored", "permit-of-small-room-lost"]),
    ("closed-while-it-is-drained", &["bytes-of-stopped-stream-unexpected", "allowance-not-returned"]),
    ("condition-dropped-on-resume", &["condition-dropped-on-resume"]),
    ("deleted-and-created-again", &["negative-outlives-create", "allowance-not-returned"]),
    ("direct-reads-hold-too", &["wake-up-lost"]),
    ("directory-that-cannot-be-listed", &["unlisted-means-absent"]),
    ("duplicated-descriptor", &["inode-reused-across-etags"]),
    ("emptied-while-it-is-opened", &["emptied-file-called-absent"]),
    ("empty-object", &["empty-object-asked-by-range"]),
    ("error-page-with-status-200", &["jitter-from-outside"]),
    ("etag-never-published", &["read-without-if-match"]),
    ("failed-prefetch-used-again", &["failed-prefetch-used-again", "claimed-length-believed"]),
    ("failing-head-is-not-absence", &["failure-means-absent"]),
    ("first-body-stalls", &["stall-never-noticed"]),
    ("fstat-after-the-replacement", &["fstat-of-replaced-fails", "fstat-follows-the-name"]),
    ("gate-after-a-failed-open", &["gate-never-released"]),
    ("held-back-name-is-as-old-as-its-page", &["held-back-ages-with-later-pages"]),
    ("held-bytes-survive-the-replacement", &["held-dropped-on-replacement"]),
    (
        "hold-full-keeps-the-beginning",
        &["lost-refetched-without-condition", "allowance-taken-twice", "release-forgets-the-content"],
    ),
    ("hop-interrupted-by-a-replacement", &["read-without-if-match"]),
    ("inode-kept-across-etags", &["inode-reused-across-etags"]),
    ("killed-in-the-second-look-up", &["pin-closed-twice", "failed-open-leaks-its-inode"]),
    ("lane-dies-while-the-film-is-replaced", &["seam-off-by-one"]),
    ("last-modified-skewed", &["fstat-follows-the-name"]),
    ("late-not-found-undoes-nothing", &["late-not-found-overwrites"]),
    ("lifeboat-write-1-fails", &["saved-before-written", "write-error-ignored"]),
    ("lifeboat-write-3-fails", &["saved-before-written", "write-error-ignored"]),
    ("list-page-is-as-old-as-its-request", &["listing-dated-at-its-answer"]),
    ("little-memory", &["swept-in-order-of-addresses"]),
    ("look-up-is-as-old-as-its-request", &["lookup-dated-at-its-answer", "ttl-from-the-use"]),
    ("mapping-outlives-its-descriptor", &["inode-reused-across-etags"]),
    ("marker-objects", &["marker-shown", "dots-counted"]),
    ("mount-dies-and-starts-again", &["inode-reused-across-etags"]),
    ("names-move-while-they-are-listed", &["cookie-off-by-one", "last-name-of-page-repeated"]),
    ("negative-entry-and-create", &["negative-outlives-create"]),
    ("number-is-used-once", &["inode-number-recycled", "number-survives-forget"]),
    ("one-of-two-handles-is-closed", &["first-close-lets-go"]),
    ("outage-longer-than-the-deadline", &["retries-never-end"]),
    ("page-fails-in-the-middle", &["failed-page-ends-listing"]),
    ("page-repeats", &["listing-locked-twice"]),
    ("page-token-loops", &["listing-locked-twice"]),
    ("pinned-open-of-what-was-published-meanwhile", &["pin-of-another-content"]),
    (
        "purged-version",
        &["purge-unnoticed", "zeros-where-lost", "end-of-file-where-lost", "replaced-is-an-input-output-error"],
    ),
    ("queued-bytes-overtaken", &["queued-bytes-overtaken"]),
    ("reader-goes-on-after-a-pause", &["wake-up-lost"]),
    ("reopened-on-a-versioned-bucket", &["pin-closed-twice"]),
    ("replaced-between-look-up-and-get", &["version-from-lookup-bytes-from-get", "failed-open-leaks-its-inode"]),
    ("replaced-between-two-ranged-gets", &["read-without-if-match", "lost-refetched-without-condition"]),
    ("request-never-answered", &["attempt-never-times-out"]),
    ("same-size-same-second", &["date-is-the-version"]),
    ("seams", &["seam-off-by-one", "window-increment-lost"]),
    ("seek-back-before-a-stream", &["waits-for-a-passed-stream"]),
    (
        "shadowed-while-it-is-open",
        &[
            "shadowed-is-replaced",
            "same-bytes-supersede",
            "known-name-not-counted",
            "forget-drops-what-was-just-counted",
        ],
    ),
    ("siblings-hide-a-directory", &["sibling-hides-directory"]),
    ("slow-body-outlives-the-replacement", &["anchor-dropped-on-replacement"]),
    ("stale-head-overwrites-nothing", &["stale-answer-overwrites"]),
    ("store-without-conditions", &["etag-of-answer-ignored"]),
    ("throttled-with-retry-after", &["penalty-of-minutes"]),
    ("two-mounts", &["inode-reused-across-etags"]),
    ("unlink-that-waited-for-a-lost-commit", &["delete-not-sent"]),
    ("unlink-races-forget", &["failed-open-leaks-its-inode"]),
    ("versioned-bucket-loses-nothing", &["read-by-name-though-versioned"]),
    ("window-increment", &["window-increment-lost"]),
    ("write-back-leaves-its-inode", &["journal-never-emptied"]),
    ("written-while-a-conflict-is-kept", &["nothing-is-kept", "kept-without-its-bytes"]),
    ("another-range-answered", &["wrong-range-accepted"]),
    ("body-ends-early", &["short-body-is-end-of-file"]),
    ("rotten-lifeboat", &["spool-believed"]),
];

#[cfg(feature = "zoo")]
#[test]
fn every_scenario_finds_the_bugs_that_it_was_written_against() {
    use holdfast::zoo::release;
    use holdfast_sim::oracles::HASHES;
    use holdfast_sim::run::{run, run_twice};
    use holdfast_sim::zoo::animal;

    let corpus = corpus();
    let mut wrong = Vec::new();
    for (stem, bugs) in GUARDS {
        let Some((_, file)) = corpus.iter().find(|(name, _)| name == stem) else {
            wrong.push(format!("there is no scenario {stem}"));
            continue;
        };
        release(None);
        let clean = run(&file.scenario).findings;
        wrong.extend(clean.first().map(|finding| format!("{stem} fails without any bug: {finding}")));
        for id in *bugs {
            let bug = animal(id).unwrap_or_else(|| panic!("there is no bug {id}")).bug;
            release(Some(bug));
            let by_hash = animal(id).is_some_and(|animal| animal.expected.contains(&HASHES.0));
            // Whether two heaps differ where it matters is chance.
            let differs = || (0..8).any(|_| !run_twice(&file.scenario).findings.is_empty());
            let found = if by_hash { differs() } else { !run(&file.scenario).findings.is_empty() };
            release(None);
            if !found {
                wrong.push(format!("{stem} passes over {id}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
