//! The keeper: the one task that knows how far each schedule is.
//!
//! It sleeps until the next time is due, or until somebody wants something of it. Clocks may be set meanwhile, and
//! machines sleep too, so it looks at the clock twice a minute whatever it waits for. What is to be
//! done of a schedule whose time has come is done beside it (`taker`), of each one thing at a time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pigeon_api::{ApiError, ErrorKind, Result, ScheduleInfo, ScheduleSpec};
use pigeon_store::StoreError;
use tokio::{
    sync::{mpsc, oneshot},
    task::{Id, JoinError, JoinSet},
};

use super::{
    entry::Entry,
    taker::{LONGEST, Taker},
    unknown,
};
use crate::error::store_error;

/// The clock: milliseconds since 1970.
pub(super) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How they stand, for whoever asks.
pub(super) type Shown = Arc<Mutex<BTreeMap<String, ScheduleInfo>>>;

/// Longest sleep.
const SLEEP: Duration = Duration::from_secs(30);

/// Schedules that are looked at at once.
const AT_ONCE: usize = 16;

/// What may be wanted of schedules that are being looked at.
const WAITING: usize = 64;

/// Most bytes of all schedules.
const BYTES: usize = 512 << 20;

/// What somebody wants.
pub(super) enum Command {
    Add(Box<ScheduleSpec>, String, oneshot::Sender<Result<ScheduleInfo>>),
    Pause(String, bool, oneshot::Sender<Result<ScheduleInfo>>),
    Remove(String, oneshot::Sender<Result<()>>),
}

pub(super) struct Keeper {
    taker: Taker,
    clock: Clock,
    entries: BTreeMap<String, Entry>,
    shown: Shown,
    /// Looks at schedules that are under way, one of each at most.
    looks: JoinSet<Entry>,
    /// Of which.
    busy: HashMap<Id, String>,
    /// What is wanted of these.
    waiting: Vec<Command>,
}

impl Keeper {
    pub(super) fn new(taker: Taker, clock: Clock, entries: BTreeMap<String, Entry>, shown: Shown) -> Self {
        let keeper =
            Self { taker, clock, entries, shown, looks: JoinSet::new(), busy: HashMap::new(), waiting: Vec::new() };
        keeper.entries.keys().for_each(|name| keeper.show(name));
        keeper
    }

    /// Keeps them until told to stop.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let now = (self.clock)();
            self.entries.values_mut().for_each(|entry| entry.bound_wait(now, LONGEST));
            let idle = self.entries.iter().filter(|(name, _)| self.busy.len() < AT_ONCE && !self.is_busy(name));
            let first = idle.filter_map(|(name, entry)| Some((entry.wakes(now)?, name))).min();
            let first = first.map(|(at, name)| (at.saturating_sub(now).max(0).unsigned_abs(), name.clone()));
            let sleep = first.as_ref().map_or(SLEEP, |(wait, _)| Duration::from_millis(*wait).min(SLEEP));
            tokio::select! {
                // Leave.
                () = self.taker.stop.cancelled() => break,
                // What was to be done of a schedule is.
                Some(ended) = self.looks.join_next_with_id(), if !self.looks.is_empty() => self.looked(ended).await,
                // Somebody wants something.
                command = commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => break,
                },
                // A time has come, or the clock is to be looked at.
                () = tokio::time::sleep(sleep) => {
                    if let Some((_, name)) = first.filter(|(wait, _)| *wait == 0) {
                        self.begin(name);
                    }
                }
            }
        }
        // What is being submitted is submitted first.
        while let Some(ended) = self.looks.join_next_with_id().await {
            self.looked(ended).await;
        }
    }

    /// Shows how a schedule stands.
    fn show(&self, name: &str) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match self.entries.get(name) {
            Some(entry) => _ = shown.insert(name.to_owned(), entry.info()),
            None => _ = shown.remove(name),
        }
    }

    async fn command(&mut self, command: Command) {
        if let Command::Pause(name, ..) | Command::Remove(name, _) = &command
            && self.is_busy(name)
        {
            return self.defer(command);
        }
        // Who asked may have gone.
        match command {
            Command::Add(spec, author, answer) => _ = answer.send(self.add(*spec, &author).await),
            Command::Pause(name, paused, answer) => _ = answer.send(self.pause(&name, paused).await),
            Command::Remove(name, answer) => _ = answer.send(self.remove(&name).await),
        }
    }

    /// Once nothing is being done of its schedule.
    fn defer(&mut self, command: Command) {
        if self.waiting.len() < WAITING {
            return self.waiting.push(command);
        }
        let refused = || ApiError::new(ErrorKind::Overloaded, "too much waits for schedules that are being submitted");
        // Who asked may have gone.
        match command {
            Command::Add(_, _, answer) | Command::Pause(_, _, answer) => _ = answer.send(Err(refused())),
            Command::Remove(_, answer) => _ = answer.send(Err(refused())),
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
        match self.taker.store.add_schedule(entry.record()?).await {
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
        self.taker.change(&mut entry, |entry| entry.state.pause(paused, now)).await?;
        let info = entry.info();
        self.entries.insert(name.to_owned(), entry);
        self.show(name);
        Ok(info)
    }

    async fn remove(&mut self, name: &str) -> Result<()> {
        if !self.entries.contains_key(name) {
            return Err(unknown(name, self.entries.keys()));
        }
        let removed = self.taker.store.remove_schedule(name).await;
        removed.map_err(|error| store_error(format!("failed to remove schedule {name:?}"), error))?;
        self.entries.remove(name);
        self.show(name);
        Ok(())
    }

    /// Looks at a schedule in a task of its own: a submission may take long, and the others do not wait for it.
    fn begin(&mut self, name: String) {
        let Some(mut entry) = self.entries.get(&name).cloned() else { return };
        let (taker, now) = (self.taker.clone(), (self.clock)());
        let look = self.looks.spawn(async move {
            taker.look(&mut entry, now).await;
            entry
        });
        self.busy.insert(look.id(), name);
    }

    /// A look at a schedule has ended: what was wanted of it meanwhile is done now.
    async fn looked(&mut self, ended: std::result::Result<(Id, Entry), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(name) = self.busy.remove(&id) else { return };
        match ended {
            Ok((_, entry)) => _ = self.entries.insert(name.clone(), entry),
            Err(lost) => {
                tracing::error!(schedule = name, %lost, "a look at a schedule was lost");
                let now = (self.clock)();
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.failed(now.saturating_add(LONGEST));
                }
            }
        }
        self.show(&name);
        for command in std::mem::take(&mut self.waiting) {
            self.command(command).await;
        }
    }

    fn is_busy(&self, name: &str) -> bool {
        self.busy.values().any(|busy| busy == name)
    }
}
