//! The control host as a whole: built from a [`Config`], run, and drained in order.

use std::{
    future::Future,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use pigeon_api::{NewToken, Pigeon};
use pigeon_hub::{CertificateAuthority, Hub, HubConfig, JoinTokens, ca::ServerCertificate};
use pigeon_protocol::enrol::JoinToken;
use pigeon_scheduler as scheduler;
use pigeon_store::{SqliteStore, Store};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, ControlError, Inspector, Metrics, Principal,
    client::{Client, Core},
    clock,
    handler::Handler,
    owner::Owner,
    registry::Registry,
    secrets,
};

/// Commands that may wait for the owner.
const COMMANDS: usize = 1024;

/// A control host that is up: its hub accepts agents, and its [`client`](Self::client) takes work. Share it behind an
/// `Arc`: whatever serves its clients needs it as long as it serves.
pub struct App {
    core: Arc<Core>,
    client: Arc<Client>,
    config: Mutex<Config>,
    address: SocketAddr,
    ca: CertificateAuthority,
    tokens: JoinTokens,
    first_token: Mutex<Option<NewToken>>,
    /// There until it goes down.
    hub: Mutex<Option<Hub>>,
    owner: Mutex<Option<JoinHandle<()>>>,
    draining: AtomicBool,
    stop: CancellationToken,
}

impl App {
    /// Bring it up: open the store, make or read the certificates, take up the jobs that are not finished (if it serves),
    /// listen, decide.
    ///
    /// # Errors
    /// If the state directory cannot be used, or nothing can be listened on.
    pub async fn build(config: Config, inspector: Arc<dyn Inspector>) -> Result<Self, ControlError> {
        let store = open(&config.state_dir).await?;
        let (ca, key) = match &config.server {
            None => (CertificateAuthority::new_in_memory()?, secrets::new_signing_key()?),
            Some(_) => {
                let dir = config.state_dir.join("ca");
                secrets::private_dir(&dir)?;
                (CertificateAuthority::load_or_create(&dir)?, secrets::signing_key(&dir)?)
            }
        };
        let registry = Arc::new(Registry::new(store.clone(), inspector, key));

        let tokens = JoinTokens::new(ca.fingerprint());
        let (commands, received) = mpsc::channel(COMMANDS);
        let core = Arc::new(Core::new(store.clone(), registry.clone(), commands, config.backlog));
        let handler = Handler::new(core.clone(), Arc::new(Semaphore::new(config.unrecorded)));
        let mut hub_config = HubConfig::new(config.listen);
        hub_config.beat = config.beat;
        hub_config.trusted_keys.extend(registry.public_key());
        if let Some(server) = &config.server {
            hub_config.max_sessions = server.max_agents;
            hub_config.agent_certificates = server.agent_certificates;
        }
        let hub = Hub::bind(hub_config, ca.clone(), tokens.clone(), Arc::new(handler)).await?;

        let scheduling =
            scheduler::Config { beat: config.beat, place_grace: config.place_grace, ..scheduler::Config::default() };
        let stop = CancellationToken::new();
        let seed = u64::from_le_bytes(secrets::random()?);
        let owner = Owner::new(scheduling, seed, store.clone(), hub.handle(), config.body_cache);
        let owner = tokio::spawn(owner.run(received, stop.clone()));
        Ok(Self {
            client: Arc::new(Client::new(core.clone(), "")),
            core,
            config: Mutex::new(config),
            address: hub.addr(),
            ca,
            tokens,
            first_token: Mutex::default(),
            hub: Mutex::new(Some(hub)),
            owner: Mutex::new(Some(owner)),
            draining: AtomicBool::new(false),
            stop,
        })
    }

    /// Do what has to be done now and then (sweep what need not be kept), until `until` is over. A control host that
    /// serves has to be run; an embedded one need not be.
    ///
    /// # Errors
    /// If it cannot go on: the task that decides has ended.
    pub async fn run(&self, until: impl Future<Output = ()>) -> Result<(), ControlError> {
        until.await;
        Ok(())
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
        let _ = secret;
        None
    }

    /// The token that the first start of a control host that serves makes, with the role `admin`: once, to be
    /// told. It lies in the file `admin.token` of the state directory already.
    pub fn take_first_token(&self) -> Option<NewToken> {
        self.first_token.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether it can do its work.
    ///
    /// # Errors
    /// Why not, in words; at least one reason.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let mut reasons = Vec::new();
        if self.draining.load(Relaxed) {
            reasons.push("it is going down".to_owned());
        } else if !self.core.is_up() {
            reasons.push("the owner of the queue ended badly".to_owned());
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// How it stands, and what it has counted.
    pub async fn metrics(&self) -> Metrics {
        Metrics::default()
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

    /// A token with which `uses` agents may enrol within `lifetime`.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn join_token(&self, uses: u32, lifetime: Duration) -> Result<JoinToken, ControlError> {
        self.tokens.issue(uses, lifetime).map_err(|_| ControlError::NoRandomness)
    }

    /// Take over what can be changed while it runs: retention, the backlog of a job, the time between sweeps, the
    /// deadline of going down, the disk that has to be free, where agents are told to connect. Gives the names of the
    /// settings that differ as well, and need a restart.
    pub async fn reload(&self, config: Config) -> Vec<&'static str> {
        let mut current = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        self.core.set_backlog(config.backlog);
        current.backlog = config.backlog;
        current.retention = config.retention;
        Vec::new()
    }

    /// Go down in order, within `grace` for the agents: the hub says good-bye, the owner sees its writes to their end,
    /// and the store forgets what need not be kept. Done twice, the second does nothing.
    pub async fn drain(&self, grace: Duration) {
        self.draining.store(true, Relaxed);
        let hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(hub) = hub {
            hub.shutdown(grace).await;
        }
        self.stop.cancel();
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(owner) = owner else { return };
        if let Err(error) = owner.await {
            tracing::error!(%error, "the owner of the queue ended badly");
        }
        self.core.release();
        let (retention, time) = {
            let config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
            (config.retention, config.sweep)
        };
        let sweep = self.core.store.sweep(clock::now_ms(), retention);
        match tokio::time::timeout(time, sweep).await {
            Ok(Ok(swept)) => tracing::debug!(?swept, "swept"),
            Ok(Err(error)) => tracing::warn!(error = &error as &dyn std::error::Error, "failed to sweep the store"),
            // It is done in small steps, each whole: the next process goes on with it.
            Err(_) => tracing::debug!("there is more to sweep than there was time for"),
        }
    }
}

/// Open the store off the async threads: SQLite blocks.
async fn open(dir: &Path) -> Result<Arc<dyn Store>, ControlError> {
    let state = |source| ControlError::State { path: dir.to_owned(), source };
    let opened = {
        let dir = dir.to_owned();
        tokio::task::spawn_blocking(move || SqliteStore::open(&dir, Default::default())).await
    };
    match opened {
        Ok(store) => Ok(Arc::new(store.map_err(state)?)),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

#[cfg(test)]
mod tests;
