//! Many seeds: three applications, three keys, other clients that replace and delete, and weather.
//!
//! What each handle gave is judged where it is read (one version, its own). Here: that errors are only those that
//! something explains, that all is well once the weather is, that nothing is left behind, and that a seed is a run.
//!
//! `HOLDFAST_SEEDS=1000` runs more seeds, `HOLDFAST_SEEDS=17..18` these.

use std::ops::Range;
use std::time::Duration;

use futures_util::future::join_all;
use holdfast::config::Hold;
use holdfast::env::store::ErrorKind;
use holdfast::env::{DiskError, Time};
use holdfast::error::Errno;
use holdfast_sim::disk::{DiskFault, DiskOp};
use holdfast_sim::rng::SimRng;
use holdfast_sim::world::Outside;
use holdfast_sim::{FaultKind, File, KIB, MIB, Matcher, Mutation, Process, World, WorldConfig, get, version};

const KEYS: [&str; 3] = ["a", "b", "d/c"];
const SIZES: [u64; 6] = [0, 100, 64 * KIB, 3 * MIB, 6 * MIB, 12 * MIB];
const SEEDS: u64 = 60;
const STEPS: u64 = 30;
const MUTATIONS: u64 = 40;

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What a seed is about.
#[derive(Clone, Copy, Debug)]
struct Plan {
    hold: Hold,
    versioned: bool,
    /// Requests and bodies fail.
    faults: bool,
    /// The disk is small or fails.
    poor_disk: bool,
}

impl Plan {
    fn of(seed: u64) -> Self {
        let hold = [Hold::Auto, Hold::Auto, Hold::Full, Hold::Off][(seed / 2 % 4) as usize];
        Self { hold, versioned: seed % 5 == 4, faults: seed % 2 == 1, poor_disk: seed % 7 == 6 }
    }

    fn world(self, seed: u64, rng: &SimRng) -> World {
        let mut config = WorldConfig::rough(seed);
        if self.versioned {
            config = config.versioned();
        }
        config.kernel.readahead = rng.below(2) == 0;
        config.kernel.plus = rng.below(3) > 0;
        config.store.chunk = Duration::ZERO..=millis(1);
        config.store.body_idle_max = (rng.below(3) == 0).then_some(Duration::from_secs(60));
        config.mount.hold = self.hold;
        config.mount.metadata_ttl = [Duration::ZERO, millis(1000), millis(60_000)][rng.below(3) as usize];
        config.mount.negative_metadata_ttl = [Duration::ZERO, millis(1000)][rng.below(2) as usize];
        if self.poor_disk && rng.below(2) == 0 {
            config.mount.hold_max = 2 * MIB;
        }
        let w = World::new(config);
        if self.poor_disk {
            let error = DiskError::Failed("as the seed says".into());
            w.disk().fault(DiskFault { op: DiskOp::Write, nth: Some(1 + rng.below(5)), error });
        }
        w
    }

    /// Whether a read may be told that its bytes are out of reach.
    fn may_lose(self) -> bool {
        !self.versioned && (self.hold != Hold::Full || self.faults || self.poor_disk)
    }
}

/// Other clients.
async fn mutate(outside: Outside, rng: SimRng) {
    for n in 0..MUTATIONS {
        outside.sleep(millis(rng.below(400))).await;
        let key = KEYS[rng.below(3) as usize];
        let size = SIZES[rng.below(6) as usize];
        outside.apply(match rng.below(8) {
            0 => Mutation::delete(key),
            // The same bytes again.
            1 => match outside.history().current(key) {
                Some(current) => Mutation::put(key, current.version, current.size),
                None => Mutation::put(key, version(n as u32 + 10), size),
            },
            _ => Mutation::put(key, version(n as u32 + 10), size),
        });
    }
}

/// Slowness, which explains no error.
async fn delay(outside: Outside, rng: SimRng) {
    for _ in 0..20 {
        outside.sleep(millis(rng.below(1000))).await;
        let by = millis(rng.below(3000));
        let what = if rng.below(2) == 0 { FaultKind::Delayed(by) } else { FaultKind::AnswerSlow(by) };
        outside.fault(Matcher::any().nth(1 + rng.below(6)), what);
    }
}

/// Weather.
async fn disturb(outside: Outside, rng: SimRng) {
    for _ in 0..12 {
        outside.sleep(millis(rng.below(1500))).await;
        let after = rng.below(MIB);
        let what = match rng.below(12) {
            0 => FaultKind::refused(ErrorKind::Throttled),
            1 => FaultKind::refused(ErrorKind::Unavailable),
            2 => FaultKind::AnswerLost,
            3 => FaultKind::Hangs,
            4 => FaultKind::BodyBreaks { after },
            5 => FaultKind::BodyEnds { after },
            6 => FaultKind::BodyStalls { after },
            7 => FaultKind::BodyOverflows { by: 1 + after },
            8 => FaultKind::BodyDiesPaused { longer_than: millis(rng.below(3000)) },
            9 => FaultKind::RangeShifted(16),
            10 => FaultKind::Delayed(millis(rng.below(5000))),
            _ => {
                // Now and then past the deadline.
                outside.down_for(millis(rng.below(20_000) * (1 + rng.below(8))));
                continue;
            }
        };
        for _ in 0..=rng.below(3) {
            outside.fault(Matcher::any().nth(1 + rng.below(6)), what.clone());
        }
    }
}

struct Application {
    plan: Plan,
    process: Process,
    outside: Outside,
    rng: SimRng,
    files: Vec<Opened>,
}

struct Opened {
    file: File,
    key: &'static str,
    began: Time,
}

impl Application {
    async fn run(mut self) {
        for _ in 0..STEPS {
            self.outside.sleep(millis(self.rng.below(500))).await;
            self.step().await;
        }
        // Some files stay open, as in life.
        while self.files.len() > 1 {
            self.close().await;
        }
    }

    async fn step(&mut self) {
        let key = KEYS[self.rng.below(3) as usize];
        let path = format!("/{key}");
        match self.rng.below(10) {
            0 | 1 => self.open(key).await,
            2 => {
                let began = self.outside.now();
                let stat = self.process.stat(&path).await;
                self.judge("stat", key, began, stat.err());
            }
            3 => {
                let listed = self.process.readdir(if self.rng.below(2) == 0 { "/" } else { "/d" }).await;
                if let Err(errno) = listed {
                    assert!(errno == Errno::ENOENT || (errno == Errno::EIO && self.plan.faults), "readdir: {errno:?}");
                }
            }
            4 => self.close().await,
            5 => match self.rng.below(4) {
                0 => self.process.kernel().drop_caches(),
                1 => self.process.kernel().drop_pages(),
                _ => self.outside.sleep(millis(self.rng.below(90_000))).await,
            },
            6 | 7 => {
                // A viewer.
                let Some(opened) = self.pick() else { return self.open(key).await };
                let (file, key, began) = (opened.file, opened.key, opened.began);
                let read = self.process.read_to_end(file).await;
                self.judge_read("read to the end", key, began, read.err());
            }
            _ => {
                let Some(opened) = self.pick() else { return self.open(key).await };
                let (file, key, began) = (opened.file, opened.key, opened.began);
                let at = self.rng.below(13 * MIB);
                let len = 1 + self.rng.below([100, 64 * KIB, 2 * MIB][self.rng.below(3) as usize]);
                let read = self.process.pread(file, at..at + len).await;
                self.judge_read("pread", key, began, read.err());
                assert!(self.process.fstat(file).await.is_ok());
            }
        }
    }

    fn pick(&self) -> Option<&Opened> {
        self.files.get(self.rng.below(self.files.len() as u64) as usize)
    }

    async fn open(&mut self, key: &'static str) {
        if self.files.len() > 3 {
            return;
        }
        let began = self.outside.now();
        match self.process.open(&format!("/{key}")).await {
            Ok(file) => self.files.push(Opened { file, key, began }),
            Err(errno) => self.judge("open", key, began, Some(errno)),
        }
    }

    async fn close(&mut self) {
        if self.files.is_empty() {
            return;
        }
        let at = self.rng.below(self.files.len() as u64) as usize;
        let opened = self.files.swap_remove(at);
        assert_eq!(self.process.close(opened.file).await, Ok(()));
    }

    /// ENOENT is judged by the process itself.
    fn judge(&self, what: &str, key: &str, began: Time, errno: Option<Errno>) {
        let explained = match errno {
            None | Some(Errno::ENOENT) => true,
            Some(Errno::EIO) => self.plan.faults,
            // Only a race with two changes while it ran.
            Some(Errno::ESTALE) => self.changes(key, began) >= 2,
            Some(_) => false,
        };
        assert!(explained, "{what} of {key}: {errno:?}; {}", self.process.kernel().last_error());
    }

    fn judge_read(&self, what: &str, key: &str, began: Time, errno: Option<Errno>) {
        let explained = match errno {
            None => true,
            Some(Errno::EIO) => self.plan.faults,
            Some(Errno::ESTALE) => self.plan.may_lose() && self.changes(key, began) >= 1,
            Some(_) => false,
        };
        assert!(explained, "{what} of {key}: {errno:?}; {}", self.process.kernel().last_error());
    }

    /// Changes of the key since `began`, less the longest TTL.
    fn changes(&self, key: &str, began: Time) -> usize {
        let from = Time(began.0.saturating_sub(millis(60_000)));
        self.outside.history().of(key).iter().filter(|change| change.at >= from).count()
    }
}

fn run(seed: u64) -> u64 {
    let plan = Plan::of(seed);
    let rng = SimRng::new(seed, "plan");
    let mut w = plan.world(seed, &rng);
    for (n, key) in KEYS.iter().enumerate() {
        w.s3().put(*key, version(n as u32 + 1), SIZES[rng.below(6) as usize]);
    }
    let applications = ["app 1", "app 2", "app 3"].map(|label| Application {
        plan,
        process: w.process(),
        outside: w.outside(),
        rng: SimRng::new(seed, label),
        files: Vec::new(),
    });
    let mutations = mutate(w.outside(), SimRng::new(seed, "mutations"));
    let slowness = delay(w.outside(), SimRng::new(seed, "slowness"));
    let weather = disturb(w.outside(), SimRng::new(seed, "weather"));
    w.run(async move {
        let applications = join_all(applications.into_iter().map(Application::run));
        let weather = async {
            if plan.faults {
                weather.await
            }
        };
        futures_util::future::join4(applications, mutations, slowness, weather).await
    });

    // The weather clears, and everything is as it should be.
    w.s3().clear_faults();
    w.s3().up();
    w.wait(Duration::from_secs(90));
    for key in KEYS {
        let path = format!("/{key}");
        let read = w.app().cat(&path);
        match w.history().current(key) {
            Some(current) => assert_eq!(read, Ok(current.version), "{path} at rest"),
            None => assert_eq!(read, Err(Errno::ENOENT), "{path} at rest"),
        }
    }
    let hash = w.hash();
    w.settle();
    hash
}

fn seeds() -> Range<u64> {
    #[allow(clippy::disallowed_methods)]
    let Ok(text) = std::env::var("HOLDFAST_SEEDS") else { return 0..SEEDS };
    let number = |text: &str| text.parse().expect("HOLDFAST_SEEDS is a number or a range");
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&text),
    }
}

#[test]
fn whatever_happens_each_handle_is_one_version() {
    for seed in seeds() {
        let ran = std::panic::catch_unwind(|| run(seed));
        let Ok(hash) = ran else { panic!("seed {seed}: {:?}", Plan::of(seed)) };
        if seed % 8 == 0 {
            assert_eq!(run(seed), hash, "seed {seed} ran differently the second time");
        }
    }
}

/// A film, its viewer who pauses as he likes, and somebody who puts new films over it.
fn view(seed: u64) -> u64 {
    let rng = SimRng::new(seed, "film");
    let size = 1 + rng.below([100 * KIB, 5 * MIB, 30 * MIB, 90 * MIB][seed as usize % 4]);
    let mut config = WorldConfig::rough(seed);
    config.kernel.readahead = rng.below(2) == 0;
    config.store.chunk = Duration::ZERO..=Duration::from_micros([100, 1500][rng.below(2) as usize]);
    config.store.body_idle_max = Some(Duration::from_secs(60));
    config.mount.metadata_ttl = [Duration::ZERO, millis(1000), millis(60_000)][rng.below(3) as usize];
    let mut w = World::new(config);
    w.s3().put("film", version(1), size);
    let (outside, process) = (w.outside(), w.process());
    // In a hurry, or easily distracted.
    let pauses = [2, 20][rng.below(2) as usize];
    // Between the requests that set up a reader's next stretch is where a replacement hurts.
    for n in 100..103 {
        w.s3().before(get("film").nth(2 + rng.below(16)), Mutation::put("film", version(n), size));
    }
    let viewer_rng = SimRng::new(seed, "viewer");
    let viewing = async move {
        for _ in 0..2 {
            let film = process.open("/film").await.expect("somebody always replaces it, nobody deletes it");
            let size = process.fstat(film).await.expect("of an open file").size;
            let mut at = 0;
            while at < size {
                let end = (at + 1 + viewer_rng.below(6 * MIB)).min(size);
                let read = process.pread(film, at..end).await;
                assert_eq!(read, Ok(process.version(film)), "{at}..{end} of {size}");
                at = end;
                if viewer_rng.below(100) < pauses {
                    outside.sleep(millis(viewer_rng.below(200_000))).await;
                }
            }
            process.close(film).await.expect("closed");
        }
    };
    let others = w.outside();
    let others_rng = SimRng::new(seed, "others");
    let replacing = async move {
        for n in 2..10 {
            let pause = [50, 1000, 100_000][others_rng.below(3) as usize];
            others.sleep(millis(others_rng.below(pause))).await;
            let size = 1 + others_rng.below(2 * size);
            others.apply(Mutation::put("film", version(n), size));
        }
    };
    w.run(futures_util::future::join(viewing, replacing));
    let hash = w.hash();
    w.settle();
    hash
}

#[test]
fn a_viewer_alone_never_loses_his_film() {
    for seed in seeds() {
        let ran = std::panic::catch_unwind(|| view(seed));
        let Ok(hash) = ran else { panic!("seed {seed}") };
        if seed % 16 == 0 {
            assert_eq!(view(seed), hash, "seed {seed} ran differently the second time");
        }
    }
}
