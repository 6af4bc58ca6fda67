//! Jobs come, grow, and go.

use std::time::Duration;

use pigeon_protocol::id::{JobId, LeaseId, SessionId};

use crate::{
    RunSet, Scheduler, Time,
    ending::Ending,
    event::{Chunk, JobAdmitted, Why},
    job::Job,
    lease::Lease,
};

/// A lease that was given so long ago is not begun if its agent has not said so.
const BEGUN_TOLD: Duration = Duration::from_millis(200);

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// Runs of the items appended so far.
    pub planned: u64,
    /// Runs with a recorded outcome.
    pub recorded: u64,
    /// Open leases.
    pub leases: usize,
    /// Whether it has runs to lease.
    pub ready: bool,
    /// Sessions that work for it.
    pub sessions: usize,
    /// Whether a session that is in is at any of its runs, as far as is known: what was leased a moment ago is believed to
    /// be begun, and what is leased for longer without a word is not: its plugin is loaded, or it waits for its turn.
    pub at_work: bool,
}

/// What is to be done of all jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueView {
    /// Runs without a recorded outcome, of the items appended so far; those of jobs that are stopping left aside.
    pub runs: u64,
    /// Open leases.
    pub leases: usize,
}

/// Why nothing of a job is leased.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Waiting {
    /// No agent is in that moves.
    NoAgent,
    /// No agent that is in has what it requires.
    NoLabel {
        /// The labels that none has; all that it requires, where each of them is had by some agent, but not by one.
        labels: Vec<String>,
    },
    /// The agents have no room: they work for other jobs, or have given no credit.
    AgentsBusy,
    /// All that is left waits for its next attempt.
    Backoff {
        /// When the first of them is due.
        until: Time,
    },
    /// Its group has as many leases as it may.
    GroupBusy,
    /// Its group has been given as many runs as it may lately.
    GroupRate {
        /// When it may be given more.
        until: Time,
    },
    /// It is open, and all that was appended is done.
    Items,
    /// It has ended or is stopping.
    Stopped,
}

impl Scheduler {
    /// A job is owned here from now on, open and without items: those that it had under an earlier owner are to be
    /// appended again. Of a job that is owned already: ignored.
    pub fn admit(&mut self, now: Time, job: JobAdmitted) {
        self.pass(now);
        let id = job.job;
        if !self.jobs.contains_key(&id) {
            let need = self.take_need(&job.require, &job.prefer);
            let job = Job::new(self.now, job, need);
            if job.places.is_some() {
                self.timers.grace.insert((job.admitted + self.config.place_grace, id));
            }
            self.jobs.insert(id, job);
        }
    }

    /// Items were appended, and are on disk. False, and nothing else, if they do not follow the last ones, if the job
    /// is sealed or unknown, or if it has places and this were its second item.
    pub fn append(&mut self, now: Time, job: JobId, chunk: Chunk) -> bool {
        self.pass(now);
        let appended = self.jobs.get_mut(&job).is_some_and(|job| job.work.append(chunk));
        self.reindex(job);
        appended
    }

    /// Nothing more will be appended.
    pub fn seal(&mut self, now: Time, job: JobId) {
        self.pass(now);
        if let Some(job) = self.jobs.get_mut(&job) {
            job.work.seal();
        }
        self.reindex(job);
        self.conclude(job);
    }

    /// Nothing more of the job is leased; it is finished when its open leases have ended. [`Why::Cancel`] ends them.
    /// A reason that was given before stays, unless this one is `Cancel`.
    pub fn stop(&mut self, now: Time, id: JobId, why: Why) {
        self.pass(now);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.stopping = Some(job.stopping.filter(|_| why != Why::Cancel).unwrap_or(why));
        let leases: Vec<_> = job.leases.iter().copied().collect();
        let cancelled: Vec<_> = match why {
            Why::Cancel => leases,
            // What nobody has begun would only be begun now.
            Why::Interrupt | Why::Pause => leases.into_iter().filter(|id| self.is_waiting(*id)).collect(),
            Why::FailFast => Vec::new(),
        };
        self.reindex(id);
        self.cancel(cancelled, Ending::Returned);
        self.conclude(id);
    }

    /// Whether a lease waits for its turn at an agent that can be told: long given, and nothing heard of its runs.
    fn is_waiting(&self, id: LeaseId) -> bool {
        self.leases.get(&id).is_some_and(|lease| self.is_in(lease) && !self.is_begun(lease))
    }

    /// Whether an agent that is in is at a lease.
    fn is_at_work(&self, id: LeaseId) -> bool {
        self.leases.get(&id).is_some_and(|lease| self.is_in(lease) && self.is_begun(lease))
    }

    fn is_in(&self, lease: &Lease) -> bool {
        self.agents.contains_key(&lease.session)
    }

    fn is_begun(&self, lease: &Lease) -> bool {
        self.now.since(lease.given) < BEGUN_TOLD || !lease.begun.is_empty() || !lease.runs.is_untouched()
    }

    /// The job is owned here no longer, finished or not. Its open leases are cancelled; it is not said to be finished.
    pub fn forget(&mut self, now: Time, id: JobId) {
        self.pass(now);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        // Never finished twice, and leases nothing from here on.
        job.finished.get_or_insert(crate::End::Stopped(Why::Pause));
        let leases: Vec<_> = job.leases.iter().copied().collect();
        self.cancel(leases, Ending::Over);
        self.reindex(id);
        self.dismiss_all(id);
        if let Some(job) = self.jobs.remove(&id) {
            self.drop_need(job.need);
        }
    }

    /// Where a job stands; `None` if it is not owned here. Costs what its leases cost.
    pub fn job(&self, id: JobId) -> Option<JobView> {
        let job = self.jobs.get(&id)?;
        Some(JobView {
            planned: job.work.planned(),
            recorded: job.work.done().len(),
            leases: job.leases.len(),
            ready: job.work.is_ready() || job.work.has_suspects(),
            sessions: job.members.len(),
            at_work: job.leases.iter().any(|lease| self.is_at_work(*lease)),
        })
    }

    /// Why nothing of a job is leased now; `None` if something is, or if it is not owned here. Looks at every session
    /// where it waits for labels: to be asked of single jobs.
    pub fn waiting(&self, id: JobId) -> Option<Waiting> {
        let job = self.jobs.get(&id)?;
        let ready = job.work.is_ready() || job.work.has_suspects();
        if job.stopping.is_some() || job.finished.is_some() {
            Some(Waiting::Stopped)
        } else if !job.leases.is_empty() {
            None
        } else if self.agents.values().all(|agent| agent.signs.is_stalled()) {
            Some(Waiting::NoAgent)
        } else if let (true, lacking @ [_, ..]) = (ready, self.lacking(job).as_slice()) {
            Some(Waiting::NoLabel { labels: lacking.to_vec() })
        } else if ready {
            let group = self.groups.get(&job.group).and_then(|group| group.waiting(job));
            Some(group.unwrap_or(Waiting::AgentsBusy))
        } else if let Some(until) = job.work.next_attempt() {
            Some(Waiting::Backoff { until })
        } else {
            (!job.work.is_sealed()).then_some(Waiting::Items)
        }
    }

    /// Whether a job is owned here, and neither stopping nor finished.
    pub fn goes_on(&self, id: JobId) -> bool {
        self.jobs.get(&id).is_some_and(|job| job.stopping.is_none() && job.finished.is_none())
    }

    /// How many leases a session holds.
    pub fn leases_of(&self, session: SessionId) -> usize {
        self.agents.get(&session).map_or(0, |agent| agent.leases.len())
    }

    /// What is to be done in all.
    pub fn queue(&self) -> QueueView {
        let jobs = self.jobs.values().filter(|job| job.stopping.is_none() && job.finished.is_none());
        let runs = jobs.map(|job| job.work.planned().saturating_sub(job.work.done().len())).sum();
        QueueView { runs, leases: self.leases.len() }
    }

    /// How a job ended, if it has, and is owned here still.
    pub fn end_of(&self, id: JobId) -> Option<crate::End> {
        self.jobs.get(&id)?.finished
    }

    /// The runs of a job that have a recorded outcome.
    pub fn done(&self, job: JobId) -> Option<&RunSet> {
        self.jobs.get(&job).map(|job| job.work.done())
    }

    /// About how much memory the state of a job takes on the heap, its leases left aside, in bytes.
    pub fn heap_bytes(&self, job: JobId) -> Option<usize> {
        self.jobs.get(&job).map(|job| job.work.heap_bytes())
    }
}
