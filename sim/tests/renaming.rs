//! Stories of renames: of directories with files that are open or being written, of renames that gave up, and of those that
//! the next mount finishes.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{join, join_all};
use holdfast::env::store::{ErrorKind, NewObject};
use holdfast::error::Errno;
use holdfast_sim::store::{FaultKind, Kind, Matcher};
use holdfast_sim::{File, MIB, Mutation, World, WorldConfig, version};

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

fn object(w: &World, key: &str) -> Option<Vec<u8>> {
    w.s3().bucket().current(key).map(|object| object.content.to_bytes().to_vec())
}

fn puts(w: &World) -> u64 {
    w.s3().requests().of(Kind::Put)
}

/// A mount dies when it has copied and not yet removed; somebody changes the copy; the next mount finishes the rename.
#[test]
fn a_rename_that_the_next_mount_finishes_replaces_nothing_that_came_since() {
    let mut w = World::writable();
    w.s3().put("a/x", version(1), 10);
    w.s3().fault(Matcher::of(Kind::Copy).nth(1), FaultKind::HangsApplied);
    w.s3().after(Matcher::of(Kind::Copy).nth(1), Mutation::put("b/x", version(2), 20));
    let (process, handle, machines) = (w.process(), w.handle(), w.machines().clone());
    let renaming = async move { process.rename("/a", "/b", false).await };
    let dying = async move {
        handle.sleep(Duration::from_millis(500)).await;
        machines.crash(0);
    };
    let (renamed, ()) = w.run(join(renaming, dying));
    assert!(renamed.is_err());
    w.wait(Duration::from_secs(10));
    assert_eq!(w.app().cat("/b/x"), Ok(version(2)), "what came since stays");
    assert_eq!(
        w.s3().bucket().current("a/x").map(|object| object.content.size()),
        Some(10),
        "and so does what has no place"
    );
}

/// What others have put in the way meanwhile is no copy, though they have given it the same attributes.
#[test]
fn what_is_put_in_the_way_of_a_rename_with_equal_attributes_is_not_taken_for_its_copy() {
    let mut w = World::writable();
    let user = BTreeMap::from([("mtime".to_string(), "1700000000".to_string())]);
    let put = |key: &str, number| Mutation::Put {
        key: key.into(),
        version: version(number),
        size: 10,
        object: NewObject { user: user.clone(), ..NewObject::default() },
    };
    w.s3().apply(put("a/x", 1));
    w.s3().before(Matcher::of(Kind::Copy).nth(1), put("b/x", 2));
    assert_eq!(w.app().rename("/a", "/b"), Err(Errno::ENOTEMPTY));
    let size = |key: &str| w.s3().bucket().current(key).map(|object| object.content.size());
    assert_eq!((size("a/x"), size("b/x")), (Some(10), Some(10)), "neither is lost");
}

/// Neither a torn file nor the empty one of O_TRUNC is published because its directory is renamed.
#[test]
fn the_rename_of_a_directory_publishes_nothing_that_is_being_written() {
    for half in ["", "ha"] {
        let mut w = World::writable();
        w.app().mkdir("/d").unwrap();
        w.app().save("/d/a", "whole").unwrap();
        let file = w.app().open_truncated("/d/a");
        if !half.is_empty() {
            w.app().write(file, half);
        }
        let puts_before = puts(&w);
        assert_eq!(w.app().rename("/d", "/e"), Ok(()));
        assert_eq!(puts(&w), puts_before, "nobody has closed it");
        assert_eq!((object(&w, "d/a"), object(&w, "e/a").map(text)), (None, Some("whole".into())));
        w.app().write(file, "lf");
        w.app().close(file);
        assert_eq!(object(&w, "e/a").map(text), Some(format!("{half}lf")));
        assert_eq!((object(&w, "d/a"), w.disk().kept().len()), (None, 0));
    }
}

/// A directory of a large file, of which its opener has read little, and of another file.
fn a_directory_of_two() -> World {
    let w = World::writable();
    w.s3().put("d/a", version(1), 64 * MIB);
    w.s3().put("d/b", version(1), 10);
    w
}

/// Here and there, until nothing is read ahead for him any more.
fn read_at_random(w: &mut World, file: File) {
    for at in [50, 10, 30, 5, 45, 20, 40, 15, 55, 25, 35, 12] {
        w.app().read(file, at * MIB..at * MIB + 4096);
    }
}

#[test]
fn what_is_written_for_the_first_time_while_its_directorys_rename_ends_is_published_at_its_new_place() {
    let mut w = a_directory_of_two();
    let file = w.app().open_rw("/d/a");
    w.app().read(file, 0..4096);
    // What leads the reader on, after all keys have moved.
    w.s3().fault(Matcher::of(Kind::Get).key("e/a").nth(1), FaultKind::Delayed(Duration::from_secs(1)));
    let (renamer, writer, handle) = (w.process(), w.process(), w.handle());
    let renaming = async move { renamer.rename("/d", "/e", false).await };
    let writing = async move {
        handle.sleep(Duration::from_millis(500)).await;
        writer.pwrite(file, 0, bytes::Bytes::from_static(b"new")).await
    };
    let (renamed, written) = w.run(join(renaming, writing));
    assert_eq!((renamed, written), (Ok(()), Ok(3)));
    assert_eq!(w.app().try_close(file), Ok(()));
    assert_eq!(object(&w, "e/a").unwrap()[..3], *b"new");
    assert_eq!((object(&w, "d/a"), w.disk().kept().len()), (None, 0));
}

#[test]
fn who_reads_a_file_whose_key_has_moved_while_others_of_its_directory_have_not_goes_on() {
    let mut w = a_directory_of_two();
    let file = w.app().open("/d/a");
    read_at_random(&mut w, file);
    w.s3().fault(Matcher::of(Kind::Copy).key("e/b").nth(1), FaultKind::Delayed(Duration::from_secs(5)));
    let (renamer, reader, handle) = (w.process(), w.process(), w.handle());
    let renaming = async move { renamer.rename("/d", "/e", false).await };
    let reading = async move {
        handle.sleep(Duration::from_secs(2)).await;
        reader.pread(file, 60 * MIB..60 * MIB + 4096).await
    };
    let (renamed, read) = w.run(join(renaming, reading));
    assert_eq!((renamed, read), (Ok(()), Ok(version(1))));
}

#[test]
fn who_has_open_what_a_rename_that_failed_has_moved_reads_and_writes_it_where_it_is() {
    let mut w = a_directory_of_two();
    let (reader, writer) = (w.app().open("/d/a"), w.app().open_rw("/d/a"));
    read_at_random(&mut w, reader);
    w.s3().fault(Matcher::of(Kind::Copy).key("e/b"), FaultKind::refused(ErrorKind::AccessDenied));
    assert_eq!(w.app().rename("/d", "/e"), Err(Errno::EACCES));
    assert!(w.s3().bucket().current("d/a").is_none() && w.s3().bucket().current("e/a").is_some());
    assert_eq!(w.app().pread(reader, 60 * MIB..60 * MIB + 4096), Ok(version(1)));
    w.app().pwrite(writer, 0, "new");
    assert_eq!(w.app().try_close(writer), Ok(()));
    assert_eq!(object(&w, "e/a").unwrap()[..3], *b"new");
}

#[test]
fn the_copy_of_a_rename_that_gave_up_replaces_nothing_that_came_since() {
    for target in [None, Some(20)] {
        let mut w = World::new(WorldConfig::calm().writable().mounted(|config| {
            config.deadline = Duration::from_secs(1);
            config.attempt_timeout = Duration::from_secs(1);
        }));
        w.s3().put("f", version(1), 10);
        if let Some(size) = target {
            w.s3().put("g", version(1), size);
        }
        w.s3().fault(Matcher::of(Kind::Copy).nth(1), FaultKind::AppliedLate(Duration::from_secs(6)));
        // Until the deadline.
        w.s3().fault(Matcher::of(Kind::Copy).nth(2), FaultKind::Hangs);
        assert_eq!(w.app().rename("/f", "/g"), Err(Errno::EIO));
        w.wait(Duration::from_secs(1));
        w.app().save("/g", "saved").unwrap();
        w.wait(Duration::from_secs(10));
        assert_eq!(object(&w, "g").map(text), Some("saved".into()), "target: {target:?}");
        assert_eq!(object(&w, "f").map(|f| f.len()), Some(10));
    }
}

#[test]
fn who_reads_what_o_trunc_replaces_goes_on_when_the_directory_is_renamed() {
    let mut w = World::writable();
    w.s3().put("d/a", version(1), 64 * MIB);
    let reader = w.app().open("/d/a");
    read_at_random(&mut w, reader);
    let writer = w.app().open_truncated("/d/a");
    w.app().write(writer, "new");
    assert_eq!(w.app().rename("/d", "/e"), Ok(()));
    assert_eq!(w.app().pread(reader, 60 * MIB..60 * MIB + 4096), Ok(version(1)));
    w.app().close(writer);
    assert_eq!(w.app().pread(reader, 62 * MIB..62 * MIB + 4096), Ok(version(1)), "nor does the publication take it");
    assert_eq!(object(&w, "e/a").map(text), Some("new".into()));
}

#[test]
fn a_directory_of_what_is_not_published_yet_is_one_also_where_nothing_is_remembered() {
    let mut w = World::new(WorldConfig::calm().writable().mounted(|config| {
        (config.metadata_ttl, config.negative_metadata_ttl) = (Duration::ZERO, Duration::ZERO);
    }));
    w.s3().put("d/a", version(1), 10);
    let file = w.app().create("/d/b");
    w.app().write(file, "hello");
    assert_eq!(w.app().unlink("/d/a"), Ok(()));
    assert_eq!(w.app().rmdir("/d"), Err(Errno::ENOTEMPTY));
    assert_eq!(w.app().rename("/d", "/e"), Ok(()));
    w.app().close(file);
    assert_eq!(object(&w, "e/b").map(text), Some("hello".into()));
}

/// Nothing is moved where something could not be.
#[test]
fn a_directory_is_not_renamed_to_where_a_key_beneath_would_be_too_long() {
    let mut w = World::writable();
    let long = "n".repeat(255);
    let deep = format!("d/{long}/{long}/{long}/{}", "m".repeat(200));
    w.s3().put("d/a", version(1), 10);
    w.s3().put(deep.as_str(), version(1), 10);
    assert_eq!(w.app().rename("/d", &format!("/{}", "e".repeat(100))), Err(Errno::ENAMETOOLONG));
    assert_eq!(
        (object(&w, "d/a").map(|bytes| bytes.len()), object(&w, &deep).map(|bytes| bytes.len())),
        (Some(10), Some(10))
    );
}

/// Whoever syncs files beneath again and again does not keep a directory from being renamed.
#[test]
fn a_directorys_rename_waits_for_none_that_come_after_it() {
    let mut w = World::writable();
    w.app().mkdir("/d").unwrap();
    let files: Vec<_> = (0..6).map(|n| w.app().create(&format!("/d/{n}"))).collect();
    let (renamer, handle) = (w.process(), w.handle());
    let renaming = async move {
        handle.sleep(Duration::from_millis(500)).await;
        let began = handle.now();
        let renamed = renamer.rename("/d", "/e", false).await;
        (renamed, handle.now().since(began))
    };
    let syncers: Vec<_> = files.iter().map(|file| (w.process(), *file)).collect();
    let syncing = join_all(syncers.into_iter().map(|(process, file)| async move {
        for n in 0..100_u64 {
            process.pwrite(file, n, bytes::Bytes::from_static(b"x")).await.unwrap();
            process.fsync(file).await.unwrap();
        }
    }));
    let ((renamed, took), _) = w.run(join(renaming, syncing));
    assert_eq!(renamed, Ok(()));
    assert!(took < Duration::from_secs(2), "{took:?}");
    files.into_iter().for_each(|file| w.app().close(file));
    assert_eq!(object(&w, "e/5").map(|bytes| bytes.len()), Some(100));
}

/// Nobody who looks by the old path, or saves by it, meets a directory that is half gone.
#[test]
fn who_looks_or_saves_by_the_old_path_while_the_directory_is_renamed_finds_the_file_where_it_is_by_then() {
    for saves in [false, true] {
        let mut w = World::writable();
        w.s3().put("d/a", version(1), 5);
        w.s3().put("d/x", version(1), 500);
        w.s3().fault(Matcher::of(Kind::Copy).key("e/a").nth(1), FaultKind::Delayed(Duration::from_secs(5)));
        let file = w.app().open_rw("/d/x");
        let (renamer, other, handle) = (w.process(), w.process(), w.handle());
        let renaming = async move { renamer.rename("/d", "/e", false).await };
        let looking = async move {
            handle.sleep(Duration::from_secs(2)).await;
            match saves {
                true => other.save("/d/x", 10).await,
                false => other.stat("/d/x").await.map(drop),
            }
        };
        let (renamed, looked) = w.run(join(renaming, looking));
        assert_eq!((renamed, looked), (Ok(()), Ok(())), "saves: {saves}");
        if !saves {
            w.app().pwrite(file, 0, "new");
            assert_eq!(w.app().try_close(file), Ok(()));
        }
        let there = object(&w, "e/x").unwrap();
        assert_eq!((there.len(), saves || there.starts_with(b"new")), (if saves { 10 } else { 500 }, true));
        assert_eq!((object(&w, "d/x"), w.disk().kept().len()), (None, 0));
    }
}

/// Nothing is left beneath the old name when somebody looks, and the rename is not over.
#[test]
fn a_directory_that_is_looked_up_as_its_rename_ends_is_the_same_one_afterwards() {
    let mut w = World::writable();
    w.s3().put("d/x", version(1), 500);
    let file = w.app().open_rw("/d/x");
    w.s3().fault(Matcher::of(Kind::Delete).key("d/x").nth(1), FaultKind::HangsApplied);
    let (renamer, other, handle) = (w.process(), w.process(), w.handle());
    let renaming = async move { renamer.rename("/d", "/e", false).await };
    let looking = async move {
        handle.sleep(Duration::from_secs(3)).await;
        other.stat("/d").await.map(drop)
    };
    let (renamed, looked) = w.run(join(renaming, looking));
    assert_eq!((renamed, looked), (Ok(()), Err(Errno::ENOENT)));
    w.app().pwrite(file, 0, "new");
    let again = w.app().open("/e/x");
    assert_eq!(w.app().read_bytes(again, 0..3), Ok(b"new".to_vec()), "it is the same file");
    w.app().close(again);
    assert_eq!(w.app().try_close(file), Ok(()));
    assert_eq!(object(&w, "e/x").map(|bytes| bytes[..3].to_vec()), Some(b"new".to_vec()));
}
