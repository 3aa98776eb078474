//! Path walks: names from the dentry cache while they are fresh, else by LOOKUP.

use holdfast::error::Errno;
use holdfast::op::{Entry, Ino, Kind, Op, Reply};

use super::Kernel;
use super::inodes::Held;

impl Kernel {
    /// The inode at an absolute path. `revalidate` asks for every component, whatever its TTL (LOOKUP_REVAL).
    pub(super) async fn walk(&self, path: &str, revalidate: bool) -> Result<Held, Errno> {
        let mut held = self.hold_root();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if self.kind(held.ino()) != Kind::Directory {
                return Err(Errno::ENOTDIR);
            }
            self.step(&mut held, name.as_bytes(), revalidate).await?;
        }
        Ok(held)
    }

    async fn step(&self, held: &mut Held, name: &[u8], revalidate: bool) -> Result<(), Errno> {
        let parent = held.ino();
        if let Some(dentry) = self.dentry(parent, name) {
            let fresh = self.now() < dentry.until && !revalidate;
            match dentry.target {
                None if fresh => return Err(Errno::ENOENT),
                Some(target) if fresh && self.step_to_cached(held, name, target) => return Ok(()),
                // fuse_dentry_revalidate: any answer but the same inode drops the name and is itself forgotten.
                Some(target) => {
                    let answer = self.look_up(parent, name).await;
                    if let Ok(entry) = &answer
                        && let Some(attr) = &entry.attr
                    {
                        if attr.ino == target && self.prolong(parent, name, attr, entry) {
                            if self.step_to_cached(held, name, target) {
                                return Ok(());
                            }
                        } else {
                            self.forget(attr.ino, 1);
                        }
                    }
                    if self.dentry(parent, name).is_some_and(|dentry| dentry.target == Some(target)) {
                        self.drop_dentry(parent, name);
                    }
                }
                None => self.drop_dentry(parent, name),
            }
        }
        let entry = self.look_up(parent, name).await?;
        let Some(attr) = &entry.attr else {
            self.link_negative(parent, name, entry.entry_ttl);
            return Err(Errno::ENOENT);
        };
        self.link(parent, name, attr, &entry);
        assert!(self.step_to_cached(held, name, attr.ino), "linked just now");
        Ok(())
    }

    async fn look_up(&self, parent: Ino, name: &[u8]) -> Result<Entry, Errno> {
        match self.call(Op::Lookup { parent, name: name.to_vec() }).await? {
            Reply::Entry(entry) => Ok(entry),
            other => panic!("LOOKUP was answered with {other:?}"),
        }
    }
}
