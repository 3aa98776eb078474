//! `coverage`: which lines of the core simulation alone reaches. Builds the simulator once more, with counters.

use std::path::PathBuf;

use clap::Args;
use holdfast_sim::coverage::{CORE, Measurement};

use super::{Misuse, Verdict};

#[derive(Args)]
pub struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 3000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Threads
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

pub fn execute(options: &Options) -> Result<Verdict, Misuse> {
    let run = format!(
        "run --release -p holdfast-sim -- run --profile all --keep-going --seeds {} --from {} --jobs {}",
        options.seeds, options.from, options.jobs
    );
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root.canonicalize().map_err(|error| Misuse(format!("{}: {error}", root.display())))?;
    let measurement = Measurement { root, cargo: run.split(' ').map(str::to_owned).collect() };
    let report = measurement.take(CORE).map_err(|error| Misuse(error.to_string()))?;
    println!("{report}");
    Ok(Verdict::Clean)
}
