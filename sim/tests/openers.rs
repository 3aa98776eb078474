//! Many openers of one file at once.

use futures_util::future::join_all;
use holdfast_sim::{Kind, MIB, World, version};

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
