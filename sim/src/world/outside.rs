//! What happens around the mount while applications run: the same as [`super::S3`], for tasks of their own.

use std::time::Duration;

use holdfast::env::Time;

use crate::executor::SimHandle;
use crate::history::History;
use crate::mutation::Mutation;
use crate::store::{Fault, FaultKind, Matcher, SimStore};

#[derive(Clone)]
pub struct Outside {
    store: SimStore,
    history: History,
    handle: SimHandle,
}

impl Outside {
    pub(super) fn new(store: SimStore, history: History, handle: SimHandle) -> Self {
        Self { store, history, handle }
    }

    pub fn now(&self) -> Time {
        self.handle.now()
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    pub async fn sleep(&self, duration: Duration) {
        self.handle.sleep(duration).await;
    }

    pub fn apply(&self, mutation: Mutation) {
        mutation.apply(&mut self.store.bucket(), &self.history, self.now());
    }

    pub fn fault(&self, when: Matcher, what: FaultKind) {
        self.store.fault(Fault { when, what });
    }

    pub fn down_for(&self, duration: Duration) {
        self.store.down_within(self.now()..self.now().plus(duration));
    }
}
