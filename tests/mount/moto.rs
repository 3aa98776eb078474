//! The core rows against moto, an S3 server that nobody here wrote (`pip install 'moto[server,s3]'`).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_sim::version;
use nix::libc::ESTALE;

use crate::mounted::{Endpoint, PATIENCE, end_with_this_thread};
use crate::reader::{KIB, MIB, Sight, saw};
use crate::remote::Remote;
use crate::replaced::{rest_after, two_handles_in_turn, two_mappings_in_turn};
use crate::shell::spawn;
use crate::world::World;
use crate::{churn, require};

/// moto in a process of its own, ended on drop.
pub struct Moto {
    process: Child,
    address: String,
}

const BUCKET: &str = "films";

impl Moto {
    fn start(versioned: bool) -> Self {
        // Free a moment ago; moto cannot tell which port it took.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
        let mut command = Command::new("python3");
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &address.port().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        end_with_this_thread(&mut command);
        let moto = Self { process: spawn(&mut command).expect("python3"), address: address.to_string() };
        let begun = Instant::now();
        while TcpStream::connect(&moto.address).is_err() {
            assert!(begun.elapsed() < PATIENCE, "moto does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        moto.ask("PUT", &format!("/{BUCKET}"), b"");
        if versioned {
            let xml = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                       <Status>Enabled</Status></VersioningConfiguration>";
            moto.ask("PUT", &format!("/{BUCKET}?versioning"), xml.as_bytes());
        }
        moto
    }

    /// One plain request. moto wants to see a signature, and believes any.
    fn ask(&self, method: &str, target: &str, body: &[u8]) {
        let mut stream = TcpStream::connect(&self.address).expect("moto listens");
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\nconnection: close\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=holdfast/20260101/us-east-1/s3/aws4_request, \
             SignedHeaders=host, Signature=any\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("moto reads");
        let mut answer = BufReader::new(stream);
        let mut status = String::new();
        answer.read_line(&mut status).expect("moto answers");
        let mut rest = Vec::new();
        // moto may reset the connection after its answer.
        let _ = answer.read_to_end(&mut rest);
        let ok = status.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
        assert!(ok, "{method} {target}: {status}{}", String::from_utf8_lossy(&rest));
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Remote for Moto {
    fn endpoint(&self) -> Endpoint {
        Endpoint {
            url: format!("http://{}", self.address),
            access_key: "holdfast".to_string(),
            secret_key: "holdfast-secret".to_string(),
        }
    }

    fn bucket(&self) -> &str {
        BUCKET
    }

    fn put_bytes(&self, key: &str, bytes: Bytes) {
        self.ask("PUT", &format!("/{BUCKET}/{key}"), &bytes);
    }

    fn delete(&self, key: &str) {
        self.ask("DELETE", &format!("/{BUCKET}/{key}"), b"");
    }
}

fn world(versioned: bool) -> Option<World<Moto>> {
    let there = require::fuse() && require::python("moto.server", "pip install 'moto[server,s3]'");
    there.then(|| World::of(Moto::start(versioned), &["--metadata-ttl", "1"]))
}

#[test]
fn a_reader_from_moto_finishes_the_version_it_opened() {
    for versioned in [false, true] {
        let Some(w) = world(versioned) else { return };
        for (number, size) in [(2, 24 * MIB), (3, 2 * MIB), (4, 30 * MIB)] {
            let rest = rest_after(&w, 24 * MIB, || w.put("film", version(number), size));
            assert_eq!(rest, saw(version(1), 23 * MIB), "replaced by {size} bytes, versioned: {versioned}");
        }
        let rest = rest_after(&w, 24 * MIB, || w.delete("film"));
        assert_eq!(rest, saw(version(1), 23 * MIB), "deleted, versioned: {versioned}");
        std::thread::sleep(crate::world::PAST_TTL);
        let rest = rest_after(&w, 2 * MIB, || w.put("film", version(2), 2 * MIB));
        assert_eq!(rest, saw(version(1), MIB), "a small object, versioned: {versioned}");
    }
}

#[test]
fn a_reader_of_64_mib_from_moto_finishes_the_version_it_opened() {
    let Some(w) = world(false) else { return };
    let rest = rest_after(&w, 64 * MIB, || w.put("film", version(2), 64 * MIB));
    assert_eq!(rest, saw(version(1), 63 * MIB));
    assert_eq!(w.open("film").read_to_end(), saw(version(2), 64 * MIB), "and a new open has the new one");
}

#[test]
fn an_old_and_a_new_handle_and_an_old_and_a_new_mapping_from_moto_read_in_turn() {
    for versioned in [false, true] {
        let Some(w) = world(versioned) else { return };
        two_handles_in_turn(&w, 20 * MIB);
        std::thread::sleep(crate::world::PAST_TTL);
        two_mappings_in_turn(&w, 20 * MIB);
    }
}

#[test]
fn random_reads_from_moto_after_a_replacement_are_estale_or_old_and_with_versions_all_old() {
    for versioned in [false, true] {
        let Some(w) = world(versioned) else { return };
        w.put("film", version(1), 64 * MIB);
        let film = w.open("film").reads_at_random();
        for mib in [3, 40, 57, 22, 50, 11, 30, 61] {
            assert_eq!(film.read_at(mib * MIB..mib * MIB + 4 * KIB), saw(version(1), 4 * KIB));
        }
        w.put("film", version(2), 64 * MIB);
        let old = saw(version(1), 4 * KIB);
        for mib in [43, 55, 35, 59, 46] {
            let read = film.read_at(mib * MIB..mib * MIB + 4 * KIB);
            let lost = !versioned && read == Err(Sight::Errno(ESTALE));
            assert!(lost || read == old, "at {mib} MiB, versioned: {versioned}: {read:?}");
        }
        for mib in [3, 40, 57, 22, 50, 11, 30, 61] {
            assert_eq!(film.read_at(mib * MIB..mib * MIB + 4 * KIB), old, "held at {mib} MiB");
        }
        let mut new = w.open("film");
        assert_eq!(new.read_until(MIB), saw(version(2), MIB));
    }
}

#[test]
fn reopening_from_moto_after_a_replacement_has_the_new_version_at_once() {
    let Some(w) = world(false) else { return };
    w.put("film", version(1), 12 * MIB);
    let mut film = w.open("film");
    assert_eq!(film.read_until(MIB), saw(version(1), MIB));
    for number in 2..5 {
        w.put("film", version(number), 12 * MIB);
        assert_eq!(w.open("film").read_until(MIB), saw(version(number), MIB));
    }
    assert_eq!(film.read_to_end(), saw(version(1), 11 * MIB));
    assert_eq!(film.file.metadata().expect("fstat").len(), 12 * MIB);
}

#[test]
fn objects_that_moto_replaces_ceaselessly_read_as_one_version_each_without_an_error() {
    let Some(w) = world(false) else { return };
    let lasts = if require::everything_is_required() { 15 } else { 4 };
    churn::readers_of_objects_that_are_replaced_ceaselessly(&w, MIB, Duration::from_secs(lasts));
}

#[test]
fn directories_from_moto_are_listed_with_their_odd_names() {
    let Some(w) = world(false) else { return };
    for (encoded, _) in ODD {
        w.ask("PUT", &format!("/{BUCKET}/d/{encoded}"), b"bytes");
    }
    let mut names: Vec<String> = std::fs::read_dir(w.path("d"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    let mut expected = ODD.map(|(_, name)| name);
    expected.sort();
    assert_eq!(names, expected);
    for name in expected {
        assert_eq!(std::fs::read(w.path("d").join(name)).unwrap_or_else(|error| panic!("{name:?}: {error}")), b"bytes");
    }
}

const ODD: [(&str, &str); 9] = [
    ("with%20space", "with space"),
    ("a%2Bb", "a+b"),
    ("100%25", "100%"),
    ("%26%23%3F", "&#?"),
    ("%C3%A9", "é"),
    ("e%CC%81", "e\u{301}"),
    ("%22%27", "\"'"),
    ("%3Ca%3E", "<a>"),
    ("plain", "plain"),
];
