//! The recording of one play of a script: its text form, and what counts as the same play.
//!
//! Requests that a thread waits for have an order. READs, FORGETs and RELEASEs are handed to the file system by several
//! threads at a time: which of them it takes up first says nothing, so only which there were is compared.

use std::fmt;

/// What happened, step by step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    pub steps: Vec<Played>,
}

/// One step, its result and the requests that the core saw because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    /// As the script says it.
    pub step: String,
    pub result: String,
    pub requests: Vec<String>,
}

/// Words that begin requests without an order.
const UNORDERED: [&str; 4] = ["READ", "FORGET", "RELEASE", "RELEASEDIR"];

impl Recording {
    /// The inverse of its `Display`.
    pub fn parse(text: &str) -> Self {
        let mut recording = Self::default();
        for line in text.lines() {
            if let Some(step) = line.strip_prefix("> ") {
                let (step, result) = step.rsplit_once(" => ").unwrap_or((step, ""));
                let played = Played { step: step.into(), result: result.into(), requests: Vec::new() };
                recording.steps.push(played);
            } else if let Some(request) = line.strip_prefix("    ")
                && let Some(last) = recording.steps.last_mut()
            {
                last.requests.push(request.into());
            }
        }
        recording
    }

    /// In one form for all plays that are the same.
    pub fn normal(mut self) -> Self {
        for played in &mut self.steps {
            let (mut unordered, mut normal): (Vec<_>, Vec<_>) =
                std::mem::take(&mut played.requests).into_iter().partition(|request| is_unordered(request));
            unordered.sort_by_key(|request| sort_key(request));
            normal.append(&mut unordered);
            played.requests = normal;
        }
        self
    }

    /// The first step that differs, both ways.
    pub fn first_difference(&self, other: &Self) -> Option<String> {
        for at in 0..self.steps.len().max(other.steps.len()) {
            let (ours, theirs) = (self.steps.get(at), other.steps.get(at));
            if ours != theirs {
                let show = |played: Option<&Played>| played.map_or("nothing\n".to_string(), ToString::to_string);
                return Some(format!("recorded:\n{}played:\n{}", show(ours), show(theirs)));
            }
        }
        None
    }
}

fn is_unordered(request: &str) -> bool {
    let word = request.split(' ').next().unwrap_or_default();
    UNORDERED.contains(&word)
}

/// By word and names as text, then by numbers.
fn sort_key(request: &str) -> (String, Vec<u64>) {
    let numbers = request.split(' ').filter_map(|word| word.parse().ok()).collect();
    let text = request.split(' ').filter(|word| word.parse::<u64>().is_err()).collect::<Vec<_>>().join(" ");
    (text, numbers)
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|played| played.fmt(f))
    }
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "> {} => {}", self.step, self.result)?;
        self.requests.iter().try_for_each(|request| writeln!(f, "    {request}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Recording;

    #[test]
    fn a_recording_is_read_as_it_was_written_and_reads_have_no_order() {
        let text = "> read f 10 => 10 bytes\n    READ i2 h1 8 4 -> x\n    GETATTR i1 -> y\n    READ i2 h1 0 4 -> x\n";
        let recording = Recording::parse(text);
        assert_eq!(recording.to_string(), text);
        let normal = recording.clone().normal();
        let sorted = "> read f 10 => 10 bytes\n    GETATTR i1 -> y\n    READ i2 h1 0 4 -> x\n    READ i2 h1 8 4 -> x\n";
        assert_eq!(normal.to_string(), sorted);
        assert!(recording.first_difference(&normal).is_some());
        assert_eq!(normal.first_difference(&normal), None);
    }
}
