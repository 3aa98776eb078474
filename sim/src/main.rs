//! `holdfast-sim`: looks for bugs, replays and shrinks what it finds, and measures itself.
//!
//! Exit codes: 0 clean, 1 a finding, 2 misuse (which clap's own errors share).

use std::process::ExitCode;

use clap::Parser;

mod command;

/// Runs the unchanged core of Holdfast under simulated applications, kernel, S3, disk and time.
#[derive(Parser)]
#[command(name = "holdfast-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: command::Command,
}

fn main() -> ExitCode {
    match command::execute(Arguments::parse().command) {
        Ok(command::Verdict::Clean) => ExitCode::SUCCESS,
        Ok(command::Verdict::Finding) => ExitCode::from(1),
        Err(command::Misuse(message)) => {
            eprintln!("holdfast-sim: {message}");
            ExitCode::from(2)
        }
    }
}
