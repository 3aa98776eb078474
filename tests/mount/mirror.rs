//! Random operations on a mounted file and on a local mirror of it, as fsx does: no difference may show.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use holdfast_sim::content::version_bytes;
use holdfast_sim::version;
use nix::libc;

use crate::dice::Dice;
use crate::reader::{KIB, MIB, Mapping};
use crate::remote::Remote;
use crate::world::World;

const SIZES: [u64; 10] = [0, 1, 4 * KIB - 1, 4 * KIB, 4 * KIB + 1, MIB - 1, MIB, MIB + 1, 4 * MIB + 1, 20 * MIB + 3];
const OPERATIONS: u32 = 2000;

/// An offset in a file of `size` bytes, or a little beyond; now and then beside a page's or the file's end.
fn offset(dice: &mut Dice, size: u64) -> u64 {
    match dice.below(6) {
        0 => size.saturating_sub(dice.below(9)),
        1 => size + dice.below(5000),
        2 => (dice.below(size + 1) / (4 * KIB) * (4 * KIB) + dice.below(3)).saturating_sub(1),
        _ => dice.below(size + 1),
    }
}

fn length(dice: &mut Dice) -> usize {
    let bound = [16, 5000, 70 << 10, 2 << 20][dice.below(4) as usize];
    dice.below(bound) as usize
}

/// The same file twice.
struct Side {
    path: PathBuf,
    file: File,
}

impl Side {
    fn open(path: PathBuf) -> Self {
        Self { file: File::open(&path).expect("it exists"), path }
    }

    fn reopen(&mut self) {
        self.file = File::open(&self.path).expect("it still exists");
    }

    fn pread(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let mut filled = 0;
        // A read may be cut short by a signal only; what it brings is the same in any number of pieces.
        while filled < len {
            match self.file.read_at(&mut bytes[filled..], offset + filled as u64).expect("no error") {
                0 => break,
                n => filled += n,
            }
        }
        bytes.truncate(filled);
        bytes
    }

    fn read(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        (&self.file).take(len as u64).read_to_end(&mut bytes).expect("no error");
        bytes
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64, Option<i32>> {
        self.file.seek(to).map_err(|error| error.raw_os_error())
    }

    /// SEEK_DATA and SEEK_HOLE.
    fn seek_to(&self, offset: u64, whence: i32) -> Result<i64, Option<i32>> {
        // SAFETY: the descriptor is open; no memory is passed.
        match unsafe { libc::lseek(self.file.as_raw_fd(), offset as i64, whence) } {
            -1 => Err(std::io::Error::last_os_error().raw_os_error()),
            at => Ok(at),
        }
    }

    fn forget_pages(&self) {
        // SAFETY: the descriptor is open; no memory is passed.
        unsafe { libc::posix_fadvise(self.file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    }
}

fn operate(n: u32, dice: &mut Dice, size: u64, real: &mut Side, mirror: &mut Side) {
    let (offset, len) = (offset(dice, size), length(dice));
    match dice.below(12) {
        0..=3 => same(n, "pread", (offset, len), &real.pread(offset, len), &mirror.pread(offset, len)),
        4 | 5 => same(n, "read", len, &real.read(len), &mirror.read(len)),
        6 => {
            let back = dice.below(size + 2) as i64 - size as i64;
            let to = match dice.below(3) {
                0 => SeekFrom::Start(offset),
                1 => SeekFrom::End(back),
                _ => SeekFrom::Current(back),
            };
            assert_eq!(real.seek(to), mirror.seek(to), "operation {n}: lseek {to:?}");
        }
        7 => {
            for whence in [libc::SEEK_DATA, libc::SEEK_HOLE] {
                let outcome = (real.seek_to(offset, whence), mirror.seek_to(offset, whence));
                assert_eq!(outcome.0, outcome.1, "operation {n}: lseek {offset} with whence {whence}");
            }
        }
        8 => {
            if size > 0 {
                let (real, mirror) = (Mapping::new("", &real.file), Mapping::new("", &mirror.file));
                let start = offset.min(size);
                let range = start..(start + len as u64).min(size);
                same(n, "mmap", &range, real.bytes(range.clone()), mirror.bytes(range.clone()));
            }
        }
        9 => {
            let len = |file: &File| file.metadata().expect("fstat").len();
            assert_eq!(len(&real.file), len(&mirror.file), "operation {n}: fstat");
        }
        10 => {
            real.reopen();
            mirror.reopen();
        }
        _ => real.forget_pages(),
    }
}

fn same(n: u32, what: &str, of: impl std::fmt::Debug, real: &[u8], mirror: &[u8]) {
    let differs = real.iter().zip(mirror).position(|(a, b)| a != b);
    assert!(
        real.len() == mirror.len() && differs.is_none(),
        "operation {n}: {what} {of:?}: {} bytes, the mirror {}, first difference at {differs:?}",
        real.len(),
        mirror.len(),
    );
}

fn compare(w: &World, beneath: &Path, operations: u32) {
    for (seed, size) in (1..).zip(SIZES) {
        let key = format!("file-of-{size}");
        let bytes = version_bytes(&key, version(1), size);
        w.put_bytes(&key, bytes.clone());
        let mirror = beneath.join(&key);
        File::create(&mirror).and_then(|mut file| file.write_all(&bytes)).expect("a local file");
        let (mut real, mut mirror) = (Side::open(w.path(&key)), Side::open(mirror));
        let mut dice = Dice::new(seed);
        (0..operations).for_each(|n| operate(n, &mut dice, size, &mut real, &mut mirror));
    }
}

#[test]
fn two_thousand_random_operations_on_files_of_awkward_sizes_show_no_difference_from_a_local_mirror() {
    let Some(w) = World::plain() else { return };
    compare(&w, tempfile::tempdir().expect("a directory").path(), OPERATIONS);
}

#[test]
fn nor_when_names_are_looked_up_each_time_and_nothing_is_held() {
    let Some(w) = World::with(&["--hold=off", "--metadata-ttl", "minimal"]) else { return };
    compare(&w, tempfile::tempdir().expect("a directory").path(), OPERATIONS / 8);
}

#[test]
fn nor_with_every_hold_and_little_memory() {
    let Some(w) = World::with(&["--hold=full", "--memory", "64MiB"]) else { return };
    compare(&w, tempfile::tempdir().expect("a directory").path(), OPERATIONS / 8);
}
