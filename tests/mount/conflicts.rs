//! Two who change the same file, and readers of what is changed.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::time::Instant;

use holdfast_sim::version;
use nix::errno::Errno;
use nix::libc::ESTALE;

use crate::mounted::{Mounted, PATIENCE, holdfast};
use crate::reader::{MIB, saw};
use crate::remote::Remote;
use crate::shell::{output, quiet};
use crate::world::World;
use crate::writing::{close, read_write};

/// The files of the recovery folder that are finished, without their sidecars.
pub fn kept(mount: &Mounted) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(mount.recovery()).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    let mut kept: Vec<_> = entries.filter(|path| path.extension().is_none_or(|end| end != "json")).collect();
    kept.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')));
    kept.sort();
    kept
}

fn recover(mount: &Mounted, args: &[&str]) -> String {
    let mut command = holdfast();
    let output = output(command.arg("recover").arg("--recovery-dir").arg(mount.recovery()).args(args));
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Rule R39.
#[test]
fn readers_finish_what_they_opened_when_it_is_truncated_renamed_over_or_unlinked_here() {
    let changes: [(&str, &str); 3] =
        [("truncated", "printf new > film"), ("renamed", "printf new > tmp; mv -f tmp film"), ("unlinked", "rm film")];
    for (what, script) in changes {
        let Some(w) = World::plain() else { return };
        w.put("film", version(1), 64 * MIB);
        let mut film = w.open("film");
        assert_eq!(film.read_until(MIB), saw(version(1), MIB), "{what}");
        w.mount.sh(script);
        assert_eq!(fs::read_to_string(w.path("film")).ok(), (what != "unlinked").then(|| "new".to_string()), "{what}");
        assert_eq!(film.read_to_end(), saw(version(1), 63 * MIB), "{what}");
        assert_eq!(film.file.metadata().expect("fstat").len(), 64 * MIB, "{what}");
    }
}

/// Rule R36.
#[test]
fn who_closes_second_is_told_and_loses_nothing() {
    let Some(w) = World::plain() else { return };
    w.put_bytes("d/note", "base".into());
    let quiet = quiet();
    let mut mine = read_write(&w.path("d/note"));
    mine.write_all(b"mine").expect("written");
    w.put_bytes("d/note", "theirs".into());
    assert_eq!(close(mine), Err(Errno::ESTALE));
    drop(quiet);
    assert_eq!(w.text("d/note").as_deref(), Some("theirs"), "an update is never lost without a word");
    let line = w.mount.wait_for_log(&["WARN", "d/note", "not published", "holdfast recover"]);
    assert_eq!(w.mount.log_lines(&["WARN"]).len(), 1, "{line}");
    assert_eq!(fs::read_to_string(w.path("d/note")).expect("it opens"), "theirs");

    let files = kept(&w.mount);
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(fs::read_to_string(&files[0]).expect("kept"), "mine");
    let listed = recover(&w.mount, &["list"]);
    let name = files[0].file_name().and_then(|name| name.to_str()).expect("UTF-8");
    assert!(listed.contains(name) && listed.contains("\"d/note\"") && listed.contains("4 bytes"), "{listed}");
    let restored = w.mount.recovery().with_file_name("restored");
    recover(&w.mount, &["restore", name, restored.to_str().expect("UTF-8")]);
    assert_eq!(fs::read_to_string(restored).expect("restored"), "mine");
    recover(&w.mount, &["discard", name]);
    assert!(kept(&w.mount).is_empty());
}

/// Rule R36.
#[test]
fn fsync_tells_of_a_conflict_too_and_the_handle_goes_on_reading() {
    let Some(w) = World::plain() else { return };
    let _quiet = quiet();
    let mut mine = File::options().read(true).write(true).create_new(true).open(w.path("note")).expect("new");
    mine.write_all(b"mine").expect("written");
    w.put_bytes("note", "theirs".into());
    assert_eq!(mine.sync_all().expect_err("they were first").raw_os_error(), Some(ESTALE));
    let mut seen = [0; 4];
    mine.read_exact_at(&mut seen, 0).expect("what it had");
    assert_eq!(&seen, b"mine");
    assert_eq!(mine.write_all(b"more").expect_err("in vain").raw_os_error(), Some(ESTALE));
    drop(mine);
    assert_eq!(w.text("note").as_deref(), Some("theirs"));
    assert_eq!(fs::read_to_string(w.path("note")).expect("it opens"), "theirs");
    fs::write(w.path("note"), "after").expect("and is written again");
    assert_eq!(w.text("note").as_deref(), Some("after"));
}

/// Rule R36.
#[test]
fn a_conflict_may_overwrite_or_keep_both() {
    let Some(w) = World::with(&["--on-conflict", "overwrite"]) else { return };
    w.put_bytes("note", "base".into());
    let quietly = quiet();
    let mut mine = read_write(&w.path("note"));
    mine.write_all(b"mine").expect("written");
    w.put_bytes("note", "theirs".into());
    close(mine).expect("published");
    drop(quietly);
    assert_eq!(w.text("note").as_deref(), Some("mine"));

    let Some(w) = World::with(&["--on-conflict", "keep-both"]) else { return };
    w.put_bytes("note", "base".into());
    let _quiet = quiet();
    let mut mine = read_write(&w.path("note"));
    mine.write_all(b"mine").expect("written");
    w.put_bytes("note", "theirs".into());
    let _ = close(mine);
    let keys = w.keys();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(keys[1].starts_with("note.conflict-"), "{keys:?}");
    assert_eq!((w.text("note").as_deref(), w.text(&keys[1]).as_deref()), (Some("theirs"), Some("mine")));
}

/// Rule R36.
#[test]
fn two_mounts_that_append_to_one_file_lose_nothing_without_a_word() {
    let Some(w) = World::with(&["--metadata-ttl", "minimal"]) else { return };
    let elsewhere = w.elsewhere(&["--metadata-ttl", "minimal"]);
    w.put_bytes("log", "".into());
    let append = |mount: &Mounted, line: &str| {
        let mut log = OpenOptions::new().append(true).open(mount.path("log")).map_err(|_| Errno::ESTALE)?;
        log.write_all(line.as_bytes()).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
        close(log)
    };
    let mut done: Vec<String> = std::thread::scope(|scope| {
        let writers = [(&w.mount, "here"), (&elsewhere, "elsewhere")].map(|(mount, who)| {
            scope.spawn(move || {
                let lines = (0..20).map(|n| format!("{who} {n}\n"));
                lines.filter(|line| append(mount, line).is_ok()).collect::<Vec<_>>()
            })
        });
        writers.into_iter().flat_map(|writer| writer.join().expect("no panic")).collect()
    });
    let text = w.text("log").expect("it is there");
    let mut there: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
    done.sort();
    there.sort();
    assert_eq!(there, done, "exactly what was published is there");
}

/// Rule R34. Rule R37.
#[test]
fn what_cannot_be_published_fails_at_close_and_is_kept() {
    let Some(w) = World::with(&["--deadline", "2s", "--attempt-timeout", "1s"]) else { return };
    let _quiet = quiet();
    let mut file = File::create(w.path("note")).expect("a new file");
    file.write_all(b"precious").expect("written");
    w.kill_server();
    assert_eq!(close(file), Err(Errno::EIO));
    let begun = Instant::now();
    while kept(&w.mount).is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{}", w.mount.log());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(fs::read_to_string(&kept(&w.mount)[0]).expect("kept"), "precious");
    w.revive_server();
    while fs::metadata(w.path("note")).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "the bucket has none");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    fs::write(w.path("note"), "again").expect("the mount lives");
    assert_eq!(w.text("note").as_deref(), Some("again"));
}

/// Rule R34.
#[test]
fn a_publication_outlives_an_outage_within_the_deadline() {
    let Some(w) = World::plain() else { return };
    let _quiet = quiet();
    let mut file = File::create(w.path("note")).expect("a new file");
    file.write_all(b"patient").expect("written");
    w.kill_server();
    std::thread::scope(|scope| {
        let closer = scope.spawn(|| close(file));
        std::thread::sleep(std::time::Duration::from_millis(1500));
        assert!(!closer.is_finished());
        w.revive_server();
        assert_eq!(closer.join().expect("no panic"), Ok(()));
    });
    assert_eq!(w.text("note").as_deref(), Some("patient"));
}

/// Rule R35.
#[test]
fn handles_of_one_mount_see_each_other_write() {
    let Some(w) = World::plain() else { return };
    w.put_bytes("note", "base".into());
    let (mut first, mut second) = (read_write(&w.path("note")), read_write(&w.path("note")));
    first.write_all(b"1111").expect("written");
    let mut seen = String::new();
    second.read_to_string(&mut seen).expect("read");
    assert_eq!(seen, "1111");
    second.write_all(b"2222").expect("written");
    close(second).expect("published");
    assert_eq!(w.text("note").as_deref(), Some("11112222"));
    first.write_all_at(b"!", 0).expect("written");
    close(first).expect("published on top, without a conflict");
    assert_eq!(w.text("note").as_deref(), Some("!1112222"));
}
