//! What one mount writes, as its own processes and everybody else see it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;

use holdfast_sim::content::version_bytes;
use holdfast_sim::version;
use nix::errno::Errno;
use nix::libc::{self, EINVAL, EOPNOTSUPP};

use crate::reader::{KIB, MIB};
use crate::remote::Remote;
use crate::shell::quiet;
use crate::world::{PAST_TTL, World};

/// close(2) with its outcome, which dropping a `File` would not tell.
pub fn close(file: File) -> Result<(), Errno> {
    // SAFETY: the descriptor was the file's alone, and it is gone with this call.
    match unsafe { libc::close(file.into_raw_fd()) } {
        0 => Ok(()),
        _ => Err(Errno::last()),
    }
}

pub fn read_write(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap_or_else(|error| panic!("open {path:?}: {error}"))
}

pub fn fallocate(file: &File, mode: i32, offset: u64, len: u64) -> Result<(), i32> {
    // SAFETY: the descriptor is open; no memory is passed.
    match unsafe { libc::fallocate(file.as_raw_fd(), mode, offset as i64, len as i64) } {
        0 => Ok(()),
        _ => Err(Errno::last_raw()),
    }
}

/// Rule R33. Rule R35.
#[test]
fn what_is_written_is_seen_at_once_here_and_whole_elsewhere_after_close() {
    let Some(w) = World::plain() else { return };
    let elsewhere = w.elsewhere(&["--metadata-ttl", "minimal"]);
    let _quiet = quiet();
    for size in [0, 1, 100 * KIB, 9 * MIB + 7] {
        let name = format!("d/file-{size}");
        let bytes = version_bytes(&name, version(1), size);
        fs::create_dir_all(w.path("d")).expect("a directory");
        let mut file = File::create_new(w.path(&name)).expect("a new file");
        assert_eq!(w.object(&name), None, "not before it is closed");
        for piece in bytes.chunks(300_000) {
            file.write_all(piece).expect("written");
        }
        assert_eq!(fs::read(w.path(&name)).expect("by another handle of this mount"), bytes);
        assert_eq!(fs::metadata(w.path(&name)).expect("stat").len(), size);
        close(file).expect("published");
        assert_eq!(w.object(&name).expect("in the bucket"), bytes);
        assert_eq!(fs::read(elsewhere.path(&name)).expect("elsewhere"), bytes);
        assert_eq!(fs::read(w.path(&name)).expect("here"), bytes);
    }
    let names: Vec<_> = fs::read_dir(w.path("d")).expect("a listing").map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

/// Rule R33.
#[test]
fn fsync_publishes_what_is_written_so_far_and_writing_goes_on() {
    let Some(w) = World::plain() else { return };
    let _quiet = quiet();
    let mut file = File::create(w.path("log")).expect("a new file");
    file.write_all(b"one\n").expect("written");
    file.sync_all().expect("published");
    assert_eq!(w.text("log").as_deref(), Some("one\n"));
    file.write_all(b"two\n").expect("written");
    assert_eq!(w.text("log").as_deref(), Some("one\n"), "a version is whole");
    file.sync_data().expect("published");
    assert_eq!(w.text("log").as_deref(), Some("one\ntwo\n"));
    file.write_all(b"three\n").expect("written");
    close(file).expect("published");
    assert_eq!(w.text("log").as_deref(), Some("one\ntwo\nthree\n"));
}

/// Rule R33.
#[test]
fn a_file_is_edited_in_place_by_every_kind_of_open() {
    let Some(w) = World::plain() else { return };
    w.put_bytes("note", "hello world".into());
    let file = read_write(&w.path("note"));
    file.write_all_at(b"W", 6).expect("in the middle");
    let mut seen = String::new();
    (&file).read_to_string(&mut seen).expect("read back");
    assert_eq!(seen, "hello World");
    close(file).expect("published");
    assert_eq!(w.text("note").as_deref(), Some("hello World"));

    let mut end = OpenOptions::new().append(true).open(w.path("note")).expect("to append");
    end.write_all(b"!").expect("appended");
    close(end).expect("published");
    assert_eq!(w.text("note").as_deref(), Some("hello World!"));

    fs::write(w.path("note"), "new").expect("replaced");
    assert_eq!(w.text("note").as_deref(), Some("new"));

    let file = read_write(&w.path("note"));
    file.write_all_at(b"far", 10).expect("past the end");
    close(file).expect("published");
    assert_eq!(w.text("note").as_deref(), Some("new\0\0\0\0\0\0\0far"));
}

#[test]
fn shells_append_overwrite_and_seek() {
    let Some(w) = World::plain() else { return };
    w.put_bytes("log", "first\n".into());
    w.mount.sh("echo second >> log; echo third >> log");
    assert_eq!(w.text("log").as_deref(), Some("first\nsecond\nthird\n"));
    w.mount.sh("printf FIRST | dd of=log conv=notrunc status=none");
    assert_eq!(w.text("log").as_deref(), Some("FIRST\nsecond\nthird\n"));
    w.mount.sh("printf XX | dd of=log bs=1 seek=6 conv=notrunc status=none; cat log log > twice; : > log");
    assert_eq!(w.text("twice").as_deref(), Some("FIRST\nXXcond\nthird\nFIRST\nXXcond\nthird\n"));
    assert_eq!(w.text("log").as_deref(), Some(""));
}

#[test]
fn a_file_is_truncated_both_ways() {
    let Some(w) = World::plain() else { return };
    let bytes = version_bytes("film", version(1), 9 * MIB);
    w.put_bytes("film", bytes.clone());
    w.mount.sh("truncate -s 5000000 film");
    assert_eq!(w.object("film").expect("published"), bytes[..5_000_000]);
    w.mount.sh("truncate -s 6000000 film");
    let grown = w.object("film").expect("published");
    assert_eq!(grown.len(), 6_000_000);
    assert!(grown[..5_000_000] == bytes[..5_000_000] && grown[5_000_000..].iter().all(|byte| *byte == 0));
    assert_eq!(fs::read(w.path("film")).expect("here"), grown);

    let file = read_write(&w.path("film"));
    file.set_len(3).expect("ftruncate");
    assert_eq!(file.metadata().expect("fstat").len(), 3);
    file.set_len(5).expect("ftruncate");
    assert_eq!(fs::read(w.path("film")).expect("here"), [&bytes[..3], &[0, 0]].concat());
    close(file).expect("published");
    assert_eq!(w.object("film").expect("published"), [&bytes[..3], &[0, 0]].concat());
}

#[test]
fn fallocate_grows_punches_and_zeroes() {
    let Some(w) = World::plain() else { return };
    w.put_bytes("note", "abcdefghij".into());
    let file = read_write(&w.path("note"));
    let (keep, punch, zero) = (libc::FALLOC_FL_KEEP_SIZE, libc::FALLOC_FL_PUNCH_HOLE, libc::FALLOC_FL_ZERO_RANGE);
    assert_eq!(fallocate(&file, keep, 0, 1000), Ok(()));
    assert_eq!(file.metadata().expect("fstat").len(), 10);
    assert_eq!(fallocate(&file, punch | keep, 2, 3), Ok(()));
    assert_eq!(fallocate(&file, zero, 8, 4), Ok(()));
    assert_eq!(fallocate(&file, 0, 0, 14), Ok(()));
    assert_eq!(fallocate(&file, libc::FALLOC_FL_COLLAPSE_RANGE, 0, 4096), Err(EOPNOTSUPP));
    assert_eq!(fs::read(w.path("note")).expect("here"), b"ab\0\0\0fgh\0\0\0\0\0\0");
    close(file).expect("published");
    assert_eq!(w.text("note").as_deref(), Some("ab\0\0\0fgh\0\0\0\0\0\0"));
}

/// A file mapped shared and writable.
struct Shared(NonNull<libc::c_void>, usize);

impl Shared {
    fn new(file: &File) -> Self {
        let bytes = file.metadata().expect("fstat").len() as usize;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping of an open file, owned by the value returned.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_ne!(at, libc::MAP_FAILED, "mmap: {}", Errno::last());
        Self(NonNull::new(at).expect("no page at zero"), bytes)
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping lives as long as the borrow; the test changes the file by nothing else meanwhile.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr().cast(), self.1) }
    }

    fn sync(&self) -> Result<(), Errno> {
        // SAFETY: the whole of this mapping.
        match unsafe { libc::msync(self.0.as_ptr(), self.1, libc::MS_SYNC) } {
            0 => Ok(()),
            _ => Err(Errno::last()),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing borrows it any more.
        unsafe { libc::munmap(self.0.as_ptr(), self.1) };
    }
}

#[test]
fn what_is_written_through_a_shared_mapping_is_published() {
    let Some(w) = World::plain() else { return };
    let mut bytes = version_bytes("film", version(1), 2 * MIB).to_vec();
    w.put_bytes("film", bytes.clone().into());
    let file = read_write(&w.path("film"));
    let mut map = Shared::new(&file);
    for at in [0, 5000, MIB as usize, bytes.len() - 1] {
        (map.bytes()[at], bytes[at]) = (b'!', b'!');
    }
    map.sync().expect("msync");
    assert_eq!(w.object("film").expect("msync is an fsync"), bytes);
    (map.bytes()[77], bytes[77]) = (b'?', b'?');
    assert_eq!(fs::read(w.path("film")).expect("another handle"), bytes);
    drop(map);
    close(file).expect("published");
    assert_eq!(w.object("film").expect("published"), bytes);
}

#[test]
fn what_is_written_past_the_page_cache_is_the_same() {
    let Some(w) = World::plain() else { return };
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).custom_flags(libc::O_DIRECT).open(w.path("direct"));
    let file = file.expect("O_DIRECT");
    // Aligned, as O_DIRECT may want it.
    let layout = std::alloc::Layout::from_size_align(64 << 10, 4096).expect("a layout");
    // SAFETY: freed below with the same layout; zeroed, so every byte is there.
    let memory = unsafe { std::alloc::alloc_zeroed(layout) };
    let buffer = unsafe { std::slice::from_raw_parts_mut(memory, layout.size()) };
    buffer.copy_from_slice(&version_bytes("direct", version(1), 64 << 10));
    file.write_all_at(buffer, 0).expect("written");
    file.write_all_at(buffer, 64 << 10).expect("written");
    let cached = read_write(&w.path("direct"));
    let mut seen = vec![0; 128 << 10];
    cached.read_exact_at(&mut seen, 0).expect("through the page cache");
    assert!(seen == [&*buffer, &*buffer].concat());
    cached.write_all_at(b"cached", 100).expect("written");
    file.read_exact_at(buffer, 0).expect("past it");
    assert_eq!(&buffer[100..106], b"cached");
    seen[100..106].copy_from_slice(b"cached");
    unsafe { std::alloc::dealloc(memory, layout) };
    close(cached).expect("published");
    close(file).expect("published");
    assert_eq!(w.object("direct").expect("published"), seen);
}

/// Rule R39.
#[test]
fn a_file_that_is_unlinked_while_open_goes_on_for_who_has_it() {
    let Some(w) = World::plain() else { return };
    w.put_bytes("note", "old".into());
    let mut note = read_write(&w.path("note"));
    let mut new = File::options().read(true).write(true).create_new(true).open(w.path("new")).expect("a new file");
    new.write_all(b"never published").expect("written");
    for name in ["note", "new"] {
        fs::remove_file(w.path(name)).expect("unlinked");
        assert!(fs::metadata(w.path(name)).is_err(), "the name is gone");
        assert_eq!(w.object(name), None);
    }
    assert_eq!(note.metadata().expect("fstat").nlink(), 0);
    note.write_all(b"OLD AND NEW").expect("written");
    for (file, expected) in [(&mut note, "OLD AND NEW"), (&mut new, "never published")] {
        file.seek(SeekFrom::Start(0)).expect("seek");
        let mut seen = String::new();
        file.read_to_string(&mut seen).expect("read");
        assert_eq!(seen, expected);
        file.sync_all().expect("nothing to publish");
    }
    close(note).expect("nothing to publish");
    close(new).expect("nothing to publish");
    assert_eq!(w.keys(), [""; 0]);
    assert_eq!(fs::read_dir(w.mount.directory()).expect("a listing").count(), 0);
}

/// Rule R40.
#[test]
fn files_and_directories_are_renamed() {
    let Some(w) = World::plain() else { return };
    w.put_bytes("old", "bytes".into());
    w.put_bytes("target", "replaced".into());
    fs::rename(w.path("old"), w.path("fresh")).expect("renamed");
    assert_eq!((w.object("old"), w.text("fresh").as_deref()), (None, Some("bytes")));
    fs::rename(w.path("fresh"), w.path("target")).expect("renamed over");
    assert_eq!((w.object("fresh"), w.text("target").as_deref()), (None, Some("bytes")));
    assert!(fs::metadata(w.path("fresh")).is_err());

    for n in 0..40 {
        w.put_bytes(&format!("a/b/{n}"), format!("{n}").into());
    }
    fs::create_dir(w.path("to")).expect("a directory");
    fs::rename(w.path("a"), w.path("to/c")).expect("a directory is renamed");
    for n in 0..40 {
        assert_eq!(fs::read_to_string(w.path(&format!("to/c/b/{n}"))).expect("moved"), format!("{n}"));
        assert_eq!((w.object(&format!("a/b/{n}")), w.text(&format!("to/c/b/{n}"))), (None, Some(format!("{n}"))));
    }
    assert!(fs::metadata(w.path("a")).is_err(), "nothing is left");
    assert_eq!(fs::rename(w.path("to"), w.path("to/c/d")).expect_err("into itself").raw_os_error(), Some(EINVAL));
}

/// Rule R40.
#[test]
fn an_open_file_moves_with_its_name() {
    let Some(w) = World::plain() else { return };
    let mut file = File::create(w.path("draft")).expect("a new file");
    file.write_all(b"one ").expect("written");
    fs::rename(w.path("draft"), w.path("final")).expect("renamed while open");
    file.write_all(b"two").expect("written");
    close(file).expect("published");
    assert_eq!((w.object("draft"), w.text("final").as_deref()), (None, Some("one two")));
    assert_eq!(fs::read_to_string(w.path("final")).expect("here"), "one two");
}

/// Rule R40.
#[test]
fn a_rename_that_must_not_replace_does_not() {
    let Some(w) = World::plain() else { return };
    w.put_bytes("a", "a".into());
    w.put_bytes("b", "b".into());
    let rename = |from: &str, to: &str, flags| {
        let (from, to) = (w.path(from), w.path(to));
        nix::fcntl::renameat2(nix::fcntl::AT_FDCWD, &from, nix::fcntl::AT_FDCWD, &to, flags)
    };
    use nix::fcntl::RenameFlags;
    assert_eq!(rename("a", "b", RenameFlags::RENAME_NOREPLACE), Err(Errno::EEXIST));
    assert_eq!(rename("a", "b", RenameFlags::RENAME_EXCHANGE), Err(Errno::EINVAL));
    assert_eq!(rename("a", "c", RenameFlags::RENAME_NOREPLACE), Ok(()));
    assert_eq!(w.keys(), ["b", "c"]);
}

/// Rule R41.
#[test]
fn directories_are_made_and_removed() {
    let Some(w) = World::plain() else { return };
    fs::create_dir(w.path("d")).expect("made");
    assert_eq!(w.keys(), ["d/"]);
    assert_eq!(fs::create_dir(w.path("d")).expect_err("it exists").raw_os_error(), Some(libc::EEXIST));
    fs::write(w.path("d/note"), "x").expect("a file in it");
    assert_eq!(fs::remove_dir(w.path("d")).expect_err("not empty").raw_os_error(), Some(libc::ENOTEMPTY));
    fs::remove_file(w.path("d/note")).expect("removed");
    assert!(fs::metadata(w.path("d")).expect("it has a marker").is_dir());
    fs::remove_dir(w.path("d")).expect("empty");
    assert_eq!(w.keys(), [""; 0]);
    assert!(fs::metadata(w.path("d")).is_err());
}

/// Rule R41.
#[test]
fn a_directory_without_a_marker_goes_with_its_last_name() {
    let Some(w) = World::plain() else { return };
    w.put_bytes("d/e/note", "x".into());
    fs::remove_file(w.path("d/e/note")).expect("removed");
    std::thread::sleep(PAST_TTL);
    assert_eq!(w.keys(), [""; 0]);
    assert!(fs::metadata(w.path("d/e")).is_err() && fs::metadata(w.path("d")).is_err());
}

/// Rule R43.
#[test]
fn what_s3_cannot_carry_is_eperm() {
    let Some(w) = World::plain() else { return };
    w.put_bytes("note", "x".into());
    let refused = |outcome: std::io::Result<()>| outcome.expect_err("refused").raw_os_error();
    assert_eq!(refused(fs::hard_link(w.path("note"), w.path("link"))), Some(libc::EPERM));
    assert_eq!(refused(std::os::unix::fs::symlink("note", w.path("link"))), Some(libc::EPERM));
    let device = w.mount.try_sh("mknod device b 1 2");
    assert!(!device.status.success() && device.stderr.contains("not permitted"), "{}", device.stderr);
    assert_eq!(w.keys(), ["note"]);
}
