//! The parser of scenario files: arbitrary text, and files that were right until somebody edited them.
//!
//! Whatever the text: it is read or refused, with a line that the text has (or the one after its last) and a reason. What
//! is read agrees with itself, is printed, and the print is read back as the same and printed the same.

#![no_main]

use holdfast_fuzz::{Input, choices};
use holdfast_sim::scenario::check::check;
use holdfast_sim::scenario::format::{ScenarioFile, parse, print};
use holdfast_sim::scenario::strategy::{Profile, of_bytes};
use libfuzzer_sys::fuzz_target;

/// Small scenarios have every part too, and more of their edits hit something.
const CHOICES_MAX: usize = 200;
const EDITS_MAX: usize = 8;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let text = match input.below(4) {
        0 => String::from_utf8_lossy(input.rest()).into_owned(),
        profile => edited_file(&mut input, profile),
    };
    judge(&text);
});

fn judge(text: &str) {
    let file = match parse(text) {
        Ok(file) => file,
        Err(refusal) => {
            let lines = text.lines().count();
            assert!((1..=lines + 1).contains(&refusal.line), "{refusal}: there are {lines} lines");
            assert!(!refusal.reason.is_empty());
            return;
        }
    };
    assert_eq!(check(&file.scenario), Ok(()), "it was read");
    let printed = print(&file);
    let again = parse(&printed).unwrap_or_else(|refusal| panic!("{refusal}, in what was printed:\n{printed}"));
    assert!(again == file, "it is read back as another:\n{printed}");
    assert_eq!(print(&again), printed);
}

/// A file that some scenario was printed to, and a few edits.
fn edited_file(input: &mut Input<'_>, profile: usize) -> String {
    let edits = input.below(EDITS_MAX);
    let edits: Vec<[u8; 4]> = (0..edits).map(|_| [input.byte(), input.byte(), input.byte(), input.byte()]).collect();
    let profile = [Profile::Tiny, Profile::Swarm, Profile::Listing][profile - 1];
    let bytes = input.rest();
    let scenario = of_bytes(&choices(&bytes[..bytes.len().min(CHOICES_MAX)]), profile);
    let text = print(&ScenarioFile { scenario, ..ScenarioFile::default() });
    assert!(parse(&text).is_ok(), "{text}");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for edit in edits {
        change(&mut lines, edit);
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// Values that a field may be given in place of its own.
const VALUES: [&str; 16] = [
    "0",
    "1",
    "-1",
    "255",
    "256",
    "4096",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
    "0.5",
    "null",
    "\"\"",
    "\"/\\u0000\"",
    "[1,0]",
    "{}",
];

fn change(lines: &mut Vec<String>, [what, line, place, value]: [u8; 4]) {
    if lines.is_empty() {
        return;
    }
    let (at, other) = (usize::from(line) % lines.len(), usize::from(place) % lines.len());
    match what % 8 {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[other].clone()),
        2 => lines.swap(at, other),
        3 => lines.truncate(at),
        4 | 5 => give_value(&mut lines[at], place, VALUES[usize::from(value) % VALUES.len()]),
        6 => give_value(&mut lines[at], place, &value.to_string()),
        _ => {
            let mut bytes = std::mem::take(&mut lines[at]).into_bytes();
            if !bytes.is_empty() {
                let place = usize::from(place) % bytes.len();
                bytes[place] = value;
            }
            lines[at] = String::from_utf8_lossy(&bytes).into_owned();
        }
    }
    // A file that was cut or patched by hand has its last line put right, now and then.
    if what >= 128 {
        lines.retain(|line| !line.contains("\"end\""));
        lines.push(format!("{{\"end\":{{\"lines\":{}}}}}", lines.len()));
    }
}

/// Puts `value` after one of the line's colons, in place of what is there up to the next comma or bracket.
fn give_value(line: &mut String, place: u8, value: &str) {
    let colons: Vec<usize> = line.match_indices(':').map(|(at, _)| at).collect();
    let Some(colon) = colons.get(usize::from(place) % colons.len().max(1)) else { return };
    let after = &line[colon + 1..];
    let end = after.find([',', '}', ']']).unwrap_or(after.len());
    *line = format!("{}:{value}{}", &line[..*colon], &after[end..]);
}
