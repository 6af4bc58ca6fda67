//! A hub and agents on loopback, with a control that writes down what it hears and lanes that need no guest.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use pigeon_agent::{Agent, AgentConfig, AgentError, Identity, Lanes, enrol};
use pigeon_hub::{
    CertificateAuthority, Certified, Hub, HubConfig, HubEvent, HubHandler, JobAnswer, JoinTokens, Landed, LeaseOrder,
    NotAdmitted, NotJoined, PluginAnswer,
};
use pigeon_protocol::{
    id::{AgentId, Digest, Fence, JobId, LeaseId, SessionId},
    manifest::{Manifest, SignedManifest},
    message::{Beat, JobContext, LeasedItems, RunRange},
};
use pigeon_runtime::{Event, Job, Judgement, Run, RunReport};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::{sync::Notify, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// Far longer than anything takes: what is not there by then never comes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The component of all tests. No two blocks of it are alike: what is sent twice or left out is not the same.
pub(crate) static COMPONENT: [u8; 300_000] = {
    let mut bytes = [0xc0; 300_000];
    let mut block = 0;
    while block < bytes.len() / 64 {
        [bytes[block * 64], bytes[block * 64 + 1]] = (block as u16).to_be_bytes();
        block += 1;
    }
    bytes
};

pub(crate) fn job_id() -> JobId {
    JobId::from_bytes([9; 16])
}

/// Whatever control has heard, and how it answers.
pub(crate) struct Control {
    tokens: JoinTokens,
    heard: Mutex<Vec<HubEvent>>,
    landed: Mutex<Vec<Landed>>,
    pub(crate) changed: Notify,
    pub(crate) revoked: Mutex<Vec<AgentId>>,
    /// How often it was asked whether an agent may come in.
    pub(crate) admissions: AtomicUsize,
    /// Whose certificates were renewed.
    pub(crate) renewed: Mutex<Vec<AgentId>>,
    pub(crate) unknown: Mutex<Vec<LeaseId>>,
    pub(crate) publisher: Ed25519KeyPair,
    /// The one plugin that it has.
    pub(crate) component: Mutex<Bytes>,
    pub(crate) plugin_asked: AtomicUsize,
    pub(crate) job_asked: AtomicUsize,
    /// How long it takes to let somebody join.
    pub(crate) joining: Mutex<Duration>,
    /// Whether outcomes are recorded as they come.
    pub(crate) records: AtomicBool,
    /// Whether outcomes that were kept are refused: of leases that their agent does not hold.
    pub(crate) refuses: AtomicBool,
    pub(crate) beats: AtomicUsize,
    /// The leases that the last beat named.
    pub(crate) held: Mutex<Vec<u64>>,
    /// The plugins that the last beat named.
    pub(crate) plugins: Mutex<Vec<Vec<u8>>>,
    /// The models that the last beat named.
    pub(crate) models: Mutex<Vec<String>>,
    /// While there is a list, it takes what records outcomes.
    pub(crate) recorders: Mutex<Option<Vec<pigeon_hub::Recorder>>>,
}

impl Control {
    fn new(tokens: JoinTokens) -> Arc<Self> {
        Arc::new(Self {
            tokens,
            heard: Mutex::default(),
            landed: Mutex::default(),
            changed: Notify::new(),
            revoked: Mutex::default(),
            admissions: AtomicUsize::new(0),
            renewed: Mutex::default(),
            unknown: Mutex::default(),
            publisher: Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap(),
            component: Mutex::new(Bytes::from_static(&COMPONENT)),
            plugin_asked: AtomicUsize::new(0),
            job_asked: AtomicUsize::new(0),
            joining: Mutex::default(),
            records: AtomicBool::new(true),
            refuses: AtomicBool::new(false),
            beats: AtomicUsize::new(0),
            held: Mutex::default(),
            plugins: Mutex::default(),
            models: Mutex::default(),
            recorders: Mutex::default(),
        })
    }

    /// What is said of the one job, whose one option has this value.
    pub(crate) fn answer(&self, value: &str) -> JobAnswer {
        let context = JobContext {
            plugin: Digest::of(&self.component.lock().unwrap()).as_bytes().to_vec(),
            places: 1,
            iterations: 1,
            ..JobContext::default()
        };
        JobAnswer { context, options: vec![("key".into(), value.into())] }
    }

    /// Waits until something holds, looking again whenever something was heard.
    pub(crate) async fn until<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        timeout(LONG, async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = look(self) {
                    return found;
                }
                changed.await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("it never happened: {what}; heard {:?}", self.heard.lock().unwrap()))
    }

    /// The first event that fits, taken away.
    pub(crate) async fn event<T>(&self, what: &str, fits: impl Fn(&HubEvent) -> Option<T>) -> T {
        self.until(what, |control| {
            let mut heard = control.heard.lock().unwrap();
            let at = heard.iter().position(|event| fits(event).is_some())?;
            fits(&heard.remove(at))
        })
        .await
    }

    pub(crate) async fn joined(&self) -> (SessionId, AgentId) {
        self.event("an agent joins", |event| match event {
            HubEvent::Joined { session, agent, .. } => Some((*session, *agent)),
            _ => None,
        })
        .await
    }

    pub(crate) async fn left(&self, who: SessionId) -> pigeon_hub::SessionEnd {
        self.event("a session ends", |event| match event {
            HubEvent::Left { session, end, .. } if *session == who => Some(end.clone()),
            _ => None,
        })
        .await
    }

    /// Waits until the lease has ended, and gives all that landed for it.
    pub(crate) async fn ended(&self, lease: u64) -> Vec<Landed> {
        self.until("a lease ends", |control| {
            let mut landed = control.landed.lock().unwrap();
            if !landed.iter().any(|landed| landed.lease.0 == lease && landed.end) {
                return None;
            }
            Some(landed.extract_if(.., |landed| landed.lease.0 == lease).collect())
        })
        .await
    }

    /// Whether such a thing was heard.
    pub(crate) fn heard(&self, fits: impl Fn(&HubEvent) -> bool) -> bool {
        self.heard.lock().unwrap().iter().any(fits)
    }

    /// Whether a lease broke, as far as was heard.
    pub(crate) fn lease_broke(&self) -> bool {
        self.heard.lock().unwrap().iter().any(|event| matches!(event, HubEvent::LeaseBroken { .. }))
    }

    /// What has landed of a lease so far.
    pub(crate) fn landed_of(&self, lease: u64) -> Vec<LeaseId> {
        let landed = self.landed.lock().unwrap();
        landed.iter().map(|landed| landed.lease).filter(|landed| landed.0 == lease).collect()
    }

    pub(crate) fn landed_so_far(&self) -> usize {
        self.landed.lock().unwrap().iter().map(|landed| landed.outcomes.len()).sum()
    }
}

#[async_trait]
impl HubHandler for Control {
    async fn event(&self, event: HubEvent) {
        self.heard.lock().unwrap().push(event);
        self.changed.notify_waiters();
    }

    async fn beat(&self, _: SessionId, beat: Beat) -> Vec<LeaseId> {
        self.beats.fetch_add(1, SeqCst);
        self.held.lock().unwrap().clone_from(&beat.leases);
        self.plugins.lock().unwrap().clone_from(&beat.plugins);
        self.models.lock().unwrap().clone_from(&beat.models);
        self.changed.notify_waiters();
        let unknown = self.unknown.lock().unwrap();
        beat.leases.into_iter().map(LeaseId).filter(|lease| unknown.contains(lease)).collect()
    }

    async fn landed(&self, landed: Landed) {
        let Landed { session, agent, lease, fence, job, outcomes, begun, end, kept, recorded } = landed;
        let (recorder, _) = pigeon_hub::Recorder::new();
        let copy = Landed { session, agent, lease, fence, job, outcomes, begun, end, kept, recorded: recorder };
        self.landed.lock().unwrap().push(copy);
        if let Some(recorders) = &mut *self.recorders.lock().unwrap() {
            recorders.push(recorded);
        } else if kept && self.refuses.load(SeqCst) {
            recorded.refused();
        } else if self.records.load(SeqCst) {
            recorded.done();
        }
        self.changed.notify_waiters();
    }

    async fn plugin(&self, digest: Digest) -> Option<PluginAnswer> {
        self.plugin_asked.fetch_add(1, SeqCst);
        let component = self.component.lock().unwrap().clone();
        let manifest =
            Manifest { digest: digest.as_bytes().to_vec(), size: component.len() as u64, ..Manifest::default() };
        let signed = SignedManifest::sign(&manifest, &self.publisher);
        (digest == Digest::of(&component)).then_some(PluginAnswer { signed, component })
    }

    async fn job(&self, job: JobId) -> Option<JobAnswer> {
        self.job_asked.fetch_add(1, SeqCst);
        (job == job_id()).then(|| self.answer("välue"))
    }

    async fn join(&self, token: Digest, _: Certified) -> Result<(), NotJoined> {
        self.tokens.redeem(token)?;
        let joining = *self.joining.lock().unwrap();
        tokio::time::sleep(joining).await;
        Ok(())
    }

    async fn renewed(&self, certified: Certified) {
        self.renewed.lock().unwrap().push(certified.agent);
        self.changed.notify_waiters();
    }

    fn admit(&self, agent: AgentId, _: Digest) -> Result<(), NotAdmitted> {
        self.admissions.fetch_add(1, SeqCst);
        self.changed.notify_waiters();
        if self.revoked.lock().unwrap().contains(&agent) { Err(NotAdmitted::Revoked) } else { Ok(()) }
    }
}

/// A hub with its control.
pub(crate) struct Host {
    pub(crate) control: Arc<Control>,
    pub(crate) hub: Hub,
    pub(crate) tokens: JoinTokens,
    pub(crate) ca: CertificateAuthority,
}

impl Host {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), CertificateAuthority::new_in_memory().unwrap()).await
    }

    pub(crate) async fn start_at(listen: std::net::SocketAddr, ca: CertificateAuthority) -> Self {
        Self::start_with(listen, ca, |_| ()).await
    }

    pub(crate) async fn start_with(
        listen: std::net::SocketAddr,
        ca: CertificateAuthority,
        configure: impl Fn(&mut HubConfig),
    ) -> Self {
        let tokens = JoinTokens::new(ca.fingerprint());
        let control = Control::new(tokens.clone());
        let mut config = HubConfig::new(listen);
        config.beat = Duration::from_millis(500);
        config.trusted_keys = vec![control.publisher.public_key().as_ref().try_into().unwrap()];
        configure(&mut config);
        // The address of a hub that has just gone may take a moment to be free.
        let hub = timeout(LONG, async {
            loop {
                match Hub::bind(config.clone(), ca.clone(), Arc::clone(&control) as _).await {
                    Ok(hub) => return hub,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
        Self { hub: hub.await.unwrap(), control, tokens, ca }
    }

    /// Waits until the hub has counted so many refusals: nothing else tells of them.
    pub(crate) async fn refused(&self, count: u64) {
        timeout(LONG, async {
            while self.hub.handle().stats().refused < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("not refused: {:?}", self.hub.handle().stats()));
    }

    pub(crate) async fn identity(&self) -> Identity {
        let token = self.tokens.issue(1, LONG).unwrap();
        enrol(self.hub.addr(), &token, "worker").await.unwrap()
    }

    /// An enrolled agent of these lanes, running.
    pub(crate) async fn agent(&self, lanes: FakeLanes) -> Running {
        self.agent_as(self.identity().await, lanes)
    }

    pub(crate) fn agent_as(&self, identity: Identity, lanes: impl Lanes) -> Running {
        let mut config = AgentConfig::new("worker", self.hub.addr(), identity, 2);
        config.drain = LONG;
        let stop = CancellationToken::new();
        let task = tokio::spawn(Agent::with_lanes(config, lanes).run(stop.clone()));
        Running { stop, task }
    }
}

/// A running agent.
pub(crate) struct Running {
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), AgentError>>,
}

impl Running {
    pub(crate) async fn stop(self) -> Result<(), AgentError> {
        self.stop.cancel();
        timeout(LONG, self.task).await.unwrap().unwrap()
    }
}

/// Lanes without guests: each run is valid, and says its item's id and length in its log.
#[derive(Clone, Default)]
pub(crate) struct FakeLanes {
    pub(crate) loaded: Arc<AtomicBool>,
    /// Why a component cannot be loaded, if it cannot.
    pub(crate) refuses: Option<&'static str>,
    /// Runs from this index on wait until the gate opens.
    pub(crate) gate: Option<(u64, Arc<Gate>)>,
    pub(crate) options: Arc<Mutex<HashMap<String, String>>>,
}

/// Opens once.
#[derive(Default)]
pub(crate) struct Gate(CancellationToken);

impl Gate {
    pub(crate) fn open(&self) {
        self.0.cancel();
    }
}

impl Lanes for FakeLanes {
    type Plugin = ();

    fn loaded(&self, _: &Digest) -> Option<()> {
        self.loaded.load(SeqCst).then_some(())
    }

    async fn load(&self, component: Bytes) -> Result<(), String> {
        assert_eq!(component, COMPONENT[..]);
        match self.refuses {
            Some(why) => Err(why.to_owned()),
            None => {
                self.loaded.store(true, SeqCst);
                Ok(())
            }
        }
    }

    async fn run(
        &self,
        (): &(),
        job: Arc<Job>,
        runs: Vec<Run>,
        cancel: CancellationToken,
        mut sink: impl FnMut(Event) + Send + 'static,
    ) {
        self.options.lock().unwrap().extend(job.options.iter().cloned());
        for run in runs {
            sink(Event::Begun(run.index));
            if let Some((from, gate)) = &self.gate
                && run.index >= *from
            {
                tokio::select! {
                    () = gate.0.cancelled() => {}
                    () = cancel.cancelled() => return,
                }
            }
            let report = RunReport {
                result: Ok(Judgement::default()),
                wall: Duration::from_micros(12),
                cpu: Duration::from_micros(11),
                memory: 65_536,
                log: format!("{} {} {:x}", run.item.id, run.item.body.len(), run.seed).into(),
            };
            sink(Event::Landed(run.index, report));
        }
    }

    fn computing(&self) -> usize {
        0
    }

    fn waiting(&self) -> usize {
        0
    }
}

/// A lease of these items, one run each.
pub(crate) fn order(lease: u64, first: u64, bodies: &[Bytes]) -> LeaseOrder {
    let mut items = LeasedItems::new(first);
    bodies.iter().zip(first..).for_each(|(body, index)| items.push(&format!("f:{index}"), body.len() as u64));
    LeaseOrder {
        lease: LeaseId(lease),
        fence: Fence(lease + 1000),
        job: job_id(),
        attempt: 1,
        context: None,
        items: vec![items],
        runs: vec![RunRange { first, count: bodies.len() as u64 }],
        bodies: bodies.to_vec(),
    }
}

/// Bodies of these sizes.
pub(crate) fn bodies(sizes: impl IntoIterator<Item = usize>) -> Vec<Bytes> {
    sizes.into_iter().map(|size| Bytes::from(vec![7; size])).collect()
}
