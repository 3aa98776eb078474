//! Which colour stands for which version: the n-th version of its key has the n-th colour, whatever its number.

use std::collections::BTreeMap;

use crate::content::Version;
use crate::recording::{Origin, Piece, Recording};

/// The style sheet has so many; then they begin again.
const COLOURS: usize = 8;

/// How many rows of bytes a bar tells apart before it only shows shares.
const ROWS_MAX: usize = 24;

pub(super) struct Colours {
    versions: BTreeMap<String, Vec<Version>>,
}

impl Colours {
    pub(super) fn new(recording: &Recording) -> Self {
        let mut versions: BTreeMap<String, Vec<Version>> = BTreeMap::new();
        for mutation in &recording.mutations {
            let Some((version, _)) = mutation.now else { continue };
            let seen = versions.entry(mutation.key.clone()).or_default();
            if !seen.contains(&version) {
                seen.push(version);
            }
        }
        Self { versions }
    }

    /// The class of a version's colour.
    pub(super) fn class(&self, key: &str, version: Option<Version>) -> String {
        let at = version.and_then(|version| self.versions.get(key)?.iter().position(|seen| *seen == version));
        at.map_or("cx".into(), |at| format!("c{}", at % COLOURS))
    }

    /// Versions of a key, in the order in which they were first published.
    pub(super) fn versions(&self, key: &str) -> &[Version] {
        self.versions.get(key).map_or(&[], Vec::as_slice)
    }

    fn origin(&self, key: &str, origin: Origin) -> String {
        match origin {
            Origin::Version(version) | Origin::Misplaced(version) => self.class(key, Some(version)),
            Origin::Zeros => "cz".into(),
            Origin::OtherKey | Origin::Foreign => "cx".into(),
        }
    }

    /// A background that shows bytes from left to right as they lie in the file.
    pub(super) fn stripes(&self, key: &str, pieces: &[Piece]) -> String {
        let mut rows: Vec<(String, u64)> = Vec::new();
        let mut shares: BTreeMap<String, u64> = BTreeMap::new();
        for piece in pieces {
            let colour = self.origin(key, piece.origin);
            *shares.entry(colour.clone()).or_default() += piece.bytes;
            match rows.last_mut() {
                Some((last, bytes)) if *last == colour => *bytes += piece.bytes,
                _ => rows.push((colour, piece.bytes)),
            }
        }
        if rows.len() > ROWS_MAX {
            rows = shares.into_iter().collect();
        }
        let all: u64 = rows.iter().map(|(_, bytes)| bytes).sum();
        if rows.len() < 2 || all == 0 {
            let colour = rows.first().map_or("none", |(colour, _)| colour);
            return if colour == "none" { "var(--plain)".into() } else { format!("var(--{colour})") };
        }
        let mut from = 0.0;
        let mut stops = Vec::new();
        for (colour, bytes) in rows {
            let to = from + 100.0 * bytes as f64 / all as f64;
            stops.push(format!("var(--{colour}) {from:.1}% {to:.1}%"));
            from = to;
        }
        format!("linear-gradient(90deg,{})", stops.join(","))
    }
}

/// Whether the bytes are of more than one origin, or of another than `pinned`.
pub(super) fn is_mixed(pieces: &[Piece], pinned: Option<Version>) -> bool {
    let expected = pinned.map(Origin::Version).or(pieces.first().map(|piece| piece.origin));
    pieces.iter().any(|piece| Some(piece.origin) != expected)
}
