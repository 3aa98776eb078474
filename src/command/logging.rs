//! Where log lines go: standard error, holdfast's own at the chosen level, nobody else's.
//!
//! Libraries beneath may write requests with their headers at lower levels, and report at the error level what is no
//! error to a mount (a connection that need not be closed because there was none); what matters of it comes back to us as
//! the outcome of a request, and is told with the key it belongs to.

use std::fmt;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt};
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

/// Problems that were logged since the process began, whatever the level that is shown.
pub struct Problems {
    warnings: AtomicU64,
    errors: AtomicU64,
    last: Mutex<String>,
}

pub static PROBLEMS: Problems =
    Problems { warnings: AtomicU64::new(0), errors: AtomicU64::new(0), last: Mutex::new(String::new()) };

impl Problems {
    pub fn warnings(&self) -> u64 {
        self.warnings.load(Relaxed)
    }

    pub fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// The words of the last one, or nothing.
    pub fn last(&self) -> String {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Counts into [`PROBLEMS`].
struct Counter;

impl<S: Subscriber> Layer<S> for Counter {
    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        match *event.metadata().level() {
            Level::ERROR => PROBLEMS.errors.fetch_add(1, Relaxed),
            _ => PROBLEMS.warnings.fetch_add(1, Relaxed),
        };
        let mut words = Words(String::new());
        event.record(&mut words);
        *PROBLEMS.last.lock().unwrap_or_else(PoisonError::into_inner) = words.0;
    }
}

/// The message of an event, without its fields.
struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
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
    let problems = Targets::new().with_target("holdfast", LevelFilter::WARN).with_default(LevelFilter::OFF);
    let _ = tracing_subscriber::registry().with(lines).with(Counter.with_filter(problems)).try_init();
}
