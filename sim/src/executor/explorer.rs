//! All schedules of a small scenario, each once, depth first.
//!
//! A schedule is a script of choices ([`super::Executor::follow_script`]); the record of the run under it says how many
//! alternatives each choice had, hence which script comes next. Owns no executor: the caller runs each script in a new
//! world that is otherwise the same.
//!
//! ```
//! use holdfast_sim::executor::{Executor, Explorer, ExplorerBounds};
//!
//! let mut explorer = Explorer::new(ExplorerBounds::default());
//! while let Some(script) = explorer.next_script() {
//!     let mut exec = Executor::new(1);
//!     exec.follow_script(script);
//!     exec.handle().spawn("one", async {});
//!     exec.handle().spawn("other", async {});
//!     exec.run_until_idle().unwrap();
//!     explorer.learn(&exec.take_choices()).unwrap();
//! }
//! assert_eq!(explorer.explored(), 2);
//! ```

use std::fmt;

use super::schedule::Choice;

/// Where an [`Explorer`] stops. By default nowhere: for up to about three operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExplorerBounds {
    pub schedules_max: Option<u64>,
    /// Choices other than first come, first served, in one schedule. Most bugs need one or two.
    pub deviations_max: Option<u32>,
    /// Tasks passed over in one schedule, summed over its choices (Emmi, Qadeer, Rakamarić, POPL 2011).
    pub delays_max: Option<u32>,
}

/// See the module.
#[derive(Debug)]
pub struct Explorer {
    bounds: ExplorerBounds,
    /// `None`: given out, or there is none.
    next: Option<Vec<u32>>,
    /// The script that is being run.
    given: Option<Vec<u32>>,
    explored: u64,
}

/// A run did not do as its script said: it does not follow from its seed and its script alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptNotFollowed {
    pub script: Vec<u32>,
    /// The index of the first choice that is not the script's.
    pub at: usize,
    /// `None`: the run ended before it.
    pub choice: Option<Choice>,
}

impl Explorer {
    pub fn new(bounds: ExplorerBounds) -> Self {
        Self { bounds, next: Some(Vec::new()), given: None, explored: 0 }
    }

    /// The next schedule to run. After it [`Explorer::learn`] must be called, or this was the last.
    pub fn next_script(&mut self) -> Option<Vec<u32>> {
        if self.bounds.schedules_max.is_some_and(|max| self.explored >= max) {
            return None;
        }
        let script = self.next.take()?;
        self.given = Some(script.clone());
        Some(script)
    }

    /// `record`: the choices of the run under the script that was given out last.
    pub fn learn(&mut self, record: &[Choice]) -> Result<(), ScriptNotFollowed> {
        let Some(script) = self.given.take() else { return Ok(()) };
        let followed = record.iter().zip(&script).take_while(|(choice, asked)| choice.chosen == **asked).count();
        if followed < script.len() {
            return Err(ScriptNotFollowed { script, at: followed, choice: record.get(followed).copied() });
        }
        self.explored += 1;
        self.next = self.successor(record);
        Ok(())
    }

    /// Schedules that were run.
    pub fn explored(&self) -> u64 {
        self.explored
    }

    /// Every schedule within the bounds on deviations and delays has been run.
    pub fn is_exhausted(&self) -> bool {
        self.next.is_none() && self.given.is_none()
    }

    /// The deepest choice that has an untried alternative, with the next one, if the bounds allow it.
    fn successor(&self, record: &[Choice]) -> Option<Vec<u32>> {
        let mut deviations: u32 = record.iter().map(|choice| u32::from(choice.chosen > 0)).sum();
        let mut delays: u32 = record.iter().map(|choice| choice.chosen).sum();
        for (index, choice) in record.iter().enumerate().rev() {
            // From here on those of the choices before this one.
            deviations -= u32::from(choice.chosen > 0);
            delays -= choice.chosen;
            let chosen = choice.chosen + 1;
            if chosen < choice.alternatives && self.allows(deviations + 1, delays + chosen) {
                let before = record[..index].iter().map(|choice| choice.chosen);
                return Some(before.chain([chosen]).collect());
            }
        }
        None
    }

    fn allows(&self, deviations: u32, delays: u32) -> bool {
        self.bounds.deviations_max.is_none_or(|max| deviations <= max)
            && self.bounds.delays_max.is_none_or(|max| delays <= max)
    }
}

impl fmt::Display for ScriptNotFollowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "choice {} of the script {:?} was not followed: ", self.at, self.script)?;
        match self.choice {
            Some(choice) => write!(f, "the run chose {} of {}", choice.chosen, choice.alternatives),
            None => write!(f, "the run ended before it"),
        }
    }
}

impl std::error::Error for ScriptNotFollowed {}
