//! The zoo: what each deliberate bug of the core is, where it comes from, and which oracles are expected to find it.
//!
//! The bugs themselves stand at their places in the core (`holdfast::zoo`) and are built with the feature `zoo`. This
//! table is there without it, so that it is checked with every test run: each bug once, each oracle expected by several.

mod reading;
mod writing;

use holdfast::zoo::Bug;

/// Where the idea for a bug is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A class of bug that file systems on object stores, or caches, have had.
    History(&'static str),
    /// Made up, against a rule or a mechanism of this one.
    Aimed,
}

/// A bug of the zoo.
#[derive(Clone, Copy, Debug)]
pub struct Animal {
    pub bug: Bug,
    pub id: &'static str,
    pub sentence: &'static str,
    pub origin: Origin,
    /// Names of [`ORACLES`], the likeliest first. Any finding counts.
    pub expected: &'static [&'static str],
    /// Only found when something happens between two requests: another client's change, or another order.
    pub needs_race: bool,
    /// Looked for among writers, not in everything.
    pub of_writers: bool,
}

/// What judges a run, by name.
pub const ORACLES: &[&str] = &[
    // A handle gives bytes of two versions, or of another than it opened.
    "single-version",
    // Bytes at the wrong offset, a short read before the end, bytes that nobody wrote.
    "byte-exact",
    // What is shown was not true within the TTL.
    "freshness",
    // A newer version was shown, and then an older one.
    "monotonic",
    // ENOENT for what was there.
    "absence",
    // A name missing, twice, or made up.
    "listing",
    // Size, date or kind of another version.
    "attributes",
    // An error that nothing explains, or another one than the table says.
    "errno",
    // It takes far longer than what happened explains.
    "liveness",
    // Nothing will ever happen again.
    "deadlock",
    // A mount at rest still holds something.
    "leak",
    // More memory, disk or requests than allowed.
    "budget",
    // Numbers used again, inodes unknown that the kernel knows.
    "inode-hygiene",
    "panic",
    // A handle, or a path after a close, does not show what this mount wrote.
    "read-your-writes",
    // An acknowledged update is in no version of the object.
    "lost-update",
    // What was acknowledged is not in the bucket.
    "durability",
    // A version that no file here ever was.
    "atomic-publish",
    // A file that was removed is there again.
    "no-resurrection",
    // What could not be published is nowhere, or what a mount that died left to do stays undone.
    "recovery",
    // The same seed ran differently.
    "hashes",
];

const fn aimed(bug: Bug, id: &'static str, sentence: &'static str, expected: &'static [&'static str]) -> Animal {
    Animal { bug, id, sentence, origin: Origin::Aimed, expected, needs_race: false, of_writers: false }
}

const fn history(
    bug: Bug,
    id: &'static str,
    sentence: &'static str,
    expected: &'static [&'static str],
    origin: &'static str,
) -> Animal {
    Animal { bug, id, sentence, origin: Origin::History(origin), expected, needs_race: false, of_writers: false }
}

impl Animal {
    const fn in_a_race(self) -> Self {
        Self { needs_race: true, ..self }
    }

    const fn of_writers(self) -> Self {
        Self { of_writers: true, ..self }
    }
}

/// All of them, in the order of [`Bug::ALL`].
pub fn zoo() -> impl Iterator<Item = &'static Animal> + Clone {
    reading::READING.iter().chain(writing::WRITING)
}

/// The bug of that id.
pub fn animal(id: &str) -> Option<&'static Animal> {
    zoo().find(|animal| animal.id == id)
}

#[cfg(test)]
mod tests;
