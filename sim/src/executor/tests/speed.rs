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

fn polls_per_second(policy: Policy) -> u64 {
    let mut exec = Executor::with_policy(1, policy);
    for number in 0..TASKS {
        exec.handle().spawn("worker", work(exec.handle(), number));
    }
    let began = Instant::now();
    exec.run_for(Duration::from_secs(3600)).expect("workers end");
    assert!(exec.pending().is_empty());
    (TASKS * ROUNDS * POLLS_PER_ROUND) * 1_000_000 / began.elapsed().as_micros() as u64
}

#[test]
#[ignore = "prints a number, judges nothing"]
fn polls_a_second() {
    for policy in [Policy::Fifo, Policy::RandomWalk, Policy::Pct { depth: 3 }, Policy::StarveOne] {
        let best = (0..5).map(|_| polls_per_second(policy)).max();
        println!("{policy:?}: {} polls/s", best.unwrap_or(0));
    }
}
