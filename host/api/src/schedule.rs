//! Schedules: jobs that are submitted when their time comes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::submission::Submission;

/// A schedule to be kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSpec {
    /// Its name: lowercase letters, digits and hyphens. Unique.
    pub name: String,
    /// When it is due.
    pub when: When,
    /// What becomes of times at which no control host ran.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// What happens while a job of an earlier time is not finished.
    #[serde(default)]
    pub overlap: Overlap,
    /// The job, with its items: at most 8 MiB of them.
    pub job: Submission,
}

/// When a schedule is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum When {
    /// At the times that a cron expression of five fields names, in a time zone.
    Cron {
        /// Minute, hour, day of the month, month, day of the week.
        expression: String,
        /// An IANA time zone, such as `Europe/Berlin`; UTC if not said.
        #[serde(default)]
        zone: Option<String>,
    },
    /// Each time so many milliseconds have passed, counted from when it was added.
    Every {
        /// Time between two, in milliseconds.
        ms: u64,
    },
    /// Once, in milliseconds since 1970.
    At {
        /// The time, in milliseconds since 1970.
        ms: i64,
    },
}

/// What becomes of times that were missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CatchUp {
    /// They are passed over.
    Skip,
    /// One job for all of them.
    #[default]
    Once,
    /// A job for each, a hundred at most.
    All,
}

/// What happens while an earlier job of the schedule goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// The new one is not submitted.
    #[default]
    Skip,
    /// Both run.
    Allow,
    /// The earlier one is cancelled.
    Cancel,
}

/// A schedule as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleInfo {
    /// Its name.
    pub name: String,
    /// When it is due.
    pub when: When,
    /// What becomes of times that were missed.
    pub catch_up: CatchUp,
    /// What happens while an earlier job goes on.
    pub overlap: Overlap,
    /// The plugin as it was named.
    pub plugin: String,
    /// Number of its items.
    pub items: u64,
    /// Who added it.
    pub author: String,
    /// Whether it is paused.
    pub paused: bool,
    /// When it is due next, in milliseconds since 1970; never again if there is none.
    pub next_ms: Option<i64>,
    /// When it was due last, in milliseconds since 1970; nothing if it never was.
    pub last_ms: Option<i64>,
    /// The job of that time, by its id.
    pub last_job: Option<String>,
    /// What went wrong that time, if something did.
    pub last_error: Option<String>,
}
