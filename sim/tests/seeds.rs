//! A few hundred fresh scenarios of every profile with every test run: nothing is found, and they are what they are said
//! to be. `holdfast-sim run` runs as many as one likes.

use holdfast_sim::run;
use holdfast_sim::scenario::strategy::{Profile, of_seed};

const SEEDS: u64 = 150;

#[test]
fn fresh_scenarios_of_every_profile_find_nothing() {
    for profile in Profile::ALL {
        for seed in 0..SEEDS {
            let outcome = run::run(&of_seed(seed, *profile));
            let first = outcome.findings.first().map(ToString::to_string);
            assert_eq!(first, None, "holdfast-sim replay --profile {} --seed {seed}", profile.name());
        }
    }
}

#[test]
fn equal_scenarios_are_equal_runs() {
    for seed in 0..SEEDS {
        let outcome = run::run_twice(&of_seed(seed, Profile::Mixed));
        assert_eq!(outcome.findings.first().map(ToString::to_string), None, "seed {seed}");
    }
}

#[test]
fn a_third_of_the_mutations_hit_a_key_while_a_get_of_it_is_in_flight() {
    let (mut all, mut in_flight) = (0, 0);
    for seed in 0..SEEDS {
        let figures = run::run(&of_seed(seed, Profile::Mixed)).figures;
        all += figures.mutations;
        in_flight += figures.mutations_in_flight;
    }
    assert!(3 * in_flight >= all, "{in_flight} of {all}");
}
