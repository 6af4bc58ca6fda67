//! The log of all that happened.

use pigeon_api::{Event, EventFilter, EventKind};

use super::*;

async fn kinds(app: &App, job: JobId) -> Vec<(EventKind, String)> {
    let events = app.client.events(EventFilter { after: 0, job: Some(job) }, 1000).await.unwrap();
    events.into_iter().map(|event| (event.kind, event.author)).collect()
}

#[tokio::test]
async fn each_transition_has_a_time_and_an_author() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let plugin = app.client.publish(Bytes::from_static(b"a")).await.unwrap();
    let request = JobRequest::new(plugin.digest, Work::Many { iterations: 1, workers: None });
    let (anna, bert) = (app.client_as("anna"), app.client_as("bert"));
    let job = anna.submit(request.clone()).await.unwrap();
    bert.stop(job, Stop::Pause).await.unwrap();
    anna.resume(job).await.unwrap();
    anna.append(job, chunk(0, 0, &[LARGE])).await.unwrap();
    anna.seal(job).await.unwrap();
    anna.seal(job).await.unwrap();
    wait(&app, job, u64::MAX).await;
    let other = anna.submit(request).await.unwrap();
    bert.stop(other, Stop::Cancel).await.unwrap();
    wait(&app, other, u64::MAX).await;
    bert.delete(other).await.unwrap();
    use EventKind::*;
    let authors = |told: &[(EventKind, &str)]| -> Vec<_> {
        told.iter().map(|(kind, author)| (*kind, (*author).to_owned())).collect()
    };
    // That a run is dead is told when it is written, beside the seal.
    let mut told = kinds(&app, job).await;
    told.retain(|(kind, _)| *kind != RunsDead);
    let expected = [
        (JobSubmitted, "anna"),
        (JobPaused, "bert"),
        (JobResumed, "anna"),
        (JobSealed, "anna"),
        (JobFinished, "pigeon"),
    ];
    assert_eq!(told, authors(&expected));
    let expected = [(JobSubmitted, "anna"), (JobCancelled, "bert"), (JobDeleted, "bert")];
    assert_eq!(kinds(&app, other).await, authors(&expected), "it outlives its job");
    let all = app.client.events(EventFilter::default(), 1000).await.unwrap();
    assert!(all.windows(2).all(|pair| pair[0].seq < pair[1].seq && pair[0].at_ms <= pair[1].at_ms));
    assert_eq!(all[0].kind, HostStarted);
    assert!(all.iter().any(|event| event.kind == RunsDead && event.message.starts_with("does-not-fit: ")));
    drop((anna, bert));
    stop(app).await;
    let app = server(dir.path()).await;
    let later = app.client.events(EventFilter { after: all.last().unwrap().seq, job: None }, 1000).await.unwrap();
    assert_eq!(later.iter().map(|event| event.kind).collect::<Vec<_>>(), [HostStopping, HostStarted]);
    stop(app).await;
}

#[tokio::test]
async fn who_follows_misses_nothing_and_hears_nothing_twice() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let mut followers = Vec::new();
    let mut jobs = Vec::new();
    for round in 0..40 {
        if round % 10 == 0 {
            let after =
                app.client.events(EventFilter::default(), 1000).await.unwrap().last().map_or(0, |last| last.seq);
            // From the beginning, and from now on.
            for after in [0, after] {
                followers.push((after, app.client.follow_events(EventFilter { after, job: None }).await.unwrap()));
            }
        }
        jobs.push(submit(&app, "a", |_| {}).await);
    }
    let last = app.client.events(EventFilter::default(), 1000).await.unwrap();
    let end = last.last().unwrap().seq;
    for (after, mut follower) in followers {
        let mut heard: Vec<Event> = Vec::new();
        while heard.last().is_none_or(|event| event.seq < end) {
            heard.push(follower.next().await.unwrap().unwrap());
        }
        assert!(heard == last.iter().filter(|event| event.seq > after).cloned().collect::<Vec<_>>());
    }
    let mut one = app.client.follow_events(EventFilter { after: 0, job: Some(jobs[7]) }).await.unwrap();
    assert_eq!(one.next().await.unwrap().unwrap().kind, EventKind::JobSubmitted);
    app.client.stop(jobs[7], Stop::Pause).await.unwrap();
    assert_eq!(one.next().await.unwrap().unwrap().kind, EventKind::JobPaused);
    drop(one);
    stop(app).await;
}

#[tokio::test]
async fn a_cursor_that_no_entry_ever_had_is_refused() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    submit(&app, "a", |_| {}).await;
    let last = app.client.events(EventFilter::default(), 1000).await.unwrap().last().unwrap().seq;
    let behind = |after| EventFilter { after, job: None };
    assert!(app.client.events(behind(last), 1000).await.unwrap().is_empty());
    drop(app.client.follow_events(behind(last)).await.unwrap());
    let refused = app.client.events(behind(last + 1), 1000).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::BadRequest);
    assert_eq!(refused.message, format!("the log has no entry {} yet: its last is {last}", last + 1));
    let followed = app.client.follow_events(behind(u64::MAX)).await.err().unwrap();
    assert_eq!(followed.kind, ErrorKind::BadRequest);
    stop(app).await;
}

#[tokio::test]
async fn who_followed_a_log_that_was_lost_hears_all_of_the_one_that_was_restored() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let (mut pieces, mut archive) = (app.client.backup().await.unwrap(), Vec::new());
    while let Some(piece) = pieces.next().await {
        archive.extend_from_slice(&piece.unwrap());
    }
    for _ in 0..5 {
        submit(&app, "a", |_| {}).await;
    }
    let lost = app.client.events(EventFilter::default(), 1000).await.unwrap().last().unwrap().seq;
    stop(app).await;
    let copy = dir.path().join("copy");
    pigeon_store::restore(&mut &archive[..], &copy).unwrap();
    let app = server(&copy).await;
    let heard = app.client.events(EventFilter { after: lost, job: None }, 1000).await.unwrap();
    assert_eq!(heard[0].kind, EventKind::HostStarted);
    assert!(heard[0].seq > lost);
    stop(app).await;
}

#[tokio::test]
async fn an_embedded_control_host_tells_of_its_jobs() {
    let dir = TempDir::new().unwrap();
    let app = app(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    app.client.stop(job, Stop::Pause).await.unwrap();
    wait(&app, job, u64::MAX).await;
    app.client.resume(job).await.unwrap();
    app.client.seal(job).await.unwrap();
    wait(&app, job, u64::MAX).await;
    let told: Vec<_> = kinds(&app, job).await.into_iter().map(|(kind, _)| kind).collect();
    use EventKind::*;
    assert_eq!(told, [JobSubmitted, JobResumed, JobSealed, JobFinished]);
    stop(app).await;
}
