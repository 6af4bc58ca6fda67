//! What is done of a schedule whose time has come.
//!
//! For a time that is due it does this, and each step may be repeated if it dies behind it:
//!
//! ```text
//!   decide (plan) ─► on disk: pending ─► the plugin, pinned ─► on disk ─► job, under the time's key ─► on disk: done
//! ```

use std::{sync::Arc, time::Duration};

use pigeon_api::{ApiError, ErrorKind, JobId, Overlap, Pigeon, Result, Stop};
use pigeon_store::Store;
use tokio_util::sync::CancellationToken;

use super::{
    ClientAs,
    entry::Entry,
    plan::{Pending, Turn, turn},
};
use crate::{error::store_error, submit};

/// Hears what came of each time of a schedule, by its name: the job, or why there is none.
pub(crate) type Log = Arc<dyn Fn(&str, &std::result::Result<JobId, String>) + Send + Sync>;

/// How long a time that waits for its turn waits at a time, in milliseconds.
const TURN: i64 = 5_000;

/// First wait after something failed, in milliseconds; doubled from time to time, up to `LONGEST`.
const FIRST: i64 = 1_000;
pub(super) const LONGEST: i64 = 60_000;

/// Longest that a submission may take.
const SUBMISSION: Duration = Duration::from_secs(120);

/// What came of a look at a time that is pending.
enum Seen {
    /// The next one can be looked at.
    Done,
    /// It waits for its turn.
    Waits,
}

/// Who does it.
#[derive(Clone)]
pub(super) struct Taker {
    pub(super) client: ClientAs,
    pub(super) store: Arc<dyn Store>,
    pub(super) log: Log,
    pub(super) stop: CancellationToken,
}

impl Taker {
    /// Writes down how far a schedule is.
    async fn keep(&self, entry: &Entry) -> Result<()> {
        let kept = self.store.put_schedule(entry.record()?).await;
        kept.map_err(|error| store_error(format!("failed to keep schedule {:?}", entry.spec().name), error))?;
        Ok(())
    }

    /// Writes down what has changed of a schedule. What is not on disk has not happened.
    pub(super) async fn change(&self, entry: &mut Entry, change: impl FnOnce(&mut Entry)) -> Result<()> {
        let before = entry.state.clone();
        change(entry);
        if entry.state == before {
            return Ok(());
        }
        let kept = self.keep(entry).await;
        if kept.is_err() {
            entry.state = before;
        }
        entry.changed();
        kept
    }

    /// Does what there is to do of a schedule now.
    pub(super) async fn look(&self, entry: &mut Entry, now: i64) {
        match self.look_at(entry, now).await {
            Ok(Seen::Done) => (entry.failures, entry.not_before) = (0, None),
            Ok(Seen::Waits) => (entry.failures, entry.not_before) = (0, Some(now.saturating_add(TURN))),
            Err(error) => {
                let name = &entry.spec().name;
                tracing::warn!(schedule = name, error = &error as &dyn std::error::Error, "a schedule has to wait");
                let wait = (FIRST << entry.failures.min(16)).min(LONGEST);
                entry.failed(now.saturating_add(wait));
            }
        }
    }

    async fn look_at(&self, entry: &mut Entry, now: i64) -> Result<Seen> {
        self.change(entry, |entry| _ = entry.state.decide(&entry.times, entry.spec().catch_up, now)).await?;
        let client = (self.client)(&format!("schedule {}", entry.spec().name));
        while let Some(pending) = entry.state.pending.first().filter(|_| !self.stop.is_cancelled()).cloned() {
            if let Seen::Waits = self.take(&client, entry, pending).await? {
                return Ok(Seen::Waits);
            }
        }
        Ok(Seen::Done)
    }

    /// Does what is to be done about a time that is pending.
    async fn take(&self, client: &Arc<dyn Pigeon>, entry: &mut Entry, pending: Pending) -> Result<Seen> {
        let former = match entry.spec().overlap {
            Overlap::Allow => None,
            Overlap::Skip | Overlap::Cancel => goes_on(&**client, entry).await?,
        };
        let outcome = match (turn(entry.spec().overlap, former.is_some(), &pending), former) {
            (Turn::Wait, _) => return Ok(Seen::Waits),
            (Turn::Skip, Some(former)) => Err(format!("not submitted: job {former} goes on")),
            (turn, former) => {
                if let (Turn::Replace, Some(former)) = (turn, former) {
                    cancel(&**client, former).await?;
                }
                match self.submit(client, entry, &pending).await {
                    Ok(job) => Ok(job),
                    Err(error) if is_final(error.kind) => Err(told(&error)),
                    Err(error) => return Err(error),
                }
            }
        };
        // If this fails, it is taken again, and the key finds the same job.
        self.change(entry, |entry| entry.state.done(pending.time_ms, outcome.clone())).await?;
        (self.log)(&entry.spec().name, &outcome);
        Ok(Seen::Done)
    }

    async fn submit(&self, client: &Arc<dyn Pigeon>, entry: &mut Entry, pending: &Pending) -> Result<JobId> {
        let plugin = match &pending.plugin {
            Some(plugin) => plugin.clone(),
            None => {
                let plugin = client.plugin(&entry.spec().job.plugin).await?.digest.to_string();
                self.change(entry, |entry| entry.state.pin(pending.time_ms, &plugin)).await?;
                plugin
            }
        };
        let (client, submission) = (client.clone(), entry.submission(pending.time_ms, &plugin));
        // In a task of its own: if it takes too long it goes on, and is found under its key.
        let submitted = tokio::spawn(async move { submit::submit(&*client, submission).await });
        match tokio::time::timeout(SUBMISSION, submitted).await {
            Ok(Ok(submitted)) => submitted,
            Ok(Err(lost)) => Err(ApiError::new(ErrorKind::Internal, "a submission was lost").caused_by(lost)),
            Err(_) => Err(ApiError::new(ErrorKind::Overloaded, "a submission takes too long")),
        }
    }
}

/// The schedule's last job, if it goes on.
async fn goes_on(client: &dyn Pigeon, entry: &Entry) -> Result<Option<JobId>> {
    let Some(job) = entry.state.job.as_deref().and_then(|job| job.parse().ok()) else { return Ok(None) };
    match client.job(job).await {
        Ok(status) => Ok(Some(job).filter(|_| !status.state.is_final())),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Cancels a job that went on a moment ago.
async fn cancel(client: &dyn Pigeon, job: JobId) -> Result<()> {
    match client.stop(job, Stop::Cancel).await {
        // It has ended meanwhile.
        Err(error) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::NotFound) => Ok(()),
        stopped => stopped,
    }
}

/// Whether a submission that was refused so would be refused again.
fn is_final(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::BadRequest
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::Forbidden
        | ErrorKind::Unauthorized
        | ErrorKind::TooLarge
        | ErrorKind::Unsupported => true,
        ErrorKind::Overloaded | ErrorKind::Unreachable | ErrorKind::Exhausted | ErrorKind::Internal => false,
    }
}

/// An error with all that it came from.
fn told(error: &ApiError) -> String {
    let sources = std::iter::successors(std::error::Error::source(error), |source| source.source());
    sources.fold(error.message.clone(), |told, source| format!("{told}: {source}"))
}
