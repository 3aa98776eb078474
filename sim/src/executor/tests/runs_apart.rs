//! Two runs that should have been one, and where they part.

use std::time::Duration;

use super::super::trace::{EVENTS_PER_CHECKPOINT, first_divergence, first_unlike_stretch};
use super::super::{Event, Executor, perturb_heap};

/// Ticks and notes each tick; one note may be unlike the others'.
fn ticks(count: u64, odd_one: Option<u64>, prepare: impl FnOnce(&mut Executor)) -> Executor {
    let mut exec = Executor::new(9);
    prepare(&mut exec);
    let handle = exec.handle();
    exec.block_on(async move {
        for tick in 0..count {
            handle.sleep(Duration::from_millis(1)).await;
            handle.note("tick", if odd_one == Some(tick) { 0xbad } else { tick });
        }
    })
    .unwrap();
    exec
}

fn recorded(count: u64, odd_one: Option<u64>) -> Vec<Event> {
    ticks(count, odd_one, |exec| exec.record_events(1_000_000)).take_events()
}

#[test]
fn the_divergence_names_the_first_event_that_differs() {
    let divergence = first_divergence(&recorded(20, None), &recorded(20, Some(12))).expect("the runs differ");
    let report = divergence.to_string();
    assert!(report.contains("one: 13ms task 1 tick 0xc\n"), "{report}");
    assert!(report.contains("the other: 13ms task 1 tick 0xbad\n"), "{report}");
    assert!(report.ends_with("13ms task 1 polled"), "{report}");
    assert_eq!(divergence.before.len(), 10);
}

#[test]
fn equal_runs_have_no_divergence_and_a_shorter_one_ends_where_the_other_goes_on() {
    let (short, long) = (recorded(5, None), recorded(6, None));
    assert_eq!(first_divergence(&long, &recorded(6, None)), None);
    let divergence = first_divergence(&short[..3], &long).expect("one is longer");
    assert_eq!((divergence.index, divergence.left, divergence.right), (3, None, Some(long[3])));
    assert!(divergence.to_string().contains("one: ends here"));
}

#[test]
fn checkpoints_say_which_stretch_to_record() {
    let (calm, odd) = (ticks(2000, None, |_| {}), ticks(2000, Some(700), |_| {}));
    assert_ne!(calm.hash(), odd.hash());
    let stretch = first_unlike_stretch(&calm.checkpoints(), &odd.checkpoints()).expect("the runs differ");
    assert_eq!(stretch.end - stretch.start, EVENTS_PER_CHECKPOINT);
    let again = |odd_one| ticks(2000, odd_one, |exec| exec.record_events_within(stretch.clone())).take_events();
    let (left, right) = (again(None), again(Some(700)));
    assert_eq!(left.len() as u64, EVENTS_PER_CHECKPOINT);
    let divergence = first_divergence(&left, &right).expect("they part within the stretch");
    assert!(divergence.to_string().contains("tick 0xbad"), "{divergence}");
    assert_eq!(first_unlike_stretch(&calm.checkpoints(), &calm.checkpoints()), None);
}

#[test]
fn a_recording_keeps_no_more_than_was_asked_for_and_changes_nothing() {
    let mut exec = ticks(100, None, |exec| exec.record_events(7));
    assert_eq!(exec.take_events().len(), 7);
    assert_eq!(exec.hash(), ticks(100, None, |_| {}).hash());
    assert!(exec.event_count() > 100);
}

#[test]
fn every_part_of_an_event_is_in_the_hash() {
    let hash = |label, value| {
        let exec = Executor::new(1);
        exec.handle().note(label, value);
        exec.hash()
    };
    let hashes =
        [hash("a", 1), hash("a", 2), hash("b", 1), hash("a\0", 1), hash("a long label", 1), hash("a long labem", 1)];
    let distinct: std::collections::BTreeSet<_> = hashes.into_iter().collect();
    assert_eq!(distinct.len(), hashes.len());
    assert_eq!(hash("a", 1), hash("a", 1));
}

#[test]
fn a_perturbed_heap_gives_other_addresses() {
    let addresses = || {
        let blocks: Vec<Box<[u8; 100]>> = (0..20).map(|_| Box::new([0; 100])).collect();
        blocks.iter().map(|block| block.as_ptr() as usize).collect::<Vec<_>>()
    };
    let all: std::collections::BTreeSet<_> = (0..8)
        .map(|seed| {
            let heap = perturb_heap(seed);
            assert!(heap.held_bytes() > 0);
            addresses()
        })
        .collect();
    assert!(all.len() > 1);
}
