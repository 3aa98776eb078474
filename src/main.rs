//! Parses the command line and hands over to a subcommand.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use holdfast::command::serve;

/// Mount an S3 bucket: an open file holds one version of its object until it is closed
#[derive(Parser)]
#[command(name = "holdfast", version = env!("CARGO_PKG_VERSION"))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
    }
}
