//! What every part of the core shares: the world, the options, the budgets.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::config::{Config, PUBLICATIONS_BEHIND_AT_ONCE, SENDS_AT_ONCE};
use crate::data::lifeboat::Lifeboats;
use crate::data::line::Line;
use crate::data::memory::Memory;
use crate::data::pace::Pace;
use crate::env::Env;
use crate::lock::Lock;

pub struct Context<E: Env> {
    pub env: E,
    pub config: Config,
    pub memory: Arc<Memory>,
    pub lifeboats: Arc<Lifeboats>,
    /// Bytes in the journal.
    pub journal_bytes: AtomicU64,
    pub(super) pace: Lock<Pace>,
    /// Of bodies that are sent.
    pub(super) sends: Line,
    /// Of files that are published behind their close.
    pub behind: Line,
}

impl<E: Env> Context<E> {
    /// `config` must have been validated.
    pub fn new(env: E, config: Config) -> Arc<Self> {
        Arc::new(Self {
            memory: Memory::new(config.memory_max, config.sizes.extent_bytes),
            lifeboats: Lifeboats::new(config.hold_max),
            journal_bytes: AtomicU64::new(0),
            pace: Lock::new(Pace::new(config.deadline)),
            sends: Line::new(SENDS_AT_ONCE, config.memory_max / 2),
            behind: Line::new(PUBLICATIONS_BEHIND_AT_ONCE, u64::MAX),
            env,
            config,
        })
    }
}
