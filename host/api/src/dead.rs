//! Dead letters: runs that could not be judged, and will not be tried again unless somebody says so.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use pigeon_protocol::id::{Digest, JobId, ParseIdError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{FailureInfo, text};

/// Names a dead letter: the job and the run's index, as `JOB:RUN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeadId {
    /// The job.
    pub job: JobId,
    /// Index of the run in it.
    pub run: u64,
}

impl fmt::Display for DeadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.job, self.run)
    }
}

/// It is not `JOB:RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseDeadIdError;

impl fmt::Display for ParseDeadIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a dead letter is named by its job and run, as JOB:RUN")
    }
}

impl std::error::Error for ParseDeadIdError {}

impl From<ParseIdError> for ParseDeadIdError {
    fn from(_: ParseIdError) -> Self {
        Self
    }
}

impl FromStr for DeadId {
    type Err = ParseDeadIdError;

    fn from_str(text: &str) -> Result<Self, ParseDeadIdError> {
        let (job, run) = text.split_once(':').ok_or(ParseDeadIdError)?;
        Ok(Self { job: job.parse()?, run: run.parse().map_err(|_| ParseDeadIdError)? })
    }
}

/// A run that could not be judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// Its name.
    #[serde(with = "text")]
    #[schema(value_type = String, example = "01890a5d-ac96-774b-bcce-b302099a8057:17")]
    pub id: DeadId,
    /// Id of the item.
    pub item: String,
    /// Iteration, from 0.
    pub iteration: u32,
    /// Worker place, from 0.
    pub place: u32,
    /// Name and version of the plugin: `gexpr 0.1.0`.
    pub plugin: String,
    /// SHA-256 of its component.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub digest: Digest,
    /// The agent that made the last attempt; empty if none did.
    pub worker: String,
    /// Attempts in all.
    pub attempts: u32,
    /// Why.
    pub failure: FailureInfo,
    /// When it was recorded, in milliseconds since 1970.
    pub at_ms: i64,
    /// Whether its input is still there, so that it can be tried again.
    pub input_kept: bool,
}

/// A dead letter with what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadDetail {
    /// The letter.
    pub letter: DeadLetter,
    /// The item's body; nothing if it is not kept any more.
    pub input: Option<Bytes>,
    /// What the guest logged in its last attempt.
    pub log: String,
}

/// Which dead letters are meant: those that all of this is true of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadFilter {
    /// These, by name. None given: whichever.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub ids: Vec<DeadName>,
    /// Of this job.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub job: Option<JobId>,
    /// With this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// With this in the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A [`DeadId`] as it stands in a list in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeadName(#[serde(with = "text")] pub DeadId);

impl DeadFilter {
    /// Whether it says anything at all: one that does not means every dead letter there is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
