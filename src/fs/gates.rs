//! One cold open of an inode at a time: whoever comes second finds what the first one's GET pinned.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use futures_util::lock::{Mutex, MutexGuard};

use crate::lock::Lock;
use crate::op::Ino;

#[derive(Default)]
pub(super) struct Gates(Lock<BTreeMap<Ino, Weak<Mutex<()>>>>);

/// Stands at a gate, if there is one.
pub(super) async fn stand_at(gate: Option<&Mutex<()>>) -> Option<MutexGuard<'_, ()>> {
    match gate {
        Some(gate) => Some(gate.lock().await),
        None => None,
    }
}

/// Gates that nobody stands at are cleared away once there are more than this.
const IDLE_MAX: usize = 64;

impl Gates {
    /// The gate of an inode; it exists while somebody holds it.
    pub(super) fn of(&self, ino: Ino) -> Arc<Mutex<()>> {
        let mut gates = self.0.lock();
        if let Some(gate) = gates.get(&ino).and_then(Weak::upgrade) {
            return gate;
        }
        if gates.len() >= IDLE_MAX {
            gates.retain(|_, gate| gate.strong_count() > 0);
        }
        let gate = Arc::new(Mutex::new(()));
        gates.insert(ino, Arc::downgrade(&gate));
        gate
    }
}
