//! Applications that are killed in the middle of system calls, on a machine short of memory, while objects are replaced.
//!
//! That nothing is left behind (handles, inodes, memory, bodies) is checked by the end of each world.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, join, join_all, select};
use holdfast::error::Errno;
use holdfast_sim::executor::SimHandle;
use holdfast_sim::kernel::{Directory, EINTR, Kernel, Mapping, OpenFile, SIGBUS, SystemCall};
use holdfast_sim::rng::SimRng;
use holdfast_sim::{KIB, MIB, Mutation, World, WorldConfig, version};

const PATHS: [&str; 4] = ["/film", "/d/note", "/d/e/deep", "/missing"];
const SEEDS: u64 = 40;

/// The call's outcome, or `None` when its caller was killed first: after some time, or just when the call had been woken
/// for so many times, such as by the answer that it waited for.
async fn unless_killed<T: Send + 'static>(handle: &SimHandle, rng: &SimRng, mut call: SystemCall<T>) -> Option<T> {
    let (when, wakes) = (rng.below(4), 1 + rng.below(6));
    let patience = Duration::from_millis(if when == 0 { rng.below(60) } else { 600_000 });
    let mut pending = 0;
    let counted = poll_fn(|context| match Pin::new(&mut call).poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending if when == 1 && pending == wakes => Poll::Ready(None),
        Poll::Pending => {
            pending += 1;
            Poll::Pending
        }
    });
    match select(counted, handle.sleep(patience)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => None,
    }
}

#[derive(Default)]
struct Held {
    files: Vec<Arc<OpenFile>>,
    mappings: Vec<Mapping>,
    directories: Vec<Directory>,
}

/// An application that ends at once when one of its calls is killed, and is started again.
async fn live(kernel: Kernel, handle: SimHandle, rng: SimRng) {
    let mut held = Held::default();
    for _ in 0..60 {
        if step(&kernel, &handle, &rng, &mut held).await.is_none() {
            // exit_files: each descriptor is closed.
            for file in std::mem::take(&mut held).files {
                kernel.close(file).await.expect("a FLUSH never fails here");
            }
        }
        handle.sleep(Duration::from_millis(rng.below(40))).await;
    }
}

async fn step(kernel: &Kernel, handle: &SimHandle, rng: &SimRng, held: &mut Held) -> Option<()> {
    let path = PATHS[rng.below(4) as usize];
    let offset = rng.below(6 * MIB);
    let pick = |count: usize| rng.below(count as u64) as usize;
    let allowed = |errno: Errno| {
        assert!([Errno::ENOENT, Errno::ESTALE, EINTR, SIGBUS].contains(&errno), "{errno:?}: {}", kernel.last_error());
    };
    match rng.below(10) {
        0 => drop(unless_killed(handle, rng, kernel.stat(path)).await?.map_err(allowed)),
        1 | 2 => {
            if let Ok(file) = unless_killed(handle, rng, kernel.open(path)).await?.map_err(allowed) {
                held.files.push(file);
            }
        }
        3 | 4 if !held.files.is_empty() => {
            let file = held.files[pick(held.files.len())].clone();
            let read = unless_killed(handle, rng, kernel.pread_pieces(&file, offset, rng.below(300 * KIB))).await?;
            drop(read.map_err(allowed));
        }
        5 if !held.files.is_empty() => held.mappings.push(kernel.map(&held.files[pick(held.files.len())])),
        6 if !held.mappings.is_empty() => {
            let mapping = held.mappings.swap_remove(pick(held.mappings.len()));
            drop(unless_killed(handle, rng, kernel.touch(&mapping, offset, 1)).await?.map_err(allowed));
        }
        7 if !held.files.is_empty() => {
            let file = held.files.swap_remove(pick(held.files.len()));
            let _ = unless_killed(handle, rng, kernel.close(file)).await?.map_err(allowed);
        }
        8 => {
            if let Ok(directory) = unless_killed(handle, rng, kernel.open_directory("/d")).await?.map_err(allowed) {
                held.directories.push(directory);
            }
        }
        9 if !held.directories.is_empty() => {
            let directory = held.directories[pick(held.directories.len())].clone();
            drop(unless_killed(handle, rng, kernel.getdents(&directory)).await?.map_err(allowed));
        }
        _ => kernel.drop_caches(),
    }
    Some(())
}

fn run(seed: u64) -> (u64, u64) {
    let mut config = WorldConfig::rough(seed);
    config.kernel.readahead = true;
    config.kernel.page_eviction_one_in = 4;
    config.kernel.name_eviction_one_in = 4;
    config.mount.metadata_ttl = Duration::from_millis([0, 100, 1000][(seed % 3) as usize]);
    config.mount.negative_metadata_ttl = config.mount.metadata_ttl;
    let mut w = World::new(config);
    w.s3().put("film", version(1), 6 * MIB);
    w.s3().put("d/note", version(1), 100 * KIB);
    w.s3().put("d/e/deep", version(1), 2 * MIB);
    let (outside, handle) = (w.outside(), w.handle());
    let replacing = async move {
        for n in 2..12 {
            outside.apply(Mutation::put(["film", "d/note", "d/e/deep"][n as usize % 3], version(n), 6 * MIB));
            handle.sleep(Duration::from_millis(190)).await;
        }
    };
    let lives: Vec<_> = (0..4)
        .map(|n| live(w.kernel().clone(), w.handle(), SimRng::new(seed, ["one", "two", "three", "four"][n])))
        .collect();
    w.run(join(replacing, join_all(lives)));
    w.wait(Duration::from_secs(1));
    (w.kernel().interrupts(), w.hash())
}

#[test]
fn what_killed_applications_had_begun_is_ended_and_given_back() {
    let killed: u64 = (0..SEEDS).map(|seed| run(seed).0).sum();
    assert!(killed > SEEDS, "only {killed} calls were killed");
}

#[test]
fn killing_is_as_repeatable_as_all_else() {
    assert_eq!(run(7), run(7));
}
