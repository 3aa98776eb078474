//! Nothing in the core panics.

use super::{Oracle, OracleId};
use crate::court::{Sight, Truth, What};

pub struct Panic;

impl Oracle for Panic {
    fn id(&self) -> OracleId {
        "panic"
    }

    fn sentence(&self) -> &'static str {
        "No request and no background task of the mount ever panics."
    }

    fn see(&mut self, _truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        if let What::Panicked(panic) = sight.what {
            verdict(format!("the task {:?} panicked: {}", panic.task, panic.message));
        }
    }
}
