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
    // What only differs between two runs needs two.
    let (run, oracle): (fn(&Scenario) -> run::Outcome, _) = match run::run(scenario).findings.first() {
        Some(finding) => (run::run, finding.oracle),
        None => (run::run_twice, run::run_twice(scenario).findings.first()?.oracle),
    };
    let began = now();
    let enough = || now().duration_since(began) > budget;
    let mut small = scenario.clone();
    for schedules in SCHEDULES {
        let fails = |candidate: &Scenario| {
            // Less to do is another order of tasks: a few others are tried before it counts as harmless.
            (0..*schedules).take_while(|_| !enough()).find_map(|n| {
                let mut candidate = candidate.clone();
                candidate.config.seed = candidate.config.seed.wrapping_add(n);
                let findings = run(&candidate).findings;
                findings.iter().any(|finding| finding.oracle == oracle).then_some(candidate)
            })
        };
        small = shrink::shrink(small, fails, enough);
        if small.ops.len() <= FEW.0 && small.faults.len() <= FEW.1 {
            break;
        }
    }
    Some((oracle, small))
}

/// Orders tried for each smaller scenario; of one that stays large, more and more.
const SCHEDULES: &[u64] = &[4, 32, 256];
/// Operations and faults that are read at a glance.
const FEW: (usize, usize) = (10, 2);

#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}
