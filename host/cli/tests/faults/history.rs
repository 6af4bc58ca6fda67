//! What was asked for and told while faults came and went, and what is there in the end: all that the checker goes by.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use pigeon_api::{DeadLetter, Event, EventKind, ItemResult, JobId, JobState, JobStatus, RunResult, Verdict};

use crate::jobs::Order;

/// Code of a run whose agents died of it.
pub(crate) const AGENT_LOST: &str = "agent-lost";

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// Whether there is none because its agents died.
    pub(crate) lost: bool,
    /// Of who made it and how long that took: two attempts at a run do not share it.
    pub(crate) print: u64,
}

impl From<&RunResult> for Outcome {
    fn from(run: &RunResult) -> Self {
        let mut hasher = DefaultHasher::new();
        (&run.worker, run.time_ms.to_bits(), run.verdict).hash(&mut hasher);
        let lost = run.failure.as_ref().is_some_and(|failure| failure.code == AGENT_LOST);
        Self { verdict: run.verdict, lost, print: hasher.finish() }
    }
}

/// What a client asked for, and what it was told.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) order: Order,
    /// It was acknowledged as this job.
    pub(crate) job: Option<JobId>,
    /// Items that were acknowledged.
    pub(crate) items: u64,
    /// Whether the seal was.
    pub(crate) sealed: bool,
    /// Whether the rest of it was cancelled, as far as there was one.
    pub(crate) cancelled: bool,
    /// Whether it was paused, and resumed from that.
    pub(crate) paused: bool,
    pub(crate) resumed: bool,
    /// Runs that were told to have landed, by their number in the job.
    pub(crate) told: HashMap<u64, Outcome>,
    /// Those that were told twice.
    pub(crate) twice: Vec<u64>,
    /// The seconds since the beginning in which runs were heard of.
    pub(crate) heard: BTreeSet<u64>,
    /// The second in which its first items were acknowledged, and that in which its end was told.
    pub(crate) begun: Option<u64>,
    pub(crate) ended: Option<u64>,
}

impl Account {
    pub(crate) fn new(order: Order) -> Self {
        Self {
            order,
            job: None,
            items: 0,
            sealed: false,
            cancelled: false,
            paused: false,
            resumed: false,
            told: HashMap::new(),
            twice: Vec::new(),
            heard: BTreeSet::new(),
            begun: None,
            ended: None,
        }
    }

    /// A run was told to have landed.
    pub(crate) fn tell(&mut self, second: u64, run: &RunResult) {
        let number = number(&self.order, run);
        if self.told.insert(number, run.into()).is_some() {
            self.twice.push(number);
        }
        self.heard.insert(second);
    }
}

/// The number of a run in its job.
pub(crate) fn number(order: &Order, run: &RunResult) -> u64 {
    let iterations = match order.work {
        pigeon_api::Work::One { iterations, .. } | pigeon_api::Work::Many { iterations, .. } => u64::from(iterations),
    };
    run.index * order.runs_per_item() + u64::from(run.place) * iterations + u64::from(run.iteration)
}

/// A job as it is in the end.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) figures: Figures,
    /// As they landed.
    pub(crate) runs: Vec<(u64, Outcome)>,
    pub(crate) items: Vec<Item>,
}

/// What the server says of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) state: JobState,
    pub(crate) items: u64,
    pub(crate) planned: u64,
    pub(crate) total: u64,
    /// Valid, invalid, failures.
    pub(crate) verdicts: [u64; 3],
    /// The same of each worker, behind how many it made.
    pub(crate) workers: Vec<(u64, [u64; 3])>,
}

impl From<JobStatus> for Figures {
    fn from(status: JobStatus) -> Self {
        let workers = status.workers.iter();
        Self {
            state: status.state,
            items: status.items,
            planned: status.planned_runs,
            total: status.total_runs,
            verdicts: [status.valid, status.invalid, status.failures],
            workers: workers.map(|it| (it.total, [it.valid, it.invalid, it.failures])).collect(),
        }
    }
}

/// An item as it is in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) index: u64,
    pub(crate) id: String,
    pub(crate) verdict: Verdict,
    pub(crate) runs: u64,
}

impl From<ItemResult> for Item {
    fn from(item: ItemResult) -> Self {
        Self { index: item.index, id: item.id, verdict: item.verdict, runs: item.runs }
    }
}

/// An entry of the log of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) kind: EventKind,
    pub(crate) job: Option<JobId>,
}

impl From<Event> for Entry {
    fn from(event: Event) -> Self {
        Self { seq: event.seq, kind: event.kind, job: event.job }
    }
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dead {
    pub(crate) job: JobId,
    pub(crate) run: u64,
    pub(crate) code: String,
    pub(crate) attempts: u32,
}

impl From<DeadLetter> for Dead {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { id, failure, attempts, .. } = letter;
        Self { job: id.job, run: id.run, code: failure.code, attempts }
    }
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) accounts: Vec<Account>,
    /// Jobs that the server lists.
    pub(crate) listed: Vec<JobId>,
    pub(crate) seen: HashMap<JobId, Seen>,
    pub(crate) events: Vec<Entry>,
    /// The same as it was told to one who followed it through everything.
    pub(crate) followed: Vec<Entry>,
    pub(crate) dead: Vec<Dead>,
    /// Runs of all jobs, by the server's own figures.
    pub(crate) total: u64,
    /// Deaths of agents.
    pub(crate) kills: u64,
}
