//! The regression corpus, `tests/scenarios/`: every file is in order, runs clean, and runs the same twice; and with the
//! feature `zoo` those that re-create a bug's history find that bug once it is in the core.
//!
//! Here too: what `docs/simulation.md` must name, taken from the code it describes.

use std::fs;
use std::path::{Path, PathBuf};

use holdfast_sim::scenario::format::{ScenarioFile, parse, print};

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
    ("another-range-answered", &["wrong-range-accepted"]),
    ("body-ends-early", &["short-body-is-end-of-file"]),
    ("rotten-lifeboat", &["spool-believed"]),
];

#[cfg(feature = "zoo")]
#[test]
fn every_scenario_finds_the_bugs_that_it_was_written_against() {
    use holdfast::zoo::release;
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
            let by_hash = animal(id).is_some_and(|animal| animal.expected.contains(&"hash"));
            let outcome = if by_hash { run_twice(&file.scenario) } else { run(&file.scenario) };
            release(None);
            if outcome.findings.is_empty() {
                wrong.push(format!("{stem} passes over {id}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
