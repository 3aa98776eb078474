//! Scenarios at random: a proptest strategy whose values are whole scenarios.
//!
//! Swarm testing (Groce et al., ISSTA 2012): each scenario leaves most features and kinds of fault out, because what is
//! always there hides what only happens without it. Sizes of objects and of the data path are small, so that a run of a
//! hundred operations takes milliseconds and still meets every mechanism. More than a third of the mutations hit a key
//! while a GET of it is in flight, between two chunks of its body or between two GETs of one reader.

mod draw;
mod faults;
mod mutations;
mod ops;
mod rarely;
mod setting;
mod slowly;
mod trials;
mod viewers;
mod writers;

use proptest::strategy::{NewTree, Strategy};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::Scenario;
use super::shrink::ScenarioTree;
use crate::rng::mix;
use draw::Draw;

/// What sort of scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Profile {
    /// All of the others but writers.
    #[default]
    Mixed,
    /// Whole features and kinds of faults are left out of each.
    Swarm,
    /// Nothing fails; only other clients are at work.
    Fair,
    /// Much fails.
    Storm,
    /// Long pauses, in which connections die and streams are renewed.
    Pauses,
    /// Directories.
    Listing,
    /// Large objects, read from the first byte on and in order.
    Viewers,
    /// One mechanism of the hold, or of the budgets, at a time.
    Trials,
    /// At most three operations of at most two applications.
    Tiny,
    /// Several applications of one or two mounts change a few files, others put and delete them.
    Writers,
    /// Mixed and writers, one as often as the other.
    All,
}

impl Profile {
    pub const ALL: &[Profile] = &[
        Self::Mixed,
        Self::Swarm,
        Self::Fair,
        Self::Storm,
        Self::Pauses,
        Self::Listing,
        Self::Viewers,
        Self::Trials,
        Self::Tiny,
        Self::Writers,
        Self::All,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Swarm => "swarm",
            Self::Fair => "fair",
            Self::Storm => "storm",
            Self::Pauses => "pauses",
            Self::Listing => "listing",
            Self::Viewers => "viewers",
            Self::Trials => "trials",
            Self::Tiny => "tiny",
            Self::Writers => "writers",
            Self::All => "all",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|profile| profile.name() == name)
    }
}

/// All scenarios of a profile.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scenarios {
    pub profile: Profile,
}

impl Strategy for Scenarios {
    type Tree = ScenarioTree;
    type Value = Scenario;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        Ok(ScenarioTree::new(generate(self.profile, &mut Draw::new(runner.rng()))))
    }
}

/// The scenario of a seed: always the same.
pub fn of_seed(seed: u64, profile: Profile) -> Scenario {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mix(seed).to_le_bytes());
    bytes[8..].copy_from_slice(&mix(seed ^ 0x5eed).to_le_bytes());
    of_rng(TestRng::from_seed(RngAlgorithm::XorShift, &bytes), profile)
}

/// The scenario that a fuzzer's bytes spell: each choice takes some of them.
pub fn of_bytes(bytes: &[u8], profile: Profile) -> Scenario {
    of_rng(TestRng::from_seed(RngAlgorithm::PassThrough, bytes), profile)
}

fn of_rng(rng: TestRng, profile: Profile) -> Scenario {
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    generate(profile, &mut Draw::new(runner.rng()))
}

fn generate(profile: Profile, draw: &mut Draw<'_>) -> Scenario {
    let profile = match profile {
        Profile::All => draw.pick(&[Profile::Mixed, Profile::Writers]),
        one => one,
    };
    let profile = match profile {
        Profile::Mixed => draw.weigh(&[
            (4, Profile::Swarm),
            (2, Profile::Fair),
            (1, Profile::Storm),
            (1, Profile::Pauses),
            (1, Profile::Listing),
            (2, Profile::Viewers),
            (5, Profile::Trials),
            (1, Profile::Tiny),
        ]),
        one => one,
    };
    if profile == Profile::Writers {
        return writers::scenario(draw);
    }
    let config = setting::config(profile, draw);
    if profile == Profile::Trials {
        return trials::scenario(config, draw);
    }
    let mut scenario = Scenario { config, ..Scenario::default() };
    if profile == Profile::Viewers {
        scenario.ops = viewers::ops(&mut scenario.config, draw);
        scenario.mutations = viewers::mutations(&scenario.config, &scenario.ops, draw);
        return scenario;
    }
    scenario.ops = ops::ops(profile, &scenario.config, draw);
    scenario.faults = faults::faults(profile, &mut scenario.config, &scenario.ops, draw);
    scenario.mutations = mutations::mutations(profile, &scenario.config, &scenario.ops, draw);
    scenario
}

#[cfg(test)]
mod tests {
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;

    use super::{Profile, Scenarios, of_bytes, of_seed};
    use crate::scenario::check::check;
    use crate::scenario::format::{ScenarioFile, parse, print};

    #[test]
    fn every_scenario_agrees_with_itself_and_survives_being_written_down() {
        for profile in Profile::ALL {
            for seed in 0..300 {
                let scenario = of_seed(seed, *profile);
                assert_eq!(check(&scenario), Ok(()), "{profile:?} {seed}");
                assert_eq!(of_seed(seed, *profile), scenario);
                let file = ScenarioFile { scenario, ..ScenarioFile::default() };
                assert_eq!(parse(&print(&file)), Ok(file), "{profile:?} {seed}");
            }
        }
    }

    #[test]
    fn any_bytes_spell_a_scenario() {
        for len in [0, 1, 100, 5000] {
            let bytes: Vec<u8> = (0..len).map(|n| (n * 37 % 251) as u8).collect();
            assert_eq!(check(&of_bytes(&bytes, Profile::Swarm)), Ok(()), "{len}");
        }
    }

    #[test]
    fn the_strategy_is_one_of_proptest() {
        let tree = Scenarios::default().new_tree(&mut TestRunner::deterministic()).expect("it never rejects");
        assert_eq!(check(&tree.current()), Ok(()));
    }
}
