//! Where log lines go: standard error, holdfast's own at the chosen level, nobody else's.
//!
//! Libraries beneath may write requests with their headers at lower levels, and report at the error level what is no
//! error to a mount (a connection that need not be closed because there was none); what matters of it comes back to us as
//! the outcome of a request, and is told with the key it belongs to.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
        }
    }
}

/// Starts logging; a second call does nothing.
pub fn start(level: LogLevel) {
    let targets = Targets::new().with_target("holdfast", level.filter()).with_default(LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_filter(targets);
    let _ = tracing_subscriber::registry().with(lines).try_init();
}
