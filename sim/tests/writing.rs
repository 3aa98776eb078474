//! Stories of writing: what processes of one mount see of each other, what others see, and what becomes of what is lost.
//!
//! The rules are those of docs/semantics.md and of decision 10. In every one of them the oracles judge besides.

use std::time::Duration;

use holdfast::error::Errno;
use holdfast_sim::store::{FaultKind, Kind, Matcher};
use holdfast_sim::{KIB, MIB, World, WorldConfig, version};

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

/// The bucket's bytes of a key.
fn object(w: &World, key: &str) -> Option<Vec<u8>> {
    w.s3().bucket().current(key).map(|object| object.content.to_bytes().to_vec())
}

fn two_mounts() -> World {
    World::new(WorldConfig { mounts: 2, ..WorldConfig::calm().writable() })
}

fn names(w: &mut World, mount: u8, directory: &str) -> Vec<String> {
    let mut names = w.app_on(mount).readdir(directory).expect("it is there");
    names.sort();
    names
}

fn puts(w: &World) -> u64 {
    w.s3().requests().of(Kind::Put)
}

#[test]
fn what_is_written_is_read_back_before_and_after_its_close() {
    let mut w = World::writable();
    let file = w.app().create("/note");
    w.app().write(file, "hello");
    assert_eq!(w.app().read_bytes(file, 0..100).map(text), Ok("hello".into()));
    assert_eq!(w.app().fstat(file).size, 5);
    w.app().close(file);
    assert_eq!(w.app().content("/note").map(text), Ok("hello".into()));
    assert_eq!(w.app().stat("/note").unwrap().size, 5);
}

#[test]
fn a_new_file_is_one_put() {
    let mut w = World::writable();
    w.app().save("/note", "hello").unwrap();
    assert_eq!(puts(&w), 1);
    assert_eq!(object(&w, "note").map(text), Some("hello".into()));
    assert_eq!(w.s3().requests().of(Kind::CreateUpload), 0);
}

#[test]
fn nobody_else_sees_a_new_file_before_its_close_and_everybody_sees_all_of_it_after() {
    let mut w = two_mounts();
    let file = w.app().create("/note");
    w.app().write(file, vec![1; 100_000]);
    assert_eq!(w.app_on(1).stat("/note").map(|attr| attr.size), Err(Errno::ENOENT));
    assert_eq!(w.app().stat("/note").map(|attr| attr.size), Ok(100_000));
    assert_eq!(object(&w, "note"), None);
    w.app().close(file);
    w.wait(Duration::from_secs(2));
    assert_eq!(w.app_on(1).content("/note"), Ok(vec![1; 100_000]));
}

#[test]
fn a_listing_shows_a_file_that_is_not_closed_yet_on_its_own_mount_only() {
    let mut w = two_mounts();
    w.s3().put("d/there", version(1), 10);
    let file = w.app().create("/d/new");
    assert_eq!(names(&mut w, 0, "/d"), ["new", "there"]);
    assert_eq!(names(&mut w, 1, "/d"), ["there"]);
    w.app().close(file);
    assert_eq!(names(&mut w, 1, "/d"), ["new", "there"]);
}

#[test]
fn an_overwrite_does_not_disturb_who_has_the_old_file_open() {
    let mut w = World::writable();
    w.s3().put("film", version(1), 3 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    w.app().save("/film", "short").unwrap();
    assert_eq!(w.app().content("/film").map(text), Ok("short".into()));
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
    assert_eq!(w.app().fstat(film).size, 3 * MIB);
}

#[test]
fn the_second_of_two_mounts_that_edit_one_object_is_told() {
    let mut w = two_mounts();
    w.app().save("/note", "base").unwrap();
    w.wait(Duration::from_secs(2));
    let mine = w.app().open_rw("/note");
    let yours = w.app_on(1).open_rw("/note");
    w.app().pwrite(mine, 0, "mine");
    w.app_on(1).pwrite(yours, 0, "your");
    w.app().close(mine);
    assert_eq!(w.app_on(1).try_close(yours), Err(Errno::ESTALE));
    assert_eq!(object(&w, "note").map(text), Some("mine".into()));
    let kept = w.disk_of(1).kept();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!((kept[0].name.as_str(), &kept[0].bytes[..]), ("note", &b"your"[..]));
    assert!(kept[0].sidecar.starts_with('{'), "{}", kept[0].sidecar);
    assert_eq!(w.app_on(1).content("/note").map(text), Ok("mine".into()));
}

#[test]
fn a_new_file_does_not_replace_one_that_came_meanwhile() {
    let mut w = World::writable();
    let file = w.app().create("/note");
    w.app().write(file, "mine");
    w.s3().put("note", version(1), 10);
    assert_eq!(w.app().try_close(file), Err(Errno::ESTALE));
    assert_eq!(w.disk().kept().len(), 1);
    w.wait(Duration::from_secs(2));
    assert_eq!(w.app().cat("/note"), Ok(version(1)));
}

#[test]
fn a_lost_answer_is_no_conflict() {
    let mut w = World::writable();
    w.s3().fault(Matcher::of(Kind::Put).nth(1), FaultKind::AnswerLost);
    w.app().save("/note", "hello").unwrap();
    assert_eq!(object(&w, "note").map(text), Some("hello".into()));
    w.s3().fault(Matcher::of(Kind::Put).nth(1), FaultKind::AnswerLost);
    w.app().save("/note", "hello again").unwrap();
    assert_eq!(object(&w, "note").map(text), Some("hello again".into()));
    assert!(w.disk().kept().is_empty());
}

#[test]
fn an_fsync_that_fails_may_be_tried_again() {
    let mut w = World::new(WorldConfig::calm().writable().mounted(|config| {
        config.deadline = Duration::from_secs(5);
        config.attempt_timeout = Duration::from_secs(1);
    }));
    let file = w.app().create("/note");
    w.app().write(file, "hello");
    w.s3().down();
    assert_eq!(w.app().fsync(file), Err(Errno::EIO));
    assert_eq!(w.app().read_bytes(file, 0..10).map(text), Ok("hello".into()));
    w.s3().up();
    assert_eq!(w.app().fsync(file), Ok(()));
    assert_eq!(object(&w, "note").map(text), Some("hello".into()));
    w.app().close(file);
    assert_eq!(puts(&w), w.s3().log().iter().filter(|entry| entry.asked.kind == Kind::Put).count() as u64);
}

#[test]
fn a_file_that_is_removed_while_it_is_open_is_read_on() {
    let mut w = World::writable();
    w.s3().put("film", version(1), 3 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..100 * KIB);
    w.app().unlink("/film").unwrap();
    assert_eq!(object(&w, "film"), None);
    assert_eq!(w.app().stat("/film").map(|attr| attr.size), Err(Errno::ENOENT));
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
}

#[test]
fn what_is_written_to_a_removed_file_is_published_no_more() {
    let mut w = World::writable();
    let file = w.app().create("/note");
    w.app().write(file, "hello");
    w.app().unlink("/note").unwrap();
    w.app().write(file, " there");
    assert_eq!(w.app().fsync(file), Ok(()));
    assert_eq!(w.app().read_bytes(file, 0..100).map(text), Ok("hello there".into()));
    w.app().close(file);
    assert_eq!(object(&w, "note"), None);
    assert!(w.disk().kept().is_empty());
}

#[test]
fn an_open_file_goes_on_under_its_new_name() {
    let mut w = World::writable();
    let file = w.app().create("/draft");
    w.app().write(file, "hello");
    w.app().rename("/draft", "/final").unwrap();
    w.app().write(file, " there");
    w.app().close(file);
    assert_eq!((object(&w, "draft"), object(&w, "final").map(text)), (None, Some("hello there".into())));
    assert_eq!(w.app().stat("/draft").map(|attr| attr.size), Err(Errno::ENOENT));
    assert_eq!(w.app().content("/final").map(text), Ok("hello there".into()));
}

#[test]
fn who_has_a_file_open_over_which_another_is_renamed_reads_on() {
    let mut w = World::writable();
    w.s3().put("film", version(1), 3 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..100 * KIB);
    w.app().save("/new", "hello").unwrap();
    w.app().rename("/new", "/film").unwrap();
    assert_eq!(w.app().content("/film").map(text), Ok("hello".into()));
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
    assert_eq!(object(&w, "new"), None);
}

#[test]
fn what_was_renamed_over_another_is_written_on() {
    let mut w = World::writable();
    w.s3().put("a", version(1), 0);
    w.s3().put("e/x", version(2), 2);
    w.app().rename("/a", "/e/x").unwrap();
    let file = w.app().open_rw("/e/x");
    w.app().write(file, "hello");
    w.app().close(file);
    assert_eq!(object(&w, "e/x").map(text), Some("hello".into()));
}

#[test]
fn a_rename_that_must_not_replace_does_not() {
    let mut w = World::writable();
    w.app().save("/a", "a").unwrap();
    w.app().save("/b", "b").unwrap();
    assert_eq!(w.app().rename_new("/a", "/b"), Err(Errno::EEXIST));
    assert_eq!(w.app().rename_new("/a", "/c"), Ok(()));
    assert_eq!((object(&w, "b").map(text), object(&w, "c").map(text)), (Some("b".into()), Some("a".into())));
}

#[test]
fn an_append_to_a_large_object_copies_it_within_s3() {
    let mut w = World::writable();
    w.s3().put("log", version(1), 40 * MIB);
    let log = w.app().append("/log");
    w.app().write(log, "one line more\n");
    w.app().close(log);
    assert!(w.s3().requests().of(Kind::UploadPartCopy) > 0);
    assert!(w.s3().requests().bytes_delivered < 16 * MIB, "{}", w.s3().requests().bytes_delivered);
    let published = object(&w, "log").unwrap();
    assert_eq!(published.len() as u64, 40 * MIB + 14);
    assert!(published.ends_with(b"one line more\n"));
    assert_eq!(&published[..4096], &holdfast_sim::content::piece("log", version(1), 0..4096)[..]);
}

#[test]
fn appends_come_after_one_another() {
    let mut w = World::writable();
    let (one, other) = (w.app().append("/log"), w.app().append("/log"));
    for n in 0..3 {
        w.app().write(one, format!("a{n} "));
        w.app().write(other, format!("b{n} "));
    }
    w.app().close(one);
    w.app().close(other);
    assert_eq!(object(&w, "log").map(text), Some("a0 b0 a1 b1 a2 b2 ".into()));
}

#[test]
fn a_file_is_cut_and_made_longer() {
    let mut w = World::writable();
    w.app().save("/note", "0123456789").unwrap();
    let file = w.app().open_rw("/note");
    w.app().ftruncate(file, 4).unwrap();
    w.app().ftruncate(file, 6).unwrap();
    assert_eq!(w.app().read_bytes(file, 0..100), Ok(b"0123\0\0".to_vec()));
    w.app().close(file);
    assert_eq!(object(&w, "note"), Some(b"0123\0\0".to_vec()));
    w.app().truncate("/note", 2).unwrap();
    assert_eq!(object(&w, "note"), Some(b"01".to_vec()));
    assert_eq!(w.app().stat("/note").unwrap().size, 2);
    w.app().truncate("/note", 0).unwrap();
    assert_eq!(w.app().content("/note"), Ok(Vec::new()));
}

#[test]
fn a_write_in_the_middle_of_a_large_object_keeps_the_rest() {
    let mut w = World::writable();
    w.s3().put("image", version(1), 24 * MIB);
    let image = w.app().open_rw("/image");
    w.app().pwrite(image, 12 * MIB + 5, "here");
    w.app().close(image);
    let mut wanted = holdfast_sim::content::version_bytes("image", version(1), 24 * MIB).to_vec();
    wanted[12 * MIB as usize + 5..][..4].copy_from_slice(b"here");
    assert!(object(&w, "image").unwrap() == wanted);
}

#[test]
fn a_hole_reads_as_zeros() {
    let mut w = World::writable();
    let file = w.app().create("/sparse");
    w.app().pwrite(file, 10_000, "end");
    assert_eq!(w.app().read_bytes(file, 9_998..20_000), Ok(b"\0\0end".to_vec()));
    w.app().close(file);
    assert_eq!(object(&w, "sparse").unwrap().len(), 10_003);
}

#[test]
fn the_first_close_of_two_descriptors_does_not_publish_an_empty_file() {
    let mut w = World::writable();
    let file = w.app().open_truncated("/note");
    let again = w.app().dup(file);
    w.app().close(file);
    w.app().write(again, "echo");
    w.app().close(again);
    assert_eq!(puts(&w), 1);
    assert_eq!(object(&w, "note").map(text), Some("echo".into()));
}

#[test]
fn directories_are_made_and_removed() {
    let mut w = two_mounts();
    w.app().mkdir("/d").unwrap();
    assert_eq!(w.app().mkdir("/d"), Err(Errno::EEXIST));
    assert_eq!(names(&mut w, 1, "/"), ["d/"]);
    w.app().save("/d/note", "hello").unwrap();
    assert_eq!(w.app().rmdir("/d"), Err(Errno::ENOTEMPTY));
    w.app().unlink("/d/note").unwrap();
    assert_eq!(names(&mut w, 0, "/d"), [""; 0]);
    w.app().rmdir("/d").unwrap();
    assert_eq!(w.app().stat("/d").map(|attr| attr.size), Err(Errno::ENOENT));
    assert_eq!(object(&w, "d/"), None);
}

#[test]
fn a_directory_is_renamed_with_all_that_is_in_it() {
    let mut w = World::writable();
    w.s3().put("d/a", version(1), 10);
    w.s3().put("d/e/b", version(1), 10);
    let open = w.app().create("/d/new");
    w.app().write(open, "hello");
    w.app().rename("/d", "/f").unwrap();
    assert_eq!(names(&mut w, 0, "/"), ["f/"]);
    assert_eq!(names(&mut w, 0, "/f"), ["a", "e/", "new"]);
    w.app().close(open);
    assert_eq!(object(&w, "f/new").map(text), Some("hello".into()));
    assert_eq!((object(&w, "d/a"), object(&w, "d/e/b")), (None, None));
}

#[test]
fn one_mount_publishes_what_several_processes_wrote_to_one_file() {
    let mut w = World::writable();
    w.app().save("/shared", vec![b'.'; 20_000]).unwrap();
    let (one, other) = (w.app().open_rw("/shared"), w.app().open_rw("/shared"));
    w.app().pwrite(one, 0, "one");
    w.app().pwrite(other, 15_000, "other");
    assert_eq!(w.app().read_bytes(other, 0..3).map(text), Ok("one".into()));
    w.app().close(one);
    w.app().pwrite(other, 5_000, "more");
    w.app().close(other);
    let published = object(&w, "shared").unwrap();
    assert_eq!(
        (&published[..3], &published[5_000..5_004], &published[15_000..15_005]),
        (&b"one"[..], &b"more"[..], &b"other"[..])
    );
}

#[test]
fn a_read_only_mount_refuses_to_write() {
    let mut w = World::calm();
    w.s3().put("film", version(1), KIB);
    assert_eq!(w.app().save("/new", "x"), Err(Errno::EROFS));
    assert_eq!(w.app().unlink("/film"), Err(Errno::EROFS));
    assert_eq!(w.app().mkdir("/d"), Err(Errno::EROFS));
    assert_eq!(w.app().rename("/film", "/book"), Err(Errno::EROFS));
}
