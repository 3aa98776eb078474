//! Attributes and bytes are of one version.

use holdfast::op::{Attr, Kind};

use super::{Oracle, OracleId};
use crate::court::{Described, Sight, Truth, What};
use crate::history::Published;
use crate::mutation::{self, LINK};

pub struct Attributes;

impl Oracle for Attributes {
    fn id(&self) -> OracleId {
        "attributes"
    }

    fn sentence(&self) -> &'static str {
        "The size, the time and the ETag of a handle are those of the version it holds, as long as it is open; extended \
         attributes are of the same version as the size and the time beside them."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        let (file, attr) = match &sight.what {
            What::Opened { file, attr, etag } => {
                // A mount that died between the open and the question tells no ETag.
                let untold = truth.is_of_the_dead(sight) && etag.is_empty();
                if truth.published(*file).is_none()
                    && !untold
                    && !truth.was_lied_to(sight.began, sight.ended)
                    && truth.local_file(*file).is_none()
                    && let Some(held) = truth.files.get(file)
                    && !truth.ledger.has_lost(held.seat.mount, held.ino)
                    && !truth.is_local(sight.seat.mount, &held.key, sight.began, sight.ended)
                {
                    verdict(format!("{} was opened with an ETag that it never had: {etag}", held.key));
                }
                (file, attr)
            }
            What::Fstat { file, attr } => (file, attr),
            What::Attribute { of, name, value: Some(value) } => {
                return judge_xattr(truth, sight, *of, name, value, verdict);
            }
            _ => return,
        };
        let Some((held, published)) = truth.published(*file) else { return };
        // What was claimed when it was opened is claimed for as long as it is open.
        if truth.was_lied_to(held.opened_at.min(sight.began), sight.ended) {
            return;
        }
        if let Some(wrong) = wrong(attr, &held.key, published, truth) {
            verdict(format!("a handle of version {} of {} has {wrong}", published.version.0, held.key));
        }
        if attr.ino != held.ino {
            verdict(format!("a handle of {} changed its inode from {:?} to {:?}", held.key, held.ino, attr.ino));
        }
    }
}

fn judge_xattr(
    truth: &Truth,
    sight: &Sight<'_>,
    of: Described<'_>,
    name: &str,
    value: &str,
    verdict: &mut dyn FnMut(String),
) {
    // What an answer claimed is kept for as long as its inode.
    if truth.lies {
        return;
    }
    let key = match of {
        Described::File(file) => match truth.published(file) {
            Some((held, _)) if !held.linked => held.key.clone(),
            _ => return,
        },
        Described::Path { key, .. } if truth.is_linked(key) => return,
        Described::Path { key, .. } if truth.is_local_beneath(sight.seat.mount, key, sight.began, sight.ended) => {
            return;
        }
        Described::Path { key, .. } => key.to_owned(),
    };
    let is_meant = |content: &Published| match of {
        Described::File(file) => truth.published(file).is_some_and(|(_, held)| held.etag == content.etag),
        Described::Path { attr, .. } => {
            let on_time = truth.may_show(content, attr.mtime) || truth.config.posix_metadata;
            content.size == attr.size && on_time
        }
    };
    let has = |content: &Published| match name {
        "user.s3.etag" => content.etag.as_str() == value,
        "user.s3.version-id" => content.version_id.as_ref().is_some_and(|id| id.as_str() == value),
        // As the mount that wrote it saw fit.
        "user.s3.content-type" | "user.s3.meta.version" if content.body.is_some() => true,
        "user.s3.content-type" => content.version == LINK || mutation::content_type(content.version) == value,
        "user.s3.meta.version" => content.version == LINK || content.version.0.to_string() == value,
        _ => true,
    };
    let fits = truth.history.look(&key, |changes| {
        changes.iter().filter_map(|change| change.now.as_ref()).any(|content| is_meant(content) && has(content))
    });
    if !fits {
        verdict(format!("{name} of {key} is {value:?}, which is not of the version that its other attributes are of"));
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
        contents.filter(same).any(|content| truth.may_show(content, attr.mtime))
    });
    if !known && !truth.clock_lies && !truth.config.posix_metadata {
        return Some(format!("the time {}, not {}", attr.mtime, published.last_modified));
    }
    None
}
