//! The control host as a whole: built from a [`Config`], run, and drained in order.

mod build;
mod drain;

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use pigeon_api::{EventKind, NewToken, Pigeon};
use pigeon_hub::{CertificateAuthority, Hub, HubHandle, ca::ServerCertificate};
use pigeon_protocol::enrol::JoinToken;
use pigeon_store::{Retention, Swept};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, ControlError, Metrics, Principal,
    client::Client,
    clock,
    core::Core,
    journal::{About, HOST},
    owner::Command,
};

/// How often it is looked whether jobs that the machinery failed for can go on.
const MEND: Duration = Duration::from_secs(10);

/// How often is written down what landed lately, while anything does: so much is lost if the process is killed.
const KEEP: Duration = Duration::from_secs(1);

/// A control host that is up: its hub accepts agents, and its [`client`](Self::client) takes work. Share it behind an
/// `Arc`: whatever serves its clients needs it as long as it serves.
pub struct App {
    core: Arc<Core>,
    client: Arc<Client>,
    config: Mutex<Config>,
    address: SocketAddr,
    ca: CertificateAuthority,
    first_token: Mutex<Option<NewToken>>,
    hub: HubHandle,
    /// What runs, until it goes down.
    running: Mutex<Option<Running>>,
    stop: CancellationToken,
}

/// What runs.
struct Running {
    hub: Hub,
    owner: JoinHandle<()>,
    journal: JoinHandle<()>,
}

impl App {
    /// Do what has to be done now and then, until `until` is over: sweep what need not be kept, and have jobs go on that
    /// the machinery failed for. A control host that serves has to be run; an embedded one need not be.
    ///
    /// # Errors
    /// If it cannot go on: the task that decides has ended.
    pub async fn run(&self, until: impl Future<Output = ()>) -> Result<(), ControlError> {
        tokio::pin!(until);
        let mut mending = tokio::time::interval(MEND);
        mending.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut keeping = tokio::time::interval(KEEP);
        keeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut swept = Instant::now();
        // Each one at a time, beside all else; all are done in small steps, so they may be cut off.
        let (mut sweeping, mut mended, mut kept) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        loop {
            let sweep_at = swept + self.sweep_every();
            tokio::select! {
                // Whoever runs it has had enough.
                () = &mut until => return Ok(()),
                // Jobs may be able to go on, and the owner is looked after.
                _ = mending.tick() => {
                    if !self.core.is_up() && !self.core.closing.load(Relaxed) {
                        return Err(ControlError::OwnerLost);
                    }
                    if mended.is_empty() {
                        let core = self.core.clone();
                        mended.spawn(async move { core.mend().await });
                    }
                }
                // Those that can go on do.
                Some(_) = mended.join_next(), if !mended.is_empty() => {}
                // Off this task: a disk may be slow.
                _ = keeping.tick(), if kept.is_empty() => {
                    if let Some(keep) = self.keep_figures() {
                        kept.spawn_blocking(keep);
                    }
                }
                Some(_) = kept.join_next(), if !kept.is_empty() => {}
                // Something may have had its time. The setting may have changed since: then this comes early or late once.
                () = tokio::time::sleep_until(sweep_at), if sweeping.is_empty() => {
                    sweeping.spawn(sweep(self.core.clone(), self.config().retention));
                }
                // The next one counts from its end.
                Some(_) = sweeping.join_next(), if !sweeping.is_empty() => swept = Instant::now(),
            }
        }
    }

    /// What clients without a name talk to: that of an embedded control host.
    pub fn client(&self) -> Arc<dyn Pigeon> {
        self.client.clone()
    }

    /// What a client talks to whose deeds are logged under this name. Cheap: one can be made for each request.
    pub fn client_as(&self, author: &str) -> Arc<dyn Pigeon> {
        Arc::new(Client::new(self.core.clone(), author))
    }

    /// Who the bearer of a token is, and what it may do; nobody if there is no such token (any more). Looks at memory
    /// only.
    pub fn principal(&self, secret: &str) -> Option<Principal> {
        self.core.serving.as_ref()?.tokens.principal(secret)
    }

    /// The token that the first start of a control host that serves makes, with the role `admin`: once, to be told. It
    /// lies in the file `admin.token` of the state directory already.
    pub fn take_first_token(&self) -> Option<NewToken> {
        self.first_token.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether it can do its work.
    ///
    /// # Errors
    /// Why not, in words; at least one reason.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let mut reasons = Vec::new();
        if self.core.closing.load(Relaxed) {
            reasons.push("it is going down".to_owned());
        } else if !self.core.is_up() {
            reasons.push("the owner of the queue ended badly".to_owned());
        }
        if let Some(free) = self.core.room.too_little() {
            reasons.push(format!("only {} MiB are free on the disk of the state directory", free >> 20));
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// How it stands, and what it has counted.
    pub async fn metrics(&self) -> Metrics {
        let (core, figures) = (&self.core, &self.core.figures);
        let mut metrics = Metrics {
            started_ms: clock::signed(core.started_ms),
            submitted: figures.submitted.load(Relaxed),
            items: figures.items.load(Relaxed),
            item_bytes: figures.item_bytes.load(Relaxed),
            runs: figures.runs(),
            refused: figures.refusals(),
            retried: figures.retried.load(Relaxed),
            leased: figures.leased.load(Relaxed),
            hub: self.hub.stats(),
            commands_waiting: core.commands_waiting() as u64,
            commits: core.store.commits(),
            disk_bytes: core.store.disk_bytes().await.unwrap_or_default(),
            disk_free: core.room.free().unwrap_or_default(),
            dead: core.store.dead_count(None).await.unwrap_or_default(),
            ..Metrics::default()
        };
        if let Ok(counts) = core.store.job_counts().await {
            (metrics.jobs_active, metrics.jobs_paused) = (counts.active, counts.paused);
        }
        if let Ok(overview) = core.ask(Command::Look).await {
            metrics.queue = core.queue(&overview, clock::now_ms()).0;
            for agent in overview.agents {
                metrics.agents[agent.state as usize] += 1;
                if agent.state.is_in() {
                    metrics.slots += u64::from(agent.slots);
                }
            }
        }
        metrics
    }

    /// Where agents connect (UDP).
    pub fn hub_address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of its CA (DER): what clients and agents pin.
    pub fn ca_certificate(&self) -> &[u8] {
        self.ca.certificate()
    }

    /// A certificate of its CA for a server under these names (DNS names, addresses), with a new key.
    ///
    /// # Errors
    /// If a name cannot stand in a certificate.
    pub fn server_certificate(&self, names: &[String]) -> Result<ServerCertificate, ControlError> {
        Ok(self.ca.server(names)?)
    }

    /// A token with which `uses` agents of this very process may enrol within `lifetime`: it is not kept.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn join_token(&self, uses: u32, lifetime: Duration) -> Result<JoinToken, ControlError> {
        self.core.join_tokens.issue(uses, lifetime).map_err(|_| ControlError::NoRandomness)
    }

    /// Take over what can be changed while it runs: retention, the backlog of a job, the time between sweeps, the deadline
    /// of going down, the disk that has to be free, how many jobs may wait, where agents are told to connect. Gives the
    /// names of the settings that differ as well, and need a restart.
    pub async fn reload(&self, config: Config) -> Vec<&'static str> {
        let differ = {
            let mut current = self.config();
            let differ = current.take_over(config);
            self.core.backlog.store(current.backlog, Relaxed);
            self.core.room.set_least(current.least_free());
            self.core.max_jobs.store(current.max_jobs(), Relaxed);
            *self.core.hub.write().unwrap_or_else(PoisonError::into_inner) = current.hub(self.address);
            differ
        };
        let message = match differ.is_empty() {
            true => "the configuration was read again".to_owned(),
            false => format!("the configuration was read again; {} need a restart", differ.join(", ")),
        };
        self.core.journal.note(HOST, EventKind::HostReloaded, About::HOST, message);
        self.core.journal.flush().await;
        differ
    }

    /// Writes down what landed lately, which outlives a control host that serves. It blocks.
    fn keep_figures(&self) -> Option<impl FnOnce() + Send + 'static> {
        self.core.serving.as_ref()?;
        let (figures, dir) = (self.core.figures.clone(), self.config().state_dir.clone());
        Some(move || figures.keep(&dir, clock::now_ms()))
    }

    fn config(&self) -> MutexGuard<'_, Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sweep_every(&self) -> Duration {
        self.config().server.as_ref().map_or(Duration::MAX / 4, |server| server.sweep_every)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // For those who did not drain it: nothing of it goes on.
        self.stop.cancel();
        self.core.set_schedules(None);
    }
}

/// Remove what need not be kept, and tell of it.
async fn sweep(core: Arc<Core>, retention: Retention) {
    match core.store.sweep(clock::now_ms(), retention).await {
        Ok(swept) => {
            tracing::debug!(?swept, "swept");
            if !(swept.jobs.is_empty() && swept.for_room.is_empty()) {
                core.kept.forget();
            }
            if let Some(message) = told(&swept) {
                core.journal.note(HOST, EventKind::Swept, About::HOST, message);
            }
        }
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "failed to sweep the store"),
    }
}

/// What a sweep removed and why, in words; nothing if it removed nothing that anybody would miss.
fn told(swept: &Swept) -> Option<String> {
    let parts = [
        (swept.jobs.len() as u64, "jobs whose time was over"),
        (swept.for_room.len() as u64, "jobs for the sake of room"),
        (swept.bodies.len() as u64, "jobs' items, which their results outlive"),
        (swept.events, "entries of the log whose time was over"),
        (swept.events_for_room, "entries of the log for the sake of room"),
    ];
    let told: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let freed = format!("{:.1} MiB came free", swept.freed as f64 / f64::from(1 << 20));
    (!told.is_empty()).then(|| format!("removed {}; {freed}", told.join(", ")))
}

#[cfg(test)]
mod tests;
