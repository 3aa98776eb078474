//! When the server cannot be reached.
//!
//! While it is down nothing connects; whatever is in flight when it goes down breaks, even if it is up again before
//! anybody looks.

use std::ops::Range;

use holdfast::env::Time;

#[derive(Debug, Default)]
pub(super) struct Outages {
    /// May overlap.
    spans: Vec<Range<Time>>,
}

impl Outages {
    pub(super) fn add(&mut self, span: Range<Time>) {
        self.spans.push(span);
    }

    /// Up from `now` on: ends what is under way and cancels what was to come.
    pub(super) fn end(&mut self, now: Time) {
        self.spans.retain(|span| span.start < now);
        for span in &mut self.spans {
            span.end = span.end.min(now);
        }
    }

    pub(super) fn is_down(&self, now: Time) -> bool {
        self.spans.iter().any(|span| span.contains(&now))
    }

    /// Whether a connection made at `since` is broken at `now`.
    pub(super) fn has_hit(&self, since: Time, now: Time) -> bool {
        self.spans.iter().any(|span| !span.is_empty() && span.start <= now && span.end > since)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use holdfast::env::Time;

    use super::Outages;

    #[test]
    fn a_connection_breaks_even_if_the_server_is_back_before_anybody_looks() {
        let at = |seconds| Time(Duration::from_secs(seconds));
        let mut outages = Outages::default();
        outages.add(at(10)..at(20));
        assert!(outages.is_down(at(10)) && !outages.is_down(at(20)));
        assert!(outages.has_hit(at(5), at(30)));
        assert!(!outages.has_hit(at(20), at(30)));
        assert!(!outages.has_hit(at(5), at(9)));
        outages.end(at(15));
        assert!(!outages.is_down(at(16)) && outages.has_hit(at(14), at(16)));
    }
}
