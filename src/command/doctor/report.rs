//! What was found, a line each, and what to do about it.

use std::process::ExitCode;

/// Exit statuses.
pub(super) const WARNED: u8 = 1;
pub(super) const FAILED: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Ok,
    Warn,
    Fail,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    state: State,
    what: &'static str,
    words: String,
    /// What to do.
    advice: Option<&'static str>,
}

impl Finding {
    pub(super) fn ok(what: &'static str, words: String) -> Self {
        Self { state: State::Ok, what, words, advice: None }
    }

    pub(super) fn warn(what: &'static str, words: String, advice: &'static str) -> Self {
        Self { state: State::Warn, what, words, advice: Some(advice) }
    }

    pub(super) fn fail(what: &'static str, words: String, advice: &'static str) -> Self {
        Self { state: State::Fail, what, words, advice: Some(advice) }
    }

    fn line(&self) -> String {
        let state = match self.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "FAIL",
        };
        let advice = self.advice.map(|advice| format!("\n      {:<16}{advice}", "")).unwrap_or_default();
        format!("{state:<6}{:<16}{}{advice}", self.what, self.words)
    }
}

/// Printed as it grows: a request may take its time.
#[derive(Default)]
pub(super) struct Report {
    worst: Option<State>,
}

impl Report {
    pub(super) fn add(&mut self, finding: Finding) {
        println!("{}", finding.line());
        self.worst = self.worst.max(Some(finding.state));
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self.worst {
            None | Some(State::Ok) => ExitCode::SUCCESS,
            Some(State::Warn) => ExitCode::from(WARNED),
            Some(State::Fail) => ExitCode::from(FAILED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Finding, Report, State};

    #[test]
    fn the_worst_finding_counts_and_advice_stands_beneath_its_line() {
        let mut report = Report::default();
        for (finding, worst) in [
            (Finding::ok("a", "well".into()), State::Ok),
            (Finding::fail("b", "broken".into(), "mend it"), State::Fail),
            (Finding::warn("c", "odd".into(), "look"), State::Fail),
        ] {
            report.add(finding);
            assert_eq!(report.worst, Some(worst));
        }
        let line = Finding::fail("disk", "full".into(), "empty it").line();
        assert_eq!(line, "FAIL  disk            full\n                      empty it");
    }
}
