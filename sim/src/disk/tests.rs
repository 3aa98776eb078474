//! The simulated disk keeps the contract of `holdfast::env::disk`.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use holdfast::env::{Disk as _, DiskError, DiskSpace, Spool as _};

use super::{DiskConfig, DiskFault, DiskOp, Rot, SilentFault, SimDisk};
use crate::executor::Executor;
use crate::rng::SimRng;

fn disk(capacity: u64) -> (Executor, SimDisk) {
    let exec = Executor::new(1);
    let config = DiskConfig { capacity, ..DiskConfig::default() };
    let disk = SimDisk::new(exec.handle(), config, 1, "disk");
    (exec, disk)
}

#[test]
fn what_was_written_last_is_read_back_however_it_overlaps() {
    let (mut exec, disk) = disk(10_000);
    let rng = SimRng::new(5, "writes");
    exec.block_on(async move {
        let spool = disk.create_spool().await.unwrap();
        let mut model = vec![0; 1000];
        spool.write_at(0, Bytes::from(model.clone())).await.unwrap();
        for round in 0..200 {
            let at = rng.below(1000) as usize;
            let len = rng.below(1000 - at as u64) as usize;
            model[at..at + len].fill(round as u8);
            spool.write_at(at as u64, Bytes::from(vec![round as u8; len])).await.unwrap();
            let from = rng.below(1000) as usize;
            assert_eq!(spool.read_at(from as u64, 1000 - from).await.unwrap(), model[from..]);
        }
        assert_eq!(disk.used_bytes(), 1000);
    })
    .unwrap();
}

#[test]
fn a_full_disk_refuses_growth_but_not_overwriting_and_a_dropped_spool_makes_room() {
    let (mut exec, disk) = disk(100);
    exec.block_on(async move {
        let spool = disk.create_spool().await.unwrap();
        spool.write_at(50, Bytes::from(vec![1; 80])).await.unwrap();
        assert_eq!(spool.write_at(120, Bytes::from(vec![2; 40])).await, Err(DiskError::Full));
        spool.write_at(60, Bytes::from(vec![2; 70])).await.unwrap();
        assert_eq!(disk.space().await, Ok(DiskSpace { free: 20, total: 100 }));
        drop(spool);
        assert_eq!(disk.space().await, Ok(DiskSpace { free: 100, total: 100 }));
    })
    .unwrap();
}

#[test]
fn reading_a_hole_is_a_bug_that_is_named() {
    let (mut exec, disk) = disk(100);
    exec.block_on(async move {
        let spool = disk.create_spool().await.unwrap();
        spool.write_at(0, Bytes::from(vec![1; 10])).await.unwrap();
        assert!(matches!(spool.read_at(5, 10).await, Err(DiskError::Failed(_))));
        assert_eq!(disk.unwritten_reads(), 1);
    })
    .unwrap();
}

#[test]
fn an_abandoned_write_may_arrive_in_part_later() {
    let (mut exec, disk) = disk(1000);
    let used = disk.clone();
    exec.block_on(async move {
        let spool = disk.create_spool().await.unwrap();
        let mut write = Box::pin(spool.write_at(0, Bytes::from(vec![1; 1000])));
        assert!(write.as_mut().now_or_never().is_none());
        drop(write);
        assert_eq!(disk.used_bytes(), 0);
        disk.inner.handle.sleep(Duration::from_secs(1)).await;
        assert!(disk.used_bytes() > 0);
        drop(spool);
    })
    .unwrap();
    assert_eq!((used.used_bytes(), used.spools()), (0, 0));
}

#[test]
fn the_chosen_operation_fails_and_no_other() {
    let (mut exec, disk) = disk(1000);
    let broken = DiskError::Failed("worn out".to_owned());
    disk.fault(DiskFault { op: DiskOp::Write, nth: Some(2), error: broken.clone() });
    exec.block_on(async move {
        let spool = disk.create_spool().await.unwrap();
        let byte = || Bytes::from_static(b"x");
        assert_eq!(spool.write_at(0, byte()).await, Ok(()));
        assert_eq!(spool.write_at(1, byte()).await, Err(broken));
        assert_eq!(spool.write_at(2, byte()).await, Ok(()));
    })
    .unwrap();
}

/// What 300 bytes of 1s and 300 of 2s are read as, twice, from a disk whose second write or read goes wrong.
fn rotten(what: Rot) -> (Bytes, Bytes) {
    let (mut exec, disk) = disk(10_000);
    disk.rot(SilentFault { what, nth: Some(2) });
    exec.block_on(async move {
        let spool = disk.create_spool().await.unwrap();
        spool.write_at(0, Bytes::from(vec![1; 300])).await.unwrap();
        spool.write_at(300, Bytes::from(vec![2; 300])).await.unwrap();
        let read = (spool.read_at(0, 600).await.unwrap(), spool.read_at(0, 600).await.unwrap());
        assert_eq!(disk.unwritten_reads(), 0, "nothing tells of it");
        read
    })
    .unwrap()
}

#[test]
fn a_disk_that_rots_says_that_all_is_well_and_rots_the_same_with_the_same_seed() {
    let mut good = vec![1; 300];
    good.resize(600, 2);
    let (first, second) = rotten(Rot::Rots);
    assert!(first == good && second != good, "the second read only");

    let (torn, later) = rotten(Rot::TornWrite);
    let arrived = torn.iter().filter(|byte| **byte == 2).count();
    assert!(torn[..300 + arrived] == good[..300 + arrived] && torn[300 + arrived..].iter().all(|byte| *byte == 0));
    assert!(arrived < 300 && torn == later);

    let (misplaced, later) = rotten(Rot::MisplacedWrite);
    assert!(misplaced != good && misplaced == later);
    for what in [Rot::Rots, Rot::TornWrite, Rot::MisplacedWrite] {
        assert_eq!(rotten(what), rotten(what), "{what:?}");
    }
}

#[test]
fn a_note_outlives_a_mount_that_was_told_it_and_died_before_it_left_it_anew() {
    let (mut exec, disk) = disk(100);
    exec.block_on(async move {
        let done = disk.leave_note("done".into()).await.unwrap();
        disk.leave_note("left".into()).await.unwrap();
        disk.take_back_note(done).await;
        assert_eq!(disk.notes_left().await, Vec::<String>::new(), "its mount lives");
        disk.orphan_notes();
        assert_eq!(disk.notes_left().await, ["left"]);
        assert_eq!(disk.notes_left().await, Vec::<String>::new(), "each is told once");
        disk.orphan_notes();
        assert_eq!(disk.notes_left().await, ["left"]);
        let again = disk.leave_note("left".into()).await.unwrap();
        disk.orphan_notes();
        assert_eq!(disk.notes_left().await, ["left"]);
        assert_eq!(disk.leave_note("left".into()).await, Ok(again));
        disk.take_back_note(again).await;
        disk.orphan_notes();
        assert_eq!(disk.notes_left().await, Vec::<String>::new());
    })
    .unwrap();
}
