//! The one thread that writes.
//!
//! Commands wait in a bounded channel. The thread takes all that wait, applies them in order within one transaction,
//! commits it (one fsync for all), and only then answers. So a lone command is committed at once, and the more there
//! are, the less each costs. Where several wait, the thread waits a moment for those that are just behind them: what a
//! commit costs beyond its commands would else be paid for every few of them.
//!
//! A command that is refused (a stale epoch, a sealed job) has written nothing: the others go on. If the database
//! itself fails, nothing of the group was done, and each command is tried alone, so that one that cannot be written
//! spares the others.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use pigeon_protocol::id::JobId;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{outcomes::Open, spool::Appender};
use crate::{Commits, Result, StoreError};

/// Commands that may wait before callers have to; also the most that are committed together.
const QUEUE: usize = 256;

/// Where fewer wait than this, nobody is waited for.
const CROWD: usize = 4;

/// How long to wait for more where many write; again and again as long as more come.
const MOMENT: Duration = Duration::from_micros(100);

/// How often at most.
const MOMENTS: usize = 10;

/// What a command works with.
pub(super) struct Work {
    /// Within a transaction.
    pub(super) connection: Connection,
    /// What is put here is synced before the transaction is committed.
    pub(super) spools: Appender,
    /// The jobs that this process writes outcomes of, as they stand in this transaction.
    pub(super) open: HashMap<JobId, Open>,
    /// Whether runs that could not be judged become dead letters.
    pub(super) dead_letters: bool,
}

/// Something to be done in a transaction.
trait Command: Send {
    fn apply(&mut self, work: &mut Work) -> Result<()>;
    fn answer(self: Box<Self>, done: Result<()>);
}

struct Call<F, T> {
    call: F,
    value: Option<T>,
    answer: oneshot::Sender<Result<T>>,
}

impl<F, T> Command for Call<F, T>
where
    F: FnMut(&mut Work) -> Result<T> + Send,
    T: Send,
{
    fn apply(&mut self, work: &mut Work) -> Result<()> {
        self.value = Some((self.call)(work)?);
        Ok(())
    }

    fn answer(self: Box<Self>, done: Result<()>) {
        let Self { value, answer, .. } = *self;
        // Whoever asked may have gone; what was done stays done.
        let _ = answer.send(done.and_then(|()| value.ok_or(StoreError::Closed)));
    }
}

/// The way to the thread, and its end: dropping it waits for what was asked.
#[derive(Debug)]
pub(super) struct Writer {
    database: PathBuf,
    commands: Option<mpsc::Sender<Box<dyn Command>>>,
    commits: Arc<Mutex<Commits>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    /// Start the thread.
    pub(super) fn start(
        connection: Connection,
        spools: Appender,
        database: PathBuf,
        dead_letters: bool,
    ) -> Result<Self> {
        let (commands, receiver) = mpsc::channel(QUEUE);
        let work = Work { connection, spools, open: HashMap::new(), dead_letters };
        let thread = thread::Builder::new().name("pigeon-store".to_owned());
        let times = Arc::<Mutex<Commits>>::default();
        let counted = times.clone();
        let thread = thread.spawn(move || run(work, receiver, &counted));
        match thread {
            Ok(thread) => Ok(Self { database, commands: Some(commands), commits: times, thread: Some(thread) }),
            Err(source) => Err(StoreError::Io { doing: "start the writer of", path: database, source }),
        }
    }

    /// Do something in a transaction; returns when it is on disk. `call` is done again if the transaction that it was
    /// in failed for another's sake.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        call: impl FnMut(&mut Work) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let commands = self.commands.as_ref().ok_or(StoreError::Closed)?;
        let command = Box::new(Call { call, value: None, answer });
        commands.send(command).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?.map_err(|error| error.in_database(&self.database))
    }
}

impl Writer {
    /// How long it took to put groups of commands on disk.
    pub(super) fn commits(&self) -> Commits {
        *self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // It only ends in panic if a command did, and then its caller knows.
            let _ = thread.join();
        }
    }
}

fn run(mut work: Work, mut commands: mpsc::Receiver<Box<dyn Command>>, commits: &Mutex<Commits>) {
    let mut group = Vec::with_capacity(QUEUE);
    while commands.blocking_recv_many(&mut group, QUEUE) > 0 {
        gather(&mut commands, &mut group);
        let begun = Instant::now();
        match commit(&mut work, &mut group) {
            Ok(()) => commits.lock().unwrap_or_else(PoisonError::into_inner).add(begun.elapsed()),
            Err(error) => {
                tracing::debug!(%error, commands = group.len(), "a transaction failed");
                fail(&mut work, &mut group, error);
            }
        }
    }
}

/// Wait for those that come right behind a crowd.
fn gather(commands: &mut mpsc::Receiver<Box<dyn Command>>, group: &mut Vec<Box<dyn Command>>) {
    for _ in 0..MOMENTS {
        let had = group.len();
        if !(CROWD..QUEUE).contains(&had) {
            return;
        }
        thread::sleep(MOMENT);
        group.extend(std::iter::from_fn(|| commands.try_recv().ok()).take(QUEUE - had));
        if group.len() == had {
            return;
        }
    }
}

/// Answer a group whose transaction failed: one command with the error, several after each was tried alone.
fn fail(work: &mut Work, group: &mut Vec<Box<dyn Command>>, mut error: StoreError) {
    let several = group.len() > 1;
    for command in std::mem::take(group) {
        let mut alone = vec![command];
        if several {
            match commit(work, &mut alone) {
                Ok(()) => continue,
                Err(own) => error = own,
            }
        }
        for command in alone {
            command.answer(Err(std::mem::replace(&mut error, StoreError::Closed)));
        }
    }
}

/// Do all of a group in one transaction, and answer; or do nothing of it and leave it as it is.
fn commit(work: &mut Work, group: &mut Vec<Box<dyn Command>>) -> Result<()> {
    execute(work, "BEGIN IMMEDIATE")?;
    let done = apply(work, group).and_then(|refusals| {
        work.spools.sync()?;
        execute(work, "COMMIT")?;
        Ok(refusals)
    });
    match done {
        Ok(refusals) => {
            work.spools.committed();
            for (command, refusal) in group.drain(..).zip(refusals) {
                command.answer(refusal.map_or(Ok(()), Err));
            }
            Ok(())
        }
        Err(error) => {
            // What is in memory is ahead of what is on disk now. It is read again where it is needed.
            work.open.clear();
            work.spools.rolled_back();
            if !work.connection.is_autocommit()
                && let Err(error) = execute(work, "ROLLBACK")
            {
                tracing::error!(%error, "a transaction could not be rolled back");
            }
            Err(error)
        }
    }
}

/// Apply every command; which of them were refused, and why. Fails if the database did.
fn apply(work: &mut Work, group: &mut [Box<dyn Command>]) -> Result<Vec<Option<StoreError>>> {
    let apply = |command: &mut Box<dyn Command>| match command.apply(work) {
        Ok(()) => Ok(None),
        Err(error) if error.is_refusal() => Ok(Some(error)),
        Err(error) => Err(error),
    };
    group.iter_mut().map(apply).collect()
}

fn execute(work: &Work, sql: &str) -> Result<()> {
    work.connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}
