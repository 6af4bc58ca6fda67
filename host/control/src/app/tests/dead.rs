//! Dead letters.

use pigeon_api::{DeadFilter, DeadId, DeadName, EventFilter, EventKind};
use pigeon_protocol::id::RunIndex;
use pigeon_store::Batch;
use tokio::sync::oneshot;

use super::*;
use crate::owner::TakenBack;

/// A job that has ended, with six dead letters of two items.
async fn with_six(app: &App) -> JobId {
    let job = submit(app, "a", |_| {}).await;
    app.client.append(job, chunk(0, 0, &[LARGE])).await.unwrap();
    app.client.append(job, chunk(1, 1, &["0123456789ab"])).await.unwrap();
    app.client.seal(job).await.unwrap();
    assert_eq!(wait(app, job, u64::MAX).await, Some(JobState::Finished));
    job
}

fn of(job: JobId) -> DeadFilter {
    DeadFilter { job: Some(job), ..DeadFilter::default() }
}

#[tokio::test]
async fn they_are_listed_and_shown_with_their_input() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = with_six(&app).await;
    let all = app.client.dead(of(job), None, 100).await.unwrap();
    assert_eq!(all.iter().map(|letter| letter.id.run).collect::<Vec<_>>(), [5, 4, 3, 2, 1, 0]);
    assert_eq!((&*all[0].item, all[0].iteration, &*all[0].plugin), ("item-1", 2, "a 1.0.0"));
    assert_eq!((&*all[0].failure.code, all[0].input_kept), ("does-not-fit", true));
    assert_eq!(app.client.dead(of(job), Some(all[1].id), 2).await.unwrap(), all[2..4]);
    let large = DeadFilter { message: Some("1200MiB".to_owned()), ..DeadFilter::default() };
    assert_eq!(app.client.dead(large.clone(), None, 100).await.unwrap().len(), 3);
    let named = [all[4].id, all[0].id, all[4].id].map(DeadName).to_vec();
    let named = app.client.dead(DeadFilter { ids: named, ..large }, None, 100).await.unwrap();
    assert_eq!(named, all[..1], "all that is said has to be true");
    let detail = app.client.dead_letter(all[5].id).await.unwrap();
    assert_eq!((&detail.letter, detail.input.as_deref()), (&all[5], Some(LARGE.as_bytes())));
    assert_eq!(kind(app.client.dead_letter(DeadId { job, run: 6 }).await), ErrorKind::NotFound);
    assert_eq!((status(&app, job).await.dead, app.client.status().await.unwrap().dead), (6, 6));
    stop(app).await;
}

#[tokio::test]
async fn tried_again_they_count_once() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let anna = app.client_as("anna");
    let job = with_six(&app).await;
    let before = app.client.stats().await.unwrap().total;
    assert_eq!((before.runs, before.failures), (6, 6));
    let large = DeadFilter { message: Some("1200MiB".to_owned()), ..of(job) };
    assert_eq!(anna.retry_dead(large.clone()).await.unwrap(), 3);
    // They fail again, and the job ends again.
    assert_eq!(wait(&app, job, u64::MAX).await, Some(JobState::Finished));
    let told = status(&app, job).await;
    assert_eq!((told.state, told.total_runs, told.failures, told.dead), (JobState::Finished, 6, 6, 6));
    assert_eq!(app.client.stats().await.unwrap().total.runs, 6);
    let events = app.client.events(EventFilter { after: 0, job: Some(job) }, 100).await.unwrap();
    let tried = events.iter().find(|event| event.kind == EventKind::DeadRetried).unwrap();
    assert_eq!((&*tried.author, &*tried.message), ("anna", "tried again: 3 dead letters"));
    assert_eq!(events.iter().filter(|event| event.kind == EventKind::JobFinished).count(), 2);

    assert_eq!(anna.discard_dead(large.clone()).await.unwrap(), 3);
    assert_eq!((anna.discard_dead(large.clone()).await.unwrap(), anna.retry_dead(large).await.unwrap()), (0, 0));
    let told = status(&app, job).await;
    assert_eq!((told.failures, told.dead), (6, 3), "the failures stand");
    drop(anna);
    stop(app).await;
}

#[tokio::test]
async fn a_job_at_work_goes_on_with_them() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    app.client.append(job, chunk(0, 0, &[FITS, LARGE])).await.unwrap();
    wait(&app, job, 3).await;
    let mut events = app.client.watch(job, Watch::default()).await.unwrap();
    assert_eq!(app.client.retry_dead(of(job)).await.unwrap(), 3);
    app.client.append(job, chunk(1, 2, &[LARGE])).await.unwrap();
    // Those who watch hear nothing of the pause.
    loop {
        match events.next().await.unwrap().unwrap() {
            JobEvent::Progress(progress) if progress.done == 6 => break assert_eq!(progress.planned, 9),
            JobEvent::Progress(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let told = status(&app, job).await;
    assert_eq!((told.state, told.total_runs, told.dead), (JobState::Open, 6, 6));
    // Paused, they wait with the rest.
    app.client.stop(job, Stop::Pause).await.unwrap();
    wait(&app, job, u64::MAX).await;
    assert_eq!(app.client.retry_dead(of(job)).await.unwrap(), 6);
    let told = status(&app, job).await;
    assert_eq!((told.state, told.total_runs, told.dead), (JobState::Paused, 0, 0));
    app.client.resume(job).await.unwrap();
    wait(&app, job, 6).await;
    stop(app).await;
}

#[tokio::test]
async fn what_cannot_be_tried_again_is_refused_as_a_whole() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = with_six(&app).await;
    let cancelled = submit(&app, "a", |_| {}).await;
    app.client.append(cancelled, chunk(0, 0, &[LARGE])).await.unwrap();
    wait(&app, cancelled, 3).await;
    app.client.stop(cancelled, Stop::Cancel).await.unwrap();
    wait(&app, cancelled, u64::MAX).await;
    assert_eq!(kind(app.client.retry_dead(of(cancelled)).await), ErrorKind::Conflict);
    assert_eq!(app.client.retry_dead(DeadFilter::default()).await.unwrap(), 6, "those of the other job");
    wait(&app, job, u64::MAX).await;
    assert_eq!(status(&app, cancelled).await.state, JobState::Cancelled);
    stop(app).await;
}

#[tokio::test]
async fn an_embedded_control_host_keeps_none() {
    let dir = TempDir::new().unwrap();
    let app = app(dir.path()).await;
    let job = with_six(&app).await;
    assert_eq!(app.client.dead(of(job), None, 10).await.unwrap(), []);
    app.client.delete(job).await.unwrap();
    stop(app).await;
}

#[tokio::test]
async fn two_who_try_the_same_again_take_back_what_is_dead_still() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    app.client.append(job, chunk(0, 0, &[LARGE, LARGE])).await.unwrap();
    wait(&app, job, 6).await;
    let owned = app.core.owned(job).unwrap();
    let alone = owned.gate().write().await;
    let retry = || {
        let client = app.client.clone();
        tokio::spawn(async move { client.retry_dead(of(job)).await })
    };
    let both = [retry(), retry()];
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Meanwhile a run is tried again, and valid.
    let (store, epoch) = (&app.core.store, owned.epoch());
    assert_eq!(store.take_back(job, epoch, vec![RunIndex(0)]).await.unwrap(), 1);
    let valid = pigeon_store::OutcomeRow {
        run: RunIndex(0),
        verdict: pigeon_protocol::outcome::Verdict::Valid,
        time_us: 1,
        attempts: 1,
        error: None,
        detail: Bytes::new(),
    };
    let batch = Batch { job, epoch, worker: "a".into(), landed_ms: 1, outcomes: vec![valid] };
    store.record(batch).await.unwrap();
    drop(alone);
    let mut tried = Vec::new();
    for retried in both {
        tried.push(retried.await.unwrap().unwrap());
    }
    assert!(tried.contains(&5) && tried.iter().all(|tried| *tried <= 5), "{tried:?}");
    // What was taken back fails again, and nothing is left that counts.
    app.client.seal(job).await.unwrap();
    drop(owned);
    assert_eq!(wait(&app, job, u64::MAX).await, Some(JobState::Finished));
    let told = status(&app, job).await;
    assert_eq!((told.valid, told.failures, told.dead), (1, 5, 5));
    stop(app).await;
}

#[tokio::test]
async fn a_job_is_not_given_up_while_something_of_it_is_under_way() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    app.client.append(job, chunk(0, 0, &[LARGE])).await.unwrap();
    wait(&app, job, 3).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let (tell, told) = oneshot::channel();
        assert!(app.core.ask(|answer| Command::Hold(job, told, answer)).await.unwrap());
        held.push(tell);
    }
    app.core.tell(Command::Sealed(job)).await.unwrap();
    let (goes_on, mut heard) = oneshot::channel();
    let none = TakenBack { runs: Vec::new(), misfits: Vec::new(), goes_on };
    held.pop().unwrap().send(none).unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), &mut heard).await;
    assert!(early.is_err(), "something is under way");
    drop(held);
    assert!(!heard.await.unwrap(), "it may be taken up");
    stop(app).await;
}
