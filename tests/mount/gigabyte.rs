//! Programs that change a little of an object of 1 GiB: what goes over the wire is little, too.

use std::path::Path;

use bytes::Bytes;
use holdfast::bucket::{Content, DigestKind, Versioning};
use holdfast::env::store::{Key, NewObject};
use holdfast::server::StatsSnapshot;
use holdfast_sim::content::version_bytes;
use holdfast_sim::version;

use crate::reader::MIB;
use crate::remote::Embedded;
use crate::world::World;

const SIZE: u64 = 1024 * MIB;
/// The object is this much, again and again: so it takes little memory.
const PIECE: u64 = 64 * MIB;
const PART: u64 = 8 * MIB;
/// The server computes the digest of all of it while a copy waits.
const PATIENT: &[&str] = &["--attempt-timeout", "60s", "--deadline", "100s"];

struct Large {
    w: World,
    piece: Bytes,
}

impl Large {
    fn new() -> Option<Self> {
        let piece = version_bytes("film", version(1), PIECE);
        let content = Content::new((0..SIZE / PIECE).map(|_| piece.clone()));
        content.prepare(DigestKind::Md5);
        let put = |remote: &Embedded| {
            let put = remote.model().put_content(&Key::from("film"), content, NewObject::default(), None, 1);
            put.expect("a valid object");
        };
        let w = World::prepared(Versioning::Off, PATIENT, put)?;
        // What the look-up of the name costs is another test's.
        std::fs::metadata(w.path("film")).expect("it is there");
        w.reset_stats();
        Some(Self { w, piece })
    }

    /// The bucket has what was, with `bytes` at `at`, which may be its end.
    #[track_caller]
    fn is_changed(&self, at: u64, bytes: &[u8]) {
        let content = self.w.model().current("film").expect("it is there").content.clone();
        assert_eq!(content.size(), SIZE.max(at + bytes.len() as u64));
        let mut offset = 0;
        while let Some(chunk) = content.chunk(offset..content.size()) {
            // As long as it is one piece of what was, or of what was written.
            let (expected, len) = match at.checked_sub(offset) {
                Some(0) => (bytes, bytes.len()),
                Some(before) => (&self.piece[(offset % PIECE) as usize..], before as usize),
                None => (&self.piece[(offset % PIECE) as usize..], usize::MAX),
            };
            let len = len.min(expected.len()).min(chunk.len());
            assert!(chunk[..len] == expected[..len], "at {offset}");
            offset += len as u64;
        }
    }
}

fn uploaded(stats: &StatsSnapshot) -> u64 {
    stats.count("PutObject") + stats.count("UploadPart")
}

/// Rule R38.
#[test]
fn dd_into_the_middle_uploads_at_most_two_parts() {
    let Some(large) = Large::new() else { return };
    // Across a boundary between two parts.
    let at = SIZE / 2 - 3;
    large.w.mount.sh(&format!("printf changed | dd of=film bs=1 seek={at} conv=notrunc status=none"));
    let stats = large.w.stats();
    assert!(uploaded(&stats) <= 2, "{stats:?}");
    assert!(stats.bytes_in < 2 * PART + MIB, "{stats:?}");
    large.is_changed(at, b"changed");
}

/// Rule R38.
#[test]
fn an_appended_line_costs_one_part_and_five_requests() {
    let Some(large) = Large::new() else { return };
    large.w.mount.sh("echo line >> film");
    let stats = large.w.stats();
    assert!(uploaded(&stats) <= 1, "{stats:?}");
    assert!(stats.total() <= 5, "{stats:?}");
    large.is_changed(SIZE, b"line\n");
}

#[test]
fn it_is_cut_by_a_copy_within_the_service() {
    let Some(large) = Large::new() else { return };
    large.w.mount.sh(&format!("truncate -s {} film", SIZE - 1));
    let stats = large.w.stats();
    assert!(stats.bytes_in < PART + MIB && stats.bytes_out < PART + MIB, "{stats:?}");
    let content = large.w.model().current("film").expect("it is there").content.clone();
    assert_eq!(content.size(), SIZE - 1);
    let tail = content.slice(SIZE - PIECE..SIZE - 1).to_bytes();
    assert!(tail == large.piece[..PIECE as usize - 1]);
    assert_eq!(std::fs::metadata(Path::new(&large.w.path("film"))).expect("stat").len(), SIZE - 1);
}
