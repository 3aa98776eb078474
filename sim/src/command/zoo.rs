//! `zoo`: how good the simulator is at finding what is known to be there.
//!
//! Each bug is released alone, and fresh seeds are run until one of them finds something that is not found without the
//! bug; from several bases, because luck varies. The bugs are built in with the feature `zoo` only; a simulator without
//! them builds and runs one that has them.

use clap::Args;

use super::{Misuse, Verdict};

#[derive(Args)]
pub struct Options {
    /// Only this one
    #[arg(long)]
    bug: Option<String>,
    /// Bases of seeds
    #[arg(long, default_value_t = 5)]
    bases: u64,
    /// Seeds for each bug and base
    #[arg(long, default_value_t = 20_000)]
    seeds: u64,
    /// CPU seconds for each bug and base
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Threads; each is at a bug of its own
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Shrink the first scenario that finds each, and say what is left of it
    #[arg(long)]
    shrink: bool,
    /// Put the table between the marks of this document; with --bug, only its row
    #[arg(long)]
    write: Option<std::path::PathBuf>,
}

#[cfg(not(feature = "zoo"))]
pub fn execute(_options: &Options) -> Result<Verdict, Misuse> {
    // A target directory of its own, so that ordinary builds are not thrown away.
    let mut cargo = std::process::Command::new("cargo");
    cargo.args(["run", "--release", "-p", "holdfast-sim", "--features", "zoo", "--target-dir"]);
    cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/zoo")).arg("--");
    cargo.args(std::env::args_os().skip(1));
    let status = cargo.status().map_err(|error| Misuse(format!("cargo: {error}")))?;
    match status.code() {
        Some(0) => Ok(Verdict::Clean),
        Some(1) => Ok(Verdict::Finding),
        _ => Err(Misuse("the simulator with the zoo could not be built or run".into())),
    }
}

#[cfg(feature = "zoo")]
pub use released::execute;

#[cfg(feature = "zoo")]
mod released {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use holdfast_sim::oracles::HASHES;
    use holdfast_sim::run::{self, Outcome};
    use holdfast_sim::scenario::Scenario;
    use holdfast_sim::scenario::strategy::Profile;
    use holdfast_sim::zoo::{Animal, Origin, zoo};

    use super::super::input::of_seed;
    use super::super::shrink::shrunk;
    use super::{Misuse, Options, Verdict};

    /// What came of one bug and one base.
    #[derive(Clone, Debug)]
    struct Hunt {
        found: Option<Scenario>,
        oracle: Option<&'static str>,
        seeds: u64,
        cpu_seconds: f64,
    }

    /// Seeds between two bases.
    const BASE: u64 = 1_000_000_000;

    pub fn execute(options: &Options) -> Result<Verdict, Misuse> {
        let animals: Vec<&Animal> =
            match &options.bug {
                None => zoo().collect(),
                Some(id) => {
                    let known = holdfast_sim::zoo::animal(id);
                    vec![known.ok_or_else(|| {
                        Misuse(format!("there is no {id:?} in the zoo; without --bug all are listed"))
                    })?]
                }
            };
        let next = AtomicUsize::new(0);
        let results = Mutex::new(vec![Vec::new(); animals.len()]);
        std::thread::scope(|scope| {
            for _ in 0..options.jobs.max(1) {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(animal) = animals.get(at) else { break };
                        let hunts: Vec<Hunt> = (0..options.bases).map(|base| hunt(animal, base, options)).collect();
                        let left = if options.shrink { left_of(animal, &hunts) } else { String::new() };
                        println!("{}{left}", line(animal, &hunts));
                        results.lock().expect("no thread panics while it adds up")[at] = hunts;
                    }
                });
            }
        });
        let results = results.into_inner().expect("no thread panics while it adds up");
        let found = |hunts: &Vec<Hunt>| hunts.iter().all(|hunt| hunt.oracle.is_some());
        let missed: Vec<&str> =
            animals.iter().zip(&results).filter(|(_, hunts)| !found(hunts)).map(|(animal, _)| animal.id).collect();
        let mut medians: Vec<u64> = results.iter().map(|hunts| median(hunts.iter().map(|hunt| hunt.seeds))).collect();
        medians.sort_unstable();
        println!(
            "\n{} of {} found from every base; median {} seeds; missed: {}",
            animals.len() - missed.len(),
            animals.len(),
            medians[medians.len() / 2],
            if missed.is_empty() { "none".to_owned() } else { missed.join(", ") }
        );
        if let Some(path) = &options.write {
            write(path, &animals, &results, options.bug.is_some())?;
        }
        Ok(if missed.is_empty() { Verdict::Clean } else { Verdict::Finding })
    }

    fn hunt(animal: &Animal, base: u64, options: &Options) -> Hunt {
        let began = cpu_seconds();
        // What only differs between two runs needs two.
        let twice = animal.expected.contains(&HASHES.0);
        for n in 0..options.seeds {
            let profile = if animal.of_writers { Profile::Writers } else { Profile::Mixed };
            let scenario = of_seed(base * BASE + n, profile).scenario;
            let outcome = with(animal, || if twice { run::run_twice(&scenario) } else { run::run(&scenario) });
            let cpu_seconds = cpu_seconds() - began;
            if let Some(oracle) = told(&outcome).filter(|oracle| !found_without(oracle, &scenario)) {
                return Hunt { found: Some(scenario), oracle: Some(oracle), seeds: n + 1, cpu_seconds };
            }
            if cpu_seconds > options.seconds as f64 {
                return Hunt { found: None, oracle: None, seeds: n + 1, cpu_seconds };
            }
        }
        Hunt { found: None, oracle: None, seeds: options.seeds, cpu_seconds: cpu_seconds() - began }
    }

    /// What shrinking leaves of the first scenario that found it.
    fn left_of(animal: &Animal, hunts: &[Hunt]) -> String {
        let Some(scenario) = hunts.iter().find_map(|hunt| hunt.found.as_ref()) else { return String::new() };
        let began = cpu_seconds();
        let Some((_, small)) = with(animal, || shrunk(scenario, Duration::from_secs(30))) else {
            return "; not found again".to_owned();
        };
        format!(
            "; shrunk to {} operations, {} faults, {} mutations in {:.1} s",
            small.ops.len(),
            small.faults.len(),
            small.mutations.len(),
            cpu_seconds() - began
        )
    }

    fn with<T>(animal: &Animal, run: impl FnOnce() -> T) -> T {
        holdfast::zoo::release(Some(animal.bug));
        let result = run();
        holdfast::zoo::release(None);
        result
    }

    fn told(outcome: &Outcome) -> Option<&'static str> {
        outcome.findings.first().map(|finding| finding.oracle)
    }

    /// A false alarm proves nothing.
    fn found_without(oracle: &str, scenario: &Scenario) -> bool {
        run::run_twice(scenario).findings.iter().any(|finding| finding.oracle == oracle)
    }

    fn median<T: PartialOrd + Copy>(values: impl Iterator<Item = T>) -> T {
        let mut sorted: Vec<T> = values.collect();
        sorted.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
        sorted[sorted.len() / 2]
    }

    fn oracles(hunts: &[Hunt]) -> String {
        let mut names: Vec<&str> = hunts.iter().map(|hunt| hunt.oracle.unwrap_or("nobody")).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }

    fn line(animal: &Animal, hunts: &[Hunt]) -> String {
        let found = hunts.iter().filter(|hunt| hunt.oracle.is_some()).count();
        format!(
            "{:<40} {found}/{} by {:<34} median {:>6} seeds {:>8.2} s",
            animal.id,
            hunts.len(),
            oracles(hunts),
            median(hunts.iter().map(|hunt| hunt.seeds)),
            median(hunts.iter().map(|hunt| hunt.cpu_seconds)),
        )
    }

    /// Puts the table between the document's marks, or these rows in the places of those that it has.
    fn write(
        path: &std::path::Path,
        animals: &[&Animal],
        results: &[Vec<Hunt>],
        rows_only: bool,
    ) -> Result<(), Misuse> {
        const MARKS: (&str, &str) = ("<!-- zoo:begin -->", "<!-- zoo:end -->");
        let fail = |what: String| Misuse(format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        let no_marks = || fail(format!("there are no marks {MARKS:?}"));
        let Some((before, rest)) = text.split_once(MARKS.0) else { return Err(no_marks()) };
        let Some((present, after)) = rest.split_once(MARKS.1) else { return Err(no_marks()) };
        let head =
            "| bug | what is wrong | from | race | found by | seeds | CPU s |\n|---|---|---|---|---|---:|---:|\n";
        let mut table = if rows_only { present.trim_start().to_owned() } else { head.to_owned() };
        for (animal, hunts) in animals.iter().zip(results) {
            let from = match animal.origin {
                Origin::History(of) => of,
                Origin::Aimed => "made up",
            };
            let row = format!(
                "| {} | {} | {from} | {} | {} | {} | {:.2} |",
                animal.id,
                animal.sentence,
                if animal.needs_race { "yes" } else { "" },
                oracles(hunts),
                median(hunts.iter().map(|hunt| hunt.seeds)),
                median(hunts.iter().map(|hunt| hunt.cpu_seconds)),
            );
            let start = format!("| {} |", animal.id);
            match table.lines().find(|line| line.starts_with(&start)).map(str::to_owned) {
                Some(present) => table = table.replace(&present, &row),
                None => {
                    table.push_str(&row);
                    table.push('\n');
                }
            }
        }
        let text = format!("{before}{}\n{table}{}{after}", MARKS.0, MARKS.1);
        std::fs::write(path, text).map_err(|error| fail(error.to_string()))
    }

    /// Of this thread so far (proc(5), schedstat: nanoseconds on a CPU).
    fn cpu_seconds() -> f64 {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default() / 1e9
    }
}
