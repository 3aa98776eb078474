//! Background tasks on tokio.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::runtime::Handle;

use crate::env::Spawn;

/// Tasks on one runtime. A task that panics is reported by its name and ends alone.
#[derive(Clone, Debug)]
pub struct TokioSpawn {
    handle: Handle,
}

impl TokioSpawn {
    pub fn new(handle: Handle) -> Self {
        Self { handle }
    }
}

impl Spawn for TokioSpawn {
    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        // The panic is only reported and the task's state is gone with it, so nobody can see that state broken.
        let watched = AssertUnwindSafe(task).catch_unwind();
        self.handle.spawn(async move {
            if watched.await.is_err() {
                tracing::error!(task = name, "a background task panicked; the mount lives on");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::TokioSpawn;
    use crate::env::Spawn;
    use std::time::Duration;

    #[test]
    fn a_panic_in_one_task_leaves_the_others_running() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let spawn = TokioSpawn::new(runtime.handle().clone());
        let (send, receive) = std::sync::mpsc::channel();
        spawn.spawn("fails", async { panic!("on purpose") });
        spawn.spawn("works", async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            send.send(()).unwrap();
        });
        assert!(receive.recv_timeout(Duration::from_secs(10)).is_ok());
    }
}
