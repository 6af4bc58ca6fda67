//! Dead letters: runs that could not be judged, and will not be tried again unless somebody says so.
//!
//! A dead letter is an entry beside the run's outcome, which is a failure and counts as one. It goes when the outcome is
//! taken back, so that the run has none and is run again, or when somebody forgets it and the outcome stands.

use std::sync::Arc;

use pigeon_protocol::id::{JobId, RunIndex};

use crate::OutcomeRow;

/// Which dead letters to list: those that all of this is true of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadQuery {
    /// Of this job.
    pub job: Option<JobId>,
    /// With this code.
    pub code: Option<String>,
    /// With this in the first 512 bytes of the message.
    pub message: Option<String>,
    /// Only those behind this one: the last of the page before. It need not be there any more.
    pub after: Option<(JobId, RunIndex)>,
    /// At most so many.
    pub limit: usize,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadRow {
    /// The job.
    pub job: JobId,
    /// The run.
    pub run: RunIndex,
    /// The worker that made the last attempt.
    pub worker: Arc<str>,
    /// What was recorded. [`OutcomeRow::error`] is there, with the first 512 bytes of the message.
    pub outcome: OutcomeRow,
    /// When it landed, in milliseconds since 1970.
    pub landed_ms: u64,
}
