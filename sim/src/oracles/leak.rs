//! A mount at rest holds nothing.

use holdfast::fs::Census;

use super::{Oracle, OracleId};
use crate::court::{Sight, Truth, What};

pub struct Leak;

impl Oracle for Leak {
    fn id(&self) -> OracleId {
        "leak"
    }

    fn sentence(&self) -> &'static str {
        "Once everything is closed and forgotten no inode but the root, no handle, draft, memory, disk space, connection, \
         unfinished upload or entry of the journal is left."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        let What::Rest(rest) = &sight.what else { return };
        let census = rest.census;
        let expected = Census { inodes: 1, handles: 0, memory_bytes: 0, lifeboat_bytes: 0, ..census };
        if census != expected {
            verdict(format!("the mount at rest still holds {census:?}"));
        }
        if census.drafts > 0 {
            verdict(format!("{} drafts are left of a mount at rest", census.drafts));
        }
        // What failed may have left an upload that nobody knows the id of.
        let calm = !truth.weathered && !truth.faulty && !truth.disk_faulty;
        if rest.uploads > 0 && calm {
            verdict(format!("{} uploads are left of a mount at rest, and nothing had failed", rest.uploads));
        }
        // What a full disk had no room to keep stays there for the next mount.
        if rest.journal > 0 && calm && truth.disk_plenty {
            verdict(format!("{} files are in the journal of a mount at rest, and nothing had failed", rest.journal));
        }
        if rest.bodies > 0 || rest.spools > 0 {
            verdict(format!("{} bodies and {} spools are left of a mount at rest", rest.bodies, rest.spools));
        }
    }
}
