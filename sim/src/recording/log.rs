//! What the core says to its log, as a part of a recording.

use std::fmt::Debug;

use tracing::field::Field;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::Recorder;
use crate::executor::SimHandle;

/// Writes down every line with the virtual time of its saying.
pub(crate) struct Scribe {
    pub recorder: Recorder,
    pub clock: SimHandle,
}

impl Subscriber for Scribe {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::DEBUG
    }

    fn event(&self, event: &Event<'_>) {
        let (at, level) = (self.clock.now(), event.metadata().level().as_str());
        event.record(&mut |field: &Field, value: &dyn Debug| {
            if field.name() == "message" {
                self.recorder.said(at, level, format!("{value:?}"));
            }
        });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
