//! Parses the command line and hands over to a subcommand.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use holdfast::command::{demo, doctor, mount, recover, serve, status, unmount};

/// Mount an S3 bucket: an open file holds one version of its object until it is closed
#[derive(Parser)]
#[command(name = "holdfast", version = env!("CARGO_PKG_VERSION"))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Mount(Box<mount::MountArgs>),
    Unmount(unmount::UnmountArgs),
    Status(status::StatusArgs),
    Doctor(Box<doctor::DoctorArgs>),
    Recover(recover::RecoverArgs),
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Mount(args) => mount::run(*args),
        Command::Unmount(args) => unmount::run(args),
        Command::Status(args) => status::run(args),
        Command::Doctor(args) => doctor::run(*args),
        Command::Recover(args) => recover::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(args),
    }
}
