//! Nothing is read from a local disk that was not written there.

use super::{Oracle, OracleId};
use crate::court::{Sight, Truth, What};

pub struct Spool;

impl Oracle for Spool {
    fn id(&self) -> OracleId {
        "spool"
    }

    fn sentence(&self) -> &'static str {
        "Every byte that is read from a spool was written to it before, completely."
    }

    fn see(&mut self, _truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        if let What::Rest(rest) = &sight.what
            && rest.unwritten_reads > 0
        {
            verdict(format!("{} reads of spool bytes that nobody had written", rest.unwritten_reads));
        }
    }
}
