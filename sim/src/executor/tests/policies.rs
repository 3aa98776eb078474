//! What each policy promises.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::{Executor, Limits, Policy, SimHandle, StuckWhy, locked};
use super::{HOUR, brawl};

const POLICIES: [Policy; 6] = [
    Policy::Fifo,
    Policy::RandomWalk,
    Policy::Pct { depth: 2 },
    Policy::Pct { depth: 3 },
    Policy::Pct { depth: 5 },
    Policy::StarveOne,
];

#[test]
fn under_every_policy_equal_seeds_give_equal_runs() {
    for policy in POLICIES {
        for seed in 0..20 {
            assert_eq!(brawl(seed, policy), brawl(seed, policy), "{policy:?}");
        }
    }
}

#[test]
fn every_policy_but_the_calm_one_gives_other_seeds_other_runs() {
    for policy in &POLICIES[1..] {
        let orders: std::collections::BTreeSet<_> = (0..20).map(|seed| brawl(seed, *policy)).collect();
        assert!(orders.len() > 15, "{policy:?} gave {}", orders.len());
    }
}

async fn steps(handle: &SimHandle, count: u32) {
    for _ in 0..count {
        handle.yield_now().await;
    }
}

/// A writer leaves the door open for one of its steps; the bug is a reader that fits all of its own steps in there. Two
/// orders must hold: the reader begins after the opening, and ends before the closing.
fn reader_slips_through(seed: u64, policy: Policy) -> bool {
    let mut exec = Executor::with_policy(seed, policy);
    exec.expect_choices(32);
    let (open, slipped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (handle, door) = (exec.handle(), open.clone());
    exec.handle().spawn("writer", async move {
        steps(&handle, 10).await;
        door.store(true, Ordering::Relaxed);
        handle.yield_now().await;
        door.store(false, Ordering::Relaxed);
        steps(&handle, 10).await;
    });
    let (handle, found) = (exec.handle(), slipped.clone());
    exec.handle().spawn("reader", async move {
        let began = open.load(Ordering::Relaxed);
        steps(&handle, 10).await;
        found.store(began && open.load(Ordering::Relaxed), Ordering::Relaxed);
    });
    exec.run_until_idle().unwrap();
    slipped.load(Ordering::Relaxed)
}

#[test]
fn pct_finds_a_bug_of_depth_two_much_more_often_than_a_random_walk() {
    let found = |policy| (0..4000).filter(|&seed| reader_slips_through(seed, policy)).count();
    let (by_priorities, by_chance) = (found(Policy::Pct { depth: 2 }), found(Policy::RandomWalk));
    // The paper's bound: one run in (tasks · choices^(depth - 1)) = 2 · 32 at the least.
    assert!(by_priorities >= 4000 / 64, "{by_priorities}");
    assert!(by_priorities >= 10 * by_chance.max(1), "{by_priorities} against {by_chance}");
}

/// Some tasks spin until another has run.
fn spinners_let_go(seed: u64, policy: Policy, spinners: u32) {
    let mut exec = Executor::with_policy(seed, policy);
    exec.set_limits(Limits { polls_max: 100_000, ..Limits::default() });
    let done = Arc::new(AtomicBool::new(false));
    for _ in 0..spinners {
        let (handle, done) = (exec.handle(), done.clone());
        exec.handle().spawn("spinner", async move {
            while !done.load(Ordering::Relaxed) {
                handle.yield_now().await;
            }
        });
    }
    exec.handle().spawn("the one they wait for", async move { done.store(true, Ordering::Relaxed) });
    exec.run_until_idle().unwrap_or_else(|stuck| panic!("{policy:?}, seed {seed}: {stuck}"));
}

#[test]
fn under_every_policy_whoever_is_ready_runs_some_day() {
    for policy in POLICIES {
        for seed in 0..50 {
            spinners_let_go(seed, policy, 1);
            spinners_let_go(seed, policy, 3);
        }
    }
}

#[test]
fn pct_lets_a_third_one_run_beside_two_that_wake_each_other() {
    for seed in 0..20 {
        let mut exec = Executor::with_policy(seed, Policy::Pct { depth: 3 });
        exec.set_limits(Limits { polls_max: 100_000, ..Limits::default() });
        let done = Arc::new(AtomicBool::new(false));
        let (ping, pong) = (super::super::Slot::empty(), super::super::Slot::empty());
        for (mine, theirs) in [(ping.clone(), pong.clone()), (pong, ping.clone())] {
            let done = done.clone();
            exec.handle().spawn("player", async move {
                while !done.load(Ordering::Relaxed) {
                    mine.take().await;
                    theirs.fill(());
                }
                theirs.fill(());
            });
        }
        exec.handle().spawn("the one they wait for", async move { done.store(true, Ordering::Relaxed) });
        ping.fill(());
        let run = exec.run_until_idle();
        assert!(run.is_ok(), "seed {seed}: {}", run.unwrap_err());
    }
}

/// Three tasks of two kinds step 400 times each; answers the longest that one of them was passed over in a row.
fn longest_hunger(seed: u64, policy: Policy) -> usize {
    let mut exec = Executor::with_policy(seed, policy);
    let turns = Arc::new(Mutex::new(Vec::new()));
    for (number, name) in ["reader", "reader", "writer"].into_iter().enumerate() {
        let (handle, turns) = (exec.handle(), turns.clone());
        exec.handle().spawn(name, async move {
            for _ in 0..400 {
                locked(&turns).push(number);
                handle.yield_now().await;
            }
        });
    }
    exec.run_until_idle().unwrap();
    // Of the last turns only one task may have any left, which starves nobody.
    let turns = &locked(&turns)[..600];
    (0..3).filter_map(|number| turns.split(|&turn| turn == number).map(<[usize]>::len).max()).max().unwrap_or(0)
}

#[test]
fn starve_one_really_starves_and_a_random_walk_does_not() {
    let starving = (0..40).filter(|&seed| longest_hunger(seed, Policy::StarveOne) >= 100).count();
    assert!(starving >= 20, "{starving} of 40");
    assert!((0..40).all(|seed| longest_hunger(seed, Policy::RandomWalk) < 100));
}

#[test]
fn starve_one_starves_kinds_as_well_as_single_tasks() {
    // Both readers pass a hundred turns of the writer without one of their own.
    let kind_starves = |seed| {
        let mut exec = Executor::with_policy(seed, Policy::StarveOne);
        let (readers, worst, in_a_row) =
            (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        for _ in 0..2 {
            let (handle, readers, in_a_row) = (exec.handle(), readers.clone(), in_a_row.clone());
            exec.handle().spawn("reader", async move {
                for _ in 0..200 {
                    readers.fetch_add(1, Ordering::Relaxed);
                    in_a_row.store(0, Ordering::Relaxed);
                    handle.yield_now().await;
                }
            });
        }
        let (handle, longest) = (exec.handle(), worst.clone());
        exec.handle().spawn("writer", async move {
            for _ in 0..400 {
                let now = in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
                if readers.load(Ordering::Relaxed) < 400 {
                    longest.fetch_max(now, Ordering::Relaxed);
                }
                handle.yield_now().await;
            }
        });
        exec.run_until_idle().unwrap();
        worst.load(Ordering::Relaxed) >= 100
    };
    assert!((0..100).filter(|&seed| kind_starves(seed)).count() >= 5);
}

#[test]
fn under_every_policy_an_awaited_future_that_is_given_up_has_no_turn_left() {
    for policy in POLICIES {
        for polls_max in 10..14 {
            let mut exec = Executor::with_policy(1, policy);
            exec.handle().spawn("ticker", super::tick_for_ever(exec.handle()));
            exec.set_limits(Limits { polls_max, ..Limits::default() });
            let handle = exec.handle();
            let spinning = async move {
                loop {
                    handle.yield_now().await;
                }
            };
            let given_up: Result<(), _> = exec.block_on(spinning);
            assert_eq!(given_up.unwrap_err().why, StuckWhy::TooManyPolls);
            exec.run_for(Duration::from_secs(3)).unwrap();
            assert_eq!(exec.pending().len(), 1, "{policy:?}");
        }
    }
}

#[test]
fn a_policy_may_change_in_the_middle_of_a_story() {
    let run = |seed| {
        let mut exec = Executor::with_policy(seed, Policy::Fifo);
        let order = Arc::new(Mutex::new(Vec::new()));
        for number in 0..4 {
            let (handle, order) = (exec.handle(), order.clone());
            exec.handle().spawn("brawler", async move {
                for _ in 0..2 {
                    locked(&order).push(number);
                    handle.sleep(HOUR).await;
                }
            });
        }
        exec.run_until_idle().unwrap();
        exec.set_policy(Policy::Pct { depth: 3 });
        exec.run_for(HOUR).unwrap();
        locked(&order).clone()
    };
    let orders: std::collections::BTreeSet<_> = (0..40).map(run).collect();
    assert!(orders.iter().all(|order| order[..4] == [0, 1, 2, 3]));
    assert!(orders.len() > 10);
}

#[test]
fn time_stands_still_under_every_policy_while_anything_is_ready() {
    for policy in POLICIES {
        let mut exec = Executor::with_policy(5, policy);
        exec.set_limits(Limits { polls_max: 1000, ..Limits::default() });
        let handle = exec.handle();
        exec.handle().spawn("spinner", async move {
            loop {
                handle.yield_now().await;
            }
        });
        let handle = exec.handle();
        let stuck = exec.block_on(async move { handle.sleep(HOUR).await }).unwrap_err();
        assert_eq!((stuck.why, stuck.at), (StuckWhy::TooManyPolls, holdfast::env::Time::ZERO), "{policy:?}");
    }
}
