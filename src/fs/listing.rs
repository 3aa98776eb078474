//! Listing directories: pages are fetched as the reader gets to them, cookies stay valid until the handle is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use futures_util::lock::Mutex;

use crate::config::LISTED_HEADS;
use crate::env::Env;
use crate::env::store::{ErrorKind, Key, ListPage, Store, StoreError};
use crate::error::FsError;
use crate::fs::Fs;
use crate::fs::handles::Handle;
use crate::fs::lookup::{no_meta, supersede};
use crate::marks::sometimes;
use crate::op::{DirEntry, Fh, Ino, Kind, Reply};
use crate::state::listing::Listing;
use crate::state::tree::Undescribed;
use crate::state::version::Version;
use crate::zoo::{self, Bug};

/// An open directory. The lock is asynchronous: it is held while a page is fetched, so that two readers of one handle
/// do not fetch it twice.
pub(super) struct DirectoryHandle {
    ino: Ino,
    listing: Mutex<Option<Listing>>,
}

impl DirectoryHandle {
    pub(super) fn ino(&self) -> Ino {
        self.ino
    }
}

/// Keys that were met and that no path shows: counted, and the first one named in the log.
#[derive(Debug, Default)]
pub(super) struct Hidden(AtomicU64);

impl Hidden {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self, keys: &[String]) {
        let Some(first) = keys.first() else { return };
        if self.0.fetch_add(keys.len() as u64, Ordering::Relaxed) == 0 {
            tracing::warn!(
                "key {first:?} is not shown: a component is empty, '.', '..', over 255 bytes or holds NUL, or a directory \
                 has its name; further such keys are only counted"
            );
        }
    }
}

/// Cookies of `.` and `..`; names follow.
const DOTS: u64 = 2;

impl<E: Env> Fs<E> {
    pub(super) fn opendir(&self, ino: Ino) -> Result<Reply, FsError> {
        self.tree.lock().listing_begins(ino)?;
        let handle = DirectoryHandle { ino, listing: Mutex::new(None) };
        let fh = self.handles.lock().insert(Handle::Directory(Arc::new(handle)));
        Ok(Reply::Opened { fh })
    }

    pub(super) async fn readdir(
        &self,
        ino: Ino,
        fh: Fh,
        offset: u64,
        max_bytes: usize,
        plus: bool,
    ) -> Result<Reply, FsError> {
        let handle = self.handles.lock().directory_of(ino, fh)?;
        let mut listing = handle.listing.lock().await;
        if offset == 0 && !zoo::has(Bug::RewindKeepsTheListing) {
            // rewinddir(3): from the start, and afresh.
            *listing = None;
        }
        let listing = match &mut *listing {
            Some(listing) => listing,
            none => {
                let tree = self.tree.lock();
                let prefix = tree.directory(ino)?.prefix.clone();
                let local = tree.local_names(ino);
                none.insert(Listing::new(prefix, self.context.env.store().lists_in_order(), local))
            }
        };
        let mut entries = Vec::new();
        let mut room = max_bytes;
        let mut position = offset;
        loop {
            if self.context.config.posix_metadata {
                self.describe_next(ino, listing, position.saturating_sub(DOTS) as usize).await?;
            }
            while position < DOTS + listing.names().len() as u64 {
                let name = name_at(listing, position);
                let Some(left) = room.checked_sub(DirEntry::wire_bytes(name, plus)) else {
                    // As getdents(2): no entry at all would be the directory's end.
                    let too_small = entries.is_empty();
                    return if too_small { Err(FsError::InvalidArgument) } else { Ok(Reply::Directory(entries)) };
                };
                room = left;
                entries.push(self.entry_at(ino, listing, position, plus)?);
                position += 1;
            }
            // Names that are ready are not kept waiting for the next page.
            let named = entries.iter().any(|entry: &DirEntry| entry.offset > DOTS);
            if listing.wants_page().is_none() && self.add_local_names(ino, listing) {
                continue;
            }
            let Some(token) = listing.wants_page().filter(|_| !named) else { break };
            let follows = token.is_some();
            match self.fetch_page(ino, listing, token).await {
                Ok(()) if follows && zoo::has(Bug::CookieOffByOne) => position += 1,
                Ok(()) if follows && zoo::has(Bug::LastNameOfPageRepeated) => position -= 1,
                Ok(()) => {}
                Err(_) if zoo::has(Bug::ListingLockedTwice) => drop(handle.listing.lock().await),
                // `.` and `..` are true all the same; the next call meets the error again.
                Err(_) if !entries.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Reply::Directory(entries))
    }

    async fn fetch_page(&self, ino: Ino, listing: &mut Listing, token: Option<String>) -> Result<(), FsError> {
        if self.follow(ino, listing)? {
            return Ok(());
        }
        let stamp = self.tree.lock().stamp(self.now());
        let key = Key::from(listing.prefix());
        let page = match self.context.list_directory(listing.prefix(), token).await {
            Ok(page) => page,
            Err(_) if zoo::has(Bug::FailedPageEndsListing) => ListPage::default(),
            Err(error) => return Err(FsError::from_store(&key, error)),
        };
        let stamp = if zoo::has(Bug::ListingDatedAtItsAnswer) { self.tree.lock().stamp(self.now()) } else { stamp };
        if self.follow(ino, listing)? {
            // What this page has is not there any more.
            return Ok(());
        }
        if page.next.is_some() {
            sometimes!(ListingOfPages);
        }
        let found = listing
            .add(page, stamp)
            .map_err(|what| FsError::Nonsense { cause: StoreError::nonsense_page(what), key })?;
        self.hidden.note(&found.hidden);
        let obsolete = self.tree.lock().observe_listed(ino, found.names)?;
        supersede(obsolete);
        Ok(())
    }

    /// Whether the directory was renamed: then its listing begins anew where it is by now.
    fn follow(&self, ino: Ino, listing: &mut Listing) -> Result<bool, FsError> {
        let tree = self.tree.lock();
        let prefix = &tree.directory(ino)?.prefix;
        let moved = prefix != listing.prefix();
        if moved {
            listing.moves_to(prefix.clone());
        }
        Ok(moved)
    }

    /// After the last page: names that were not published when their page was listed. False: there are none.
    fn add_local_names(&self, ino: Ino, listing: &mut Listing) -> bool {
        let tree = self.tree.lock();
        let Some(mut names) = listing.take_local().filter(|_| !zoo::has(Bug::LocalNamesNotListed)) else {
            return false;
        };
        names.extend(tree.local_names(ino));
        let shown = names.into_iter().filter_map(|name| {
            let kind = tree.kind(ino, &name).filter(|_| tree.exists(ino, &name))?;
            Some((name, kind))
        });
        listing.append(shown.collect::<Vec<_>>())
    }

    /// `--posix-metadata`: HEADs, many at a time, for the names that the next entries will show.
    async fn describe_next(&self, ino: Ino, listing: &Listing, from: usize) -> Result<(), FsError> {
        let names = listing.names().iter().skip(from).take(LISTED_HEADS);
        let wanted: Vec<_> = {
            let tree = self.tree.lock();
            names.filter_map(|(name, _)| Some((name.clone(), tree.undescribed(ino, name)?))).collect()
        };
        let heads = wanted.iter().map(|(_, undescribed)| self.context.head(undescribed.key()));
        for ((name, undescribed), answer) in wanted.iter().zip(join_all(heads).await) {
            let mut tree = self.tree.lock();
            match (undescribed, answer) {
                // Of another version by now: it stays undescribed, and a look-up will ask.
                (Undescribed::File(version), Ok(meta)) if !Version::of(&version.key, &meta).is_same(version) => {}
                (Undescribed::File(version), Ok(meta)) => tree.describe(ino, name, version, &Arc::new(meta)),
                (Undescribed::Directory(_), Ok(meta)) => tree.describe_directory(ino, name, &Arc::new(meta)),
                // Deleted meanwhile, or not for us to read: listed it is all the same.
                (_, Err(error)) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::AccessDenied) => {
                    if let Undescribed::Directory(_) = undescribed {
                        tree.describe_directory(ino, name, &Arc::new(no_meta()));
                    }
                }
                (_, Err(error)) => return Err(FsError::from_store(undescribed.key(), error)),
            }
        }
        Ok(())
    }

    /// The entry at a position; with `plus` it counts as a look-up of its name.
    fn entry_at(&self, ino: Ino, listing: &Listing, position: u64, plus: bool) -> Result<DirEntry, FsError> {
        let mut tree = self.tree.lock();
        let offset = position + 1;
        if position < DOTS {
            if plus && zoo::has(Bug::DotsCounted) {
                let (parent, name) = tree.place(ino)?;
                let _ = tree.grant(parent, &name, self.now());
            }
            let number = if position == 0 { ino } else { tree.place(ino)?.0 };
            let name = name_at(listing, position).into();
            return Ok(DirEntry { offset, ino: number, kind: Kind::Directory, name, entry: None });
        }
        let (name, kind) = &listing.names()[(position - DOTS) as usize];
        let mut listed = DirEntry { offset, ino: UNKNOWN_INO, kind: *kind, name: name.as_str().into(), entry: None };
        // Gone by now, or no longer remembered: it was there when its page was listed, and that is what a listing tells.
        if !tree.exists(ino, name) {
            sometimes!(ListedNameGone);
            return Ok(listed);
        }
        let known = tree.kind(ino, name).unwrap_or(*kind);
        // By other answers it is a directory where its page said a file, or the reverse. Whichever is the newer one, its page
        // was asked for by this listing.
        if (known == Kind::Directory) != (*kind == Kind::Directory) {
            sometimes!(ListedNameTurned);
            return Ok(listed);
        }
        listed.ino = tree.number(ino, name)?;
        listed.kind = known;
        if plus {
            if tree.is_undescribed(ino, name) {
                return Ok(listed);
            }
            let entry = tree.grant(ino, name, self.now())?;
            listed.kind = entry.attr.as_ref().map_or(listed.kind, |attr| attr.kind);
            listed.entry = Some(entry);
            if zoo::has(Bug::ListedNameNotCounted) {
                tree.forget(listed.ino, 1);
            }
        }
        Ok(listed)
    }
}

fn name_at(listing: &Listing, position: u64) -> &str {
    match position {
        0 => ".",
        1 => "..",
        _ => listing.names()[(position - DOTS) as usize].0.as_str(),
    }
}

/// What libfuse shows for a name whose inode number is not known.
const UNKNOWN_INO: Ino = Ino(0xffff_ffff);
