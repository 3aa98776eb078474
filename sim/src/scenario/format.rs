//! Scenario files: one JSON value a line, so that a diff shows what was shrunk and a message can name a line.
//!
//! ```text
//! {"holdfast_scenario":1,"name":"…","sentence":"…"}
//! {"config":{…}}
//! {"op":{"id":1,"call":{"open":{"file":0,"path":"/film"}}}}
//! {"fault":{…}}
//! {"mutation":{…}}
//! {"end":{"lines":5}}
//! ```
//!
//! What is left out has its default. What is unknown is refused, never skipped: a fault that a reader does not know would
//! make a run that looks clean. A file without its last line was cut off.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AppOp, FaultAt, MutationAt, Scenario, ScenarioConfig, check};

/// Of the format. A newer one is refused.
pub const FORMAT_VERSION: u64 = 1;

/// A file's content: the scenario, and what is said about it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ScenarioFile {
    pub name: String,
    /// What happens in it and what must hold.
    pub sentence: String,
    pub scenario: Scenario,
}

/// Why a file was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// From 1; the line after the last where something is missing.
    pub line: usize,
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for Refusal {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    holdfast_scenario: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    sentence: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Config(Box<ScenarioConfig>),
    Op(AppOp),
    Fault(FaultAt),
    Mutation(MutationAt),
    End(End),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    /// Lines before this one.
    lines: usize,
}

/// Reads a file's text.
///
/// Errors: the first line that is not as it should be, and why; a scenario that contradicts itself likewise.
pub fn parse(text: &str) -> Result<ScenarioFile, Refusal> {
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    let (_, first) = lines.next().ok_or_else(|| refuse(1, "the file is empty"))?;
    let header = header(first)?;
    let mut scenario = Scenario::default();
    let mut places = check::Places::default();
    let mut configured = false;
    let mut last = 1;
    for (number, text) in lines.by_ref() {
        last = number;
        match read::<Line>(number, text)? {
            Line::Config(_) if configured => return Err(refuse(number, "a second config")),
            Line::Config(_) if number > 2 => return Err(refuse(number, "the config must be the second line")),
            Line::Config(config) => (scenario.config, configured) = (*config, true),
            Line::Op(op) => {
                scenario.ops.push(op);
                places.ops.push(number);
            }
            Line::Fault(fault) => {
                scenario.faults.push(fault);
                places.faults.push(number);
            }
            Line::Mutation(mutation) => {
                scenario.mutations.push(mutation);
                places.mutations.push(number);
            }
            Line::End(End { lines: told }) => {
                if told != number - 1 {
                    let reason = format!("{told} lines were written before this one, {} are here", number - 1);
                    return Err(refuse(number, reason));
                }
                if let Some((number, _)) = lines.find(|(_, line)| !line.is_empty()) {
                    return Err(refuse(number, "something follows the end"));
                }
                check::check(&scenario).map_err(|problem| refuse(places.line_of(problem.place), problem.reason))?;
                return Ok(ScenarioFile { name: header.name, sentence: header.sentence, scenario });
            }
        }
    }
    Err(refuse(last + 1, "the file is cut off: its last line, {\"end\":…}, is missing"))
}

/// The text of a file: what [`parse`] reads.
pub fn print(file: &ScenarioFile) -> String {
    let mut lines = Vec::new();
    let header = Header { holdfast_scenario: FORMAT_VERSION, name: file.name.clone(), sentence: file.sentence.clone() };
    lines.push(value(&header));
    let scenario = &file.scenario;
    let mut config = value(&scenario.config);
    remove_defaults(&mut config, &value(&ScenarioConfig::default()));
    lines.push(serde_json::json!({ "config": config }));
    lines.extend(scenario.ops.iter().map(|op| value(&Line::Op(op.clone()))));
    lines.extend(scenario.faults.iter().map(|fault| value(&Line::Fault(fault.clone()))));
    lines.extend(scenario.mutations.iter().map(|mutation| value(&Line::Mutation(mutation.clone()))));
    lines.push(value(&Line::End(End { lines: lines.len() })));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn header(text: &str) -> Result<Header, Refusal> {
    // The version first: a newer format may have other fields.
    let any: Value = read(1, text)?;
    match any.get("holdfast_scenario").and_then(Value::as_u64) {
        Some(FORMAT_VERSION) => read(1, text),
        Some(version) => Err(refuse(1, format!("format {version}; this simulator reads format {FORMAT_VERSION} only"))),
        None => Err(refuse(1, "this is no scenario file: its first line names no \"holdfast_scenario\" version")),
    }
}

fn read<T: DeserializeOwned>(line: usize, text: &str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|error| {
        let reason = error.to_string();
        // serde_json counts lines too, and every text here is one.
        refuse(line, reason.replace(" at line 1 column", " at column"))
    })
}

fn value<T: Serialize>(of: &T) -> Value {
    serde_json::to_value(of).expect("scenarios have text keys only")
}

/// Removes what is as in `default`.
fn remove_defaults(value: &mut Value, default: &Value) {
    let (Value::Object(fields), Value::Object(defaults)) = (value, default) else { return };
    fields.retain(|name, value| {
        let Some(default) = defaults.get(name) else { return true };
        remove_defaults(value, default);
        // An enumeration's variant with content is an object too, and never empty.
        *value != *default && !(default.is_object() && value.as_object().is_some_and(serde_json::Map::is_empty))
    });
}

fn refuse(line: usize, reason: impl Into<String>) -> Refusal {
    Refusal { line, reason: reason.into() }
}

#[cfg(test)]
mod tests;
