//! `replay`: one scenario once more.

use std::path::PathBuf;

use clap::Args;
use holdfast_sim::run;

use super::input::Input;
use super::{Misuse, Verdict, release};

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    input: Input,
    /// Also write down what happened, a line for each event
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Release this bug of the zoo first, to see what it does
    #[arg(long)]
    bug: Option<String>,
}

pub fn execute(options: &Options) -> Result<Verdict, Misuse> {
    let file = options.input.read()?;
    release(options.bug.as_deref())?;
    let outcome = run::run_twice(&file.scenario);
    let figures = outcome.figures;
    println!(
        "{}: {} calls, {} requests to the core, {} to S3, {} bytes fetched, {} mutations ({} in flight), {:?} simulated, \
         hash {:016x}",
        file.name,
        figures.calls,
        figures.kernel_requests,
        figures.store_requests,
        figures.bytes_fetched,
        figures.mutations,
        figures.mutations_in_flight,
        figures.simulated,
        outcome.hash
    );
    if let Some(path) = &options.trace {
        let (_, recording) = run::record(&file.scenario);
        std::fs::write(path, recording.print_trace())
            .map_err(|error| Misuse(format!("{}: {error}", path.display())))?;
    }
    for finding in &outcome.findings {
        println!("{finding}");
    }
    Ok(if outcome.findings.is_empty() { Verdict::Clean } else { Verdict::Finding })
}
