//! What all handlers share.

use std::{
    collections::HashMap,
    future::Future,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use pigeon_api::{ApiError, Pigeon};
use pigeon_protocol::id::JobId;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    backend::Backend,
    bound::Shares,
    failure::{Answer, Failure},
    limits::RestLimits,
    metrics::{Figures, Room},
    uploads::Uploads,
};

/// Authors of jobs that are remembered.
const AUTHORS: usize = 4096;

/// A handle on it.
#[derive(Clone)]
pub(super) struct Rest(Arc<Shared>);

/// What there is once for a server.
pub(super) struct Shared {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) limits: RestLimits,
    /// Whether it is reached over TLS.
    pub(super) tls: bool,
    pub(super) figures: Figures,
    /// Room for requests that are answered soon.
    pub(super) requests: Arc<Semaphore>,
    /// Room for those that go on.
    pub(super) streams: Arc<Semaphore>,
    /// Who has how many of those.
    pub(super) shares: Shares,
    /// Room for uploads.
    pub(super) upload_room: Arc<Semaphore>,
    /// Memory for bodies, in units of [`UNIT`](super::body::UNIT).
    pub(super) memory: Arc<Semaphore>,
    pub(super) authors: Authors,
    pub(super) uploads: Uploads,
    /// It goes down: what goes on ends.
    pub(super) stop: CancellationToken,
    /// What must be seen to its end, though its client is gone.
    pub(super) deeds: TaskTracker,
}

impl Rest {
    pub(super) fn new(backend: Arc<dyn Backend>, limits: RestLimits, tls: bool) -> Self {
        Self(Arc::new(Shared {
            backend,
            tls,
            figures: Figures::default(),
            requests: Arc::new(Semaphore::new(limits.requests)),
            streams: Arc::new(Semaphore::new(limits.streams)),
            shares: Shares::new((limits.streams / 4).max(1)),
            upload_room: Arc::new(Semaphore::new(limits.uploads)),
            memory: Arc::new(Semaphore::new(super::body::units(limits.memory) as usize)),
            limits,
            authors: Authors::default(),
            uploads: Uploads::default(),
            stop: CancellationToken::new(),
            deeds: TaskTracker::new(),
        }))
    }

    /// How much of the room for requests is taken.
    pub(super) fn room(&self) -> Room {
        let (limits, unit) = (&self.limits, super::body::UNIT as u64);
        let most = [limits.requests, limits.streams, limits.uploads].map(|most| most as u64);
        let free = [&self.requests, &self.streams, &self.upload_room].map(|room| room.available_permits() as u64);
        let memory = u64::from(super::body::units(limits.memory)) * unit;
        Room {
            most,
            taken: [0, 1, 2].map(|sort: usize| most[sort].saturating_sub(free[sort])),
            memory,
            memory_taken: memory.saturating_sub(self.memory.available_permits() as u64 * unit),
        }
    }

    /// See a deed to its end, even if the client that asked for it leaves: then nobody hears what came of it, but it was
    /// not cut off between two steps.
    pub(super) async fn deed<T: Send + 'static>(
        &self,
        deed: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Answer<T> {
        let span = tracing::Span::current();
        match self.deeds.spawn(tracing::Instrument::instrument(deed, span)).await {
            Ok(done) => Ok(done?),
            Err(broken) if broken.is_panic() => std::panic::resume_unwind(broken.into_panic()),
            Err(_) => Err(Failure::going_down()),
        }
    }
}

impl Deref for Rest {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Who submitted which job: that never changes, and is asked with every chunk.
#[derive(Default)]
pub(super) struct Authors(Mutex<HashMap<JobId, Arc<str>>>);

impl Authors {
    /// Who submitted this job.
    pub(super) async fn of(&self, pigeon: &dyn Pigeon, job: JobId) -> Result<Arc<str>, ApiError> {
        if let Some(author) = self.known().get(&job) {
            return Ok(author.clone());
        }
        let author: Arc<str> = pigeon.job(job).await?.author.into();
        self.learn(job, author.clone());
        Ok(author)
    }

    pub(super) fn learn(&self, job: JobId, author: Arc<str>) {
        let mut known = self.known();
        if known.len() >= AUTHORS {
            // Whoever is at work is learnt again at once.
            known.clear();
        }
        known.insert(job, author);
    }

    /// It is gone.
    pub(super) fn forget(&self, job: JobId) {
        self.known().remove(&job);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Arc<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
