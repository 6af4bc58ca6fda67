//! A schedule that is kept.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use pigeon_api::{ApiError, ErrorKind, Result, ScheduleInfo, ScheduleSpec, Submission};
use pigeon_store::ScheduleRecord;

use super::{plan::State, times::Times};

/// A schedule, what it says, and how far it is.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    spec: Arc<ScheduleSpec>,
    /// As it is kept.
    text: Bytes,
    pub(crate) times: Times,
    pub(crate) state: State,
    /// The time that follows those that were decided on, and up to where they were: looked for once.
    next: (i64, Option<i64>),
    /// What is pending is not looked at before, in milliseconds since 1970.
    pub(crate) not_before: Option<i64>,
    /// How often in a row it could not be looked at.
    pub(crate) failures: u32,
}

impl Entry {
    /// A schedule that is new, and was checked.
    ///
    /// # Errors
    /// If its times make no sense.
    pub(crate) fn new(spec: ScheduleSpec, author: &str, now: i64) -> Result<Self> {
        let times = Times::of(&spec.when, now)?;
        let text = serde_json::to_vec(&spec).map_err(|error| unreadable(&spec.name, error))?;
        Ok(Self::with(spec, text.into(), times, State::new(author, now)))
    }

    /// One that was kept.
    pub(crate) fn read(record: ScheduleRecord) -> Result<Self> {
        let unreadable = |error| unreadable(&record.name, error);
        let spec: ScheduleSpec = serde_json::from_slice(&record.spec).map_err(unreadable)?;
        let state: State = serde_json::from_slice(&record.state).map_err(unreadable)?;
        let times = Times::of(&spec.when, state.added_ms)?;
        Ok(Self::with(spec, record.spec, times, state))
    }

    fn with(spec: ScheduleSpec, text: Bytes, times: Times, state: State) -> Self {
        let next = (state.decided_ms, times.next(state.decided_ms));
        Self { spec: Arc::new(spec), text, times, state, next, not_before: None, failures: 0 }
    }

    /// Its state has changed.
    pub(crate) fn changed(&mut self) {
        if self.next.0 != self.state.decided_ms {
            self.next = (self.state.decided_ms, self.times.next(self.state.decided_ms));
        }
    }

    /// It could not be looked at, and is not before that time, in milliseconds since 1970.
    pub(crate) fn failed(&mut self, not_before: i64) {
        self.not_before = Some(not_before);
        self.failures = self.failures.saturating_add(1);
    }

    /// The next time to decide on; `None` while it waits, and if there is none any more.
    fn next(&self) -> Option<i64> {
        self.next.1.filter(|_| !self.state.paused)
    }

    /// As it is to be kept.
    pub(crate) fn record(&self) -> Result<ScheduleRecord> {
        let state = serde_json::to_vec(&self.state).map_err(|error| unreadable(&self.spec.name, error))?;
        Ok(ScheduleRecord { name: self.spec.name.clone(), spec: self.text.clone(), state: state.into() })
    }

    pub(crate) fn spec(&self) -> &ScheduleSpec {
        &self.spec
    }

    /// Bytes that it takes, about.
    pub(crate) fn size(&self) -> usize {
        self.text.len() * 2
    }

    /// When there is something to do, in milliseconds since 1970; `None` if nothing ever.
    pub(crate) fn wakes(&self, now: i64) -> Option<i64> {
        if self.state.is_ahead(now) && !self.state.paused {
            return Some(now);
        }
        let pending = !self.state.paused && !self.state.pending.is_empty();
        let pending = pending.then(|| self.not_before.unwrap_or(i64::MIN));
        // While something fails, what comes due waits as well.
        let failing = self.not_before.filter(|_| self.failures > 0).unwrap_or(i64::MIN);
        let next = self.next().map(|next| next.max(failing));
        pending.into_iter().chain(next).min()
    }

    /// Waits no longer than so long, in milliseconds: the clock may have gone back.
    pub(crate) fn bound_wait(&mut self, now: i64, longest: i64) {
        self.not_before = self.not_before.map(|at| at.min(now.saturating_add(longest)));
    }

    /// The job of a time, with the plugin that was found for it.
    pub(crate) fn submission(&self, time_ms: i64, plugin: &str) -> Submission {
        let mut submission = self.spec.job.clone();
        let time = Timestamp::from_millisecond(time_ms).map_or_else(|_| time_ms.to_string(), |time| time.to_string());
        submission.key = Some(format!("schedule:{}:{time}", self.spec.name));
        submission.plugin = plugin.to_owned();
        if submission.sources.is_null() {
            submission.sources = serde_json::json!({ "schedule": self.spec.name, "time": time });
        }
        submission
    }

    /// As people see it.
    pub(crate) fn info(&self) -> ScheduleInfo {
        let (spec, state) = (&self.spec, &self.state);
        ScheduleInfo {
            name: spec.name.clone(),
            when: spec.when.clone(),
            catch_up: spec.catch_up,
            overlap: spec.overlap,
            plugin: spec.job.plugin.clone(),
            items: spec.job.items.as_ref().map_or(0, Vec::len) as u64,
            author: state.author.clone(),
            paused: state.paused,
            next_ms: self.next(),
            last_ms: state.last.as_ref().map(|last| last.time_ms),
            last_job: state.last.as_ref().and_then(|last| last.job.clone()),
            last_error: state.last.as_ref().and_then(|last| last.error.clone()),
        }
    }
}

fn unreadable(name: &str, error: serde_json::Error) -> ApiError {
    ApiError::new(ErrorKind::Internal, format!("what is kept of schedule {name:?} cannot be read or written"))
        .caused_by(error)
}
