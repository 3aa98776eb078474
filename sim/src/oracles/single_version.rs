//! No handle and no mapping ever gives bytes of two versions.

use super::{Oracle, OracleId};
use crate::content::{self, Found};
use crate::court::{Sight, Truth, What};
use crate::ledger::Alteration;

pub struct SingleVersion;

impl Oracle for SingleVersion {
    fn id(&self) -> OracleId {
        "single-version"
    }

    fn sentence(&self) -> &'static str {
        "Every byte that a handle or a mapping gives belongs to the one version that its open pinned."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        if let What::Altered(altered) = &sight.what
            && let Alteration::Emptied { ino, key, written } = &altered.what
            // What was written here, a faulty disk may not give back: neither to be published nor to be read.
            && !(*written && truth.disk_faulty)
        {
            verdict(format!("an open with O_TRUNC emptied {ino:?} of {key} under those who had it open"));
        }
        let What::Bytes { file, offset, bytes, mismatch: Some(mismatch), .. } = &sight.what else { return };
        let Some((held, published)) = truth.published(*file) else { return };
        let seen = content::versions_seen(&held.key, bytes, *offset);
        let foreign = seen.keys().any(|found| {
            matches!(found, Found::Version(version) | Found::Misplaced { version, .. } if *version != published.version)
        });
        if foreign {
            let (key, version) = (&held.key, published.version.0);
            verdict(format!(
                "a handle of version {version} of {key} gave bytes of another at {}: {seen:?}",
                mismatch.at
            ));
        }
    }
}
