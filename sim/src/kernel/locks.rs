//! The lock of an inode (i_rwsem): who changes a file or a directory does so alone, who looks a name up shares it with
//! others who do.
//!
//! Where nothing is ever changed nobody takes it.

use std::future::poll_fn;
use std::task::{Poll, Waker};

use holdfast::op::Ino;

use super::Kernel;
use super::system_call::Thread;

#[derive(Default)]
pub(super) struct Lock {
    exclusive: bool,
    shared: u32,
    wakers: Vec<Waker>,
}

/// Held until it is dropped. Its inode must be in use for as long.
pub(super) struct Locked {
    kernel: Kernel,
    ino: Ino,
    exclusive: bool,
}

/// Of renames from one directory to another, which follow one another (s_vfs_rename_mutex).
#[derive(Default)]
pub(super) struct Renames {
    under_way: bool,
    wakers: Vec<Waker>,
}

/// Held until it is dropped.
pub(super) struct Renaming {
    kernel: Kernel,
}

impl Thread {
    /// Waits until no other rename from one directory to another is under way.
    pub(super) async fn lock_renames(&self) -> Renaming {
        poll_fn(|context| {
            self.kernel.with(|state| {
                let renames = &mut state.renames;
                if std::mem::replace(&mut renames.under_way, true) {
                    if !renames.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                        renames.wakers.push(context.waker().clone());
                    }
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
        })
        .await;
        Renaming { kernel: self.kernel.clone() }
    }

    /// Nobody is killed while he waits for it.
    pub(super) async fn lock(&self, ino: Ino, exclusive: bool) -> Locked {
        poll_fn(|context| {
            self.kernel.with(|state| {
                let lock = &mut state.names.inode_mut(ino).expect("who locks an inode uses it").lock;
                if lock.exclusive || (exclusive && lock.shared > 0) {
                    if !lock.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                        lock.wakers.push(context.waker().clone());
                    }
                    return Poll::Pending;
                }
                if exclusive {
                    lock.exclusive = true;
                } else {
                    lock.shared += 1;
                }
                Poll::Ready(())
            })
        })
        .await;
        Locked { kernel: self.kernel.clone(), ino, exclusive }
    }

    /// Several, each once, in an order that all agree on.
    pub(super) async fn lock_all(&self, mut inodes: Vec<Ino>) -> Vec<Locked> {
        inodes.sort_unstable();
        inodes.dedup();
        let mut locked = Vec::new();
        for ino in inodes {
            locked.push(self.lock(ino, true).await);
        }
        locked
    }
}

impl Drop for Renaming {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let wakers = self.kernel.with(|state| {
            state.renames.under_way = false;
            std::mem::take(&mut state.renames.wakers)
        });
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let wakers = self.kernel.with(|state| {
            let Some(inode) = state.names.inode_mut(self.ino) else { return Vec::new() };
            if self.exclusive {
                inode.lock.exclusive = false;
            } else {
                inode.lock.shared -= 1;
            }
            std::mem::take(&mut inode.lock.wakers)
        });
        wakers.into_iter().for_each(Waker::wake);
    }
}
