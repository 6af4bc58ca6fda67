//! The owner: the one task that holds the scheduler, and so decides.
//!
//! Everything that happens comes to it as a [`Command`], in batches as large as they come. It asks the scheduler, and
//! carries out what that wants: leases go to the hub, outcomes to the store. It never waits for either: what takes time
//! runs in tasks of its own, whose ends it hears of.
//!
//! ```text
//!   hub ──Joined, Credit, Landed; Beat──►┐              ┌──► hub: leases, cancels
//!                                        ├─► owner ─────┤
//!   clients ──Admit, Appended, Stop ────►┘  (scheduler) └──► store: outcomes, attempts, the end
//!                                            ▲                   │ on disk
//!                                            └───────────────────┘──► hub: may be forgotten; watchers: landed
//! ```
//!
//! Here it hears what happens and carries out what shall be done; `outcomes` is about runs, `agents` about those who make
//! them, `ends` about the ends of jobs and of what was begun for them, `looks` about what it is asked.
//!
//! Invariant: nothing is acknowledged before it is on disk, and a job ends only after its last outcome is.

mod agents;
mod ends;
mod looks;
mod outcomes;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use pigeon_api::{AgentDetail, AgentStatus, ApiError, ErrorKind, Waiting};
use pigeon_hub::{HubEvent, HubHandle, Landed, LeaseError};
use pigeon_protocol::{
    id::{AgentId, Digest, JobId, LeaseId, RunIndex, SessionId},
    message::Beat,
};
use pigeon_scheduler as scheduler;
use pigeon_scheduler::{Action, Grant, GroupLimits, QueueView, Ruling, Scheduler, Time, Why};
use pigeon_store::{AgentRecord, ChunkInfo, Items, Mark, Store};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    core::group,
    dispatch::{Needed, scheduled},
    figures::Figures,
    fit::Misfit,
    fleet::Fleet,
    job::Job,
    jobs::Jobs,
    journal::Journal,
    writes::{Done, Owned},
};

/// What the owner is told.
pub(crate) enum Command {
    /// A job is ours, with what was achieved of it.
    Admit(Arc<Job>, Admission, oneshot::Sender<()>),
    /// A chunk is on disk. Some of its items may fit nowhere.
    Appended(JobId, ChunkInfo, Items, Vec<Misfit>),
    /// No more items come.
    Sealed(JobId),
    /// Lease nothing more.
    Stop(JobId, Why),
    /// Outcomes of a job will be taken back: it does not end before that is told. The answer is whether it goes on at all.
    Hold(JobId, oneshot::Receiver<TakenBack>, oneshot::Sender<bool>),
    /// Plugins of a name have these limits from now on.
    Group(u64, GroupLimits),
    /// Why is nothing of a job under way?
    Waiting(JobId, oneshot::Sender<Option<Waiting>>),
    /// How does it all stand?
    Look(oneshot::Sender<Overview>),
    /// A plugin that an agent asked for cannot be had of our own store.
    Lacking(Digest, ApiError),
    /// Something happened in the hub; with what is remembered of an agent that came in.
    Hub(HubEvent, Option<Box<AgentRecord>>),
    /// An agent's certificate was renewed, and ends then.
    Renewed(AgentId, u64),
    /// Somebody wants an agent to take nothing, or to take work again.
    Drain(AgentId, Option<Mark>, oneshot::Sender<()>),
    /// Nobody wants an agent any more.
    Revoke(AgentId, Mark, oneshot::Sender<()>),
    /// What is known of an agent?
    Agent(AgentId, oneshot::Sender<Option<AgentDetail>>),
    /// Outcomes have landed. The permit bounds how many wait for the disk.
    Landed(Landed, OwnedSemaphorePermit),
}

/// An agent lives; the answer is which of its leases are not its own. Told apart from the commands: behind as many as there
/// may be, it could wait for longer than an agent may be silent.
pub(crate) struct Beaten {
    pub(crate) session: SessionId,
    pub(crate) beat: Beat,
    pub(crate) answer: oneshot::Sender<Vec<LeaseId>>,
}

/// Runs whose outcomes are on disk no longer.
#[derive(Debug)]
pub(crate) struct TakenBack {
    /// In any order.
    pub(crate) runs: Vec<RunIndex>,
    /// Items of theirs that fit nowhere, in ascending order.
    pub(crate) misfits: Vec<Misfit>,
    /// Whether they are made again. If not, every other run was done by then: the job is forgotten, and may be admitted again.
    pub(crate) goes_on: oneshot::Sender<bool>,
}

/// How it all stands.
#[derive(Debug)]
pub(crate) struct Overview {
    pub(crate) queue: QueueView,
    /// Since when the oldest chunk is there that has runs left, in milliseconds since 1970.
    pub(crate) since_ms: Option<u64>,
    pub(crate) agents: Vec<AgentStatus>,
}

/// What an earlier owner achieved of a job.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    pub(crate) progress: scheduler::Progress,
    /// What was appended, and its bodies where they are at hand.
    pub(crate) chunks: Vec<(ChunkInfo, Option<Items>)>,
    /// Items of these that fit nowhere.
    pub(crate) misfits: Vec<Misfit>,
    /// Whether a run was invalid or failed.
    pub(crate) bad: bool,
}

/// How often it is written down how long jobs were worked at: so much of it dies with this process at most.
const WORK_NOTED: Duration = Duration::from_secs(1);

/// Commands handled before the scheduler's wishes are carried out.
const AT_ONCE: usize = 64;

/// What the owner works with.
pub(crate) struct Tools {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) hub: HubHandle,
    /// The jobs that this process owns. Those that have ended are given up.
    pub(crate) kept: Arc<Jobs>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) figures: Arc<Figures>,
    /// Bytes of bodies kept at hand, for all jobs together.
    pub(crate) body_cache: u64,
    /// Whether it serves many. Else it keeps no dead letters, and agents that come and go are part of this process, of which
    /// the log tells nothing.
    pub(crate) serving: bool,
}

/// The owner's state.
pub(crate) struct Owner {
    scheduler: Scheduler,
    zero: Instant,
    tools: Tools,
    jobs: HashMap<JobId, Owned>,
    fleet: Fleet,
    groups: HashMap<u64, GroupLimits>,
    /// Attempts of leases that repeat a run.
    attempts: HashMap<LeaseId, u32>,
    tasks: JoinSet<Done>,
    landings: Vec<scheduler::Landing>,
    rulings: Vec<Ruling>,
}

impl Owner {
    pub(crate) fn new(config: scheduler::Config, seed: u64, tools: Tools) -> Self {
        Self {
            fleet: Fleet::new(config.beat),
            scheduler: Scheduler::new(config, seed),
            zero: Instant::now(),
            tools,
            jobs: HashMap::new(),
            groups: HashMap::new(),
            attempts: HashMap::new(),
            tasks: JoinSet::new(),
            landings: Vec::new(),
            rulings: Vec::new(),
        }
    }

    /// These agents are remembered.
    pub(crate) fn know(&mut self, agents: &[AgentRecord]) {
        self.fleet.remember(agents);
    }

    /// Decide until told to stop, then see the writes under way to their end.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut beats: mpsc::Receiver<Beaten>,
        stop: CancellationToken,
    ) {
        let mut batch = Vec::with_capacity(AT_ONCE);
        let mut noting = tokio::time::interval(WORK_NOTED);
        noting.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Before anything else, and above all before it is looked who was silent for too long.
            while let Ok(beaten) = beats.try_recv() {
                self.beaten(beaten);
            }
            let wakeup = self.scheduler.next_wakeup().map(|time| self.zero + time.since(Time::ZERO));
            tokio::select! {
                // What happened, as much of it as there is.
                count = commands.recv_many(&mut batch, AT_ONCE) => {
                    if count == 0 {
                        break;
                    }
                    for command in batch.drain(..) {
                        self.command(command);
                    }
                }
                // Agents live.
                Some(beaten) = beats.recv() => self.beaten(beaten),
                // What was begun has ended.
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    match done {
                        Ok(done) => self.done(done),
                        Err(lost) => self.lost(&lost),
                    }
                }
                // The scheduler wanted to be asked again.
                () = sleep_until(wakeup) => {
                    let now = self.now();
                    self.scheduler.tick(now);
                }
                // Jobs have been worked at for a while.
                _ = noting.tick(), if !self.jobs.is_empty() => self.note_work(),
                // Leave.
                () = stop.cancelled() => break,
            }
            self.act();
        }
        while let Some(done) = self.tasks.join_next().await {
            if let Ok(done) = done {
                self.done(done);
            }
        }
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.zero.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn command(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Admit(job, admission, admitted) => {
                self.admit(now, job, admission);
                // The client may have given up meanwhile.
                let _ = admitted.send(());
            }
            Command::Appended(id, chunk, items, misfits) => {
                self.appended(now, id, chunk, Some(items));
                self.resolve(now, id, misfits);
            }
            Command::Sealed(id) => {
                if let Some(owned) = self.jobs.get(&id) {
                    owned.job.change(|pulse| pulse.progress.sealed = true);
                }
                self.scheduler.seal(now, id);
            }
            Command::Stop(id, why) => {
                if let Some(owned) = self.jobs.get(&id) {
                    owned.job.change(|pulse| {
                        pulse.stopping = true;
                        pulse.pausing = why == Why::Pause;
                    });
                }
                self.scheduler.stop(now, id, why);
            }
            Command::Hold(id, taken_back, answer) => {
                // Who asked may have gone: then nothing is taken back.
                let _ = answer.send(self.hold(id, taken_back));
            }
            Command::Group(group, limits) => {
                self.groups.insert(group, limits);
                self.scheduler.set_group(now, group, limits);
            }
            // Who asked may have gone, here and below.
            Command::Waiting(id, answer) => drop(answer.send(self.waiting(id))),
            Command::Look(answer) => drop(answer.send(self.look())),
            Command::Agent(agent, answer) => {
                drop(answer.send(self.fleet.detail(agent, |session| self.scheduler.leases_of(session))));
            }
            Command::Renewed(agent, ends_ms) => self.fleet.renewed(agent, ends_ms),
            Command::Drain(agent, mark, answer) => {
                self.drain(now, agent, mark);
                let _ = answer.send(());
            }
            Command::Revoke(agent, mark, answer) => {
                self.revoke(now, agent, mark);
                let _ = answer.send(());
            }
            Command::Lacking(plugin, error) => self.lacking(plugin, &error),
            Command::Hub(event, known) => self.event(now, event, known.as_deref()),
            Command::Landed(landed, permit) => self.landed(now, landed, permit),
        }
    }

    fn beaten(&mut self, Beaten { session, beat, answer }: Beaten) {
        let unknown = match self.fleet.beat(session, &beat) {
            true => {
                let leases: Vec<_> = beat.leases.into_iter().map(LeaseId).collect();
                self.scheduler.beat(self.now(), session, &leases)
            }
            // That it has joined waits among the commands: what it holds is not known yet.
            false => Vec::new(),
        };
        // The session may have ended meanwhile.
        let _ = answer.send(unknown);
    }

    fn admit(&mut self, now: Time, job: Arc<Job>, admission: Admission) {
        let Admission { progress, chunks, misfits, bad } = admission;
        let request = &job.request;
        let max_agents = match request.work {
            pigeon_api::Work::One { workers, .. } => Some(workers),
            pigeon_api::Work::Many { workers, .. } => workers,
        };
        let sealed = job.now().progress.sealed;
        self.scheduler.admit(
            now,
            scheduler::JobAdmitted {
                job: job.id,
                shape: job.shape,
                priority: request.priority,
                max_parallel: request.max_parallel,
                retry: scheduler::RetryPolicy {
                    transient: request.retry.attempts,
                    timeouts: request.retry.timeouts,
                    crashes: request.retry.crashes,
                    base: request.retry.backoff,
                    cap: request.retry.max_backoff,
                },
                wall: request.limits.wall,
                group: group(&job.plugin.metadata.name),
                fail_fast: request.fail_fast,
                max_agents,
                require: request.require.clone(),
                prefer: request.prefer.clone(),
                progress,
            },
        );
        let journal = self.tools.journal.clone();
        self.jobs.insert(job.id, Owned::new(job.clone(), journal, self.tools.serving));
        for (chunk, items) in chunks {
            self.appended(now, job.id, chunk, items);
        }
        let over = bad && request.fail_fast;
        if !over {
            self.resolve(now, job.id, misfits);
        }
        if sealed {
            self.scheduler.seal(now, job.id);
        }
        if over {
            // The earlier owner did not come to say so.
            self.scheduler.stop(now, job.id, Why::FailFast);
        }
    }

    /// A chunk is on disk. One that was told before is passed over: clients may repeat themselves.
    fn appended(&mut self, now: Time, id: JobId, chunk: ChunkInfo, items: Option<Items>) {
        let Some(owned) = self.jobs.get_mut(&id) else { return };
        if owned.job.has_chunk(chunk.seq) {
            return;
        }
        let told = scheduled(chunk, items.as_ref());
        if !self.scheduler.append(now, id, told) {
            let message = format!("chunk {} of job {id} does not follow the one before it", chunk.seq);
            return self.broke(id, ApiError::new(ErrorKind::Internal, message));
        }
        let unjudged = match &items {
            Some(items) if !self.tools.serving => owned.backlog.append(chunk, items, clock::now_ms()),
            // Nobody waits for room there: no need to know of each item when it is judged.
            Some(_) => owned.backlog.take_up(chunk, 0, clock::now_ms()),
            None => {
                let runs_per_item = owned.job.shape.runs_per_item();
                let first = chunk.first.saturating_mul(runs_per_item);
                let runs = first..first.saturating_add(chunk.count.saturating_mul(runs_per_item));
                let done = self.scheduler.done(id).map_or(0, |done| done.count_in(runs));
                // When it was appended was not kept.
                owned.backlog.take_up(chunk, done, owned.job.accepted_ms())
            }
        };
        let room = self.room();
        if let Some(owned) = self.jobs.get(&id) {
            owned.job.appended(chunk, items, unjudged, room);
        }
    }

    /// Bytes of bodies that may be kept at hand for a job.
    fn room(&self) -> u64 {
        self.tools.body_cache / (self.jobs.len() as u64).max(1)
    }

    /// Carry out what the scheduler wants.
    fn act(&mut self) {
        while let Some(action) = self.scheduler.poll(self.now()) {
            match action {
                Action::Lease(grant) => self.lease(grant),
                Action::Cancel { session, leases } => {
                    for lease in &leases {
                        self.attempts.remove(lease);
                    }
                    self.tools.hub.cancel(session, leases);
                }
                Action::Stalled { session, leases, after } => self.stalled(session, &leases, after),
                Action::Moves { session } => self.moves(session),
                Action::Lost { session } => self.lost_sight(session),
                Action::Held { agent, job, runs, after } => self.held(agent, job, runs.len() as u64, after),
                Action::Remember { job, run, attempts } => self.remember(job, run, attempts),
                Action::DeadLetter { job, run, evidence } => self.dead_letter(job, run, &evidence),
                Action::Finished { job, end } => {
                    if let Some(owned) = self.jobs.get_mut(&job) {
                        owned.end = Some(end);
                    }
                    self.finish(job);
                }
            }
        }
    }

    fn lease(&mut self, grant: Grant) {
        let Some(owned) = self.jobs.get_mut(&grant.job) else { return };
        owned.is_worked_at();
        self.tools.figures.leased.fetch_add(1, Relaxed);
        if grant.attempt > 1 {
            self.attempts.insert(grant.lease, grant.attempt);
        }
        let mut needed = Needed::of(&owned.job, &grant);
        if needed.is_at_hand() {
            return self.send(&needed, grant);
        }
        let (store, job, room) = (self.tools.store.clone(), owned.job.clone(), self.room());
        self.tasks.spawn(async move {
            let result = needed.fetch(&store, &job, room).await;
            Done::Fetched { job, needed, grant, result }
        });
    }

    fn send(&mut self, needed: &Needed, grant: Grant) {
        let (session, lease, fence) = (grant.session, grant.lease, grant.fence);
        let job = grant.job;
        let owned = self.jobs.get(&job).map(|owned| &*owned.job);
        let Err(error) = self.tools.hub.lease(session, needed.order(owned, grant)) else { return };
        tracing::debug!(lease = lease.0, %error, "a lease was not sent");
        let now = self.now();
        self.scheduler.unsent(now, session, lease, fence);
        if let LeaseError::TooLarge(_) = error {
            // Cut again it would be cut the same.
            let message = format!("failed to send items of job {job} to an agent");
            self.broke(job, ApiError::new(ErrorKind::Internal, message).caused_by(error));
        }
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
