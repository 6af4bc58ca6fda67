//! Clients that leave before they hear what came of it.

use futures::poll;
use pigeon_store::{ItemsBuilder, JobState as Kept};

use super::*;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_was_begun_to_be_appended_is_told() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    let mut pulse = app.core.owned(job).unwrap().pulse();
    for seq in 0..5 {
        let mut append = app.client.append(job, chunk(seq, seq, &[FITS]));
        assert!(poll!(&mut append).is_pending());
        drop(append);
        let told = pulse.wait_for(|pulse| pulse.progress.planned == 3 * (seq + 1));
        tokio::time::timeout(LONG, told).await.unwrap().unwrap();
    }
    stop(app).await;
}

#[tokio::test]
async fn who_resumes_a_job_at_work_has_its_chunks_told() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    let owned = app.core.owned(job).unwrap();
    let mut builder = ItemsBuilder::default();
    builder.push("a", 1, Bytes::from_static(b"1"));
    app.core.store.append(job, owned.epoch(), 0, builder.take(), Bytes::new()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(app.client.resume(job).await.unwrap().next_seq, 1);
    }
    let mut pulse = owned.pulse();
    let told = pulse.wait_for(|pulse| pulse.progress.planned > 0);
    assert_eq!(tokio::time::timeout(LONG, told).await.unwrap().unwrap().progress.planned, 3);
    drop(owned);
    stop(app).await;
}

#[tokio::test]
async fn a_cancel_is_on_disk_before_it_is_answered() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    for pause in [false, true] {
        let job = submit(&app, "a", |_| {}).await;
        app.client.append(job, chunk(0, 0, &[FITS, LARGE])).await.unwrap();
        if pause {
            app.client.stop(job, Stop::Pause).await.unwrap();
        }
        app.client.stop(job, Stop::Cancel).await.unwrap();
        assert_eq!(app.core.record(job).await.unwrap().state, Kept::Cancelled);
    }
    stop(app).await;
}

#[tokio::test]
async fn figures_that_were_counted_stay_counted() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = ended(&app).await;
    assert_eq!(app.client.stats().await.unwrap().total.runs, 3);
    for _ in 0..3 {
        let mut asked = app.client.stats();
        assert!(poll!(&mut asked).is_pending());
    }
    // The job goes, and nobody tells: what counts it still is what was kept.
    app.core.store.delete(job).await.unwrap();
    assert_eq!(app.client.stats().await.unwrap().total.runs, 3);
    stop(app).await;
}
