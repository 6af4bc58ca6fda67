//! Cases of outcomes: which are taken, in which order they come back, and how they are counted.

use std::iter;

use bytes::Bytes;
use pigeon_protocol::{id::RunIndex, outcome::Verdict};
use pigeon_store::{Attempts, JobEnd, JobState, MAX_GROUPS, OutcomeRow, Store, StoreError};

use super::made::{all_results, batch, failed, items, new_job, outcome};

pub(crate) async fn results_come_in_the_order_of_runs(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    // Interleaved, far apart, backwards, and a retry that comes late.
    let batches: [Vec<u64>; 5] = [
        (0..40).step_by(2).collect(),
        (500_000..500_010).collect(),
        vec![39, 1, 3, 37],
        vec![70_000, 41, 140_000],
        vec![5],
    ];
    for runs in &batches {
        let outcomes = runs.iter().map(|&run| if run.is_multiple_of(3) { failed(run, "c", "m") } else { outcome(run) });
        store.record(batch(&claim, "a", outcomes)).await.unwrap();
    }
    let mut expected: Vec<u64> = batches.into_iter().flatten().collect();
    expected.sort_unstable();
    for limit in [1, 7, 1000] {
        let results = all_results(store, claim.job(), limit).await;
        assert_eq!(results.iter().map(|outcome| outcome.run.0).collect::<Vec<_>>(), expected);
        for result in results {
            let recorded =
                if result.run.0.is_multiple_of(3) { failed(result.run.0, "c", "m") } else { outcome(result.run.0) };
            assert_eq!(result, OutcomeRow { error: None, ..recorded });
        }
    }
    let some = store.results(claim.job(), RunIndex(38), 3).await.unwrap();
    assert_eq!(some.iter().map(|outcome| outcome.run.0).collect::<Vec<_>>(), [38, 39, 41]);
}

pub(crate) async fn what_landed_is_told_in_order(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    assert_eq!(store.landed_after(claim.job(), 0, 9).await.unwrap(), []);
    for (worker, runs) in [("a", [4, 2]), ("b", [0, 1]), ("a", [9, 300_000])] {
        store.record(batch(&claim, worker, runs.map(outcome))).await.unwrap();
    }
    let landed = store.landed_after(claim.job(), 0, 2).await.unwrap();
    let told: Vec<_> = landed.iter().map(|batch| (batch.number, &*batch.worker, batch.outcomes.clone())).collect();
    assert_eq!(told, [(1, "a", [2, 4].map(outcome).to_vec()), (2, "b", [0, 1].map(outcome).to_vec())]);
    let rest = store.landed_after(claim.job(), 2, 9).await.unwrap();
    assert!(rest[0].number > 2);
    assert_eq!(rest.iter().flat_map(|batch| batch.outcomes.clone()).collect::<Vec<_>>(), [9, 300_000].map(outcome));
    assert_eq!(store.landed_after(claim.job(), rest[rest.len() - 1].number, 9).await.unwrap(), []);
}

pub(crate) async fn a_run_keeps_its_first_outcome(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let first = store.record(batch(&claim, "a", (0..5).map(outcome))).await.unwrap();
    assert_eq!((first.recorded, first.refused), (5, vec![]));
    let again = [2, 6, 6, 4].map(|run| failed(run, "late", "late"));
    let second = store.record(batch(&claim, "b", again)).await.unwrap();
    assert_eq!((second.recorded, second.refused), (1, [2, 4, 6].map(RunIndex).to_vec()));
    let results = all_results(store, claim.job(), 100).await;
    assert_eq!(results.iter().map(|outcome| outcome.run.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 6]);
    assert_eq!(results[2].verdict, Verdict::Valid);
    let tally = store.tally(claim.job()).await.unwrap();
    assert_eq!((tally.total().runs(), tally.workers["b"].runs()), (6, 1));
}

pub(crate) async fn a_tally_counts_by_worker_and_group(store: &impl Store) {
    let claim = store.create(new_job(1, 2)).await.unwrap();
    store.append(claim.job(), claim.epoch(), 0, items(0..10), Bytes::new()).await.unwrap();
    let rows = [
        outcome(0),
        failed(7, "syntax", "no"),
        failed(3, "syntax", "no"),
        OutcomeRow { verdict: Verdict::Failure, time_us: 2_000_000, attempts: 3, ..failed(5, "trap", "unreachable") },
    ];
    store.record(batch(&claim, "worker-1", rows)).await.unwrap();
    store.record(batch(&claim, "worker-2", [failed(2, "syntax", "no")])).await.unwrap();

    let tally = store.tally(claim.job()).await.unwrap();
    let one = &tally.workers["worker-1"];
    assert_eq!((one.valid, one.invalid, one.failures, one.runs()), (1, 2, 1, 4));
    assert_eq!(one.time_us, 10 + 10 + 13 + 2_000_000);
    let slowest = one.quantile_us(1.0);
    assert!((2_000_000..2_002_000).contains(&slowest), "{slowest}");
    let total = tally.total();
    assert_eq!((total.runs(), total.invalid), (5, 3));
    assert_eq!(total.quantile_us(0.5), 12);
    let groups: Vec<_> = tally
        .groups
        .iter()
        .zip(0..)
        .map(|(group, number)| {
            (group.code.as_str(), group.message.as_str(), total.errors[&number], group.example.as_str())
        })
        .collect();
    assert_eq!(groups, [("syntax", "no", 3, "item-1"), ("trap", "unreachable", 1, "item-2")]);
}

pub(crate) async fn groups_are_bounded(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let count = MAX_GROUPS as u64 + 30;
    let outcomes = (0..count).map(|run| failed(run, "c", &format!("message {run} {}", "long ".repeat(500))));
    store.record(batch(&claim, "a", outcomes)).await.unwrap();
    store
        .record(batch(&claim, "a", [failed(count, "c", "one more"), failed(count + 1, "c", "and one")]))
        .await
        .unwrap();
    let tally = store.tally(claim.job()).await.unwrap();
    assert_eq!(tally.groups.len(), MAX_GROUPS + 1);
    assert_eq!(tally.groups[MAX_GROUPS].code, "other");
    assert_eq!(tally.total().errors[&(MAX_GROUPS as u32)], 32);
    assert!(tally.groups.iter().all(|group| group.message.len() <= 512));
}

pub(crate) async fn attempts_are_remembered_until_there_is_an_outcome(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    let attempts = |failed, deaths| Attempts { failed, deaths };
    let some = vec![(RunIndex(9), attempts(1, 0)), (RunIndex(2), attempts(0, 1)), (RunIndex(3), attempts(2, 0))];
    store.put_attempts(job, epoch, some).await.unwrap();
    store.put_attempts(job, epoch, vec![(RunIndex(9), attempts(2, 1))]).await.unwrap();
    store.record(batch(&claim, "a", [outcome(3)])).await.unwrap();
    let progress = store.progress(job).await.unwrap();
    assert!(progress.done.into_iter().eq(iter::once(3..4)));
    assert_eq!(progress.attempts, [(RunIndex(2), attempts(0, 1)), (RunIndex(9), attempts(2, 1))]);
}

pub(crate) async fn last_outcomes_and_the_end_are_one_step(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    store.put_worked(job, epoch, 40).await.unwrap();
    store.record(batch(&claim, "a", [outcome(0)])).await.unwrap();
    let end = JobEnd { summary: Bytes::from_static(b"all"), worked_ms: 50, ..JobEnd::new(JobState::Completed, 77) };
    let last = store.record_last(batch(&claim, "b", [0, 1].map(outcome)), end.clone()).await.unwrap();
    assert_eq!((last.recorded, last.refused), (1, vec![RunIndex(0)]));
    let record = store.job(job).await.unwrap();
    assert_eq!((record.state, record.finished_ms, record.worked_ms), (JobState::Completed, Some(77), 50));
    assert_eq!(record.summary, Bytes::from_static(b"all"));
    assert_eq!(all_results(store, job, 9).await, [0, 1].map(outcome));
    // Neither where it has ended.
    let late = store.record_last(batch(&claim, "b", [outcome(2)]), end.clone()).await;
    assert!(matches!(late, Err(StoreError::Finished(_))), "{late:?}");
    assert_eq!(all_results(store, job, 9).await.len(), 2);
    // An older owner does neither.
    let other = store.create(new_job(1, 1)).await.unwrap();
    let stale = batch(&other, "a", [outcome(0)]);
    drop(other);
    let newer = store.claim(stale.job).await.unwrap();
    assert!(matches!(store.record_last(stale, end).await, Err(StoreError::StaleEpoch { .. })));
    assert_eq!(store.job(newer.job()).await.unwrap().state, JobState::Active);
    assert_eq!(all_results(store, newer.job(), 9).await, []);
}
