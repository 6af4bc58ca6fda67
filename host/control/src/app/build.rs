//! How a control host comes up.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
};

use pigeon_api::{EventKind, JobId, NewToken, words::plural};
use pigeon_hub::{CertificateAuthority, Hub, HubConfig, JoinTokens};
use pigeon_scheduler as scheduler;
use pigeon_store::{Access, AgentRecord, Options, SqliteStore, Store};
use ring::signature::Ed25519KeyPair;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{App, Running};
use crate::{
    Config, ControlError, Inspector,
    access::Tokens,
    client::Client,
    clock,
    core::{Core, Serving},
    figures::Figures,
    handler::Handler,
    jobs::Jobs,
    journal::{About, HOST, Journal},
    owner::{Owner, Tools},
    registry::Registry,
    room::Room,
    schedules::Schedules,
    secrets,
    stats::Kept,
};

/// Commands that may wait for the owner, and as many signs of life.
const COMMANDS: usize = 1024;

impl App {
    /// Bring it up: open the store, make or read the certificates, listen, decide; and, if it serves, take up the jobs
    /// that are not finished.
    ///
    /// # Errors
    /// If the state directory cannot be used, or nothing can be listened on.
    pub async fn build(config: Config, inspector: Arc<dyn Inspector>) -> Result<Self, ControlError> {
        let started_ms = clock::now_ms();
        let serves = config.server.is_some();
        let store = open(&config.state_dir, serves).await?;
        let (ca, key) = identity(&config)?;
        let (serving, first_token, remembered) = match serves {
            true => {
                let state = |source| ControlError::State { path: config.state_dir.clone(), source };
                let remembered = store.agents().await.map_err(state)?;
                let (serving, first_token) = admission(&store, &config, &remembered).await?;
                (Some(serving), first_token, remembered)
            }
            false => (None, None, Vec::new()),
        };
        let (commands, received) = mpsc::channel(COMMANDS);
        let (beats, beaten) = mpsc::channel(COMMANDS);
        let (journal, writing) = Journal::start(store.clone());
        let registry = Arc::new(Registry::new(store.clone(), inspector, key));
        let trusted = registry.public_key();
        let core = Arc::new(Core {
            store,
            registry,
            jobs: Arc::<Jobs>::default(),
            journal,
            figures: Arc::<Figures>::default(),
            kept: Kept::default(),
            join_tokens: JoinTokens::new(ca.fingerprint()),
            hub: RwLock::default(),
            serving,
            schedules: Mutex::default(),
            started_ms,
            room: Room::new(&config.state_dir, config.least_free(), serves),
            backlog: AtomicU64::new(config.backlog),
            max_jobs: AtomicUsize::new(config.max_jobs()),
            left: Mutex::default(),
            closing: AtomicBool::new(false),
            commands,
            beats,
        });

        let handler = Handler::new(core.clone(), Arc::new(Semaphore::new(config.unrecorded)));
        let mut hub_config = HubConfig::new(config.listen);
        hub_config.beat = config.beat;
        hub_config.trusted_keys.extend(trusted);
        if let Some(server) = &config.server {
            hub_config.max_sessions = server.max_agents;
            hub_config.agent_certificates = server.agent_certificates;
        }
        let hub = Hub::bind(hub_config, ca.clone(), Arc::new(handler)).await?;
        *core.hub.write().unwrap_or_else(std::sync::PoisonError::into_inner) = config.hub(hub.addr());

        let stop = CancellationToken::new();
        let mut owner = owner(&config, &core, &hub)?;
        owner.know(&remembered);
        let owner = tokio::spawn(owner.run(received, beaten, stop.clone()));
        let app = Self {
            client: Arc::new(Client::new(core.clone(), "")),
            core,
            address: hub.addr(),
            hub: hub.handle(),
            config: Mutex::new(config),
            ca,
            first_token: Mutex::new(first_token),
            running: Mutex::new(Some(Running { hub, owner, journal: writing })),
            stop,
        };
        if serves {
            app.begin().await?;
        }
        Ok(app)
    }

    /// Go on with what an earlier process left.
    async fn begin(&self) -> Result<(), ControlError> {
        let core = &self.core;
        core.figures.take_up(&self.config().state_dir, clock::now_ms());
        core.limit_all().await.map_err(ControlError::Queue)?;
        let (jobs, paused) = core.take_up_all().await.map_err(ControlError::Queue)?;
        let jobs = plural(jobs as u64, "job");
        let message = format!("version {} started, with {jobs} to do and {paused} paused", env!("CARGO_PKG_VERSION"));
        core.journal.note(HOST, EventKind::HostStarted, About::HOST, message);
        if let Some(token) = &*self.first_token.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            let message = format!("was made, with the role {}", token.info.role);
            core.journal.note(HOST, EventKind::TokenCreated, About::named(&token.info.name), message);
        }
        let client = {
            let core = core.clone();
            Arc::new(move |author: &str| Arc::new(Client::new(core.clone(), author)) as Arc<dyn pigeon_api::Pigeon>)
        };
        let journal = core.journal.clone();
        let log = Arc::new(move |name: &str, came: &Result<JobId, String>| {
            let author = format!("schedule {name}");
            match came {
                Ok(job) => {
                    let message = format!("its time came: job {job} was submitted");
                    journal.note(&author, EventKind::ScheduleFired, About::job(*job).and(name), message);
                }
                Err(why) => {
                    let message = format!("its time came, and no job was submitted: {why}");
                    journal.note(&author, EventKind::ScheduleSkipped, About::named(name), message);
                }
            }
        });
        let schedules = Schedules::start(client, core.store.clone(), log).await.map_err(ControlError::Queue)?;
        core.set_schedules(Some(Arc::new(schedules)));
        Ok(())
    }
}

/// The CA and the signing key: of this process alone, or those that the state directory keeps.
fn identity(config: &Config) -> Result<(CertificateAuthority, Ed25519KeyPair), ControlError> {
    if config.server.is_none() {
        return Ok((CertificateAuthority::new_in_memory()?, secrets::new_signing_key()?));
    }
    let dir = config.state_dir.join("ca");
    secrets::private_dir(&dir)?;
    Ok((CertificateAuthority::load_or_create(&dir)?, secrets::signing_key(&dir)?))
}

/// Who may come in over the API; with the token that was made, if one was: by the first start, or because it was asked for
/// and nobody has one that is good.
async fn admission(
    store: &Arc<dyn Store>,
    config: &Config,
    agents: &[AgentRecord],
) -> Result<(Serving, Option<NewToken>), ControlError> {
    let tokens = Tokens::load(store.clone()).await.map_err(ControlError::Queue)?;
    let wanted = config.server.as_ref().is_some_and(|server| server.new_admin_token);
    let make = tokens.is_empty() || (wanted && !tokens.admits_admin(&config.state_dir));
    let made = if make { Some(tokens.create_admin(&config.state_dir).await?) } else { None };
    let revoked = agents.iter().filter(|agent| agent.revoked.is_some()).map(|agent| agent.agent).collect();
    Ok((Serving { tokens, revoked: RwLock::new(revoked) }, made))
}

fn owner(config: &Config, core: &Core, hub: &Hub) -> Result<Owner, ControlError> {
    let scheduling =
        scheduler::Config { beat: config.beat, place_grace: config.place_grace, ..scheduler::Config::default() };
    let tools = Tools {
        store: core.store.clone(),
        hub: hub.handle(),
        kept: core.jobs.clone(),
        journal: core.journal.clone(),
        figures: core.figures.clone(),
        body_cache: config.body_cache,
        serving: config.server.is_some(),
    };
    Ok(Owner::new(scheduling, u64::from_le_bytes(secrets::random()?), tools))
}

/// Open the store off the async threads: SQLite blocks. A control host that serves has it alone, and keeps dead letters.
async fn open(dir: &Path, serves: bool) -> Result<Arc<dyn Store>, ControlError> {
    let state = |source| ControlError::State { path: dir.to_owned(), source };
    let access = if serves { Access::Alone } else { Access::Shared };
    let options = Options { access, dead_letters: serves, ..Options::default() };
    let opened = {
        let dir = dir.to_owned();
        tokio::task::spawn_blocking(move || SqliteStore::open(&dir, options)).await
    };
    match opened {
        Ok(store) => Ok(Arc::new(store.map_err(state)?)),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
