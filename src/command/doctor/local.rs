//! This machine: the disks that a mount keeps things on, and what earlier mounts have kept.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::report::{Finding, Report};
use crate::command::folders;
use crate::config::{DISK_FREE_PERCENT_MIN, MIB};

pub(super) fn look(report: &mut Report, cache: &Path, hold_max: u64, recovery: &Path, journals: &Path) {
    let fuse = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse");
    report.add(match fuse {
        Ok(_) => Finding::ok("/dev/fuse", "can be opened".to_string()),
        Err(error) => {
            Finding::fail("/dev/fuse", error.to_string(), "load the fuse module, or give the container that device")
        }
    });
    for (what, directory) in [("cache", cache), ("recovery", recovery)] {
        report.add(match room(directory) {
            Err(error) => Finding::fail(
                what,
                format!("{} cannot be used: {error}", directory.display()),
                "name another with --cache-dir or --recovery-dir, or make it writable",
            ),
            Ok(free) if what == "cache" && free < hold_max => Finding::warn(
                what,
                format!("{} has room for {} MiB only", directory.display(), free / MIB),
                "less than --hold-max: rests of replaced objects may be lost, and large files that are edited meet ENOSPC",
            ),
            Ok(free) => Finding::ok(what, format!("{} has room for {} MiB", directory.display(), free / MIB)),
        });
    }
    match folders::kept_files(recovery) {
        0 => {}
        count => report.add(Finding::warn(
            "recovery",
            format!("{count} files are kept there that could not be published"),
            "see `holdfast recover list`",
        )),
    }
    match folders::journaled_files(journals) {
        0 => {}
        count => report.add(Finding::warn(
            "journal",
            format!("{count} files were closed under --write-back and are not published yet"),
            "if no mount of this bucket runs here: mount it again, which publishes them",
        )),
    }
}

/// The bytes that a mount could use there, after trying to write.
fn room(directory: &Path) -> io::Result<u64> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let probe = directory.join(format!(".probe-{}", std::process::id()));
    std::fs::write(&probe, b"")?;
    std::fs::remove_file(&probe)?;
    let disk = statvfs(directory)?;
    let (free, all) = (disk.blocks_available(), disk.blocks());
    Ok(free.saturating_sub(all / 100 * DISK_FREE_PERCENT_MIN) * disk.fragment_size())
}
