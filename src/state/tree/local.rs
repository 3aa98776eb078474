//! What this mount itself makes of names: files that are not published yet, publications, removals, renames.
//!
//! A name is *local* while its inode has changes that are not published. Then it stands for that inode, whatever the bucket
//! says; what the bucket says is remembered beneath, for when the changes are published or given up.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::env::Time;
use crate::env::store::{Key, ObjectMeta};
use crate::error::FsError;
use crate::marks::sometimes;
use crate::op::{Ino, Name};
use crate::state::posix::Posix;
use crate::state::tree::{File, Inode, NameEntry, Node, Obsolete, Own, Seen, Stamp, Target, Tree};
use crate::state::version::{Holds, Successor, Version};

/// What a publication made of an inode.
pub struct Publication<C> {
    /// Of when it was sent.
    pub stamp: Stamp,
    pub version: Version,
    pub meta: Arc<ObjectMeta>,
    /// `None`: what is at hand of the Version before is good for it, too.
    pub content: Option<Arc<C>>,
    /// No change was made since.
    pub clean: bool,
}

/// A file whose changes are to be published at another key.
pub struct Rekeyed {
    pub ino: Ino,
    pub key: Key,
    /// What stood at its old key and was moved, if anything was, and what that is by now.
    pub moved: Option<(Version, Version)>,
}

/// What became of the files in a directory that was renamed.
pub struct Moved<C> {
    /// Inodes whose Version stands at another key by now, as this one.
    pub files: Vec<(Ino, Version)>,
    /// Inodes with changes that are to be published at another key.
    pub rekeyed: Vec<Rekeyed>,
    /// Contents of inodes whose Version was replaced before it could be moved.
    pub obsolete: Obsolete<C>,
}

impl<C: Holds> Tree<C> {
    /// A file that is not published yet takes the name; whoever had another file there open keeps it.
    pub fn create(
        &mut self,
        parent: Ino,
        name: &Name,
        version: Version,
        meta: Arc<ObjectMeta>,
        own: Own,
    ) -> Result<Ino, FsError> {
        self.directory(parent)?;
        self.revive(parent);
        let ino = self.fresh_number();
        let since = self.next_order();
        let file = File { meta: Some(meta), own: Some(own), ..File::of(version) };
        let displaced = self.inodes_of_name(parent, name);
        let entry = self.entry_or_unknown(parent, name)?;
        let was_local = std::mem::replace(&mut entry.local, true);
        entry.ino = Some(ino);
        if let Some(displaced) = displaced {
            sometimes!(ReadersDisplaced);
            entry.strays.push((displaced, since));
        }
        self.locals += u32::from(!was_local);
        self.inodes.insert(ino, Inode { parent, name: name.clone(), lookups: 0, node: Node::File(file) });
        Ok(ino)
    }

    /// A directory in which a file is made exists from now on, with those above it, though the bucket may have none any more.
    fn revive(&mut self, directory: Ino) {
        let mut at = directory;
        while at != Ino::ROOT
            && let Ok((parent, name)) = self.place(at)
        {
            let Ok(entry) = self.entry_or_unknown(parent, &name) else { return };
            if entry.local {
                return;
            }
            if entry.ino != Some(at) || entry.target != Target::Directory {
                sometimes!(DirectoryRevived);
                (entry.target, entry.ino, entry.meta) = (Target::Directory, Some(at), None);
            }
            at = parent;
        }
    }

    fn inodes_of_name(&self, parent: Ino, name: &Name) -> Option<Ino> {
        let ino = self.directory(parent).ok()?.names.get(name)?.ino?;
        self.inodes.contains_key(&ino).then_some(ino)
    }

    /// The name's entry; one of which nothing is known where there was none.
    fn entry_or_unknown(&mut self, parent: Ino, name: &Name) -> Result<&mut NameEntry, FsError> {
        let never = Seen { began: 0, ended: 0, at: Time::ZERO };
        let names = &mut self.directory_mut(parent)?.names;
        let entry = names.entry(name.clone()).or_insert_with(|| NameEntry {
            // Never fresh, and contradicted by nothing.
            doubted: 1,
            ..NameEntry::new(Target::Absent, never)
        });
        Ok(entry)
    }

    /// The inode was changed. Its name, if it is still its own, is local from now on where that is not published (`dirty`). Where
    /// it is, whoever publishes it says what the name is by then.
    pub fn changed(&mut self, ino: Ino, own: Own, dirty: bool) -> Result<(), FsError> {
        self.file_mut(ino)?.own = Some(own);
        if dirty && let Some(entry) = self.own_entry(ino)? {
            let was_local = std::mem::replace(&mut entry.local, true);
            self.locals += u32::from(!was_local);
        }
        Ok(())
    }

    /// Its changes came to nothing, and no publication of it is under way.
    pub fn unchanged(&mut self, ino: Ino, own: Own) -> Result<(), FsError> {
        let file = self.file_mut(ino)?;
        file.own = Some(own);
        let target = Target::File(file.version.clone());
        let since = self.next_order();
        if let Some(entry) = self.own_entry(ino)? {
            let was_local = std::mem::replace(&mut entry.local, false);
            if was_local && !entry.target.is_same(&target) {
                sometimes!(BucketMovedOnBeneath);
                entry.ino = None;
                entry.strays.push((ino, since));
            }
            self.locals -= u32::from(was_local);
        }
        Ok(())
    }

    /// The entry of the inode's name, where that is its own.
    fn own_entry(&mut self, ino: Ino) -> Result<Option<&mut NameEntry>, FsError> {
        let file = self.file(ino)?;
        if file.unlinked || file.abandoned {
            return Ok(None);
        }
        let (parent, name) = self.place(ino)?;
        Ok(self.entry_mut(parent, &name).ok().filter(|entry| entry.ino == Some(ino)))
    }

    /// Whether an open of the inode by its path is to be told to look again: the name is another inode's, or nobody's.
    pub fn is_displaced(&self, ino: Ino) -> bool {
        let Ok(file) = self.file(ino) else { return false };
        let other = || {
            let (parent, name) = self.place(ino).ok()?;
            let entry = self.directory(parent).ok()?.names.get(&name)?;
            Some(entry.local && entry.ino != Some(ino))
        };
        file.unlinked || file.abandoned || other().unwrap_or(false)
    }

    /// Whether nothing is known of the file since its name was doubted.
    pub fn is_doubted(&self, ino: Ino) -> Result<bool, FsError> {
        Ok(self.file(ino)?.verified == Time::ZERO)
    }

    /// Whether the inode's name is local, and its own.
    pub fn is_local(&self, ino: Ino) -> bool {
        let entry = || {
            let (parent, name) = self.place(ino).ok()?;
            let entry = self.directory(parent).ok()?.names.get(&name)?;
            Some(entry.local && entry.ino == Some(ino))
        };
        entry().unwrap_or(false)
    }

    /// The inode of a local name.
    pub fn local_of(&self, parent: Ino, name: &Name) -> Option<Ino> {
        let entry = self.directory(parent).ok()?.names.get(name)?;
        entry.ino.filter(|_| entry.local)
    }

    /// Names of a directory that are local now.
    pub fn local_names(&self, directory: Ino) -> Vec<Name> {
        if self.locals == 0 {
            return Vec::new();
        }
        let names = self.directory(directory).map(|directory| directory.names.iter());
        names.into_iter().flatten().filter(|(_, entry)| entry.local).map(|(name, _)| name.clone()).collect()
    }

    /// Whether any name beneath the directory, at any depth, is local.
    pub fn has_locals(&self, ino: Ino) -> bool {
        if self.locals == 0 {
            return false;
        }
        let Ok(directory) = self.directory(ino) else { return false };
        directory.names.values().any(|entry| entry.local || entry.ino.is_some_and(|child| self.has_locals(child)))
    }

    /// A directory beneath which names are local exists, whatever the bucket says.
    pub(super) fn is_directory_of_locals(&self, parent: Ino, name: &Name) -> bool {
        self.locals > 0
            && self.directory(parent).ok().and_then(|directory| directory.names.get(name)).is_some_and(|entry| {
                entry.target == Target::Directory && entry.ino.is_some_and(|ino| self.has_locals(ino))
            })
    }

    /// What the bucket says of a name that is local.
    pub(super) fn observe_beneath_local(
        &mut self,
        parent: Ino,
        name: &Name,
        seen: Seen,
        target: Target,
    ) -> Obsolete<C> {
        let Ok(entry) = self.entry_mut(parent, name) else { return Vec::new() };
        if entry.seen.ended > seen.began {
            return Vec::new();
        }
        sometimes!(ObservedBeneathLocal);
        let (local, same) = (entry.ino, entry.target.is_same(&target));
        (entry.target, entry.seen) = (target.clone(), seen);
        let mut obsolete = self.obsolete_strays(parent, name, seen, &target);
        let base = local.filter(|_| !same).and_then(|ino| self.file(ino).ok()?.content.clone());
        obsolete.extend(base.map(|content| (content, target.as_successor())));
        obsolete
    }

    /// Something is beneath the name again: who is in the directory that it was is in this one.
    pub(super) fn reappears(&mut self, parent: Ino, name: &Name, vanished: Option<Ino>) {
        let stands = |ino: &Ino| {
            let there = self.inodes.get(ino).map(|inode| (inode.parent, &inode.name, &inode.node));
            there.is_some_and(|(above, named, node)| {
                (above, named) == (parent, name) && matches!(node, Node::Directory(_))
            })
        };
        if let Some(ino) = vanished.filter(stands)
            && let Ok(entry) = self.entry_mut(parent, name)
        {
            sometimes!(DirectoryReappeared);
            entry.ino = Some(ino);
        }
    }

    /// Contents of inodes that were pinned to the name before the request began that saw `target`, and are not that.
    pub(super) fn obsolete_strays(&self, parent: Ino, name: &Name, seen: Seen, target: &Target) -> Obsolete<C> {
        let entry = self.directory(parent).ok().and_then(|directory| directory.names.get(name));
        let strays = entry.into_iter().flat_map(|entry| &entry.strays).filter(|(_, since)| *since < seen.began);
        let files = strays.filter_map(|(ino, _)| self.file(*ino).ok());
        let others = files.filter(|file| !target.is_same(&Target::File(file.version.clone())));
        others.filter_map(|file| Some((file.content.clone()?, target.as_successor()))).collect()
    }

    /// The inode's changes stand in the bucket as a new Version, which it adopts.
    pub fn published(&mut self, ino: Ino, publication: Publication<C>) -> Result<Obsolete<C>, FsError> {
        let Publication { stamp, version, meta, content, clean } = publication;
        let seen = Seen { began: stamp.order, ended: self.next_order(), at: stamp.at };
        let (parent, name) = self.place(ino)?;
        let file = self.file_mut(ino)?;
        (file.version, file.meta) = (version.clone(), Some(meta.clone()));
        file.content = content.or(file.content.take());
        file.verified = file.verified.max(stamp.at);
        let unlinked = file.unlinked;
        let Ok(entry) = self.entry_mut(parent, &name) else { return Ok(Vec::new()) };
        if unlinked || entry.ino != Some(ino) {
            // Another inode has the name: what stands there by now, its next look-up asks.
            self.doubt(parent, &name);
            return Ok(Vec::new());
        }
        let target = Target::File(version);
        let overlapped = entry.seen.ended > stamp.order;
        (entry.target, entry.seen, entry.meta) = (target.clone(), seen, Some(meta));
        let was_local = std::mem::replace(&mut entry.local, !clean);
        self.locals = self.locals + u32::from(!clean) - u32::from(was_local);
        if overlapped {
            // Somebody saw something else meanwhile, before it or after.
            self.doubt(parent, &name);
        }
        Ok(self.obsolete_strays(parent, &name, seen, &target))
    }

    /// Contents of the inode that has the name, and of others that were opened by it.
    pub fn held_by(&self, parent: Ino, name: &Name) -> Vec<Arc<C>> {
        let Some(entry) = self.directory(parent).ok().and_then(|directory| directory.names.get(name)) else {
            return Vec::new();
        };
        let inodes = entry.ino.into_iter().chain(entry.strays.iter().map(|(stray, _)| *stray));
        inodes.filter_map(|ino| self.file(ino).ok()?.content.clone()).collect()
    }

    /// Nothing that is known of the name, or beneath it, is taken for granted.
    pub fn doubt_beneath(&mut self, parent: Ino, name: &Name) {
        self.doubt(parent, name);
        let Some(ino) = self.ino_of(parent, name) else { return };
        let names = self.directory(ino).map(|directory| directory.names.keys().cloned().collect::<Vec<_>>());
        for beneath in names.unwrap_or_default() {
            self.doubt_beneath(ino, &beneath);
        }
    }

    /// Contents of other inodes that were opened by the inode's name.
    pub fn held_beside(&self, ino: Ino) -> Vec<Arc<C>> {
        let strays = || {
            let (parent, name) = self.place(ino).ok()?;
            let entry = self.directory(parent).ok()?.names.get(&name)?;
            let others = entry.strays.iter().map(|(stray, _)| *stray).chain(entry.ino).filter(|other| *other != ino);
            let files = others.filter_map(|other| self.file(other).ok());
            Some(files.filter_map(|file| file.content.clone()).collect())
        };
        strays().unwrap_or_default()
    }

    /// What was written can never be published: the name shows again what the bucket has, and the inode is nobody's.
    pub fn abandon(&mut self, ino: Ino) {
        let Ok((parent, name)) = self.place(ino) else { return };
        if let Ok(file) = self.file_mut(ino) {
            file.abandoned = true;
        }
        let since = self.next_order();
        if let Ok(entry) = self.entry_mut(parent, &name)
            && entry.ino == Some(ino)
        {
            entry.ino = None;
            entry.strays.push((ino, since));
            let was_local = std::mem::replace(&mut entry.local, false);
            self.locals -= u32::from(was_local);
        }
        self.doubt(parent, &name);
    }

    /// A request that began at `stamp` has removed the name, or it never stood in the bucket.
    pub fn removed(&mut self, parent: Ino, name: &Name, stamp: Stamp) -> Obsolete<C> {
        let seen = Seen { began: stamp.order, ended: self.next_order(), at: stamp.at };
        let Ok(entry) = self.entry_or_unknown(parent, name) else { return Vec::new() };
        let overlapped = entry.seen.ended > stamp.order;
        let before = entry.ino;
        let old = self.vacate(before, parent, name, Target::Absent, seen);
        if overlapped {
            self.doubt(parent, name);
        }
        let mut obsolete = self.obsolete_strays(parent, name, seen, &Target::Absent);
        obsolete.extend(old);
        obsolete
    }

    /// The name stands for `target` and for no inode. Answers the content of the file that had it, and what it is to be told.
    /// `before`: the inode that had it before this mount put `target` there.
    fn vacate(
        &mut self,
        before: Option<Ino>,
        parent: Ino,
        name: &Name,
        target: Target,
        seen: Seen,
    ) -> Option<(Arc<C>, Successor)> {
        let since = self.next_order();
        let entry = self.entry_or_unknown(parent, name).ok()?;
        let (old, overlapped) = (entry.ino, entry.seen.ended > seen.began);
        entry.moves_on(target.clone(), None, seen);
        let was_local = std::mem::replace(&mut entry.local, false);
        self.locals -= u32::from(was_local);
        let old = old?;
        let file = self.file_mut(old).ok()?;
        let same = matches!(&target, Target::File(version) if version.is_same(&file.version));
        if same && !was_local && before != Some(old) {
            // Somebody opened what takes the name before this mount knew that it does: it is that very file.
            sometimes!(OpenedBeforeItWasKnown);
            // Who has it open reads it; whoever wants to write to it comes by its name.
            file.abandoned = true;
            self.entry_mut(parent, name).ok()?.strays.push((old, since));
            return None;
        }
        let content = file.content.clone();
        if overlapped && !was_local && before != Some(old) {
            // Seen while this mount put `target` there: which of the two came last, only the bucket knows.
            sometimes!(OpenedWhileReplaced);
            file.abandoned = true;
            self.entry_mut(parent, name).ok()?.strays.push((old, since));
            return content.map(|content| (content, Successor::Shadowed));
        }
        file.unlinked = true;
        content.map(|content| (content, target.as_successor()))
    }

    /// A file's object stands at another key by now, as `version`, and its inode, if it was `known`, goes with it. `source`: what
    /// was copied. `replaced`: the inode that had the new name before. `gone`: nothing is left at the key where it was.
    #[expect(clippy::too_many_arguments, reason = "two names, and what stands there")]
    pub fn renamed(
        &mut self,
        (known, replaced): (Option<Ino>, Option<Ino>),
        (parent, name, source): (Ino, &Name, &Version),
        (new_parent, new_name): (Ino, &Name),
        version: &Version,
        meta: Option<Arc<ObjectMeta>>,
        content: Option<Arc<C>>,
        stamp: Stamp,
        gone: bool,
    ) -> Obsolete<C> {
        let seen = Seen { began: stamp.order, ended: self.next_order(), at: stamp.at };
        let target = Target::File(version.clone());
        let overlapped = self.entry_or_unknown(new_parent, new_name).is_ok_and(|entry| entry.seen.ended > stamp.order);
        let old = self.vacate(replaced, new_parent, new_name, target.clone(), seen);
        let mut obsolete = self.obsolete_strays(new_parent, new_name, seen, &target);
        obsolete.extend(old);
        // Its number moves, whether or not there is an inode yet. Another one that has the name by now was pinned to what
        // somebody else put there meanwhile, and stays.
        let mut moved = known.filter(|ino| self.inodes.contains_key(ino));
        let mut was_local = false;
        let present = self.ino_of(parent, name).filter(|ino| Some(*ino) != known);
        let pinned = present.and_then(|ino| self.file(ino).ok()).is_some_and(|file| !file.version.is_same(source));
        if let Ok(entry) = self.entry_mut(parent, name) {
            let another = pinned || (known.is_some() && present.is_some());
            if another {
                sometimes!(PinnedWhileRenamed);
                entry.strays.retain(|(stray, _)| Some(*stray) != known);
            } else {
                moved = entry.ino.take().or(moved);
                was_local = std::mem::replace(&mut entry.local, false);
            }
            if gone && !another {
                entry.moves_on(Target::Absent, None, seen);
            }
        }
        if !gone {
            self.doubt(parent, name);
        }
        if let Ok(entry) = self.entry_mut(new_parent, new_name) {
            (entry.ino, entry.meta, entry.local) = (moved, meta.clone(), was_local);
        }
        moved.into_iter().for_each(|ino| self.keep_what_is_shown(ino));
        if let Some(ino) = moved
            && let Some(inode) = self.inodes.get_mut(&ino)
        {
            (inode.parent, inode.name) = (new_parent, new_name.clone());
            if let Node::File(file) = &mut inode.node {
                file.version = version.clone();
                file.verified = file.verified.max(stamp.at);
                file.meta = meta.or(file.meta.take());
                file.content = content;
            }
        }
        if overlapped {
            self.doubt(new_parent, new_name);
        }
        obsolete
    }

    /// Inodes that were opened by a name while it stood for this version.
    pub fn twins(&self, (parent, name): (Ino, &Name), version: &Version) -> Vec<Ino> {
        let entry = self.directory(parent).ok().and_then(|directory| directory.names.get(name));
        let inodes = entry.into_iter().flat_map(|entry| entry.strays.iter().map(|(stray, _)| *stray).chain(entry.ino));
        let is_twin = |ino: &Ino| self.file(*ino).is_ok_and(|file| file.version.is_same(version) && !file.unlinked);
        inodes.filter(is_twin).collect()
    }

    /// What they stand for was renamed, with the inode `known`: they go along. Answers them and that version.
    pub fn twins_renamed(
        &mut self,
        twins: Vec<Ino>,
        known: Option<Ino>,
        (parent, name): (Ino, &Name),
        version: &Version,
    ) -> Vec<(Ino, Version)> {
        let named = self.ino_of(parent, name);
        let since = self.next_order();
        let mut along = Vec::new();
        for twin in twins.into_iter().filter(|twin| Some(*twin) != known && Some(*twin) != named) {
            sometimes!(StrayMoved);
            self.goes_along(twin, version);
            if let Ok((old_parent, old_name)) = self.place(twin)
                && let Ok(entry) = self.entry_mut(old_parent, &old_name)
            {
                entry.strays.retain(|(stray, _)| *stray != twin);
                entry.ino = entry.ino.filter(|ino| *ino != twin);
            }
            if let Some(inode) = self.inodes.get_mut(&twin) {
                (inode.parent, inode.name) = (parent, name.clone());
            }
            if let Ok(entry) = self.entry_mut(parent, name) {
                entry.strays.push((twin, since));
            }
            along.push((twin, version.clone()));
        }
        along
    }

    /// A copy has a date of its own, and the file does not change by being moved.
    fn keep_what_is_shown(&mut self, ino: Ino) {
        if let Ok(own) = self.own_of(ino)
            && let Ok(file) = self.file_mut(ino)
        {
            file.own.get_or_insert(own);
        }
    }

    /// A directory stands elsewhere by now, with all that is beneath it. `moved`: what stood at each old key,
    /// and what stands at its new one.
    pub fn directory_renamed(
        &mut self,
        (parent, name): (Ino, &Name),
        (new_parent, new_name): (Ino, &Name),
        moved: &[(Version, Version)],
        stamp: Stamp,
    ) -> Moved<C> {
        let seen = Seen { began: stamp.order, ended: self.next_order(), at: stamp.at };
        self.vacate(None, new_parent, new_name, Target::Directory, seen);
        let mut ino = None;
        let mut meta = None;
        if let Ok(entry) = self.entry_mut(parent, name) {
            // Somebody may have looked when nothing was left of it.
            (ino, meta) = (entry.ino.or(entry.vanished), entry.meta.take());
            entry.moves_on(Target::Absent, None, seen);
        }
        if let Ok(entry) = self.entry_mut(new_parent, new_name) {
            (entry.ino, entry.meta) = (ino, meta);
        }
        let mut files = Moved { files: Vec::new(), rekeyed: Vec::new(), obsolete: Vec::new() };
        let prefix_at = |place: (Ino, &Name)| Some(format!("{}/", self.directory(place.0).ok()?.key(place.1)));
        let (Some(old_prefix), Some(prefix)) = (prefix_at((parent, name)), prefix_at((new_parent, new_name))) else {
            return files;
        };
        let moved = &moved.iter().map(|pair| (pair.0.key.as_str(), pair)).collect();
        if let Some(ino) = ino {
            self.move_beneath(ino, prefix.clone(), moved, seen, &mut files);
        }
        // Directories that vanished from the bucket and are somebody's all the same: what is made in them goes along.
        for (beneath, ino) in self.directories_beneath(&old_prefix) {
            if self.directory(ino).is_ok_and(|directory| directory.prefix == beneath) {
                sometimes!(VanishedDirectoryMoved);
                let rest = &beneath[old_prefix.len()..];
                self.move_beneath(ino, format!("{prefix}{rest}"), moved, seen, &mut files);
            }
        }
        // Whoever has one of them open by an inode that has its name no more.
        for (stray, version) in self.of_moved(moved) {
            sometimes!(StrayMoved);
            self.goes_along(stray, &version);
            files.files.push((stray, version));
        }
        for inode in self.inodes.values_mut() {
            if (inode.parent, &inode.name) == (parent, name) && matches!(inode.node, Node::Directory(_)) {
                (inode.parent, inode.name) = (new_parent, new_name.clone());
            }
        }
        files
    }

    /// A directory's rename failed after these had moved: whoever has one of them open goes on where it is by then, which is
    /// answered; the names are asked for again.
    pub fn moved_apart(&mut self, moved: &[(Version, Version)], stamp: Stamp) -> Vec<(Ino, Version)> {
        let seen = Seen { began: stamp.order, ended: self.next_order(), at: stamp.at };
        let files = self.of_moved(&moved.iter().map(|pair| (pair.0.key.as_str(), pair)).collect());
        for (ino, version) in &files {
            self.goes_along(*ino, version);
            let Ok((parent, name)) = self.place(*ino) else { continue };
            let Ok(entry) = self.entry_mut(parent, &name) else { continue };
            if entry.ino == Some(*ino) {
                entry.moves_on(Target::Absent, None, seen);
                let was_local = std::mem::replace(&mut entry.local, false);
                self.locals -= u32::from(was_local);
                self.doubt(parent, &name);
            }
        }
        files
    }

    /// Directories whose prefixes start with this one, those above others first, whether or not their names stand for them.
    fn directories_beneath(&self, prefix: &str) -> Vec<(String, Ino)> {
        let directories = self.inodes.iter().filter_map(|(ino, inode)| match &inode.node {
            Node::Directory(directory) if directory.prefix.starts_with(prefix) => {
                Some((directory.prefix.clone(), *ino))
            }
            Node::Directory(_) | Node::File(_) => None,
        });
        let mut directories: Vec<_> = directories.collect();
        directories.sort();
        directories
    }

    fn move_beneath(
        &mut self,
        ino: Ino,
        prefix: String,
        moved: &BTreeMap<&str, &(Version, Version)>,
        seen: Seen,
        files: &mut Moved<C>,
    ) {
        let Ok(directory) = self.directory_mut(ino) else { return };
        let old_prefix = std::mem::replace(&mut directory.prefix, prefix.clone());
        let names: Vec<Name> = directory.names.keys().cloned().collect();
        for name in names {
            let old_key = format!("{old_prefix}{}", name.as_str());
            let key = Key::from(format!("{prefix}{}", name.as_str()));
            let pair = moved.get(old_key.as_str()).copied();
            let since = self.next_order();
            let Ok(entry) = self.entry_mut(ino, &name) else { continue };
            let child = entry.ino.filter(|_| entry.local || entry.target != Target::Absent);
            let known = child.and_then(|child| self.file(child).ok()).map(|file| file.version.clone());
            let is_moved = |old: &Version| known.as_ref().is_none_or(|known| known.is_same(old));
            let Ok(entry) = self.entry_mut(ino, &name) else { continue };
            match (&entry.target, pair) {
                (Target::File(_), Some((old, version))) if is_moved(old) => {
                    let (number, meta) = (entry.ino, entry.meta.take());
                    entry.moves_on(Target::File(version.clone()), number, seen);
                    entry.meta = meta;
                    if let Some(child) = child.filter(|child| self.file(*child).is_ok()) {
                        self.goes_along(child, version);
                        files.files.push((child, version.clone()));
                    }
                }
                // Replaced by others before it was moved: who has the old one open keeps it, and the name gets another inode.
                (Target::File(_), Some((_, version))) if !entry.local => {
                    sometimes!(MovedAnotherVersion);
                    let target = Target::File(version.clone());
                    entry.moves_on(target.clone(), None, seen);
                    if let Some(child) = child
                        && let Ok(file) = self.file(child)
                    {
                        files.obsolete.extend(file.content.clone().map(|content| (content, target.as_successor())));
                        let Ok(entry) = self.entry_mut(ino, &name) else { continue };
                        entry.strays.push((child, since));
                    }
                }
                (Target::Directory, _) => {
                    if let Some(child) = child {
                        self.move_beneath(child, format!("{prefix}{}/", name.as_str()), moved, seen, files);
                    }
                }
                // What it began from is not what stands there, or nothing is: its condition decides when it is published.
                (Target::File(_) | Target::Absent, _) if entry.local => {
                    let Some(child) = child else { continue };
                    if let Ok(file) = self.file_mut(child) {
                        file.version.key = key.clone();
                    }
                    files.rekeyed.push(Rekeyed { ino: child, key, moved: pair.cloned() });
                }
                // What was not there when the keys were listed: nobody knows what is there now.
                (Target::File(_) | Target::Absent, _) => entry.doubted = seen.ended,
            }
        }
    }

    /// Inodes of files whose Version was moved, each with what that is by now; whether or not a name stands for them.
    fn of_moved(&self, moved: &BTreeMap<&str, &(Version, Version)>) -> Vec<(Ino, Version)> {
        let mut files = Vec::new();
        for (ino, inode) in &self.inodes {
            if let Node::File(file) = &inode.node
                && let Some((old, new)) = moved.get(file.version.key.as_str())
                && file.version.is_same(old)
                && !file.unlinked
            {
                files.push((*ino, new.clone()));
            }
        }
        files
    }

    /// The inode's Version stands at another key by now, as this one.
    fn goes_along(&mut self, ino: Ino, version: &Version) {
        self.keep_what_is_shown(ino);
        if let Ok(file) = self.file_mut(ino) {
            (file.version, file.content) = (version.clone(), None);
        }
    }

    /// A directory was made here.
    pub fn directory_made(
        &mut self,
        parent: Ino,
        name: &Name,
        marker: Arc<ObjectMeta>,
        stamp: Stamp,
    ) -> Result<(), FsError> {
        let seen = Seen { began: stamp.order, ended: self.next_order(), at: stamp.at };
        let entry = self.entry_or_unknown(parent, name)?;
        entry.moves_on(Target::Directory, None, seen);
        entry.meta = Some(marker);
        Ok(())
    }

    /// A file was made here that nobody has open.
    pub fn file_made(&mut self, parent: Ino, name: &Name, version: Version, meta: Arc<ObjectMeta>, stamp: Stamp) {
        let seen = Seen { began: stamp.order, ended: self.next_order(), at: stamp.at };
        let Ok(entry) = self.entry_or_unknown(parent, name) else { return };
        let (size, posix) = (version.size, Posix::of(&meta));
        entry.moves_on(Target::File(version), None, seen);
        entry.meta = Some(meta);
        // An inode at once, which shows what was made: the date that S3 gave it is not known.
        if let Ok(ino) = self.number(parent, name)
            && self.materialise(parent, name, ino).is_ok()
            && let Ok(file) = self.file_mut(ino)
        {
            file.own = Some(Own { size, posix });
        }
    }

    /// Whether an inode is `directory` or lies beneath it, at any depth: what must not be moved into itself.
    pub fn is_beneath(&self, ino: Ino, directory: Ino) -> bool {
        let above = |ino: &Ino| self.inodes.get(ino).map(|inode| inode.parent).filter(|_| *ino != Ino::ROOT);
        std::iter::successors(Some(ino), above).any(|at| at == directory)
    }

    /// What the name is known to be, if that is fresh or local.
    pub fn target_if_fresh(&self, parent: Ino, name: &Name, now: Time) -> Result<Option<Target>, FsError> {
        let Some(entry) = self.directory(parent)?.names.get(name) else { return Ok(None) };
        if entry.local {
            let version = self.file(entry.ino.unwrap_or(Ino::ROOT))?.version.clone();
            return Ok(Some(Target::File(version)));
        }
        let fresh = now < self.fresh_until(entry) && !self.is_superseded(parent, name)?;
        Ok(fresh.then(|| entry.target.clone()))
    }

    /// What the name is known to be, however old that is.
    pub fn target(&self, parent: Ino, name: &Name) -> Option<Target> {
        Some(self.directory(parent).ok()?.names.get(name)?.target.clone())
    }

    /// The inode that the name has, if it exists.
    pub fn ino_of(&self, parent: Ino, name: &Name) -> Option<Ino> {
        self.inodes_of_name(parent, name)
    }

    /// What was told of the name's object.
    pub fn meta_of(&self, parent: Ino, name: &Name) -> Option<Arc<ObjectMeta>> {
        self.directory(parent).ok()?.names.get(name)?.meta.clone()
    }

    /// Inodes of files that have unpublished changes, beneath a directory at any depth.
    pub fn locals_beneath(&self, ino: Ino) -> Vec<Ino> {
        let Ok(directory) = self.directory(ino) else { return Vec::new() };
        let children = directory.names.values().filter_map(|entry| Some((entry.ino?, entry.local)));
        children.flat_map(|(ino, local)| if local { vec![ino] } else { self.locals_beneath(ino) }).collect()
    }
}
