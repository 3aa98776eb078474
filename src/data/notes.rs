//! What a mount leaves word of, so that the next one can finish or tidy up what a crash cut short.
//!
//! A note is text: a word, numbers, and keys whose lengths are told, because a key may contain anything.

use crate::data::journal::{Fields, Rest};
use crate::env::store::{ETag, Key, NewObject, UploadId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// This upload was begun, and was neither completed nor aborted.
    Upload { key: Key, id: UploadId },
    /// The directory with this prefix was being renamed; `began`: seconds since 1970.
    Rename { from: String, to: String, began: i64 },
    /// The object is to have these attributes, if it is still the one of this ETag.
    Attributes { key: Key, etag: ETag, object: NewObject },
}

impl Note {
    pub fn text(&self) -> String {
        match self {
            Self::Upload { key, id } => format!("upload {}\n{key}{id}", key.as_str().len()),
            Self::Rename { from, to, began } => format!("rename {} {began}\n{from}{to}", from.len()),
            Self::Attributes { key, etag, object } => {
                let mut fields = Fields::default();
                fields.put(etag.as_str());
                fields.object(object);
                format!("attributes {}\n{key}{}", key.as_str().len(), fields.text())
            }
        }
    }

    /// `None`: nothing that this version of Holdfast wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, rest) = text.split_once('\n')?;
        let mut words = head.split(' ');
        let (word, len) = (words.next()?, words.next()?.parse().ok()?);
        let (first, second) = (rest.get(..len)?, rest.get(len..)?);
        match word {
            "upload" => Some(Self::Upload { key: first.into(), id: second.into() }),
            "rename" => {
                let began = words.next()?.parse().ok()?;
                Some(Self::Rename { from: first.to_string(), to: second.to_string(), began })
            }
            "attributes" => {
                let mut fields = Rest::of(second);
                let (etag, object) = (fields.take()?.into(), fields.object()?);
                fields.is_empty().then(|| Self::Attributes { key: first.into(), etag, object })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Note;
    use crate::env::store::NewObject;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let notes = [
            Note::Upload { key: "a\n b".into(), id: "id 7\n".into() },
            Note::Rename { from: "ä/".into(), to: "b c/".into(), began: -7 },
            Note::Attributes {
                key: "d/ä\n".into(),
                etag: "e-1".into(),
                object: NewObject {
                    content_type: None,
                    storage_class: Some("STANDARD".into()),
                    user: [("mode".to_string(), "33188".to_string())].into(),
                },
            },
        ];
        for note in notes {
            assert_eq!(Note::parse(&note.text()), Some(note));
        }
        for text in
            ["", "attributes 1\na1:e", "upload 9\nab", "upload x\nab", "upload 1\nä", "rename 1\nab", "sing 1\nab"]
        {
            assert_eq!(Note::parse(text), None, "{text:?}");
        }
    }
}
