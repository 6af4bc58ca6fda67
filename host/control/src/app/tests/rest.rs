//! Jobs that come to rest, and go on.

use pigeon_api::{DeadFilter, EventFilter};
use pigeon_scheduler as scheduler;

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// Wait until it is at rest.
async fn at_rest(app: &App, job: JobId) -> JobState {
    let mut pulse = app.core.owned(job).unwrap().pulse();
    let rested = tokio::time::timeout(LONG, pulse.wait_for(|pulse| pulse.ended.is_some())).await;
    rested.unwrap().unwrap().ended.unwrap()
}

#[tokio::test]
async fn letters_of_a_job_that_is_being_paused_do_not_wedge_it() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    app.client.append(job, chunk(0, 0, &[FITS, LARGE])).await.unwrap();
    let filter = DeadFilter { job: Some(job), ..DeadFilter::default() };
    for _ in 0..5 {
        wait(&app, job, 3).await;
        app.client.stop(job, Stop::Pause).await.unwrap();
        assert_eq!(app.client.retry_dead(filter.clone()).await.unwrap(), 3);
        assert_eq!(at_rest(&app, job).await, JobState::Paused);
        app.client.resume(job).await.unwrap();
        // Nothing of the pause comes after this.
        assert_eq!(status(&app, job).await.state, JobState::Open);
    }
    stop(app).await;
}

#[tokio::test]
async fn letters_of_a_job_that_broke_wait_for_what_is_under_way() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    app.client.append(job, chunk(0, 0, &[FITS, LARGE])).await.unwrap();
    wait(&app, job, 3).await;
    let owned = app.core.owned(job).unwrap();
    owned.broke(ApiError::new(ErrorKind::Internal, "a write failed, and others are under way"));
    let retried = {
        let (client, filter) = (app.client.clone(), DeadFilter { job: Some(job), ..DeadFilter::default() });
        tokio::spawn(async move { client.retry_dead(filter).await })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!retried.is_finished() && status(&app, job).await.dead == 3);
    // They end, and the owner lets it go.
    app.core.tell(Command::Stop(job, scheduler::Why::Cancel)).await.unwrap();
    assert_eq!(retried.await.unwrap().unwrap(), 3);
    wait(&app, job, 3).await;
    drop(owned);
    stop(app).await;
}

#[tokio::test]
async fn what_was_paused_is_not_mended() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    let owned = app.core.owned(job).unwrap();
    app.client.stop(job, Stop::Pause).await.unwrap();
    at_rest(&app, job).await;
    app.client.resume(job).await.unwrap();
    owned.broke(ApiError::new(ErrorKind::Exhausted, "the disk is full"));
    app.core.tell(Command::Stop(job, scheduler::Why::Cancel)).await.unwrap();
    assert_eq!(at_rest(&app, job).await, JobState::Interrupted);
    app.client.stop(job, Stop::Pause).await.unwrap();
    app.core.mend().await;
    assert_eq!(at_rest(&app, job).await, JobState::Paused);
    assert!(owned.now().broken.is_none());
    app.client.resume(job).await.unwrap();
    assert!(owned.is_at_work());
    drop(owned);
    stop(app).await;
}

#[tokio::test]
async fn a_job_that_broke_says_why_until_it_goes_on() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    assert_eq!(status(&app, job).await.broken, None);
    let plugin = status(&app, job).await.plugin.digest;
    let lack = ApiError::new(ErrorKind::Internal, "failed to read the plugin").caused_by("it is damaged");
    app.core.tell(Command::Lacking(plugin, lack)).await.unwrap();
    assert_eq!(at_rest(&app, job).await, JobState::Interrupted);
    let told = status(&app, job).await;
    let broken = told.broken.unwrap();
    assert_eq!(
        (told.state, &*broken.detail, &*broken.kind),
        (JobState::Interrupted, "failed to read the plugin", "internal")
    );
    assert_eq!(broken.causes, ["it is damaged"]);
    app.client.resume(job).await.unwrap();
    assert_eq!(status(&app, job).await.broken, None);
    stop(app).await;
}

#[tokio::test]
async fn a_job_that_was_not_taken_up_for_want_of_room_is_tried_again() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    app.client.stop(job, Stop::Pause).await.unwrap();
    at_rest(&app, job).await;
    app.core.jobs.remove(job);
    for (why, taken_up) in [(ErrorKind::Internal, false), (ErrorKind::Exhausted, true)] {
        app.core.leave(job, ApiError::new(why, "it cannot be claimed"));
        app.core.mend().await;
        assert_eq!((app.core.owned(job).is_some(), app.core.broken(job).is_none()), (taken_up, taken_up));
    }
    assert_eq!(at_rest(&app, job).await, JobState::Paused, "as it was");
    stop(app).await;
}

#[tokio::test]
async fn a_job_goes_on_behind_all_that_was_noted_of_it() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    let plugin = status(&app, job).await.plugin.digest;
    // The log takes nothing for a while.
    let database = rusqlite::Connection::open(dir.path().join("pigeon.db")).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'no room'); END";
    database.execute_batch(refuse).unwrap();
    app.core.tell(Command::Lacking(plugin, ApiError::new(ErrorKind::Internal, "it is damaged"))).await.unwrap();
    assert_eq!(at_rest(&app, job).await, JobState::Interrupted);
    for refused in [app.client.resume(job).await.map(drop), app.client.stop(job, Stop::Cancel).await] {
        let chain = format!("{:#}", anyhow::Error::new(refused.unwrap_err()));
        assert!(chain.contains("no room"), "{chain}");
        assert_eq!(at_rest(&app, job).await, JobState::Interrupted);
    }
    database.execute_batch("DROP TRIGGER refuse").unwrap();
    app.client.resume(job).await.unwrap();
    app.client.stop(job, Stop::Cancel).await.unwrap();
    let events = app.client.events(EventFilter { after: 0, job: Some(job) }, 1000).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    use EventKind::{JobBroken, JobCancelled, JobResumed, JobSubmitted};
    assert_eq!(kinds, [JobSubmitted, JobBroken, JobResumed, JobCancelled]);
    stop(app).await;
}
