//! Attributes and bytes are of one version.

use holdfast::op::{Attr, Kind};

use super::{Oracle, OracleId};
use crate::court::{Sight, Truth, What};
use crate::history::Published;

pub struct Attributes;

impl Oracle for Attributes {
    fn id(&self) -> OracleId {
        "attributes"
    }

    fn sentence(&self) -> &'static str {
        "The size, the time and the ETag of a handle are those of the version it holds, as long as it is open."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        let (file, attr) = match &sight.what {
            What::Opened { file, attr, etag } => {
                if truth.published(*file).is_none()
                    && !truth.was_lied_to(sight.began, sight.ended)
                    && let Some(held) = truth.files.get(file)
                {
                    verdict(format!("{} was opened with an ETag that it never had: {etag}", held.key));
                }
                (file, attr)
            }
            What::Fstat { file, attr } => (file, attr),
            _ => return,
        };
        if truth.was_lied_to(sight.began, sight.ended) {
            return;
        }
        let Some((held, published)) = truth.published(*file) else { return };
        if let Some(wrong) = wrong(attr, &held.key, published, truth) {
            verdict(format!("a handle of version {} of {} has {wrong}", published.version.0, held.key));
        }
        if attr.ino != held.ino {
            verdict(format!("a handle of {} changed its inode from {:?} to {:?}", held.key, held.ino, attr.ino));
        }
    }
}

fn wrong(attr: &Attr, key: &str, published: &Published, truth: &Truth) -> Option<String> {
    if attr.kind != Kind::File {
        return Some(format!("the kind {:?}", attr.kind));
    }
    if attr.size != published.size {
        return Some(format!("{} bytes, not {}", attr.size, published.size));
    }
    // The same bytes put again have the same ETag and another time.
    let same = |other: &&Published| other.etag == published.etag;
    let known = truth.history.look(key, |changes| {
        let contents = changes.iter().filter_map(|change| change.now.as_ref());
        contents.filter(same).any(|content| content.last_modified == attr.mtime)
    });
    if !known && !truth.clock_lies && !truth.config.posix_metadata {
        return Some(format!("the time {}, not {}", attr.mtime, published.last_modified));
    }
    None
}
