//! Inode numbers: one version each, never used again.

use std::collections::BTreeMap;

use holdfast::op::Ino;

use super::{Oracle, OracleId};
use crate::court::{Sight, Truth, What};

/// What each inode of each mount was opened as.
#[derive(Default)]
pub struct Inodes(BTreeMap<(u8, Ino), (String, String)>);

impl Oracle for Inodes {
    fn id(&self) -> OracleId {
        "inode-hygiene"
    }

    fn sentence(&self) -> &'static str {
        "An inode that was opened stands for one version of one key for the whole life of the mount."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        match &sight.what {
            What::Opened { file, etag, .. } => {
                let Some(held) = truth.files.get(file).filter(|held| !held.linked) else { return };
                let is = (held.key.clone(), (*etag).to_owned());
                let was = self.0.entry((sight.seat.mount, held.ino)).or_insert_with(|| is.clone());
                if *was != is {
                    verdict(format!("{:?} was {was:?} and is {is:?}", held.ino));
                }
            }
            // Numbers are of one mount, and it is another.
            What::Crashed => self.0.retain(|(mount, _), _| *mount != sight.seat.mount),
            What::Stat { key, attr } => {
                if let Some((of, _)) = self.0.get(&(sight.seat.mount, attr.ino))
                    && of != key
                    && !truth.is_linked(key)
                {
                    verdict(format!("{:?} was opened as {of} and is shown as {key}", attr.ino));
                }
            }
            _ => {}
        }
    }
}
