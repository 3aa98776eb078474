//! Statements of what a task waits for, kept with the task for the report of a deadlock.
//!
//! They change nothing in a run: no event, no wake, no order.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use super::state::{LabelId, Shared};

/// While this lives, the task that made it says that it waits for something.
#[must_use = "the statement ends when this is dropped"]
pub struct WaitingFor {
    shared: Arc<Shared>,
    /// `None`: no task was running.
    label: Option<LabelId>,
}

impl WaitingFor {
    pub(super) fn new(shared: Arc<Shared>, label: Cow<'static, str>) -> Self {
        let label = shared.add_label(label);
        Self { shared, label }
    }
}

impl Drop for WaitingFor {
    fn drop(&mut self) {
        if let Some(label) = self.label.take() {
            self.shared.remove_label(label);
        }
    }
}

/// From the first pending poll of `future` to its end, whoever polled it says that it waits for `label`.
pub(super) async fn labelled<F: Future>(shared: Arc<Shared>, label: Cow<'static, str>, future: F) -> F::Output {
    let mut future = pin!(future);
    let mut label = Some(label);
    let mut _waiting = None;
    poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        if polled.is_pending()
            && let Some(label) = label.take()
        {
            _waiting = Some(WaitingFor::new(shared.clone(), label));
        }
        polled
    })
    .await
}
