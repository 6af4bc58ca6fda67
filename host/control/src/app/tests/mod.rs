//! A control host without agents: what it does by itself.

mod access;
mod cut_off;
mod dead;
mod events;
mod figures;
mod fit;
mod fleet;
mod queue;
mod refused;
mod rest;
mod serving;
mod strangers;
mod work;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use pigeon_api::{
    ApiError, Chunk, ChunkBuilder, ErrorKind, Inspected, InstancePolicy, ItemResult, JobEvent, JobId, JobRequest,
    JobState, JobStatus, MemoryNeed, Pigeon as _, PluginKind, PluginMetadata, Stop, Verdict, Vote, Watch, Work,
};
use tempfile::TempDir;

use super::*;
use crate::{Inspector, backlog::AROUND};

/// Takes whatever bytes for a plugin that asks for 100 MiB a byte of the item: one of 11 bytes fits nowhere.
struct Credulous;

#[async_trait]
impl Inspector for Credulous {
    async fn inspect(&self, component: Bytes) -> Result<Inspected, ApiError> {
        let metadata = PluginMetadata {
            name: String::from_utf8_lossy(&component).into_owned(),
            version: "1.0.0".to_owned(),
            description: String::new(),
            formats: Vec::new(),
            options: Vec::new(),
            codes: Vec::new(),
            instances: InstancePolicy::Fresh,
            vote: Vote::Worst,
            memory: MemoryNeed { base: 0, factor: f64::from(100 << 20) },
            models: Vec::new(),
            extensions: Vec::new(),
        };
        Ok(Inspected { kind: PluginKind::Validator, metadata, imports: Vec::new(), powers: Vec::new() })
    }
}

async fn app(dir: &Path) -> App {
    App::build(Config::embedded(dir.to_owned()), Arc::new(Credulous)).await.unwrap()
}

/// The process dies: nothing more is written, and its claims are gone.
async fn die(app: App) {
    let running = app.running.lock().unwrap().take().unwrap();
    running.owner.abort();
    let _ = running.owner.await;
    app.core.jobs.clear();
}

async fn submit(app: &App, plugin: &'static str, change: impl FnOnce(&mut JobRequest)) -> JobId {
    let plugin = app.client.publish(Bytes::from_static(plugin.as_bytes())).await.unwrap();
    let mut request = JobRequest::new(plugin.digest, Work::Many { iterations: 3, workers: None });
    change(&mut request);
    app.client.submit(request).await.unwrap()
}

fn chunk(seq: u64, first: u64, bodies: &[&str]) -> Chunk {
    let mut builder = ChunkBuilder::new(seq, first);
    for (index, body) in bodies.iter().enumerate() {
        let id = format!("item-{}", first + index as u64);
        builder.push(|out| out.extend_from_slice(id.as_bytes()), 0, body.as_bytes());
    }
    builder.finish(Bytes::new())
}

/// Wait until so many runs have an outcome, or the job has ended.
async fn wait(app: &App, job: JobId, done: u64) -> Option<JobState> {
    let mut events = app.client.watch(job, Watch::default()).await.unwrap();
    while let Some(event) = events.next().await {
        match event.unwrap() {
            JobEvent::Progress(progress) if progress.done >= done => return None,
            JobEvent::Finished(state) => return Some(state),
            _ => {}
        }
    }
    panic!("the events ended without the job");
}

/// A job of one item that fits nowhere, which has ended: three failures.
async fn ended(app: &App) -> JobId {
    let job = submit(app, "a", |_| {}).await;
    app.client.append(job, chunk(0, 0, &[LARGE])).await.unwrap();
    app.client.seal(job).await.unwrap();
    assert_eq!(wait(app, job, u64::MAX).await, Some(JobState::Finished));
    job
}

async fn status(app: &App, job: JobId) -> JobStatus {
    app.client.job(job).await.unwrap()
}

async fn results(app: &App, job: JobId) -> Vec<ItemResult> {
    let mut results = app.client.results(job).await.unwrap();
    let mut items = Vec::new();
    while let Some(some) = results.next().await {
        items.extend(some.unwrap());
    }
    items
}

/// A control host that serves.
async fn server(dir: &Path) -> App {
    let config = Config::server(dir.to_owned(), ([127, 0, 0, 1], 0).into());
    loop {
        match App::build(config.clone(), Arc::new(Credulous)).await {
            Ok(app) => return app,
            // Tasks of one that died in this process let go a moment later.
            Err(ControlError::State { source: pigeon_store::StoreError::Busy { .. }, .. }) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// It goes down in order, and lets go of its directory.
async fn stop(app: App) {
    app.drain(Duration::ZERO).await;
}

/// What went wrong, that had to.
fn kind<T>(result: Result<T, ApiError>) -> ErrorKind {
    result.err().unwrap().kind
}

const FITS: &str = "0123456789";
const LARGE: &str = "0123456789a";
