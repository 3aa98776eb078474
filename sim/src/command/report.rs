//! `report`: one run as a picture.

use std::path::PathBuf;

use clap::Args;
use holdfast_sim::{report, run};

use super::input::Input;
use super::{Misuse, Verdict, release};

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    input: Input,
    /// Where to write the page
    #[arg(short, long)]
    out: PathBuf,
    /// Release this bug of the zoo first, to see what it looks like
    #[arg(long)]
    bug: Option<String>,
}

pub fn execute(options: &Options) -> Result<Verdict, Misuse> {
    let file = options.input.read()?;
    release(options.bug.as_deref())?;
    let (outcome, recording) = run::record(&file.scenario);
    std::fs::write(&options.out, report::html(&file, &outcome, &recording))
        .map_err(|error| Misuse(format!("{}: {error}", options.out.display())))?;
    for finding in &outcome.findings {
        println!("{finding}");
    }
    Ok(if outcome.findings.is_empty() { Verdict::Clean } else { Verdict::Finding })
}
