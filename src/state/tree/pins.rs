//! What waits for the thread that was told to look a path up again.

use std::sync::Arc;

use crate::env::store::ObjectMeta;
use crate::error::FsError;
use crate::marks::sometimes;
use crate::op::{Caller, Ino, Name};
use crate::state::tree::{File, Inode, Node, Pin, PinId, Target, Tree};
use crate::state::version::{Holds, Version};
use crate::zoo::{self, Bug};

impl<C: Holds> Tree<C> {
    /// An `open` found another Version than the inode's and has its GET in hand: an inode waits with it for the look-up and
    /// the open of the same thread that follow. It is the name's inode, unless others have learnt of a newer Version by
    /// now; and its content is `content`, unless it has one already.
    ///
    /// Errors: [`FsError::Superseded`] where the name is local.
    pub fn pin(
        &mut self,
        caller: Caller,
        (parent, name): (Ino, &Name),
        version: &Version,
        content: Arc<C>,
        meta: Arc<ObjectMeta>,
    ) -> Result<(PinId, Arc<C>), FsError> {
        let entry = self.directory(parent)?.names.get(name);
        if entry.is_some_and(|entry| entry.local) {
            // What was made here is newer, and everybody here has it.
            sometimes!(LocalBeforeItsPin);
            return Err(FsError::Superseded { key: version.key.clone() });
        }
        let current = entry.is_some_and(|entry| entry.target.is_same(&Target::File(version.clone())));
        let usable = |file: &File<C>| file.content.as_ref().is_none_or(|content| !content.is_superseded());
        let ino = match entry.and_then(|entry| entry.ino) {
            Some(ino) if current && self.file(ino).map_or(true, usable) => ino,
            Some(_) | None if current => {
                self.entry_mut(parent, name)?.ino = None;
                self.number(parent, name)?
            }
            Some(_) | None => self.fresh_number(),
        };
        if current {
            self.materialise(parent, name, ino)?;
            self.describe(parent, name, version, &meta);
        } else {
            let file = File::of(version.clone());
            self.inodes.insert(ino, Inode { parent, name: name.clone(), lookups: 0, node: Node::File(file) });
            sometimes!(PinnedBesideItsName);
            let since = self.next_order();
            if let Ok(entry) = self.entry_mut(parent, name) {
                entry.strays.push((ino, since));
            }
        }
        let file = self.file_mut(ino)?;
        file.meta = Some(meta);
        // Linux may forget the inode between two look-ups of the same open.
        file.opens += u32::from(!zoo::has(Bug::PinHoldsNoInode));
        let content = file.content.get_or_insert(content).clone();
        let id = PinId(self.next_order());
        self.pins.push(Pin { id, caller, parent, name: name.clone(), ino, content: content.clone() });
        Ok((id, content))
    }

    /// Whether a pin waits for this thread's open of the inode.
    pub fn is_pinned(&self, caller: Caller, ino: Ino) -> bool {
        self.pins.iter().any(|pin| (pin.caller, pin.ino) == (caller, ino))
    }

    /// Takes the pin that waits for this thread's open, which then knows the Version to be current. Answers what was pinned,
    /// for whose opening the pin stood: the inode may have another content by now.
    pub fn take_pin(&mut self, caller: Caller, ino: Ino) -> Option<Arc<C>> {
        let at = self.pins.iter().rposition(|pin| (pin.caller, pin.ino) == (caller, ino))?;
        sometimes!(OpenTookPin);
        if zoo::has(Bug::PinClosedTwice) {
            self.close_pinned(self.pins[at].ino);
            return Some(self.pins[at].content.clone());
        }
        let pin = self.pins.remove(at);
        self.close_pinned(pin.ino);
        self.drop_unknown_above(pin.parent);
        Some(pin.content)
    }

    /// Lets go of a pin that nobody came for; false if somebody did.
    pub fn expire_pin(&mut self, id: PinId) -> bool {
        let at = self.pins.iter().position(|pin| pin.id == id);
        if let Some(at) = at {
            sometimes!(PinExpired);
            let pin = self.pins.remove(at);
            self.close_pinned(pin.ino);
            self.drop_if_unknown(pin.ino);
            self.drop_unknown_above(pin.parent);
        }
        at.is_some()
    }

    fn close_pinned(&mut self, ino: Ino) {
        if let Ok(file) = self.file_mut(ino) {
            file.opens -= u32::from(!zoo::has(Bug::PinHoldsNoInode));
        }
    }

    pub(super) fn leads_to_a_pin(&self, directory: Ino) -> bool {
        let above = |ino: &Ino| self.inodes.get(ino).map(|inode| inode.parent).filter(|_| *ino != Ino::ROOT);
        let mut places = self.pins.iter().flat_map(|pin| std::iter::successors(Some(pin.parent), above));
        places.any(|ino| ino == directory)
    }

    /// Drops a directory that only a pin kept, and those above it.
    pub fn drop_unknown_above(&mut self, directory: Ino) {
        let mut at = directory;
        while at != Ino::ROOT
            && let Some(inode) = self.inodes.get(&at)
        {
            let parent = inode.parent;
            self.drop_if_unknown(at);
            at = parent;
        }
    }
}
