//! The oracles: what must hold, each in a file of its own, judged from what applications saw and from what the world
//! knows, never from what the core believes.

mod absence;
mod atomic_publish;
mod attributes;
mod budget;
mod byte_exact;
mod conditions;
mod deadlock;
mod delays;
mod durability;
mod errno;
mod freshness;
mod hold;
mod inodes;
mod leak;
mod listing;
mod liveness;
mod lost_update;
mod monotonic;
mod no_resurrection;
mod panic;
mod read_your_writes;
mod recovery;
mod single_version;
mod spool;

use crate::court::{Sight, Truth};

/// An oracle's name in reports.
pub type OracleId = &'static str;

/// Found where two runs of one scenario differ; it has no sights to judge.
pub const HASHES: (OracleId, &str) = ("hashes", "Two runs of one scenario are the same run, event by event.");

/// One rule.
pub trait Oracle: Send {
    fn id(&self) -> OracleId;

    /// What must hold.
    fn sentence(&self) -> &'static str;

    /// Looks at one sight; `verdict` takes what is wrong with it.
    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String));
}

/// A fresh set, for one run.
pub fn all() -> Vec<Box<dyn Oracle>> {
    vec![
        Box::new(single_version::SingleVersion),
        Box::new(byte_exact::ByteExact),
        Box::new(attributes::Attributes),
        Box::<freshness::Freshness>::default(),
        Box::new(absence::Absence),
        Box::new(monotonic::Monotonic::default()),
        Box::new(listing::Listing),
        Box::new(inodes::Inodes::default()),
        Box::new(hold::Hold::default()),
        Box::new(errno::ErrnoIsExplained),
        Box::<liveness::Liveness>::default(),
        Box::new(conditions::Conditions::default()),
        Box::new(budget::Budget::default()),
        Box::new(deadlock::Deadlock),
        Box::new(panic::Panic),
        Box::<read_your_writes::ReadYourWrites>::default(),
        Box::<lost_update::LostUpdate>::default(),
        Box::<durability::Durability>::default(),
        Box::<atomic_publish::AtomicPublish>::default(),
        Box::<no_resurrection::NoResurrection>::default(),
        Box::<recovery::Recovery>::default(),
        Box::new(leak::Leak),
        Box::new(spool::Spool),
    ]
}

/// Name and sentence of each.
pub fn catalogue() -> Vec<(OracleId, &'static str)> {
    all().iter().map(|oracle| (oracle.id(), oracle.sentence())).chain([HASHES]).collect()
}
