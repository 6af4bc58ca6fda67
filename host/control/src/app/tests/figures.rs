//! Figures of the whole control host, sweeps and backups.

use super::*;

#[tokio::test]
async fn figures_are_those_of_all_jobs_that_are_kept() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let mut jobs = Vec::new();
    for (plugin, bodies) in [("a", &[LARGE][..]), ("b", &[LARGE, LARGE]), ("a", &[FITS, LARGE])] {
        let job = submit(&app, plugin, |_| {}).await;
        app.client.append(job, chunk(0, 0, bodies)).await.unwrap();
        app.client.seal(job).await.unwrap();
        jobs.push(job);
    }
    wait(&app, jobs[0], u64::MAX).await;
    wait(&app, jobs[1], u64::MAX).await;
    wait(&app, jobs[2], 3).await;
    for _ in 0..2 {
        let stats = app.client.stats().await.unwrap();
        assert_eq!((stats.total.runs, stats.total.failures, stats.total.success_rate), (12, 12, 0.0));
        let plugins: Vec<_> = stats.plugins.iter().map(|(name, figures)| (&**name, figures.runs)).collect();
        assert_eq!(plugins, [("a 1.0.0", 6), ("b 1.0.0", 6)]);
        assert_eq!(stats.workers.len(), 0, "no worker is to blame");
        let errors: Vec<_> = stats.errors.iter().map(|error| (&*error.plugin, error.count, &*error.code)).collect();
        let mut sorted = errors.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [("a 1.0.0", 6, "does-not-fit"), ("b 1.0.0", 6, "does-not-fit")]);
        assert!(stats.errors.iter().all(|error| error.first_ms > 0 && error.first_ms <= error.last_ms));
        assert_eq!(stats.throughput.runs.iter().sum::<u64>(), 12);
    }
    let status = app.client.status().await.unwrap();
    let counts: Vec<_> =
        status.jobs.iter().filter(|(_, count)| **count > 0).map(|(state, count)| (&**state, *count)).collect();
    assert_eq!(counts, [("finished", 2), ("sealed", 1)]);
    assert_eq!((status.queue.runs, status.queue.paused, status.queue.leases, status.dead), (3, 0, 0, 12));
    assert!(status.disk_bytes > 0 && status.plugins >= 2 && status.agents.is_empty());
    app.client.stop(jobs[2], Stop::Pause).await.unwrap();
    wait(&app, jobs[2], u64::MAX).await;
    let metrics = app.metrics().await;
    assert_eq!((metrics.queue.runs, metrics.queue.paused, metrics.queue.oldest_ms), (3, 3, 0));
    assert_eq!((metrics.submitted, metrics.items, metrics.runs), (3, 5, [0, 0, 12]));
    assert_eq!((metrics.jobs_active, metrics.jobs_paused, metrics.dead), (0, 1, 12));
    assert!(metrics.commits.count() > 0 && !metrics.commits.time.is_zero());
    stop(app).await;
    let app = server(dir.path()).await;
    let status = app.client.status().await.unwrap();
    assert_eq!(status.queue.paused, 3, "it is known of a job that still waits");
    assert_eq!(status.throughput.runs.iter().sum::<u64>(), 12, "what landed lately did so before, too");
    stop(app).await;
}

#[tokio::test]
async fn what_landed_lately_is_written_down_again_while_it_changes() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let file = dir.path().join("throughput.json");
    let written = async {
        for _ in 0..2 {
            ended(&app).await;
            while !file.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            std::fs::remove_file(&file).unwrap();
        }
    };
    app.run(written).await.unwrap();
    stop(app).await;
}

#[tokio::test]
async fn the_oldest_run_is_as_old_as_its_item() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let oldest = async || app.client.status().await.unwrap().queue.oldest_ms;
    let job = submit(&app, "a", |_| {}).await;
    app.client.append(job, chunk(0, 0, &[LARGE])).await.unwrap();
    wait(&app, job, 3).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(oldest().await, 0, "nothing waits");
    let before = Instant::now();
    app.client.append(job, chunk(1, 1, &[FITS])).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let age = oldest().await;
    assert!(age >= 20 && u128::from(age) <= before.elapsed().as_millis() + 1, "{age}");
    // Taken up again it is not known better than when the job came.
    app.client.stop(job, Stop::Pause).await.unwrap();
    assert_eq!(oldest().await, 0, "what is paused waits for somebody");
    app.client.resume(job).await.unwrap();
    assert!(oldest().await >= 70);
    stop(app).await;
}

#[tokio::test]
async fn a_job_that_is_deleted_counts_no_longer() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let jobs = [ended(&app).await, ended(&app).await];
    assert_eq!(app.client.stats().await.unwrap().total.runs, 6);
    app.client.delete(jobs[0]).await.unwrap();
    let stats = app.client.stats().await.unwrap();
    assert_eq!((stats.total.runs, stats.errors[0].count), (3, 3));
    stop(app).await;
}

#[tokio::test]
async fn a_sweep_tells_what_it_removed() {
    let dir = TempDir::new().unwrap();
    let mut config = Config::server(dir.path().to_owned(), ([127, 0, 0, 1], 0).into());
    config.retention.results = Duration::ZERO;
    config.server.as_mut().unwrap().sweep_every = Duration::from_millis(10);
    let app = App::build(config, Arc::new(Credulous)).await.unwrap();
    let job = ended(&app).await;
    let swept = async {
        let mut events = app.client.follow_events(pigeon_api::EventFilter::default()).await.unwrap();
        while let Some(event) = events.next().await {
            let event = event.unwrap();
            if event.kind == EventKind::Swept {
                assert!(event.message.starts_with("removed 1 jobs whose time was over"), "{}", event.message);
                break;
            }
        }
    };
    app.run(swept).await.unwrap();
    assert_eq!(kind(app.client.job(job).await), ErrorKind::NotFound);
    stop(app).await;
}

#[tokio::test]
async fn a_backup_is_a_control_host_of_its_own() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    app.client.append(job, chunk(0, 0, &[FITS, LARGE])).await.unwrap();
    wait(&app, job, 3).await;
    let (mut pieces, mut archive) = (app.client.backup().await.unwrap(), Vec::new());
    while let Some(piece) = pieces.next().await {
        archive.extend_from_slice(&piece.unwrap());
    }
    let (certificate, token) = (app.ca_certificate().to_vec(), app.take_first_token().unwrap());
    stop(app).await;
    let copy = dir.path().join("copy");
    pigeon_store::restore(&mut &archive[..], &copy).unwrap();
    let app = server(&copy).await;
    assert_eq!(app.ca_certificate(), certificate);
    assert!(app.principal(&token.secret).is_some());
    let told = status(&app, job).await;
    assert_eq!((told.state, told.items, told.total_runs), (JobState::Open, 2, 3));
    stop(app).await;
}
