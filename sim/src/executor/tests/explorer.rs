//! Every schedule once, and none twice.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::{Choice, Executor, Explorer, ExplorerBounds, locked};

/// So many tasks of so many polls each. Answers the order of their turns and the record of choices.
fn brawl(script: Vec<u32>, tasks: u32, polls: u32) -> (Vec<u32>, Vec<Choice>) {
    let mut exec = Executor::new(1);
    exec.follow_script(script);
    let order = Arc::new(Mutex::new(Vec::new()));
    for number in 0..tasks {
        let (handle, order) = (exec.handle(), order.clone());
        exec.handle().spawn("brawler", async move {
            for poll in 1..=polls {
                locked(&order).push(number);
                if poll < polls {
                    handle.yield_now().await;
                }
            }
        });
    }
    exec.run_until_idle().unwrap();
    let order = locked(&order).clone();
    (order, exec.take_choices())
}

/// All orders that the bounds allow. Fails if one comes twice.
fn orders(bounds: ExplorerBounds, tasks: u32, polls: u32) -> BTreeSet<Vec<u32>> {
    let mut explorer = Explorer::new(bounds);
    let mut orders = BTreeSet::new();
    while let Some(script) = explorer.next_script() {
        let (order, record) = brawl(script, tasks, polls);
        assert!(orders.insert(order), "an order came twice");
        explorer.learn(&record).unwrap();
    }
    assert_eq!(explorer.explored(), orders.len() as u64);
    orders
}

#[test]
fn the_explorer_enumerates_all_interleavings_exactly_once() {
    // (tasks · polls)! / polls!^tasks
    assert_eq!(orders(ExplorerBounds::default(), 2, 1).len(), 2);
    assert_eq!(orders(ExplorerBounds::default(), 2, 3).len(), 20);
    assert_eq!(orders(ExplorerBounds::default(), 3, 2).len(), 90);
    assert_eq!(orders(ExplorerBounds::default(), 3, 3).len(), 1680);
    assert_eq!(orders(ExplorerBounds::default(), 4, 1).len(), 24);
}

#[test]
fn bounds_cut_the_schedules_and_the_calm_one_comes_first() {
    let all = orders(ExplorerBounds::default(), 3, 3);
    let calm = orders(ExplorerBounds { deviations_max: Some(0), ..Default::default() }, 3, 3);
    assert_eq!(calm.into_iter().collect::<Vec<_>>(), [[0, 1, 2, 0, 1, 2, 0, 1, 2]]);
    let mut last = 1;
    for max in 1..=3 {
        let deviating = orders(ExplorerBounds { deviations_max: Some(max), ..Default::default() }, 3, 3);
        let delayed = orders(ExplorerBounds { delays_max: Some(max), ..Default::default() }, 3, 3);
        assert!(last < deviating.len() && deviating.len() < all.len() && deviating.is_subset(&all));
        // A deviation passes over one task or more.
        assert!(delayed.len() < deviating.len() && delayed.is_subset(&deviating));
        last = deviating.len();
    }
    assert_eq!(orders(ExplorerBounds { schedules_max: Some(100), ..Default::default() }, 3, 3).len(), 100);
}

/// Two tasks add one each, reading and writing in two steps, after a sleep that ends for both at once.
fn sum_after(script: Vec<u32>) -> (u32, Vec<Choice>) {
    let mut exec = Executor::new(1);
    let sum = Arc::new(AtomicU32::new(0));
    for _ in 0..2 {
        let (handle, sum) = (exec.handle(), sum.clone());
        exec.handle().spawn("adder", async move {
            handle.sleep(Duration::from_secs(1)).await;
            let before = sum.load(Ordering::Relaxed);
            handle.yield_now().await;
            sum.store(before + 1, Ordering::Relaxed);
        });
    }
    exec.run_until_idle().unwrap();
    // What came before is not part of what is explored.
    exec.follow_script(script);
    exec.run_for(Duration::from_secs(1)).unwrap();
    (sum.load(Ordering::Relaxed), exec.take_choices())
}

#[test]
fn the_explorer_finds_a_lost_update_and_the_order_without_it() {
    let mut explorer = Explorer::new(ExplorerBounds::default());
    let mut sums = Vec::new();
    while let Some(script) = explorer.next_script() {
        let (sum, record) = sum_after(script);
        sums.push(sum);
        explorer.learn(&record).unwrap();
    }
    assert!(explorer.is_exhausted());
    // Of six orders, two have one adder after the other.
    assert_eq!(sums.len(), 6);
    assert_eq!(sums.iter().filter(|&&sum| sum == 2).count(), 2);
}

#[test]
fn a_script_that_finds_something_finds_it_again() {
    let script = vec![1, 1, 0, 1];
    assert_eq!(brawl(script.clone(), 3, 3), brawl(script, 3, 3));
}

#[test]
fn a_run_that_does_not_follow_its_script_is_told() {
    let mut explorer = Explorer::new(ExplorerBounds::default());
    explorer.next_script();
    explorer.learn(&[Choice { chosen: 0, alternatives: 2 }]).unwrap();
    assert_eq!(explorer.next_script(), Some(vec![1]));
    let told = explorer.learn(&[]).unwrap_err();
    assert_eq!(told.to_string(), "choice 0 of the script [1] was not followed: the run ended before it");
    assert_eq!(explorer.next_script(), None);
}
