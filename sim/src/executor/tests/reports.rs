//! Who waits for what, when a run gets stuck.

use std::time::Duration;

use super::super::{Executor, Limits, Slot, StuckWhy};
use super::HOUR;

#[test]
fn a_deadlock_names_what_is_waited_for() {
    let mut exec = Executor::new(3);
    let (reply, lock): (Slot<()>, Slot<()>) = (Slot::empty(), Slot::empty());
    let handle = exec.handle();
    exec.handle().spawn("reader", async move { handle.labelled("reply of GET film", reply.take()).await });
    let handle = exec.handle();
    exec.handle().spawn("writer", async move {
        let _whole = handle.waiting_for(String::from("upload of part 7"));
        handle.yield_now().await;
        let _part = handle.waiting_for("the lock of film");
        lock.take().await;
    });
    exec.handle().spawn("silent", std::future::pending());
    let stuck = exec.block_on(std::future::pending::<()>()).unwrap_err();
    assert_eq!(stuck.why, StuckWhy::Deadlock);
    let report = stuck.to_string();
    for line in [
        "reader(1) waits for reply of GET film; has no timer",
        "writer(2) waits for upload of part 7, the lock of film; has no timer",
        "silent(3) does not say what it waits for; has no timer",
        "root(4) does not say what it waits for; has no timer",
    ] {
        assert!(report.contains(line), "{report}");
    }
}

#[test]
fn what_was_waited_for_is_not_said_afterwards() {
    let mut exec = Executor::new(3);
    let reply = Slot::empty();
    let (handle, answered) = (exec.handle(), reply.clone());
    exec.handle().spawn("reader", async move {
        handle.labelled("a reply", answered.take()).await;
        drop(handle.waiting_for("a moment"));
        handle.labelled("what is there at once", async {}).await;
        std::future::pending::<()>().await;
    });
    exec.run_until_idle().unwrap();
    assert_eq!(exec.pending()[0].waiting_for, ["a reply"]);
    reply.fill(());
    exec.run_until_idle().unwrap();
    assert!(exec.pending()[0].waiting_for.is_empty());
}

#[test]
fn a_statement_outside_of_a_task_is_nobodys() {
    let mut exec = Executor::new(3);
    exec.handle().spawn("task", std::future::pending());
    exec.run_until_idle().unwrap();
    let _nobody = exec.handle().waiting_for("nothing");
    assert!(exec.pending()[0].waiting_for.is_empty());
}

#[test]
fn whoever_sleeps_is_listed_with_the_first_of_its_timers() {
    let mut exec = Executor::new(3);
    exec.set_limits(Limits { time_max: Duration::from_secs(1), ..Limits::default() });
    let handle = exec.handle();
    exec.handle().spawn("sleeper", async move {
        futures_util::future::select(handle.sleep(HOUR * 2), handle.sleep(HOUR)).await;
    });
    let handle = exec.handle();
    exec.handle().spawn("ticker", async move {
        loop {
            handle.sleep(Duration::from_millis(300)).await;
        }
    });
    let report = exec.block_on(std::future::pending::<()>()).unwrap_err().to_string();
    assert!(report.contains("still pending after the longest wait"), "{report}");
    assert!(report.contains("sleeper(1) does not say what it waits for; has a timer at 3600s"), "{report}");
    assert!(report.contains("ticker(2); is ready; has no timer"), "{report}");
}

#[test]
fn a_statement_changes_nothing_in_the_run() {
    let run = |labelled: bool| {
        let mut exec = Executor::new(3);
        let handle = exec.handle();
        let future = async move {
            let sleep = handle.sleep(HOUR);
            if labelled { handle.labelled("an hour", sleep).await } else { sleep.await }
        };
        exec.block_on(future).unwrap();
        exec.hash()
    };
    assert_eq!(run(true), run(false));
}
