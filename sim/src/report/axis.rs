//! Virtual time on paper: to scale where things happen, compressed where nothing does.
//!
//! Between two neighbouring moments at which anything happened, time is drawn to scale up to [`Axis::scale_max`]; what is
//! longer grows with its logarithm and is marked. Moments that differ never fall together.

use std::ops::Range;
use std::time::Duration;

use holdfast::env::Time;

use crate::recording::{Answer, Recording};

/// How wide all of it is, in pixels at zoom 1.
pub(super) const WIDTH: f64 = 1200.0;
/// Of [`Axis::scale_max`], before all is fitted into [`WIDTH`].
const SCALED: f64 = 40.0;
const WIDTH_MIN: f64 = 2.0;
/// By each doubling beyond the scale, and all of them together.
const DOUBLING: f64 = 6.0;
const DOUBLINGS_MAX: f64 = 50.0;
/// What is so many times longer than the scale is marked as compressed.
const MARKED: u32 = 4;

pub(super) struct Axis {
    /// In order, each once.
    moments: Vec<(Time, f64)>,
    /// The longest pause that is drawn to scale.
    scale_max: Duration,
}

impl Axis {
    pub(super) fn new(recording: &Recording) -> Self {
        let mut times = moments_of(recording);
        times.sort();
        times.dedup();
        let mut pauses: Vec<Duration> = times.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        pauses.sort();
        let usual = pauses.get(pauses.len() * 4 / 5).copied().unwrap_or_default();
        let scale_max = (usual * 4).max(Duration::from_micros(100));
        let mut x = 0.0;
        let mut moments = Vec::with_capacity(times.len());
        for (at, time) in times.iter().enumerate() {
            if at > 0 {
                x += width_of(time.0 - times[at - 1].0, scale_max);
            }
            moments.push((*time, x));
        }
        let fit = if x > 0.0 { WIDTH / x } else { 1.0 };
        moments.iter_mut().for_each(|(_, x)| *x *= fit);
        Self { moments, scale_max }
    }

    pub(super) fn x(&self, time: Time) -> f64 {
        let after = self.moments.partition_point(|(moment, _)| *moment < time);
        match (after.checked_sub(1).map(|before| self.moments[before]), self.moments.get(after)) {
            (_, Some((moment, x))) if *moment == time => *x,
            (Some((start, from)), Some((end, to))) => {
                let share = (time.0 - start.0).as_secs_f64() / (end.0 - start.0).as_secs_f64();
                from + (to - from) * share
            }
            (Some((_, x)), None) => x,
            (None, _) => 0.0,
        }
    }

    pub(super) fn width(&self, from: Time, to: Time) -> f64 {
        (self.x(to) - self.x(from)).max(0.0)
    }

    /// Pauses that are drawn shorter than they were.
    pub(super) fn compressed(&self) -> impl Iterator<Item = Range<Time>> {
        let pairs = self.moments.windows(2).map(|pair| pair[0].0..pair[1].0);
        pairs.filter(|pause| pause.end.0 - pause.start.0 > self.scale_max * MARKED)
    }

    /// Moments that are at least `distance` apart.
    pub(super) fn ticks(&self, distance: f64) -> Vec<(Time, f64)> {
        let mut ticks: Vec<(Time, f64)> = Vec::new();
        for (time, x) in &self.moments {
            if ticks.last().is_none_or(|(_, last)| x - last >= distance) {
                ticks.push((*time, *x));
            }
        }
        ticks
    }
}

fn width_of(pause: Duration, scale_max: Duration) -> f64 {
    let scaled = pause.as_secs_f64() / scale_max.as_secs_f64();
    if scaled <= 1.0 {
        (SCALED * scaled).max(WIDTH_MIN)
    } else {
        SCALED + (DOUBLING * scaled.log2()).min(DOUBLINGS_MAX)
    }
}

/// Everything that happened but the chunks of bodies, of which there may be thousands.
fn moments_of(recording: &Recording) -> Vec<Time> {
    let ended = recording.ended;
    let mut times = vec![Time::default(), ended];
    times.extend(recording.calm_at);
    times.extend(recording.findings.iter().map(|finding| finding.at));
    for op in &recording.ops {
        times.extend([op.began, op.over(ended)]);
    }
    for call in &recording.calls {
        times.extend([call.began, call.ended]);
    }
    for file in &recording.files {
        times.extend([file.opened, file.closed.unwrap_or(ended)]);
    }
    for request in &recording.requests {
        times.extend([request.sent, request.over(ended)]);
        times.extend(request.applied);
        if let Answer::Came(at, _) = request.outcome {
            times.push(at);
        }
    }
    times.extend(recording.mutations.iter().map(|mutation| mutation.at));
    for outage in &recording.outages {
        times.extend([outage.start.min(ended), outage.end.min(ended)]);
    }
    times
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use holdfast::env::Time;

    use super::{Axis, WIDTH};
    use crate::recording::{MutationRecord, Recording};

    #[test]
    fn a_long_pause_is_compressed_and_order_is_kept() {
        let at = |ms| Time(Duration::from_millis(ms));
        let change = |ms| MutationRecord { at: at(ms), key: "film".into(), now: None, number: None, request: None };
        let moments = [5, 10, 15, 60_000, 60_005, 60_006];
        let mutations = moments.map(change).to_vec();
        let axis = Axis::new(&Recording { mutations, ended: at(60_010), ..Recording::default() });
        assert!(moments.windows(2).all(|pair| axis.x(at(pair[0])) < axis.x(at(pair[1]))));
        assert_eq!((axis.x(at(0)), axis.x(at(60_010))), (0.0, WIDTH));
        assert!((axis.width(at(5), at(10)) - axis.width(at(10), at(15))).abs() < 0.001);
        assert_eq!(axis.compressed().collect::<Vec<_>>(), [at(15)..at(60_000)]);
        assert!(axis.width(at(15), at(60_000)) < WIDTH * 0.9);
        let inside = axis.x(at(30_000));
        assert!(inside > axis.x(at(15)) && inside < axis.x(at(60_000)));
    }
}
