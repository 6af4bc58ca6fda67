//! What a schedule has to do now: decided here, without a clock, a store or a queue.
//!
//! ```text
//!            due: chosen by the catch-up policy                submitted, or skipped by the overlap policy
//!   future ───────────────────────────────────────► pending ───────────────────────────────────────────────► done
//!      └─── due, and not chosen: passed over ─────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Each time is decided on once: `decided` only moves forward. What is pending is on disk before anything is submitted,
//! and is taken from there only when its job is. So whatever dies, each chosen time gets its job; and since the job
//! carries a key that is made of the time, it gets only one.

use pigeon_api::{CatchUp, JobId, Overlap};
use serde::{Deserialize, Serialize};

use super::times::Times;

/// Most times that are caught up with.
const MOST: usize = 100;

/// A time that is no longer ago counts as met, in milliseconds: to be submitted takes a moment, and a control host that is
/// restarted misses nothing.
const LATE: i64 = 60_000;

/// A clock that goes back by more than this, in milliseconds, was wrong before: times are due again that it had passed.
const WRONG: i64 = 24 * 3600 * 1000;

/// How far a schedule is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Who added it.
    pub(crate) author: String,
    /// When, in milliseconds since 1970, as all times here.
    pub(crate) added_ms: i64,
    #[serde(default)]
    pub(crate) paused: bool,
    /// Times up to this one have been decided on.
    pub(crate) decided_ms: i64,
    /// Chosen times whose jobs are to be submitted, in order.
    #[serde(default)]
    pub(crate) pending: Vec<Pending>,
    /// The last time that was done with, and what came of it.
    #[serde(default)]
    pub(crate) last: Option<Last>,
    /// The last job that was submitted.
    #[serde(default)]
    pub(crate) job: Option<String>,
}

/// A time whose job is to be submitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) time_ms: i64,
    /// It was missed, and is caught up with: it waits for its turn.
    #[serde(default)]
    pub(crate) late: bool,
    /// The plugin's digest, once it was looked up: so that a repeat asks for the same job.
    #[serde(default)]
    pub(crate) plugin: Option<String>,
}

/// What came of a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Last {
    pub(crate) time_ms: i64,
    #[serde(default)]
    pub(crate) job: Option<String>,
    #[serde(default)]
    pub(crate) error: Option<String>,
}

impl State {
    pub(crate) fn new(author: &str, now: i64) -> Self {
        Self {
            author: author.to_owned(),
            added_ms: now,
            paused: false,
            decided_ms: now,
            pending: Vec::new(),
            last: None,
            job: None,
        }
    }

    /// Decides on the times that have come. Returns whether anything has changed.
    pub(crate) fn decide(&mut self, times: &Times, catch_up: CatchUp, now: i64) -> bool {
        let was_wrong = self.is_ahead(now);
        if was_wrong {
            self.decided_ms = now;
        }
        if self.paused {
            return was_wrong;
        }
        let mut due = times.last(self.decided_ms, now, MOST);
        let Some(latest) = due.last().copied() else { return was_wrong };
        let met = now - latest <= LATE;
        match catch_up {
            CatchUp::Skip if !met => due.clear(),
            CatchUp::Skip | CatchUp::Once => _ = due.drain(..due.len() - 1),
            CatchUp::All => {}
        }
        let pending = due.into_iter().map(|time_ms| Pending { time_ms, late: !met || time_ms != latest, plugin: None });
        self.pending.extend(pending);
        let surplus = self.pending.len().saturating_sub(MOST);
        self.pending.drain(..surplus);
        self.decided_ms = latest;
        true
    }

    /// Whether it has decided on times that a clock went through which was wrong.
    pub(crate) fn is_ahead(&self, now: i64) -> bool {
        self.decided_ms.saturating_sub(now) > WRONG
    }

    /// Has it wait, or go on: what comes due meanwhile is passed over.
    pub(crate) fn pause(&mut self, paused: bool, now: i64) {
        if self.paused {
            self.decided_ms = self.decided_ms.max(now);
        }
        self.paused = paused;
    }

    /// The plugin of a pending time is this one, by its digest.
    pub(crate) fn pin(&mut self, time_ms: i64, plugin: &str) {
        for pending in self.pending.iter_mut().filter(|pending| pending.time_ms == time_ms) {
            pending.plugin = Some(plugin.to_owned());
        }
    }

    /// A pending time is done with.
    pub(crate) fn done(&mut self, time_ms: i64, outcome: Result<JobId, String>) {
        self.pending.retain(|pending| pending.time_ms != time_ms);
        let (job, error) = match outcome {
            Ok(job) => (Some(job.to_string()), None),
            Err(error) => (None, Some(error)),
        };
        if job.is_some() {
            self.job.clone_from(&job);
        }
        self.last = Some(Last { time_ms, job, error });
    }
}

/// What to do about a time whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Submit its job.
    Submit,
    /// Cancel the job before it, and submit its own.
    Replace,
    /// Submit nothing for it.
    Skip,
    /// Look again later.
    Wait,
}

/// The turn of a time while the job before it goes on, or not. A time that is caught up with waits for that job: a job for
/// each was asked for.
pub(crate) fn turn(overlap: Overlap, goes_on: bool, pending: &Pending) -> Turn {
    match overlap {
        _ if !goes_on => Turn::Submit,
        Overlap::Allow => Turn::Submit,
        Overlap::Cancel => Turn::Replace,
        Overlap::Skip if pending.late => Turn::Wait,
        Overlap::Skip => Turn::Skip,
    }
}

#[cfg(test)]
mod tests;
