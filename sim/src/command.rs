//! The subcommands, a file each.

mod coverage;
mod input;
mod replay;
mod report;
mod run;
mod shrink;
mod zoo;

use clap::Subcommand;

/// What a command found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Clean,
    Finding,
}

/// Why a command could not be carried out.
pub struct Misuse(pub String);

#[derive(Subcommand)]
pub enum Command {
    /// Run fresh scenarios, and shrink what fails.
    Run(run::Options),
    /// Run one scenario again, and say what it does.
    Replay(replay::Options),
    /// Show one run as a picture: a page that needs nothing but a browser.
    Report(report::Options),
    /// Release the core's deliberate bugs, one at a time, and see which are found.
    Zoo(zoo::Options),
    /// Which lines of the core, and which of its marks, simulation reaches.
    Coverage(coverage::Options),
    /// Make a failing scenario as small as it gets.
    Shrink(shrink::Options),
}

pub fn execute(command: Command) -> Result<Verdict, Misuse> {
    // A scenario that fails by a panic is a finding, reported as such; its backtrace helps nobody.
    std::panic::set_hook(Box::new(|_| {}));
    match command {
        Command::Run(options) => run::execute(&options),
        Command::Report(options) => report::execute(&options),
        Command::Zoo(options) => zoo::execute(&options),
        Command::Coverage(options) => coverage::execute(&options),
        Command::Replay(options) => replay::execute(&options),
        Command::Shrink(options) => shrink::execute(&options),
    }
}

/// Lets a bug of the zoo loose in this process.
#[cfg(feature = "zoo")]
fn release(bug: Option<&str>) -> Result<(), Misuse> {
    let Some(id) = bug else { return Ok(()) };
    let animal = holdfast_sim::zoo::animal(id).ok_or_else(|| Misuse(format!("there is no {id:?} in the zoo")))?;
    holdfast::zoo::release(Some(animal.bug));
    Ok(())
}

#[cfg(not(feature = "zoo"))]
fn release(bug: Option<&str>) -> Result<(), Misuse> {
    match bug {
        None => Ok(()),
        Some(_) => Err(Misuse("this simulator was built without the zoo: add --features zoo".into())),
    }
}
