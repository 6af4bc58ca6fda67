//! A store beside the model of a job: the same is done to both, and they agree.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use pigeon_protocol::{id::RunIndex, outcome::Verdict};
use pigeon_store::{Claim, DeadQuery, JobEnd, JobState, SqliteStore, Store, StoreError};
use proptest::prelude::*;

use crate::{
    conformance::{
        made::{all_results, batch, items, new_job},
        model::{Model, Step, steps},
    },
    reopen, row, serve, serving,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn it_does_what_the_model_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(follow(steps));
    }
}

/// Do the same to a store and to the model, and compare them.
async fn follow(steps: Vec<Step>) {
    let (mut store, dir) = serving();
    let mut claim = store.create(new_job(1, 1)).await.unwrap();
    let job = claim.job();
    let mut model = Model { epoch: 1, ..Model::default() };
    for step in steps {
        match step {
            Step::Append { back, count } => {
                let next = model.chunks.len() as u64;
                let seq = next.saturating_sub(back);
                let first = model.items();
                let done = store.append(job, claim.epoch(), seq, items(first..first + count), Bytes::new()).await;
                if let Some(&(first, count)) = model.chunks.get(seq as usize) {
                    let done = done.unwrap();
                    assert_eq!((done.first, done.count, done.new), (first, count, false));
                } else if model.sealed {
                    assert!(matches!(done, Err(StoreError::Sealed(_))));
                } else if model.finished {
                    assert!(matches!(done, Err(StoreError::Finished(_))));
                } else {
                    let done = done.unwrap();
                    assert_eq!((done.first, done.count, done.new), (first, count, true));
                    model.chunks.push((first, count));
                }
            }
            Step::Record { worker, runs } => {
                let rows = runs.iter().map(|&run| row(run));
                let done = store.record(batch(&claim, &format!("worker-{worker}"), rows)).await;
                if model.finished {
                    assert!(matches!(done, Err(StoreError::Finished(_))));
                    continue;
                }
                let (done, known) = (done.unwrap(), model.outcomes.clone());
                let refused = model.record(worker, &runs);
                let is_dead = |run: &u64| !known.contains_key(run) && row(*run).verdict == Verdict::Failure;
                model.dead.extend(runs.iter().filter(|run| is_dead(run)));
                assert_eq!(done.refused.iter().map(|run| run.0).collect::<Vec<_>>(), refused);
                assert_eq!(done.recorded, (runs.len() - refused.len()) as u64);
            }
            Step::TakeBack { runs } => {
                let taken = store.take_back(job, claim.epoch(), runs.iter().copied().map(RunIndex).collect()).await;
                assert_eq!(taken.unwrap(), model.take_back(&runs));
            }
            Step::Forget { runs } => {
                let forgotten = store.forget_dead(job, runs.iter().copied().map(RunIndex).collect()).await.unwrap();
                assert_eq!(forgotten, runs.iter().filter(|run| model.dead.remove(run)).count() as u64);
            }
            Step::Finish => {
                let done = store.finish(job, claim.epoch(), JobEnd::new(JobState::Completed, 1)).await;
                assert_eq!(done.is_err(), model.finished);
                model.finished = true;
            }
            Step::Seal => {
                store.seal(job, claim.epoch(), Bytes::new()).await.unwrap();
                model.sealed = true;
            }
            Step::Claim | Step::Reopen => {
                drop(claim);
                if matches!(step, Step::Reopen) {
                    drop(store);
                    store = serve(dir.path());
                }
                claim = store.claim(job).await.unwrap();
                model.epoch += 1;
            }
        }
        compare(&store, &claim, &mut model).await;
    }
    // Another process reads from disk what this one has in memory.
    compare(&reopen(dir.path()), &claim, &mut model).await;
    if !model.finished {
        store.finish(job, claim.epoch(), JobEnd::new(JobState::Completed, 1)).await.unwrap();
        model.finished = true;
        compare(&store, &claim, &mut model).await;
    }
}

async fn compare(store: &SqliteStore, claim: &Claim, model: &mut Model) {
    let job = claim.job();
    let record = store.job(job).await.unwrap();
    assert_eq!((record.epoch.0, record.items, record.sealed.is_some()), (model.epoch, model.items(), model.sealed));
    let chunks = store.chunks(job).await.unwrap();
    assert_eq!(chunks.iter().map(|chunk| (chunk.first, chunk.count)).collect::<Vec<_>>(), model.chunks);
    if let Some(last) = chunks.last() {
        assert_eq!(store.items(job, last.seq).await.unwrap(), items(last.first..last.first + last.count));
    }

    let results = all_results(store, job, 50).await;
    assert_eq!(
        results.iter().map(|result| result.run.0).collect::<Vec<_>>(),
        model.outcomes.keys().copied().collect::<Vec<_>>()
    );
    assert_eq!(store.progress(job).await.unwrap().done, model.ranges());

    let tally = store.tally(job).await.unwrap();
    for worker in 0..3 {
        let runs = |verdict: Option<Verdict>| -> u64 {
            let of = |run: &&u64| verdict.is_none_or(|verdict| row(**run).verdict == verdict);
            model.outcomes.iter().filter(|(_, by)| **by == worker).map(|(run, _)| run).filter(of).count() as u64
        };
        let stats = tally.workers.get(&format!("worker-{worker}")).cloned().unwrap_or_default();
        assert_eq!((stats.runs(), stats.invalid), (runs(None), runs(Some(Verdict::Invalid))));
    }
    let total = tally.total();
    assert_eq!(total.time_us, results.iter().map(|result| result.time_us).sum::<u64>());
    assert_eq!(total.errors.values().sum::<u64>(), total.invalid + total.failures);
    for (number, group) in (0..).zip(&tally.groups) {
        let of = |run: &&u64| row(**run).error.is_some_and(|error| error.message == group.message);
        let count = total.errors.get(&number).copied().unwrap_or(0);
        assert_eq!(count, model.outcomes.keys().filter(of).count() as u64);
        // Those that were taken back may have been before.
        match model.outcomes.keys().find(of) {
            Some(&first) if model.took_back => assert!(group.first_run.0 <= first),
            Some(&first) => assert_eq!(group.first_run.0, first),
            None => assert_eq!(group.first_run.0, u64::MAX),
        }
    }

    assert_eq!((record.dead, record.state.is_finished()), (model.dead.len() as u64, model.finished));
    let letters = store.dead(DeadQuery { limit: 10_000, ..DeadQuery::default() }).await.unwrap();
    assert!(letters.iter().map(|letter| letter.run.0).eq(model.dead.iter().rev().copied()));
    for letter in letters {
        assert_eq!(letter.outcome, row(letter.run.0));
        assert_eq!(*letter.worker, *format!("worker-{}", model.outcomes[&letter.run.0]));
    }

    // Every run that counts is in one batch, and what a batch has is of what it had.
    let landed = store.landed_after(job, 0, 10_000).await.unwrap();
    let landed: BTreeMap<u64, BTreeSet<u64>> = landed
        .into_iter()
        .map(|batch| (batch.number, batch.outcomes.iter().map(|outcome| outcome.run.0).collect()))
        .collect();
    let runs: Vec<u64> = landed.values().flatten().copied().collect();
    assert_eq!((runs.len(), runs.iter().collect::<BTreeSet<_>>().len()), (model.outcomes.len(), model.outcomes.len()));
    for (number, runs) in &landed {
        assert!(model.landed.get(number).is_none_or(|before| runs.is_subset(before)));
    }
    model.landed.extend(landed);
}
