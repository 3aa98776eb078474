//! `run`: fresh scenarios, one seed after another, on as many threads as asked.

// The command line lives in real time.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use holdfast::marks::Mark;
use holdfast_sim::Finding;
use holdfast_sim::executor::ExplorerBounds;
use holdfast_sim::run::{self, Figures, Outcome};
use holdfast_sim::scenario::Scenario;
use holdfast_sim::scenario::strategy::Profile;

use super::input::{of_seed, profile};
use super::shrink::{shrunk, write};
use super::{Misuse, Verdict};

#[derive(Args)]
pub struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Stop after so many minutes, whatever is left
    #[arg(long)]
    minutes: Option<f64>,
    /// Threads; each runs scenarios of its own
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// What sort of scenarios: mixed, swarm, fair, storm, pauses, listing, viewers, trials, tiny, writers, all
    #[arg(long, default_value = "mixed", value_parser = profile)]
    profile: Profile,
    /// Run one of so many seeds twice, and compare
    #[arg(long, default_value_t = 100)]
    twice_every: u64,
    /// Run each scenario under up to so many schedules, all of them if they are fewer: for the profile tiny
    #[arg(long)]
    exhaustive: Option<u64>,
    /// Go on after a finding, and list all
    #[arg(long)]
    keep_going: bool,
    /// Where shrunk scenarios of findings are written
    #[arg(long, default_value = "target/findings")]
    findings: PathBuf,
}

/// What all threads add up.
#[derive(Default)]
struct Total {
    seeds: u64,
    figures: Figures,
    marks: BTreeMap<Mark, u64>,
    findings: Vec<(u64, Finding)>,
}

pub fn execute(options: &Options) -> Result<Verdict, Misuse> {
    let total = Mutex::new(Total::default());
    let next = AtomicU64::new(options.from);
    let stop = AtomicBool::new(false);
    let began = now();
    let until = options.minutes.map(|minutes| began + Duration::from_secs_f64(minutes * 60.0));
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| work(options, &next, &stop, until, &total));
        }
        watch(&stop, began, &total);
    });
    let total = total.into_inner().expect("no thread panics while it adds up");
    progress(&total, began);
    let unreached: Vec<&str> =
        Mark::ALL.iter().filter(|mark| !total.marks.contains_key(mark)).map(|mark| mark.name()).collect();
    if !unreached.is_empty() {
        println!("not reached: {}", unreached.join(", "));
    }
    if total.findings.is_empty() {
        return Ok(Verdict::Clean);
    }
    report(options, total.findings)?;
    Ok(Verdict::Finding)
}

fn work(options: &Options, next: &AtomicU64, stop: &AtomicBool, until: Option<Instant>, total: &Mutex<Total>) {
    while !stop.load(Ordering::Relaxed) {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= options.from.saturating_add(options.seeds) || until.is_some_and(|until| now() > until) {
            break;
        }
        let scenario = of_seed(seed, options.profile).scenario;
        let twice = options.twice_every > 0 && seed.is_multiple_of(options.twice_every);
        let outcome = match options.exhaustive {
            Some(schedules) => explored(&scenario, schedules),
            None if twice => run::run_twice(&scenario),
            None => run::run(&scenario),
        };
        let failed = !outcome.findings.is_empty();
        add(&mut total.lock().expect("no thread panics while it adds up"), seed, outcome);
        if failed && !options.keep_going {
            break;
        }
    }
    stop.store(true, Ordering::Relaxed);
}

/// The outcome under the first schedule that finds something, or under the first come, first served.
fn explored(scenario: &Scenario, schedules: u64) -> Outcome {
    let bounds = ExplorerBounds { schedules_max: Some(schedules), ..ExplorerBounds::default() };
    match run::explore(scenario, bounds) {
        (_, Some((_, outcome))) => outcome,
        (_, None) => run::run(scenario),
    }
}

fn add(total: &mut Total, seed: u64, outcome: Outcome) {
    total.seeds += 1;
    let (sum, one) = (&mut total.figures, outcome.figures);
    sum.calls += one.calls;
    sum.kernel_requests += one.kernel_requests;
    sum.store_requests += one.store_requests;
    sum.bytes_fetched += one.bytes_fetched;
    sum.mutations += one.mutations;
    sum.mutations_in_flight += one.mutations_in_flight;
    sum.simulated += one.simulated;
    for (mark, count) in outcome.marks {
        if count > 0 {
            *total.marks.entry(mark).or_default() += count;
        }
    }
    total.findings.extend(outcome.findings.into_iter().take(1).map(|finding| (seed, finding)));
}

/// A line every few seconds, until the work is done.
fn watch(stop: &AtomicBool, began: Instant, total: &Mutex<Total>) {
    let mut shown = began;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        if now().duration_since(shown) >= Duration::from_secs(10) {
            shown = now();
            progress(&total.lock().expect("no thread panics while it adds up"), began);
        }
    }
}

fn progress(total: &Total, began: Instant) {
    let seconds = now().duration_since(began).as_secs_f64().max(0.001);
    let figures = &total.figures;
    println!(
        "{} seeds, {:.0}/s; {:.0} calls/s, {:.0} requests to the core/s; {:.0} × real time; {} % of {} mutations in flight; \
         {} of {} marks; {} findings",
        total.seeds,
        total.seeds as f64 / seconds,
        figures.calls as f64 / seconds,
        figures.kernel_requests as f64 / seconds,
        figures.simulated.as_secs_f64() / seconds,
        (100 * figures.mutations_in_flight).checked_div(figures.mutations).unwrap_or_default(),
        figures.mutations,
        total.marks.len(),
        Mark::ALL.len(),
        total.findings.len()
    );
}

/// The plan, the oracle, the shrunk scenario, and the command that replays it: of the first of each oracle's findings.
fn report(options: &Options, mut findings: Vec<(u64, Finding)>) -> Result<(), Misuse> {
    findings.sort_by_key(|(seed, _)| *seed);
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, finding) in &findings {
        *seen.entry(finding.oracle).or_default() += 1;
    }
    for (oracle, times) in seen {
        let (seed, finding) = findings.iter().find(|(_, finding)| finding.oracle == oracle).expect("it was counted");
        println!("\nseed {seed} ({times} seeds of this oracle): {finding}");
        let mut file = of_seed(*seed, options.profile);
        println!("{}", plan(&file.scenario));
        if let Some(schedules) = options.exhaustive {
            let bounds = ExplorerBounds { schedules_max: Some(schedules), ..ExplorerBounds::default() };
            if let (explored, Some((failing, _))) = run::explore(&file.scenario, bounds) {
                println!("under schedule {explored} of those explored");
                file.scenario = failing;
            }
        }
        if let Some((_, small)) = shrunk(&file.scenario, Duration::from_secs(20)) {
            file.scenario = small;
        }
        std::fs::create_dir_all(&options.findings)
            .map_err(|error| Misuse(format!("{}: {error}", options.findings.display())))?;
        let path = options.findings.join(format!("{oracle}-{}-{seed}.jsonl", options.profile.name()));
        file.sentence = finding.to_string();
        write(&file, Some(&path))?;
        let scenario = &file.scenario;
        println!(
            "shrunk to {} operations, {} faults, {} mutations; replay it with\n  cargo run --release -p holdfast-sim -- \
             replay {}",
            scenario.ops.len(),
            scenario.faults.len(),
            scenario.mutations.len(),
            path.display()
        );
    }
    Ok(())
}

/// What the scenario is about, in a line.
fn plan(scenario: &Scenario) -> String {
    let config = &scenario.config;
    format!(
        "plan: {} operations of {} applications on {} mounts, {} objects, {} faults, {} mutations; schedule {:?}; hold {:?}, \
         TTL {} ms, {}versions, sizes / {}",
        scenario.ops.len(),
        config.machines.apps,
        config.machines.mounts,
        config.objects.len(),
        scenario.faults.len(),
        scenario.mutations.len(),
        config.schedule,
        config.mount.hold,
        config.mount.metadata_ttl_ms,
        if config.bucket.versioned { "" } else { "no " },
        config.mount.sizes_divided_by
    )
}

fn now() -> Instant {
    Instant::now()
}
