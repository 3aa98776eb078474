//! Renaming: a conditional copy, then a conditional delete; for a directory, of each key beneath.
//!
//! The target is never missing in between: the copy replaces what is there. When the delete finds that somebody has put
//! something else at the source meanwhile, that stays.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use futures_util::stream::{self, FuturesUnordered, StreamExt};

use crate::config::{Hold, KEY_BYTES_MAX, RENAMES_AT_ONCE};
use crate::data::content::{BodyOf, Content};
use crate::data::context::Context;
use crate::data::etag::is_of_one_piece;
use crate::data::mutations::Refusal;
use crate::data::notes::Note;
use crate::data::publish::Expects;
use crate::env::store::{ByteRange, ErrorKind, GetReply, Key, List, ObjectMeta, StoreError, WriteCondition, Written};
use crate::env::{Clock, Disk, Env, Store as _};
use crate::error::FsError;
use crate::fs::Fs;
use crate::fs::gates::stand_at;
use crate::fs::lookup::supersede_by_us;
use crate::fs::remove::forsake;
use crate::marks::sometimes;
use crate::op::{Ino, Name, Reply};
use crate::state::listing::Progress;
use crate::state::tree::{Moved, Rekeyed, Target, Tree};
use crate::state::version::{Successor, Version};
use crate::zoo::{self, Bug};

/// How often the log tells how far a directory's rename has come.
const RENAME_TOLD_EVERY: Duration = Duration::from_secs(10);

/// How often what stands at the target of a rename may change under it.
const TARGETS_MAX: u32 = 8;

/// What became of a copy to a key where nothing stood.
enum Copied {
    There(Written),
    /// Somebody else's object stands there by now.
    Taken,
    /// The source is another by now, or gone.
    AnotherSource,
}

/// How who has a file open goes on where it is moved to.
pub(super) enum Lead<E: Env> {
    /// By what is at hand, or by asking when he gets there.
    NotNeeded,
    Get(GetReply<BodyOf<E>>),
    /// Somebody else's version stands there already.
    Gone,
}

/// A name and the directory it is in.
type Place<'a> = (Ino, &'a Name);

impl<E: Env> Fs<E> {
    pub(super) async fn rename(
        &self,
        (parent, name): (Ino, &[u8]),
        (new_parent, new_name): (Ino, &[u8]),
        no_replace: bool,
    ) -> Result<Reply, FsError> {
        let name = self.name_to_remove(name)?;
        let (new_name, new_key) = self.new_name(new_parent, new_name, "")?;
        let (from, to) = ((parent, &name), (new_parent, &new_name));
        let source = self.resolve(parent, &name).await?;
        if source == Target::Absent {
            return Err(FsError::NotFound);
        }
        if (parent, &name) == (new_parent, &new_name) {
            return if no_replace { Err(FsError::Exists) } else { Ok(Reply::Done) };
        }
        let replaced = self.resolve(new_parent, &new_name).await?;
        match (&source, &replaced) {
            (_, Target::File(_) | Target::Directory) if no_replace => return Err(FsError::Exists),
            (Target::File(_), Target::Directory) => return Err(FsError::IsDirectory),
            (Target::Directory, Target::File(_)) => return Err(FsError::NotDirectory),
            (Target::File(_), Target::File(_)) if self.context.config.no_overwrite => {
                return Err(FsError::NotPermitted("--no-overwrite"));
            }
            (Target::Directory, Target::Directory) => {
                let ino = self.tree.lock().ino_of(new_parent, &new_name);
                if !self.is_empty(ino, &Key::from(format!("{new_key}/"))).await? {
                    return Err(FsError::NotEmpty);
                }
            }
            (Target::File(_) | Target::Directory, _) | (Target::Absent, _) => {}
        }
        match source {
            Target::Directory => self.rename_directory(from, to).await?,
            Target::File(_) | Target::Absent => self.rename_file(from, to, no_replace).await?,
        }
        self.directory_changed(parent);
        self.directory_changed(new_parent);
        Ok(Reply::Done)
    }

    async fn rename_file(&self, from: Place<'_>, to: Place<'_>, no_replace: bool) -> Result<(), FsError> {
        let (moved, replaced) = {
            let tree = self.tree.lock();
            (tree.ino_of(from.0, from.1), tree.ino_of(to.0, to.1))
        };
        // No draft of either begins meanwhile. Always in the same order, so that two renames cannot wait for each other.
        let mut both = [moved, replaced];
        both.sort();
        let beginnings = both.map(|ino| ino.map(|ino| self.beginnings.of(ino)));
        let _first = stand_at(beginnings[0].as_deref()).await;
        let _second = stand_at(beginnings[1].as_deref().filter(|_| both[0] != both[1])).await;
        let draft = moved.and_then(|ino| self.draft_of(ino));
        let replaced = replaced.and_then(|ino| self.draft_of(ino));
        // No commit of either runs meanwhile.
        let gates = if both[0] == moved { [&draft, &replaced] } else { [&replaced, &draft] };
        let _third = stand_at(gates[0].as_ref().map(|draft| &draft.gate)).await;
        let _fourth = stand_at(gates[1].as_ref().map(|draft| &draft.gate)).await;
        if let (Some(ino), Some(draft)) = (moved, &draft) {
            self.commit_in_turn(ino, draft).await?;
        }
        let keys = |tree: &Tree<Content<E>>| Ok([tree.directory(from.0)?.key(from.1), tree.directory(to.0)?.key(to.1)]);
        let (_path, [_, new_key]) = self.enter_where(keys).await?;
        let new_key = &new_key;
        let Some(Target::File(mut version)) = self.tree.lock().target(from.0, from.1) else {
            return Err(FsError::NotFound);
        };
        if let Some(ino) = moved
            && self.tree.lock().file(ino).is_ok_and(|file| !file.version.is_same(&version))
        {
            // The name came to mean another version meanwhile, which is another file.
            sometimes!(SourceIsAnother);
            return Err(FsError::Superseded { key: version.key });
        }
        self.hold_open(to.0, to.1).await;
        let (stamp, replaced_ino) = {
            let mut tree = self.tree.lock();
            (tree.stamp(self.now()), tree.ino_of(to.0, to.1))
        };
        let expects = match &replaced {
            Some(draft) => draft.expects(),
            None => match self.tree.lock().target(to.0, to.1) {
                Some(Target::File(stands)) => Expects::ETag(stands.etag),
                Some(Target::Absent | Target::Directory) | None => Expects::Absent,
            },
        };
        if let Some(replaced) = &replaced {
            replaced.yields(true).await;
        }
        let written = match self.copy_over(&version, (to, new_key), no_replace, expects).await {
            Ok(written) => written,
            Err(error) => {
                if let Some(replaced) = &replaced {
                    replaced.yields(false).await;
                }
                // The source may be another by now, or the target: both are asked for again.
                let mut tree = self.tree.lock();
                tree.doubt(from.0, from.1);
                tree.doubt(to.0, to.1);
                return Err(error);
            }
        };
        let moved_version = Version::written(new_key.clone(), written.clone(), version.size);
        let old = moved.and_then(|ino| self.tree.lock().file(ino).ok()?.content.clone());
        let (deleted, lead) =
            join(self.delete_moved(&version), lead(&self.context, old.as_ref(), &moved_version)).await;
        let gone = match deleted {
            Ok(gone) => gone,
            Err(error) => {
                // It is at both places now.
                {
                    let mut tree = self.tree.lock();
                    tree.doubt(from.0, from.1);
                    tree.doubt(to.0, to.1);
                }
                // Whoever writes to the file that is still called so replaces what this mount has put there.
                if let Some(replaced) = &replaced {
                    replaced.expect(Expects::ETag(written.etag));
                    replaced.move_stored().await;
                    replaced.yields(false).await;
                }
                return Err(error);
            }
        };
        let source = std::mem::replace(&mut version, moved_version);
        let old = moved.and_then(|ino| self.tree.lock().file(ino).ok()?.content.clone());
        let leads = !matches!(lead, Lead::Gone);
        let content = moved.map(|ino| self.move_handles(ino, &version, old, lead));
        if let (Some(draft), Some(content)) = (&draft, &content) {
            draft.rebased(content.clone());
            draft.move_stored().await;
        }
        if let Some(replaced) = &replaced {
            forsake(replaced);
        }
        let (obsolete, twins) = {
            let mut tree = self.tree.lock();
            let meta = tree.meta_of(from.0, from.1);
            let twins = tree.twins(from, &source);
            let from = (from.0, from.1, &source);
            let obsolete = tree.renamed((moved, replaced_ino), from, to, &version, meta, content.clone(), stamp, gone);
            (obsolete, tree.twins_renamed(twins, moved, to, &version))
        };
        // Whoever has opened it since the others were led on.
        if let (Some(ino), Some(content)) = (moved, content.as_ref().filter(|_| leads)) {
            self.handles.lock().rebase(ino, content);
        }
        supersede_by_us(obsolete);
        self.lead_on(twins).await;
        if let Some(replaced) = &replaced {
            replaced.discard_stored().await;
        }
        Ok(())
    }

    /// Who has the file open reads it where it is by now.
    fn move_handles(
        &self,
        ino: Ino,
        version: &Version,
        old: Option<Arc<Content<E>>>,
        lead: Lead<E>,
    ) -> Arc<Content<E>> {
        let content = Content::new(self.context.clone(), version.clone());
        if let Some(old) = &old {
            content.inherit(old);
        }
        match (lead, old) {
            // Replaced there already: what the GETs of the old name bring is all that there is.
            (Lead::Gone, Some(old)) => {
                sometimes!(ReplacedRightAfterItsRename);
                old.supersede_by_us(Successor::Unknown);
                return content;
            }
            (lead, _) => {
                self.handles.lock().rebase(ino, &content);
                feed_lead(&content, lead);
            }
        }
        content
    }

    /// False: something else stands there by now.
    ///
    /// Errors: when it cannot be removed; then the log says that it is at both places.
    async fn delete_moved(&self, version: &Version) -> Result<bool, FsError> {
        if zoo::has(Bug::RenameLeavesItsSource) {
            return Ok(true);
        }
        let condition = Some(WriteCondition::IfMatch(version.etag.clone()));
        let condition = condition.filter(|_| !zoo::has(Bug::RenameDeletesWhateverIsThere));
        match self.context.delete(&version.key, condition).await {
            Ok(()) => Ok(true),
            Err(Refusal::Condition(_)) => {
                sometimes!(SourceOfRenameReplaced);
                Ok(false)
            }
            Err(refusal) => {
                let error = refusal.into_error(&version.key);
                tracing::warn!(
                    "{:?} was copied to its new name, but could not be removed where it was ({error}); it is at both places, remove \
                     one of them",
                    version.key
                );
                Err(error)
            }
        }
    }

    /// All of a version at another key, whatever stands there; but under the condition that it stands there still, so that a copy
    /// that is carried out long after it was given up replaces nothing that was put there since.
    async fn copy_over(
        &self,
        version: &Version,
        (to, key): (Place<'_>, &Key),
        no_replace: bool,
        expects: Expects,
    ) -> Result<Written, FsError> {
        let no_overwrite = self.context.config.no_overwrite;
        let asked_not_to = no_replace;
        let no_replace = no_replace || no_overwrite;
        let mut expects = if no_replace { Expects::Absent } else { expects };
        let mut tries = 0;
        loop {
            tries += 1;
            let stands = match self.context.copy_object(version, key, None, expects.condition()).await {
                Ok(written) => return Ok(written),
                Err(Refusal::Condition(stands)) => stands,
                // Stores that know no conditional copy say so.
                Err(Refusal::Store { error, .. })
                    if error.kind == ErrorKind::Unsupported && !asked_not_to && tries == 1 =>
                {
                    expects = Expects::Anything;
                    continue;
                }
                Err(refusal) => return Err(refusal.into_error(&version.key)),
            };
            let now = stands.map_or(Expects::Absent, |meta| Expects::ETag(meta.etag));
            if no_replace && now != Expects::Absent {
                return Err(if no_overwrite { FsError::NotPermitted("--no-overwrite") } else { FsError::Exists });
            }
            // As expected: then it is the source that is another.
            if now == expects || tries >= TARGETS_MAX {
                return Err(FsError::Superseded { key: version.key.clone() });
            }
            sometimes!(TargetOfRenameReplaced);
            expects = now;
            self.hold_open(to.0, to.1).await;
        }
    }

    /// All of a version at a key where nothing stands.
    async fn copy_beside(
        &self,
        version: &Version,
        key: &Key,
        condition: Option<WriteCondition>,
    ) -> Result<Copied, FsError> {
        let absent = condition.is_some();
        match self.context.copy_object(version, key, None, condition).await {
            Ok(written) => Ok(Copied::There(written)),
            Err(Refusal::Condition(Some(meta))) if absent => match self.is_copy(&meta, version).await {
                true => Ok(Copied::There(Written { etag: meta.etag, version_id: meta.version_id })),
                false => Ok(Copied::Taken),
            },
            Err(Refusal::Condition(_)) => Ok(Copied::AnotherSource),
            // Stores that know no conditional copy say so.
            Err(Refusal::Store { error, .. }) if absent && error.kind == ErrorKind::Unsupported => {
                Box::pin(self.copy_beside(version, key, None)).await
            }
            Err(refusal) => Err(refusal.into_error(&version.key)),
        }
    }

    /// Whether what stands somewhere has all that the version has: an attempt before has copied it.
    async fn is_copy(&self, meta: &ObjectMeta, version: &Version) -> bool {
        if meta.size != version.size || meta.etag == version.etag {
            return meta.size == version.size;
        }
        let tell = self.context.env.store().etags_tell_bytes();
        if tell && is_of_one_piece(&meta.etag) && is_of_one_piece(&version.etag) {
            return false;
        }
        // A copy of what was uploaded in parts has another ETag, and the same attributes, of which the time of the change is one.
        let source = self.context.head(&version.key).await;
        source.is_ok_and(|source| source.etag == version.etag && !source.user.is_empty() && source.user == meta.user)
    }

    async fn rename_directory(&self, from: Place<'_>, to: Place<'_>) -> Result<(), FsError> {
        let prefixes = || {
            let tree = self.tree.lock();
            let ino = tree.ino_of(from.0, from.1);
            if ino.is_some_and(|ino| tree.is_beneath(to.0, ino)) {
                return Err(FsError::InvalidArgument);
            }
            let prefix = |place: Place<'_>| Ok(format!("{}/", tree.directory(place.0)?.key(place.1)));
            Ok((ino, [prefix(from)?, prefix(to)?]))
        };
        let (ino, [old_prefix, new_prefix]) = prefixes()?;
        // What is published already goes with the rest; what is written from now on is published where it is by then.
        let unpublished = ino.map(|ino| self.tree.lock().locals_beneath(ino)).unwrap_or_default();
        let unpublished: Vec<_> = unpublished.into_iter().filter_map(|ino| Some((ino, self.draft_of(ino)?))).collect();
        for (file, draft) in &unpublished {
            // Whoever has it open, or is about to, publishes it where it is by then: half written, it is nobody's business.
            let closed = || {
                let _drafts = self.drafts.lock();
                let is_open = self.handles.lock().count_of(*file) > 0 || draft.is_awaited();
                if is_open { draft.closed() } else { Some(draft.snapshot()) }
            };
            // Its turn may be long in coming where somebody syncs it again and again.
            if closed().is_none() {
                continue;
            }
            let _turn = draft.gate.lock().await;
            self.commit_looked_at(*file, draft, closed).await?;
        }
        let _closed = self.paths.close([old_prefix.clone(), new_prefix.clone()]).await;
        if prefixes()?.1 != [old_prefix.clone(), new_prefix.clone()] {
            // The directory above was renamed first: Linux looks the path up again.
            return Err(FsError::Superseded { key: Key::from(old_prefix) });
        }
        let versions = self.versions_beneath(&old_prefix).await?;
        let written = unpublished.iter().map(|(_, draft)| draft.key().as_str().len());
        let longest = versions.iter().map(|version| version.key.as_str().len()).chain(written).max();
        if longest.is_some_and(|longest| (longest + new_prefix.len()).saturating_sub(old_prefix.len()) > KEY_BYTES_MAX)
        {
            return Err(FsError::NameTooLong);
        }
        let began = self.context.env.clock().unix_seconds();
        let note = Note::Rename { from: old_prefix.clone(), to: new_prefix.clone(), began };
        let note = self.context.env.disk().leave_note(note.text()).await.ok();
        let stamp = self.tree.lock().stamp(self.now());
        let (moved, failed) = self.move_keys(versions, [&old_prefix, &new_prefix], false).await;
        // Whoever asked is told of a failure, and decides.
        self.context.take_back_note(note).await;
        if let Some(error) = failed {
            // Part of it is there, part of it here: all of it is asked for again.
            let apart = {
                let mut tree = self.tree.lock();
                let apart = tree.moved_apart(&moved, stamp);
                tree.doubt_beneath(from.0, from.1);
                tree.doubt_beneath(to.0, to.1);
                apart
            };
            self.lead_on(apart).await;
            return Err(error);
        }
        let (files, elsewhere) = {
            let drafts = self.drafts.lock();
            let Moved { files, rekeyed, obsolete } = self.tree.lock().directory_renamed(from, to, &moved, stamp);
            let mut elsewhere = Vec::new();
            for Rekeyed { ino, key, moved } in rekeyed {
                let Some(draft) = drafts.get(&ino) else { continue };
                draft.moves_to(key);
                // What it is to replace may have got another ETag by the move.
                if let Some((old, new)) = moved
                    && draft.expects() == Expects::ETag(old.etag)
                {
                    draft.expect(Expects::ETag(new.etag));
                }
                elsewhere.push(draft.clone());
            }
            drop(drafts);
            supersede_by_us(obsolete);
            (files, elsewhere)
        };
        for draft in elsewhere {
            draft.move_stored().await;
        }
        self.lead_on(files).await;
        Ok(())
    }

    /// Whoever has these open, or has changed them, goes on where they are by now. Beside each other: where S3 does not answer,
    /// each of them costs a deadline.
    async fn lead_on(&self, files: Vec<(Ino, Version)>) {
        let each = |(file, version)| self.lead_one_on(file, version);
        stream::iter(files).for_each_concurrent(RENAMES_AT_ONCE, each).await;
    }

    async fn lead_one_on(&self, file: Ino, version: Version) {
        if self.draft_of(file).is_none() && self.handles.lock().count_of(file) == 0 {
            return;
        }
        let old = self.handles.lock().content_of_any(file);
        let lead = lead(&self.context, old.as_ref(), &version).await;
        let content = self.move_handles(file, &version, old, lead);
        // It may have begun meanwhile.
        if let Some(draft) = self.draft_of(file) {
            draft.rebased(content.clone());
            draft.move_stored().await;
        }
        if let Ok(file) = self.tree.lock().file_mut(file) {
            file.content = Some(content);
        }
    }

    /// Each of these at its new key; and the first failure, after which none was begun.
    pub(super) async fn move_keys(
        &self,
        versions: Vec<Version>,
        [old_prefix, new_prefix]: [&str; 2],
        resumed: bool,
    ) -> (Vec<(Version, Version)>, Option<FsError>) {
        let total = versions.len();
        let mut waiting = versions.into_iter();
        let mut moves = FuturesUnordered::new();
        let mut moved = Vec::new();
        let mut failed = None;
        let mut told_at = self.now();
        loop {
            // After a failure those under way end, and none begins.
            let room = if failed.is_some() { 0 } else { RENAMES_AT_ONCE - moves.len() };
            for version in waiting.by_ref().take(room) {
                moves.push(self.move_key(version, [old_prefix, new_prefix], resumed));
            }
            let Some(outcome) = moves.next().await else { return (moved, failed) };
            match outcome {
                Ok(Some(pair)) => moved.push(pair),
                Ok(None) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
            if self.now().since(told_at) >= RENAME_TOLD_EVERY {
                told_at = self.now();
                tracing::info!("renaming {old_prefix:?} to {new_prefix:?}: {} of {total} keys moved", moved.len());
            }
        }
    }

    /// Every object whose key starts with `prefix`, as a listing tells.
    pub(super) async fn versions_beneath(&self, prefix: &str) -> Result<Vec<Version>, FsError> {
        let key = Key::from(prefix);
        let max = self.context.config.rename_directory_max;
        let ordered = self.context.env.store().lists_in_order();
        let mut progress = Progress::default();
        let mut versions: Vec<Version> = Vec::new();
        let mut continuation = None;
        loop {
            let max_keys = self.context.config.sizes.list_page_keys;
            let request = List { prefix: prefix.to_string(), continuation, max_keys, ..List::default() };
            let page = self.context.list(request).await.map_err(|error| FsError::from_store(&key, error))?;
            let nonsense = |what| FsError::Nonsense { key: key.clone(), cause: StoreError::nonsense_page(what) };
            progress.check(page.next.as_ref(), !page.objects.is_empty()).map_err(nonsense)?;
            progress.goes_on(page.next.as_ref(), !page.objects.is_empty());
            for object in &page.objects {
                let last = versions.last().filter(|_| ordered);
                if !object.key.as_str().starts_with(prefix) || last.is_some_and(|last| object.key <= last.key) {
                    return Err(nonsense(format!("it named {:?}, out of order or from elsewhere", object.key)));
                }
                versions.push(Version::listed(object));
            }
            if versions.len() > max {
                tracing::warn!("{prefix:?} is not renamed: it has more than {max} keys (--rename-directory-max)");
                return Err(FsError::NotPermitted("more keys than --rename-directory-max"));
            }
            continuation = match page.next {
                Some(next) => Some(next),
                None => return Ok(versions),
            };
        }
    }

    /// One key of a directory that is renamed: what stood at the old key, and what stands at the new one. `None`: it is gone by
    /// now.
    async fn move_key(
        &self,
        version: Version,
        [old_prefix, new_prefix]: [&str; 2],
        resumed: bool,
    ) -> Result<Option<(Version, Version)>, FsError> {
        let rest = version.key.as_str().strip_prefix(old_prefix).unwrap_or_default();
        let new_key = Key::from(format!("{new_prefix}{rest}"));
        let mut version = version;
        loop {
            // The marker of an empty directory that is replaced is replaced, too.
            let condition = Some(WriteCondition::IfAbsent).filter(|_| new_key.as_str() != new_prefix);
            match self.copy_beside(&version, &new_key, condition).await {
                Ok(Copied::There(written)) => {
                    self.delete_moved(&version).await?;
                    let there = Version::written(new_key, written, version.size);
                    return Ok(Some((version, there)));
                }
                Ok(Copied::Taken) => {
                    sometimes!(TargetOfMoveTaken);
                    tracing::warn!(
                        "{:?} stays where it is: somebody has put something else at {new_key:?} while its directory was renamed; \
                         rename one of them",
                        version.key
                    );
                    // Nobody waits for what a mount before has begun: the rest goes on.
                    return if resumed { Ok(None) } else { Err(FsError::NotEmpty) };
                }
                // Replaced since it was listed: what is there now is moved, and what is gone is not.
                Ok(Copied::AnotherSource) | Err(FsError::NotFound) => match self.context.head(&version.key).await {
                    Ok(meta) => version = Version::of(&version.key, &meta),
                    Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(FsError::from_store(&version.key, error)),
                },
                Err(error) => return Err(error),
            }
        }
    }
}

/// A GET of what was moved, where it is by now, for those who have it open: so that nobody who replaces it there takes from
/// them what they have not read yet.
pub(super) async fn lead<E: Env>(context: &Context<E>, old: Option<&Arc<Content<E>>>, version: &Version) -> Lead<E> {
    let Some(first) = old.and_then(|old| old.first_to_hold()) else { return Lead::NotNeeded };
    let range = (first > 0 && context.config.hold != Hold::Full).then_some(ByteRange::From(first));
    sometimes!(LedToItsNewName);
    match context.get_if_current(version, range).await {
        Ok(reply) => Lead::Get(reply),
        Err(error) if error.kind.is_gone() => Lead::Gone,
        Err(_) => Lead::NotNeeded,
    }
}

/// Whoever has it open has what leads him on.
pub(super) fn feed_lead<E: Env>(content: &Arc<Content<E>>, lead: Lead<E>) {
    let Lead::Get(reply) = lead else { return };
    if content.wants_kept_anchor() {
        content.keep_anchor(reply.body);
    } else if content.first_to_hold().is_some() {
        content.feed(reply.range, reply.body);
    }
}
