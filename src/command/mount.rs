//! `holdfast mount`: a bucket, or a prefix of it, as a directory.

mod background;
pub(in crate::command) mod options;
mod probe;
pub mod running;
mod state;

use std::process::ExitCode;

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::command::logging;
pub use options::MountArgs;
use running::{Failure, Running};

/// Mounts, in the background unless told otherwise, and answers how it went.
pub fn run(args: MountArgs) -> ExitCode {
    let outcome = if args.foreground { foreground(args) } else { background::start(&args) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("holdfast mount: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Serves the mount from this process until it is unmounted, or a signal asks for it.
fn foreground(args: MountArgs) -> Result<(), Failure> {
    logging::start(args.log_level);
    let child = background::Child::of_this_process();
    let outcome = serve(args, &child);
    if let Err(failure) = &outcome {
        child.failed(failure);
    }
    outcome
}

fn serve(args: MountArgs, child: &background::Child) -> Result<(), Failure> {
    let runtime = running::runtime()?;
    let grace = args.unmount_grace;
    let mount = args.plan()?;
    let mut running = Running::start(mount, &runtime)?;
    tracing::info!("{} is mounted at {}", running.source(), running.directory().display());
    child.mounted();
    let asked = runtime.spawn(async {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => Signal::SIGINT,
            _ = terminate.recv() => Signal::SIGTERM,
        }
    });
    let signal = runtime.block_on(async {
        tokio::select! {
            signal = asked => signal.ok(),
            () = running.ended() => None,
        }
    });
    if let Some(signal) = signal {
        tracing::info!("{signal}: unmounting {}", running.directory().display());
        running.unmount(grace)?;
    }
    let ended = running.join(&runtime);
    runtime.shutdown_background();
    ended
}
