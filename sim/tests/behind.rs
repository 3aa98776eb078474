//! Stories of `--write-back`: what close leaves in the journal, what is published behind it, and what a crash leaves to the
//! next mount.
//!
//! The rules are those of docs/semantics.md and of decision 13. In every one of them the oracles judge besides.

use std::time::Duration;

use futures_util::future::join;
use holdfast::config::{OnConflict, PUBLICATIONS_BEHIND_AT_ONCE};
use holdfast::env::store::ErrorKind;
use holdfast::error::Errno;
use holdfast::op::OpenMode;
use holdfast_sim::disk::{DiskFault, DiskOp};
use holdfast_sim::kernel::OpenHow;
use holdfast_sim::store::{FaultKind, Kind, Matcher};
use holdfast_sim::{MIB, World, WorldConfig, version};

fn world() -> World {
    World::new(WorldConfig::calm().writable().mounted(|config| config.write_back_max = 64 * MIB))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

fn object(w: &World, key: &str) -> Option<String> {
    w.s3().bucket().current(key).map(|object| text(object.content.to_bytes().to_vec()))
}

/// S3 refuses every PUT from now on.
fn closed_to_puts(w: &World) {
    w.s3().fault(Matcher::of(Kind::Put), FaultKind::refused(ErrorKind::Unavailable));
}

#[test]
fn close_does_not_wait_for_s3_and_everybody_here_sees_the_file_at_once() {
    let mut w = world();
    closed_to_puts(&w);
    let before = w.now();
    w.app().save("/note", "hello").unwrap();
    assert!(w.now().since(before) < Duration::from_secs(1));
    assert_eq!(w.app().content("/note").map(text), Ok("hello".into()));
    assert_eq!((object(&w, "note"), w.disk().journal().len()), (None, 1));
    w.s3().clear_faults();
    w.wait(Duration::from_secs(100));
    assert_eq!((object(&w, "note"), w.disk().journal().len()), (Some("hello".into()), 0));
}

#[test]
fn fsync_still_waits_for_s3() {
    let mut w = world();
    let note = w.app().create("/note");
    w.app().write(note, "hello");
    w.app().fsync(note).unwrap();
    assert_eq!(object(&w, "note"), Some("hello".into()));
    w.app().close(note);
}

#[test]
fn what_was_closed_before_a_crash_is_published_by_the_next_mount_before_anybody_looks() {
    let mut w = world();
    closed_to_puts(&w);
    w.app().save("/note", "hello").unwrap();
    w.machines().crash(0);
    w.s3().clear_faults();
    assert_eq!(w.app().content("/note").map(text), Ok("hello".into()));
    assert_eq!((object(&w, "note"), w.disk().journal().len()), (Some("hello".into()), 0));
}

#[test]
fn only_the_last_of_two_closes_is_published_after_a_crash() {
    let mut w = world();
    closed_to_puts(&w);
    w.app().save("/note", "first").unwrap();
    w.app().save("/note", "second").unwrap();
    assert_eq!(w.disk().journal().len(), 1);
    w.machines().crash(0);
    w.s3().clear_faults();
    assert_eq!(w.app().content("/note").map(text), Ok("second".into()));
}

#[test]
fn what_was_closed_is_published_as_it_was_then_whatever_is_written_since() {
    let mut w = world();
    closed_to_puts(&w);
    w.app().save("/note", "first").unwrap();
    let note = w.app().open_truncated("/note");
    w.s3().clear_faults();
    w.wait(Duration::from_secs(100));
    assert_eq!(object(&w, "note"), Some("first".into()), "not empty, as it is for its writer");
    w.app().write(note, "sec");
    w.wait(Duration::from_secs(100));
    assert_eq!(object(&w, "note"), Some("first".into()), "nor half of what comes");
    w.app().write(note, "ond");
    w.app().close(note);
    w.wait(Duration::from_secs(100));
    assert_eq!(object(&w, "note"), Some("second".into()));
}

#[test]
fn a_publication_whose_answer_the_crash_cut_off_is_recognised() {
    let mut w = world();
    w.s3().fault(Matcher::of(Kind::Put).nth(1), FaultKind::HangsApplied);
    w.app().save("/note", "hello").unwrap();
    w.wait(Duration::from_secs(1));
    assert_eq!((object(&w, "note"), w.disk().journal().len()), (Some("hello".into()), 1));
    let puts = w.s3().requests().of(Kind::Put);
    w.machines().crash(0);
    assert_eq!(w.app().content("/note").map(text), Ok("hello".into()));
    assert_eq!((w.s3().requests().of(Kind::Put), w.disk().journal().len(), w.disk().kept().len()), (puts, 0, 0));
}

#[test]
fn what_was_closed_after_such_a_publication_goes_over_it() {
    let mut w = world();
    w.s3().fault(Matcher::of(Kind::Put).nth(1), FaultKind::HangsApplied);
    w.app().save("/note", "first").unwrap();
    w.wait(Duration::from_secs(1));
    w.app().save("/note", "second").unwrap();
    assert_eq!(object(&w, "note"), Some("first".into()));
    w.machines().crash(0);
    assert_eq!(w.app().content("/note").map(text), Ok("second".into()));
    assert_eq!((object(&w, "note"), w.disk().kept().len()), (Some("second".into()), 0));
}

#[test]
fn what_was_removed_is_not_published_by_the_next_mount() {
    let mut w = world();
    closed_to_puts(&w);
    w.app().save("/note", "hello").unwrap();
    w.app().unlink("/note").unwrap();
    assert_eq!(w.disk().journal().len(), 0);
    w.machines().crash(0);
    w.s3().clear_faults();
    assert_eq!(w.app().stat("/note").map(|attr| attr.size), Err(Errno::ENOENT));
}

#[test]
fn what_somebody_else_changed_meanwhile_is_kept_after_a_crash_as_before_one() {
    for crashes in [false, true] {
        let mut w = world();
        closed_to_puts(&w);
        w.app().save("/note", "mine").unwrap();
        w.wait(Duration::from_secs(1));
        w.s3().put("note", holdfast_sim::version(1), 10);
        if crashes {
            w.machines().crash(0);
        }
        w.s3().clear_faults();
        w.wait(Duration::from_secs(200));
        let kept = w.disk().kept();
        assert_eq!(kept.len(), 1, "crashes: {crashes}");
        assert_eq!(&kept[0].bytes[..], b"mine");
        assert_eq!(w.disk().journal().len(), 0);
        assert_eq!(w.app().cat("/note"), Ok(holdfast_sim::version(1)));
    }
}

#[test]
fn an_edit_of_a_large_object_is_published_after_a_crash_with_the_rest_of_it() {
    let mut w = world();
    w.s3().put("film", holdfast_sim::version(1), 30 * MIB);
    let mut bytes = w.s3().bucket().current("film").unwrap().content.to_bytes().to_vec();
    w.s3().fault(Matcher::of(Kind::CreateUpload), FaultKind::refused(ErrorKind::Unavailable));
    let film = w.app().open_rw("/film");
    w.app().pwrite(film, 10 * MIB, "edited");
    w.app().close(film);
    bytes[10 * MIB as usize..][..6].copy_from_slice(b"edited");
    assert!(w.disk().journal()[0].bytes.len() as u64 <= 10 * MIB + 6, "only what was written");
    w.machines().crash(0);
    w.s3().clear_faults();
    assert_eq!(w.app().content("/film"), Ok(bytes));
    assert_eq!(w.disk().journal().len(), 0);
}

#[test]
fn a_close_for_which_the_journal_has_no_room_waits_for_s3() {
    let mut w = world();
    w.disk().fault(DiskFault { op: DiskOp::Create, nth: None, error: holdfast::env::DiskError::Full });
    w.app().save("/note", "hello").unwrap();
    assert_eq!((object(&w, "note"), w.disk().journal().len()), (Some("hello".into()), 0));
    w.disk().clear_faults();
    let large = vec![7; 65 * MIB as usize];
    w.app().save("/large", large).unwrap();
    assert_eq!(w.s3().bucket().current("large").map(|object| object.content.size()), Some(65 * MIB));
}

#[test]
fn a_rename_and_a_truncation_by_path_publish_before_they_return() {
    let mut w = world();
    w.app().save("/a", "hello").unwrap();
    w.app().rename("/a", "/b").unwrap();
    assert_eq!((object(&w, "a"), object(&w, "b")), (None, Some("hello".into())));
    w.app().save("/b", "hello again").unwrap();
    w.app().truncate("/b", 5).unwrap();
    assert_eq!(object(&w, "b"), Some("hello".into()));
    w.wait(Duration::from_secs(1));
    assert_eq!(w.disk().journal().len(), 0);
}

#[test]
fn an_append_that_was_closed_again_while_the_one_before_was_published_is_whole_after_a_crash() {
    for crash_after_ms in [0, 5, 10, 15, 20, 30, 40, 60, 100] {
        let mut w = world();
        w.s3().put("log", holdfast_sim::version(1), 20 * MIB + 777);
        let mut bytes = w.s3().bucket().current("log").unwrap().content.to_bytes().to_vec();
        for record in ["one.", "two.", "three.", "four."] {
            let log = w.app().append("/log");
            w.app().write(log, record);
            w.app().close(log);
            bytes.extend_from_slice(record.as_bytes());
            w.wait(Duration::from_millis(7));
        }
        w.wait(Duration::from_millis(crash_after_ms));
        w.machines().crash(0);
        assert_eq!(w.app().stat("/log").map(|attr| attr.size), Ok(bytes.len() as u64));
        assert!(w.app().content("/log") == Ok(bytes), "crashed after {crash_after_ms} ms");
        assert_eq!((w.disk().journal().len(), w.disk().kept().len()), (0, 0));
    }
}

/// A world whose requests are given up after a second, so that a publication comes to be in doubt.
fn impatient() -> World {
    World::new(WorldConfig::calm().writable().mounted(|config| {
        config.write_back_max = 64 * MIB;
        config.deadline = Duration::from_secs(1);
        config.attempt_timeout = Duration::from_secs(1);
    }))
}

#[test]
fn what_was_closed_is_published_as_it_was_then_also_where_an_earlier_publication_is_found_landed() {
    for crashes in [false, true] {
        let mut w = impatient();
        w.s3().fault(Matcher::of(Kind::Put).nth(1), FaultKind::HangsApplied);
        w.s3().fault(Matcher::of(Kind::Put).nth(2), FaultKind::Hangs);
        w.app().save("/note", "first").unwrap();
        w.app().save("/note", "second").unwrap();
        w.wait(Duration::from_millis(2400));
        let note = w.app().open_truncated("/note");
        w.app().write(note, "th");
        w.wait(Duration::from_millis(1500));
        // The retry has found the first one: what goes over it is what was closed last, and not what is being written.
        assert_eq!(object(&w, "note"), Some("second".into()), "crashes: {crashes}");
        if crashes {
            w.machines().crash(0);
            assert_eq!(w.app().content("/note").map(text), Ok("second".into()));
        } else {
            w.app().write(note, "ird");
            w.app().close(note);
            w.wait(Duration::from_secs(100));
            assert_eq!(object(&w, "note"), Some("third".into()));
            assert_eq!((w.disk().journal().len(), w.disk().kept().len()), (0, 0));
        }
    }
}

#[test]
fn who_has_open_what_was_closed_and_is_not_published_yet_keeps_it() {
    let mut w = world();
    w.s3().fault(Matcher::of(Kind::Put).nth(1), FaultKind::Delayed(Duration::from_secs(3)));
    w.app().save("/note", "first").unwrap();
    let reader = w.app().open("/note");
    let writer = w.app().open_truncated("/note");
    assert_eq!(w.app().fstat(reader).size, 5);
    assert_eq!(w.app().read_bytes(reader, 0..10).map(text), Ok("first".into()));
    w.app().write(writer, "second");
    w.app().close(writer);
    assert_eq!(w.app().read_bytes(reader, 0..10).map(text), Ok("first".into()));
    w.wait(Duration::from_secs(100));
    assert_eq!((object(&w, "note"), w.disk().journal().len()), (Some("second".into()), 0));
    w.app().close(reader);
}

#[test]
fn of_two_entries_of_one_file_the_next_mount_publishes_the_later_one() {
    let mut of_both = 0;
    for at_ms in (20..400).step_by(10) {
        let mut config = WorldConfig::calm().writable().mounted(|config| config.write_back_max = 64 * MIB);
        let slow = Duration::from_millis(50);
        config.disk.latency = slow..=slow;
        let mut w = World::new(config);
        closed_to_puts(&w);
        w.app().save("/note", "first").unwrap();
        let note = w.app().open_truncated("/note");
        w.app().write(note, "second");
        // The entry is made, written and finished; then the one before is removed.
        let (closer, handle, machines) = (w.process(), w.handle(), w.machines().clone());
        let closing = async move { closer.close(note).await };
        let dying = async move {
            handle.sleep(Duration::from_millis(at_ms)).await;
            machines.crash(0);
        };
        w.run(join(closing, dying)).0.ok();
        let entries = w.disk().journal().len();
        w.s3().clear_faults();
        w.wait(Duration::from_secs(10));
        if entries == 2 {
            of_both += 1;
            assert_eq!((object(&w, "note"), w.disk().kept().len()), (Some("second".into()), 0), "at {at_ms} ms");
        }
        assert_eq!(w.disk().journal().len(), 0, "at {at_ms} ms");
    }
    assert!(of_both > 0);
}

fn on_conflict(what: OnConflict) -> World {
    World::new(WorldConfig::calm().writable().mounted(|config| {
        config.write_back_max = 64 * MIB;
        config.on_conflict = what;
    }))
}

#[test]
fn what_was_closed_and_conflicts_is_put_beside_as_it_was_then_whatever_is_written_since() {
    let mut w = on_conflict(OnConflict::KeepBoth);
    w.app().save("/note", "base").unwrap();
    w.wait(Duration::from_secs(1));
    closed_to_puts(&w);
    w.app().save("/note", "mine").unwrap();
    w.s3().put("note", version(1), 10);
    let writer = w.app().open_truncated("/note");
    w.app().write(writer, "ha");
    w.s3().clear_faults();
    w.wait(Duration::from_secs(100));
    let beside = |w: &World| {
        let bucket = w.s3().bucket();
        let beside = bucket.objects().filter(|(key, _)| key.as_str().starts_with("note.conflict-"));
        beside.map(|(_, object)| text(object.content.to_bytes().to_vec())).collect::<Vec<_>>()
    };
    let kept: Vec<_> = w.disk().kept().iter().map(|kept| text(kept.bytes.to_vec())).collect();
    assert!(beside(&w).contains(&"mine".into()) || kept.contains(&"mine".into()), "{:?} {kept:?}", beside(&w));
    assert!(!beside(&w).contains(&"ha".into()), "half of what is being written");
    // What is written since is published beside, too, or kept, or refused.
    let written = w.app().try_write(writer, "lf");
    let closed = w.app().try_close(writer);
    w.wait(Duration::from_secs(100));
    let kept: Vec<_> = w.disk().kept().iter().map(|kept| text(kept.bytes.to_vec())).collect();
    let saved = beside(&w).contains(&"half".into()) || kept.contains(&"half".into());
    assert!(saved || written.is_err() || closed.is_err());
    assert_eq!(w.app().cat("/note"), Ok(version(1)));
}

#[test]
fn a_partial_edit_that_was_to_replace_anything_is_taken_up_by_the_next_mount() {
    let mut w = on_conflict(OnConflict::Overwrite);
    w.s3().put("note", version(1), 20);
    let note = w.app().open_rw("/note");
    w.app().read(note, 0..20);
    w.app().pwrite(note, 0, "one");
    w.s3().put("note", version(2), 20);
    // The first finds the conflict; the second, which would replace anything, is never answered.
    w.s3().fault(Matcher::of(Kind::Put).nth(2), FaultKind::Hangs);
    w.app().close(note);
    w.wait(Duration::from_secs(1));
    let note = w.app().open_rw("/note");
    w.app().pwrite(note, 4, "two");
    w.app().close(note);
    assert_eq!(w.disk().journal().len(), 1);
    w.machines().crash(0);
    w.s3().clear_faults();
    w.wait(Duration::from_secs(10));
    // What was not written is of a version that is gone: it is kept, or stands over what is there.
    let edited = |bytes: &[u8]| bytes.len() == 20 && &bytes[..3] == b"one" && &bytes[4..7] == b"two";
    let stands = w.s3().bucket().current("note").is_some_and(|object| edited(&object.content.to_bytes()));
    let kept = w.disk().kept();
    assert!(stands || kept.iter().any(|kept| edited(&kept.bytes)));
    assert_eq!(w.disk().journal().len(), 0);
}

/// A rename over a file copied and could not remove its source, and the mount died: what was closed of the file that was there is
/// not published over the bytes of the one that took its place.
#[test]
fn what_is_left_of_a_file_that_a_rename_has_half_replaced_is_not_mixed_with_what_replaced_it() {
    let mut w = world();
    w.s3().put("b", version(1), 10);
    w.s3().put("a", version(2), 10);
    closed_to_puts(&w);
    let file = w.app().open_rw("/b");
    w.app().write(file, "XX");
    w.app().close(file);
    assert_eq!(w.disk().journal().len(), 1);
    w.s3().fault(Matcher::of(Kind::Delete), FaultKind::refused(ErrorKind::AccessDenied));
    assert_eq!(w.app().rename("/a", "/b"), Err(Errno::EACCES));
    let bytes = |w: &World, key| w.s3().bucket().current(key).map(|object| object.content.to_bytes());
    let copied = bytes(&w, "a");
    assert_eq!(bytes(&w, "b"), copied, "it was copied");
    w.machines().crash(0);
    w.s3().clear_faults();
    w.wait(Duration::from_secs(100));
    assert_eq!(bytes(&w, "b"), copied, "all of one file");
    assert_eq!((w.disk().journal().len(), w.disk().kept().len()), (0, 1), "and what was closed is kept");
}

/// A truncation by path fails while another descriptor is closed: what the close leaves is the file as Linux shows it.
#[test]
fn what_is_closed_while_a_truncation_fails_is_published_uncut() {
    for crashes in [false, true] {
        let mut w = world();
        w.s3().fault(Matcher::of(Kind::Put), FaultKind::refused(ErrorKind::Throttled));
        w.app().save("/note", "0123456789").unwrap();
        let (cutter, closer, handle) = (w.process(), w.process(), w.handle());
        let cutting = async move { cutter.truncate("/note", 4).await };
        // Nothing is written by it; what is unpublished its close puts into the journal.
        let closing = async move {
            for _ in 0..15 {
                handle.sleep(Duration::from_secs(10)).await;
                let mode = OpenMode { write: true, ..OpenMode::default() };
                let how = OpenHow { mode, ..OpenHow::default() };
                let file = closer.open_how("/note", how).await.unwrap();
                closer.close(file).await.unwrap();
            }
        };
        let (cut, ()) = w.run(join(cutting, closing));
        assert_eq!(cut, Err(Errno::EIO));
        if crashes {
            w.machines().crash(0);
        }
        w.s3().clear_faults();
        w.wait(Duration::from_secs(100));
        assert_eq!(object(&w, "note"), Some("0123456789".into()));
        assert_eq!(w.disk().journal().len(), 0);
    }
}

#[test]
fn a_mode_that_cannot_be_set_is_not_set_by_the_next_mount() {
    let mut w = World::new(WorldConfig::calm().writable().mounted(|config| {
        config.write_back_max = 64 * MIB;
        config.posix_metadata = true;
    }));
    w.s3().put("note", version(1), 20);
    w.s3().fault(Matcher::of(Kind::Copy), FaultKind::refused(ErrorKind::AccessDenied));
    w.s3().fault(Matcher::of(Kind::Copy).nth(1), FaultKind::Delayed(Duration::from_secs(2)));
    let note = w.app().open_rw("/note");
    let (setter, closer, handle) = (w.process(), w.process(), w.handle());
    let setting = async move { setter.chmod("/note", 0o600).await };
    let closing = async move {
        handle.sleep(Duration::from_secs(1)).await;
        closer.close(note).await
    };
    let (set, closed) = w.run(join(setting, closing));
    assert_eq!((set, closed), (Err(Errno::EACCES), Ok(())));
    let copies = w.s3().requests().of(Kind::Copy);
    w.machines().crash(0);
    w.s3().clear_faults();
    w.wait(Duration::from_secs(100));
    assert_eq!((w.s3().requests().of(Kind::Copy), w.disk().journal().len(), w.disk().kept().len()), (copies, 0, 0));
}

/// The object of a file has moved already, and its directory's rename is not over, when it is closed and the mount dies.
#[test]
fn what_is_closed_while_its_directory_is_renamed_is_published_where_it_is_by_then() {
    for dies_after in [3, 20].map(Duration::from_secs) {
        let mut w = world();
        w.s3().put("d/a", version(1), 5);
        w.s3().put("d/x", version(1), 50);
        w.s3().fault(Matcher::of(Kind::Copy).key("e/a").nth(1), FaultKind::Delayed(Duration::from_secs(5)));
        let x = w.app().open_rw("/d/x");
        w.app().write(x, "new");
        let (renamer, closer, handle) = (w.process(), w.process(), w.handle());
        let machines = w.machines().clone();
        let renaming = async move { renamer.rename("/d", "/e", false).await };
        let closing = {
            let handle = handle.clone();
            async move {
                handle.sleep(Duration::from_secs(1)).await;
                closer.close(x).await
            }
        };
        let dying = async move {
            handle.sleep(dies_after).await;
            machines.crash(0);
        };
        let (_, (closed, ())) = w.run(join(renaming, join(closing, dying)));
        w.s3().clear_faults();
        w.wait(Duration::from_secs(100));
        let there = w.s3().bucket().current("e/x").map(|object| object.content.to_bytes());
        let there = there.map(|bytes| (bytes.len(), bytes[..3].to_vec()));
        assert!(closed.is_err() || there == Some((50, b"new".to_vec())), "{there:?}");
        assert_eq!((w.disk().journal().len(), w.disk().kept().len()), (0, 0));
    }
}

/// The next mount does not put what a rename has replaced over what it was replaced by.
#[test]
fn what_a_rename_replaces_yields_to_it_also_where_conflicts_are_overwritten() {
    let mut w = on_conflict(OnConflict::Overwrite);
    w.s3().fault(Matcher::of(Kind::Put).key("to"), FaultKind::refused(ErrorKind::Throttled));
    w.app().save("/to", "old").unwrap();
    w.app().save("/tmp", "new").unwrap();
    w.s3().fault(Matcher::of(Kind::Delete).key("tmp"), FaultKind::HangsApplied);
    let (renamer, handle, machines) = (w.process(), w.handle(), w.machines().clone());
    let renaming = async move { renamer.rename("/tmp", "/to", false).await };
    let dying = async move {
        handle.sleep(Duration::from_secs(70)).await;
        machines.crash(0);
    };
    let (_, ()) = w.run(join(renaming, dying));
    w.s3().clear_faults();
    w.wait(Duration::from_secs(100));
    assert_eq!((object(&w, "to"), object(&w, "tmp")), (Some("new".into()), None));
    assert_eq!(w.disk().journal().len(), 0);
}

#[test]
fn what_is_closed_is_published_behind_a_few_at_a_time() {
    let mut w = world();
    w.s3().fault(Matcher::of(Kind::Put), FaultKind::Hangs);
    for n in 0..100 {
        w.app().save(&format!("/{n}"), "hello").unwrap();
    }
    w.wait(Duration::from_secs(2));
    assert_eq!(w.s3().requests().of(Kind::Put), PUBLICATIONS_BEHIND_AT_ONCE as u64);
    w.s3().clear_faults();
    w.wait(Duration::from_secs(200));
    assert_eq!((object(&w, "99"), w.disk().journal().len()), (Some("hello".into()), 0));
}

#[test]
fn what_is_closed_while_a_rename_replaces_it_yields_to_it_too() {
    let mut w = on_conflict(OnConflict::Overwrite);
    w.app().save("/to", "old").unwrap();
    w.app().save("/tmp", "new").unwrap();
    w.wait(Duration::from_secs(5));
    let to = w.app().open_truncated("/to");
    w.app().write(to, "mine");
    w.s3().fault(Matcher::of(Kind::Copy).key("to").nth(1), FaultKind::Delayed(Duration::from_secs(2)));
    w.s3().fault(Matcher::of(Kind::Delete).key("tmp"), FaultKind::HangsApplied);
    let (renamer, closer, handle, machines) = (w.process(), w.process(), w.handle(), w.machines().clone());
    let renaming = async move { renamer.rename("/tmp", "/to", false).await };
    let closing = async move {
        handle.sleep(Duration::from_secs(1)).await;
        let closed = closer.close(to).await;
        handle.sleep(Duration::from_secs(4)).await;
        machines.crash(0);
        closed
    };
    let (_, closed) = w.run(join(renaming, closing));
    assert_eq!(closed, Ok(()));
    w.s3().clear_faults();
    w.wait(Duration::from_secs(100));
    assert_eq!((object(&w, "to"), object(&w, "tmp")), (Some("new".into()), None));
}
