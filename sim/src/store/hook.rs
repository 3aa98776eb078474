//! Mutations tied to a point of some request's life rather than to a point in time.
//!
//! A cause stays what it is when a scenario is shrunk or latencies change; a time does not.

use holdfast::bucket::Bucket;
use holdfast::env::Time;

use super::request::{Asked, Counting, Matcher};

/// A point in the life of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server is about to apply it.
    Before(Matcher),
    /// The server has applied it and has not answered.
    After(Matcher),
    /// The `chunk`-th chunk (from 1) of its body has just been handed out. GETs only.
    Chunk { body: Matcher, chunk: u64 },
}

/// What to do to the bucket then. Done at most once.
pub(super) type Hook = Box<dyn FnOnce(&mut Bucket, Time) + Send>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    Before,
    After,
    Chunk(u64),
}

/// The hooks that wait for their request.
#[derive(Default)]
pub(super) struct Hooks {
    waiting: Vec<(Counting, Point, Hook)>,
}

impl Hooks {
    pub(super) fn add(&mut self, event: Event, hook: Hook) {
        let (matcher, point) = match event {
            Event::Before(matcher) => (matcher, Point::Before),
            Event::After(matcher) => (matcher, Point::After),
            Event::Chunk { body, chunk } => (body, Point::Chunk(chunk)),
        };
        self.waiting.push((Counting::new(matcher), point, hook));
    }

    /// Counts this request with every hook; takes those that belong to it.
    pub(super) fn take(&mut self, asked: &Asked) -> RequestHooks {
        let taken = self.waiting.extract_if(.., |(counting, _, _)| counting.count(asked));
        RequestHooks { hooks: taken.map(|(_, point, hook)| (point, hook)).collect() }
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// The hooks of one request that have not run.
#[derive(Default)]
pub(super) struct RequestHooks {
    hooks: Vec<(Point, Hook)>,
}

impl RequestHooks {
    pub(super) fn run(&mut self, point: Point, bucket: &mut Bucket, now: Time) {
        for (_, hook) in self.hooks.extract_if(.., |(at, _)| *at == point) {
            hook(bucket, now);
        }
    }

    /// Takes those of one point.
    pub(super) fn split_off(&mut self, point: Point) -> RequestHooks {
        RequestHooks { hooks: self.hooks.extract_if(.., |(at, _)| *at == point).collect() }
    }

    pub(super) fn has(&self, point: Point) -> bool {
        self.hooks.iter().any(|(at, _)| *at == point)
    }
}
