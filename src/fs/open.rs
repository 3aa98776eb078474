//! Opening a file pins the Version that the handle will hold.
//!
//! - Cold, nothing at hand: a GET of whatever is current. If that is the inode's Version, the GET feeds it.
//! - Partly at hand: a GET of the rest under its condition, or a HEAD where a stream is alive already.
//! - Wholly at hand and seen to be current within the TTL: nothing.
//!
//! When the bucket has moved on, the newer Version is pinned to the name, the answer is ESTALE, and Linux looks the path
//! up again and opens what was pinned: it finds the inode and its GET waiting, so a second ESTALE cannot follow.

use std::sync::Arc;

use crate::config::{Hold, PIN_KEPT};
use crate::data::content::{BodyOf, Content};
use crate::data::draft::Draft;
use crate::data::publish::Expects;
use crate::env::store::{ByteRange, ErrorKind, GetReply, Key, ObjectMeta, StoreError};
use crate::env::{Clock, Env, Spawn};
use crate::error::FsError;
use crate::fs::Fs;
use crate::fs::handles::Handle;
use crate::fs::lookup::supersede;
use crate::marks::sometimes;
use crate::op::{Caller, Fh, Ino, OpenMode, Reply};
use crate::state::tree::{File, ObserveError, Stamp, Target};
use crate::state::version::{Successor, Version};
use crate::zoo::{self, Bug};

/// An open under way: keeps the inode, and what is at hand of it, from being let go meanwhile.
struct Opening<'a, E: Env> {
    fs: &'a Fs<E>,
    caller: Caller,
    ino: Ino,
    /// More than one where this mount publishes the file meanwhile.
    held: Vec<Arc<Content<E>>>,
}

impl<E: Env> Opening<'_, E> {
    fn hold(&mut self, content: Arc<Content<E>>) {
        if !self.held.iter().any(|held| Arc::ptr_eq(held, &content)) && !zoo::has(Bug::OpeningHoldsNothing) {
            content.opening();
            self.held.push(content);
        }
    }

    /// Takes what an open of the same thread has pinned, and holds it instead. False: there is nothing, or this mount has
    /// made something else of the inode since.
    fn take_pin(&mut self) -> bool {
        let pinned = self.fs.tree.lock().take_pin(self.caller, self.ino);
        let Some(content) = pinned else { return false };
        let present = self.fs.tree.lock().file(self.ino).ok().and_then(|file| file.content.clone());
        let careless = zoo::has(Bug::PinOfAnotherContent);
        let still = careless || present.as_ref().is_some_and(|present| Arc::ptr_eq(present, &content));
        let content = present.filter(|_| careless).unwrap_or(content);
        self.hold(content.clone());
        content.opening_ended();
        still
    }
}

impl<E: Env> Drop for Opening<'_, E> {
    fn drop(&mut self) {
        let failed = self.held.is_empty();
        for content in self.held.drain(..) {
            content.opening_ended();
        }
        let mut tree = self.fs.tree.lock();
        if zoo::has(Bug::FailedOpenLeaksItsInode) && failed {
            return;
        }
        if let Ok(file) = tree.file_mut(self.ino) {
            file.opens -= 1;
        }
        tree.drop_if_unknown(self.ino);
    }
}

/// How often an open with O_TRUNC looks at its file again.
const DOUBTS_MAX: u32 = 3;

/// What became of a file that is opened with O_TRUNC.
enum Truncated<E: Env> {
    Opened(Reply),
    /// The path leads to `fresh` from now on.
    Displaced {
        fresh: Ino,
        key: Key,
    },
    /// It has a draft, which is to be truncated.
    Written(Arc<Draft<E>>, Fh),
}

impl<E: Env> Fs<E> {
    pub(super) async fn open(self: &Arc<Self>, caller: Caller, ino: Ino, mode: OpenMode) -> Result<Reply, FsError> {
        if mode.write || mode.truncate {
            self.may_change("open for writing")?;
        }
        // Whoever was told to look again opens what it was given, whatever has become of the name since.
        let pinned = self.tree.lock().is_pinned(caller, ino);
        if pinned && self.tree.lock().file(ino)?.spoilt {
            return Err(self.displaced(ino));
        }
        if mode.truncate {
            self.publish_for_readers(ino).await?;
        }
        if let Some(opened) = self.open_draft(ino, mode, pinned).await? {
            return Ok(opened);
        }
        if mode.write && self.context.config.no_overwrite {
            return Err(FsError::NotPermitted("--no-overwrite"));
        }
        self.tree.lock().file_mut(ino)?.opens += 1;
        let mut opening = Opening { fs: self, caller, ino, held: Vec::new() };
        if mode.truncate && self.tree.lock().attr(ino)?.size > 0 {
            return self.open_truncated(&mut opening, mode).await;
        }
        loop {
            let content = match mode.write_only {
                true => self.content_to_write(&mut opening).await?,
                false => self.content_to_open(&mut opening).await?,
            };
            if content.wants_kept_anchor() && !zoo::has(Bug::KeptAnchorNeverBegun) {
                sometimes!(KeptAnchor);
                self.keep_anchor(&content).await?;
            }
            let drafts = self.drafts.lock();
            let draft = drafts.get(&ino);
            let (gone, passed) = {
                let tree = self.tree.lock();
                let file = tree.file(ino)?;
                let other = file.content.is_none() && !file.version.is_same(content.version());
                (file.spoilt || (!pinned && tree.is_displaced(ino)), draft.is_none() && other)
            };
            // While it was opened, this mount may have given the name to another file, or removed it.
            if gone {
                return Err(self.displaced(ino));
            }
            // Or published over what was opened, and nobody holds what the inode is now.
            if passed {
                sometimes!(OpenPassedByItsMount);
                continue;
            }
            // Whoever truncated it was told to look again, and it was published since, as a rename does.
            if let Some(draft) = draft.filter(|draft| mode.write && draft.is_awaited()) {
                sometimes!(AwaitedAndPublished);
                draft.awaits(false);
            }
            // The handle has a share of its own in the inode; `opening` gives up its.
            return self.add_handle(ino, Some(content), mode).map(|fh| Reply::Opened { fh });
        }
    }

    pub(super) async fn release(self: &Arc<Self>, fh: Fh) -> Result<Reply, FsError> {
        let handle = self.handles.lock().remove(fh).ok_or(FsError::BadHandle(fh.0))?;
        match handle {
            Handle::File { ino, content, .. } => {
                if self.handles.lock().count_of(ino) == 0 {
                    self.retire(ino).await;
                }
                if !zoo::has(Bug::ReleaseForgetsTheContent) {
                    content.closed(fh);
                }
                let mut tree = self.tree.lock();
                if let Ok(file) = tree.file_mut(ino)
                    && !zoo::has(Bug::ReleaseForgetsTheInode)
                {
                    file.opens -= 1;
                }
                tree.drop_if_unknown(ino);
            }
            Handle::Directory(directory) => self.tree.lock().listing_ended(directory.ino()),
            Handle::Fenced(_) => {}
        }
        Ok(Reply::Done)
    }

    /// O_TRUNC of a file that has bytes. Nothing is fetched, and where nobody else has it open nothing is asked that is known.
    async fn open_truncated(self: &Arc<Self>, opening: &mut Opening<'_, E>, mode: OpenMode) -> Result<Reply, FsError> {
        let ino = opening.ino;
        // What waits for it was current while this open ran.
        let pinned = opening.take_pin();
        let gate = self.beginnings.of(ino);
        let mut tries = 0;
        let (_turn, meta) = loop {
            if !pinned && !self.tree.lock().is_verified(ino, self.now())? {
                self.verify(ino).await?;
            }
            self.publish_for_readers(ino).await?;
            let turn = gate.lock().await;
            let meta = self.meta(ino).await?;
            tries += 1;
            // While its turn was waited for, a rename of it may have failed half way.
            if pinned || tries > DOUBTS_MAX || !self.tree.lock().is_doubted(ino)? {
                break (turn, meta);
            }
            sometimes!(DoubtedWhileWaiting);
        };
        let written = match self.truncate_unwritten(ino, mode, pinned, &meta)? {
            Truncated::Opened(opened) => {
                if zoo::has(Bug::TruncationPublishedAtOnce)
                    && let Some(draft) = self.draft_of(ino)
                {
                    self.commit(ino, &draft).await?;
                }
                return Ok(opened);
            }
            Truncated::Displaced { fresh, key } => {
                self.await_reopening(fresh);
                return Err(FsError::Superseded { key });
            }
            Truncated::Written(draft, fh) => (draft, fh),
        };
        // Others write to it: they see it truncated.
        self.truncate_opened(ino, written.1, mode, &written.0).await
    }

    /// Before a file that others read is truncated: they keep what they have, for it is not being written.
    async fn publish_for_readers(&self, ino: Ino) -> Result<(), FsError> {
        if let Some(draft) = self.draft_of(ino).filter(|draft| draft.is_dirty())
            && self.handles.lock().is_only_read(ino)
        {
            sometimes!(PublishedForItsReaders);
            match self.commit(ino, &draft).await {
                // What they would keep is gone.
                Err(FsError::Disk(_)) => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// The bucket has moved on from the inode's Version: what this mount makes of it meets that before its path is looked up
    /// again, for until then its name is what was made here.
    async fn meet_what_stands(&self, ino: Ino) {
        let Some(draft) = self.draft_of(ino) else { return };
        sometimes!(DraftMetWhatStands);
        if draft.changes_attributes_only() {
            if let Err(error) = self.commit(ino, &draft).await {
                self.complain(&error);
            }
        } else {
            drop(draft.gate.lock().await);
        }
    }

    /// Truncates a file as it is opened, unless it has a draft already.
    fn truncate_unwritten(
        &self,
        ino: Ino,
        mode: OpenMode,
        pinned: bool,
        meta: &ObjectMeta,
    ) -> Result<Truncated<E>, FsError> {
        let mut drafts = self.drafts.lock();
        if self.tree.lock().is_displaced(ino) {
            return Err(self.displaced(ino));
        }
        // One that is published, and that nobody has open to write to, is as good as none.
        let only_read = self.handles.lock().is_only_read(ino);
        if let Some(draft) = drafts.get(&ino).filter(|draft| draft.is_dirty() || !only_read) {
            return Ok(Truncated::Written(draft.clone(), self.add_handle(ino, None, mode)?));
        }
        // Another file may have got the name, or been seen there, while its turn was waited for.
        if !pinned && self.tree.lock().moved_on_to(ino).is_some() {
            return Err(self.displaced(ino));
        }
        let (version, mut own, (parent, name)) = {
            let tree = self.tree.lock();
            (tree.file(ino)?.version.clone(), tree.own_of(ino)?, tree.place(ino)?)
        };
        let now = self.context.env.clock().unix_time();
        own.size = 0;
        (own.posix.mtime, own.posix.ctime) = (Some(now), Some(now));
        let expects = Expects::ETag(version.etag.clone());
        let key = version.key.clone();
        if self.handles.lock().is_only_read(ino) && !zoo::has(Bug::TruncatedUnderReaders) {
            // Others read it: they keep what they have, and the name gets another file.
            let meta = ObjectMeta { size: 0, ..meta.clone() };
            let unborn = Version::unborn(key.clone());
            let fresh = self.create_blank(&mut drafts, (parent, &name), unborn, expects, meta, own)?;
            self.tree.lock().file_mut(fresh)?.opens += 1;
            drafts.get(&fresh).into_iter().for_each(|draft| draft.awaits(true));
            return Ok(Truncated::Displaced { fresh, key });
        }
        drafts.insert(ino, Draft::blank(self.context.clone(), key, self.context.as_new(meta), expects));
        self.tree.lock().changed(ino, own, true)?;
        self.add_handle(ino, None, mode).map(|fh| Truncated::Opened(Reply::Opened { fh }))
    }

    /// The content of a file that is only to be written to: nothing is fetched.
    async fn content_to_write(self: &Arc<Self>, opening: &mut Opening<'_, E>) -> Result<Arc<Content<E>>, FsError> {
        let ino = opening.ino;
        if !opening.take_pin() && !self.tree.lock().is_verified(ino, self.now())? {
            self.verify(ino).await?;
        }
        let content = {
            let mut tree = self.tree.lock();
            let file = tree.file_mut(ino)?;
            let content = self.present(file);
            opening.hold(content.clone());
            content
        };
        Ok(content)
    }

    /// The content of what the inode is now.
    fn present(&self, file: &mut File<Content<E>>) -> Arc<Content<E>> {
        let fresh = || Content::new(self.context.clone(), file.version.clone());
        file.content.get_or_insert_with(fresh).clone()
    }

    /// Asks whether the inode's Version is still the current one.
    ///
    /// Errors: [`FsError::Superseded`] when it is not: the path is to be looked up again, and the name is known by then.
    async fn verify(&self, ino: Ino) -> Result<(), FsError> {
        let (version, stamp, (parent, name)) = {
            let mut tree = self.tree.lock();
            let version = tree.file(ino)?.version.clone();
            (version, tree.stamp(self.now()), tree.place(ino)?)
        };
        let key = version.key.clone();
        let answer = self.context.head(&key).await;
        if self.was_moved(ino, &key).await {
            return Err(FsError::Superseded { key });
        }
        let target = match answer {
            Ok(meta) => Target::File(Version::of(&key, &meta)),
            Err(error) if error.kind == ErrorKind::NotFound => {
                self.meet_what_stands(ino).await;
                self.tree.lock().doubt(parent, &name);
                return Err(FsError::Superseded { key });
            }
            Err(error) => return Err(FsError::from_store(&key, error)),
        };
        if matches!(&target, Target::File(current) if current.is_same(&version)) {
            self.tree.lock().verified(ino, stamp);
            return Ok(());
        }
        self.meet_what_stands(ino).await;
        let mut tree = self.tree.lock();
        let file = tree.file(ino)?;
        if !file.version.is_same(&version) && file.own.is_some() {
            // This mount published over it while it was asked for.
            sometimes!(OpenOfOwnPredecessor);
            return Ok(());
        }
        match tree.observe(parent, &name, stamp, target) {
            Ok(obsolete) => {
                drop(tree);
                supersede(obsolete);
            }
            Err(ObserveError::Contradiction) => tree.doubt(parent, &name),
            Err(ObserveError::Fs(_)) => {}
        }
        Err(FsError::Superseded { key })
    }

    /// The inode's content, known to be current as of this open.
    async fn content_to_open(self: &Arc<Self>, opening: &mut Opening<'_, E>) -> Result<Arc<Content<E>>, FsError> {
        let ino = opening.ino;
        let pinned = opening.take_pin();
        let (content, key, verified) = {
            let mut tree = self.tree.lock();
            let verified = tree.is_verified(ino, self.now())?;
            let file = tree.file_mut(ino)?;
            if file.content.as_ref().is_some_and(|content| content.knows_nothing()) {
                sometimes!(OpenedToWriteBefore);
                file.content = None;
            }
            (file.content.clone(), file.version.key.clone(), verified)
        };
        let (content, verified) = match content {
            Some(content) => (content, verified),
            None => {
                let gate = self.cold_opens.of(ino);
                let turn = gate.lock().await;
                // Whoever was before us may have opened it.
                let (content, verified) = {
                    let tree = self.tree.lock();
                    (tree.file(ino)?.content.clone(), tree.is_verified(ino, self.now())?)
                };
                match content {
                    Some(content) => (content, verified),
                    None => {
                        let opened = self.open_cold(opening, &key).await;
                        if zoo::has(Bug::GateNeverReleased) && opened.is_err() {
                            std::mem::forget(turn);
                        }
                        return opened;
                    }
                }
            }
        };
        opening.hold(content.clone());
        if pinned {
            // By the open that was answered ESTALE just now: its GET is waiting here, and goes on if the Version has
            // been superseded since.
            return Ok(content);
        }
        if content.is_superseded() && !zoo::has(Bug::OpenIgnoresSupersession) {
            sometimes!(OpenOfReplaced);
            return Err(self.pin_successor(opening, &key).await);
        }
        if verified && content.is_complete() {
            sometimes!(OpenWarm);
            return Ok(content);
        }
        let stamp = self.tree.lock().stamp(self.now());
        let anchor_at = content.anchor_wanted_at().filter(|_| self.context.config.hold != Hold::Off);
        let answer = match anchor_at {
            Some(at) => {
                let range = (at > 0).then_some(ByteRange::From(at));
                self.context.get_if_current(content.version(), range).await.map(|reply| {
                    content.feed(reply.range, reply.body);
                    None
                })
            }
            None => self.context.head(&key).await.map(|meta| {
                let current = Version::of(&key, &meta).is_same(content.version());
                (!current).then_some(Successor::Replaced(meta.etag))
            }),
        };
        if self.was_moved(ino, &key).await {
            return Err(FsError::Superseded { key });
        }
        let passed = {
            let tree = self.tree.lock();
            let file = tree.file(ino)?;
            !file.version.is_same(content.version()) && file.own.is_some()
        };
        if passed {
            // This mount published over it while it was asked for: what the inode is now is newer.
            sometimes!(OpenOfOwnPredecessor);
            return Box::pin(self.content_to_open(opening)).await;
        }
        let successor = match answer {
            Ok(None) => {
                self.tree.lock().verified(ino, stamp);
                return Ok(content);
            }
            Ok(Some(successor)) => successor,
            Err(error) if error.kind.is_gone() => Successor::Unknown,
            Err(error) => return Err(FsError::from_store(&key, error)),
        };
        content.supersede(successor);
        Err(self.pin_successor(opening, &key).await)
    }

    /// The GET that pins also serves the first read.
    async fn open_cold(self: &Arc<Self>, opening: &mut Opening<'_, E>, key: &Key) -> Result<Arc<Content<E>>, FsError> {
        let ino = opening.ino;
        let (stamp, before) = {
            let mut tree = self.tree.lock();
            (tree.stamp(self.now()), tree.file(ino)?.version.clone())
        };
        let reply = match self.context.get_current(key, self.first_range(before.size)).await {
            Ok(reply) => reply,
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::InvalidRange) => {
                return Err(self.absent(opening, key, stamp, error.kind).await);
            }
            Err(error) => return Err(FsError::from_store(key, error)),
        };
        let mut version = Version::of(key, &reply.meta);
        if !version.is_same(&self.tree.lock().file(ino)?.version)
            && let Some(draft) = self.draft_of(ino).filter(|draft| draft.changes_attributes_only())
        {
            // It may be what this mount has just put there, of which it is yet to be told.
            sometimes!(OpenOfOwnAttributes);
            drop(draft.gate.lock().await);
        }
        if self.was_moved(ino, key).await {
            return Err(FsError::Superseded { key: key.clone() });
        }
        let (version, reply) = 'another: {
            let mut tree = self.tree.lock();
            let file = tree.file_mut(ino)?;
            if zoo::has(Bug::VersionFromLookupBytesFromGet) {
                version = file.version.clone();
            }
            if version.is_same(&before) && !version.is_same(&file.version) && file.own.is_some() {
                // This mount published over it, or moved it, while it was asked for: what the inode is now is newer.
                sometimes!(OpenOfOwnPredecessor);
                let content = self.present(file);
                drop(tree);
                opening.hold(content.clone());
                return Ok(content);
            }
            if version.etag == file.version.etag && version.size != file.version.size {
                sometimes!(NonsenseRefused);
                let what = format!(
                    "its ETag {} was of {} bytes before, of {} now",
                    version.etag, file.version.size, version.size
                );
                // Which of the two answers was wrong, nobody can tell: neither is relied on.
                let (parent, name) = tree.place(ino)?;
                tree.doubt(parent, &name);
                let cause = StoreError::new(ErrorKind::InvalidAnswer, what);
                return Err(FsError::Nonsense { key: key.clone(), cause });
            }
            if !version.is_same(&file.version) {
                break 'another (version, reply);
            }
            // A pin may have been faster; then its content is the inode's.
            let content = match &file.content {
                Some(content) => {
                    sometimes!(PinWasFaster);
                    let content = content.clone();
                    opening.hold(content.clone());
                    // Whoever came by that pin may have closed the file since, and its GET with it.
                    if content.anchor_wanted_at().is_some() {
                        content.feed(reply.range, reply.body);
                    }
                    content
                }
                None => {
                    let content = Content::new(self.context.clone(), version.clone());
                    // Held as open before its first byte comes, or the byte might be swept at once.
                    opening.hold(content.clone());
                    content.feed(reply.range, reply.body);
                    file.content = Some(content.clone());
                    file.version = version;
                    content
                }
            };
            // What this mount has set meanwhile is newer, and who has it open sees what he saw: attributes may be another's though
            // its bytes, and so its ETag, are the same.
            file.meta.get_or_insert_with(|| Arc::new(reply.meta));
            tree.verified(ino, stamp);
            // While the GET was under way others may have seen what came after it; nobody could tell this content then.
            let moved_on = tree.moved_on_to(ino).filter(|_| !zoo::has(Bug::OvertakenOpenNotTold));
            drop(tree);
            opening.hold(content.clone());
            if let Some(successor) = moved_on {
                sometimes!(OpenOvertaken);
                content.supersede(successor);
            }
            return Ok(content);
        };
        self.meet_what_stands(ino).await;
        if self.was_moved(ino, key).await {
            return Err(FsError::Superseded { key: key.clone() });
        }
        Err(self.pin(opening, stamp, version, reply))
    }

    /// Pins whatever is current to the name of an inode that has been superseded; answers what to tell the kernel.
    async fn pin_successor(self: &Arc<Self>, opening: &Opening<'_, E>, key: &Key) -> FsError {
        self.meet_what_stands(opening.ino).await;
        let stamp = self.tree.lock().stamp(self.now());
        let reply = match self.context.get_current(key, self.first_range(u64::MAX)).await {
            Ok(reply) => reply,
            Err(StoreError { kind: kind @ (ErrorKind::NotFound | ErrorKind::InvalidRange), .. }) => {
                return self.absent(opening, key, stamp, kind).await;
            }
            Err(error) => return FsError::from_store(key, error),
        };
        if self.was_moved(opening.ino, key).await {
            return FsError::Superseded { key: key.clone() };
        }
        let version = Version::of(key, &reply.meta);
        self.pin(opening, stamp, version, reply)
    }

    /// What to answer when there was no object to open. That it is missing can be said at once, without sending the kernel
    /// back to the path; unless it was emptied, so that no range fits it, or a directory has its name.
    async fn absent(&self, opening: &Opening<'_, E>, key: &Key, stamp: Stamp, kind: ErrorKind) -> FsError {
        let beneath = match kind {
            ErrorKind::NotFound if zoo::has(Bug::OpenOverlooksADirectory) => Ok(false),
            ErrorKind::NotFound => self.context.any_key_under(&format!("{key}/")).await,
            _ if zoo::has(Bug::EmptiedFileCalledAbsent) => Ok(false),
            _ => Ok(true),
        };
        sometimes!(OpenAbsent);
        if self.was_moved(opening.ino, key).await {
            return FsError::Superseded { key: key.clone() };
        }
        let mut tree = self.tree.lock();
        let Ok((parent, name)) = tree.place(opening.ino) else { return FsError::NotFound };
        match beneath {
            Ok(false) => {
                let obsolete = tree.observe(parent, &name, stamp, Target::Absent).unwrap_or_default();
                drop(tree);
                supersede(obsolete);
                FsError::NotFound
            }
            Ok(true) => {
                tree.doubt(parent, &name);
                FsError::Superseded { key: key.clone() }
            }
            Err(error) => FsError::from_store(key, error),
        }
    }

    /// Whether this mount has renamed the file while S3 was asked about `key`: then the answer says nothing of it.
    pub(super) async fn was_moved(&self, ino: Ino, key: &Key) -> bool {
        self.paths.pass(key).await;
        self.is_elsewhere(ino, key)
    }

    fn is_elsewhere(&self, ino: Ino, key: &Key) -> bool {
        let moved = self.tree.lock().file(ino).is_ok_and(|file| file.version.key != *key);
        if moved {
            sometimes!(AskedWhereItWas);
        }
        moved
    }

    /// Has `version` wait, with its GET in hand, for the thread that is told to look the path up again.
    fn pin(
        self: &Arc<Self>,
        opening: &Opening<'_, E>,
        stamp: Stamp,
        version: Version,
        reply: GetReply<BodyOf<E>>,
    ) -> FsError {
        let superseded = FsError::Superseded { key: version.key.clone() };
        if self.is_elsewhere(opening.ino, &version.key) {
            return superseded;
        }
        let fresh = Content::new(self.context.clone(), version.clone());
        let mut tree = self.tree.lock();
        let Ok((parent, name)) = tree.place(opening.ino) else { return superseded };
        // Where others may know better by now, the pin is for this caller all the same: it saw this Version while it ran.
        // Which of the two is the newer one nobody can tell, so the next who comes asks, and finds no older one.
        let (obsolete, contradicted) = match tree.observe(parent, &name, stamp, Target::File(version.clone())) {
            Ok(obsolete) => (obsolete, false),
            Err(ObserveError::Contradiction) => {
                tree.doubt(parent, &name);
                (Vec::new(), true)
            }
            Err(ObserveError::Fs(_)) => (Vec::new(), false),
        };
        let pinned = tree.pin(opening.caller, (parent, &name), &version, fresh, Arc::new(reply.meta));
        if let Ok((_, content)) = &pinned {
            // Under the tree's lock, so that no open takes the pin before.
            content.opening();
        }
        drop(tree);
        sometimes!(OpenPinned);
        supersede(obsolete);
        let Ok((pin, content)) = pinned else { return superseded };
        if content.anchor_wanted_at().is_some() {
            content.feed(reply.range, reply.body);
        }
        if contradicted {
            // The name told whoever stood beside it of the newer version before this one did.
            content.inquire();
        }
        if zoo::has(Bug::PinNeverExpires) {
            return superseded;
        }
        let fs = self.clone();
        self.context.env.spawn().spawn("let go of a pin", async move {
            fs.context.env.clock().sleep(PIN_KEPT).await;
            if fs.tree.lock().expire_pin(pin) {
                content.opening_ended();
            }
        });
        superseded
    }

    /// `--hold=full`: a GET from offset 0 that no reader moves.
    async fn keep_anchor(&self, content: &Arc<Content<E>>) -> Result<(), FsError> {
        match self.context.get_if_current(content.version(), None).await {
            Ok(reply) => content.keep_anchor(reply.body),
            // Replaced a moment after the open saw it current: what the open has in hand goes on from here.
            Err(error) if error.kind.is_gone() => {
                sometimes!(KeptAnchorTooLate);
                content.supersede(Successor::Unknown);
            }
            Err(error) => return Err(FsError::from_store(&content.version().key, error)),
        }
        Ok(())
    }

    /// What the opening GET asks for: all, so that it can go on as the anchor, or with `--hold=off` a first piece.
    fn first_range(&self, size: u64) -> Option<ByteRange> {
        if zoo::has(Bug::EmptyObjectAskedByRange) {
            return Some(ByteRange::From(0));
        }
        let config = &self.context.config;
        let end = config.sizes.extent_bytes;
        (config.hold == Hold::Off && size > end).then_some(ByteRange::Within { start: 0, end })
    }
}
