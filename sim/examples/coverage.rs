//! Prints which lines of the core a `cargo test` or `cargo run` command reaches: `cargo run --example coverage -- test
//! -p holdfast-sim`. Decides nothing: see [`holdfast_sim::coverage`].

use std::path::Path;
use std::process::ExitCode;

use holdfast_sim::coverage::{CORE, Measurement};

fn main() -> ExitCode {
    let mut cargo: Vec<String> = std::env::args().skip(1).collect();
    if cargo.is_empty() {
        cargo = ["test", "-p", "holdfast-sim"].map(String::from).to_vec();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf();
    match (Measurement { root, cargo }).take(CORE) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
