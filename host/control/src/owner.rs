//! The owner: the one task that holds the scheduler, and so decides.
//!
//! Everything that happens comes to it as a [`Command`], in batches as large as they come. It asks the scheduler, and
//! carries out what that wants: leases go to the hub, outcomes to the store. It never waits for either: what takes time
//! runs in tasks of its own, whose ends it hears of.
//!
//! ```text
//!   hub ──Joined, Credit, Beat, Landed──►┐              ┌──► hub: leases, cancels
//!                                        ├─► owner ─────┤
//!   clients ──Admit, Appended, Stop ────►┘  (scheduler) └──► store: outcomes, attempts, the end
//!                                            ▲                   │ on disk
//!                                            └───────────────────┘──► hub: may be forgotten; watchers: landed
//! ```
//!
//! Here it hears what happens and carries out what shall be done; `outcomes` is about runs, `ends` about the ends of jobs
//! and of what was begun for them.
//!
//! Invariant: nothing is acknowledged before it is on disk, and a job ends only after its last outcome is.

mod ends;
mod outcomes;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use pigeon_api::{ApiError, ErrorKind};
use pigeon_hub::{HubEvent, HubHandle, Landed, LeaseError, SessionEnd};
use pigeon_protocol::id::{AgentId, Digest, IncarnationId, JobId, LeaseId, SessionId};
use pigeon_scheduler as scheduler;
use pigeon_scheduler::{Action, AgentInfo, Grant, Left, Ruling, Scheduler, Time, Why};
use pigeon_store::{ChunkInfo, Items, Store};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use crate::{
    dispatch::{Needed, scheduled},
    fit::Misfit,
    job::Job,
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
    /// A plugin that an agent asked for cannot be had of our own store.
    Lacking(Digest, ApiError),
    /// Something happened in the hub.
    Hub(HubEvent),
    /// An agent lives; the answer is which of its leases are not its own.
    Beat(SessionId, Vec<LeaseId>, oneshot::Sender<Vec<LeaseId>>),
    /// Outcomes have landed. The permit bounds how many wait for the disk.
    Landed(Landed, OwnedSemaphorePermit),
}

/// What an earlier owner achieved of a job.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    pub(crate) progress: scheduler::Progress,
    pub(crate) chunks: Vec<ChunkInfo>,
    /// Items of these that fit nowhere.
    pub(crate) misfits: Vec<Misfit>,
    /// Whether a run was invalid or failed.
    pub(crate) bad: bool,
}

/// How often it is written down how long jobs were worked at: so much of it dies with this process at most.
const WORK_NOTED: Duration = Duration::from_secs(1);

/// Commands handled before the scheduler's wishes are carried out.
const AT_ONCE: usize = 64;

/// The owner's state.
pub(crate) struct Owner {
    scheduler: Scheduler,
    zero: Instant,
    store: Arc<dyn Store>,
    hub: HubHandle,
    /// Bytes of bodies kept at hand for each job.
    body_cache: u64,
    jobs: HashMap<JobId, Owned>,
    /// Names of the agents that are in, by session.
    sessions: HashMap<SessionId, Arc<str>>,
    /// Names of agents, their sessions over or not.
    names: HashMap<AgentId, Arc<str>>,
    /// Attempts of leases that repeat a run.
    attempts: HashMap<LeaseId, u32>,
    tasks: JoinSet<Done>,
    landings: Vec<scheduler::Landing>,
    rulings: Vec<Ruling>,
}

impl Owner {
    pub(crate) fn new(
        config: scheduler::Config,
        seed: u64,
        store: Arc<dyn Store>,
        hub: HubHandle,
        body_cache: u64,
    ) -> Self {
        Self {
            scheduler: Scheduler::new(config, seed),
            zero: Instant::now(),
            store,
            hub,
            body_cache,
            jobs: HashMap::new(),
            sessions: HashMap::new(),
            names: HashMap::new(),
            attempts: HashMap::new(),
            tasks: JoinSet::new(),
            landings: Vec::new(),
            rulings: Vec::new(),
        }
    }

    /// Decide until told to stop, then see the writes under way to their end.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(AT_ONCE);
        let mut noting = tokio::time::interval(WORK_NOTED);
        noting.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
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
                    owned.job.change(|pulse| pulse.stopping = true);
                }
                self.scheduler.stop(now, id, why);
            }
            Command::Beat(session, leases, answer) => {
                // The session may have ended meanwhile.
                let _ = answer.send(self.scheduler.beat(now, session, &leases));
            }
            Command::Lacking(plugin, error) => self.lacking(plugin, &error),
            Command::Hub(event) => self.event(now, event),
            Command::Landed(landed, permit) => self.landed(now, landed, permit),
        }
    }

    fn admit(&mut self, now: Time, job: Arc<Job>, admission: Admission) {
        let Admission { progress, chunks, misfits, bad } = admission;
        let request = &job.request;
        let max_agents = match request.work {
            pigeon_api::Work::One { workers, .. } => Some(workers),
            pigeon_api::Work::Many { workers, .. } => workers,
        };
        let sealed = job.pulse().borrow().progress.sealed;
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
                group: 0,
                fail_fast: request.fail_fast,
                max_agents,
                progress,
            },
        );
        self.jobs.insert(job.id, Owned::new(job.clone()));
        for chunk in chunks {
            self.appended(now, job.id, chunk, None);
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
            Some(items) => owned.backlog.append(chunk, items),
            None => {
                let runs_per_item = owned.job.shape.runs_per_item();
                let first = chunk.first.saturating_mul(runs_per_item);
                let runs = first..first.saturating_add(chunk.count.saturating_mul(runs_per_item));
                owned.backlog.take_up(chunk, self.scheduler.done(id).map_or(0, |done| done.count_in(runs)))
            }
        };
        owned.job.appended(chunk, items, unjudged, self.body_cache);
    }

    fn event(&mut self, now: Time, event: HubEvent) {
        match event {
            HubEvent::Joined { session, agent, hello, .. } => {
                let name: Arc<str> = hello.name.as_str().into();
                // A hello without an incarnation never gets here: the hub has checked it.
                let incarnation = IncarnationId::from_slice(&hello.incarnation).unwrap_or_default();
                self.names.insert(agent, name.clone());
                self.sessions.insert(session, name);
                self.scheduler.joined(now, session, AgentInfo { agent, incarnation, slots: hello.slots });
            }
            HubEvent::Credit { session, received, batches } => self.scheduler.credit(now, session, received, batches),
            HubEvent::Draining { session, .. } => self.scheduler.draining(now, session),
            HubEvent::LeaseBroken { session, lease, fence, reason } => {
                tracing::warn!(lease = lease.0, reason, "a lease's stream broke");
                self.attempts.remove(&lease);
                self.scheduler.lease_ended(now, session, lease, fence);
            }
            HubEvent::Left { session, end } => self.left(now, session, &end),
        }
    }

    fn left(&mut self, now: Time, session: SessionId, end: &SessionEnd) {
        let (left, told) = match end {
            SessionEnd::Drained => (Left::Drained, None),
            SessionEnd::Closed(_) => (Left::Drained, Some("left in a hurry; what it was at is done again")),
            SessionEnd::Died => (Left::Died, Some("died; what it was at is done again")),
            SessionEnd::Unreachable => (Left::Unreachable, Some("cannot be reached; its runs go to others")),
            SessionEnd::Replaced => (Left::Unreachable, None),
            SessionEnd::Misbehaved(_) => (Left::Revoked, Some("broke the protocol and was sent away")),
            SessionEnd::Disconnected(_) => (Left::Revoked, None),
        };
        if let (Some(name), Some(told)) = (self.sessions.remove(&session), told) {
            for owned in self.jobs.values().filter(|owned| owned.end.is_none()) {
                owned.job.note(format!("{name} {told}"));
            }
        }
        self.scheduler.left(now, session, left);
        self.attempts.retain(|lease, _| self.scheduler.job_of(*lease).is_some());
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
                    self.hub.cancel(session, leases);
                }
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
        owned.waits = false;
        owned.job.rest(false);
        if grant.attempt > 1 {
            self.attempts.insert(grant.lease, grant.attempt);
        }
        let mut needed = Needed::of(&owned.job, &grant);
        if needed.is_at_hand() {
            return self.send(&needed, grant);
        }
        let (store, job, room) = (self.store.clone(), owned.job.clone(), self.body_cache);
        self.tasks.spawn(async move {
            let result = needed.fetch(&store, &job, room).await;
            Done::Fetched { job, needed, grant, result }
        });
    }

    fn send(&mut self, needed: &Needed, grant: Grant) {
        let (session, lease, fence) = (grant.session, grant.lease, grant.fence);
        let job = grant.job;
        let Err(error) = self.hub.lease(session, needed.order(grant)) else { return };
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
