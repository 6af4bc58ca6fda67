//! What a control host that serves offers besides jobs, asked for from afar.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _};
use pigeon_api::{
    CatchUp, ErrorKind, EventFilter, EventKind, InlineItem, JobRequest, JoinSpec, Overlap, Pigeon, PluginLimits, Rate,
    Role, ScheduleSpec, Submission, TokenSpec, Watch, When, Work,
    client::{RestClient, Trust},
};
use pigeon_cli::inspector::RuntimeInspector;
use pigeon_control::{
    App, Config,
    rest::{RestConfig, RestLimits, Server},
};
use pigeon_runtime::{Runtime, RuntimeConfig};
use tempfile::TempDir;

use crate::support::client;

struct Host {
    app: Arc<App>,
    server: Server,
}

impl Host {
    async fn start(dir: &Path, listen: SocketAddr) -> Self {
        let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
        let config = Config::server(dir.to_owned(), SocketAddr::from(([127, 0, 0, 1], 0)));
        let app = Arc::new(App::build(config, Arc::new(RuntimeInspector::new(runtime))).await.unwrap());
        let config = RestConfig { listen, tls: None, limits: RestLimits::default() };
        let server = Server::bind(config, app.clone()).await.unwrap();
        Self { app, server }
    }

    fn client(&self, token: &str) -> RestClient {
        client(&format!("http://{}", self.server.address()), token, Trust::System)
    }

    async fn stop(self) {
        self.server.shutdown(Duration::from_secs(1)).await;
        self.app.drain(Duration::from_secs(1)).await;
    }
}

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

async fn request(client: &dyn Pigeon) -> JobRequest {
    let plugin = client.plugin("json").await.unwrap().digest;
    JobRequest::new(plugin, Work::Many { iterations: 1, workers: None })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_run_from_afar() {
    let dir = TempDir::new().unwrap();
    let host = Host::start(dir.path(), ANY).await;
    let admin = host.client(&host.app.take_first_token().unwrap().secret);

    let spec = TokenSpec { name: "ci".to_owned(), role: Role::Operator, ttl_ms: None };
    let token = admin.create_token(spec.clone()).await.unwrap();
    assert_eq!(admin.create_token(spec).await.unwrap_err().kind, ErrorKind::Conflict);
    assert!(admin.tokens().await.unwrap().contains(&token.info));
    let ci = host.client(&token.secret);
    assert_eq!(ci.tokens().await.unwrap_err().kind, ErrorKind::Forbidden);

    let limits = PluginLimits { max_parallel: Some(2), rate: Some(Rate { runs: 5, per_ms: 1000 }) };
    ci.set_plugin_limits("json", limits).await.unwrap();
    assert_eq!(ci.plugin_limits("json").await.unwrap(), limits);

    let job = Submission::from(request(&ci).await);
    let spec = ScheduleSpec {
        name: "nightly".to_owned(),
        when: When::Cron { expression: "0 3 * * *".to_owned(), zone: None },
        catch_up: CatchUp::Once,
        overlap: Overlap::Skip,
        job: Submission { items: Some(vec![InlineItem::Text("{}".to_owned())]), ..job },
    };
    let added = ci.add_schedule(spec).await.unwrap();
    assert_eq!((&*added.author, added.paused), ("ci", false));
    assert!(ci.pause_schedule("nightly", true).await.unwrap().paused);
    assert_eq!(ci.schedules().await.unwrap().len(), 1);
    ci.remove_schedule("nightly").await.unwrap();
    assert_eq!(ci.remove_schedule("nightly").await.unwrap_err().kind, ErrorKind::NotFound);

    let join = ci.create_join_token(JoinSpec { uses: 1, ttl_ms: 60_000, labels: Vec::new() }).await.unwrap();
    assert!(!join.secret.is_empty() && !join.hub.is_empty());
    assert_eq!(ci.agents().await.unwrap(), []);
    assert_eq!(ci.status().await.unwrap().dead, 0);
    assert_eq!(ci.stats().await.unwrap().total.runs, 0);
    assert_eq!(ci.dead(Default::default(), None, 10).await.unwrap(), []);

    let mut backup = admin.backup().await.unwrap();
    let mut bytes = 0;
    while let Some(piece) = backup.try_next().await.unwrap() {
        bytes += piece.len();
    }
    assert!(bytes > 0 && bytes % 512 == 0, "{bytes} bytes are no tar archive");

    admin.revoke_token("ci").await.unwrap();
    assert_eq!(ci.status().await.unwrap_err().kind, ErrorKind::Unauthorized);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_whole_host_is_outlived() {
    let dir = TempDir::new().unwrap();
    let host = Host::start(dir.path(), ANY).await;
    let secret = host.app.take_first_token().unwrap().secret;
    let client = host.client(&secret);
    let request = JobRequest { key: Some("once".to_owned()), ..request(&client).await };
    let job = client.submit(request.clone()).await.unwrap();
    let other = JobRequest { priority: 1, ..request.clone() };
    assert_eq!(client.submit(other).await.unwrap_err().kind, ErrorKind::Conflict);
    let mut entries = client.follow_events(EventFilter::default()).await.unwrap();
    let mut watching = client.watch(job, Watch { runs: true, ..Watch::default() }).await.unwrap();

    let listen = host.server.address();
    host.stop().await;
    let chunks = crate::support::chunks(2, 10);
    let sender = client.clone();
    let first = chunks[0].clone();
    let sending = tokio::spawn(async move { sender.append(job, first).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let host = Host::start(dir.path(), listen).await;
    sending.await.unwrap().unwrap();
    client.append(job, chunks[1].clone()).await.unwrap();
    assert_eq!(client.submit(request).await.unwrap(), job);
    client.seal(job).await.unwrap();
    assert_eq!(client.job(job).await.unwrap().items, 20);

    // The log is told from its beginning on, each entry once, as if nothing had been in between.
    let mut told = Vec::new();
    while told.last().is_none_or(|(_, kind)| *kind != EventKind::JobSealed) {
        let entry = entries.next().await.unwrap().unwrap();
        told.push((entry.seq, entry.kind));
    }
    assert!(told.is_sorted_by(|one, next| one.0 < next.0), "{told:?}");
    let started = told.iter().filter(|(_, kind)| *kind == EventKind::HostStarted).count();
    assert_eq!(started, 2, "{told:?}");
    // Whoever watched the job watches it still.
    let event = tokio::time::timeout(Duration::from_secs(60), watching.next()).await;
    assert!(event.unwrap().unwrap().is_ok());
    host.stop().await;
}
