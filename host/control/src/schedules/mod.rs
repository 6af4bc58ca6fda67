//! Schedules: jobs that are submitted when their time comes.
//!
//! A schedule says when (`cron`, `times`), what becomes of times that were missed and of jobs that would run beside one
//! another (`plan`), and which job. One task keeps them all (`keeper`), and has done what is due (`taker`); what it knows of
//! each (`entry`) is in the store before anything comes of it.
//!
//! Each time that is chosen gives one job, whatever dies: the job carries a key that is made of the schedule's name and the
//! time, and a job with that key is opened once.
//!
//! Reading order: `cron`, `times`, `plan`, `check`, `entry`, `taker`, `keeper`.

mod check;
mod cron;
mod entry;
mod keeper;
mod plan;
mod taker;
mod times;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use pigeon_api::{ApiError, ErrorKind, Pigeon, Result, ScheduleInfo, ScheduleSpec, Submission};
use pigeon_store::Store;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use self::{
    entry::Entry,
    keeper::{Clock, Command, Keeper, Shown},
    taker::{Log, Taker},
};
use crate::{clock, error::store_error, job};

/// A client whose deeds are logged under a name: [`App::client_as`](crate::App::client_as).
pub(crate) type ClientAs = Arc<dyn Fn(&str) -> Arc<dyn Pigeon> + Send + Sync>;

/// Commands that may wait for the keeper.
const COMMANDS: usize = 64;

/// The schedules of a control host, and the task that keeps them.
pub(crate) struct Schedules {
    client: ClientAs,
    commands: mpsc::Sender<Command>,
    shown: Shown,
    stop: CancellationToken,
    keeper: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Schedules {
    /// Reads the schedules that are kept, and keeps them from now on. Call it when jobs can be submitted: their clients are
    /// made with `client`, under the name `schedule NAME`. What comes of each time, `log` hears.
    ///
    /// # Errors
    /// If the store cannot be read. A schedule that cannot is left alone, and told of in the log.
    pub(crate) async fn start(client: ClientAs, store: Arc<dyn Store>, log: Log) -> Result<Self> {
        let now = || i64::try_from(clock::now_ms()).unwrap_or(i64::MAX);
        Self::start_at(client, store, log, Arc::new(now)).await
    }

    /// Likewise, by a clock.
    async fn start_at(client: ClientAs, store: Arc<dyn Store>, log: Log, clock: Clock) -> Result<Self> {
        let kept = store.schedules().await.map_err(|error| store_error("failed to read the schedules", error))?;
        let mut entries = BTreeMap::new();
        for record in kept {
            let name = record.name.clone();
            match Entry::read(record) {
                Ok(entry) => _ = entries.insert(name, entry),
                Err(error) => {
                    tracing::error!(
                        schedule = name,
                        error = &error as &dyn std::error::Error,
                        "a schedule is left alone"
                    );
                }
            }
        }
        let (commands, received) = mpsc::channel(COMMANDS);
        let (shown, stop) = (Shown::default(), CancellationToken::new());
        let taker = Taker { client: client.clone(), store, log, stop: stop.clone() };
        let keeper = Keeper::new(taker, clock, entries, shown.clone());
        let keeper = tokio::spawn(keeper.run(received));
        Ok(Self { client, commands, shown, stop, keeper: tokio::sync::Mutex::new(Some(keeper)) })
    }

    /// All schedules, by name. Waits for nothing.
    pub(crate) async fn list(&self) -> Result<Vec<ScheduleInfo>> {
        Ok(self.shown.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect())
    }

    /// Keeps a schedule from now on.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`] and [`ErrorKind::TooLarge`] if it cannot be one, [`ErrorKind::NotFound`] if there is no
    /// such plugin, [`ErrorKind::Conflict`] if there is one of that name.
    pub(crate) async fn add(&self, spec: ScheduleSpec, author: &str) -> Result<ScheduleInfo> {
        check::check(&spec)?;
        job::check_labels(&spec.job.require, &spec.job.prefer)?;
        let plugin = (self.client)(author).plugin(&spec.job.plugin).await?;
        job::check_grants(&plugin, &spec.job.grants)?;
        job::check_options(&plugin, &spec.job.options)?;
        job::shape(spec.job.work.unwrap_or(Submission::USUAL_WORK), spec.job.max_parallel)?;
        self.ask(|answer| Command::Add(Box::new(spec), author.to_owned(), answer)).await
    }

    /// Has a schedule wait, or go on. What comes due while it waits is passed over.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub(crate) async fn pause(&self, name: &str, paused: bool) -> Result<ScheduleInfo> {
        self.ask(|answer| Command::Pause(name.to_owned(), paused, answer)).await
    }

    /// Forgets a schedule. Its jobs go on.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        self.ask(|answer| Command::Remove(name.to_owned(), answer)).await
    }

    /// Ends the task. What is being submitted is submitted first; what is left is taken up at the next start.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        if let Some(keeper) = self.keeper.lock().await.take()
            && let Err(error) = keeper.await
        {
            tracing::error!(%error, "the keeper of the schedules ended badly");
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command) -> Result<T> {
        let gone = || ApiError::new(ErrorKind::Unreachable, "the control host is going down");
        let (answer, heard) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| gone())?;
        heard.await.map_err(|_| gone())?
    }
}

/// There is no schedule of that name; the names that are like it are told.
fn unknown<'a>(name: &str, names: impl Iterator<Item = &'a String>) -> ApiError {
    let error = ApiError::new(ErrorKind::NotFound, format!("there is no schedule {name:?}"));
    let like = names.map(|other| (strsim::jaro_winkler(name, other), other)).filter(|(near, _)| *near > 0.8);
    match like.max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((_, like)) => error.hint(format!("there is {like:?}")),
        None => error.hint("pigeon schedule list shows them"),
    }
}

#[cfg(test)]
mod tests;
