//! Runs one scenario: builds its world, lets its applications, faults and other clients loose, waits until all is quiet,
//! and says what was found.
//!
//! Nothing but the scenario decides the run.

mod application;
mod causes;
mod settings;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use holdfast::env::Time;
use holdfast::marks::{self, Mark};

use crate::court::{Court, Finding, Seat};
use crate::executor::trace::{EVENTS_PER_CHECKPOINT, first_divergence, first_unlike_stretch};
use crate::executor::{Choice, Event, Explorer, ExplorerBounds, Limits, perturb_heap};
use crate::recording::{Recording, Scribe};
use crate::scenario::{AppOp, Scenario, Schedule};
use crate::world::World;
use application::Application;
use causes::Causes;

pub(crate) use causes::{fault_kind, matcher};
pub use settings::mount_config;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// In the order in which they were made; the first one counts, others may follow from it.
    pub findings: Vec<Finding>,
    /// Of all events. Equal for equal scenarios.
    pub hash: u64,
    pub figures: Figures,
    /// Of a scenario whose schedule is a script: what was chosen, of how many.
    pub choices: Vec<Choice>,
    /// How often each point of the core was reached.
    pub marks: Vec<(Mark, u64)>,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// System calls made by applications.
    pub calls: u64,
    /// Requests that the kernels sent to the core.
    pub kernel_requests: u64,
    pub store_requests: u64,
    pub bytes_fetched: u64,
    pub mutations: u64,
    /// Of them, those that hit a key while a GET of it was in flight.
    pub mutations_in_flight: u64,
    pub simulated: Duration,
}

/// How long the bucket has been as it is when the applications begin: longer than any TTL, or what they see first could
/// always be explained by what was before.
pub(crate) const BEFORE: Duration = Duration::from_secs(100);

/// How long a mount at rest may take to let go of what it no longer needs: the longest back-off, and then some.
const SETTLE: Duration = Duration::from_secs(120);

/// A thousand times what the longest scenario needs; what goes beyond spins.
const LIMITS: Limits = Limits { polls_max: 3_000_000, time_max: Duration::from_secs(30 * 24 * 3600) };

/// Runs a scenario that [`crate::scenario::check`] has found in order.
pub fn run(scenario: &Scenario) -> Outcome {
    run_keeping(scenario, 0..0).0
}

/// Runs it and writes down what happens.
pub fn record(scenario: &Scenario) -> (Outcome, Recording) {
    let world = World::new(settings::world_config(&scenario.config));
    let recorder = world.record();
    let scribe = Scribe { recorder: recorder.clone(), clock: world.handle() };
    let outcome = tracing::subscriber::with_default(scribe, || run_in(world, scenario, 0..0).0);
    let recording = recorder.finish(outcome.findings.clone(), Time(outcome.figures.simulated));
    (outcome, recording)
}

/// What tells two runs apart.
struct Marked {
    checkpoints: Vec<u64>,
    events: Vec<Event>,
}

/// Keeps the events with these numbers.
fn run_keeping(scenario: &Scenario, kept: Range<u64>) -> (Outcome, Marked) {
    run_in(World::new(settings::world_config(&scenario.config)), scenario, kept)
}

fn run_in(mut world: World, scenario: &Scenario, kept: Range<u64>) -> (Outcome, Marked) {
    // What earlier runs on this thread reached is not this one's.
    marks::take();
    world.set_limits(LIMITS);
    if let Schedule::Script(script) = &scenario.config.schedule {
        world.follow_script(script.clone());
    }
    world.record_events_within(kept);
    let court = world.court().clone();
    court.inform(|truth| settings::inform(truth, scenario));
    let causes = Causes::new(&world);
    let ran = catch_unwind(AssertUnwindSafe(|| act(&mut world, scenario, &causes)));
    if let Err(payload) = ran {
        let (oracle, message) = crate::court::violation_of(payload);
        court.accuse(oracle, message);
    }
    world.judge_panics();
    let figures = Figures {
        calls: court.calls(),
        kernel_requests: (0..scenario.config.machines.mounts).map(|mount| world.kernel_of(mount).requests()).sum(),
        store_requests: world.s3().requests().total(),
        bytes_fetched: world.s3().requests().bytes_delivered,
        mutations: causes.mutations(),
        mutations_in_flight: causes.mutations_in_flight(),
        simulated: world.now().0,
    };
    let hash = world.hash();
    if let Some(recorder) = court.recorder() {
        recorder.stop();
    }
    let choices = world.take_choices();
    let marked = Marked { checkpoints: world.checkpoints(), events: world.take_events() };
    // A world that found something may be in any state, destructors included.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(world)));
    (Outcome { findings: court.findings(), hash, choices, figures, marks: marks::take() }, marked)
}

/// The run itself, in its acts. Ends at the first finding.
fn act(world: &mut World, scenario: &Scenario, causes: &Causes) {
    settings::furnish(world, scenario);
    if !wait(world, &world.court().clone(), BEFORE) {
        return;
    }
    causes.begin(scenario);
    let applications: Vec<Application> = (0..scenario.config.machines.apps)
        .map(|app| {
            let seat = Seat { mount: app % scenario.config.machines.mounts, app };
            let ops: Vec<AppOp> = scenario.ops.iter().filter(|op| op.app == app).cloned().collect();
            Application::new(world.process_at(seat), world.handle(), causes.clone(), ops)
        })
        .collect();
    let court = world.court().clone();
    let files: Vec<_> = applications.iter().map(Application::process).collect();
    if !until_finding(world, &court, join_all(applications.into_iter().map(Application::run))) {
        return;
    }
    // The weather clears, others go home, and everything is as it should be.
    causes.end();
    world.s3().clear_faults();
    world.s3().up();
    for mount in 0..scenario.config.machines.mounts {
        world.disk_of(mount).clear_faults();
    }
    if !wait(world, &court, scenario_deadline(scenario) + SETTLE) {
        return;
    }
    court.inform(|truth| truth.weather_is_over(world.now()));
    if let Some(recorder) = court.recorder() {
        recorder.calm(world.now());
    }
    let visit = visit_all(world, scenario);
    if !until_finding(world, &court, visit) {
        return;
    }
    for process in &files {
        process.exit();
    }
    world.drop_caches();
    if !wait(world, &court, SETTLE) {
        return;
    }
    // Forgets that came late.
    world.drop_caches();
    if wait(world, &court, Duration::from_secs(1)) {
        world.judge_rest();
    }
}

fn scenario_deadline(scenario: &Scenario) -> Duration {
    Duration::from_millis(scenario.config.mount.deadline_ms)
}

/// False: something was found.
fn until_finding<T>(world: &mut World, court: &Court, future: impl Future<Output = T>) -> bool {
    let found = court.clone();
    let race = async move {
        let future = std::pin::pin!(future);
        let found = std::pin::pin!(found.first_finding());
        matches!(select(future, found).await, Either::Left(_))
    };
    match world.try_run(race) {
        Ok(unfound) => unfound && court.findings().is_empty(),
        Err(stuck) => {
            world.judge_stuck(&stuck);
            false
        }
    }
}

fn wait(world: &mut World, court: &Court, duration: Duration) -> bool {
    match world.try_wait(duration) {
        Ok(()) => court.findings().is_empty(),
        Err(stuck) => {
            world.judge_stuck(&stuck);
            false
        }
    }
}

/// Every mount reads every key as it is now, and lists the root: after the weather, nothing may be left of it.
fn visit_all(world: &World, scenario: &Scenario) -> impl Future<Output = ()> + use<> {
    let keys = world.history().keys();
    let prefix = scenario.config.mount.prefix.clone();
    let visitors: Vec<_> =
        (0..scenario.config.machines.mounts).map(|mount| world.process_at(Seat { mount, app: u8::MAX })).collect();
    async move {
        for visitor in visitors {
            for key in &keys {
                let Some(path) = key.as_str().strip_prefix(&prefix) else { continue };
                if path.split('/').any(|name| holdfast::op::Name::new(name).is_none()) {
                    continue;
                }
                // The court judges what comes of it.
                if let Ok(file) = visitor.open(&format!("/{path}")).await {
                    let _ = visitor.read_to_end(file).await;
                    let _ = visitor.close(file).await;
                }
            }
            let _ = visitor.readdir("/").await;
        }
    }
}

/// Runs a scenario under every schedule within the bounds, until one of them finds something: for scenarios of at most
/// about three operations. Answers that scenario, with the schedule as its script, and how many were run.
pub fn explore(scenario: &Scenario, bounds: ExplorerBounds) -> (u64, Option<(Scenario, Outcome)>) {
    let mut explorer = Explorer::new(bounds);
    while let Some(script) = explorer.next_script() {
        let mut candidate = scenario.clone();
        candidate.config.schedule = Schedule::Script(script);
        let mut outcome = run(&candidate);
        if let Err(unlike) = explorer.learn(&outcome.choices) {
            let at = Time(outcome.figures.simulated);
            outcome.findings.push(Finding {
                oracle: crate::oracles::HASHES.0,
                message: unlike.to_string(),
                at,
                op: None,
            });
        }
        if !outcome.findings.is_empty() {
            return (explorer.explored(), Some((candidate, outcome)));
        }
    }
    (explorer.explored(), None)
}

/// Runs a scenario twice, the second time on another heap, and reports where the two differ.
pub fn run_twice(scenario: &Scenario) -> Outcome {
    let (mut first, one) = run_keeping(scenario, 0..0);
    let heap = perturb_heap(scenario.config.seed);
    let (second, other) = run_keeping(scenario, 0..0);
    drop(heap);
    if first.hash != second.hash {
        let message = format!(
            "two runs had the hashes {:#x} and {:#x}; {}",
            first.hash,
            second.hash,
            where_they_part(scenario, &one.checkpoints, &other.checkpoints)
        );
        let at = Time(first.figures.simulated);
        first.findings.push(Finding { oracle: crate::oracles::HASHES.0, message, at, op: None });
    }
    first
}

/// The first event that differs, if two further runs part where the first two did.
fn where_they_part(scenario: &Scenario, one: &[u64], other: &[u64]) -> String {
    let common = one.len().min(other.len()) as u64 * EVENTS_PER_CHECKPOINT;
    let stretch = first_unlike_stretch(one, other).unwrap_or(common..common + EVENTS_PER_CHECKPOINT);
    // Whatever was taken before is given back meanwhile: each run must have a heap of its own.
    let events = |seed| {
        let heap = perturb_heap(seed);
        let events = run_keeping(scenario, stretch.clone()).1.events;
        drop(heap);
        events
    };
    let left = run_keeping(scenario, stretch.clone()).1.events;
    let divergence = (0..4).find_map(|seed| first_divergence(&left, &events(seed)));
    match divergence {
        Some(divergence) => format!("among the events from {} on, {divergence}", stretch.start),
        None => format!("they part among the events {stretch:?}, and not when run again"),
    }
}
