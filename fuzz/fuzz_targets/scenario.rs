//! Whole scenarios: the bytes are the choices of the strategy that draws them, and the simulator's oracles judge the run.
//!
//! The fuzzer sees which lines of the core a scenario reaches and goes on from those that reach new ones, where seeds are
//! drawn blindly. What is found is written as a scenario file, which `holdfast-sim shrink` makes small.

#![no_main]

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;

use holdfast_fuzz::choices;
use holdfast_sim::run::{self, run_twice};
use holdfast_sim::scenario::check::check;
use holdfast_sim::scenario::format::{ScenarioFile, print};
use holdfast_sim::scenario::strategy::{Profile, of_bytes};
use libfuzzer_sys::fuzz_target;

/// Choices beyond these are zero, which are the dull ones. Together with the strategy's own bounds they bound a run.
const CHOICES_MAX: usize = 1024;
/// First bytes from here on have their scenario run twice and compared.
const TWICE_FROM: u8 = 224;

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let profile = Profile::ALL[usize::from(*first) % Profile::ALL.len()];
    let scenario = of_bytes(&choices(&rest[..rest.len().min(CHOICES_MAX)]), profile);
    assert_eq!(check(&scenario), Ok(()), "the strategy draws what contradicts itself: {scenario:?}");
    let outcome = if *first >= TWICE_FROM { run_twice(&scenario) } else { run::run(&scenario) };
    let Some(finding) = outcome.findings.first() else { return };
    let file = ScenarioFile { name: format!("fuzz-{}", profile.name()), sentence: finding.to_string(), scenario };
    panic!("{finding}\nholdfast-sim shrink {}", keep(&file));
});

/// Writes a scenario beside what the fuzzer keeps; answers where it is.
fn keep(file: &ScenarioFile) -> String {
    let text = print(file);
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts/scenario");
    let path = folder.join(format!("{:016x}.jsonl", hasher.finish()));
    match std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, text)) {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("(which could not be written: {error})"),
    }
}
