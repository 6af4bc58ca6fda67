//! The log of all that happened: written in the order in which it was told, read back by number.
//!
//! What becomes of a job is told with the change itself ([`Journal::telling`]): both are on disk, or neither is, so the log
//! is never behind what it tells of, whenever the process dies.
//!
//! What else happens (agents come and go, work is tried again) is told without waiting ([`Journal::note`]) and written by a
//! task, some at a time, so that it costs a busy control host a few commits a second. It is on disk a moment later; a process
//! that is killed may lose what it noted in its last moment. Whoever acts for a person waits until that is on disk
//! ([`Journal::flush`]), and whoever reads the log reads all that was told before. A job that had come to rest goes on, or
//! ends, behind all that was noted of it before ([`Journal::written`]).

use std::{ops::Deref, sync::Arc, time::Duration};

use futures::stream::{self, BoxStream, StreamExt as _};
use pigeon_api::{ApiError, ErrorKind, Event, EventFilter, EventKind, Result};
use pigeon_protocol::id::JobId;
use pigeon_store::{NewEvent, Store, StoreError, StoredEvent};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{clock, core::going_down, error::store_error, status::word};

/// Who the control host itself is, in the log.
pub(crate) const HOST: &str = "pigeon";

/// Entries are gathered for so long before they are written, unless somebody waits for them.
const LINGER: Duration = Duration::from_millis(20);

/// Entries written at a time.
const AT_ONCE: usize = 512;

/// Entries that are kept while the disk takes none; of more, the newest are lost, and that is logged.
const KEPT: usize = 100_000;

/// How long to wait before trying again to write what the disk did not take.
const AGAIN: Duration = Duration::from_secs(1);

/// Entries read at a time by those who follow.
const PAGE: usize = 256;

/// How often to look for what other processes wrote, where they may.
const LOOK: Duration = Duration::from_millis(500);

/// The way into the log, and out of it.
pub(crate) struct Journal {
    store: Arc<dyn Store>,
    told: mpsc::UnboundedSender<Told>,
    /// Number of the last entry that is known to be on disk.
    last: watch::Receiver<u64>,
}

/// The store, for a change that the log tells of. When it is dropped, those who follow the log look what came.
pub(crate) struct Telling {
    store: Box<dyn Store>,
    /// If there is something to tell.
    journal: Option<Arc<Journal>>,
}

impl Deref for Telling {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(journal) = &self.journal {
            let _ = journal.told.send(Told::Changed);
        }
    }
}

enum Told {
    Entry(NewEvent),
    /// Something was told with a change.
    Changed,
    /// Tell when all that was told before is on disk, or why it is not.
    Flush(oneshot::Sender<pigeon_store::Result<()>>),
}

impl Journal {
    /// A log, and the task that writes it until the last clone of the journal is gone.
    pub(crate) fn start(store: Arc<dyn Store>) -> (Arc<Self>, JoinHandle<()>) {
        // Unbounded, since the owner of the queue tells of what happened and must not wait. What is told has cost whoever
        // caused it a write of its own, and `KEPT` bounds what waits for a disk that takes nothing.
        let (told, heard) = mpsc::unbounded_channel();
        let (on_disk, last) = watch::channel(0);
        let task =
            tokio::spawn(Writer { store: store.clone(), heard, on_disk, kept: Vec::new(), changed: false }.run());
        (Arc::new(Self { store, told, last }), task)
    }

    /// Tell that something happened. `author` did it.
    pub(crate) fn note(&self, author: &str, kind: EventKind, about: About<'_>, message: impl Into<String>) {
        self.keep(entry(author, kind, about, message));
    }

    /// Tell that.
    pub(crate) fn keep(&self, entry: NewEvent) {
        // The task ends after everybody who could tell it something.
        let _ = self.told.send(Told::Entry(entry));
    }

    /// The store, for a change with which these entries go on disk; left out where it is refused, or changes nothing.
    pub(crate) fn telling(self: &Arc<Self>, entries: impl IntoIterator<Item = NewEvent>) -> Telling {
        let entries: Vec<_> = entries.into_iter().collect();
        let journal = (!entries.is_empty()).then(|| self.clone());
        Telling { store: self.store.telling(entries), journal }
    }

    /// Wait until all that was told before is on disk, or cannot get there by now.
    pub(crate) async fn flush(&self) {
        // It was logged, and is kept until it can be written.
        let _ = self.written().await;
    }

    /// Wait until all that was told before is on disk.
    ///
    /// # Errors
    /// Those of the write; then it is tried again later.
    pub(crate) async fn written(&self) -> pigeon_store::Result<()> {
        let (written, heard) = oneshot::channel();
        match self.told.send(Told::Flush(written)) {
            Ok(()) => heard.await.unwrap_or(Err(StoreError::Closed)),
            Err(_) => Err(StoreError::Closed),
        }
    }

    /// Tell that, behind all that was told before, and wait until it is on disk. If it does not get there, it is not told.
    ///
    /// # Errors
    /// Those of the writes.
    pub(crate) async fn tell(&self, entry: NewEvent) -> pigeon_store::Result<()> {
        self.written().await?;
        self.store.put_events(vec![entry]).await?;
        let _ = self.told.send(Told::Changed);
        Ok(())
    }

    /// The log behind an entry.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`] if there never was such an entry.
    pub(crate) async fn read(&self, filter: EventFilter, limit: usize) -> Result<Vec<Event>> {
        self.must_have(filter.after).await?;
        self.flush().await;
        self.page(filter, limit).await
    }

    /// The end of the log, or of what is before an entry; the oldest of it first.
    pub(crate) async fn read_last(&self, job: Option<JobId>, before: Option<u64>, limit: usize) -> Result<Vec<Event>> {
        self.flush().await;
        told(self.store.last_events(before, job, limit).await)
    }

    /// The same from then on, for ever.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`] if there never was such an entry.
    pub(crate) async fn follow(self: &Arc<Self>, filter: EventFilter) -> Result<BoxStream<'static, Result<Event>>> {
        self.must_have(filter.after).await?;
        let follower = Follower { journal: self.clone(), filter, last: self.last.clone() };
        let events = stream::unfold(Some(follower), |follower| async move {
            let mut follower = follower?;
            match follower.next().await {
                Ok(events) => Some((stream::iter(events.into_iter().map(Ok).collect::<Vec<_>>()), Some(follower))),
                Err(error) => Some((stream::iter(vec![Err(error)]), None)),
            }
        });
        Ok(events.flatten().boxed())
    }

    /// See that there was an entry of this number once. Who asks for what is behind one that is still to come would hear
    /// nothing until it does, and never of those before it.
    async fn must_have(&self, number: u64) -> Result<()> {
        if number <= *self.last.borrow() {
            return Ok(());
        }
        // Written before this process began, or by another one.
        let last = self.store.put_events(Vec::new()).await;
        let last = last.map_err(|error| store_error("failed to read the log of events", error))?;
        if number <= last {
            return Ok(());
        }
        let message = format!("the log has no entry {number} yet: its last is {last}");
        let hint = format!("that number is of another control host's log: begin with 0, or with {last} for what comes");
        Err(ApiError::new(ErrorKind::BadRequest, message).hint(hint))
    }

    async fn page(&self, filter: EventFilter, limit: usize) -> Result<Vec<Event>> {
        told(self.store.events(filter.after, filter.job, limit).await)
    }
}

/// An entry of the log: that something happened now, and `author` did it.
pub(crate) fn entry(author: &str, kind: EventKind, about: About<'_>, message: impl Into<String>) -> NewEvent {
    NewEvent {
        at_ms: clock::now_ms(),
        author: author.to_owned(),
        kind: word(&kind),
        job: about.job,
        subject: about.subject.map(str::to_owned),
        message: message.into(),
    }
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About<'a> {
    job: Option<JobId>,
    subject: Option<&'a str>,
}

impl<'a> About<'a> {
    /// The control host as a whole.
    pub(crate) const HOST: About<'static> = About { job: None, subject: None };

    /// A job.
    pub(crate) fn job(job: JobId) -> Self {
        Self { job: Some(job), subject: None }
    }

    /// Something with a name: an agent, a plugin, a schedule, a token.
    pub(crate) fn named(subject: &'a str) -> Self {
        Self { job: None, subject: Some(subject) }
    }

    /// That too.
    pub(crate) fn and(self, subject: &'a str) -> Self {
        Self { subject: Some(subject), ..self }
    }
}

struct Follower {
    journal: Arc<Journal>,
    filter: EventFilter,
    last: watch::Receiver<u64>,
}

impl Follower {
    /// What comes next; waits for it.
    async fn next(&mut self) -> Result<Vec<Event>> {
        loop {
            // Marked before the store is read: what is written meanwhile wakes us again.
            self.last.borrow_and_update();
            let page = self.journal.page(self.filter, PAGE).await?;
            if let Some(last) = page.last() {
                self.filter.after = last.seq;
                return Ok(page);
            }
            // Other processes that use the directory wake nobody here.
            if let Ok(Err(_)) = timeout(LOOK, self.last.changed()).await {
                return Err(going_down());
            }
        }
    }
}

struct Writer {
    store: Arc<dyn Store>,
    heard: mpsc::UnboundedReceiver<Told>,
    on_disk: watch::Sender<u64>,
    kept: Vec<NewEvent>,
    /// Something was told with a change since it was last known what is on disk.
    changed: bool,
}

impl Writer {
    async fn run(mut self) {
        let mut waiting = Vec::new();
        while let Some(told) = self.heard.recv().await {
            let until = Instant::now() + LINGER;
            self.take(told, &mut waiting);
            while waiting.is_empty() && self.kept.len() < AT_ONCE {
                match tokio::time::timeout_at(until, self.heard.recv()).await {
                    Ok(Some(told)) => self.take(told, &mut waiting),
                    Ok(None) | Err(_) => break,
                }
            }
            while let Ok(told) = self.heard.try_recv() {
                self.take(told, &mut waiting);
            }
            if waiting.is_empty() && self.write().await.is_err() {
                tokio::time::sleep(AGAIN).await;
                let _ = self.write().await;
            }
            // Whoever waits for it is told at once that it did not work out.
            for waits in waiting.drain(..) {
                let _ = waits.send(self.write().await);
            }
            if self.kept.len() > KEPT {
                tracing::error!(lost = self.kept.len() - KEPT, "entries of the log are lost: the disk takes none");
                self.kept.truncate(KEPT);
            }
        }
        let _ = self.write().await;
    }

    fn take(&mut self, told: Told, waiting: &mut Vec<oneshot::Sender<pigeon_store::Result<()>>>) {
        match told {
            Told::Entry(entry) => self.kept.push(entry),
            Told::Changed => self.changed = true,
            Told::Flush(waits) => waiting.push(waits),
        }
    }

    /// Write what is kept. If that fails, it is kept still.
    async fn write(&mut self) -> pigeon_store::Result<()> {
        while !self.kept.is_empty() || self.changed {
            let some = self.kept[..self.kept.len().min(AT_ONCE)].to_vec();
            let count = some.len();
            match self.store.put_events(some).await {
                Ok(last) => {
                    self.kept.drain(..count);
                    self.changed = false;
                    self.on_disk.send_replace(last);
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "failed to write the log of events");
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

fn told(events: pigeon_store::Result<Vec<StoredEvent>>) -> Result<Vec<Event>> {
    let events = events.map_err(|error| store_error("failed to read the log of events", error))?;
    events.into_iter().map(event).collect()
}

fn event(stored: StoredEvent) -> Result<Event> {
    let StoredEvent { seq, event } = stored;
    let kind = serde_json::from_value(serde_json::Value::String(event.kind)).map_err(|error| {
        ApiError::new(ErrorKind::Internal, format!("entry {seq} of the log is of a kind that is not known"))
            .caused_by(error)
    })?;
    Ok(Event {
        seq,
        at_ms: i64::try_from(event.at_ms).unwrap_or(i64::MAX),
        author: event.author,
        kind,
        job: event.job,
        subject: event.subject,
        message: event.message,
    })
}
