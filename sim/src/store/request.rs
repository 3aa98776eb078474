//! Requests as faults, hooks, counters and the log see them: a kind, the keys, a range.

use std::fmt;

use holdfast::env::store::{ByteRange, Key};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Get,
    Head,
    List,
    ListVersions,
    Put,
    Delete,
    DeleteMany,
    Copy,
    CreateUpload,
    UploadPart,
    UploadPartCopy,
    CompleteUpload,
    AbortUpload,
    ListUploads,
    ListParts,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "s3 GET",
            Self::Head => "s3 HEAD",
            Self::List => "s3 LIST",
            Self::ListVersions => "s3 LIST versions",
            Self::Put => "s3 PUT",
            Self::Delete => "s3 DELETE",
            Self::DeleteMany => "s3 DELETE many",
            Self::Copy => "s3 COPY",
            Self::CreateUpload => "s3 create upload",
            Self::UploadPart => "s3 PUT part",
            Self::UploadPartCopy => "s3 COPY part",
            Self::CompleteUpload => "s3 complete upload",
            Self::AbortUpload => "s3 abort upload",
            Self::ListUploads => "s3 LIST uploads",
            Self::ListParts => "s3 LIST parts",
        }
    }
}

/// What is known of a request before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub kind: Kind,
    /// The object's key, the copy's target, a listing's prefix; more than one for DELETE many.
    pub keys: Vec<Key>,
    /// Of a GET or a part copy.
    pub range: Option<ByteRange>,
    /// By a condition or a version id. Of a GET.
    pub names_version: bool,
}

impl Asked {
    pub fn new(kind: Kind, key: &Key) -> Self {
        Self { kind, keys: vec![key.clone()], range: None, names_version: false }
    }

    pub fn under(kind: Kind, prefix: &str) -> Self {
        Self::new(kind, &Key::from(prefix))
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.name())?;
        for key in &self.keys {
            write!(f, " {key}")?;
        }
        match self.range {
            None => Ok(()),
            Some(range) => write!(f, " {range:?}"),
        }
    }
}

/// Which requests are meant. Counts from when the matcher was given to the store, in the order of sending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    /// `None`: any.
    pub kind: Option<Kind>,
    /// `None`: any.
    pub key: Option<Key>,
    /// From 1, among those that fit kind and key. `None`: every one of them.
    pub nth: Option<u64>,
}

impl Matcher {
    pub fn any() -> Self {
        Self::default()
    }

    pub fn of(kind: Kind) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    pub fn key(self, key: impl Into<Key>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    pub fn nth(self, nth: u64) -> Self {
        Self { nth: Some(nth), ..self }
    }

    /// But for its number.
    pub(crate) fn fits(&self, asked: &Asked) -> bool {
        self.kind.is_none_or(|kind| kind == asked.kind) && self.key.as_ref().is_none_or(|key| asked.keys.contains(key))
    }
}

/// Any GET of `key`: `get("film").nth(2)` is the second.
pub fn get(key: impl Into<Key>) -> Matcher {
    Matcher::of(Kind::Get).key(key)
}

/// Any HEAD of `key`.
pub fn head(key: impl Into<Key>) -> Matcher {
    Matcher::of(Kind::Head).key(key)
}

/// Any LIST of exactly this prefix.
pub fn list(prefix: impl Into<Key>) -> Matcher {
    Matcher::of(Kind::List).key(prefix)
}

/// A matcher and how many requests have fitted it so far.
#[derive(Clone, Debug)]
pub(super) struct Counting {
    matcher: Matcher,
    seen: u64,
}

impl Counting {
    pub(super) fn new(matcher: Matcher) -> Self {
        Self { matcher, seen: 0 }
    }

    /// Counts `asked` and answers whether it is one of those meant.
    pub(super) fn count(&mut self, asked: &Asked) -> bool {
        if !self.matcher.fits(asked) {
            return false;
        }
        self.seen += 1;
        self.matcher.nth.is_none_or(|nth| nth == self.seen)
    }
}
