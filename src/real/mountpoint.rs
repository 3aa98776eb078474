//! The directory a mount is at: whether it can be used, how its mount is tuned, and how it is unmounted.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::libc;
use nix::mount::{MntFlags, umount2};
use nix::sys::statvfs::statvfs;

use crate::config::{KIB, READ_BYTES_MAX};

/// Linux allows no more (XATTR_SIZE_MAX).
const ATTRIBUTE_BYTES_MAX: usize = 64 << 10;

/// Why nothing can be mounted at a directory. Each is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum MountpointError {
    #[error("{0}: no such directory")]
    Missing(PathBuf),
    #[error("{0} is not a directory")]
    NotADirectory(PathBuf),
    #[error("{0} is busy: another file system is mounted there")]
    Busy(PathBuf),
    #[error("a dead mount is in the way at {0}; remove it with `holdfast unmount {0}`")]
    Dead(PathBuf),
    #[error("/dev/fuse is missing or may not be opened ({0}); load the fuse module, or give the container that device")]
    NoFuse(io::Error),
    #[error("cannot use {0}: {1}")]
    Unusable(PathBuf, io::Error),
}

/// The absolute path of `directory`, if something can be mounted there.
pub fn check(directory: &Path) -> Result<PathBuf, MountpointError> {
    let at = directory.to_path_buf();
    let metadata = match fs::metadata(directory) {
        Ok(metadata) => metadata,
        Err(error) if error.raw_os_error() == Some(Errno::ENOTCONN as i32) => return Err(MountpointError::Dead(at)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(MountpointError::Missing(at)),
        Err(error) => return Err(MountpointError::Unusable(at, error)),
    };
    if !metadata.is_dir() {
        return Err(MountpointError::NotADirectory(at));
    }
    let path = match fs::canonicalize(directory) {
        Ok(path) => path,
        Err(error) => return Err(MountpointError::Unusable(at, error)),
    };
    if mount_at(&path).is_some() {
        // The kernel may still know the attributes of a dead mount's root, but never its statistics.
        return Err(match statvfs(&path) {
            Err(Errno::ENOTCONN) => MountpointError::Dead(at),
            Ok(_) | Err(_) => MountpointError::Busy(at),
        });
    }
    fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").map_err(MountpointError::NoFuse)?;
    Ok(path)
}

/// One line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
#[derive(Debug, PartialEq, Eq)]
pub struct MountEntry {
    /// `major:minor` of the mounted file system.
    pub device: String,
    pub path: PathBuf,
    /// `fuse`, or `fuse.holdfast` where the setuid helper mounted it.
    pub kind: String,
    /// What is mounted, like `s3://bucket/prefix/`.
    pub source: String,
}

impl MountEntry {
    /// Whether this is one of ours.
    pub fn is_holdfast(&self) -> bool {
        self.kind == "fuse.holdfast" || (self.kind == "fuse" && self.source.starts_with("s3://"))
    }
}

/// The topmost mount at exactly this absolute path.
pub fn mount_at(path: &Path) -> Option<MountEntry> {
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    table.lines().filter_map(parse_entry).rfind(|entry| entry.path == path)
}

/// An extended attribute of a file, as text.
pub fn attribute(path: &Path, name: &str) -> io::Result<String> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let name = CString::new(name)?;
    let mut value = vec![0u8; ATTRIBUTE_BYTES_MAX];
    // SAFETY: both strings end in NUL, and the buffer is as long as said.
    let n = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
    value.truncate(n);
    String::from_utf8(value).map_err(io::Error::other)
}

/// `major:minor` of the mount with this number in a table like /proc/self/mountinfo.
pub(super) fn device_of(table: &str, mount: u64) -> Option<&str> {
    let line = table.lines().find(|line| line.split(' ').next().is_some_and(|id| id.parse() == Ok(mount)))?;
    line.split(' ').nth(2)
}

fn parse_entry(line: &str) -> Option<MountEntry> {
    let (left, right) = line.split_once(" - ")?;
    let mut fields = left.split(' ');
    let device = fields.nth(2)?.to_string();
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(&unescape(fields.nth(1)?)));
    let mut right = right.split(' ');
    let kind = right.next()?.to_string();
    let source = String::from_utf8_lossy(&unescape(right.next()?)).into_owned();
    Some(MountEntry { device, path, kind, source })
}

/// Space, tab, newline and backslash stand as octal in mountinfo.
fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = bytes.get(at + 1..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        match (bytes[at], octal.and_then(|digits| u8::from_str_radix(digits, 8).ok())) {
            (b'\\', Some(byte)) => {
                plain.push(byte);
                at += 4;
            }
            (byte, _) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    plain
}

/// Has the kernel read ahead as much as one request may carry; only a privileged process may. Answers what it is now,
/// in bytes.
pub fn raise_readahead(path: &Path) -> io::Result<u64> {
    let entry = mount_at(path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let knob = format!("/sys/class/bdi/{}/read_ahead_kb", entry.device);
    fs::write(&knob, (READ_BYTES_MAX / KIB).to_string())?;
    Ok(READ_BYTES_MAX)
}

/// How to unmount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmount {
    /// Fails with EBUSY while files are open.
    Strict,
    /// The name goes at once; open files work until they are closed.
    Lazy,
}

/// Unmounts what is at `path`, by system call or, without the privilege, by the setuid helper.
pub fn unmount(path: &Path, how: Unmount) -> io::Result<()> {
    let flags = match how {
        Unmount::Strict => MntFlags::UMOUNT_NOFOLLOW,
        Unmount::Lazy => MntFlags::UMOUNT_NOFOLLOW | MntFlags::MNT_DETACH,
    };
    match umount2(path, flags) {
        Ok(()) => Ok(()),
        Err(Errno::EPERM) => unmount_by_helper(path, how),
        Err(errno) => Err(errno.into()),
    }
}

fn unmount_by_helper(path: &Path, how: Unmount) -> io::Result<()> {
    for helper in ["fusermount3", "fusermount"] {
        let mut command = Command::new(helper);
        command.arg("-u").args((how == Unmount::Lazy).then_some("-z")).arg("--").arg(path);
        match command.output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => {
                let words = String::from_utf8_lossy(&output.stderr).trim().to_string();
                let busy = words.contains("busy");
                return Err(if busy { Errno::EBUSY.into() } else { io::Error::other(words) });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("only root may unmount without fusermount3, which is not installed"))
}

#[cfg(test)]
mod tests {
    use super::{MountEntry, parse_entry};

    #[test]
    fn a_line_of_mountinfo_is_understood_with_escapes_and_optional_fields() {
        let line = r"36 35 0:57 / /mnt/a\040b rw,noatime shared:1 master:2 - fuse.holdfast s3://b ro,user_id=0";
        let entry = MountEntry {
            device: "0:57".into(),
            path: "/mnt/a b".into(),
            kind: "fuse.holdfast".into(),
            source: "s3://b".into(),
        };
        assert!(entry.is_holdfast());
        assert_eq!(parse_entry(line), Some(entry));
        assert_eq!(parse_entry("nonsense"), None);
    }
}
