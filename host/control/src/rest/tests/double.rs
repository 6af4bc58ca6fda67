//! A double of the control host: jobs in memory that nobody runs, and whatever a test has it do.

mod client;
mod values;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use pigeon_api::*;
use tokio::sync::{Notify, watch};

use self::client::Client;
use super::super::Backend;
use crate::{Metrics, Principal};

/// The double. Knows a token for each role, called like it.
pub(super) struct Double {
    pub(super) queue: Arc<Queue>,
    pub(super) reasons: Mutex<Vec<String>>,
    /// Whether no token is good any more.
    pub(super) revoked: AtomicBool,
}

/// What it keeps.
pub(super) struct Queue {
    pub(super) jobs: Mutex<BTreeMap<JobId, Kept>>,
    /// Entries of the log that there are.
    pub(super) log: watch::Sender<u64>,
    /// Batches of runs that have landed, of every job.
    pub(super) landed: watch::Sender<u64>,
    /// Whether every job has ended.
    pub(super) ended: watch::Sender<bool>,
    /// Appends wait for this before they are done, if they are to.
    pub(super) gate: Notify,
    pub(super) gated: AtomicBool,
    /// Calls of append that have begun.
    pub(super) appends: AtomicU64,
    /// Whether [`Pigeon::stats`] panics.
    pub(super) panics: AtomicBool,
    pub(super) selections: Mutex<Vec<DeadFilter>>,
    /// Dead letters that are read at once, at most.
    pub(super) letters: AtomicUsize,
}

#[derive(Clone)]
pub(super) struct Kept {
    pub(super) author: String,
    pub(super) request: JobRequest,
    pub(super) chunks: BTreeMap<u64, Chunk>,
    pub(super) state: JobState,
    pub(super) accepted_ms: i64,
}

impl Kept {
    pub(super) fn items(&self) -> u64 {
        self.chunks.values().map(|chunk| chunk.len() as u64).sum()
    }
}

impl Default for Double {
    fn default() -> Self {
        let queue = Queue {
            jobs: Mutex::default(),
            log: watch::Sender::new(0),
            landed: watch::Sender::new(0),
            ended: watch::Sender::new(false),
            gate: Notify::new(),
            gated: AtomicBool::new(false),
            appends: AtomicU64::new(0),
            panics: AtomicBool::new(false),
            selections: Mutex::default(),
            letters: AtomicUsize::new(usize::MAX),
        };
        Self { queue: Arc::new(queue), reasons: Mutex::default(), revoked: AtomicBool::new(false) }
    }
}

impl Double {
    pub(super) fn kept(&self, job: &str) -> Kept {
        self.queue.jobs()[&job.parse().unwrap()].clone()
    }
}

impl Queue {
    fn jobs(&self) -> MutexGuard<'_, BTreeMap<JobId, Kept>> {
        self.jobs.lock().unwrap()
    }

    fn with<T>(&self, job: JobId, deed: impl FnOnce(&mut Kept) -> Result<T>) -> Result<T> {
        let mut jobs = self.jobs();
        let no_job = || ApiError::new(ErrorKind::NotFound, format!("there is no job {job}"));
        deed(jobs.get_mut(&job).ok_or_else(no_job)?)
    }
}

#[async_trait]
impl Backend for Double {
    fn client_as(&self, author: &str) -> Arc<dyn Pigeon> {
        Arc::new(Client { queue: self.queue.clone(), author: author.to_owned() })
    }

    fn principal(&self, secret: &str) -> Option<Principal> {
        let role = secret.parse::<Role>().ok().filter(|_| !self.revoked.load(SeqCst))?;
        Some(Principal { name: format!("{role}-token"), role })
    }

    fn ready(&self) -> std::result::Result<(), Vec<String>> {
        let reasons = self.reasons.lock().unwrap().clone();
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    async fn metrics(&self) -> Metrics {
        Metrics { runs: [3, 2, 1], ..Metrics::default() }
    }
}
