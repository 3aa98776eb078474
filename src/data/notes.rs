//! What a mount leaves word of, so that the next one can finish or tidy up what a crash cut short.
//!
//! A note is text: a word, numbers, and keys whose lengths are told, because a key may contain anything.

use crate::env::store::{Key, UploadId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// This upload was begun, and was neither completed nor aborted.
    Upload { key: Key, id: UploadId },
    /// The directory with this prefix was being renamed; `began`: seconds since 1970.
    Rename { from: String, to: String, began: i64 },
}

impl Note {
    pub fn text(&self) -> String {
        match self {
            Self::Upload { key, id } => format!("upload {}\n{key}{id}", key.as_str().len()),
            Self::Rename { from, to, began } => format!("rename {} {began}\n{from}{to}", from.len()),
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
            _ => None,
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
            Note::Rename { from: "ä/".into(), to: "b c/".into(), began: -7 },
        ];
        for note in notes {
            assert_eq!(Note::parse(&note.text()), Some(note));
        }
        for text in ["", "upload 9\nab", "upload x\nab", "upload 1\nä", "rename 1\nab", "sing 1\nab"] {
            assert_eq!(Note::parse(text), None, "{text:?}");
        }
    }
}
