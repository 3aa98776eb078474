//! How fast the executor is: `cargo test --release -p holdfast-sim --lib -- --ignored --nocapture polls_a_second`.
//!
//! The one place of the simulator that reads a real clock, and only to print.
#![allow(clippy::disallowed_methods, reason = "measures real time")]

use std::time::{Duration, Instant};

use futures_util::future::{Either, select};

use super::super::{Executor, Policy, SimHandle, Slot};

const TASKS: u64 = 50;
const ROUNDS: u64 = 4_000;
/// Of a worker: two yields, a sleep, a wait. Of its child: one.
const POLLS_PER_ROUND: u64 = 5;

/// What a file system's task does: yields, sleeps, starts a child and waits for it under a deadline.
async fn work(handle: SimHandle, number: u64) {
    for round in 0..ROUNDS {
        handle.yield_now().await;
        handle.yield_now().await;
        handle.sleep(Duration::from_micros(1 + (number * 7 + round) % 13)).await;
        let slot = Slot::empty();
        let reply = slot.clone();
        handle.spawn("child", async move { reply.fill(round) });
        let deadline = handle.sleep(Duration::from_secs(30));
        match select(Box::pin(slot.take()), deadline).await {
            Either::Left((answer, _)) => handle.note("answer", answer),
            Either::Right(_) => unreachable!("a child answers at once"),
        }
    }
}

/// Nothing but turns: what the executor itself costs.
async fn spin(handle: SimHandle) {
    for _ in 0..ROUNDS * POLLS_PER_ROUND {
        handle.yield_now().await;
    }
}

fn polls_per_second(policy: Policy, spawn: impl Fn(&SimHandle, u64)) -> u64 {
    let mut exec = Executor::with_policy(1, policy);
    for number in 0..TASKS {
        spawn(&exec.handle(), number);
    }
    let began = Instant::now();
    exec.run_for(Duration::from_secs(3600)).expect("all tasks end");
    assert!(exec.pending().is_empty());
    exec.poll_count() * 1_000_000 / began.elapsed().as_micros() as u64
}

fn best_of_five(measure: impl Fn() -> u64) -> u64 {
    (0..5).map(|_| measure()).max().unwrap_or(0)
}

#[test]
#[ignore = "prints a number, judges nothing"]
fn polls_a_second() {
    for policy in [Policy::Fifo, Policy::RandomWalk, Policy::Pct { depth: 3 }, Policy::StarveOne] {
        let mixed = best_of_five(|| {
            polls_per_second(policy, |handle, number| handle.spawn("worker", work(handle.clone(), number)))
        });
        let turns =
            best_of_five(|| polls_per_second(policy, |handle, _| handle.spawn("spinner", spin(handle.clone()))));
        println!("{policy:?}: mixed {mixed} polls/s, turns alone {turns} polls/s");
    }
}
