//! The control host as a whole: built from a [`Config`], run, and drained in order.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use pigeon_api::Pigeon;
use pigeon_hub::{CertificateAuthority, Hub, HubConfig, JoinTokens};
use pigeon_protocol::enrol::JoinToken;
use pigeon_scheduler as scheduler;
use pigeon_store::{SqliteStore, Store};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, ControlError, Inspector, client::Client, clock, handler::Handler, owner::Owner, registry::Registry,
};

/// Commands that may wait for the owner.
const COMMANDS: usize = 1024;

/// A control host that is up: its hub accepts agents, and its [`client`](Self::client) takes work.
pub struct App {
    hub: Hub,
    tokens: JoinTokens,
    client: Arc<Client>,
    store: Arc<dyn Store>,
    config: Config,
    owner: JoinHandle<()>,
    stop: CancellationToken,
}

impl App {
    /// Bring it up: open the store, make the certificates, listen, decide.
    ///
    /// # Errors
    /// If the state directory cannot be used, or nothing can be listened on.
    pub async fn build(config: Config, inspector: Arc<dyn Inspector>) -> Result<Self, ControlError> {
        let store = open(&config.state_dir).await?;
        let registry = Arc::new(Registry::new(store.clone(), inspector)?);

        let ca = CertificateAuthority::new_in_memory()?;
        let tokens = JoinTokens::new(ca.fingerprint());
        let (commands, received) = mpsc::channel(COMMANDS);
        let client = Arc::new(Client::new(store.clone(), registry.clone(), commands, config.backlog));
        let handler = Handler::new(client.clone(), Arc::new(Semaphore::new(config.unrecorded)));
        let mut hub_config = HubConfig::new(config.listen);
        hub_config.beat = config.beat;
        hub_config.trusted_keys.extend(registry.public_key());
        let hub = Hub::bind(hub_config, ca, tokens.clone(), Arc::new(handler)).await?;

        let scheduling =
            scheduler::Config { beat: config.beat, place_grace: config.place_grace, ..scheduler::Config::default() };
        let stop = CancellationToken::new();
        let owner = Owner::new(scheduling, seed()?, store.clone(), hub.handle(), config.body_cache);
        let owner = tokio::spawn(owner.run(received, stop.clone()));
        Ok(Self { hub, tokens, client, store, config, owner, stop })
    }

    /// What clients talk to.
    pub fn client(&self) -> Arc<dyn Pigeon> {
        self.client.clone()
    }

    /// Where agents connect (UDP).
    pub fn address(&self) -> SocketAddr {
        self.hub.addr()
    }

    /// A token with which `uses` agents may enrol within `lifetime`.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn join_token(&self, uses: u32, lifetime: Duration) -> Result<JoinToken, ControlError> {
        self.tokens.issue(uses, lifetime).map_err(|_| ControlError::NoRandomness)
    }

    /// Go down in order, within `grace` for the agents: the hub says good-bye, the owner sees its writes to their end,
    /// and the store forgets what need not be kept.
    pub async fn drain(self, grace: Duration) {
        self.hub.shutdown(grace).await;
        self.stop.cancel();
        if let Err(error) = self.owner.await {
            tracing::error!(%error, "the owner of the queue ended badly");
        }
        self.client.release();
        let sweep = self.store.sweep(clock::now_ms(), self.config.retention);
        match tokio::time::timeout(self.config.sweep, sweep).await {
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

fn seed() -> Result<u64, ControlError> {
    use ring::rand::{SecureRandom as _, SystemRandom};
    let mut seed = [0; 8];
    SystemRandom::new().fill(&mut seed).map_err(|_| ControlError::NoRandomness)?;
    Ok(u64::from_le_bytes(seed))
}

#[cfg(test)]
mod tests;
