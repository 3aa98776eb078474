//! The shape of the code base, kept by a test: layers, file headers, sizes, and that every rule has its test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Source lines of a file, tests apart.
const LINES_MAX: usize = 800;

/// The parts of the core, and what of the crate each may name. `fuse -> fs -> {state, data} -> env`.
const LAYERS: &[(&str, &[&str])] = &[
    ("lock", &[]),
    ("marks", &[]),
    ("zoo", &[]),
    ("units", &[]),
    ("env", &[]),
    ("error", &["env"]),
    ("op", &["env"]),
    ("config", &["op"]),
    ("bucket", &["env"]),
    ("state", &["config", "env", "error", "marks", "op", "zoo"]),
    ("data", &["config", "env", "error", "lock", "marks", "op", "state::version", "zoo"]),
    ("fs", &["config", "data", "env", "error", "lock", "marks", "op", "state", "zoo"]),
    ("fuse", &["config", "env", "error", "fs", "op"]),
    ("real", &["config", "env"]),
    ("server", &["bucket", "env"]),
];

/// What the core may not name, and where it belongs.
const WORLD: &[(&str, &str)] = &[
    ("tokio", "real"),
    ("fuser", "fuse.rs"),
    ("aws_", "real"),
    ("std::time::Instant", "env::Clock"),
    ("SystemTime", "env::Clock"),
    ("std::thread", "env::Spawn"),
    ("std::fs", "env::Disk"),
    ("std::net", "env::Store"),
    ("HashMap", "BTreeMap"),
    ("HashSet", "BTreeSet"),
];
const CORE: &[&str] = &["bucket", "config", "data", "env", "error", "fs", "lock", "op", "state"];

struct Source {
    path: PathBuf,
    /// The module of the crate it belongs to, like `data` for `src/data/content.rs`.
    part: String,
    text: String,
}

impl Source {
    /// Lines outside of tests, with their numbers.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.path.components().any(|part| part.as_os_str() == "tests")
            || self.path.file_name().is_some_and(|name| name == "tests.rs");
        let end = if tests { 0 } else { self.text.find("#[cfg(test)]\nmod tests").unwrap_or(self.text.len()) };
        self.text[..end].lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                files.extend(rust_files(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn sources(folder: &str) -> Vec<Source> {
    let base = root().join(folder);
    let read = |path: PathBuf| {
        let part = path.strip_prefix(&base).expect("beneath").with_extension("");
        let part = part.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
        Source { text: fs::read_to_string(&path).expect("readable"), part, path }
    };
    rust_files(&base).into_iter().map(read).collect()
}

fn fail_with(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn each_layer_names_only_what_lies_beneath_it() {
    let mut findings = Vec::new();
    for source in sources("src") {
        let Some((_, allowed)) = LAYERS.iter().find(|(part, _)| *part == source.part) else { continue };
        for (number, line) in source.code() {
            for (at, _) in line.match_indices("crate::") {
                let named = &line[at + "crate::".len()..];
                let own = named.starts_with(&source.part);
                if !own && !allowed.iter().any(|part| named.starts_with(part)) {
                    findings.push(format!("{}:{number}: {} may not name {named}", source.path.display(), source.part));
                }
            }
        }
    }
    fail_with(findings);
}

#[test]
fn the_core_names_nothing_of_the_world() {
    let mut findings = Vec::new();
    for source in sources("src").iter().filter(|source| CORE.contains(&source.part.as_str())) {
        for (number, line) in source.code() {
            for (word, instead) in WORLD.iter().filter(|(word, _)| line.contains(word)) {
                findings.push(format!("{}:{number}: {word}: use {instead}", source.path.display()));
            }
        }
    }
    fail_with(findings);
}

#[test]
fn every_file_says_what_it_is_and_stays_readable() {
    let mut findings = Vec::new();
    for folder in ["src", "sim", "tests"] {
        for source in sources(folder) {
            let shown = source.path.display();
            if !source.text.starts_with("//! ") {
                findings.push(format!("{shown}: does not open with what it is for (//!)"));
            }
            let lines = source.lines().count();
            if lines > LINES_MAX {
                findings.push(format!("{shown}: {lines} lines, the most are {LINES_MAX}"));
            }
            for (number, line) in source.code().filter(|_| folder == "src") {
                let globs = line.trim_start().starts_with("use ") && line.contains("::*");
                let leftovers =
                    ["todo!(", "unimplemented!(", "dbg!(", ".unwrap()"].iter().any(|word| line.contains(word));
                if globs || leftovers {
                    findings.push(format!("{shown}:{number}: {}", line.trim()));
                }
            }
        }
    }
    fail_with(findings);
}

#[test]
fn every_rule_of_the_semantics_is_named_by_a_test() {
    let semantics = fs::read_to_string(root().join("docs/semantics.md")).expect("docs/semantics.md");
    let rules: BTreeSet<&str> = semantics
        .lines()
        .filter_map(|line| line.strip_prefix("**R")?.split_once(".**"))
        .map(|(number, _)| number)
        .collect();
    assert!(rules.len() >= 20, "only {} rules found", rules.len());
    let mut tests: Vec<Source> = sources("tests");
    tests.extend(sources("sim"));
    tests.extend(sources("src"));
    let named = |rule: &str| {
        let mention = format!("Rule R{rule}");
        let exactly = |(at, _): (usize, &str), text: &str| {
            !text[at + mention.len()..].starts_with(|next: char| next.is_ascii_digit())
        };
        tests.iter().any(|source| {
            source.path.file_name().is_some_and(|name| name != "tidy.rs")
                && source.text.match_indices(&mention).any(|found| exactly(found, &source.text))
        })
    };
    fail_with(rules.iter().filter(|rule| !named(rule)).map(|rule| format!("rule R{rule} has no test")).collect());
}
