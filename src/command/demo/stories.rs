//! The stories: each uploads film A, lets a viewer begin, changes the bucket, and looks at what the viewer sees.

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::film::{Film, Sighting};
use super::stage::House;

pub(super) struct Story {
    pub(super) title: &'static str,
    pub(super) play: fn(&House<'_>) -> io::Result<Seen>,
}

/// What was seen, and whether it is what was promised.
pub(super) struct Seen {
    told: String,
    held: bool,
}

impl Seen {
    pub(super) fn told(&self) -> String {
        self.told.clone()
    }

    pub(super) fn held(&self) -> bool {
        self.held
    }
}

pub(super) const STORIES: &[Story] = &[
    Story { title: "B is uploaded over A while A is being read", play: |house| overwritten(house, "replaced", BLOCKS) },
    Story { title: "B is much shorter than A", play: |house| overwritten(house, "shrunk", BLOCKS / 8) },
    Story { title: "A is deleted while it is being read", play: deleted },
    Story { title: "one reader holds A, another opens B", play: two_handles },
    Story { title: "A is mapped into memory (mmap) when B comes", play: mapped },
    Story { title: "A is written on one mount and read on another", play: written },
    Story { title: "B is written over A while another mount reads A", play: rewritten },
    Story { title: "two mounts change one film at the same time", play: contended },
];

/// 64 MiB in blocks of 4 KiB.
const BLOCKS: usize = 64 << 8;
const BYTES: u64 = (BLOCKS as u64) << 12;
const MIB: usize = 1 << 20;
/// Past the default metadata TTL of one second, after which names are looked up again.
const PAST_TTL: Duration = Duration::from_millis(1200);

const A: Film = Film('A');
const B: Film = Film('B');

/// A viewer: reads on from where it is, and remembers what it saw.
struct Viewer {
    file: File,
    at: u64,
    saw: Sighting,
}

impl Viewer {
    fn open(house: &House<'_>, name: &str) -> io::Result<Self> {
        Self::at(&house.path(name))
    }

    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, at: 0, saw: Sighting::default() })
    }

    /// Reads on until `end` or the end of the file.
    fn watch(&mut self, end: u64) -> io::Result<()> {
        let mut buffer = vec![0; MIB];
        while self.at < end {
            let n = self.file.read_at(&mut buffer, self.at)?;
            if n == 0 {
                break;
            }
            self.saw.look(&buffer[..n], self.at);
            self.at += n as u64;
        }
        Ok(())
    }
}

fn overwritten(house: &House<'_>, name: &str, blocks_of_b: usize) -> io::Result<Seen> {
    house.upload(name, A, BLOCKS)?;
    let mut viewer = Viewer::open(house, name)?;
    viewer.watch(MIB as u64)?;
    house.upload(name, B, blocks_of_b)?;
    std::thread::sleep(PAST_TTL);
    viewer.watch(u64::MAX)?;
    seen_all(&viewer, A)
}

fn deleted(house: &House<'_>) -> io::Result<Seen> {
    house.upload("deleted", A, BLOCKS)?;
    let mut viewer = Viewer::open(house, "deleted")?;
    viewer.watch(MIB as u64)?;
    house.delete("deleted")?;
    std::thread::sleep(PAST_TTL);
    viewer.watch(u64::MAX)?;
    let gone = File::open(house.path("deleted")).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let mut seen = seen_all(&viewer, A)?;
    seen.held &= gone;
    seen.told += if gone { "; a new open finds nothing" } else { "; yet it still opens" };
    Ok(seen)
}

fn two_handles(house: &House<'_>) -> io::Result<Seen> {
    house.upload("two", A, BLOCKS)?;
    let mut early = Viewer::open(house, "two")?;
    early.watch(MIB as u64)?;
    house.upload("two", B, BLOCKS)?;
    std::thread::sleep(PAST_TTL);
    let mut late = Viewer::open(house, "two")?;
    // In turn, as two people in two rooms.
    for end in (0..=BYTES).step_by(8 * MIB) {
        early.watch(end)?;
        late.watch(end)?;
    }
    let held = early.at == BYTES && late.at == BYTES && early.saw.is_all(A) && late.saw.is_all(B);
    Ok(Seen { told: format!("the first {}, the second {}", early.saw.told(), late.saw.told()), held })
}

fn mapped(house: &House<'_>) -> io::Result<Seen> {
    house.upload("mapped", A, BLOCKS)?;
    let file = File::open(house.path("mapped"))?;
    let bytes = NonZeroUsize::new(BYTES as usize).expect("a film is not empty");
    // SAFETY: a fresh private mapping of a file that this demo opened; nothing else refers to it, and it is unmapped
    // below after its last use. The file's bytes do not change: that is what is being shown.
    let map = unsafe { mmap(None, bytes, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE, &file, 0)? };
    let pages: &[u8] = unsafe { std::slice::from_raw_parts(map.as_ptr().cast(), bytes.get()) };
    let mut saw = Sighting::default();
    saw.look(&pages[..MIB], 0);
    house.upload("mapped", B, BLOCKS)?;
    std::thread::sleep(PAST_TTL);
    saw.look(&pages[MIB..], MIB as u64);
    let size = file.metadata()?.size();
    unsafe { munmap(map, bytes.get())? };
    Ok(Seen { told: format!("{} in {} MiB", saw.told(), size >> 20), held: saw.is_all(A) && size == BYTES })
}

/// Writes a film through a mount, as an application does: what is written is published by the time this returns.
fn write(path: &Path, film: Film) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&film.bytes(BLOCKS))?;
    file.sync_all()
}

fn written(house: &House<'_>) -> io::Result<Seen> {
    write(&house.path("written"), A)?;
    let mut viewer = Viewer::at(&house.path_elsewhere("written"))?;
    viewer.watch(u64::MAX)?;
    seen_all(&viewer, A)
}

fn rewritten(house: &House<'_>) -> io::Result<Seen> {
    write(&house.path("rewritten"), A)?;
    let mut early = Viewer::at(&house.path_elsewhere("rewritten"))?;
    early.watch(MIB as u64)?;
    write(&house.path("rewritten"), B)?;
    std::thread::sleep(PAST_TTL);
    let mut late = Viewer::at(&house.path_elsewhere("rewritten"))?;
    early.watch(u64::MAX)?;
    late.watch(u64::MAX)?;
    let held = early.at == BYTES && late.at == BYTES && early.saw.is_all(A) && late.saw.is_all(B);
    Ok(Seen { told: format!("who had it open {}, who opens it now {}", early.saw.told(), late.saw.told()), held })
}

fn contended(house: &House<'_>) -> io::Result<Seen> {
    write(&house.path("contended"), A)?;
    let slow = File::options().write(true).open(house.path("contended"))?;
    slow.write_all_at(&A.bytes(1), BYTES)?;
    write(&house.path_elsewhere("contended"), B)?;
    let outcome = slow.sync_all();
    drop(slow);
    std::thread::sleep(PAST_TTL);
    let mut viewer = Viewer::open(house, "contended")?;
    viewer.watch(u64::MAX)?;
    let told = match &outcome {
        Ok(()) => "who was second was told nothing".to_string(),
        Err(_) => format!("who was second was told; the path has {}", viewer.saw.told()),
    };
    let stale = outcome.is_err_and(|error| error.raw_os_error() == Some(Errno::ESTALE as i32));
    Ok(Seen { told, held: stale && viewer.at == BYTES && viewer.saw.is_all(B) })
}

/// The viewer saw all of `film`, to its end, and its handle still shows that film's size.
fn seen_all(viewer: &Viewer, film: Film) -> io::Result<Seen> {
    let size = viewer.file.metadata()?.size();
    let held = viewer.at == BYTES && size == BYTES && viewer.saw.is_all(film);
    Ok(Seen { told: format!("{}, {} of {} MiB", viewer.saw.told(), viewer.at >> 20, size >> 20), held })
}
