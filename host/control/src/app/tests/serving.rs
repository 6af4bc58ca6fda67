//! A control host that serves: its identity lasts, its directory is its own, and what was begun goes on.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[tokio::test]
async fn its_identity_and_its_tokens_outlive_it() {
    let dir = TempDir::new().unwrap();
    let first = server(dir.path()).await;
    let token = first.take_first_token().unwrap();
    assert!(first.take_first_token().is_none(), "it is told once");
    let file = dir.path().join("admin.token");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), token.secret);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(&dir.path().join("ca"))), (0o600, 0o700));
    assert_eq!((mode(&dir.path().join("ca/ca.key")), mode(&dir.path().join("ca/manifest.key"))), (0o600, 0o600));
    let (certificate, key) = (first.ca_certificate().to_vec(), first.core.registry.public_key());
    stop(first).await;

    let second = server(dir.path()).await;
    assert!(second.take_first_token().is_none());
    assert_eq!(second.principal(&token.secret).unwrap().name, "admin");
    assert_eq!((second.ca_certificate(), second.core.registry.public_key()), (&certificate[..], key));
    stop(second).await;
}

#[tokio::test]
async fn its_directory_is_its_own() {
    let dir = TempDir::new().unwrap();
    let first = server(dir.path()).await;
    for config in
        [Config::server(dir.path().to_owned(), ([127, 0, 0, 1], 0).into()), Config::embedded(dir.path().to_owned())]
    {
        let refused = App::build(config, Arc::new(Credulous)).await.err().unwrap();
        let why = std::error::Error::source(&refused).unwrap().to_string();
        assert!(why.contains("in use") && why.contains(&std::process::id().to_string()), "{why}");
    }
    stop(first).await;
    let embedded = app(dir.path()).await;
    let config = Config::server(dir.path().to_owned(), ([127, 0, 0, 1], 0).into());
    assert!(App::build(config, Arc::new(Credulous)).await.is_err());
    stop(embedded).await;
}

#[tokio::test]
async fn what_was_acknowledged_goes_on_after_it_died() {
    let dir = TempDir::new().unwrap();
    let first = server(dir.path()).await;
    let client = first.client_as("anna");
    let (open, waiting) = (submit(&first, "a", |_| {}).await, submit(&first, "b", |_| {}).await);
    for job in [open, waiting] {
        client.append(job, chunk(0, 0, &[FITS, LARGE])).await.unwrap();
        wait(&first, job, 3).await;
    }
    client.stop(waiting, Stop::Pause).await.unwrap();
    assert_eq!(wait(&first, waiting, u64::MAX).await, Some(JobState::Paused));
    drop(client);
    die(first).await;

    let second = server(dir.path()).await;
    assert_eq!(status(&second, open).await.state, JobState::Open);
    assert_eq!(status(&second, waiting).await.state, JobState::Paused);
    let client = second.client_as("anna");
    for job in [open, waiting] {
        client.append(job, chunk(0, 0, &["repeated"])).await.unwrap();
        client.append(job, chunk(1, 2, &[LARGE])).await.unwrap();
        client.seal(job).await.unwrap();
    }
    wait(&second, open, 6).await;
    let told = status(&second, waiting).await;
    assert_eq!((told.state, told.items, told.total_runs), (JobState::Paused, 3, 3), "it is kept, and waits");
    let point = client.resume(waiting).await.unwrap();
    assert_eq!((point.state, point.sealed, point.next_seq, point.next_item), (JobState::Paused, true, 2, 3));
    wait(&second, waiting, 6).await;
    for job in [open, waiting] {
        let told = status(&second, job).await;
        assert_eq!((told.state, told.planned_runs, told.total_runs), (JobState::Sealed, 9, 6));
    }
    drop(client);
    stop(second).await;
}

#[tokio::test]
async fn what_a_full_disk_stopped_goes_on_by_itself_and_the_rest_when_somebody_says_so() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    for (why, mended) in [(ErrorKind::Exhausted, true), (ErrorKind::Internal, false)] {
        let job = submit(&app, "a", |_| {}).await;
        app.client.append(job, chunk(0, 0, &[FITS, LARGE])).await.unwrap();
        wait(&app, job, 3).await;
        let plugin = app.core.owned(job).unwrap().plugin.digest;
        app.core.tell(Command::Lacking(plugin, ApiError::new(why, "failed to write"))).await.unwrap();
        let owned = app.core.owned(job).unwrap();
        owned.pulse().wait_for(|pulse| pulse.broken.is_some() && pulse.ended.is_some()).await.unwrap();
        assert_eq!(kind(app.client.append(job, chunk(1, 2, &[FITS])).await), why, "nothing is taken that is not kept");
        let told = status(&app, job).await;
        assert_eq!((told.state, told.waiting), (JobState::Interrupted, Some(pigeon_api::Waiting::Nobody)));
        app.core.mend().await;
        let state = status(&app, job).await.state;
        assert_eq!(state, if mended { JobState::Open } else { JobState::Interrupted });
        app.client.resume(job).await.unwrap();
        app.client.append(job, chunk(1, 2, &[LARGE])).await.unwrap();
        wait(&app, job, 6).await;
        let told = status(&app, job).await;
        assert_eq!((told.state, told.planned_runs, told.total_runs), (JobState::Open, 9, 6));
        let events = app.client.events(pigeon_api::EventFilter { after: 0, job: Some(job) }, 100).await.unwrap();
        let told: Vec<_> = events.iter().map(|event| (event.kind, &*event.author)).collect();
        assert!(told.contains(&(EventKind::JobBroken, "pigeon")), "{told:?}");
        let resumed = if mended { "pigeon" } else { "" };
        assert!(told.contains(&(EventKind::JobResumed, resumed)), "{told:?}");
        app.client.stop(job, Stop::Cancel).await.unwrap();
    }
    stop(app).await;
}

#[tokio::test]
async fn it_goes_down_once_and_says_so() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    assert_eq!(app.ready(), Ok(()));
    app.drain(Duration::ZERO).await;
    app.drain(Duration::ZERO).await;
    assert_eq!(app.ready(), Err(vec!["it is going down".to_owned()]));
    assert_eq!(kind(app.client.append(job, chunk(0, 0, &[FITS])).await), ErrorKind::Unreachable);
    assert!(app.core.owned(job).is_none(), "it is given up");
}

#[tokio::test]
async fn a_schedule_submits_in_its_own_name_and_is_told_of() {
    use pigeon_api::{CatchUp, EventFilter, Overlap, ScheduleSpec, When};
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    app.client.publish(Bytes::from_static(b"a")).await.unwrap();
    let job = serde_json::from_value(serde_json::json!({ "plugin": "a", "items": [LARGE] })).unwrap();
    let when = When::Every { ms: 1_000 };
    let (catch_up, overlap) = (CatchUp::Once, Overlap::Allow);
    let spec = ScheduleSpec { name: "nightly".to_owned(), when, catch_up, overlap, job };
    app.client_as("anna").add_schedule(spec).await.unwrap();
    let mut events = app.client.follow_events(EventFilter::default()).await.unwrap();
    let (mut authors, mut fired) = (Vec::new(), None);
    while fired.is_none() {
        let event = events.next().await.unwrap().unwrap();
        match event.kind {
            EventKind::ScheduleAdded | EventKind::JobSubmitted => authors.push(event.author),
            EventKind::ScheduleFired => fired = event.job,
            _ => {}
        }
    }
    assert_eq!(authors, ["anna", "schedule nightly"]);
    assert_eq!(wait(&app, fired.unwrap(), u64::MAX).await, Some(JobState::Finished));
    drop(events);
    stop(app).await;
}

#[tokio::test]
async fn some_settings_change_while_it_runs() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    let mut config = Config::server(dir.path().to_owned(), ([127, 0, 0, 1], 0).into());
    config.backlog = 20;
    config.beat = Duration::from_secs(1);
    config.server.as_mut().unwrap().advertise = Some("pigeon.example:7070".to_owned());
    config.server.as_mut().unwrap().least_free = u64::MAX;
    assert_eq!(app.reload(config).await, ["beat"]);
    assert_eq!(app.core.backlog.load(Relaxed), 20);
    let token =
        app.client.create_join_token(pigeon_api::JoinSpec { uses: 1, ttl_ms: 1000, labels: Vec::new() }).await.unwrap();
    assert_eq!(token.hub, "pigeon.example:7070");
    let reasons = app.ready().unwrap_err();
    assert!(reasons[0].ends_with("MiB are free on the disk of the state directory"), "{reasons:?}");
    // Nothing new is taken; what is there may go.
    assert_eq!(kind(app.client.append(job, chunk(0, 0, &[FITS])).await), ErrorKind::Exhausted);
    assert_eq!(kind(app.client.publish(Bytes::from_static(b"b")).await), ErrorKind::Exhausted);
    app.client.stop(job, Stop::Cancel).await.unwrap();
    app.client.delete(job).await.unwrap();
    stop(app).await;
}

#[tokio::test]
async fn what_is_whole_may_be_submitted_again_though_it_broke() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let plugin = app.client.publish(Bytes::from_static(b"a")).await.unwrap().digest;
    let submit = || {
        let submission = serde_json::json!({ "plugin": plugin.to_string(), "key": "k", "items": [FITS] });
        crate::submit::submit(&*app.client, serde_json::from_value(submission).unwrap())
    };
    let job = submit().await.unwrap();
    app.core.tell(Command::Lacking(plugin, ApiError::new(ErrorKind::Internal, "failed to read"))).await.unwrap();
    let mut pulse = app.core.owned(job).unwrap().pulse();
    pulse.wait_for(|pulse| pulse.ended.is_some()).await.unwrap();
    assert_eq!(status(&app, job).await.state, JobState::Interrupted);
    assert_eq!(submit().await.unwrap(), job);
    stop(app).await;
}

#[tokio::test]
async fn nothing_goes_on_by_itself_where_too_little_is_free() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    let plugin = app.core.owned(job).unwrap().plugin.digest;
    app.core.tell(Command::Lacking(plugin, ApiError::new(ErrorKind::Exhausted, "full"))).await.unwrap();
    let mut pulse = app.core.owned(job).unwrap().pulse();
    pulse.wait_for(|pulse| pulse.ended.is_some()).await.unwrap();
    for (least, state) in [(u64::MAX, JobState::Interrupted), (0, JobState::Open)] {
        app.core.room.set_least(least);
        app.core.mend().await;
        assert_eq!(status(&app, job).await.state, state);
    }
    stop(app).await;
}

#[tokio::test]
async fn more_jobs_than_may_wait_are_told_to_come_back() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let first = submit(&app, "a", |_| {}).await;
    let plugin = app.core.owned(first).unwrap().plugin.digest;
    app.core.max_jobs.store(2, Relaxed);
    let second = submit(&app, "a", |_| {}).await;
    let request = JobRequest::new(plugin, Work::Many { iterations: 1, workers: None });
    assert_eq!(kind(app.client.submit(request.clone()).await), ErrorKind::Overloaded);
    // Whoever repeats a submission is told of the job that it made.
    app.core.max_jobs.store(3, Relaxed);
    let keyed = |key: &str| JobRequest { key: Some(key.to_owned()), ..request.clone() };
    let third = app.client.submit(keyed("a")).await.unwrap();
    assert_eq!(app.client.submit(keyed("a")).await.unwrap(), third);
    assert_eq!(kind(app.client.submit(keyed("b")).await), ErrorKind::Overloaded);
    app.core.max_jobs.store(2, Relaxed);
    app.client.stop(third, Stop::Cancel).await.unwrap();
    // What is there goes on, and makes room.
    app.client.append(second, chunk(0, 0, &[LARGE])).await.unwrap();
    app.client.seal(second).await.unwrap();
    assert_eq!(wait(&app, second, u64::MAX).await, Some(JobState::Finished));
    while app.core.owned(second).is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    app.client.submit(request).await.unwrap();
    stop(app).await;
}
