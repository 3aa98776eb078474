//! The kernel's own rules, told by the requests that reach the core.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{join, join_all};
use holdfast::env::store::NewObject;
use holdfast::error::Errno;
use holdfast::op::{Ino, Op, OpenMode};

use super::{ELOOP, Kernel, SeekFrom};
use crate::store::FaultKind;
use crate::{KIB, MIB, Mutation, World, WorldConfig, get, head, list, version};

fn world(change: impl FnOnce(&mut WorldConfig)) -> (World, Kernel) {
    let mut config = WorldConfig::calm();
    change(&mut config);
    let w = World::new(config);
    let kernel = w.kernel().clone();
    kernel.start_trace();
    (w, kernel)
}

fn ahead() -> (World, Kernel) {
    world(|config| config.kernel.readahead = true)
}

/// Recorded requests of these kinds, without their answers.
fn asked(kernel: &Kernel, kinds: &[&str]) -> Vec<String> {
    let lines = kernel.take_trace();
    let asked = lines.iter().map(|line| line.split(" -> ").next().unwrap_or_default().to_string());
    asked.filter(|line| kinds.iter().any(|kind| line.starts_with(kind))).collect()
}

/// Begins a call, and kills its caller `after` so long.
fn kill<T: Send + 'static>(w: &mut World, call: super::SystemCall<T>, after: Duration) {
    {
        let mut call = pin!(call);
        w.run(std::future::poll_fn(|context| {
            let begun: Poll<T> = call.as_mut().poll(context);
            assert!(begun.is_pending());
            Poll::Ready(())
        }));
        w.wait(after);
    }
    w.wait(Duration::from_secs(5));
}

#[test]
fn each_descriptor_is_flushed_and_the_last_gives_the_handle_back() {
    let (mut w, kernel) = world(|_| {});
    w.s3().put("film", version(1), KIB);
    let first = w.run(kernel.open("/film")).unwrap();
    let (second, mapping) = (first.clone(), kernel.map(&first));
    kernel.take_trace();
    w.run(kernel.close(first)).unwrap();
    w.run(kernel.close(second)).unwrap();
    assert_eq!(asked(&kernel, &["FLUSH", "RELEASE"]), ["FLUSH i2 h1", "FLUSH i2 h1"]);
    assert_eq!(w.run(kernel.touch(&mapping, 0, 100)).unwrap().len(), 100);
    drop(mapping);
    assert_eq!(asked(&kernel, &["FLUSH", "RELEASE"]), ["RELEASE i2 h1"]);
}

#[test]
fn a_name_that_was_looked_up_for_a_killed_caller_is_kept_and_later_forgotten() {
    let (mut w, kernel) = world(|_| {});
    w.s3().put("film", version(1), KIB);
    w.s3().fault(head("film"), FaultKind::Delayed(Duration::from_secs(1)));
    kill(&mut w, kernel.stat("/film"), Duration::from_millis(10));
    assert_eq!(kernel.interrupts(), 1);
    assert_eq!(asked(&kernel, &["LOOKUP", "FORGET"]), ["LOOKUP i1 film"]);
    kernel.drop_caches();
    w.wait(Duration::ZERO);
    assert_eq!(asked(&kernel, &["LOOKUP", "FORGET"]), ["FORGET i2 1"]);
}

#[test]
fn a_file_that_was_opened_for_a_killed_caller_is_closed_again() {
    let (mut w, kernel) = world(|_| {});
    w.s3().put("film", version(1), KIB);
    w.run(kernel.stat("/film")).unwrap();
    w.s3().fault(get("film"), FaultKind::Delayed(Duration::from_secs(1)));
    kill(&mut w, kernel.open("/film"), Duration::from_millis(10));
    assert_eq!(asked(&kernel, &["OPEN", "FLUSH", "RELEASE"]), ["OPEN i2", "FLUSH i2 h1", "RELEASE i2 h1"]);
}

#[test]
fn what_a_raw_request_gave_a_killed_caller_is_given_back() {
    let (mut w, kernel) = world(|_| {});
    w.s3().put("film", version(1), KIB);
    w.s3().fault(head("film"), FaultKind::Delayed(Duration::from_secs(1)));
    let call = kernel.call(Op::Lookup { parent: Ino::ROOT, name: b"film".to_vec() });
    kill(&mut w, call, Duration::from_millis(10));
    assert_eq!(asked(&kernel, &["LOOKUP", "FORGET"]), ["LOOKUP i1 film", "FORGET i2 1"]);
}

#[test]
fn a_killed_reader_leaves_the_pages_that_come_after_it() {
    let (mut w, kernel) = ahead();
    w.s3().put("film", version(1), 12 * MIB);
    let film = w.run(kernel.open("/film")).unwrap();
    w.run(kernel.pread(&film, 0, KIB)).unwrap();
    w.s3().fault(get("film"), FaultKind::Delayed(Duration::from_secs(1)));
    kill(&mut w, kernel.pread_pieces(&film, 10 * MIB, 100 * KIB), Duration::from_millis(10));
    kernel.take_trace();
    assert_eq!(w.run(kernel.pread(&film, 10 * MIB, KIB)).unwrap().len() as u64, KIB);
    assert!(asked(&kernel, &["READ"]).is_empty());
}

#[test]
fn two_who_look_up_one_name_send_one_look_up() {
    let (mut w, kernel) = world(|_| {});
    w.s3().put("film", version(1), KIB);
    let both = w.run(join(kernel.stat("/film"), kernel.stat("/film")));
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!(asked(&kernel, &["LOOKUP"]).len(), 1);
    let names = w.run(join(kernel.stat("/a"), kernel.stat("/b")));
    assert_eq!(names, (Err(Errno::ENOENT), Err(Errno::ENOENT)));
    assert_eq!(asked(&kernel, &["LOOKUP"]), ["LOOKUP i1 a", "LOOKUP i1 b"]);
}

#[test]
fn one_who_waits_for_anothers_failed_look_up_asks_by_itself() {
    let (mut w, kernel) = world(|_| {});
    w.s3().put("film", version(1), KIB);
    w.s3().fault(head("film").nth(1), FaultKind::refused(holdfast::env::store::ErrorKind::AccessDenied));
    w.s3().fault(list("film/").nth(1), FaultKind::refused(holdfast::env::store::ErrorKind::AccessDenied));
    let both = w.run(join(kernel.stat("/film"), kernel.stat("/film")));
    assert_eq!(both.0, Err(Errno::EACCES));
    assert!(both.1.is_ok());
}

#[test]
fn a_sequential_reader_is_read_ahead_for_after_its_read_has_returned() {
    let (mut w, kernel) = ahead();
    w.s3().put("film", version(1), 8 * MIB);
    let film = w.run(kernel.open("/film")).unwrap();
    kernel.take_trace();
    for n in 0..4 {
        assert_eq!(w.run(kernel.read(&film, 4 * KIB)).unwrap().len(), 4 * KIB);
        let reads = [&["READ i2 h1 0 16384"][..], &["READ i2 h1 16384 32768"], &[], &[]];
        assert_eq!(asked(&kernel, &["READ"]), reads[n]);
    }
}

#[test]
fn a_page_whose_readahead_failed_is_read_again_by_itself() {
    let (mut w, kernel) = world(|config| {
        config.kernel.readahead = true;
        config.mount.deadline = Duration::from_secs(20);
    });
    w.s3().put("film", version(1), 64 * MIB);
    let film = w.run(kernel.open("/film")).unwrap();
    kernel.take_trace();
    w.outside().down_for(Duration::from_secs(30));
    assert!(w.run(kernel.pread_pieces(&film, 32 * MIB, 8 * KIB)).is_ok());
    assert_eq!(
        asked(&kernel, &["READ"]),
        ["READ i2 h1 33554432 8192", "READ i2 h1 33554432 4096", "READ i2 h1 33558528 4096"]
    );
}

#[test]
fn reads_past_the_page_cache_go_out_side_by_side() {
    let (mut w, kernel) = world(|_| {});
    w.s3().put("film", version(1), 2 * MIB + 100);
    let film = w.run(kernel.open_with("/film", OpenMode { direct: true, ..OpenMode::default() })).unwrap();
    kernel.take_trace();
    assert_eq!(w.run(kernel.pread(&film, 0, 8 * MIB)).unwrap().len() as u64, 2 * MIB + 100);
    let read = ["READ i2 h1 0 1048576", "READ i2 h1 1048576 1048576", "READ i2 h1 2097152 1048576"];
    assert_eq!(asked(&kernel, &["READ"]), read);
    assert_eq!(w.run(kernel.pread(&film, 0, 4 * KIB)).unwrap().len() as u64, 4 * KIB);
    assert_eq!(asked(&kernel, &["READ"]), ["READ i2 h1 0 4096"]);
}

#[test]
fn a_mapping_reads_around_its_faults() {
    let (mut w, kernel) = ahead();
    w.s3().put("film", version(1), 8 * MIB);
    let film = w.run(kernel.open("/film")).unwrap();
    let mapping = kernel.map(&film);
    w.run(kernel.close(film)).unwrap();
    kernel.take_trace();
    assert_eq!(w.run(kernel.touch(&mapping, 4 * MIB, 10)).unwrap().len(), 10);
    assert_eq!(asked(&kernel, &["READ"]), ["READ i2 h1 4128768 131072"]);
    assert_eq!(w.run(kernel.touch(&mapping, 8 * MIB, 1)).err(), Some(Errno(14)));
}

#[test]
fn links_are_followed_and_loops_are_not() {
    let (mut w, kernel) = world(|config| config.mount.posix_metadata = true);
    let link = |w: &World, key: &str, target: &str| {
        let user = [("mode".to_string(), "41471".to_string())].into_iter().collect();
        let object = NewObject { user, ..NewObject::default() };
        w.s3().apply(Mutation::Link { key: key.into(), target: target.into(), object });
    };
    w.s3().put("d/film", version(1), KIB);
    link(&w, "link", "d/film");
    link(&w, "d/up", "../link");
    link(&w, "ring", "ring");
    let target = w.run(kernel.stat("/d/film")).unwrap().ino;
    assert_eq!(w.run(kernel.stat("/d/up")).unwrap().ino, target);
    assert_eq!(w.run(kernel.readlink("/link")).unwrap(), b"d/film");
    assert_eq!(w.run(kernel.stat("/ring")).err(), Some(ELOOP));
    assert!(w.run(kernel.lstat("/ring")).is_ok());
    assert_eq!(asked(&kernel, &["READLINK"]).len(), 3, "each is read once");
}

#[test]
fn positions_are_shared_and_holes_are_the_cores_to_tell() {
    let (mut w, kernel) = world(|_| {});
    w.s3().put("film", version(1), 10 * KIB);
    let film = w.run(kernel.open("/film")).unwrap();
    let twin = film.clone();
    assert_eq!(w.run(kernel.lseek(&film, SeekFrom::End(-KIB.cast_signed()))), Ok(9 * KIB));
    assert_eq!(w.run(kernel.read(&twin, 4 * KIB)).unwrap().len(), KIB);
    assert_eq!(w.run(kernel.lseek(&film, SeekFrom::Current(0))), Ok(10 * KIB));
    assert_eq!(w.run(kernel.lseek(&film, SeekFrom::Current(-(11 << 10)))), Err(Errno::EINVAL));
    assert_eq!(w.run(kernel.lseek(&film, SeekFrom::Hole(5))), Ok(10 * KIB));
    assert_eq!(w.run(kernel.lseek(&film, SeekFrom::Data(10 * KIB))), Err(Errno::ENXIO));
    assert_eq!(asked(&kernel, &["LSEEK"]), ["LSEEK i2 h1 hole 5", "LSEEK i2 h1 data 10240"]);
}

#[test]
fn a_read_only_mount_refuses_writers_by_itself() {
    let (mut w, kernel) = world(|_| {});
    w.s3().put("film", version(1), KIB);
    let write = OpenMode { write: true, ..OpenMode::default() };
    assert_eq!(w.run(kernel.open_with("/film", write)).err(), Some(Errno::EROFS));
    assert_eq!(w.run(kernel.access("/film", 2)), Err(Errno::EROFS));
    assert_eq!(w.run(kernel.access("/film", 4)), Ok(()));
    assert!(asked(&kernel, &["OPEN", "ACCESS"]).is_empty());
}

#[test]
fn a_directory_is_read_on_rewound_and_sought_in() {
    let (mut w, kernel) = world(|_| {});
    (0..200).for_each(|n| drop(w.s3().put(format!("{n:03}"), version(1), 1)));
    let directory = w.run(kernel.open_directory("/")).unwrap();
    let first = w.run(kernel.getdents(&directory)).unwrap();
    let mark = directory.tell();
    let second = w.run(kernel.getdents(&directory)).unwrap();
    assert_eq!((first[0].name.as_str(), mark), (".", first.last().unwrap().offset));
    directory.seek(mark);
    assert_eq!(w.run(kernel.getdents(&directory)).unwrap(), second);
    directory.rewind();
    assert_eq!(w.run(kernel.getdents(&directory)).unwrap(), first);
    // Only the first buffer, as long as nobody uses what it brought.
    assert_eq!(asked(&kernel, &["READDIRPLUS"]).len(), 2);
    w.run(kernel.stat(&format!("/{}", first[5].name))).unwrap();
    directory.seek(mark);
    w.run(kernel.getdents(&directory)).unwrap();
    assert_eq!(asked(&kernel, &["READDIRPLUS"]).len(), 1);
}

#[test]
fn under_pressure_everything_still_reads_as_it_is() {
    for seed in 0..20 {
        let mut config = WorldConfig::rough(seed);
        config.kernel.readahead = true;
        config.kernel.page_eviction_one_in = 3;
        config.kernel.name_eviction_one_in = 3;
        let mut w = World::new(config);
        for key in ["d/a", "d/b", "e/c"] {
            w.s3().put(key, version(1), 3 * MIB);
        }
        let readers = (0..4).map(|n: u64| {
            let process = w.process();
            async move {
                for round in 0..4 {
                    let path = ["/d/a", "/d/b", "/e/c"][((n + round) % 3) as usize];
                    let file = process.open(path).await.unwrap();
                    for at in 0..12 {
                        process.pread(file, at * 256 * KIB..(at + 1) * 256 * KIB).await.unwrap();
                    }
                    process.close(file).await.unwrap();
                    process.readdir("/d").await.unwrap();
                }
            }
        });
        let readers: Vec<_> = readers.collect();
        w.run(join_all(readers));
    }
}

#[test]
fn a_call_that_is_never_awaited_asks_for_nothing() {
    let (_w, kernel) = world(|_| {});
    drop(kernel.stat("/film"));
    assert_eq!((kernel.requests(), kernel.interrupts()), (0, 0));
}
