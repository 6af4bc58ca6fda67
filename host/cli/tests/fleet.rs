//! Three agents as processes of their own: one is killed and one is stopped half way. Every run has one outcome.
//!
//! The agents are this test's own binary, started again with the test [`agent_process`] and a variable that tells it to
//! be an agent. They enrol and work over real QUIC, as agents on other machines do.

#![expect(clippy::unwrap_used, reason = "a panic is the report of a test")]

use std::{
    collections::HashSet,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt as _;
use pigeon_agent::{Agent, AgentConfig};
use pigeon_api::{ChunkBuilder, JobEvent, JobId, JobRequest, JobState, Landed, Pigeon, Progress, Verdict, Watch, Work};
use pigeon_cli::inspector::RuntimeInspector;
use pigeon_control::{App, Config};
use pigeon_runtime::{Runtime, RuntimeConfig};
use rustix::process::{Pid, Signal, kill_process};
use tokio_util::sync::CancellationToken;

const ITEMS: u64 = 100_000;

/// Tells an agent process the hub's address, the file of its token, and its name.
const AGENT: &str = "PIGEON_TEST_AGENT";

/// Not a test of its own: what the others start as an agent.
#[test]
fn agent_process() {
    let Ok(told) = std::env::var(AGENT) else { return };
    let [hub, token, name] = told.split(';').collect::<Vec<_>>()[..] else { panic!("{AGENT} is {told:?}") };
    let hub: SocketAddr = hub.parse().unwrap();
    let token = std::fs::read_to_string(token).unwrap().trim().parse().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let identity = pigeon_agent::enrol(hub, &token, name).await.unwrap();
        let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
        Agent::new(AgentConfig::new(name, hub, identity, 1), runtime).run(CancellationToken::new()).await.unwrap();
    });
}

/// An agent that does not outlive the test.
struct Process(Child);

impl Process {
    fn start(hub: SocketAddr, token: &Path, name: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["agent_process", "--exact", "--nocapture"])
            .env(AGENT, format!("{hub};{};{name}", token.display()))
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn submit(client: &Arc<dyn Pigeon>) -> JobId {
    let plugin = client.plugin("gexpr").await.unwrap().digest;
    let request = JobRequest::new(plugin, Work::Many { iterations: 1, workers: None });
    client.submit(request).await.unwrap()
}

async fn append_all(client: &Arc<dyn Pigeon>, job: JobId) {
    let body = include_bytes!("../../../plugins/gexpr/examples/fibonacci.json");
    let mut builder = ChunkBuilder::new(0, 0);
    for item in 0..ITEMS {
        if builder.is_full_for(body.len()) {
            client.append(job, builder.finish(Bytes::new())).await.unwrap();
        }
        builder.push(|id| id.extend_from_slice(format!("item {item}").as_bytes()), item + 1, body);
    }
    client.append(job, builder.finish(Bytes::new())).await.unwrap();
    client.seal(job).await.unwrap();
}

async fn control_host(state: &Path) -> App {
    let inspector = Arc::new(RuntimeInspector::new(Runtime::new(RuntimeConfig::default()).unwrap()));
    App::build(Config::embedded(state.to_owned()), inspector).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_has_one_outcome_whatever_dies() {
    let dir = tempfile::tempdir().unwrap();
    let app = control_host(&dir.path().join("state")).await;
    let client = app.client();

    let token = dir.path().join("token");
    std::fs::write(&token, app.join_token(3, Duration::from_secs(600)).unwrap().reveal()).unwrap();
    let agents: Vec<_> =
        (1..=3).map(|number| Process::start(app.hub_address(), &token, &format!("agent-{number}"))).collect();

    let job = submit(&client).await;
    let mut events = client.watch(job, Watch { runs: true, ..Watch::default() }).await.unwrap();
    let appending = {
        let client = client.clone();
        tokio::spawn(async move { append_all(&client, job).await })
    };

    // Every run is told once, in the order of its commit; the faults come at points of progress, not of time.
    let mut landed = HashSet::new();
    let (mut killed, mut stopped) = (false, false);
    let state = loop {
        match events.next().await.unwrap().unwrap() {
            JobEvent::Landed(Landed { runs, .. }) => {
                for run in runs {
                    assert_eq!(run.verdict, Verdict::Valid, "{run:?}");
                    assert_eq!(run.item, format!("item {}", run.index));
                    assert!(landed.insert(run.index), "run {} was told twice", run.index);
                }
            }
            JobEvent::Finished(state) => break state,
            JobEvent::Progress(_) | JobEvent::Note(_) => {}
        }
        if !killed && landed.len() as u64 > ITEMS / 5 {
            agents[0].signal(Signal::KILL);
            killed = true;
        }
        if !stopped && landed.len() as u64 > ITEMS / 2 {
            agents[1].signal(Signal::STOP);
            stopped = true;
        }
    };
    appending.await.unwrap();
    assert!(killed && stopped, "the job was over before the faults");
    assert_eq!(state, JobState::Finished);
    assert_eq!(landed.len() as u64, ITEMS);

    // What the stopped agent had done and could not say counts for nothing now.
    agents[1].signal(Signal::CONT);
    let status = client.job(job).await.unwrap();
    assert_eq!((status.planned_runs, status.total_runs, status.valid), (ITEMS, ITEMS, ITEMS));
    assert_eq!(status.workers.iter().map(|worker| worker.total).sum::<u64>(), ITEMS);

    let mut next = 0;
    let mut results = client.results(job).await.unwrap();
    while let Some(items) = results.next().await {
        for item in items.unwrap() {
            assert_eq!((item.index, item.runs), (next, 1));
            next += 1;
        }
    }
    assert_eq!(next, ITEMS);
    drop(agents);
    app.drain(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_are_tried_again_are_told_with_their_reason() {
    let dir = tempfile::tempdir().unwrap();
    let app = control_host(&dir.path().join("state")).await;
    let client = app.client();
    let token = dir.path().join("token");
    std::fs::write(&token, app.join_token(1, Duration::from_secs(600)).unwrap().reveal()).unwrap();
    let _agent = Process::start(app.hub_address(), &token, "agent");

    let plugin = client.plugin("echo").await.unwrap().digest;
    let mut request = JobRequest::new(plugin, Work::Many { iterations: 1, workers: None });
    request.options.insert("fail".to_owned(), "transient".to_owned());
    request.options.insert("message".to_owned(), "no luck".to_owned());
    let job = client.submit(request).await.unwrap();
    let mut events = client.watch(job, Watch::default()).await.unwrap();
    let mut builder = ChunkBuilder::new(0, 0);
    (0..2).for_each(|_| builder.push(|_| {}, 0, b"x"));
    client.append(job, builder.finish(Bytes::new())).await.unwrap();
    client.seal(job).await.unwrap();

    let (mut notes, mut last) = (Vec::new(), Progress::default());
    while let Some(event) = events.next().await {
        match event.unwrap() {
            JobEvent::Note(note) => notes.push(note),
            JobEvent::Progress(progress) => last = progress,
            JobEvent::Finished(state) => assert_eq!(state, JobState::Finished),
            JobEvent::Landed(_) => {}
        }
    }
    assert_eq!((last.done, last.failures), (2, 2));
    assert_eq!(last.retried, 4, "each of the two had three attempts");
    assert_eq!(notes, ["tried again: told-to-fail: no luck"]);
    app.drain(Duration::from_secs(5)).await;
}
