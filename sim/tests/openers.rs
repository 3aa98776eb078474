//! Many openers of one file at once.

use std::time::Duration;

use futures_util::future::{join, join_all};
use holdfast::error::Errno;
use holdfast_sim::{Kind, MIB, Mutation, World, WorldConfig, version};

#[test]
fn eight_openers_of_a_cold_file_share_one_get() {
    for size in [MIB, 24 * MIB] {
        let mut w = World::calm();
        w.s3().put("film", version(1), size);
        let openers = (0..8).map(|_| {
            let process = w.process();
            async move {
                let film = process.open("/film").await?;
                process.read_to_end(film).await
            }
        });
        let read = w.run(join_all(openers.collect::<Vec<_>>()));
        assert_eq!(read, [Ok(version(1)); 8]);
        assert_eq!(w.s3().requests().of(Kind::Get), 1, "of {size} bytes");
    }
}

/// Rule R16.
#[test]
fn many_openers_of_objects_that_are_replaced_ceaselessly_far_away_never_fail() {
    for seed in 0..12 {
        let mut config = WorldConfig::calm();
        config.seed = seed;
        let leg = Duration::from_millis(5)..=Duration::from_millis(40);
        (config.store.before, config.store.after) = (leg.clone(), leg);
        let mut w = World::new(config);
        let keys = ["film", "reel"];
        for key in keys {
            w.s3().put(key, version(1), 6 * MIB);
        }
        let (outside, handle) = (w.outside(), w.handle());
        let replacing = async move {
            for n in 2..120 {
                for key in keys {
                    outside.apply(Mutation::put(key, version(n), 6 * MIB));
                    handle.sleep(Duration::from_millis(9)).await;
                }
            }
        };
        let readers = (0..4).map(|n: usize| {
            let process = w.process();
            async move {
                for round in 0..8 {
                    let path = format!("/{}", keys[(n + round) % 2]);
                    let film = process.open(&path).await.map_err(|errno| (n, round, errno))?;
                    process.read_to_end(film).await.map_err(|errno| (n, round, errno))?;
                    process.close(film).await.expect("closed");
                }
                Ok::<(), (usize, usize, Errno)>(())
            }
        });
        let (_, read) = w.run(join(replacing, join_all(readers.collect::<Vec<_>>())));
        assert_eq!(read, [Ok(()); 4], "seed {seed}");
    }
}

#[test]
fn openers_of_an_object_that_is_deleted_and_put_again_find_it_or_find_it_missing() {
    for seed in 0..10 {
        let mut config = WorldConfig::calm();
        config.seed = seed;
        let leg = Duration::from_millis(5)..=Duration::from_millis(40);
        (config.store.before, config.store.after) = (leg.clone(), leg);
        let mut w = World::new(config);
        w.s3().put("film", version(1), MIB);
        let (outside, handle) = (w.outside(), w.handle());
        let replacing = async move {
            for n in 2..150 {
                outside.apply(Mutation::delete("film"));
                handle.sleep(Duration::from_millis(7)).await;
                outside.apply(Mutation::put("film", version(n), MIB));
                handle.sleep(Duration::from_millis(9)).await;
            }
        };
        let readers = (0..4).map(|_| {
            let process = w.process();
            async move {
                for _ in 0..10 {
                    match process.open("/film").await {
                        Ok(film) => {
                            process.read_to_end(film).await?;
                            process.close(film).await.expect("closed");
                        }
                        Err(Errno::ENOENT) => {}
                        Err(errno) => return Err(errno),
                    }
                }
                Ok(())
            }
        });
        let (_, read) = w.run(join(replacing, join_all(readers.collect::<Vec<_>>())));
        assert_eq!(read, [Ok(()); 4], "seed {seed}");
    }
}
