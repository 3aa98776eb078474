//! Two mounts and an outside writer that update the same objects: every update that was acknowledged is there in the end, and
//! none that was refused.
//!
//! An object counts its updates and holds the last ones, each by a name of its own. So each version tells which one it was
//! made from, and an update that was lost is one that no version, or no successor of its version, has.
//!
//! `HOLDFAST_CONTENTION_SECONDS=600` goes on for so long.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast::bucket::{EntryKind, Versioning};
use holdfast::env::Store;
use holdfast::env::store::{Body, ErrorKind, Get, Key, NewObject, Put, ReadConditions, StoreError, WriteCondition};
use holdfast::real::{S3Options, S3Store, StaticCredentials};
use nix::libc::ESTALE;
use tokio::runtime::Runtime;

use crate::dice::Dice;
use crate::mounted::{Endpoint, Mounted};
use crate::remote::{Embedded, Remote};
use crate::world::World;
use crate::writing::close;

const SECONDS: u64 = 5;
const KEYS: u64 = 3;
/// Threads that update through each mount, and as plain S3 clients.
const HERE: u32 = 2;
const OUTSIDE: u32 = 1;
const LINE: usize = 32;
/// The count and the last updates.
const LINES: usize = 32;

fn key(n: u64) -> String {
    format!("counters/counter-{n}")
}

/// The bytes of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counter(Vec<u8>);

impl Counter {
    fn zero() -> Self {
        let mut zero = Self(vec![b' '; LINE * LINES]);
        (0..LINES).for_each(|line| zero.write(line, "0"));
        zero
    }

    fn write(&mut self, line: usize, text: &str) {
        let padded = format!("{text:<width$}\n", width = LINE - 1);
        self.0[line * LINE..][..LINE].copy_from_slice(padded.as_bytes());
    }

    fn line(&self, line: usize) -> &str {
        std::str::from_utf8(&self.0[line * LINE..][..LINE]).expect("text").trim_end()
    }

    fn count(&self) -> u64 {
        self.line(0).parse().expect("a number")
    }

    /// Its last update.
    fn last(&self) -> &str {
        self.line(Self::place(self.count()))
    }

    fn place(count: u64) -> usize {
        1 + (count as usize) % (LINES - 1)
    }

    fn updated(&self, update: &str) -> Self {
        let mut next = self.clone();
        let count = self.count() + 1;
        next.write(0, &count.to_string());
        next.write(Self::place(count), update);
        next
    }
}

/// How an update ended, as whoever made it was told.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Acknowledged,
    Refused,
}

/// Read, modify, write, close, under a lock that those of the same mount respect.
fn update_through(mount: &Mounted, key: &str, update: &str) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(mount.path(Path::new(key)))?;
    file.lock()?;
    let mut bytes = vec![0; LINE * LINES];
    file.read_exact_at(&mut bytes, 0)?;
    file.write_all_at(&Counter(bytes).updated(update).0, 0)?;
    close(file).map_err(io::Error::from)
}

/// As any program with an S3 library does it.
struct Client {
    runtime: Runtime,
    store: S3Store,
}

impl Client {
    fn new(endpoint: &Endpoint, bucket: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let options = S3Options {
            region: Some("us-east-1".to_string()),
            endpoint_url: Some(endpoint.url.clone()),
            credentials: Some(StaticCredentials {
                access_key_id: endpoint.access_key.clone(),
                secret_access_key: endpoint.secret_key.clone(),
            }),
            ..S3Options::new(bucket)
        };
        let store = runtime.block_on(S3Store::connect(options, runtime.handle().clone())).expect("it answers");
        Self { runtime, store }
    }

    fn update(&self, key: &str, update: &str) -> Result<(), StoreError> {
        self.runtime.block_on(async {
            let key = Key::from(key);
            let get = Get { key: key.clone(), version_id: None, range: None, conditions: ReadConditions::none() };
            let mut reply = self.store.get(get).await?;
            let mut bytes = Vec::new();
            while let Some(chunk) = reply.body.next().await {
                bytes.extend_from_slice(&chunk?);
            }
            let body = Bytes::from(Counter(bytes).updated(update).0);
            let condition = Some(WriteCondition::IfMatch(reply.meta.etag));
            self.store.put(Put { key, body, object: NewObject::default(), condition }).await.map(drop)
        })
    }
}

/// Updates until then. Answers what each update was told.
fn work(who: &str, seed: u64, until: Instant, update: impl Fn(&str, &str) -> Outcome) -> Vec<(String, Outcome)> {
    let mut dice = Dice::new(seed);
    let mut told = Vec::new();
    while Instant::now() < until {
        let name = format!("{who}-{}", told.len());
        let outcome = update(&key(dice.below(KEYS)), &name);
        told.push((name, outcome));
    }
    told
}

/// All versions that a key had, oldest first; on a bucket without versions, the last one.
fn versions(remote: &Embedded, key: &str) -> Vec<Counter> {
    let model = remote.model();
    let contents = model.versions(key).map(|entry| match &entry.kind {
        EntryKind::Object(object) => Counter(object.content.to_bytes().to_vec()),
        EntryKind::DeleteMarker => panic!("nobody deletes {key}"),
    });
    let mut versions: Vec<Counter> = contents.collect();
    versions.reverse();
    versions
}

fn contend(versioning: Versioning, time: Duration) {
    let args = ["--metadata-ttl", "minimal"];
    let prepare = |remote: &Embedded| (0..KEYS).for_each(|n| remote.put_bytes(&key(n), Counter::zero().0.into()));
    let Some(w) = World::prepared(versioning, &args, prepare) else { return };
    let elsewhere = w.elsewhere(&args);
    for mount in [&w.mount, &elsewhere] {
        mount.may_live(time + Duration::from_secs(120));
    }
    let client = Client::new(&w.endpoint(), w.bucket());
    let until = Instant::now() + time;
    let through = |mount: &Mounted, key: &str, name: &str| match update_through(mount, key, name) {
        Ok(()) => Outcome::Acknowledged,
        Err(error) if error.raw_os_error() == Some(ESTALE) => Outcome::Refused,
        Err(error) => panic!("{name} of {key}: {error}"),
    };
    let outside = |key: &str, name: &str| match client.update(key, name) {
        Ok(()) => Outcome::Acknowledged,
        Err(error) if matches!(error.kind, ErrorKind::PreconditionFailed | ErrorKind::Conflict) => Outcome::Refused,
        Err(error) => panic!("{name} of {key}: {error}"),
    };
    let told: Vec<(String, Outcome)> = std::thread::scope(|scope| {
        let (through, outside) = (&through, &outside);
        let mut writers = Vec::new();
        for (mount, who) in [(&w.mount, "here"), (&elsewhere, "elsewhere")] {
            writers.extend((0..HERE).map(|n| {
                scope.spawn(move || work(&format!("{who}-{n}"), n.into(), until, |key, name| through(mount, key, name)))
            }));
        }
        writers.extend(
            (0..OUTSIDE).map(|n| scope.spawn(move || work(&format!("outside-{n}"), 77 + u64::from(n), until, outside))),
        );
        writers.into_iter().flat_map(|writer| writer.join().expect("an update failed")).collect()
    });

    let mut there = BTreeSet::new();
    let mut updates = 0;
    for n in 0..KEYS {
        let versions = versions(&w, &key(n));
        for pair in versions.windows(2) {
            assert_eq!(pair[1], pair[0].updated(pair[1].last()), "not made from the version before it");
        }
        there.extend(versions.iter().filter(|version| version.count() > 0).map(|version| version.last().to_string()));
        updates += versions.last().expect("it is there").count();
    }
    let acknowledged = told.iter().filter(|(_, outcome)| *outcome == Outcome::Acknowledged).count() as u64;
    eprintln!("{versioning:?}: {acknowledged} updates acknowledged, {} refused", told.len() as u64 - acknowledged);
    assert_eq!(updates, acknowledged, "exactly those that were acknowledged are there");
    for who in ["here", "elsewhere", "outside"] {
        let done = told.iter().filter(|(name, outcome)| name.starts_with(who) && *outcome == Outcome::Acknowledged);
        assert!(done.count() > 0, "nothing was acknowledged {who}: {told:?}");
    }
    if versioning == Versioning::Enabled {
        for (name, outcome) in &told {
            assert_eq!(there.contains(name), *outcome == Outcome::Acknowledged, "{name}: {outcome:?}");
        }
    }
    for n in 0..KEYS {
        for mount in [&w.mount, &elsewhere] {
            assert!(std::fs::read(mount.path(key(n))).expect("it reads") == w.object(&key(n)).expect("it is there"));
        }
    }
}

fn time() -> Duration {
    let seconds = std::env::var("HOLDFAST_CONTENTION_SECONDS");
    Duration::from_secs(seconds.map_or(SECONDS, |text| text.parse().expect("a number of seconds")))
}

/// Rule R36.
#[test]
fn two_mounts_and_an_outside_writer_that_update_the_same_objects_lose_no_update() {
    contend(Versioning::Off, time() / 2);
}

/// Rule R36.
#[test]
fn nor_on_a_bucket_with_versions_which_has_every_update_as_a_version() {
    contend(Versioning::Enabled, time());
}
