//! Who appends to which job right now.
//!
//! An upload by lines gives its chunks numbers of its own. Were another to do so at the same time, both would use the
//! same numbers, and the second chunk of a number is ignored: so each job has one upload by lines, or any number of
//! chunks under way whose numbers their clients know.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use pigeon_protocol::id::JobId;

use super::failure::{Answer, Failure};

/// Jobs that somebody appends to: how many chunks are under way; nothing said while one upload has it alone.
#[derive(Default)]
pub(super) struct Uploads(Arc<Mutex<HashMap<JobId, Option<usize>>>>);

/// As long as this is held, the job is being appended to.
pub(super) struct Upload {
    job: JobId,
    uploads: Arc<Mutex<HashMap<JobId, Option<usize>>>>,
}

impl Uploads {
    /// One of many chunks.
    pub(super) fn chunk(&self, job: JobId) -> Answer<Upload> {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match jobs.entry(job).or_insert(Some(0)) {
            Some(chunks) => *chunks += 1,
            None => return Err(busy(job)),
        }
        drop(jobs);
        Ok(Upload { job, uploads: self.0.clone() })
    }

    /// The only one.
    pub(super) fn alone(&self, job: JobId) -> Answer<Upload> {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.contains_key(&job) {
            return Err(busy(job));
        }
        jobs.insert(job, None);
        drop(jobs);
        Ok(Upload { job, uploads: self.0.clone() })
    }
}

fn busy(job: JobId) -> Failure {
    Failure::conflict(format!("another request appends to job {job}"))
        .hint("wait until it has ended; an upload that was cut off is over within a moment")
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut jobs = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        match jobs.get_mut(&self.job) {
            Some(Some(chunks)) if *chunks > 1 => *chunks -= 1,
            _ => {
                jobs.remove(&self.job);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_go_together_and_an_upload_by_lines_alone() {
        let (uploads, job) = (Uploads::default(), JobId::new());
        let chunks = [uploads.chunk(job).unwrap(), uploads.chunk(job).unwrap()];
        assert!(uploads.alone(job).is_err());
        let alone = uploads.alone(JobId::new()).unwrap();
        assert!(uploads.chunk(alone.job).is_err() && uploads.alone(alone.job).is_err());
        let [first, second] = chunks;
        drop(first);
        assert!(uploads.alone(job).is_err());
        drop(second);
        drop(uploads.alone(job).unwrap());
        drop(uploads.chunk(job).unwrap());
        assert!(uploads.0.lock().unwrap().len() == 1, "only the other job is still appended to");
    }
}
