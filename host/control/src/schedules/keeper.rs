//! The keeper: the one task that knows how far each schedule is.
//!
//! It sleeps until the next time is due, or until somebody wants something of it. Clocks may be set meanwhile, and
//! machines sleep too, so it looks at the clock twice a minute whatever it waits for.
//!
//! For a time that is due it does this, and each step may be repeated if it dies behind it:
//!
//! ```text
//!   decide (plan) ─► on disk: pending ─► the plugin, pinned ─► on disk ─► job, under the time's key ─► on disk: done
//! ```

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pigeon_api::{ApiError, ErrorKind, JobId, Overlap, Pigeon, Result, ScheduleInfo, ScheduleSpec, Stop};
use pigeon_store::{Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    ClientAs,
    entry::Entry,
    plan::{Pending, Turn, turn},
    unknown,
};
use crate::{error::store_error, submit};

/// The clock: milliseconds since 1970.
pub(super) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Hears what came of each time of a schedule, by its name: the job, or why there is none.
pub(crate) type Log = Arc<dyn Fn(&str, &std::result::Result<JobId, String>) + Send + Sync>;

/// How they stand, for whoever asks.
pub(super) type Shown = Arc<Mutex<BTreeMap<String, ScheduleInfo>>>;

/// Longest sleep.
const SLEEP: Duration = Duration::from_secs(30);

/// How long a time that waits for its turn waits at a time, in milliseconds.
const TURN: i64 = 5_000;

/// First wait after something failed, in milliseconds; doubled from time to time, up to `LONGEST`.
const FIRST: i64 = 1_000;
const LONGEST: i64 = 60_000;

/// Longest that a submission may take.
const SUBMISSION: Duration = Duration::from_secs(120);

/// Most bytes of all schedules.
const BYTES: usize = 512 << 20;

/// What somebody wants.
pub(super) enum Command {
    Add(Box<ScheduleSpec>, String, oneshot::Sender<Result<ScheduleInfo>>),
    Pause(String, bool, oneshot::Sender<Result<ScheduleInfo>>),
    Remove(String, oneshot::Sender<Result<()>>),
}

/// What came of a look at a time that is pending.
enum Seen {
    /// The next one can be looked at.
    Done,
    /// It waits for its turn.
    Waits,
}

pub(super) struct Keeper {
    pub(super) client: ClientAs,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) shown: Shown,
    pub(super) log: Log,
    pub(super) stop: CancellationToken,
}

impl Keeper {
    /// Keeps them until told to stop.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let now = (self.clock)();
            self.entries.values_mut().for_each(|entry| entry.bound_wait(now, LONGEST));
            let first = self.entries.iter().filter_map(|(name, entry)| Some((entry.wakes(now)?, name))).min();
            let first = first.map(|(at, name)| (at.saturating_sub(now).max(0).unsigned_abs(), name.clone()));
            let sleep = first.as_ref().map_or(SLEEP, |(wait, _)| Duration::from_millis(*wait).min(SLEEP));
            tokio::select! {
                // Leave.
                () = self.stop.cancelled() => break,
                // Somebody wants something.
                command = commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => break,
                },
                // A time has come, or the clock is to be looked at.
                () = tokio::time::sleep(sleep) => {
                    if let Some((_, name)) = first.filter(|(wait, _)| *wait == 0) {
                        self.look(&name).await;
                    }
                }
            }
        }
    }

    /// Shows how a schedule stands.
    pub(super) fn show(&self, name: &str) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match self.entries.get(name) {
            Some(entry) => _ = shown.insert(name.to_owned(), entry.info()),
            None => _ = shown.remove(name),
        }
    }

    async fn command(&mut self, command: Command) {
        // Who asked may have gone.
        match command {
            Command::Add(spec, author, answer) => _ = answer.send(self.add(*spec, &author).await),
            Command::Pause(name, paused, answer) => _ = answer.send(self.pause(&name, paused).await),
            Command::Remove(name, answer) => _ = answer.send(self.remove(&name).await),
        }
    }

    async fn add(&mut self, spec: ScheduleSpec, author: &str) -> Result<ScheduleInfo> {
        let name = spec.name.clone();
        let taken = || ApiError::new(ErrorKind::Conflict, format!("there is a schedule {name:?} already"));
        if self.entries.contains_key(&name) {
            return Err(taken().hint(format!("remove it first: pigeon schedule remove {name}")));
        }
        let entry = Entry::new(spec, author, (self.clock)())?;
        let bytes = self.entries.values().map(Entry::size).sum::<usize>().saturating_add(entry.size());
        if bytes > BYTES {
            let message = format!("all schedules together may take {} MiB", BYTES >> 20);
            return Err(ApiError::new(ErrorKind::Exhausted, message).hint("remove one, or give it fewer items"));
        }
        match self.store.add_schedule(entry.record()?).await {
            Ok(()) => {}
            Err(StoreError::NameTaken(_)) => return Err(taken()),
            Err(error) => return Err(store_error(format!("failed to keep schedule {name:?}"), error)),
        }
        let info = entry.info();
        self.entries.insert(name.clone(), entry);
        self.show(&name);
        Ok(info)
    }

    async fn pause(&mut self, name: &str, paused: bool) -> Result<ScheduleInfo> {
        let mut entry = self.entries.get(name).cloned().ok_or_else(|| unknown(name, self.entries.keys()))?;
        let now = (self.clock)();
        self.change(&mut entry, |entry| entry.state.pause(paused, now)).await?;
        let info = entry.info();
        self.entries.insert(name.to_owned(), entry);
        self.show(name);
        Ok(info)
    }

    async fn remove(&mut self, name: &str) -> Result<()> {
        if !self.entries.contains_key(name) {
            return Err(unknown(name, self.entries.keys()));
        }
        let removed = self.store.remove_schedule(name).await;
        removed.map_err(|error| store_error(format!("failed to remove schedule {name:?}"), error))?;
        self.entries.remove(name);
        self.show(name);
        Ok(())
    }

    /// Writes down how far a schedule is.
    async fn keep(&self, entry: &Entry) -> Result<()> {
        let kept = self.store.put_schedule(entry.record()?).await;
        kept.map_err(|error| store_error(format!("failed to keep schedule {:?}", entry.spec().name), error))?;
        Ok(())
    }

    /// Writes down what has changed of a schedule. What is not on disk has not happened.
    async fn change(&self, entry: &mut Entry, change: impl FnOnce(&mut Entry)) -> Result<()> {
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
    async fn look(&mut self, name: &str) {
        let now = (self.clock)();
        let Some(mut entry) = self.entries.get(name).cloned() else { return };
        match self.look_at(&mut entry, now).await {
            Ok(Seen::Done) => (entry.failures, entry.not_before) = (0, None),
            Ok(Seen::Waits) => (entry.failures, entry.not_before) = (0, Some(now.saturating_add(TURN))),
            Err(error) => {
                tracing::warn!(schedule = name, error = &error as &dyn std::error::Error, "a schedule has to wait");
                let wait = (FIRST << entry.failures.min(16)).min(LONGEST);
                entry.not_before = Some(now.saturating_add(wait));
                entry.failures = entry.failures.saturating_add(1);
            }
        }
        self.entries.insert(name.to_owned(), entry);
        self.show(name);
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
