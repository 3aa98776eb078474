//! An open file holds one version of its object until it is closed, whatever happens to the bucket meanwhile.

use holdfast_sim::{MIB, World, version};

#[test]
fn a_reader_finishes_the_version_it_opened_when_the_object_is_replaced() {
    for size in [24 * MIB, 10 * MIB, 40 * MIB] {
        let mut w = World::calm();
        w.s3().put("film", version(1), 24 * MIB);
        let film = w.app().open("/film");
        w.app().read(film, 0..MIB);
        w.s3().replace("film", version(2), size);
        assert_eq!(w.app().read_to_end(film), Ok(version(1)));
        assert_eq!(w.app().fstat(film).size, 24 * MIB);
    }
}

#[test]
fn a_reader_finishes_the_version_it_opened_when_the_object_is_deleted() {
    let mut w = World::calm();
    w.s3().put("film", version(1), 24 * MIB);
    let film = w.app().open("/film");
    w.app().read(film, 0..MIB);
    w.s3().delete("film");
    assert_eq!(w.app().read_to_end(film), Ok(version(1)));
}
