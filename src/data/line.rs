//! Who waits for others to be done before a body of his is made and sent: side by side only so many, of so many bytes.
//!
//! Without it, everything that is closed while the line to S3 is slow is sent at once, in the memory of all, and nothing of it
//! is through in its time.

use event_listener::Event;
use futures_util::lock::Mutex;

use crate::lock::Lock;
use crate::marks::sometimes;

pub struct Line {
    count_max: usize,
    bytes_max: u64,
    /// Whoever comes first has room first, also where he needs more of it than others.
    turn: Mutex<()>,
    inner: Lock<Inner>,
    left: Event,
}

#[derive(Default)]
struct Inner {
    count: usize,
    bytes: u64,
}

/// Somebody's place, until it is dropped.
pub struct Place<'a> {
    line: &'a Line,
    bytes: u64,
}

impl Line {
    pub fn new(count_max: usize, bytes_max: u64) -> Self {
        Self { count_max, bytes_max, turn: Mutex::new(()), inner: Lock::default(), left: Event::new() }
    }

    /// Waits until there is room for so many bytes more; of more than there ever is room for, until nobody else is there.
    pub async fn join(&self, bytes: u64) -> Place<'_> {
        let _turn = self.turn.lock().await;
        loop {
            let left = {
                let mut inner = self.inner.lock();
                let room = inner.count < self.count_max && inner.bytes.saturating_add(bytes) <= self.bytes_max;
                if room || inner.count == 0 {
                    inner.count += 1;
                    inner.bytes += bytes;
                    return Place { line: self, bytes };
                }
                self.left.listen()
            };
            sometimes!(WaitedInLine);
            left.await;
        }
    }

    /// How many have a place.
    pub fn count(&self) -> usize {
        self.inner.lock().count
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        {
            let mut inner = self.line.inner.lock();
            inner.count -= 1;
            inner.bytes -= self.bytes;
        }
        self.line.left.notify(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::Line;

    #[test]
    fn whoever_comes_first_has_room_first() {
        let line = Line::new(3, 10);
        let first = line.join(6).now_or_never().expect("nobody is there");
        let mut large = Box::pin(line.join(8));
        assert!(large.as_mut().now_or_never().is_none());
        assert!(line.join(1).now_or_never().is_none(), "it comes after the large one");
        drop(first);
        assert!(large.now_or_never().is_some());
    }

    #[test]
    fn what_is_larger_than_the_room_has_it_alone() {
        let line = Line::new(3, 10);
        let alone = line.join(100).now_or_never().expect("nobody is there");
        assert!(line.join(0).now_or_never().is_none());
        drop(alone);
        let _small = line.join(1).now_or_never().expect("nobody is there");
        assert!(line.join(100).now_or_never().is_none());
        assert_eq!(line.count(), 1);
    }
}
