//! Jobs go on, and come to an end.

use std::time::Instant;

use pigeon_hub::HubHandler as _;
use tokio::sync::Semaphore;

use super::*;
use crate::handler::Handler;

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
async fn who_waits_for_a_first_agent_is_not_worked_at() {
    let dir = TempDir::new().unwrap();
    let first = app(dir.path()).await;
    let job = submit(&first, "plugin", |_| {}).await;
    let owned = first.core.owned(job).unwrap();
    first.client.append(job, chunk(0, 0, &[FITS])).await.unwrap();
    // No agent comes, and so its time stands still; nothing of it has to be written.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(owned.worked_ms() >= 100, "at first it is taken to be worked at");
    while owned.worked_ms() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(first.core.store.job(job).await.unwrap().worked_ms, 0);
    die(first).await;
    let second = app(dir.path()).await;
    assert_eq!(status(&second, job).await.wall_time_ms, 0.0);
    second.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_built_in_plugin_is_known_by_its_digest_before_anybody_named_it() {
    let dir = TempDir::new().unwrap();
    let app = app(dir.path()).await;
    let digest = pigeon_api::Digest::of(pigeon_plugins::BUILT_IN[0].component);
    let job = app.client.submit(JobRequest::new(digest, Work::Many { iterations: 1, workers: None })).await.unwrap();
    let plugin = app.client.job(job).await.unwrap().plugin;
    assert!((plugin.digest, plugin.built_in) == (digest, true), "{plugin:?}");
    let unknown = pigeon_api::Digest::of(b"unknown");
    assert_eq!(kind(app.client.plugin(&unknown.to_string()).await), ErrorKind::NotFound);
    stop(app).await;
}
