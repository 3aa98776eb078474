//! kill -9 in the middle of each kind of operation, at random moments: what was acknowledged is there, what was not is
//! there whole or not at all, and the next mount tidies up.
//!
//! `HOLDFAST_KILLS=500` kills so often, `HOLDFAST_KILL_SEED` at other moments.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast::bucket::Versioning;
use holdfast_sim::content::version_bytes;
use holdfast_sim::version;

use crate::agreement::agree;
use crate::dice::Dice;
use crate::mounted::PATIENCE;
use crate::reader::{KIB, MIB};
use crate::remote::{Embedded, Remote};
use crate::require;
use crate::shell::quiet;
use crate::world::World;
use crate::writing::close;

/// In CI: each kind of operation once, and some twice.
const KILLS: u32 = 16;
/// The server takes so long to answer what it has done, so that a kill falls between the two, too.
const LATENCY: Duration = Duration::from_millis(2);
/// One kill in so many is followed by another, while the next mount tidies up.
const SECOND_KILL_EVERY: u64 = 4;
const SECOND_KILL_WITHIN: u64 = 60;
/// Keys of a directory that is renamed.
const KEYS: u32 = 80;
const PART: u64 = 5 * MIB;
/// Bytes at the start of an edited object that say which edit was the last.
const STAMP: usize = 16;
/// Where they are.
const STAMP_AT: u64 = 7 * MIB + 12_345;

/// Operations of one kind, one after another, in a folder of their own.
struct Work {
    name: &'static str,
    /// The kill falls within so many milliseconds of the first operation.
    within_ms: u64,
    /// What is in the bucket before.
    prepare: fn(&Embedded, &str),
    /// Operation number `n`, in that folder; `Ok`: it was acknowledged.
    step: fn(&Path, u32) -> io::Result<()>,
    steps: u32,
    /// Panics unless the bucket is as it may be after `done` operations that were acknowledged, and perhaps one more.
    check: fn(&Embedded, &str, u32),
}

const WORKS: &[Work] = &[
    Work {
        name: "create, write, close",
        within_ms: 150,
        prepare: |_, _| {},
        step: |folder, n| write_new(&folder.join(name(n)), &small(n)),
        steps: 400,
        check: |remote, folder, done| {
            (0..done).for_each(|n| has(remote, folder, n, &small(n)));
            has_or_lacks(remote, folder, done, &small(done));
            assert!(beneath(remote, folder).len() <= done as usize + 1);
        },
    },
    Work {
        name: "overwrite",
        within_ms: 150,
        prepare: |remote, folder| remote.put_bytes(&key(folder, 0), small(0)),
        step: |folder, n| write_over(&folder.join(name(0)), &small(n + 1)),
        steps: 400,
        check: |remote, folder, done| is_one_of(remote, &key(folder, 0), [small(done), small(done + 1)]),
    },
    Work {
        name: "multipart upload",
        within_ms: 500,
        prepare: |_, _| {},
        step: |folder, n| write_new(&folder.join(name(n)), &large(n)),
        steps: 4,
        check: |remote, folder, done| {
            (0..done).for_each(|n| has(remote, folder, n, &large(n)));
            has_or_lacks(remote, folder, done, &large(done));
        },
    },
    Work {
        name: "append to a small object",
        within_ms: 150,
        prepare: |remote, folder| remote.put_bytes(&key(folder, 0), Bytes::new()),
        step: |folder, n| append(&folder.join(name(0)), &record(n)),
        steps: 400,
        check: |remote, folder, done| is_one_of(remote, &key(folder, 0), [records(done), records(done + 1)]),
    },
    Work {
        name: "append to a large object",
        within_ms: 400,
        prepare: |remote, folder| remote.put_bytes(&key(folder, 0), large(0)),
        step: |folder, n| append(&folder.join(name(0)), &record(n)),
        steps: 30,
        check: |remote, folder, done| {
            let after = |done| Bytes::from([&large(0)[..], &records(done)].concat());
            is_one_of(remote, &key(folder, 0), [after(done), after(done + 1)]);
        },
    },
    Work {
        name: "edit in the middle",
        within_ms: 400,
        prepare: |remote, folder| remote.put_bytes(&key(folder, 0), large(0)),
        step: |folder, n| {
            let file = OpenOptions::new().write(true).open(folder.join(name(0)))?;
            file.write_all_at(&stamp(n + 1), STAMP_AT)?;
            closed(file)
        },
        steps: 30,
        check: |remote, folder, done| is_one_of(remote, &key(folder, 0), [edited(done), edited(done + 1)]),
    },
    Work {
        name: "rename a file",
        within_ms: 150,
        prepare: |remote, folder| (0..100).for_each(|n| remote.put_bytes(&key(folder, n), small(n))),
        step: |folder, n| fs::rename(folder.join(name(n)), folder.join(format!("to-{n}"))),
        steps: 100,
        check: |remote, folder, done| {
            for n in 0..100 {
                let (from, to) = (remote.object(&key(folder, n)), remote.object(&format!("{folder}/to-{n}")));
                let whole = |object: &Option<Bytes>| object.as_ref().is_some_and(|bytes| *bytes == small(n));
                let is_right = match n {
                    n if n < done => from.is_none() && whole(&to),
                    n if n == done => {
                        [&from, &to].iter().all(|o| o.is_none() || whole(o)) && (whole(&from) || whole(&to))
                    }
                    _ => whole(&from) && to.is_none(),
                };
                assert!(is_right, "{n} of {done}: {:?}, {:?}", from.map(|o| o.len()), to.map(|o| o.len()));
            }
        },
    },
    Work {
        name: "rename a directory",
        within_ms: 250,
        prepare: |remote, folder| {
            (0..KEYS).for_each(|n| remote.put_bytes(&format!("{folder}/d0/a/{n}"), small(n)));
        },
        step: |folder, n| fs::rename(folder.join(format!("d{n}")), folder.join(format!("d{}", n + 1))),
        steps: 40,
        check: |remote, folder, done| {
            // Completed by the next mount, which takes a while.
            let at = |n: u32| beneath(remote, &format!("{folder}/d{n}")).len();
            wait_until(|| at(done) == 0 || at(done + 1) == 0, || format!("{} and {} keys", at(done), at(done + 1)));
            let is_at = if at(done) == 0 { done + 1 } else { done };
            for n in 0..KEYS {
                is_one_of(remote, &format!("{folder}/d{is_at}/a/{n}"), [small(n), small(n)]);
            }
            assert_eq!(beneath(remote, folder).len(), KEYS as usize, "nowhere else");
        },
    },
    Work {
        name: "unlink",
        within_ms: 150,
        prepare: |remote, folder| (0..100).for_each(|n| remote.put_bytes(&key(folder, n), small(n))),
        step: |folder, n| fs::remove_file(folder.join(name(n))),
        steps: 100,
        check: |remote, folder, done| {
            (0..done).for_each(|n| assert_eq!(remote.object(&key(folder, n)), None, "{n} of {done}"));
            has_or_lacks(remote, folder, done, &small(done));
            (done + 1..100).for_each(|n| has(remote, folder, n, &small(n)));
        },
    },
    Work {
        name: "truncate",
        within_ms: 150,
        prepare: |remote, folder| remote.put_bytes(&key(folder, 0), shorter(0)),
        step: |folder, n| {
            let path = folder.join(name(0));
            nix::unistd::truncate(&path, shorter(n + 1).len() as i64).map_err(io::Error::from)
        },
        steps: 300,
        check: |remote, folder, done| is_one_of(remote, &key(folder, 0), [shorter(done), shorter(done + 1)]),
    },
    Work {
        name: "mkdir and rmdir",
        within_ms: 150,
        prepare: |remote, folder| remote.put_bytes(&key(folder, 0), small(0)),
        step: |folder, n| match n % 3 {
            2 => fs::remove_dir(folder.join(format!("d{}", n / 3))),
            _ => fs::create_dir(folder.join(directory(n))),
        },
        steps: 600,
        check: |remote, folder, done| {
            let marker = |n| remote.object(&format!("{folder}/{}/", directory(n))).is_some();
            for n in (0..done).filter(|n| n % 3 != 2) {
                // What a removal that was not acknowledged would take may be there or not.
                let (removed, perhaps) = (n % 3 == 0 && n + 2 < done, n % 3 == 0 && n + 2 == done);
                assert!(perhaps || marker(n) != removed, "{n} of {done}");
            }
        },
    },
    Work {
        name: "chmod, fsync",
        within_ms: 150,
        prepare: |remote, folder| remote.put_bytes(&key(folder, 0), small(0)),
        step: |folder, n| {
            let file = OpenOptions::new().write(true).open(folder.join(name(0)))?;
            file.set_permissions(Permissions::from_mode(mode(n + 1)))?;
            file.sync_all()?;
            closed(file)
        },
        steps: 400,
        check: |remote, folder, done| {
            is_one_of(remote, &key(folder, 0), [small(0), small(0)]);
            let set = remote.model().current(&key(folder, 0)).and_then(|object| object.meta.user.get("mode").cloned());
            let set = set.map_or(mode(0), |text| text.parse::<u32>().expect("a number") & 0o777);
            assert!(set == mode(done) || set == mode(done + 1), "{set:o} after {done}");
        },
    },
];

fn name(n: u32) -> String {
    format!("file-{n}")
}

fn key(folder: &str, n: u32) -> String {
    format!("{folder}/{}", name(n))
}

/// Two are made, and the first of them is removed.
fn directory(n: u32) -> String {
    if n.is_multiple_of(3) { format!("d{}", n / 3) } else { format!("kept{}", n / 3) }
}

fn mode(n: u32) -> u32 {
    if n == 0 { 0o644 } else { 0o400 + n % 0o100 }
}

fn small(n: u32) -> Bytes {
    version_bytes("small", version(n), 8 * KIB + u64::from(n))
}

fn large(n: u32) -> Bytes {
    version_bytes("large", version(n), 3 * PART + 777)
}

fn shorter(n: u32) -> Bytes {
    version_bytes("shorter", version(1), 100 * KIB - 100 * u64::from(n))
}

fn record(n: u32) -> [u8; STAMP] {
    stamp(n)
}

fn records(n: u32) -> Bytes {
    (0..n).flat_map(record).collect()
}

fn stamp(n: u32) -> [u8; STAMP] {
    format!("edit {n:10}\n").into_bytes().try_into().expect("as long as said")
}

fn edited(n: u32) -> Bytes {
    let mut bytes = large(0).to_vec();
    if n > 0 {
        bytes[STAMP_AT as usize..][..STAMP].copy_from_slice(&stamp(n));
    }
    bytes.into()
}

fn closed(file: File) -> io::Result<()> {
    close(file).map_err(io::Error::from)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    bytes.chunks(700_000).try_for_each(|piece| file.write_all(piece))?;
    closed(file)
}

fn write_over(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    closed(file)
}

fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.write_all(bytes)?;
    closed(file)
}

#[track_caller]
fn has(remote: &Embedded, folder: &str, n: u32, bytes: &Bytes) {
    is_one_of(remote, &key(folder, n), [bytes.clone(), bytes.clone()]);
}

#[track_caller]
fn has_or_lacks(remote: &Embedded, folder: &str, n: u32, bytes: &Bytes) {
    if remote.object(&key(folder, n)).is_some() {
        has(remote, folder, n, bytes);
    }
}

#[track_caller]
fn is_one_of(remote: &Embedded, key: &str, expected: [Bytes; 2]) {
    let Some(object) = remote.object(key) else { panic!("{key} is not there") };
    if expected.contains(&object) {
        return;
    }
    for bytes in &expected {
        let at = bytes.iter().zip(&object).position(|(a, b)| a != b).unwrap_or(bytes.len().min(object.len()));
        let shown = object.slice(at.saturating_sub(40)..object.len().min(at + 60));
        eprintln!("{key}: {} bytes, not {}; differs at {at}: {shown:?}", object.len(), bytes.len());
    }
    panic!("{key}: bytes that nobody acknowledged, or a mixture");
}

fn beneath(remote: &Embedded, folder: &str) -> Vec<String> {
    let prefix = format!("{folder}/");
    remote.keys().into_iter().filter(|key| key.starts_with(&prefix) && !key.ends_with('/')).collect()
}

fn wait_until(mut is: impl FnMut() -> bool, what: impl Fn() -> String) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{}", what());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Works until the mount dies, which it does after `wait`. Answers how many operations were acknowledged.
fn work_and_kill(w: &mut World, work: &Work, folder: &Path, wait: Duration) -> u32 {
    let killed = AtomicBool::new(false);
    // A process that another test starts would close files of ours half-written.
    let _quiet = quiet();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            for n in 0..work.steps {
                if let Err(error) = (work.step)(folder, n) {
                    assert!(killed.load(Ordering::SeqCst), "{}, operation {n}: {error}", work.name);
                    return n;
                }
            }
            work.steps
        });
        std::thread::sleep(wait);
        killed.store(true, Ordering::SeqCst);
        w.mount.kill();
        worker.join().expect("the worker's own assertion failed")
    })
}

/// Uploads in progress: each costs storage until somebody aborts it.
fn uploads(remote: &Embedded) -> Vec<String> {
    let uploads = remote.model().list_uploads("").into_iter();
    uploads.map(|upload| format!("{} of {}", upload.upload, upload.key)).collect()
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text:?}")))
}

/// Rule R34. Rule R40.
#[test]
fn whenever_the_mount_is_killed_what_was_acknowledged_is_there_and_nothing_is_torn_or_left_behind() {
    kill_again_and_again(&[]);
}

/// Rule R49. What a close has put into the journal is published by the next mount.
#[test]
fn nor_is_what_was_closed_and_not_published_yet() {
    kill_again_and_again(&["--write-back"]);
}

fn kill_again_and_again(args: &[&str]) {
    if !require::fuse() {
        return;
    }
    let kills = from_environment("HOLDFAST_KILLS", KILLS.into()) as usize;
    let seed = from_environment("HOLDFAST_KILL_SEED", 1);
    let mut dice = Dice::new(seed);
    let remote = Embedded::start_far_away(Versioning::Off, LATENCY);
    let part_size = format!("{PART}");
    let mut w = World::of(remote, &[&["--posix-metadata", "--part-size", &part_size], args].concat());
    let mut interrupted = 0;
    for (round, work) in WORKS.iter().cycle().take(kills).enumerate() {
        let folder = format!("round-{round}");
        let wait = Duration::from_millis(dice.below(work.within_ms));
        (work.prepare)(&w.remote, &folder);
        w.put_bytes(&format!("{folder}/"), Bytes::new());
        let at = w.path(&folder);
        let done = work_and_kill(&mut w, work, &at, wait);
        interrupted += u32::from(done < work.steps);
        w.mount.mount_again();
        if dice.below(SECOND_KILL_EVERY) == 0 {
            std::thread::sleep(Duration::from_millis(dice.below(SECOND_KILL_WITHIN)));
            w.mount.kill();
            w.mount.mount_again();
        }
        let at = format!("round {round} of seed {seed}, {:?} killed after {wait:?} and {done} operations", work.name);
        let _told = Told(&at);
        wait_until(|| w.mount.notes() == 0, || format!("{} notes are left", w.mount.notes()));
        wait_until(|| uploads(&w).is_empty(), || format!("uploads are left: {:?}", uploads(&w)));
        (work.check)(&w.remote, &folder, done);
        agree(&w.mount, &w.remote, &folder);
        // So that memory stays bounded over hundreds of rounds.
        let keys: Vec<String> = w.keys().into_iter().filter(|key| key.starts_with(&format!("{folder}/"))).collect();
        keys.iter().for_each(|key| w.remote.delete(key));
    }
    eprintln!("{args:?}: {kills} kills, {interrupted} into the work");
    assert!(interrupted as usize * 2 > kills, "only {interrupted} of {kills} kills fell into the work");
}

/// Says where a check failed.
struct Told<'a>(&'a str);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}", self.0);
        }
    }
}
