//! The reader of coverage on a small program of its own, built and run by the compiler at hand.

use std::fs;
use std::process::Command;

use super::mapping::Mapping;
use super::profile::Profile;
use super::report::Report;
use super::{object, strings_after};

const PROGRAM: &str = "\
fn never<T: Default>() -> T {
    T::default()
}
fn describe<T: PartialOrd + Default>(number: T) -> &'static str {
    if number > T::default() {
        \"positive\"
    } else {
        \"another\"
    }
}
fn main() {
    let answer = describe(1.5) == \"positive\"
        && describe(-1) == \"positive\";
    if answer {
        never::<u8>();
        println!(\"unreachable\");
    }
}
";

#[test]
fn a_line_is_covered_if_any_copy_of_its_function_ran_it() {
    let folder = std::env::temp_dir().join(format!("holdfast-coverage-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("program.rs"), PROGRAM).unwrap();
    #[allow(clippy::disallowed_methods)]
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_string());
    let mut build = Command::new(rustc);
    build.args(["-C", "instrument-coverage", "program.rs"]).current_dir(&folder);
    assert!(build.status().unwrap().success());
    let mut run = Command::new(folder.join("program"));
    assert!(run.env("LLVM_PROFILE_FILE", folder.join("raw")).status().unwrap().success());

    let mut profile = Profile::default();
    profile.add(&fs::read(folder.join("raw")).unwrap()).unwrap();
    let mut mapping = Mapping::default();
    for (covmap, covfun) in object::coverage_sections(&fs::read(folder.join("program")).unwrap()).unwrap() {
        mapping.add(&covmap, &covfun).unwrap();
    }
    let report = Report::of(&mapping, &profile, &folder, &["program.rs"]);
    fs::remove_dir_all(&folder).unwrap();

    let lines = &report.files["program.rs"];
    let with = |covered| lines.iter().filter(|line| *line.1 == covered).map(|line| *line.0).collect::<Vec<_>>();
    assert_eq!(with(false), [1, 2, 3, 15, 16], "{report}");
    assert_eq!(with(true), [4, 5, 6, 8, 10, 11, 12, 13, 14, 17, 18], "{report}");
}

#[test]
fn a_damaged_profile_is_refused() {
    let mut profile = Profile::default();
    assert!(profile.add(b"").is_err());
    assert!(profile.add(&[0; 200]).is_err());
}

#[test]
fn paths_are_found_in_what_cargo_says() {
    let message = r#"{"filenames":["/a/x.rlib","/a/x.rmeta"],"executable":null}"#;
    assert_eq!(strings_after(message, r#""filenames":["#).collect::<Vec<_>>(), ["/a/x.rlib", "/a/x.rmeta"]);
    assert_eq!(strings_after(message, r#""executable":"#).count(), 0);
}
