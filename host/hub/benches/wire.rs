//! What the wire costs: hub and agent in one process over QUIC on loopback, with lanes that do nothing.
//!
//! Prints runs a second and microseconds of CPU a run, both ends together, for items of 846 bytes in batches of 4 MiB,
//! and for comparison what copying the same bytes once costs.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that fails should say so")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use pigeon_agent::{Agent, AgentConfig, Lanes, enrol};
use pigeon_hub::{
    CertificateAuthority, Certified, Hub, HubConfig, HubEvent, HubHandler, JobAnswer, JoinTokens, Landed, LeaseOrder,
    NotAdmitted, NotJoined, PluginAnswer,
};
use pigeon_protocol::{
    id::{AgentId, Digest, Fence, JobId, LeaseId, SessionId},
    limits::MAX_LEASE_BODIES,
    message::{Beat, JobContext, LeasedItems, RunRange},
};
use pigeon_runtime::{Event, Job, Judgement, Run, RunReport};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const ITEM: usize = 846;
const BATCH: u64 = MAX_LEASE_BODIES / ITEM as u64;
const RUNS: u64 = 1_000_000;

struct Control {
    tokens: JoinTokens,
    events: mpsc::UnboundedSender<HubEvent>,
    landed: Arc<AtomicU64>,
    ended: mpsc::UnboundedSender<()>,
}

#[async_trait]
impl HubHandler for Control {
    async fn event(&self, event: HubEvent) {
        let _ = self.events.send(event);
    }

    async fn beat(&self, _: SessionId, _: Beat) -> Vec<LeaseId> {
        Vec::new()
    }

    async fn landed(&self, landed: Landed) {
        self.landed.fetch_add(landed.outcomes.len() as u64, Relaxed);
        landed.recorded.done();
        if landed.end {
            let _ = self.ended.send(());
        }
    }

    async fn plugin(&self, _: Digest) -> Option<PluginAnswer> {
        None
    }

    async fn job(&self, _: JobId) -> Option<JobAnswer> {
        let context = JobContext { plugin: vec![0; 32], places: 1, iterations: 1, ..JobContext::default() };
        Some(JobAnswer { context, options: Vec::new() })
    }

    async fn join(&self, token: Digest, _: Certified) -> Result<(), NotJoined> {
        self.tokens.redeem(token)
    }

    fn admit(&self, _: AgentId, _: Digest) -> Result<(), NotAdmitted> {
        Ok(())
    }
}

struct NoLanes;

impl Lanes for NoLanes {
    type Plugin = ();

    fn loaded(&self, _: &Digest) -> Option<()> {
        Some(())
    }

    async fn load(&self, _: Bytes) -> Result<(), String> {
        Ok(())
    }

    async fn run(
        &self,
        (): &(),
        _: Arc<Job>,
        runs: Vec<Run>,
        _: CancellationToken,
        mut sink: impl FnMut(Event) + Send + 'static,
    ) {
        for run in runs {
            sink(Event::Begun(run.index));
            let report = RunReport {
                result: Ok(Judgement::default()),
                wall: Duration::from_micros(12),
                cpu: Duration::from_micros(11),
                memory: 1 << 20,
                log: Bytes::new(),
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

fn main() {
    // `cargo test --benches` runs this without `--bench`: then it only has to build.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(bench());
}

async fn bench() {
    let ca = CertificateAuthority::new_in_memory().unwrap();
    let tokens = JoinTokens::new(ca.fingerprint());
    let (events, mut heard) = mpsc::unbounded_channel();
    let (ended, mut ends) = mpsc::unbounded_channel();
    let landed = Arc::new(AtomicU64::new(0));
    let control = Arc::new(Control { tokens: tokens.clone(), events, ended, landed: Arc::clone(&landed) });
    let listen = "127.0.0.1:0".parse().unwrap();
    let hub = Hub::bind(HubConfig::new(listen), ca, control).await.unwrap();
    let token = tokens.issue(1, Duration::from_secs(60)).unwrap();
    let identity = enrol(hub.addr(), &token, "bench").await.unwrap();
    let stop = CancellationToken::new();
    let config = AgentConfig::new("bench", hub.addr(), identity, 2);
    let agent = tokio::spawn(Agent::with_lanes(config, NoLanes).run(stop.clone()));
    let session = loop {
        if let Some(HubEvent::Joined { session, .. }) = heard.recv().await {
            break session;
        }
    };
    let body = Bytes::from(vec![b'x'; ITEM * BATCH as usize]);
    let order = |lease: u64| {
        let first = lease * BATCH;
        let mut items = LeasedItems::new(first);
        (first..first + BATCH).for_each(|index| items.push(&format!("items.jsonl:{index}"), ITEM as u64));
        LeaseOrder {
            lease: LeaseId(lease),
            fence: Fence(lease),
            job: JobId::from_bytes([1; 16]),
            attempt: 1,
            context: None,
            items: vec![items],
            runs: vec![RunRange { first, count: BATCH }],
            bodies: vec![body.clone()],
        }
    };
    // Four on the way at any time, as the credit of two slots allows.
    let (handle, mut next, batches) = (hub.handle(), 0, RUNS / BATCH);
    for round in 0..3 {
        let (before, cpu, begun) = (landed.load(Relaxed), cpu(), Instant::now());
        let last = next + batches;
        for _ in 0..4 {
            handle.lease(session, order(next)).unwrap();
            next += 1;
        }
        let mut over = 0;
        while over < batches {
            ends.recv().await.expect("the hub lives");
            over += 1;
            if next < last {
                handle.lease(session, order(next)).unwrap();
                next += 1;
            }
        }
        let (wall, cpu) = (begun.elapsed(), self::cpu() - cpu);
        let runs = (landed.load(Relaxed) - before) as f64;
        println!(
            "round {round}: {runs} runs in {:.3} s: {:.0} runs/s, {:.2} us of CPU a run",
            wall.as_secs_f64(),
            runs / wall.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / runs
        );
    }
    let begun = Instant::now();
    let mut copied = 0;
    for _ in 0..batches {
        copied += std::hint::black_box(body.to_vec()).len();
    }
    println!(
        "baseline: one copy of the bodies, {:.2} us a run",
        begun.elapsed().as_secs_f64() * 1e6 / (copied / ITEM) as f64
    );
    stop.cancel();
    agent.await.unwrap().unwrap();
    hub.shutdown(Duration::from_secs(5)).await;
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
