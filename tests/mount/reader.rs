//! What an application does with a file, and which version it saw.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
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
#[expect(dead_code, reason = "what is wrong with the bytes is for whoever reads the failed assertion")]
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
        match (self, other) {
            (Self::Errno(a), Self::Errno(b)) => a == b,
            (Self::Nothing, Self::Nothing) => true,
            _ => false,
        }
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

    /// Where the key is not what the path was named.
    pub fn key_is(mut self, key: &str) -> Self {
        self.key = key.to_string();
        self
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

    /// An extended attribute of the version held, whatever the path names by now.
    pub fn xattr(&self, name: &str) -> Result<String, i32> {
        xattr(Path::new(&format!("/proc/self/fd/{}", self.file.as_raw_fd())), name)
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

/// One extended attribute, or its errno.
pub fn xattr(path: &Path, name: &str) -> Result<String, i32> {
    let (path, name) = (c_string(path.as_os_str().as_bytes()), c_string(name.as_bytes()));
    let mut value = vec![0u8; 64 << 10];
    // SAFETY: both strings end in NUL, and the buffer is as long as said.
    let n = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    to_bytes(n, value).map(|value| String::from_utf8(value).expect("what S3 knows is text"))
}

/// The names of all extended attributes, sorted.
pub fn xattrs(path: &Path) -> Result<Vec<String>, i32> {
    let path = c_string(path.as_os_str().as_bytes());
    let mut names = vec![0u8; 64 << 10];
    // SAFETY: the path ends in NUL, and the buffer is as long as said.
    let n = unsafe { libc::listxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
    let names = String::from_utf8(to_bytes(n, names)?).expect("names are text");
    let mut names: Vec<String> = names.split_terminator('\0').map(str::to_string).collect();
    names.sort();
    Ok(names)
}

fn to_bytes(n: isize, mut buffer: Vec<u8>) -> Result<Vec<u8>, i32> {
    match usize::try_from(n) {
        Ok(n) => {
            buffer.truncate(n);
            Ok(buffer)
        }
        Err(_) => Err(io::Error::last_os_error().raw_os_error().unwrap_or_default()),
    }
}

fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes).expect("no NUL in it")
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
        let at =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
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
