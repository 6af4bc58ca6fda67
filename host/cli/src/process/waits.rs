//! Why nothing happens: a job on a server may have to wait for agents, and whoever waits with it wants to know.

use std::{sync::Arc, time::Duration};

use pigeon_api::{JobId, Pigeon, Waiting};
use tokio::time::{Instant, sleep_until};

use crate::{
    connect::Host,
    exit::Failed,
    paint::Paint,
    text::{Moment, View},
    units, words,
};

/// How long nothing happens before it is asked why, and again.
const PACE: Duration = Duration::from_secs(2);

/// What came of it.
pub(super) enum Waited {
    /// It waits for this; said once.
    For(String),
    /// It has waited for longer than it may.
    TooLong(Failed),
}

/// Looks at a job of a server while nothing happens. An embedded control host has its own workers: there is nothing to
/// wait for.
pub(super) struct Waits {
    client: Option<Arc<dyn Pigeon>>,
    job: JobId,
    patience: Option<Duration>,
    /// When it is looked at next.
    due: Instant,
    /// Since when it waits.
    since: Option<Instant>,
    done: u64,
    told: Option<String>,
}

impl Waits {
    pub(super) fn new(host: &Host, job: JobId, patience: Option<Duration>) -> Self {
        let client = (!host.is_local()).then(|| host.client());
        Self { client, job, patience, due: Instant::now() + PACE, since: None, done: 0, told: None }
    }

    /// Something happened.
    pub(super) fn landed(&mut self) {
        self.due = Instant::now() + PACE;
        self.since = None;
        self.told = None;
    }

    /// So many runs are done now.
    pub(super) fn progressed(&mut self, done: u64) {
        if done != self.done {
            self.done = done;
            self.landed();
        }
    }

    /// Wait until there is something to tell.
    pub(super) async fn next(&mut self) -> Waited {
        let Some(client) = self.client.clone() else { return std::future::pending().await };
        loop {
            let end = self.since.zip(self.patience).map(|(since, patience)| since + patience);
            sleep_until(end.map_or(self.due, |end| end.min(self.due))).await;
            // First, so that it is not asked again at once by whoever was interrupted here.
            self.due = Instant::now() + PACE;
            // What is wrong with the server is told by the job's events.
            let Ok(status) = client.job(self.job).await else { continue };
            let Some(waiting) = status.waiting.filter(is_for_others) else {
                (self.since, self.told) = (None, None);
                continue;
            };
            let view = View {
                paint: Paint::PLAIN,
                width: usize::MAX,
                unicode: false,
                moment: Moment::now(),
                flags: String::new(),
            };
            let reason = words::waiting(&waiting, &view);
            let since = *self.since.get_or_insert_with(Instant::now);
            if let Some(patience) = self.patience
                && since.elapsed() >= patience
            {
                let waited = units::in_units(patience);
                return Waited::TooLong(Failed::machinery(format!("the job has waited for {waited}: {reason}")));
            }
            if self.told.as_ref() != Some(&reason) {
                self.told = Some(reason.clone());
                return Waited::For(format!("the job waits: {reason}"));
            }
        }
    }
}

/// Whether it waits for something that we cannot do ourselves.
fn is_for_others(waiting: &Waiting) -> bool {
    !matches!(waiting, Waiting::Items | Waiting::Paused)
}
