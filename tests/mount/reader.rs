//! What an application does with a file, and which version it saw.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;

use holdfast_sim::Version;
use holdfast_sim::content::{Mismatch, identify};
use nix::libc;

pub const KIB: u64 = 1 << 10;
pub const MIB: u64 = 1 << 20;
/// What one read(2) asks for.
const READ_BYTES: u64 = MIB;

/// An open file, and the key whose bytes it should have.
pub struct Reader {
    key: String,
    pub file: File,
    at: u64,
}

/// What was read: how many bytes, all of this one version. Compares well with what is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saw {
    pub version: Version,
    pub bytes: u64,
}

/// `Saw` of this version.
pub fn saw(version: Version, bytes: u64) -> Result<Saw, Sight> {
    Ok(Saw { version, bytes })
}

/// What should not be seen.
#[derive(Debug)]
pub enum Sight {
    /// The errno of a failed read.
    Errno(i32),
    Wrong(Mismatch),
    /// Two versions in one reader.
    Torn(Version, Version),
    Nothing,
}

impl PartialEq for Sight {
    fn eq(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Errno(a), Self::Errno(b)) if a == b)
    }
}

impl From<io::Error> for Sight {
    fn from(error: io::Error) -> Self {
        Self::Errno(error.raw_os_error().unwrap_or_default())
    }
}

impl Reader {
    pub fn new(key: &str, file: File) -> Self {
        Self { key: key.to_string(), file, at: 0 }
    }

    /// Reads on from where it is until `end` or the end of the file.
    pub fn read_until(&mut self, end: u64) -> Result<Saw, Sight> {
        let mut buffer = vec![0; READ_BYTES as usize];
        let mut seen: Option<Saw> = None;
        while self.at < end {
            let want = READ_BYTES.min(end - self.at) as usize;
            let n = self.file.read_at(&mut buffer[..want], self.at)?;
            if n == 0 {
                break;
            }
            seen = Some(join(seen, &self.key, &buffer[..n], self.at)?);
            self.at += n as u64;
        }
        seen.ok_or(Sight::Nothing)
    }

    pub fn read_to_end(&mut self) -> Result<Saw, Sight> {
        self.read_until(u64::MAX)
    }

    /// One pread(2).
    pub fn read_at(&self, range: Range<u64>) -> Result<Saw, Sight> {
        let mut buffer = vec![0; (range.end - range.start) as usize];
        let n = self.file.read_at(&mut buffer, range.start)?;
        join(None, &self.key, &buffer[..n], range.start)
    }

    /// Tells the kernel not to read ahead.
    pub fn reads_at_random(self) -> Self {
        self.advise(libc::POSIX_FADV_RANDOM);
        self
    }

    /// Has the kernel forget its pages of the file.
    pub fn drop_pages(&self) {
        self.advise(libc::POSIX_FADV_DONTNEED);
    }

    fn advise(&self, advice: i32) {
        // SAFETY: the descriptor is open; no memory is passed.
        let failed = unsafe { libc::posix_fadvise(self.file.as_raw_fd(), 0, 0, advice) };
        assert_eq!(failed, 0, "posix_fadvise");
    }

    pub fn map(&self) -> Mapping {
        Mapping::new(&self.key, &self.file)
    }
}

/// The versions that all of `bytes` belong to, together with what was seen before.
fn join(seen: Option<Saw>, key: &str, bytes: &[u8], at: u64) -> Result<Saw, Sight> {
    let version = identify(key, bytes, at).map_err(Sight::Wrong)?;
    let bytes = bytes.len() as u64;
    match seen {
        None => Ok(Saw { version, bytes }),
        Some(before) if before.version == version => Ok(Saw { version, bytes: before.bytes + bytes }),
        Some(before) => Err(Sight::Torn(before.version, version)),
    }
}

/// A file mapped into memory, read-only.
pub struct Mapping {
    key: String,
    at: NonNull<libc::c_void>,
    bytes: usize,
}

impl Mapping {
    pub fn new(key: &str, file: &File) -> Self {
        let bytes = file.metadata().expect("fstat").len() as usize;
        // SAFETY: a fresh mapping of an open file, owned by the value returned.
        let at = unsafe {
            libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert_ne!(at, libc::MAP_FAILED, "mmap: {}", io::Error::last_os_error());
        Self { key: key.to_string(), at: NonNull::new(at).expect("mmap maps no page at zero"), bytes }
    }

    /// The bytes of `range` through page faults.
    pub fn bytes(&self, range: Range<u64>) -> &[u8] {
        assert!(range.start <= range.end && range.end <= self.bytes as u64);
        // SAFETY: within the mapping, which lives as long as the borrow. That the bytes do not change meanwhile is the
        // promise under test; a broken promise shows as bytes of another version.
        unsafe {
            let first = self.at.as_ptr().cast::<u8>().add(range.start as usize);
            std::slice::from_raw_parts(first, (range.end - range.start) as usize)
        }
    }

    pub fn read(&self, range: Range<u64>) -> Result<Saw, Sight> {
        let at = range.start;
        join(None, &self.key, self.bytes(range), at)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing borrows it any more.
        unsafe { libc::munmap(self.at.as_ptr(), self.bytes) };
    }
}
