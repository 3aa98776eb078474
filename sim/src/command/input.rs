//! Where a scenario comes from: a file or a seed.

use std::path::PathBuf;

use clap::Args;
use holdfast_sim::scenario::format::{self, ScenarioFile};
use holdfast_sim::scenario::strategy::{self, Profile};

use super::Misuse;

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Source {
    /// A scenario file (JSONL, see docs/simulation.md)
    pub file: Option<PathBuf>,
    /// The scenario of this seed
    #[arg(long)]
    pub seed: Option<u64>,
}

#[derive(Args)]
pub struct Input {
    #[command(flatten)]
    pub source: Source,
    /// What sort of scenarios: mixed, swarm, fair, storm, pauses, listing, viewers, trials, tiny, writers
    #[arg(long, default_value = "mixed", value_parser = profile)]
    pub profile: Profile,
}

pub fn profile(name: &str) -> Result<Profile, String> {
    let names: Vec<&str> = Profile::ALL.iter().map(|profile| profile.name()).collect();
    Profile::named(name).ok_or_else(|| format!("there are {}", names.join(", ")))
}

impl Input {
    pub fn read(&self) -> Result<ScenarioFile, Misuse> {
        if let Some(seed) = self.source.seed {
            return Ok(of_seed(seed, self.profile));
        }
        let path = self.source.file.as_ref().expect("clap wants one of both");
        let text = std::fs::read_to_string(path).map_err(|error| Misuse(format!("{}: {error}", path.display())))?;
        format::parse(&text).map_err(|refusal| Misuse(format!("{}: {refusal}", path.display())))
    }
}

pub fn of_seed(seed: u64, profile: Profile) -> ScenarioFile {
    let scenario = strategy::of_seed(seed, profile);
    ScenarioFile { name: format!("{}-{seed}", profile.name()), sentence: String::new(), scenario }
}
