//! Nobody waits for what will never come.

use super::{Oracle, OracleId};
use crate::court::{Sight, Truth, What};

pub struct Deadlock;

impl Oracle for Deadlock {
    fn id(&self) -> OracleId {
        "deadlock"
    }

    fn sentence(&self) -> &'static str {
        "While an operation is pending something can still happen, and it ends after finitely many steps."
    }

    fn see(&mut self, _truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        if let What::Stuck(stuck) = sight.what {
            verdict(stuck.to_string());
        }
    }
}
