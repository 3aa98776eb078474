//! A mutex that a panic does not poison.
//!
//! A panic in one request is caught and fences one handle; it must not make every later request panic at the lock.
//! Critical sections are short, never span an await, and leave their data consistent at every call that may panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
