//! What the journal knows of a file that was closed before it was published: enough to publish it without this mount.
//!
//! An entry is a file with the bytes that were written, each at its place, and this text beside it.

use std::collections::BTreeMap;

use crate::data::overlay::{Run, Source};
use crate::data::publish::Expects;
use crate::env::store::{ETag, Key, NewObject, ObjectMeta};

/// The first field of an entry's text.
const FORMAT: &str = "holdfast journal 2";

/// A field of an object's user metadata: what no publication of anything else gives.
pub const ATTEMPT: &str = "holdfast-attempt";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Key,
    pub expects: Expects,
    pub object: NewObject,
    /// Also with `--on-conflict=overwrite` it replaces nothing but what it expects.
    pub yields: bool,
    /// Bytes of the file.
    pub size: u64,
    /// The version it began from, of which some of its bytes may be, and that one's size in bytes. It need not be what `expects`
    /// says.
    pub base: Option<(ETag, u64)>,
    /// What it is made of. The place in a log is that in the entry's own file, which is the place in the file.
    pub runs: Vec<Run>,
    /// Of the bytes that were written, in order.
    pub crc: u32,
    /// Nanoseconds since 1970: which of two entries of a key is the later one.
    pub order: i128,
    /// Publications of the same file that may have been made, or may be yet.
    pub attempts: Vec<Attempt>,
}

/// A publication is known by the user metadata that it gives, of which [`ATTEMPT`] is a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub user: BTreeMap<String, String>,
    /// It has everything that the entry has.
    pub covers: bool,
}

impl Attempt {
    /// One that has less than the entry has.
    pub fn before(user: BTreeMap<String, String>) -> Self {
        Self { user, covers: false }
    }

    pub fn made(&self, meta: &ObjectMeta) -> bool {
        self.user == meta.user
    }
}

impl Entry {
    /// So many bytes the version must have that is to be had what is not written here of.
    pub fn base_end(&self) -> u64 {
        self.runs.iter().filter(|run| run.source == Source::Base).map(|run| run.range.end).max().unwrap_or_default()
    }

    pub fn text(&self) -> String {
        let mut out = Fields(String::new());
        out.put(FORMAT);
        out.put(self.key.as_str());
        match &self.expects {
            Expects::Absent => out.put("absent"),
            Expects::Anything => out.put("anything"),
            Expects::ETag(etag) => out.put(&format!("etag {etag}")),
        }
        out.put(if self.yields { "yields" } else { "-" });
        out.option(self.base.as_ref().map(|(etag, _)| etag.as_str()));
        let base_bytes = self.base.as_ref().map_or(0, |(_, bytes)| *bytes);
        for number in [i128::from(self.size), i128::from(base_bytes), i128::from(self.crc), self.order] {
            out.put(&number.to_string());
        }
        out.option(self.object.content_type.as_deref());
        out.option(self.object.storage_class.as_deref());
        out.map(&self.object.user);
        out.put(&self.runs.len().to_string());
        for run in &self.runs {
            let source = match run.source {
                Source::Log(_) => "written",
                Source::Zeros => "zeros",
                Source::Base => "base",
            };
            out.put(&format!("{} {} {source}", run.range.start, run.range.end));
        }
        out.put(&self.attempts.len().to_string());
        for attempt in &self.attempts {
            out.put(if attempt.covers { "covers" } else { "before" });
            out.map(&attempt.user);
        }
        out.0
    }

    /// `None`: it is damaged, or of another version of Holdfast.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = Rest(text);
        if fields.take()? != FORMAT {
            return None;
        }
        let key = Key::from(fields.take()?);
        let expects = match fields.take()? {
            "absent" => Expects::Absent,
            "anything" => Expects::Anything,
            other => Expects::ETag(other.strip_prefix("etag ")?.into()),
        };
        let yields = match fields.take()? {
            "yields" => true,
            "-" => false,
            _ => return None,
        };
        let base_etag = fields.option()?.map(ETag::from);
        let (size, base_bytes) = (fields.number()?, fields.number()?);
        let (crc, order) = (fields.number()?, fields.number()?);
        let object = NewObject { content_type: fields.option()?, storage_class: fields.option()?, user: fields.map()? };
        let mut runs = Vec::new();
        let mut at: u64 = 0;
        for _ in 0..fields.number::<u64>()? {
            let mut words = fields.take()?.split(' ');
            let (start, end) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let source = match words.next()? {
                "written" => Source::Log(start),
                "zeros" => Source::Zeros,
                "base" if end <= base_bytes && base_etag.is_some() => Source::Base,
                _ => return None,
            };
            if start != at || end <= start {
                return None;
            }
            at = end;
            runs.push(Run { range: start..end, source });
        }
        let mut attempts = Vec::new();
        for _ in 0..fields.number::<u64>()? {
            let covers = match fields.take()? {
                "covers" => true,
                "before" => false,
                _ => return None,
            };
            attempts.push(Attempt { covers, user: fields.map()? });
        }
        let whole = at == size && fields.0.is_empty();
        let base = base_etag.map(|etag| (etag, base_bytes));
        whole.then_some(Self { key, expects, yields, object, size, base, runs, crc, order, attempts })
    }
}

/// Text of fields, each with its length before it, because it may contain anything.
struct Fields(String);

impl Fields {
    fn put(&mut self, field: &str) {
        self.0.push_str(&format!("{}:{field}\n", field.len()));
    }

    fn option(&mut self, field: Option<&str>) {
        match field {
            None => self.put("-"),
            Some(field) => self.put(&format!("+{field}")),
        }
    }

    fn map(&mut self, map: &BTreeMap<String, String>) {
        self.put(&map.len().to_string());
        for (name, value) in map {
            self.put(name);
            self.put(value);
        }
    }
}

/// What is not read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn take(&mut self) -> Option<&'a str> {
        let (len, rest) = self.0.split_once(':')?;
        let len: usize = len.parse().ok()?;
        let field = rest.get(..len)?;
        self.0 = rest.get(len..)?.strip_prefix('\n')?;
        Some(field)
    }

    fn number<N: std::str::FromStr>(&mut self) -> Option<N> {
        self.take()?.parse().ok()
    }

    fn option(&mut self) -> Option<Option<String>> {
        match self.take()? {
            "-" => Some(None),
            field => Some(Some(field.strip_prefix('+')?.to_string())),
        }
    }

    fn map(&mut self) -> Option<BTreeMap<String, String>> {
        let mut map = BTreeMap::new();
        for _ in 0..self.number::<u64>()? {
            map.insert(self.take()?.to_string(), self.take()?.to_string());
        }
        Some(map)
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempt, Entry};
    use crate::data::overlay::{Run, Source};
    use crate::data::publish::Expects;
    use crate::env::store::NewObject;

    fn entry() -> Entry {
        let user = [("mode".to_string(), "33188".to_string()), ("odd\n".to_string(), "3:ä".to_string())];
        Entry {
            key: "a\n 7:b".into(),
            expects: Expects::ETag("e-2".into()),
            yields: false,
            object: NewObject {
                content_type: Some("text/plain".into()),
                storage_class: None,
                user: user.clone().into(),
            },
            size: 30,
            base: Some(("e-1".into(), 10)),
            runs: vec![
                Run { range: 0..10, source: Source::Base },
                Run { range: 10..15, source: Source::Log(10) },
                Run { range: 15..30, source: Source::Zeros },
            ],
            crc: 7,
            order: 1 << 70,
            attempts: vec![Attempt { covers: true, user: user.into() }],
        }
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let runs = vec![Run { range: 0..30, source: Source::Log(0) }];
        let entries = [
            entry(),
            Entry { expects: Expects::Absent, runs: runs.clone(), attempts: Vec::new(), ..entry() },
            Entry { base: None, runs, ..entry() },
            Entry { expects: Expects::Anything, yields: true, ..entry() },
        ];
        for entry in entries {
            assert_eq!(Entry::parse(&entry.text()), Some(entry));
        }
    }

    #[test]
    fn what_is_cut_short_or_damaged_is_no_entry() {
        let text = entry().text();
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            assert_eq!(Entry::parse(&text[..end]), None, "the first {end} bytes");
        }
        assert_eq!(Entry::parse(&Entry { base: None, ..entry() }.text()), None, "of what is the rest?");
        let gap = Entry { runs: vec![Run { range: 5..30, source: Source::Zeros }], ..entry() };
        assert_eq!(Entry::parse(&gap.text()), None);
        let beyond = Entry { base: Some(("e-1".into(), 9)), ..entry() };
        assert_eq!(Entry::parse(&beyond.text()), None);
    }
}
