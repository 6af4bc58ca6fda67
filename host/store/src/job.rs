//! Jobs as they are kept.

use std::{any::Any, fmt};

use bytes::Bytes;
use pigeon_protocol::id::{Digest, Epoch, JobId, Shape};

/// A job to be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// Options, sources, limits: all that is needed to go on with it. The store does not look into it.
    pub spec: Bytes,
    /// The plugin that judges it. It must have been put.
    pub plugin: Digest,
    /// How its runs are numbered.
    pub shape: Shape,
    /// Higher goes first.
    pub priority: i32,
    /// When it was accepted, in milliseconds since 1970.
    pub created_ms: u64,
    /// What its submission is known by, if it is: no two jobs of an author that are kept have the same one.
    pub key: Option<String>,
    /// Who submitted it. Empty where nobody has a name.
    pub author: String,
}

/// A job as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// What it was accepted with.
    pub job: NewJob,
    /// Where it stands.
    pub state: JobState,
    /// The epoch of its latest owner.
    pub epoch: Epoch,
    /// Items appended so far.
    pub items: u64,
    /// Chunks appended so far: the number that the next one has to have.
    pub chunks: u64,
    /// Bytes of all bodies appended.
    pub bytes: u64,
    /// The cursor of the last chunk: where the reader of its sources stands. Empty before the first.
    pub cursor: Bytes,
    /// What was said when it was sealed. `None` while it is open.
    pub sealed: Option<Bytes>,
    /// What was said when it was finished. Empty until then.
    pub summary: Bytes,
    /// How long it was worked at, as far as its owners said, in milliseconds.
    pub worked_ms: u64,
    /// When it was finished, in milliseconds since 1970.
    pub finished_ms: Option<u64>,
    /// Whether it waits until somebody has it go on. Never if it is finished.
    pub paused: bool,
    /// Whether the bodies of its items are kept still.
    pub has_bodies: bool,
    /// Its dead letters.
    pub dead: u64,
}

impl JobRecord {
    /// Runs of all items appended so far.
    pub fn planned_runs(&self) -> u64 {
        self.items.saturating_mul(self.job.shape.runs_per_item())
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum JobState {
    /// It has runs to do, or items to come. An interrupted job is one of these that nobody owns.
    Active = 0,
    /// Every run has an outcome.
    Completed = 1,
    /// It stopped at the first run that was invalid or failed.
    FailedFast = 2,
    /// It was cancelled.
    Cancelled = 3,
}

impl JobState {
    /// Whether nothing more will run.
    pub const fn is_finished(self) -> bool {
        !matches!(self, JobState::Active)
    }

    /// From the number that stands for it on disk.
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => JobState::Active,
            1 => JobState::Completed,
            2 => JobState::FailedFast,
            3 => JobState::Cancelled,
            _ => return None,
        })
    }
}

/// How a job ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// One of those that are finished.
    pub state: JobState,
    /// Kept for those who ask later.
    pub summary: Bytes,
    /// How long it was worked at, over all its owners, in milliseconds. Less than was said before changes nothing.
    pub worked_ms: u64,
    /// When it ended, in milliseconds since 1970.
    pub at_ms: u64,
}

impl JobEnd {
    /// One of which nothing more is to be kept.
    pub fn new(state: JobState, at_ms: u64) -> Self {
        Self { state, summary: Bytes::new(), worked_ms: 0, at_ms }
    }
}

/// Which jobs to list: those that all of this is true of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobFilter {
    /// Only those that are not finished.
    pub unfinished: bool,
    /// Only those that are paused, or only those that are not.
    pub paused: Option<bool>,
    /// Only those in one of these states; in whichever, if none is given.
    pub states: Vec<JobState>,
    /// Only those of a plugin with this name, in whatever version.
    pub plugin: Option<String>,
    /// Only those that come behind this one in the list: the last of the page before.
    pub before: Option<JobId>,
    /// At most so many of the newest.
    pub limit: Option<u32>,
}

/// How many jobs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobCounts {
    /// Those that are not finished, without those that are paused.
    pub active: u64,
    /// Those that are paused.
    pub paused: u64,
    /// Those of which every run has an outcome.
    pub completed: u64,
    /// Those that stopped at the first run that was invalid or failed.
    pub failed_fast: u64,
    /// Those that were cancelled.
    pub cancelled: u64,
}

/// The ownership of a job. It ends when this is dropped, or its process dies.
pub struct Claim {
    job: JobId,
    epoch: Epoch,
    /// What holds the ownership: a lock, a session.
    _guard: Box<dyn Any + Send + Sync>,
}

impl Claim {
    /// An ownership that lasts as long as `guard`. For those who write stores.
    pub fn new(job: JobId, epoch: Epoch, guard: impl Any + Send + Sync) -> Self {
        Self { job, epoch, _guard: Box::new(guard) }
    }

    /// The job.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// The epoch that this owner's writes carry.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("job", &self.job).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}
