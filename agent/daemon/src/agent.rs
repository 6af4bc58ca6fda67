//! The agent's life: connect, work, and connect again.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use pigeon_protocol::id::IncarnationId;
use pigeon_runtime::Runtime;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    buffers::Buffers,
    config::AgentConfig,
    enrol::{self, EnrolError, Renewal, renew},
    fetch::{Jobs, Plugins},
    identity::Identity,
    lanes::{Lanes, RuntimeLanes, chain},
    outbox::Outbox,
    pace::Pace,
    session::{self, Ended},
    transport::{self, Link},
};

/// The first pause before connecting again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause. A hub that comes back meets all its agents within this time and that of an attempt; each of them
/// costs it one handshake.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Time for the first attempt to connect. What QUIC sends into the void it repeats ever more seldom, so a hub that comes
/// back soon is found by the next attempt; each further one has twice the time, for those behind slow networks.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(2);

/// Time for any attempt.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(10);

/// What a drain may take beyond its time, for the good-bye.
const GOODBYE: Duration = Duration::from_secs(1);

/// The longest pause between two looks at the certificate's age: the node may sleep, and its clock be set.
const LONGEST_RENEWAL_PAUSE: Duration = Duration::from_secs(3600);

/// An agent, ready to run.
pub struct Agent<L: Lanes = RuntimeLanes> {
    shared: Shared<L>,
}

/// Why an agent gave up for good.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The hub does not want it (any more).
    #[error("the hub refused this agent: {0}")]
    Refused(String),
    /// Another process has its identity as well, and the hub knows only the one that came last.
    #[error("another process has connected to the hub with this agent's identity")]
    Elsewhere,
    /// No socket can be opened.
    #[error("failed to open a UDP socket")]
    Socket(#[from] std::io::Error),
}

/// What the agent's tasks share.
pub(crate) struct Shared<L> {
    pub(crate) config: AgentConfig,
    /// As it is now: the one in `config` may have been renewed since. Their trusted keys are the same.
    pub(crate) identity: Mutex<Identity>,
    pub(crate) lanes: L,
    pub(crate) incarnation: IncarnationId,
    pub(crate) outbox: Outbox,
    pub(crate) jobs: Jobs,
    pub(crate) plugins: Plugins,
    pub(crate) buffers: Buffers,
    pub(crate) pace: Pace,
    /// Leases that are being received or run: lanes.
    pub(crate) running: AtomicUsize,
    /// A lane has ended, or is delivered.
    pub(crate) changed: Notify,
    /// Every task that runs a lane.
    pub(crate) runners: TaskTracker,
    /// Stops them all.
    pub(crate) cancel: CancellationToken,
}

/// Counts a lane as long as it lives.
pub(crate) struct LaneGuard(Box<dyn Fn() + Send + Sync>);

impl LaneGuard {
    pub(crate) fn new<L: Lanes>(shared: &Arc<Shared<L>>) -> Self {
        shared.running.fetch_add(1, Relaxed);
        let shared = Arc::clone(shared);
        Self(Box::new(move || {
            shared.running.fetch_sub(1, Relaxed);
            shared.changed.notify_one();
        }))
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl Agent {
    /// An agent whose runs are made by this runtime; agents of one process share it.
    pub fn new(config: AgentConfig, runtime: Runtime) -> Self {
        let lanes = RuntimeLanes::new(runtime, config.slots);
        Self::with_lanes(config, lanes)
    }
}

impl<L> Shared<L> {
    /// Who the agent is now.
    pub(crate) fn identity(&self) -> Identity {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Renew the certificate if it is due. A failure is no misfortune yet: the old one is good for a third of its life.
    async fn renew_if_due(&self) {
        if enrol::renewal(&self.identity()).is_none_or(|renewal| !renewal.due.is_zero()) {
            return;
        }
        if let Err(error) = self.renew().await {
            tracing::warn!("failed to renew the agent's certificate: {}", chain(&error));
        }
    }

    async fn renew(&self) -> Result<(), EnrolError> {
        let renewed = renew(self.config.hub, &self.identity(), &self.config.name).await?;
        if let Some(dir) = &self.config.state_dir
            && let Err(error) = renewed.save(dir)
        {
            tracing::warn!("the renewed certificate is not kept: {}", chain(&error));
        }
        tracing::info!(agent = %renewed.agent, "renewed the agent's certificate");
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }
}

impl<L: Lanes> Agent<L> {
    /// An agent whose runs are made by something else.
    pub fn with_lanes(mut config: AgentConfig, lanes: L) -> Self {
        config.slots = config.slots.max(1);
        config.in_flight = config.in_flight.max(config.slots);
        let shared = Shared {
            identity: Mutex::new(config.identity.clone()),
            config,
            lanes,
            incarnation: IncarnationId::new(),
            outbox: Outbox::default(),
            jobs: Jobs::default(),
            plugins: Plugins::default(),
            buffers: Buffers::default(),
            pace: Pace::new(),
            running: AtomicUsize::new(0),
            changed: Notify::new(),
            runners: TaskTracker::new(),
            cancel: CancellationToken::new(),
        };
        Self { shared }
    }

    /// Connect, work, and connect again with growing pauses, until `stop` is cancelled: then no lease is taken any
    /// more, what runs is run to its end and delivered, and the agent leaves. Dropping the future stops everything at
    /// once.
    pub async fn run(self, stop: CancellationToken) -> Result<(), AgentError> {
        let shared = Arc::new(self.shared);
        // Whatever ends this function ends the lanes.
        let _lanes_end_with_us = shared.cancel.clone().drop_guard();
        let link = transport::link(shared.config.hub)?;
        let result = tokio::select! {
            result = live(&shared, &link, &stop) => result,
            // Never ends: it only renews the certificate, in time and beside the session.
            () = keep_current(&shared) => Ok(()),
            // Whatever it waits for: it was told to stop, and has had its time.
            () = overdue(&stop, shared.config.drain) => Ok(()),
        };
        let left = shared.outbox.all().len();
        if stop.is_cancelled() && left > 0 {
            tracing::warn!(leases = left, "the drain took too long: what was not delivered is made again by others");
        }
        shared.cancel.cancel();
        shared.runners.close();
        shared.runners.wait().await;
        // The good-bye goes out with the next turn of the endpoint's driver; nobody waits for its echo.
        let _ = timeout(Duration::from_millis(20), link.endpoint.wait_idle()).await;
        result
    }
}

/// Look after the certificate. A session outlives it: certificates are checked where connections are accepted.
async fn keep_current<L: Lanes>(shared: &Shared<L>) {
    loop {
        let pause = match enrol::renewal(&shared.identity()) {
            // Agents that enrolled together do not renew together. Where a renewal failed, it is due still.
            Some(Renewal { due, spread }) => due + jittered(spread),
            None => LONGEST_RENEWAL_PAUSE,
        };
        sleep(pause.min(LONGEST_RENEWAL_PAUSE)).await;
        shared.renew_if_due().await;
    }
}

/// Ends once a drain has had its time.
async fn overdue(stop: &CancellationToken, drain: Duration) {
    stop.cancelled().await;
    sleep(drain.saturating_add(GOODBYE)).await;
}

async fn live<L: Lanes>(shared: &Arc<Shared<L>>, link: &Link, stop: &CancellationToken) -> Result<(), AgentError> {
    let (mut pause, mut attempt) = (FIRST_PAUSE, SHORTEST_ATTEMPT);
    // A node that was away for long may come back with a certificate that is good for nothing else.
    shared.renew_if_due().await;
    loop {
        let session = session::run(shared, link, attempt, stop).await;
        attempt = (attempt * 2).min(LONGEST_ATTEMPT);
        if session.welcomed {
            (pause, attempt) = (FIRST_PAUSE, SHORTEST_ATTEMPT);
        }
        match session.ended {
            Ended::Left => return Ok(()),
            Ended::Refused(reason) => return Err(AgentError::Refused(reason)),
            Ended::Elsewhere => return Err(AgentError::Elsewhere),
            // The hub's clock counts: ours may be wrong.
            Ended::Expired => match shared.renew().await {
                Ok(()) => {}
                Err(EnrolError::Refused { reason, .. }) => return Err(AgentError::Refused(reason)),
                Err(error) => tracing::warn!("failed to renew the agent's certificate: {}", chain(&error)),
            },
            Ended::Broken(reason) => tracing::warn!(hub = %shared.config.hub, "not connected: {reason}"),
        }
        // Told to stop while there is no hub: stay for what is not delivered, until that is overdue.
        if stop.is_cancelled() && shared.outbox.is_empty() {
            return Ok(());
        }
        tokio::select! {
            // Agents that lost one hub together do not come back together.
            () = sleep(jittered(pause)) => {}
            () = stop.cancelled(), if !stop.is_cancelled() => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Between a half and the whole of a pause.
fn jittered(pause: Duration) -> Duration {
    use ring::rand::{SecureRandom as _, SystemRandom};
    let mut byte = [0; 1];
    // Without randomness the pause is merely not jittered.
    let _ = SystemRandom::new().fill(&mut byte);
    pause / 2 + pause / 2 * u32::from(byte[0]) / 255
}
