//! Cases of items: how they come in chunks, and how long their bodies are kept.

use bytes::Bytes;
use pigeon_protocol::id::Epoch;
use pigeon_store::{ItemName, ItemsBuilder, JobEnd, JobFilter, JobState, LARGE_ITEM, Retention, Store, StoreError};

use super::{
    DAY_MS,
    made::{all_results, batch, items, new_job, outcome},
};

pub(crate) async fn chunks_are_appended_once_and_in_order(store: &impl Store) {
    let claim = store.create(new_job(1, 2)).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    let first = store.append(job, epoch, 0, items(0..3), Bytes::from_static(b"after 3")).await.unwrap();
    assert_eq!((first.first, first.count, first.new), (0, 3, true));
    let second = store.append(job, epoch, 1, items(3..5), Bytes::from_static(b"after 5")).await.unwrap();
    assert_eq!((second.first, second.count, second.new), (3, 2, true));
    let repeat = store.append(job, epoch, 0, items(70..99), Bytes::from_static(b"after 3")).await.unwrap();
    assert_eq!((repeat.first, repeat.count, repeat.new), (0, 3, false));
    let gap = store.append(job, epoch, 3, items(5..6), Bytes::new()).await.unwrap_err();
    assert!(matches!(gap, StoreError::ChunkGap { expected: 2, found: 3, .. }));

    let record = store.job(job).await.unwrap();
    assert_eq!((record.items, record.chunks, record.bytes, record.planned_runs()), (5, 2, items(0..5).bytes(), 10));
    assert_eq!(record.cursor, "after 5");
    assert_eq!(store.items(job, 0).await.unwrap(), items(0..3));
    assert_eq!(store.items(job, 1).await.unwrap(), items(3..5));
    assert!(matches!(store.items(job, 2).await, Err(StoreError::NoBodies { chunk: 2, .. })));
    assert_eq!(store.sizes(job, 0).await.unwrap(), items(0..3).sizes().collect::<Vec<_>>());
    assert!(matches!(store.sizes(job, 2).await, Err(StoreError::NoBodies { chunk: 2, .. })));
    let chunks = store.chunks(job).await.unwrap();
    assert_eq!(
        chunks.iter().map(|chunk| (chunk.seq, chunk.first, chunk.count)).collect::<Vec<_>>(),
        [(0, 0, 3), (1, 3, 2)]
    );
}

pub(crate) async fn a_sealed_job_takes_no_items(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    store.append(job, epoch, 0, items(0..1), Bytes::new()).await.unwrap();
    store.seal(job, epoch, Bytes::from_static(b"3 blank lines")).await.unwrap();
    store.seal(job, epoch, Bytes::from_static(b"again")).await.unwrap();
    assert_eq!(store.job(job).await.unwrap().sealed.unwrap(), "3 blank lines");
    let refused = store.append(job, epoch, 1, items(1..2), Bytes::new()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Sealed(id) if id == job));
    // An acknowledgement that was lost is given again.
    assert!(!store.append(job, epoch, 0, items(0..1), Bytes::new()).await.unwrap().new);
}

pub(crate) async fn large_items_come_back_whole(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let mut builder = ItemsBuilder::default();
    builder.push("small", 0, Bytes::from_static(b"abc"));
    builder.push("large", 0, vec![42; LARGE_ITEM + 1].into());
    builder.push("", 0, Bytes::new());
    let items = builder.take();
    store.append(claim.job(), claim.epoch(), 0, items.clone(), Bytes::new()).await.unwrap();
    assert_eq!(store.items(claim.job(), 0).await.unwrap(), items);
    assert_eq!(store.job(claim.job()).await.unwrap().bytes, items.bytes());
}

pub(crate) async fn names_are_read_across_chunks(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    for (seq, range) in [0..3, 3..4, 4..9].into_iter().enumerate() {
        store.append(claim.job(), claim.epoch(), seq as u64, items(range), Bytes::new()).await.unwrap();
    }
    for (first, count, expected) in [(0, 9, 0..9), (2, 3, 2..5), (3, 1, 3..4), (8, 5, 8..9), (9, 5, 9..9), (4, 0, 4..4)]
    {
        let expected: Vec<_> = expected.map(|item| ItemName { id: format!("item-{item}"), line: item + 1 }).collect();
        assert_eq!(store.item_names(claim.job(), first, count).await.unwrap(), expected, "{count} from {first}");
    }
}

pub(crate) async fn bodies_go_before_results(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    let mut builder = ItemsBuilder::default();
    builder.push("item-0", 1, vec![1; LARGE_ITEM + 1].into());
    store.append(job, epoch, 0, builder.take(), Bytes::new()).await.unwrap();
    store.append(job, epoch, 1, items(1..500), Bytes::new()).await.unwrap();
    store.record(batch(&claim, "a", (0..500).map(outcome))).await.unwrap();
    let unfinished = store.create(new_job(1, 1)).await.unwrap();
    store.append(unfinished.job(), Epoch(1), 0, items(0..5), Bytes::new()).await.unwrap();

    let week = Retention::default();
    assert_eq!(store.sweep(100 * DAY_MS, week).await.unwrap().bodies, []);
    store.finish(job, epoch, JobEnd::new(JobState::Completed, 100 * DAY_MS)).await.unwrap();
    assert_eq!(store.sweep(101 * DAY_MS, week).await.unwrap().bodies, [], "it is owned");
    drop((claim, unfinished));

    let kept = store.sweep(101 * DAY_MS, Retention { keep_bodies: true, ..week }).await.unwrap();
    assert_eq!((kept.jobs, kept.bodies, kept.files), (vec![], vec![], 0));
    let swept = store.sweep(101 * DAY_MS, week).await.unwrap();
    assert_eq!((swept.jobs, swept.bodies, swept.files), (vec![], vec![job], 1));
    assert!(matches!(store.items(job, 1).await, Err(StoreError::NoBodies { .. })));
    assert_eq!(all_results(store, job, 100).await.len(), 500);
    assert_eq!(store.item_names(job, 499, 1).await.unwrap()[0].id, "item-499");
    assert_eq!(store.sweep(101 * DAY_MS, week).await.unwrap().bodies, [], "once is enough");

    let swept = store.sweep(107 * DAY_MS + 1, week).await.unwrap();
    assert_eq!(swept.jobs, [job]);
    assert!(matches!(store.job(job).await, Err(StoreError::UnknownJob(_))));
    let left = store.jobs(JobFilter::default()).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(store.items(left[0].job.id, 0).await.unwrap().len(), 5);
}
