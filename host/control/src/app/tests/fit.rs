//! Items that fit nowhere.

use super::*;

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
