//! How a control host goes down, in this order:
//!
//! 1. Nothing new is taken: submissions, items and schedules are refused, and it calls itself not ready.
//! 2. Schedules end; what is being submitted for one is submitted first.
//! 3. The hub says good-bye: agents bring in what they have, hear that they may come again, and keep what is not acknowledged.
//! 4. The owner ends: it gives out nothing more, and sees the writes under way to their end.
//! 5. The log is written to its end. Jobs are given up: they are not finished, and whoever starts next takes them up.
//! 6. An embedded control host forgets what need not be kept.
//!
//! Steps 2 to 4 share the deadline. Whatever is cut off by it, or by a power cut, loses nothing that was acknowledged.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use pigeon_api::EventKind;
use tokio::time::{Instant, timeout, timeout_at};

use super::{App, Running};
use crate::{
    clock,
    journal::{About, HOST},
};

/// What is left of the deadline for writes, however long agents took.
const LEAST: Duration = Duration::from_secs(5);

impl App {
    /// Go down in order, within `grace` and a few seconds. Done twice, the second does nothing.
    pub async fn drain(&self, grace: Duration) {
        let core = &self.core;
        core.closing.store(true, Relaxed);
        let running = self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(Running { hub, mut owner, journal }) = running else { return };
        let deadline = Instant::now() + grace;
        let serves = core.serving.is_some();
        if serves {
            core.journal.note(HOST, EventKind::HostStopping, About::HOST, "goes down");
        }
        if let Some(schedules) = core.set_schedules(None)
            && timeout_at(deadline, schedules.stop()).await.is_err()
        {
            tracing::warn!("a schedule's job was not submitted in time: whoever starts next submits it, once");
        }
        hub.shutdown(deadline.saturating_duration_since(Instant::now())).await;
        self.stop.cancel();
        match timeout_at(deadline.max(Instant::now() + LEAST), &mut owner).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the owner of the queue ended badly"),
            Err(_) => {
                tracing::warn!("writes did not reach the disk in time and are given up: agents keep what they brought");
                owner.abort();
            }
        }
        if timeout(LEAST, core.journal.flush()).await.is_err() {
            tracing::warn!("the log was not written to its end");
        }
        journal.abort();
        // It was told to end; with it goes its hold on the store.
        let _ = journal.await;
        core.jobs.clear();
        if let Some(keep) = self.keep_figures() {
            keep();
        }
        if !serves {
            self.forget().await;
        }
    }

    /// Sweep, for a short time.
    async fn forget(&self) {
        let (retention, time) = {
            let config = self.config();
            (config.retention, config.sweep)
        };
        match timeout(time, self.core.store.sweep(clock::now_ms(), retention)).await {
            Ok(Ok(swept)) => tracing::debug!(?swept, "swept"),
            Ok(Err(error)) => tracing::warn!(error = &error as &dyn std::error::Error, "failed to sweep the store"),
            // It is done in small steps, each whole: the next process goes on with it.
            Err(_) => tracing::debug!("there is more to sweep than there was time for"),
        }
    }
}
