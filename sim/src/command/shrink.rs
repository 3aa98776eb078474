//! `shrink`: the smallest scenario that still fails in the same way.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use holdfast_sim::oracles::OracleId;
use holdfast_sim::run;
use holdfast_sim::scenario::format::{ScenarioFile, print};
use holdfast_sim::scenario::{Scenario, shrink};

use super::input::Input;
use super::{Misuse, Verdict};

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    input: Input,
    /// Where to write it; to standard output without
    #[arg(short, long)]
    out: Option<PathBuf>,
    /// Give up after so many seconds, with the smallest so far
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

pub fn execute(options: &Options) -> Result<Verdict, Misuse> {
    let mut file = options.input.read()?;
    let Some((oracle, small)) = shrunk(&file.scenario, Duration::from_secs(options.seconds)) else {
        println!("{}: nothing is found, so there is nothing to shrink", file.name);
        return Ok(Verdict::Clean);
    };
    eprintln!(
        "{oracle}: {} operations, {} faults, {} mutations are left of {}, {}, {}",
        small.ops.len(),
        small.faults.len(),
        small.mutations.len(),
        file.scenario.ops.len(),
        file.scenario.faults.len(),
        file.scenario.mutations.len()
    );
    file.scenario = small;
    write(&file, options.out.as_ref())?;
    Ok(Verdict::Finding)
}

pub fn write(file: &ScenarioFile, out: Option<&PathBuf>) -> Result<(), Misuse> {
    match out {
        None => print!("{}", print(file)),
        Some(path) => {
            std::fs::write(path, print(file)).map_err(|error| Misuse(format!("{}: {error}", path.display())))?;
        }
    }
    Ok(())
}

/// The smallest scenario found within `budget` in which the same oracle objects; `None`: none does to begin with.
pub fn shrunk(scenario: &Scenario, budget: Duration) -> Option<(OracleId, Scenario)> {
    let oracle = run::run(scenario).findings.first()?.oracle;
    let began = now();
    let fails = |candidate: &Scenario| {
        // Less to do is another order of tasks: a few others are tried before it counts as harmless.
        (0..SCHEDULES).find_map(|n| {
            let mut candidate = candidate.clone();
            candidate.config.seed = candidate.config.seed.wrapping_add(n);
            let findings = run::run(&candidate).findings;
            findings.iter().any(|finding| finding.oracle == oracle).then_some(candidate)
        })
    };
    let small = shrink::shrink(scenario.clone(), fails, || now().duration_since(began) > budget);
    Some((oracle, small))
}

/// Orders tried for each smaller scenario.
const SCHEDULES: u64 = 4;

#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}
