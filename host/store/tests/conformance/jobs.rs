//! Cases of jobs: how they are accepted, owned, finished and listed.

use std::{iter, sync::Arc};

use bytes::Bytes;
use pigeon_protocol::id::{Epoch, JobId, RunIndex};
use pigeon_store::{Batch, ItemsBuilder, JobEnd, JobFilter, JobState, LARGE_ITEM, NewJob, Store, StoreError};

use super::made::{all_results, batch, items, new_job, outcome};

pub(crate) async fn a_job_is_kept_as_it_was_accepted(store: &impl Store) {
    let job = new_job(3, 5);
    let claim = store.create(job.clone()).await.unwrap();
    assert_eq!((claim.job(), claim.epoch()), (job.id, Epoch(1)));
    let record = store.job(job.id).await.unwrap();
    assert_eq!(record.job, job);
    assert_eq!((record.state, record.epoch, record.items, record.chunks), (JobState::Active, Epoch(1), 0, 0));
    assert_eq!((record.sealed, record.finished_ms), (None, None));
    drop(claim);
    assert!(matches!(store.create(job.clone()).await, Err(StoreError::JobExists(id)) if id == job.id));
}

pub(crate) async fn a_job_that_is_all_here_is_accepted_at_once(store: &impl Store) {
    let job = NewJob { key: Some("k".to_owned()), ..new_job(1, 2) };
    let mut builder = ItemsBuilder::default();
    builder.push("small", 1, Bytes::from_static(b"body"));
    builder.push("large", 2, vec![7; LARGE_ITEM + 1].into());
    for all in [items(0..9), builder.take()] {
        let job = NewJob { id: JobId::new(), key: None, ..job.clone() };
        let claim = store.create_with(job.clone(), all.clone(), Bytes::from_static(b"note")).await.unwrap();
        assert_eq!((claim.job(), claim.epoch()), (job.id, Epoch(1)));
        let record = store.job(job.id).await.unwrap();
        assert_eq!((record.items, record.chunks, record.bytes), (all.len() as u64, 1, all.bytes()));
        assert_eq!(
            (&record.job, record.sealed, record.cursor),
            (&job, Some(Bytes::from_static(b"note")), Bytes::new())
        );
        assert_eq!(store.items(job.id, 0).await.unwrap(), all);
        // What the three calls would have done, and may be repeated.
        assert!(!store.append(job.id, claim.epoch(), 0, all.clone(), Bytes::new()).await.unwrap().new);
        let more = store.append(job.id, claim.epoch(), 1, all, Bytes::new()).await.unwrap_err();
        assert!(matches!(more, StoreError::Sealed(_)), "{more}");
        store.record(batch(&claim, "a", [outcome(0)])).await.unwrap();
        drop(claim);
        assert!(matches!(store.create_with(job, items(0..1), Bytes::new()).await, Err(StoreError::JobExists(_))));
    }
    let empty = store.create_with(job.clone(), items(0..0), Bytes::new()).await.unwrap();
    let record = store.job(empty.job()).await.unwrap();
    assert_eq!((record.items, record.chunks, record.sealed), (0, 0, Some(Bytes::new())));
    // Refused, it leaves nothing.
    let again = NewJob { id: JobId::new(), ..job.clone() };
    let refused = store.create_with(again.clone(), items(0..3), Bytes::new()).await.unwrap_err();
    assert!(matches!(refused, StoreError::KeyTaken(id) if id == job.id), "{refused}");
    assert!(matches!(store.job(again.id).await, Err(StoreError::UnknownJob(_))));
}

pub(crate) async fn a_job_has_one_owner(store: &impl Store) {
    let job = new_job(1, 1);
    let claim = store.create(job.clone()).await.unwrap();
    assert!(matches!(store.claim(job.id).await, Err(StoreError::Busy { .. })));
    drop(claim);
    let claim = store.claim(job.id).await.unwrap();
    assert_eq!(claim.epoch(), Epoch(2));
    assert!(matches!(store.claim(job.id).await, Err(StoreError::Busy { .. })));
    assert_eq!(store.job(job.id).await.unwrap().epoch, Epoch(2));
}

pub(crate) async fn an_older_owner_writes_nothing(store: &impl Store) {
    let job = new_job(1, 1).id;
    let old = store.create(NewJob { id: job, ..new_job(1, 1) }).await.unwrap();
    let (id, epoch) = (old.job(), old.epoch());
    store.append(id, epoch, 0, items(0..4), Bytes::new()).await.unwrap();
    let mut late = batch(&old, "a", [outcome(0)]);
    store.record(late.clone()).await.unwrap();
    drop(old);
    let new = store.claim(id).await.unwrap();

    late.outcomes = vec![outcome(1)];
    let stale = |error| matches!(error, StoreError::StaleEpoch { given: Epoch(1), current: Epoch(2), .. });
    assert!(stale(store.record(late).await.unwrap_err()));
    assert!(stale(store.append(id, epoch, 1, items(4..5), Bytes::new()).await.unwrap_err()));
    assert!(stale(store.seal(id, epoch, Bytes::new()).await.unwrap_err()));
    assert!(stale(store.put_attempts(id, epoch, Vec::new()).await.unwrap_err()));
    assert!(stale(store.finish(id, epoch, JobEnd::new(JobState::Completed, 9)).await.unwrap_err()));

    store.record(batch(&new, "a", [outcome(2)])).await.unwrap();
    assert_eq!(store.progress(id).await.unwrap().done, [0..1, 2..3]);
    assert_eq!(store.job(id).await.unwrap().items, 4);
}

pub(crate) async fn time_at_work_is_kept_over_owners(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let job = claim.job();
    assert_eq!(store.job(job).await.unwrap().worked_ms, 0);
    for worked in [700, 300] {
        store.put_worked(job, claim.epoch(), worked).await.unwrap();
    }
    let former = claim.epoch();
    drop(claim);
    let claim = store.claim(job).await.unwrap();
    assert!(matches!(store.put_worked(job, former, 900).await, Err(StoreError::StaleEpoch { .. })));
    store.finish(job, claim.epoch(), JobEnd::new(JobState::Cancelled, 5_000)).await.unwrap();
    store.put_worked(job, claim.epoch(), 1_100).await.unwrap();
    assert_eq!(store.job(job).await.unwrap().worked_ms, 1_100);
}

pub(crate) async fn a_finished_job_takes_nothing_and_tells_all(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    store.append(job, epoch, 0, items(0..5), Bytes::new()).await.unwrap();
    store.record(batch(&claim, "a", (0..5).map(outcome))).await.unwrap();
    let before = store.tally(job).await.unwrap();
    store
        .finish(job, epoch, JobEnd { summary: Bytes::from_static(b"1.5 s"), ..JobEnd::new(JobState::Completed, 77) })
        .await
        .unwrap();
    let record = store.job(job).await.unwrap();
    assert_eq!((record.state, record.finished_ms, &record.summary[..]), (JobState::Completed, Some(77), &b"1.5 s"[..]));

    let late = batch(&claim, "a", [outcome(9)]);
    assert!(matches!(store.record(late).await, Err(StoreError::Finished(id)) if id == job));
    let append = store.append(job, epoch, 1, items(5..6), Bytes::new()).await;
    assert!(matches!(append, Err(StoreError::Finished(id)) if id == job));
    let again = store.finish(job, epoch, JobEnd::new(JobState::Cancelled, 78)).await;
    assert!(matches!(again, Err(StoreError::Finished(id)) if id == job));

    assert_eq!(store.tally(job).await.unwrap(), before);
    assert!(store.progress(job).await.unwrap().done.into_iter().eq(iter::once(0..5)));
    assert_eq!(all_results(store, job, 3).await.len(), 5);
}

pub(crate) async fn jobs_are_listed_newest_first(store: &impl Store) {
    let mut ids = Vec::new();
    for created_ms in [30, 10, 20] {
        let job = NewJob { created_ms, ..new_job(1, 1) };
        ids.push(job.id);
        let claim = store.create(job).await.unwrap();
        if created_ms == 20 {
            store.finish(claim.job(), claim.epoch(), JobEnd::new(JobState::FailedFast, 40)).await.unwrap();
        }
    }
    let list = async |filter| -> Vec<JobId> {
        store.jobs(filter).await.unwrap().into_iter().map(|record| record.job.id).collect()
    };
    assert_eq!(list(JobFilter::default()).await, [ids[0], ids[2], ids[1]]);
    assert_eq!(list(JobFilter { unfinished: true, ..JobFilter::default() }).await, [ids[0], ids[1]]);
    assert_eq!(list(JobFilter { limit: Some(1), ..JobFilter::default() }).await, [ids[0]]);
}

pub(crate) async fn what_is_not_there_is_unknown(store: &impl Store) {
    let job = JobId::new();
    let epoch = Epoch(1);
    let unknown = |error| matches!(error, StoreError::UnknownJob(id) if id == job);
    let nothing = Batch { job, epoch, worker: Arc::from("a"), landed_ms: 0, outcomes: vec![outcome(0)] };
    assert!(unknown(store.job(job).await.unwrap_err()));
    assert!(unknown(store.claim(job).await.unwrap_err()));
    assert!(unknown(store.append(job, epoch, 0, items(0..1), Bytes::new()).await.unwrap_err()));
    assert!(unknown(store.seal(job, epoch, Bytes::new()).await.unwrap_err()));
    assert!(unknown(store.record(nothing).await.unwrap_err()));
    assert!(unknown(store.put_attempts(job, epoch, Vec::new()).await.unwrap_err()));
    assert!(unknown(store.finish(job, epoch, JobEnd::new(JobState::Completed, 0)).await.unwrap_err()));
    assert!(unknown(store.chunks(job).await.unwrap_err()));
    assert!(unknown(store.items(job, 0).await.unwrap_err()));
    assert!(unknown(store.item_names(job, 0, 1).await.unwrap_err()));
    assert!(unknown(store.progress(job).await.unwrap_err()));
    assert!(unknown(store.tally(job).await.unwrap_err()));
    assert!(unknown(store.results(job, RunIndex(0), 1).await.unwrap_err()));
    assert!(unknown(store.landed_after(job, 0, 1).await.unwrap_err()));
    assert_eq!(store.jobs(JobFilter::default()).await.unwrap(), []);
}
