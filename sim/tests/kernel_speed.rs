//! How many file system operations a second the simulated kernel and the core behind it do on one core. Run by hand:
//! `cargo test --release -p holdfast-sim --test kernel_speed -- --ignored --nocapture`.

// Measures; decides nothing.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Instant;

use holdfast::config::KIB;
use holdfast_sim::{MIB, World, WorldConfig, version};

fn measured(what: &str, operations: u64, run: impl FnOnce()) {
    let began = Instant::now();
    run();
    let seconds = began.elapsed().as_secs_f64();
    println!("{what}: {:.0} operations/s ({operations} in {seconds:.2} s)", operations as f64 / seconds);
}

#[test]
#[ignore = "measures"]
fn how_fast_system_calls_are() {
    for unhurried in [false, true] {
        let mut config = WorldConfig::calm();
        config.kernel.readahead = true;
        config.kernel.unhurried = unhurried;
        config.mount.metadata_ttl = std::time::Duration::from_secs(1_000_000);
        let mut w = World::new(config);
        for n in 0..64 {
            w.s3().put(format!("d/{n:02}"), version(1), 256 * KIB);
        }
        w.s3().put("film", version(1), 8 * MIB);
        let kernel = w.kernel().clone();
        println!("unhurried: {unhurried}");
        let paths: Vec<String> = (0..64).map(|n| format!("/d/{n:02}")).collect();
        let rounds = 400;
        measured("stat, cached", 64 * rounds, || {
            w.run(async {
                for _ in 0..rounds {
                    for path in &paths {
                        kernel.stat(path).await.unwrap();
                    }
                }
            })
        });
        measured("getxattr", 64 * rounds, || {
            w.run(async {
                for _ in 0..rounds {
                    for path in &paths {
                        kernel.getxattr_at(path, "user.s3.etag").await.unwrap();
                    }
                }
            })
        });
        measured("open, fstat, read 64 KiB, close", 4 * 64 * rounds, || {
            w.run(async {
                for _ in 0..rounds {
                    for path in &paths {
                        let file = kernel.open(path).await.unwrap();
                        kernel.fstat(&file).await.unwrap();
                        assert_eq!(kernel.pread_pieces(&file, 0, 64 * KIB).await.unwrap().len(), 64 * KIB);
                        kernel.close(file).await.unwrap();
                    }
                }
            })
        });
        let film = w.run(kernel.open("/film")).unwrap();
        measured("pread 4 KiB, cached", 2048 * 50, || {
            w.run(async {
                for n in 0..2048 * 50 {
                    kernel.pread_pieces(&film, n % 2048 * 4 * KIB, 4 * KIB).await.unwrap();
                }
            })
        });
        measured("pread 4 KiB by the core", 2048 * 20, || {
            w.run(async {
                for n in 0..2048 * 20 {
                    if n % 2048 == 0 {
                        kernel.drop_pages();
                    }
                    kernel.pread_pieces(&film, n * 1021 % 2048 * 4 * KIB, 4 * KIB).await.unwrap();
                }
            })
        });
        measured("look up, stat and forget", 64 * 100, || {
            w.run(async {
                for _ in 0..100 {
                    kernel.drop_caches();
                    for path in &paths {
                        kernel.stat(path).await.unwrap();
                    }
                }
            })
        });
        measured("readdir of 64, entries", 66 * 100, || {
            w.run(async {
                for _ in 0..100 {
                    kernel.readdir("/d").await.unwrap();
                }
            })
        });
    }
}
