//! Jobs are submitted once, wait, go on, are cancelled and deleted.

use pigeon_api::{JobFilter, Waiting};

use super::*;

#[tokio::test]
async fn a_key_stands_for_one_request() {
    let dir = TempDir::new().unwrap();
    let mut app = server(dir.path()).await;
    let mut jobs = Vec::new();
    for _ in 0..2 {
        let plugin = app.client.publish(Bytes::from_static(b"a")).await.unwrap();
        let mut request = JobRequest::new(plugin.digest, Work::Many { iterations: 1, workers: None });
        request.key = Some("nightly".to_owned());
        let (anna, bert) = (app.client_as("anna"), app.client_as("bert"));
        let (one, two) = tokio::join!(anna.submit(request.clone()), anna.submit(request.clone()));
        assert_eq!(one.as_ref().unwrap(), two.as_ref().unwrap());
        jobs.push(one.unwrap());
        anna.append(jobs[0], chunk(0, 0, &[FITS])).await.unwrap();
        assert_ne!(bert.submit(request.clone()).await.unwrap(), jobs[0], "another author");
        request.seed += 1;
        assert_eq!(kind(anna.submit(request.clone()).await), ErrorKind::Conflict, "another request");
        request.key = Some(String::new());
        assert_eq!(kind(anna.submit(request).await), ErrorKind::BadRequest);
        drop((anna, bert));
        die(app).await;
        app = server(dir.path()).await;
    }
    assert_eq!(jobs[0], jobs[1], "whatever died meanwhile");
    assert_eq!(status(&app, jobs[0]).await.author, "anna");
    // Once the job is gone, the key may stand for another.
    app.client.stop(jobs[0], Stop::Cancel).await.unwrap();
    wait(&app, jobs[0], u64::MAX).await;
    app.client.delete(jobs[0]).await.unwrap();
    let again = submit(&app, "a", |request| request.key = Some("nightly".to_owned())).await;
    assert_ne!(again, jobs[0]);
    stop(app).await;
}

#[tokio::test]
async fn a_job_waits_goes_on_and_says_why() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let client = app.client_as("anna");
    let job = submit(&app, "a", |_| {}).await;
    client.append(job, chunk(0, 0, &[FITS])).await.unwrap();
    assert_eq!(status(&app, job).await.waiting, Some(Waiting::NoAgent));
    for _ in 0..3 {
        client.stop(job, Stop::Pause).await.unwrap();
        client.stop(job, Stop::Pause).await.unwrap();
        let told = status(&app, job).await;
        assert_eq!((told.state, told.waiting), (JobState::Paused, Some(Waiting::Paused)));
        // Who comes while it is still coming to rest is served.
        assert_eq!(client.resume(job).await.unwrap().state, JobState::Paused);
        assert_eq!(client.resume(job).await.unwrap().state, JobState::Open, "nothing is done twice");
        assert_eq!(status(&app, job).await.waiting, Some(Waiting::NoAgent));
    }
    client.seal(job).await.unwrap();
    client.stop(job, Stop::Cancel).await.unwrap();
    assert_eq!(wait(&app, job, u64::MAX).await, Some(JobState::Cancelled));
    client.stop(job, Stop::Cancel).await.unwrap();
    assert_eq!(kind(client.stop(job, Stop::Pause).await), ErrorKind::Conflict);
    assert_eq!(client.resume(job).await.unwrap().state, JobState::Cancelled);
    client.append(job, chunk(1, 1, &[FITS])).await.unwrap();
    assert_eq!(status(&app, job).await.items, 1, "nobody would run it");
    stop(app).await;
}

#[tokio::test]
async fn a_paused_job_takes_items_and_can_be_cancelled() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let client = app.client_as("anna");
    let job = submit(&app, "a", |_| {}).await;
    app.core.backlog.store(1, Relaxed);
    client.append(job, chunk(0, 0, &[FITS])).await.unwrap();
    let waiting = {
        let client = app.client_as("anna");
        tokio::spawn(async move { client.append(job, chunk(1, 1, &[FITS])).await })
    };
    client.stop(job, Stop::Pause).await.unwrap();
    // The one that waited for room is not lost: it is acknowledged, and on disk.
    waiting.await.unwrap().unwrap();
    client.append(job, chunk(2, 2, &[LARGE])).await.unwrap();
    assert_eq!(status(&app, job).await.items, 3);
    wait(&app, job, u64::MAX).await;
    let refused = client.delete(job).await.unwrap_err();
    assert_eq!(
        (refused.kind, refused.message),
        (ErrorKind::Conflict, format!("job {job} has not ended: it is paused"))
    );
    assert!(refused.hint.unwrap().contains(&format!("pigeon jobs cancel {job}")));
    client.stop(job, Stop::Cancel).await.unwrap();
    assert_eq!(status(&app, job).await.state, JobState::Cancelled);
    client.delete(job).await.unwrap();
    assert_eq!(kind(client.job(job).await), ErrorKind::NotFound);
    stop(app).await;
}

#[tokio::test]
async fn what_is_appended_while_it_is_taken_up_counts_once() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    let appending = {
        let client = app.client_as("anna");
        tokio::spawn(async move {
            for seq in 0..60 {
                client.append(job, chunk(seq, seq, &[LARGE])).await.unwrap();
            }
            client.seal(job).await.unwrap();
        })
    };
    while !appending.is_finished() {
        match app.client.stop(job, Stop::Pause).await {
            Ok(()) => _ = app.client.resume(job).await.unwrap(),
            // It has ended meanwhile.
            Err(error) => assert_eq!(error.kind, ErrorKind::Conflict),
        }
    }
    appending.await.unwrap();
    assert_eq!(wait(&app, job, u64::MAX).await, Some(JobState::Finished));
    let told = status(&app, job).await;
    assert_eq!((told.items, told.planned_runs, told.total_runs, told.failures), (60, 180, 180, 180));
    stop(app).await;
}

#[tokio::test]
async fn jobs_are_listed_by_state_and_plugin_and_page() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let mut jobs = Vec::new();
    for plugin in ["a", "b", "a", "b"] {
        jobs.push(submit(&app, plugin, |_| {}).await);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    app.client.append(jobs[0], chunk(0, 0, &[LARGE])).await.unwrap();
    app.client.seal(jobs[0]).await.unwrap();
    wait(&app, jobs[0], u64::MAX).await;
    app.client.seal(jobs[1]).await.unwrap();
    wait(&app, jobs[1], u64::MAX).await;
    app.client.append(jobs[2], chunk(0, 0, &[FITS, LARGE])).await.unwrap();
    app.client.seal(jobs[2]).await.unwrap();
    wait(&app, jobs[2], 3).await;
    let list = async |filter: JobFilter| {
        let listed = app.client.jobs(filter).await.unwrap();
        listed.into_iter().map(|summary| (summary.id, summary.state, summary.failures)).collect::<Vec<_>>()
    };
    let all = [
        (jobs[3], JobState::Open, 0),
        (jobs[2], JobState::Sealed, 3),
        (jobs[1], JobState::Finished, 0),
        (jobs[0], JobState::Finished, 3),
    ];
    assert_eq!(list(JobFilter::default()).await, all);
    assert_eq!(list(JobFilter { unfinished: true, ..JobFilter::default() }).await, all[..2]);
    assert_eq!(list(JobFilter { plugin: Some("a".to_owned()), ..JobFilter::default() }).await, [all[1], all[3]]);
    for (state, expected) in [
        (JobState::Open, &all[..1]),
        (JobState::Sealed, &all[1..2]),
        (JobState::Finished, &all[2..]),
        (JobState::Paused, &[]),
        (JobState::Interrupted, &[]),
    ] {
        assert_eq!(list(JobFilter { state: Some(state), ..JobFilter::default() }).await, expected);
    }
    let page = JobFilter { before: Some(jobs[2]), limit: Some(1), ..JobFilter::default() };
    assert_eq!(list(page).await, all[2..3]);
    stop(app).await;
}

#[tokio::test]
async fn limits_of_a_plugin_outlive_the_control_host() {
    use pigeon_api::{PluginLimits, Rate};
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let client = app.client_as("anna");
    app.client.publish(Bytes::from_static(b"a")).await.unwrap();
    assert_eq!(client.plugin_limits("a").await.unwrap(), PluginLimits::default());
    let limits = PluginLimits { max_parallel: Some(2), rate: Some(Rate { runs: 5, per_ms: 1000 }) };
    client.set_plugin_limits("a", limits).await.unwrap();
    assert_eq!(kind(client.set_plugin_limits("unheard-of", limits).await), ErrorKind::NotFound);
    let nothing = PluginLimits { max_parallel: Some(0), rate: None };
    assert_eq!(kind(client.set_plugin_limits("a", nothing).await), ErrorKind::BadRequest);
    drop(client);
    stop(app).await;
    let app = server(dir.path()).await;
    assert_eq!(app.client.plugin_limits("a").await.unwrap(), limits);
    app.client.set_plugin_limits("a", PluginLimits::default()).await.unwrap();
    assert_eq!(app.core.store.plugin_limits().await.unwrap(), []);
    stop(app).await;
}

#[tokio::test]
async fn a_server_without_agents_takes_whatever_comes() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    let body = "x".repeat(Chunk::TARGET);
    for seq in 0..80 {
        let mut builder = ChunkBuilder::new(seq, seq);
        builder.push(|id| id.extend_from_slice(b"large"), 0, body.as_bytes());
        let append = app.client.append(job, builder.finish(Bytes::new()));
        tokio::time::timeout(Duration::from_secs(60), append).await.unwrap().unwrap();
    }
    assert_eq!(status(&app, job).await.items, 80);
    stop(app).await;
}
