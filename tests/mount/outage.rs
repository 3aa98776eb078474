//! The S3 server dies in the middle of a read.

use std::thread::sleep;
use std::time::Duration;

use holdfast_sim::version;
use nix::libc::EIO;

use crate::reader::{KIB, MIB, Sight, saw};
use crate::remote::Remote;
use crate::world::World;

const SIZE: u64 = 64 * MIB;

#[test]
fn a_read_completes_when_the_server_dies_and_comes_back_within_the_deadline() {
    let Some(w) = World::plain() else { return };
    w.put("film", version(1), SIZE);
    let mut film = w.open("film");
    assert_eq!(film.read_until(MIB), saw(version(1), MIB));
    w.kill_server();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| film.read_to_end());
        sleep(Duration::from_millis(1500));
        assert!(!reader.is_finished(), "most of it must still come from the server");
        w.revive_server();
        assert_eq!(reader.join().expect("no panic"), saw(version(1), SIZE - MIB));
    });
}

#[test]
fn a_read_completes_though_the_server_dies_again_and_again() {
    let Some(w) = World::plain() else { return };
    w.put("film", version(1), SIZE);
    let mut film = w.open("film");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| film.read_to_end());
        for _ in 0..8 {
            sleep(Duration::from_millis(30));
            w.kill_server();
            w.revive_server();
        }
        assert_eq!(reader.join().expect("no panic"), saw(version(1), SIZE));
    });
}

#[test]
fn a_read_fails_with_eio_after_the_deadline_the_mount_answers_and_all_recovers_when_the_server_returns() {
    let Some(w) = World::with(&["--deadline", "3s", "--attempt-timeout", "1s"]) else { return };
    w.put("film", version(1), SIZE);
    w.put("note", version(1), 100 * KIB);
    let mut film = w.open("film");
    assert_eq!(film.read_until(MIB), saw(version(1), MIB));
    w.kill_server();
    assert_eq!(film.read_to_end(), Err(Sight::Errno(EIO)));
    w.mount.answers();
    assert_eq!(film.file.metadata().expect("fstat").len(), SIZE);
    assert_eq!(film.read_at(0..MIB), saw(version(1), MIB), "what is held reads");
    let missing = std::fs::File::open(w.path("note")).expect_err("nobody can tell what it is");
    assert_eq!(missing.raw_os_error(), Some(EIO), "which is not to say that it does not exist");
    assert_eq!(film.read_at(63 * MIB..64 * MIB), Err(Sight::Errno(EIO)), "another read is another deadline");
    w.revive_server();
    assert_eq!(w.open("note").read_to_end(), saw(version(1), 100 * KIB));
    assert_eq!(film.read_to_end().map(|saw| saw.version), Ok(version(1)), "the same handle reads on");
    assert_eq!(film.read_at(63 * MIB..64 * MIB), saw(version(1), MIB));
    assert_eq!(w.open("film").read_to_end(), saw(version(1), SIZE));
}

#[test]
fn a_server_that_accepts_and_never_answers_ends_in_eio_too() {
    let Some(w) = World::with(&["--deadline", "3s", "--attempt-timeout", "1s"]) else { return };
    w.put("film", version(1), SIZE);
    let mut film = w.open("film");
    assert_eq!(film.read_until(MIB), saw(version(1), MIB));
    w.kill_server();
    let address = w.endpoint().url.strip_prefix("http://").expect("as it was made").to_string();
    let silent = std::net::TcpListener::bind(address).expect("its port is free");
    assert_eq!(film.read_to_end(), Err(Sight::Errno(EIO)));
    w.mount.answers();
    drop(silent);
    w.revive_server();
    assert_eq!(film.read_to_end().map(|saw| saw.version), Ok(version(1)));
}
