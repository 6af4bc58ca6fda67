//! The jobs that this process owns, by id.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pigeon_protocol::id::JobId;

use crate::job::Job;

/// The jobs that this process owns: those that it works at, and those at rest that it keeps its claim on.
#[derive(Default)]
pub(crate) struct Jobs(Mutex<HashMap<JobId, Arc<Job>>>);

impl Jobs {
    /// A job that is owned here.
    pub(crate) fn get(&self, job: JobId) -> Option<Arc<Job>> {
        self.lock().get(&job).cloned()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether one of them is so.
    pub(crate) fn any(&self, is_so: impl FnMut(&Arc<Job>) -> bool) -> bool {
        self.lock().values().any(is_so)
    }

    /// Own one more.
    pub(crate) fn insert(&self, job: Arc<Job>) {
        self.lock().insert(job.id, job);
    }

    /// Give one up.
    pub(crate) fn remove(&self, job: JobId) {
        let removed = self.lock().remove(&job);
        // Its claim ends outside the lock: that closes a file.
        drop(removed);
    }

    /// Give up every one, once nothing works at them any more.
    pub(crate) fn clear(&self) {
        std::mem::take(&mut *self.lock());
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Job>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
