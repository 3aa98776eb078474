//! The executor's own rules.

mod explorer;
mod policies;
mod reports;
mod runs_apart;
mod speed;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast::env::Time;

use super::{Executor, Limits, Policy, SimHandle, Slot, StuckWhy, locked};

const HOUR: Duration = Duration::from_secs(3600);

/// Five tasks that sleep and yield; answers the order in which they got through.
fn brawl(seed: u64, policy: Policy) -> (Vec<u64>, u64) {
    let mut exec = Executor::with_policy(seed, policy);
    let order = Arc::new(Mutex::new(Vec::new()));
    for number in 0..5 {
        let (handle, order) = (exec.handle(), order.clone());
        exec.handle().spawn("brawler", async move {
            for _ in 0..3 {
                handle.yield_now().await;
                locked(&order).push(number);
                handle.sleep(Duration::from_millis(1)).await;
            }
        });
    }
    exec.run_for(HOUR).unwrap();
    let order = locked(&order).clone();
    (order, exec.hash())
}

async fn tick_for_ever(handle: SimHandle) {
    loop {
        handle.sleep(Duration::from_secs(1)).await;
    }
}

#[test]
fn equal_seeds_give_equal_runs_and_others_do_not() {
    assert_eq!(brawl(1, Policy::RandomWalk), brawl(1, Policy::RandomWalk));
    let orders: std::collections::BTreeSet<_> = (0..20).map(|seed| brawl(seed, Policy::RandomWalk)).collect();
    assert!(orders.len() > 15);
}

#[test]
fn a_task_that_wakes_itself_and_ends_is_not_run_again() {
    let mut exec = Executor::new(3);
    exec.handle().spawn(
        "wakes itself",
        std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            std::task::Poll::Ready(())
        }),
    );
    exec.run_until_idle().unwrap();
    assert_eq!((exec.poll_count(), exec.pending().len()), (1, 0));
}

#[test]
fn a_waker_kept_past_its_task_wakes_nobody_else() {
    let mut exec = Executor::new(3);
    let kept = Arc::new(Mutex::new(None));
    let keep = kept.clone();
    exec.handle().spawn(
        "gives its waker away",
        std::future::poll_fn(move |cx| {
            *locked(&keep) = Some(cx.waker().clone());
            std::task::Poll::Ready(())
        }),
    );
    exec.run_until_idle().unwrap();
    exec.handle().spawn("lives where the other did", std::future::pending());
    exec.run_until_idle().unwrap();
    let polls = exec.poll_count();
    locked(&kept).take().expect("the task ran").wake();
    exec.run_until_idle().unwrap();
    assert_eq!(exec.poll_count(), polls);
}

#[test]
fn thousands_of_deadlines_that_are_not_needed_leave_no_trace() {
    let mut exec = Executor::new(3);
    let handle = exec.handle();
    exec.block_on(async move {
        for round in 0..5000 {
            let deadline = handle.sleep(HOUR + Duration::from_secs(round));
            let first = futures_util::future::select(deadline, Box::pin(handle.sleep(Duration::from_millis(1)))).await;
            assert!(matches!(first, futures_util::future::Either::Right(_)));
        }
    })
    .unwrap();
    assert_eq!(exec.now(), Time(Duration::from_secs(5)));
    exec.run_for(HOUR * 10).unwrap();
    assert_eq!(exec.now(), Time(HOUR * 10 + Duration::from_secs(5)));
}

#[test]
fn what_is_spawned_after_the_executor_is_gone_is_let_go() {
    let token = Arc::new(());
    let exec = Executor::new(3);
    let handle = exec.handle();
    drop(exec);
    let (held, own) = (token.clone(), handle.clone());
    handle.spawn("too late", async move {
        own.yield_now().await;
        drop(held);
    });
    assert_eq!(Arc::strong_count(&token), 1);
}

#[test]
fn first_come_first_served_keeps_the_order() {
    let (order, _) = brawl(1, Policy::Fifo);
    assert_eq!(order, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
}

#[test]
fn time_jumps_to_the_next_timer_and_never_wakes_early() {
    let mut exec = Executor::new(3);
    let handle = exec.handle();
    let woke_at = exec.block_on(async move {
        handle.sleep(HOUR).await;
        handle.now()
    });
    assert_eq!(woke_at, Ok(Time(HOUR)));
}

#[test]
fn a_sleep_counts_from_the_call_and_a_dropped_one_is_forgotten() {
    let mut exec = Executor::new(3);
    let handle = exec.handle();
    let sleep = handle.sleep(Duration::from_secs(5));
    drop(handle.sleep(Duration::from_secs(1)));
    exec.run_for(Duration::from_secs(3)).unwrap();
    exec.block_on(sleep).unwrap();
    assert_eq!(exec.now(), Time(Duration::from_secs(5)));
}

#[test]
fn a_deadlock_is_reported_with_the_names_of_those_who_wait() {
    let mut exec = Executor::new(3);
    let never: Slot<()> = Slot::empty();
    exec.handle().spawn("waits for a reply", never.take());
    let stuck = exec.block_on(never.clone().take()).unwrap_err();
    assert_eq!(stuck.why, StuckWhy::Deadlock);
    let report = stuck.to_string();
    assert!(report.contains("waits for a reply(1)") && report.contains("root(2)"), "{report}");
}

#[test]
fn tasks_that_tick_for_ever_do_not_hide_that_the_root_is_stuck() {
    let mut exec = Executor::new(3);
    exec.handle().spawn("ticker", tick_for_ever(exec.handle()));
    exec.set_limits(Limits { time_max: HOUR, ..Limits::default() });
    let stuck = exec.block_on(std::future::pending::<()>()).unwrap_err();
    assert_eq!(stuck.why, StuckWhy::TooMuchTime);

    exec.set_limits(Limits { polls_max: 1000, ..Limits::default() });
    let stuck = exec.block_on(std::future::pending::<()>()).unwrap_err();
    assert_eq!(stuck.why, StuckWhy::TooManyPolls);
}

#[test]
fn a_panic_ends_its_own_task_only_and_is_recorded() {
    let mut exec = Executor::new(3);
    let done = Slot::empty();
    let other = done.clone();
    exec.handle().spawn("bad", async { panic!("as asked") });
    exec.handle().spawn("good", async move { other.fill(7) });
    assert_eq!(exec.block_on(done.take()), Ok(7));
    exec.run_until_idle().unwrap();
    let panics = exec.take_panics();
    assert_eq!(panics.len(), 1);
    assert_eq!((panics[0].task, panics[0].message.as_str()), ("bad", "as asked"));
}

#[test]
fn a_finished_world_lets_go_of_its_tasks() {
    let token = Arc::new(());
    let exec = Executor::new(3);
    let held = token.clone();
    let handle = exec.handle();
    exec.handle().spawn("holds a token and a handle", async move {
        handle.sleep(HOUR).await;
        drop(held);
    });
    drop(exec);
    assert_eq!(Arc::strong_count(&token), 1);
}

#[test]
fn running_for_a_while_stops_exactly_there() {
    let mut exec = Executor::new(3);
    exec.handle().spawn("ticker", tick_for_ever(exec.handle()));
    exec.run_for(Duration::from_millis(2500)).unwrap();
    assert_eq!(exec.now(), Time(Duration::from_millis(2500)));
}

#[test]
fn a_jump_of_time_is_announced_before_what_is_due_then() {
    let mut exec = Executor::new(3);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (by_hook, by_task, handle) = (seen.clone(), seen.clone(), exec.handle());
    exec.handle().on_advance(move |now| locked(&by_hook).push(("hook", now)));
    exec.block_on(async move {
        handle.sleep(HOUR).await;
        locked(&by_task).push(("task", handle.now()));
    })
    .unwrap();
    assert_eq!(*locked(&seen), [("hook", Time(HOUR)), ("task", Time(HOUR))]);
}
