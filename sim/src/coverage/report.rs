//! Lines that can be covered, and those that were, file by file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::mapping::Mapping;
use super::profile::Profile;

/// For each line that can be covered, whether it was.
pub type FileLines = BTreeMap<u64, bool>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By path below the root.
    pub files: BTreeMap<String, FileLines>,
}

impl Report {
    pub(super) fn of(mapping: &Mapping, profile: &Profile, root: &Path, wanted: &[&str]) -> Self {
        let root = format!("{}/", root.display());
        let mut report = Self::default();
        for function in &mapping.functions {
            let counts = profile.counts(function.id).unwrap_or_default();
            for region in &function.regions {
                let Some(path) = region.file.strip_prefix(&root) else { continue };
                if !wanted.iter().any(|prefix| path.starts_with(prefix)) {
                    continue;
                }
                let entered = function.count(region, counts) > 0;
                let lines = report.files.entry(path.to_string()).or_default();
                for line in region.lines.0..=region.lines.1 {
                    *lines.entry(line).or_default() |= entered;
                }
            }
        }
        report
    }

    /// Covered and coverable lines of all files.
    pub fn totals(&self) -> (usize, usize) {
        self.files.values().map(totals).fold((0, 0), |sum, file| (sum.0 + file.0, sum.1 + file.1))
    }
}

fn totals(lines: &FileLines) -> (usize, usize) {
    (lines.values().filter(|covered| **covered).count(), lines.len())
}

fn percent((covered, coverable): (usize, usize)) -> f64 {
    100.0 * covered as f64 / coverable.max(1) as f64
}

/// Uncovered lines as runs, over lines that cannot be covered too.
fn uncovered(lines: &FileLines) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    let mut open = false;
    for (line, covered) in lines {
        match (covered, runs.last_mut()) {
            (true, _) => {}
            (false, Some(run)) if open => run.1 = *line,
            (false, _) => runs.push((*line, *line)),
        }
        open = !covered;
    }
    let shown = runs.iter().map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
    shown.collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, lines) in &self.files {
            let (covered, coverable) = totals(lines);
            writeln!(
                f,
                "{path:<28} {covered:>5}/{coverable:<5} {:>6.2} %  {}",
                percent((covered, coverable)),
                uncovered(lines)
            )?;
        }
        let (covered, coverable) = self.totals();
        write!(f, "{:<28} {covered:>5}/{coverable:<5} {:>6.2} %", "all", percent((covered, coverable)))
    }
}
