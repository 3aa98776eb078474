//! Stories of the rarer ways to change a file: through mappings, by copy_file_range, mknod, extended attributes, O_SYNC.
//!
//! In every one of them the oracles judge besides.

use std::time::Duration;

use holdfast::env::store::ErrorKind;
use holdfast::error::Errno;
use holdfast::op::{Allocation, Kind as NodeKind, OpenMode, SetXattr};
#[cfg(feature = "zoo")]
use holdfast::zoo::{Bug, release};
use holdfast_sim::kernel::OpenHow;
use holdfast_sim::store::{FaultKind, Kind, Matcher};
use holdfast_sim::{MIB, World, WorldConfig, version};

/// Bugs of the zoo, each with a story below that it spoils.
#[cfg(feature = "zoo")]
const SPOILT: &[(Bug, fn())] = &[
    (Bug::CloseDoesNotCommit, what_is_written_through_a_mapping_is_read_at_once_and_published_by_the_close),
    (Bug::FsyncDoesNotCommit, msync_publishes_and_says_so_only_then),
    (Bug::FsyncDoesNotCommit, with_o_sync_a_write_is_published_when_it_returns),
    (
        Bug::WrittenAfterTheCloseForgotten,
        what_is_written_through_a_mapping_after_the_close_is_published_when_it_is_unmapped,
    ),
    (Bug::CommitWithoutCondition, who_loses_a_condition_by_a_mapping_is_told_eio_by_its_msync_once),
    (Bug::CutBytesComeBack, beyond_the_end_there_is_nothing_to_write_through),
    (Bug::CopyOverlooksTheDraft, a_copy_of_what_is_not_published_yet_has_it),
    (Bug::NodeReplacesWhatIsThere, mknod_makes_an_empty_file_at_once_and_replaces_nothing),
    (Bug::AttributeIsNotPublished, an_extended_attribute_goes_with_the_file),
];

#[test]
#[cfg(feature = "zoo")]
fn every_bug_spoils_its_story() {
    for (bug, story) in SPOILT {
        release(Some(*bug));
        let passed = std::panic::catch_unwind(story).is_ok();
        release(None);
        assert!(!passed, "{} passes its story", bug.name());
    }
}

/// The bucket's bytes of a key.
fn object(w: &World, key: &str) -> Option<Vec<u8>> {
    w.s3().bucket().current(key).map(|object| object.content.to_bytes().to_vec())
}

/// A file of three pages, made of ones.
fn with_ones() -> World {
    let mut w = World::writable();
    w.app().save("/note", vec![1; 12_000]).unwrap();
    w
}

#[test]
fn what_is_written_through_a_mapping_is_read_at_once_and_published_by_the_close() {
    let mut w = with_ones();
    let file = w.app().open_rw("/note");
    let map = w.app().map(file);
    w.app().store(map, 5000, vec![2; 3]);
    assert_eq!(w.app().read_bytes(file, 4999..5004), Ok(vec![1, 2, 2, 2, 1]));
    assert_eq!(object(&w, "note").unwrap()[5000], 1);
    w.app().close(file);
    assert_eq!(object(&w, "note").unwrap()[4999..5004], [1, 2, 2, 2, 1]);
    w.app().unmap(map);
}

#[test]
fn msync_publishes_and_says_so_only_then() {
    let mut w = with_ones();
    let file = w.app().open_rw("/note");
    let map = w.app().map(file);
    w.app().store(map, 0, vec![2; 12_000]);
    assert_eq!(w.app().msync(map), Ok(()));
    assert_eq!(object(&w, "note"), Some(vec![2; 12_000]));
    w.app().unmap(map);
    w.app().close(file);
}

#[test]
fn what_is_written_through_a_mapping_after_the_close_is_published_when_it_is_unmapped() {
    let mut w = with_ones();
    let file = w.app().open_rw("/note");
    let map = w.app().map(file);
    w.app().close(file);
    w.app().store(map, 11_999, vec![2]);
    w.app().unmap(map);
    w.wait(Duration::from_secs(1));
    assert_eq!(object(&w, "note").unwrap()[11_998..], [1, 2]);
}

#[test]
fn dirty_pages_outlive_a_shortage_of_memory() {
    let mut w = with_ones();
    let file = w.app().open_rw("/note");
    let map = w.app().map(file);
    w.app().store(map, 100, vec![2; 9000]);
    w.drop_caches();
    w.app().store(map, 100, vec![3]);
    w.drop_caches();
    w.drop_caches();
    assert_eq!(w.app().read_bytes(file, 99..102), Ok(vec![1, 3, 2]));
    w.app().unmap(map);
    w.app().close(file);
    assert_eq!(object(&w, "note").unwrap()[99..102], [1, 3, 2]);
}

#[test]
fn beyond_the_end_there_is_nothing_to_write_through() {
    let mut w = with_ones();
    let file = w.app().open_rw("/note");
    let map = w.app().map(file);
    // To the end, and no further.
    assert_eq!(w.app().try_store(map, 11_990, vec![2; 100]), Ok(10));
    assert_eq!(w.app().try_store(map, 12_288, vec![2]), Err(Errno(14)));
    w.app().ftruncate(file, 5000).unwrap();
    w.app().ftruncate(file, 12_000).unwrap();
    w.app().unmap(map);
    w.app().close(file);
    assert_eq!(object(&w, "note").unwrap()[11_990..], [0; 10]);
}

#[test]
fn who_loses_a_condition_by_a_mapping_is_told_eio_by_its_msync_once() {
    let mut w = with_ones();
    let file = w.app().open_rw("/note");
    let map = w.app().map(file);
    w.app().store(map, 0, vec![2]);
    assert_eq!(w.app().msync(map), Ok(()));
    w.s3().put("note", version(2), 100);
    w.app().store(map, 1, vec![2]);
    // The WRITE is taken, its publication is not.
    assert_eq!(w.app().msync(map), Err(Errno::ESTALE));
    w.app().store(map, 2, vec![2]);
    // This WRITE is refused, and Linux makes EIO of it.
    assert_eq!(w.app().msync(map), Err(Errno::EIO));
    w.app().unmap(map);
    let _ = w.app().try_close(file);
    assert_eq!(w.disk().kept().len(), 1);
}

#[test]
fn a_copy_of_a_whole_file_is_made_by_the_service() {
    let mut w = World::writable();
    w.app().save("/film", vec![7; 12 * MIB as usize]).unwrap();
    let (fetched, copies) = (w.s3().requests().of(Kind::Get), w.s3().requests().of(Kind::UploadPartCopy));
    let (from, to) = (w.app().open("/film"), w.app().create("/twin"));
    assert_eq!(w.app().copy_range((from, 0), (to, 0), 100 * MIB), Ok(12 * MIB));
    assert_eq!(w.app().fstat(to).size, 12 * MIB);
    assert_eq!(w.app().read_bytes(to, 5 * MIB..5 * MIB + 2), Ok(vec![7, 7]));
    w.app().close(to);
    w.app().close(from);
    assert_eq!(object(&w, "twin"), Some(vec![7; 12 * MIB as usize]));
    let copied = w.s3().requests().of(Kind::UploadPartCopy) - copies + w.s3().requests().of(Kind::Copy);
    assert!(copied > 0 && w.s3().requests().of(Kind::Get) <= fetched + 3);
}

#[test]
fn a_copy_of_what_is_not_published_yet_has_it() {
    let mut w = World::writable();
    w.app().save("/note", "old").unwrap();
    let (from, to) = (w.app().open_rw("/note"), w.app().create("/twin"));
    w.app().pwrite(from, 0, "new");
    assert_eq!(w.app().copy_range((from, 0), (to, 0), 100), Ok(3));
    w.app().close(to);
    assert_eq!(object(&w, "twin"), Some(b"new".to_vec()));
    w.app().close(from);
}

#[test]
fn mknod_makes_an_empty_file_at_once_and_replaces_nothing() {
    let mut w = World::writable();
    assert_eq!(w.app().mknod("/note", NodeKind::File), Ok(()));
    assert_eq!(object(&w, "note"), Some(Vec::new()));
    assert_eq!(w.app().mknod("/note", NodeKind::File), Err(Errno::EEXIST));
    w.wait(Duration::from_secs(2));
    assert_eq!(w.app().stat("/other"), Err(Errno::ENOENT));
    // Meanwhile somebody else makes it.
    w.s3().put("other", version(1), 10);
    assert_eq!(w.app().mknod("/other", NodeKind::File), Err(Errno::EEXIST));
    assert_eq!(w.app().mknod("/pipe", NodeKind::Fifo), Err(Errno::EPERM));
}

#[test]
fn a_fifo_is_one_on_every_mount() {
    let mut w = World::new(WorldConfig {
        mounts: 2,
        ..WorldConfig::calm().writable().mounted(|config| config.posix_metadata = true)
    });
    assert_eq!(w.app().mknod("/pipe", NodeKind::Fifo), Ok(()));
    assert_eq!(w.app().stat("/pipe").map(|attr| attr.kind), Ok(NodeKind::Fifo));
    assert_eq!(w.app_on(1).stat("/pipe").map(|attr| attr.kind), Ok(NodeKind::Fifo));
    assert_eq!(w.app_on(1).try_open("/pipe"), Err(Errno::ENXIO));
    assert_eq!(w.app().unlink("/pipe"), Ok(()));
}

#[test]
fn an_extended_attribute_goes_with_the_file() {
    let mut w = World::new(WorldConfig { mounts: 2, ..WorldConfig::calm().writable() });
    w.app().save("/note", "text").unwrap();
    w.app().setxattr("/note", "user.colour", "red", SetXattr::Create).unwrap();
    assert_eq!(w.app().setxattr("/note", "user.colour", "blue", SetXattr::Create), Err(Errno::EEXIST));
    assert_eq!(w.app().setxattr("/note", "user.other", "blue", SetXattr::Replace), Err(Errno::ENODATA));
    w.wait(Duration::from_secs(2));
    assert_eq!(w.app_on(1).xattr_at("/note", "user.colour"), Ok(Some("red".into())));
    // A write keeps it, and a rename.
    let file = w.app().open_rw("/note");
    w.app().pwrite(file, 0, "T");
    w.app().setxattr("/note", "user.origin", "here", SetXattr::Either).unwrap();
    w.app().close(file);
    w.app().rename("/note", "/paper").unwrap();
    w.wait(Duration::from_secs(2));
    assert_eq!(w.app_on(1).xattr_at("/paper", "user.colour"), Ok(Some("red".into())));
    assert_eq!(w.app_on(1).xattr_at("/paper", "user.origin"), Ok(Some("here".into())));
    assert_eq!(object(&w, "paper"), Some(b"Text".to_vec()));
    w.app().removexattr("/paper", "user.colour").unwrap();
    assert_eq!(w.app().removexattr("/paper", "user.colour"), Err(Errno::ENODATA));
    assert_eq!(w.app().xattr_at("/paper", "user.colour"), Ok(None));
}

#[test]
fn an_extended_attribute_is_set_by_a_descriptor_for_reading_and_of_a_file_that_is_removed() {
    let mut w = World::new(WorldConfig { mounts: 2, ..WorldConfig::calm().writable() });
    w.app().save("/note", "text").unwrap();
    let file = w.app().open("/note");
    w.app().fsetxattr(file, "user.colour", "red", SetXattr::Create).unwrap();
    w.wait(Duration::from_secs(2));
    assert_eq!(w.app_on(1).xattr_at("/note", "user.colour"), Ok(Some("red".into())));
    w.app().rename("/note", "/paper").unwrap();
    w.app().fsetxattr(file, "user.colour", "blue", SetXattr::Replace).unwrap();
    w.wait(Duration::from_secs(2));
    assert_eq!(w.app_on(1).xattr_at("/paper", "user.colour"), Ok(Some("blue".into())));
    w.app().unlink("/paper").unwrap();
    w.app().fsetxattr(file, "user.origin", "here", SetXattr::Either).unwrap();
    assert_eq!(w.app().xattr(file, "user.origin"), "here");
    w.app().fremovexattr(file, "user.colour").unwrap();
    assert_eq!(w.app().fremovexattr(file, "user.colour"), Err(Errno::ENODATA));
    w.app().close(file);
    assert_eq!(object(&w, "paper"), None);
}

#[test]
fn with_o_sync_a_write_is_published_when_it_returns() {
    let mut w = World::writable();
    let mode = OpenMode { write: true, ..OpenMode::default() };
    let file = w.app().open_how("/log", OpenHow { mode, create: true, sync: true, ..OpenHow::default() });
    w.app().write(file, "first");
    assert_eq!(object(&w, "log"), Some(b"first".to_vec()));
    w.s3().fault(Matcher::of(Kind::Put), FaultKind::refused(ErrorKind::AccessDenied));
    assert_eq!(w.app().try_write(file, "second"), Err(Errno::EACCES));
    w.s3().clear_faults();
    w.app().close(file);
    assert_eq!(object(&w, "log"), Some(b"firstsecond".to_vec()));
}

/// Requests that change something since it was last asked, as the kernel sent them, without their answers.
fn sent(w: &World) -> Vec<String> {
    let words = ["WRITE", "FSYNC", "FLUSH", "SETATTR", "FALLOCATE", "COPY_FILE_RANGE"];
    let lines = w.kernel().take_trace().into_iter();
    let lines = lines.map(|line| line.split(" -> ").next().unwrap_or_default().trim().to_owned());
    lines.filter(|line| words.contains(&line.split(' ').next().unwrap_or_default())).collect()
}

/// As Linux was seen to ask of a mount by those who read its /dev/fuse (strace), by the same calls on a file of 12 000 bytes.
#[test]
fn dirty_pages_go_back_as_linux_gives_them_back() {
    let mut w = with_ones();
    let file = w.app().open_rw("/note");
    w.kernel().start_trace();
    let map = w.app().map(file);
    w.app().store(map, 5000, vec![2; 3]);
    w.app().store(map, 11_999, vec![2]);
    w.app().msync(map).unwrap();
    assert_eq!(sent(&w), ["WRITE i2 h1 4096 7904", "FSYNC i2 h1"]);
    w.app().msync(map).unwrap();
    assert_eq!(sent(&w), ["FSYNC i2 h1"]);
    w.app().store(map, 0, vec![3]);
    w.app().fsync(file).unwrap();
    assert_eq!(sent(&w), ["WRITE i2 h1 0 4096", "FSYNC i2 h1"]);
    w.app().store(map, 0, vec![4]);
    w.app().close(file);
    assert_eq!(sent(&w), ["WRITE i2 h1 0 4096", "FLUSH i2 h1"]);
    w.app().store(map, 1, vec![5]);
    w.app().store(map, 9000, vec![5]);
    assert_eq!(sent(&w), [""; 0]);
    w.app().unmap(map);
    assert_eq!(sent(&w), ["WRITE i2 h1 0 4096", "WRITE i2 h1 8192 3808"]);
    w.wait(Duration::from_secs(1));

    let file = w.app().open_rw("/note");
    let map = w.app().map(file);
    w.app().store(map, 0, vec![6]);
    w.app().pwrite(file, 100, vec![7; 3]);
    assert_eq!(sent(&w), ["WRITE i2 h2 100 3"]);
    w.app().ftruncate(file, 5000).unwrap();
    assert_eq!(sent(&w), ["SETATTR i2 size 5000", "WRITE i2 h2 0 4096"]);
    w.app().store(map, 10, vec![8]);
    w.app().fallocate(file, 0, 4096, Allocation::Punch).unwrap();
    assert_eq!(sent(&w), ["WRITE i2 h2 0 4096", "FALLOCATE i2 h2 0 4096"]);
    let twin = w.app().create("/twin");
    w.app().store(map, 20, vec![9]);
    assert_eq!(w.app().copy_range((file, 0), (twin, 0), 10_000), Ok(5000));
    let copied = sent(&w);
    assert_eq!(copied[..2], ["WRITE i2 h2 0 4096", "COPY_FILE_RANGE i2 h2 0 i3 h3 0 5000"]);
    w.app().unmap(map);
    w.app().close(twin);
    w.app().close(file);
}
