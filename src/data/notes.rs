//! What a mount leaves word of, so that the next one can finish or tidy up what a crash cut short.
//!
//! A note is text: a word, numbers, and keys whose lengths are told, because a key may contain anything.

use crate::env::store::{Key, Upload, UploadId};

/// How far the clocks of this machine and of the service may be apart, in seconds.
const CLOCKS_APART: i64 = 2;
/// In how many seconds the request that begins an upload has arrived, if it ever does.
const ARRIVES_WITHIN: i64 = 60;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// This upload was begun, and was neither completed nor aborted.
    Upload { key: Key, id: UploadId },
    /// An upload was about to be begun, or was, and its id is not known; `began`: seconds since 1970.
    Beginning { key: Key, began: i64 },
    /// The directory with this prefix was being renamed; `began`: seconds since 1970.
    Rename { from: String, to: String, began: i64 },
}

impl Note {
    pub fn text(&self) -> String {
        match self {
            Self::Upload { key, id } => format!("upload {}\n{key}{id}", key.as_str().len()),
            Self::Beginning { key, began } => format!("beginning {} {began}\n{key}", key.as_str().len()),
            Self::Rename { from, to, began } => format!("rename {} {began}\n{from}{to}", from.len()),
        }
    }

    /// `None`: nothing that this version of Holdfast wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, rest) = text.split_once('\n')?;
        let mut words = head.split(' ');
        let (word, len) = (words.next()?, words.next()?.parse().ok()?);
        let (first, second) = (rest.get(..len)?, rest.get(len..)?);
        let mut began = || words.next()?.parse().ok();
        match word {
            "upload" => Some(Self::Upload { key: first.into(), id: second.into() }),
            "beginning" => Some(Self::Beginning { key: first.into(), began: began()? }),
            "rename" => Some(Self::Rename { from: first.to_string(), to: second.to_string(), began: began()? }),
            _ => None,
        }
    }

    /// Whether it is of this upload, as far as one can tell. Of one whose id is not known only one without a part may be.
    pub fn may_be_of(&self, upload: &Upload) -> bool {
        match self {
            Self::Upload { key, id } => (key, id) == (&upload.key, &upload.upload),
            Self::Beginning { key, began } => {
                let around = began - CLOCKS_APART..=began + ARRIVES_WITHIN;
                *key == upload.key && around.contains(&upload.initiated)
            }
            Self::Rename { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Note;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let notes = [
            Note::Upload { key: "a\n b".into(), id: "id 7\n".into() },
            Note::Beginning { key: "ä 2\n".into(), began: 1_700_000_000 },
            Note::Rename { from: "ä/".into(), to: "b c/".into(), began: -7 },
        ];
        for note in notes {
            assert_eq!(Note::parse(&note.text()), Some(note));
        }
        for text in ["", "upload 9\nab", "upload x\nab", "upload 1\nä", "rename 1\nab", "beginning 2\nab", "sing 1\nab"]
        {
            assert_eq!(Note::parse(text), None, "{text:?}");
        }
    }
}
