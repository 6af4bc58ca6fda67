//! A control host without agents: what it does by itself.

use std::{path::Path, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use pigeon_api::{
    ApiError, Chunk, ChunkBuilder, Inspected, InstancePolicy, ItemResult, JobEvent, JobId, JobRequest, JobState,
    JobStatus, MemoryNeed, PluginKind, PluginMetadata, Stop, Verdict, Vote, Watch, Work,
};
use pigeon_hub::HubHandler as _;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::*;
use crate::{Inspector, backlog::AROUND, handler::Handler};

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

const FITS: &str = "0123456789";
const LARGE: &str = "0123456789a";

#[tokio::test]
async fn what_fits_nowhere_fails_without_an_agent() {
    let dir = TempDir::new().unwrap();
    let app = app(dir.path()).await;
    let job = submit(&app, "plugin", |_| {}).await;
    app.client.append(job, chunk(0, 0, &[FITS, LARGE, FITS])).await.unwrap();
    app.client.append(job, chunk(1, 3, &[LARGE])).await.unwrap();
    app.client.append(job, chunk(1, 3, &[LARGE])).await.unwrap();
    wait(&app, job, 6).await;

    let told = status(&app, job).await;
    assert_eq!((told.planned_runs, told.total_runs, told.failures), (12, 6, 6));
    assert_eq!(told.workers, [], "no worker is to blame");
    assert_eq!((&*told.errors[0].code, told.errors[0].count, &*told.errors[0].example), ("does-not-fit", 6, "item-1"));
    let items = results(&app, job).await;
    assert_eq!(items.iter().map(|item| (&*item.id, item.runs)).collect::<Vec<_>>(), [("item-1", 3), ("item-3", 3)]);
    assert!(items.iter().all(|item| item.verdict == Verdict::Failure));
    let failure = items[0].failure.as_ref().unwrap();
    assert_eq!((&*failure.cause, &*failure.code), ("does-not-fit", "does-not-fit"));
    assert_eq!(
        failure.message,
        "a run of this item asks for 1100MiB of memory, and may have 1GiB: --max-memory 1100MiB would give it that"
    );
    app.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn what_a_repeat_brings_counts_for_nothing() {
    let dir = TempDir::new().unwrap();
    let app = app(dir.path()).await;
    let job = submit(&app, "plugin", |_| {}).await;
    // The call is cut off: its items are on disk, and the owner was not told.
    let owned = app.core.owned(job).unwrap();
    let mut builder = pigeon_store::ItemsBuilder::default();
    [FITS, LARGE, FITS].iter().for_each(|body| builder.push("x", 0, Bytes::from_static(body.as_bytes())));
    let kept = builder.take();
    app.core.store.append(job, owned.epoch(), 0, kept.clone(), Bytes::new()).await.unwrap();
    for _ in 0..2 {
        app.client.append(job, chunk(0, 0, &[LARGE, LARGE])).await.unwrap();
    }
    app.client.append(job, chunk(1, 3, &["0"])).await.unwrap();
    let mut pulse = owned.pulse();
    pulse.wait_for(|pulse| (pulse.progress.planned, pulse.progress.done) == (12, 3)).await.unwrap();
    assert_eq!(pulse.borrow().backlog, 21 + 3 * AROUND);
    assert_eq!(owned.cached(0), Some(kept));
    assert_eq!(results(&app, job).await.iter().map(|item| item.index).collect::<Vec<_>>(), [1]);
    app.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_bound_of_the_job_is_what_items_have_to_fit_into() {
    let dir = TempDir::new().unwrap();
    let app = app(dir.path()).await;
    let job = submit(&app, "plugin", |request| request.limits.memory = Some(10)).await;
    app.client.append(job, chunk(0, 0, &[FITS, LARGE])).await.unwrap();
    wait(&app, job, 3).await;
    assert_eq!(status(&app, job).await.errors[0].example, "item-1");
    app.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn each_of_many_that_fit_nowhere_is_told_of_its_own_size() {
    let bodies: Vec<&str> = [FITS, LARGE, "0123456789ab"].into_iter().cycle().take(3000).collect();
    for told in [true, false] {
        let dir = TempDir::new().unwrap();
        let mut app = app(dir.path()).await;
        let job = submit(&app, "plugin", |_| {}).await;
        if told {
            app.client.append(job, chunk(0, 0, &bodies)).await.unwrap();
        } else {
            let epoch = app.core.owned(job).unwrap().epoch();
            let mut builder = pigeon_store::ItemsBuilder::default();
            bodies.iter().for_each(|body| builder.push("x", 0, Bytes::copy_from_slice(body.as_bytes())));
            app.core.store.append(job, epoch, 0, builder.take(), Bytes::new()).await.unwrap();
            die(app).await;
            app = self::app(dir.path()).await;
            app.client.resume(job).await.unwrap();
        }
        wait(&app, job, 6000).await;
        let results = results(&app, job).await;
        assert_eq!((results.len(), status(&app, job).await.total_runs), (2000, 6000));
        for item in results {
            let need = format!("asks for {}MiB", bodies[item.index as usize].len() * 100);
            assert!(item.failure.unwrap().message.contains(&need), "item {}", item.index);
        }
        app.drain(Duration::ZERO).await;
    }
}

#[tokio::test]
async fn what_fits_nowhere_fails_once_whatever_dies() {
    let dir = TempDir::new().unwrap();
    let first = app(dir.path()).await;
    let job = submit(&first, "plugin", |_| {}).await;
    // The items are on disk, and the process dies before anything is made of that.
    let epoch = first.core.owned(job).unwrap().epoch();
    for (seq, bodies) in [(0, &[LARGE, LARGE][..]), (1, &[LARGE])] {
        let mut builder = pigeon_store::ItemsBuilder::default();
        bodies.iter().for_each(|body| builder.push("x", 0, Bytes::from_static(body.as_bytes())));
        first.core.store.append(job, epoch, seq, builder.take(), Bytes::new()).await.unwrap();
    }
    die(first).await;

    let second = app(dir.path()).await;
    second.client.resume(job).await.unwrap();
    wait(&second, job, 9).await;
    die(second).await;

    let third = app(dir.path()).await;
    third.client.resume(job).await.unwrap();
    third.client.append(job, chunk(2, 3, &[LARGE])).await.unwrap();
    third.client.seal(job).await.unwrap();
    assert_eq!(wait(&third, job, u64::MAX).await, Some(JobState::Finished));
    let told = status(&third, job).await;
    assert_eq!((told.planned_runs, told.total_runs, told.failures), (12, 12, 12));
    let mut runs: Vec<u64> = Vec::new();
    let landed = third.core.store.landed_after(job, 0, 1000).await.unwrap();
    landed.iter().for_each(|batch| runs.extend(batch.outcomes.iter().map(|row| row.run.0)));
    runs.sort_unstable();
    assert_eq!(runs, (0..12).collect::<Vec<_>>());
    third.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn what_fits_nowhere_stops_a_fail_fast_job() {
    let dir = TempDir::new().unwrap();
    let app = app(dir.path()).await;
    let job = submit(&app, "plugin", |request| request.fail_fast = true).await;
    app.client.append(job, chunk(0, 0, &[FITS, LARGE, LARGE])).await.unwrap();
    assert_eq!(wait(&app, job, u64::MAX).await, Some(JobState::Stopped));
    assert_eq!(status(&app, job).await.total_runs, 3, "the other one is reported as not run");
    app.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_fail_fast_job_that_failed_is_not_gone_on_with() {
    let dir = TempDir::new().unwrap();
    let first = app(dir.path()).await;
    let job = submit(&first, "plugin", |request| request.fail_fast = true).await;
    let mut recording = crate::record::Recording::new(&first.core.owned(job).unwrap(), "worker".into(), 1);
    recording.push(&pigeon_protocol::outcome::Outcome { run: 4, ..Default::default() }, 1);
    first.client.append(job, chunk(0, 0, &[FITS, FITS])).await.unwrap();
    first.client.seal(job).await.unwrap();
    first.core.store.record(recording.batch).await.unwrap();
    die(first).await;

    let second = app(dir.path()).await;
    second.client.resume(job).await.unwrap();
    assert_eq!(wait(&second, job, u64::MAX).await, Some(JobState::Stopped));
    assert_eq!(status(&second, job).await.total_runs, 1);
    second.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn more_is_taken_as_soon_as_what_came_is_judged() {
    let dir = TempDir::new().unwrap();
    let mut config = Config::embedded(dir.path().to_owned());
    config.backlog = 20;
    let app = App::build(config, Arc::new(Credulous)).await.unwrap();
    let job = submit(&app, "plugin", |_| {}).await;
    // More than the backlog, but none of it waits for an agent.
    for seq in 0..9 {
        app.client.append(job, chunk(seq, 2 * seq, &[LARGE, LARGE])).await.unwrap();
    }
    app.client.append(job, chunk(9, 18, &["0", FITS, FITS])).await.unwrap();
    let mut pulse = app.core.owned(job).unwrap().pulse();
    pulse.wait_for(|pulse| (pulse.progress.planned, pulse.progress.done) == (63, 54)).await.unwrap();
    assert_eq!(pulse.borrow().backlog, 21 + 3 * AROUND);
    // These wait for an agent, and so the next chunk has to wait as well.
    let client = app.client.clone();
    let waiting = tokio::spawn(async move { client.append(job, chunk(10, 21, &[FITS])).await });
    app.client.stop(job, Stop::Pause).await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(status(&app, job).await.items, 21, "nobody would run it");
    app.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_plugin_that_cannot_be_read_is_a_failure_of_the_machinery() {
    let dir = TempDir::new().unwrap();
    let app = app(dir.path()).await;
    let (job, other) = (submit(&app, "damaged", |_| {}).await, submit(&app, "sound", |_| {}).await);
    for entry in std::fs::read_dir(dir.path().join("bodies")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && std::fs::read(&path).unwrap() == b"damaged" {
            std::fs::write(&path, b"something else").unwrap();
        }
    }
    let handler = Handler::new(app.core.clone(), Arc::new(Semaphore::new(1)));
    let digest = app.core.owned(job).unwrap().plugin.digest;
    assert!(handler.plugin(digest).await.is_none());
    let mut events = app.client.watch(job, Watch::default()).await.unwrap();
    let error = loop {
        match events.next().await.unwrap() {
            Ok(event) => assert!(!matches!(event, JobEvent::Finished(_)), "{event:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.message, format!("failed to give plugin {digest} to an agent"));
    assert!(std::error::Error::source(&error).is_some());
    // What other jobs run is not lacking, and who asks for what nobody runs breaks nothing.
    assert!(handler.plugin(app.core.owned(other).unwrap().plugin.digest).await.is_some());
    assert!(handler.plugin(pigeon_api::Digest::of(b"unheard of")).await.is_none());
    app.client.append(other, chunk(0, 0, &[LARGE])).await.unwrap();
    app.client.seal(other).await.unwrap();
    assert_eq!(wait(&app, other, u64::MAX).await, Some(JobState::Finished));
    app.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn time_when_nobody_works_at_a_job_does_not_count() {
    let dir = TempDir::new().unwrap();
    let first = app(dir.path()).await;
    let begun = Instant::now();
    let job = submit(&first, "plugin", |_| {}).await;
    first.client.stop(job, Stop::Pause).await.unwrap();
    assert_eq!(wait(&first, job, u64::MAX).await, Some(JobState::Interrupted));
    let worked = status(&first, job).await.wall_time_ms;
    assert!(worked <= begun.elapsed().as_secs_f64() * 1e3);
    first.drain(Duration::ZERO).await;

    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = app(dir.path()).await;
    assert_eq!(status(&second, job).await.wall_time_ms, worked, "it is at rest");
    let resumed = Instant::now();
    second.client.resume(job).await.unwrap();
    second.client.append(job, chunk(0, 0, &[LARGE])).await.unwrap();
    let going_on = status(&second, job).await.wall_time_ms;
    assert!(going_on >= worked && going_on <= worked + resumed.elapsed().as_secs_f64() * 1e3);
    second.client.seal(job).await.unwrap();
    assert_eq!(wait(&second, job, u64::MAX).await, Some(JobState::Finished));
    let ended = status(&second, job).await.wall_time_ms;
    assert!(ended >= going_on && ended <= worked + resumed.elapsed().as_secs_f64() * 1e3);
    assert_eq!(status(&second, job).await.wall_time_ms, ended);
    second.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_process_that_dies_has_noted_its_work() {
    let dir = TempDir::new().unwrap();
    let first = app(dir.path()).await;
    let job = submit(&first, "plugin", |_| {}).await;
    let owned = first.core.owned(job).unwrap();
    first.client.append(job, chunk(0, 0, &[FITS])).await.unwrap();
    // No agent comes, and so its time stands still.
    let noted = loop {
        match first.core.store.job(job).await.unwrap().worked_ms {
            0 => tokio::time::sleep(Duration::from_millis(20)).await,
            noted => break noted,
        }
    };
    assert_eq!(owned.worked_ms(), noted);
    assert!(!owned.rest(true), "it waits for agents");
    die(first).await;
    let second = app(dir.path()).await;
    assert_eq!(status(&second, job).await.wall_time_ms, noted as f64);
    second.drain(Duration::ZERO).await;
}
