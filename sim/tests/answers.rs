//! What a careless or hostile caller asks is answered with an errno, and harms nobody.

use std::time::Duration;

use holdfast::config::Hold;
use holdfast::error::Errno;
use holdfast::op::{DirEntry, Entry, Fh, Ino, Op, OpenMode, Reply, Whence};
use holdfast_sim::{KIB, Kind, MIB, World, WorldConfig, version};

const NO_INO: Ino = Ino(77);
const NO_FH: Fh = Fh(77);

fn errno(answer: Result<Reply, Errno>) -> Option<Errno> {
    answer.err()
}

fn look_up(w: &mut World, parent: Ino, name: &str) -> Ino {
    match w.ask(Op::Lookup { parent, name: name.as_bytes().to_vec() }) {
        Ok(Reply::Entry(Entry { attr: Some(attr), .. })) => attr.ino,
        other => panic!("{other:?}"),
    }
}

fn open(w: &mut World, ino: Ino) -> Fh {
    match w.ask(Op::Open { ino, mode: OpenMode::default() }) {
        Ok(Reply::Opened { fh }) => fh,
        other => panic!("{other:?}"),
    }
}

/// A world with a film of 5 MiB, its inode and an open handle, past the kernel.
fn film() -> (World, Ino, Fh) {
    let mut w = World::calm();
    w.s3().put("film", version(1), 5 * MIB);
    let ino = look_up(&mut w, Ino::ROOT, "film");
    let fh = open(&mut w, ino);
    (w, ino, fh)
}

fn let_go(w: &mut World, ino: Ino, fh: Fh) {
    w.ask(Op::Release { ino, fh }).unwrap();
    w.ask(Op::Forget { ino, count: 1 }).unwrap();
}

#[test]
fn names_that_no_key_can_have_do_not_exist_and_cost_nothing() {
    let mut w = World::calm();
    for name in [&b""[..], b".", b"..", b"a/b", b"nul\0", b"\xff\xfe"] {
        let answer = w.ask(Op::Lookup { parent: Ino::ROOT, name: name.to_vec() });
        assert_eq!(errno(answer), Some(Errno::ENOENT), "{name:?}");
    }
    let long = vec![b'x'; 256];
    assert_eq!(errno(w.ask(Op::Lookup { parent: Ino::ROOT, name: long })), Some(Errno::ENAMETOOLONG));
    assert_eq!(w.s3().requests().total(), 0);
}

#[test]
fn paths_longer_than_a_key_do_not_exist() {
    let mut w = World::calm();
    let deep = "d".repeat(200);
    w.s3().put(format!("{deep}/{deep}/{deep}/{deep}/{deep}/x"), version(1), 16);
    let path = format!("/{deep}/{deep}/{deep}/{deep}/{deep}");
    assert!(w.app().stat(&format!("{path}/x")).is_ok());
    assert_eq!(w.app().stat(&format!("{path}/{deep}")), Err(Errno::ENOENT));
}

#[test]
fn inodes_and_handles_that_nobody_knows_are_refused() {
    let mut w = World::calm();
    let mode = OpenMode::default();
    let name = b"film".to_vec();
    let (ino, fh) = (NO_INO, NO_FH);
    let asked = [
        (Op::Lookup { parent: ino, name }, Errno::ESTALE),
        (Op::Getattr { ino }, Errno::ESTALE),
        (Op::Open { ino, mode }, Errno::ESTALE),
        (Op::Opendir { ino }, Errno::ESTALE),
        (Op::Readlink { ino }, Errno::ESTALE),
        (Op::Listxattr { ino }, Errno::ESTALE),
        (Op::Access { ino, mask: 4, uid: 0, gid: 0 }, Errno::ESTALE),
        (Op::Read { ino, fh, offset: 0, len: 1 }, Errno::EBADF),
        (Op::Flush { ino, fh, still_open: false }, Errno::EBADF),
        (Op::Fsync { ino, fh }, Errno::EBADF),
        (Op::Release { ino, fh }, Errno::EBADF),
        (Op::Releasedir { ino, fh }, Errno::EBADF),
        (Op::Readdir { ino, fh, offset: 0, max_bytes: 4096, plus: true }, Errno::EBADF),
    ];
    for (op, expected) in asked {
        assert_eq!(errno(w.ask(op.clone())), Some(expected), "{op:?}");
    }
    assert_eq!(w.s3().requests().total(), 0);
}

#[test]
fn forgetting_too_much_or_what_is_unknown_harms_nobody() {
    let (mut w, ino, fh) = film();
    for (ino, count) in [(NO_INO, 5), (ino, u64::MAX), (ino, 3), (Ino::ROOT, u64::MAX), (Ino(0), 1)] {
        assert!(w.ask(Op::Forget { ino, count }).is_ok());
    }
    assert!(matches!(w.ask(Op::Read { ino, fh, offset: 0, len: 4096 }), Ok(Reply::Data(data)) if data.len() == 4096));
    assert!(w.ask(Op::Getattr { ino: Ino::ROOT }).is_ok());
    w.ask(Op::Release { ino, fh }).unwrap();
    assert_eq!(errno(w.ask(Op::Getattr { ino })), Some(Errno::ESTALE));
}

#[test]
fn files_are_no_directories_and_directories_no_files() {
    let (mut w, ino, fh) = film();
    assert_eq!(errno(w.ask(Op::Lookup { parent: ino, name: b"x".to_vec() })), Some(Errno::ENOTDIR));
    assert_eq!(errno(w.ask(Op::Opendir { ino })), Some(Errno::ENOTDIR));
    assert_eq!(errno(w.ask(Op::Readlink { ino })), Some(Errno::EINVAL));
    let mode = OpenMode::default();
    assert_eq!(errno(w.ask(Op::Open { ino: Ino::ROOT, mode })), Some(Errno::EISDIR));
    let readdir = Op::Readdir { ino, fh, offset: 0, max_bytes: 4096, plus: false };
    assert_eq!(errno(w.ask(readdir)), Some(Errno::EBADF));
    let Ok(Reply::Opened { fh: directory }) = w.ask(Op::Opendir { ino: Ino::ROOT }) else { panic!() };
    let read = Op::Read { ino: Ino::ROOT, fh: directory, offset: 0, len: 1 };
    assert_eq!(errno(w.ask(read)), Some(Errno::EBADF));
    w.ask(Op::Releasedir { ino: Ino::ROOT, fh: directory }).unwrap();
    let_go(&mut w, ino, fh);
}

#[test]
fn reads_at_and_past_the_end_are_empty() {
    let (mut w, ino, fh) = film();
    for offset in [5 * MIB, 5 * MIB + 1, u64::MAX - 1, u64::MAX] {
        for len in [0, 1, u32::MAX] {
            let read = w.ask(Op::Read { ino, fh, offset, len });
            assert!(matches!(read, Ok(Reply::Data(data)) if data.is_empty()), "{offset} {len}");
        }
    }
    let whole = w.ask(Op::Read { ino, fh, offset: 0, len: u32::MAX });
    assert!(matches!(whole, Ok(Reply::Data(data)) if data.len() as u64 == 5 * MIB));
    let tail = w.ask(Op::Read { ino, fh, offset: 5 * MIB - 3, len: 4096 });
    assert!(matches!(tail, Ok(Reply::Data(data)) if data.len() == 3));
    let_go(&mut w, ino, fh);
}

/// Rule R24.
#[test]
fn seeking_data_and_holes_is_answered_as_for_a_file_without_holes() {
    let (mut w, ino, fh) = film();
    let mut seek = |offset, whence| match w.ask(Op::Lseek { ino, fh, offset, whence }) {
        Ok(Reply::Offset(offset)) => Ok(offset),
        Err(errno) => Err(errno),
        other => panic!("{other:?}"),
    };
    assert_eq!(seek(100, Whence::Data), Ok(100));
    assert_eq!(seek(100, Whence::Hole), Ok(5 * MIB));
    for offset in [5 * MIB as i64, i64::MAX, -1, i64::MIN] {
        assert_eq!(seek(offset, Whence::Data), Err(Errno::ENXIO));
        assert_eq!(seek(offset, Whence::Hole), Err(Errno::ENXIO));
    }
    let_go(&mut w, ino, fh);
}

#[test]
fn whatever_would_write_is_refused_as_on_a_read_only_file_system() {
    let (mut w, ino, fh) = film();
    for (write, truncate) in [(true, false), (true, true), (false, true)] {
        let mode = OpenMode { write, truncate, ..OpenMode::default() };
        assert_eq!(errno(w.ask(Op::Open { ino, mode })), Some(Errno::EROFS));
    }
    assert_eq!(errno(w.ask(Op::Unlink { parent: Ino::ROOT, name: b"film".into() })), Some(Errno::EROFS));
    assert_eq!(errno(w.ask(Op::Access { ino, mask: 2, uid: 0, gid: 0 })), Some(Errno::EROFS));
    assert!(w.ask(Op::Access { ino, mask: 4, uid: 1000, gid: 1000 }).is_ok());
    assert_eq!(errno(w.ask(Op::Access { ino, mask: 1, uid: 0, gid: 0 })), Some(Errno::EACCES));
    let_go(&mut w, ino, fh);
}

#[test]
fn attributes_tell_what_s3_knows_and_nothing_else() {
    let mut w = World::new(WorldConfig::calm().versioned());
    w.s3().put("film", version(1), KIB);
    let film = w.app().open("/film");
    let published = w.history().current("film").unwrap();
    assert_eq!(w.app().xattr(film, "user.s3.etag"), published.etag.to_string());
    assert_eq!(w.app().xattr(film, "user.s3.version-id"), published.version_id.unwrap().to_string());
    assert_eq!(w.app().xattr(film, "user.s3.storage-class"), "STANDARD");
    assert_eq!(w.app().hold(film), "current");
    let ino = w.app().ino(film);
    for name in [&b"security.capability"[..], b"user.s3.meta.none", b"user.s3.", b"user.other", b"", b"\xff"] {
        let answer = w.ask(Op::Getxattr { ino, name: name.to_vec() });
        assert_eq!(errno(answer), Some(Errno::ENODATA), "{name:?}");
    }
    let root = Op::Getxattr { ino: Ino::ROOT, name: b"user.s3.etag".to_vec() };
    assert_eq!(errno(w.ask(root)), Some(Errno::ENODATA));
    assert!(matches!(w.ask(Op::Listxattr { ino: Ino::ROOT }), Ok(Reply::Xattr(names)) if names.is_empty()));
}

/// Rule R29.
#[test]
fn a_fenced_handle_fails_and_the_others_live_on() {
    let (mut w, ino, fh) = film();
    let other = open(&mut w, ino);
    w.fs().fence(fh);
    assert_eq!(errno(w.ask(Op::Read { ino, fh, offset: 0, len: 1 })), Some(Errno::EIO));
    assert!(w.ask(Op::Read { ino, fh: other, offset: 0, len: 1 }).is_ok());
    w.fs().fence(NO_FH);
    assert!(w.ask(Op::Release { ino, fh }).is_ok());
    let_go(&mut w, ino, other);
}

/// Two requests on one handle may both fail.
#[test]
fn a_handle_fenced_twice_lets_go_of_its_file_when_it_is_released() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 100);
    let ino = look_up(&mut w, Ino::ROOT, "film");
    let fh = open(&mut w, ino);
    w.fs().fence(fh);
    w.fs().fence(fh);
    assert_eq!(errno(w.ask(Op::Read { ino, fh, offset: 0, len: 1 })), Some(Errno::EIO));
    let_go(&mut w, ino, fh);
    w.settle();
}

#[test]
fn a_handle_named_together_with_another_inode_is_refused_and_lives_on() {
    let (mut w, ino, fh) = film();
    w.s3().put("d/x", version(1), 100);
    let other = look_up(&mut w, Ino::ROOT, "d");
    for wrong in [other, Ino::ROOT, NO_INO] {
        assert_eq!(errno(w.ask(Op::Read { ino: wrong, fh, offset: 0, len: 1 })), Some(Errno::EBADF), "{wrong:?}");
    }
    assert!(w.ask(Op::Read { ino, fh, offset: 0, len: 1 }).is_ok());
    let Ok(Reply::Opened { fh: directory }) = w.ask(Op::Opendir { ino: Ino::ROOT }) else { panic!() };
    let readdir = |ino| Op::Readdir { ino, fh: directory, offset: 0, max_bytes: 4096, plus: false };
    for wrong in [other, ino, NO_INO] {
        assert_eq!(errno(w.ask(readdir(wrong))), Some(Errno::EBADF), "{wrong:?}");
    }
    assert!(w.ask(readdir(Ino::ROOT)).is_ok());
    w.ask(Op::Releasedir { ino: Ino::ROOT, fh: directory }).unwrap();
    w.ask(Op::Forget { ino: other, count: 1 }).unwrap();
    let_go(&mut w, ino, fh);
}

/// An empty answer would be the directory's end.
#[test]
fn a_buffer_too_small_for_the_next_entry_is_refused_as_getdents_does() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 100);
    let Ok(Reply::Opened { fh }) = w.ask(Op::Opendir { ino: Ino::ROOT }) else { panic!() };
    for plus in [false, true] {
        for (offset, name) in [(0, "."), (1, ".."), (2, "film")] {
            let room = DirEntry::wire_bytes(name, plus);
            for too_little in [0, 1, room - 1] {
                let read = Op::Readdir { ino: Ino::ROOT, fh, offset, max_bytes: too_little, plus };
                assert_eq!(errno(w.ask(read)), Some(Errno::EINVAL), "{name} {too_little}");
            }
            let read = Op::Readdir { ino: Ino::ROOT, fh, offset, max_bytes: room, plus };
            assert!(matches!(w.ask(read), Ok(Reply::Directory(entries)) if entries.len() == 1), "{name} {plus}");
        }
        let end = Op::Readdir { ino: Ino::ROOT, fh, offset: 3, max_bytes: 0, plus };
        assert!(matches!(w.ask(end), Ok(Reply::Directory(entries)) if entries.is_empty()));
    }
    w.ask(Op::Releasedir { ino: Ino::ROOT, fh }).unwrap();
    let ino = look_up(&mut w, Ino::ROOT, "film");
    w.ask(Op::Forget { ino, count: 2 }).unwrap();
}

#[test]
fn a_handle_closed_while_it_is_read_lets_go_of_everything() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    let film = w.app().open("/film");
    let (process, closer, handle) = (w.process(), w.process(), w.handle());
    let reading = async move { process.pread(film, 10 * MIB..20 * MIB).await };
    let closing = async move {
        handle.sleep(Duration::from_millis(3)).await;
        closer.close(film).await
    };
    let (read, closed) = w.run(futures_util::future::join(reading, closing));
    assert_eq!((read, closed), (Ok(version(1)), Ok(())));
}

/// Rule R28.
#[test]
fn archived_objects_are_shown_and_not_readable() {
    let mut w = World::calm();
    let object = holdfast::env::store::NewObject { storage_class: Some("GLACIER".into()), ..Default::default() };
    w.s3().apply(holdfast_sim::Mutation::Put { key: "film".into(), version: version(1), size: MIB, object });
    assert_eq!(w.app().stat("/film").map(|attr| attr.size), Ok(MIB));
    assert_eq!(w.app().try_open("/film"), Err(Errno::EACCES));
}

#[test]
fn a_dropped_open_or_read_leaks_nothing() {
    for hold in [Hold::Auto, Hold::Full, Hold::Off] {
        for after_ms in [0, 1, 5, 6, 10, 11, 15, 20, 21, 25, 30] {
            let mut w = World::mounted(|mount| mount.hold = hold);
            w.s3().put("film", version(1), 24 * MIB);
            w.app().stat("/film").unwrap();
            let (process, handle) = (w.process(), w.handle());
            w.run(async move {
                let work = std::pin::pin!(async {
                    let film = process.open("/film").await.unwrap();
                    process.pread(film, 8 * MIB..9 * MIB).await
                });
                let timer = std::pin::pin!(handle.sleep(Duration::from_millis(after_ms)));
                // Whoever waits may be killed at any moment.
                futures_util::future::select(work, timer).await;
            });
            assert!(w.s3().requests().of(Kind::Get) <= 3);
        }
    }
}
