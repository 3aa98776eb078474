//! `holdfast unmount`: the opposite of mount, also for a mount whose process is gone.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use nix::errno::Errno;

use crate::real::mountpoint::{Unmount, mount_at, unmount};

/// Unmount a directory
#[derive(Args, Debug)]
pub struct UnmountArgs {
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Take the name away at once; open files work until they are closed
    #[arg(long)]
    pub lazy: bool,
}

pub fn run(args: UnmountArgs) -> ExitCode {
    match try_unmount(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("holdfast unmount: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn try_unmount(args: &UnmountArgs) -> Result<(), String> {
    let shown = args.directory.display();
    // A dead mount cannot be resolved itself, but its parent can.
    let path = args.directory.canonicalize().or_else(|_| {
        let parent = args.directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or_else(|| ".".as_ref()).canonicalize()?;
        Ok::<_, std::io::Error>(parent.join(args.directory.file_name().unwrap_or_default()))
    });
    let path = path.map_err(|error| format!("{shown}: {error}"))?;
    let Some(entry) = mount_at(&path) else { return Err(format!("nothing is mounted at {shown}")) };
    if !entry.is_holdfast() {
        return Err(format!("what is mounted at {shown} is {}, not holdfast; use umount", entry.kind));
    }
    let how = if args.lazy { Unmount::Lazy } else { Unmount::Strict };
    unmount(&path, how).map_err(|error| match error.raw_os_error() {
        Some(errno) if errno == Errno::EBUSY as i32 => {
            format!("{shown} is in use; close its files and leave its directories, or pass --lazy")
        }
        _ => format!("{shown}: {error}"),
    })
}
