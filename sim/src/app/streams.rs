//! Directory streams: opendir(3), readdir(3) in steps, telldir(3), seekdir(3), rewinddir(3).

use std::collections::BTreeMap;

use holdfast::env::Time;
use holdfast::error::Errno;

use super::Process;
use crate::court::{On, What};
use crate::executor::locked;
use crate::kernel::{Directory, Kernel, Listed};

/// An open directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stream(u64);

#[derive(Default)]
pub(super) struct Streams {
    next: u64,
    open: BTreeMap<Stream, Open>,
}

struct Open {
    /// That it was opened with: after a crash the machine has another.
    kernel: Kernel,
    directory: Directory,
    key: String,
    listing: Listing,
}

/// What has come of a directory since it was opened or rewound.
#[derive(Default)]
struct Listing {
    began: Option<Time>,
    /// By the place after it, as telldir(3) tells it.
    entries: BTreeMap<u64, Listed>,
    whole: bool,
    /// A killed call may have moved the stream on: what came then, nobody knows.
    broken: bool,
}

impl Streams {
    /// As at a process's end.
    pub(super) fn close_all(&mut self) {
        self.open.clear();
    }
}

impl Process {
    pub async fn opendir(&self, path: &str) -> Result<Stream, Errno> {
        let began = self.court.now();
        let key = self.court.key(path);
        let kernel = self.kernel();
        let opened = kernel.open_directory(path).await;
        let directory = self.check("opendir", began, On::Key(&key), opened)?;
        let mut streams = locked(&self.streams);
        streams.next += 1;
        let stream = Stream(streams.next);
        streams.open.insert(stream, Open { kernel, directory, key, listing: Listing::default() });
        Ok(stream)
    }

    /// getdents(2): how many entries came.
    pub async fn getdents(&self, stream: Stream) -> Result<usize, Errno> {
        let began = self.court.now();
        let (kernel, directory, key) = {
            let mut streams = locked(&self.streams);
            let open = streams.open.get_mut(&stream).expect("the stream is open");
            if open.listing.began.is_none() {
                open.listing.began = Some(began);
            }
            (open.kernel.clone(), open.directory.clone(), open.key.clone())
        };
        let from = directory.tell();
        let broken = self.listing(stream, |listing| std::mem::replace(&mut listing.broken, true));
        let answer = kernel.getdents(&directory).await;
        self.listing(stream, |listing| listing.broken = broken);
        let entries = self.check("readdir", began, On::Key(&key), answer)?;
        let count = entries.len();
        let since = self.listing(stream, |listing| {
            listing.whole |= entries.is_empty();
            listing.began.unwrap_or(began)
        });
        let mut moved = None;
        for entry in entries {
            let place = entry.offset;
            let was = self.listing(stream, |listing| listing.entries.insert(place, entry.clone()));
            moved = moved.or(was.filter(|was| was.name != entry.name).map(|was| (place, was.name, entry.name)));
        }
        if broken {
            return Ok(count);
        }
        if let Some((place, was, is)) = moved {
            let message = format!("the entry before {place} of {key:?} was {was} and is {is}, read again from {from}");
            self.see(began, What::Broken { oracle: "listing", message });
        }
        let (names, whole) = self.listing(stream, |listing| {
            let dots = |entry: &&Listed| entry.name != "." && entry.name != "..";
            let names: Vec<Listed> = listing.entries.values().filter(dots).cloned().collect();
            (names, listing.whole)
        });
        self.see(began, What::Listed { key: &key, entries: &names, since, whole });
        Ok(count)
    }

    pub async fn rewinddir(&self, stream: Stream) {
        self.move_to(stream, 0).await;
        self.listing(stream, |listing| *listing = Listing::default());
    }

    /// To the `nth` of the places where the stream was since it was opened or rewound; the start is none of them.
    pub async fn seekdir(&self, stream: Stream, nth: u64) {
        let place = self.listing(stream, |listing| {
            let nth = nth.checked_rem(listing.entries.len() as u64)?;
            listing.entries.keys().nth(nth as usize).copied()
        });
        if let Some(place) = place {
            self.move_to(stream, place).await;
        }
    }

    async fn move_to(&self, stream: Stream, place: u64) {
        let (kernel, directory) = {
            let streams = locked(&self.streams);
            let open = streams.open.get(&stream).expect("the stream is open");
            (open.kernel.clone(), open.directory.clone())
        };
        let broken = self.listing(stream, |listing| std::mem::replace(&mut listing.broken, true));
        kernel.seek_directory(&directory, place).await;
        self.listing(stream, |listing| listing.broken = broken);
    }

    pub fn closedir(&self, stream: Stream) {
        let open = locked(&self.streams).open.remove(&stream);
        drop(open.expect("the stream is open"));
    }

    fn listing<T>(&self, stream: Stream, look: impl FnOnce(&mut Listing) -> T) -> T {
        look(&mut locked(&self.streams).open.get_mut(&stream).expect("the stream is open").listing)
    }
}
