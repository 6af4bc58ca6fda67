//! Outcomes of runs, as they are recorded and read.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use pigeon_protocol::{
    id::{Epoch, JobId, RunIndex},
    outcome::Verdict,
};

/// Outcomes of runs of one worker, recorded together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The job.
    pub job: JobId,
    /// The epoch of whoever records.
    pub epoch: Epoch,
    /// The worker's name, as it stands in reports.
    pub worker: Arc<str>,
    /// When they landed, in milliseconds since 1970.
    pub landed_ms: u64,
    /// The outcomes, in any order. They are best recorded as they come, some hundreds at a time.
    pub outcomes: Vec<OutcomeRow>,
}

/// What is kept of a run's outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeRow {
    /// Which run.
    pub run: RunIndex,
    /// What came of it.
    pub verdict: Verdict,
    /// Wall time on the agent of the attempt that counted, in microseconds.
    pub time_us: u64,
    /// How many attempts it took, that one included.
    pub attempts: u32,
    /// What the run is grouped under, if it is not valid. Only for [`Store::record`](crate::Store::record): it is counted in
    /// the [`Tally`](crate::Tally), and `None` where outcomes are read.
    pub error: Option<RunError>,
    /// The outcome encoded, findings, log and all. Empty where there is nothing to it beyond the fields above. The
    /// store does not look into it.
    pub detail: Bytes,
}

/// What an invalid or failed run is grouped under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    /// The code of the first finding of severity error, or of the failure.
    pub code: String,
    /// Its message. Runs are grouped by its first 512 bytes.
    pub message: String,
}

/// Outcomes that were committed together, as they are read back in the order in which they landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedBatch {
    /// Its number in the job, from 1. Numbers ascend; a batch as it was recorded may have been cut into several.
    pub number: u64,
    /// The worker's name.
    pub worker: Arc<str>,
    /// When they landed, in milliseconds since 1970; 0 if that was not kept.
    pub landed_ms: u64,
    /// The outcomes, ascending by run, without those that were taken back since.
    pub outcomes: Vec<OutcomeRow>,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    /// How many outcomes were recorded.
    pub recorded: u64,
    /// Runs that had an outcome already, and kept that one. As a rule none: the scheduler refuses them before.
    pub refused: Vec<RunIndex>,
}

/// How far a job has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// The runs that have an outcome, as ascending ranges that do not touch.
    pub done: Vec<Range<u64>>,
    /// Attempts at runs that have none yet, ascending by run.
    pub attempts: Vec<(RunIndex, Attempts)>,
}

/// Attempts at a run that brought no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempts {
    /// Attempts that failed and are to be tried again.
    pub failed: u32,
    /// Deaths of agents while they ran it alone.
    pub deaths: u32,
}
