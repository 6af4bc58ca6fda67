//! What the owner begins and does not wait for: writes to the store, each in a task that ends in a [`Done`].

use std::{collections::BTreeSet, sync::Arc};

use pigeon_api::{ApiError, EventKind, JobState};
use pigeon_hub::Recorder;
use pigeon_protocol::{
    id::{JobId, RunIndex},
    message::RunRange,
    outcome::{Answer, Outcome, Verdict},
};
use pigeon_scheduler::{End, Grant};
use pigeon_store::{JobEnd, NewEvent, Store, StoreError};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    task::JoinSet,
};

use crate::{
    backlog::Backlog,
    clock,
    dispatch::Needed,
    error::store_error,
    figures::Figures,
    fit::Misfit,
    job::Job,
    journal::{About, HOST, Journal, Telling, entry},
    owner::TakenBack,
    record::{NOBODY, Recording},
};

/// Failures recorded at a time.
const FAILURES: usize = 4096;

/// Reasons for which runs are tried again that people are told of, each once.
const REASONS: usize = 16;

/// Characters of such a reason.
const REASON: usize = 300;

/// A job, with what the owner knows of it besides.
pub(crate) struct Owned {
    pub(crate) job: Arc<Job>,
    /// Writes under way, and what else it has to wait for before it ends.
    pub(crate) writes: usize,
    /// How it ended, for the scheduler.
    pub(crate) end: Option<End>,
    /// Told once nothing of it is under way: outcomes were taken back of a job whose other runs were all done by then.
    pub(crate) taken_back: Option<oneshot::Sender<bool>>,
    pub(crate) backlog: Backlog,
    /// Whether no agent was at it when its work was last looked at.
    pub(crate) waits: bool,
    /// Whether one was since it began, or last came to rest.
    pub(crate) worked: bool,
    journal: Arc<Journal>,
    /// What the log is told with the next write.
    told: Vec<NewEvent>,
    reasons: BTreeSet<String>,
    /// Reasons of its dead letters that people were told of; nothing where none are kept.
    deaths: Option<BTreeSet<String>>,
}

impl Owned {
    pub(crate) fn new(job: Arc<Job>, journal: Arc<Journal>, dead_letters: bool) -> Self {
        Self {
            backlog: Backlog::new(job.shape.runs_per_item()),
            job,
            writes: 0,
            end: None,
            taken_back: None,
            waits: false,
            worked: false,
            journal,
            told: Vec::new(),
            reasons: BTreeSet::new(),
            deaths: dead_letters.then(BTreeSet::new),
        }
    }

    /// An agent is at it.
    pub(crate) fn is_worked_at(&mut self) {
        (self.waits, self.worked) = (false, true);
        self.job.rest(false);
    }

    /// Runs are tried again for a reason, of which people are told once.
    pub(crate) fn tried_again(&mut self, reason: impl FnOnce() -> String) {
        if let Some(reason) = new_reason(&mut self.reasons, reason) {
            self.job.note(format!("tried again: {reason}"));
            self.told.push(self.entry(EventKind::RunsRetried, format!("tried again: {reason}")));
        }
    }

    /// Runs could not be judged for a reason, of which people are told once.
    pub(crate) fn died(&mut self, reason: impl FnOnce() -> String) {
        let Some(deaths) = &mut self.deaths else { return };
        if let Some(reason) = new_reason(deaths, reason) {
            self.told.push(self.entry(EventKind::RunsDead, reason));
        }
    }

    /// Whether its end may be written with its last outcomes: nothing else of it is under way, and nothing went wrong.
    pub(crate) fn may_end(&self) -> bool {
        self.writes == 0 && self.job.is_at_work()
    }

    fn entry(&self, kind: EventKind, message: String) -> NewEvent {
        entry(HOST, kind, About::job(self.job.id), message)
    }

    /// Tells what is to be told, where no write comes that it could go with.
    pub(crate) fn tell(&mut self) {
        self.told.drain(..).for_each(|entry| self.journal.keep(entry));
    }

    /// The store, for the job's end, with what is to be told, and that last.
    pub(crate) fn telling_at_last(&mut self, end: NewEvent) -> Telling {
        self.told.push(end);
        self.telling()
    }

    /// The store, for a write of the job, with what is to be told.
    fn telling(&mut self) -> Telling {
        self.journal.telling(std::mem::take(&mut self.told))
    }
}

/// A reason on a line, if it is new and one of the first.
fn new_reason(known: &mut BTreeSet<String>, reason: impl FnOnce() -> String) -> Option<String> {
    if known.len() >= REASONS {
        return None;
    }
    let reason = in_short(&reason());
    known.insert(reason.clone()).then_some(reason)
}

/// What a guest may have said at any length, on one line.
fn in_short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(REASON) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// How a task of the owner's ended.
pub(crate) enum Done {
    /// A write of the job; its end may be on disk with it.
    Write { job: JobId, verdicts: [u64; 3], judged: u64, ended: bool, result: Result<(), ApiError> },
    /// The job's end is on disk.
    End { job: JobId, state: JobState, result: Result<(), ApiError> },
    /// Outcomes of the job were taken back, or are not after all.
    TakenBack { job: JobId, taken_back: Option<TakenBack> },
    /// How long a job was worked at is on disk, or was not to be written.
    Noted,
    /// A lease's bodies were read.
    Fetched { job: Arc<Job>, needed: Needed, grant: Grant, result: Result<(), ApiError> },
}

/// Record outcomes in a task; then their agent may forget them. With `end` the job ends, in the same transaction, and the log
/// tells of it.
pub(crate) fn write(
    tasks: &mut JoinSet<Done>,
    owned: &mut Owned,
    recording: Recording,
    end: Option<(JobEnd, NewEvent)>,
    told: Option<(Recorder, OwnedSemaphorePermit)>,
) {
    owned.writes += 1;
    if recording.verdicts[Verdict::Failure as usize] > 0 {
        for error in recording.failures() {
            owned.died(|| format!("{}: {}", error.code, error.message));
        }
    }
    let job = owned.job.id;
    let (store, end) = match end {
        Some((end, told)) => (owned.telling_at_last(told), Some(end)),
        None => (owned.telling(), None),
    };
    let ended = end.is_some();
    let Recording { batch, verdicts, judged } = recording;
    tasks.spawn(async move {
        let result = match end {
            Some(end) => store.record_last(batch, end).await,
            None => store.record(batch).await,
        };
        let result = match result {
            Ok(_) => {
                if let Some((recorder, _permit)) = told {
                    recorder.done();
                }
                Ok(())
            }
            // Dropping the recorder tells the agent to keep them.
            Err(error) => Err(store_error(format!("failed to record outcomes of job {job}"), error)),
        };
        Done::Write { job, verdicts, judged, ended, result }
    });
}

/// Record failures of runs that no agent makes, in a task: they are of some of these items. Both are in ascending order.
pub(crate) fn fail(
    tasks: &mut JoinSet<Done>,
    store: &Arc<dyn Store>,
    figures: &Arc<Figures>,
    owned: &mut Owned,
    failed: Vec<RunRange>,
    misfits: Vec<Misfit>,
) {
    owned.writes += 1;
    if let Some(misfit) = misfits.first() {
        let failure = owned.job.fit.failure(misfit.size);
        owned.died(|| format!("{}: {}", failure.code, failure.message));
    }
    let judged = failed.iter().map(|range| owned.backlog.judge(range.first..range.first + range.count)).sum();
    let (store, figures, job) = (store.clone(), figures.clone(), owned.job.clone());
    let telling = owned.telling();
    tasks.spawn(async move {
        let result = record_failures(telling, &*store, &figures, &job, &failed, &misfits).await;
        let attempted = || format!("failed to record outcomes of job {}", job.id);
        let result = result.map_err(|error| store_error(attempted(), error));
        Done::Write { job: job.id, verdicts: [0; 3], judged, ended: false, result }
    });
}

/// However many runs there are, their outcomes take the memory of some thousands. What is to be told goes with the first.
async fn record_failures(
    telling: Telling,
    store: &dyn Store,
    figures: &Figures,
    job: &Job,
    failed: &[RunRange],
    misfits: &[Misfit],
) -> Result<(), StoreError> {
    let mut telling = Some(telling);
    let mut record = async |full: Recording| {
        match telling.take() {
            Some(telling) => telling.record(full.batch).await?,
            None => store.record(full.batch).await?,
        };
        figures.landed(clock::now_ms(), full.verdicts);
        job.recorded(full.verdicts, 0);
        Ok(())
    };
    let mut recording = Recording::new(job, NOBODY.into(), 0);
    let (mut misfits, mut outcome, mut item) = (misfits.iter(), Outcome::default(), None);
    for run in failed.iter().flat_map(|range| range.first..range.first + range.count) {
        let of = run / job.shape.runs_per_item();
        if item.replace(of) != Some(of) {
            // Each of them is a misfit: the fallback is never taken.
            let size = misfits.find(|misfit| misfit.item == of).map_or(0, |misfit| misfit.size);
            outcome.answer = Some(Answer::Failure(job.fit.failure(size)));
        }
        outcome.run = run;
        recording.push(&outcome, 0);
        if recording.batch.outcomes.len() >= FAILURES {
            record(std::mem::replace(&mut recording, Recording::new(job, NOBODY.into(), FAILURES))).await?;
        }
    }
    record(recording).await
}

/// Keep in mind what runs have been through, in a task.
pub(crate) fn remember(
    tasks: &mut JoinSet<Done>,
    owned: &mut Owned,
    attempts: Vec<(RunIndex, pigeon_store::Attempts)>,
) {
    owned.writes += 1;
    let (store, job, epoch) = (owned.telling(), owned.job.id, owned.job.epoch());
    tasks.spawn(async move {
        let result = store.put_attempts(job, epoch, attempts).await;
        let result = result.map_err(|error| store_error(format!("failed to record attempts of job {job}"), error));
        Done::Write { job, verdicts: [0; 3], judged: 0, ended: false, result }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(in_short("busy:\ttry again\r\n\n  later\u{2028}"), "busy: try again later");
        let told = in_short(&"ä".repeat(301));
        assert_eq!((told.chars().count(), told.ends_with("ä…")), (301, true));
        assert_eq!(in_short(&"ä".repeat(300)), "ä".repeat(300));
    }
}
