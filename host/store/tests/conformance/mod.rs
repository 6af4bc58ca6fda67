//! What every store has to do, written against the trait alone.
//!
//! `suite!` makes a test of each case; it is given an expression that opens a new store, in which failures become dead
//! letters, and what keeps it alive.

mod agents;
mod dead;
mod kept;
pub(crate) mod made;
pub(crate) mod model;

pub(crate) use agents::*;
pub(crate) use dead::*;
pub(crate) use kept::*;
use std::{iter, sync::Arc, time::Duration};

use bytes::Bytes;
use pigeon_protocol::{
    id::{Digest, Epoch, JobId, RunIndex},
    outcome::Verdict,
};
use pigeon_store::{
    Attempts, Batch, ItemName, ItemsBuilder, JobFilter, JobState, LARGE_ITEM, MAX_GROUPS, NewJob, OutcomeRow,
    PluginRecord, Retention, Store, StoreError,
};

macro_rules! suite {
    ($open:expr) => {
        crate::conformance::suite!(
            $open,
            a_plugin_is_kept_with_its_component,
            a_job_is_kept_as_it_was_accepted,
            a_job_that_is_all_here_is_accepted_at_once,
            a_job_has_one_owner,
            an_older_owner_writes_nothing,
            time_at_work_is_kept_over_owners,
            chunks_are_appended_once_and_in_order,
            a_sealed_job_takes_no_items,
            large_items_come_back_whole,
            names_are_read_across_chunks,
            results_come_in_the_order_of_runs,
            what_landed_is_told_in_order,
            a_run_keeps_its_first_outcome,
            a_tally_counts_by_worker_and_group,
            groups_are_bounded,
            attempts_are_remembered_until_there_is_an_outcome,
            a_finished_job_takes_nothing_and_tells_all,
            jobs_are_listed_newest_first,
            what_is_not_there_is_unknown,
            bodies_go_before_results,
            plugins_of_jobs_alone_go_with_them,
            failures_are_dead_letters,
            dead_letters_are_read_in_pages,
            a_page_of_large_dead_letters_is_shorter_and_never_empty,
            dead_letters_are_forgotten_and_their_outcomes_stand,
            what_is_taken_back_never_was,
            a_finished_job_goes_on_when_outcomes_are_taken_back,
            a_job_that_was_stopped_does_not_go_on,
            taking_back_is_exact_however_much_there_is,
            bodies_are_kept_for_dead_letters,
            dead_letters_go_with_their_job,
            a_key_names_one_job,
            authors_do_not_take_each_others_keys,
            a_job_is_paused_until_it_goes_on,
            jobs_are_listed_by_what_they_are,
            jobs_are_counted_as_they_change,
            a_list_goes_on_behind_a_job_that_is_no_more,
            a_job_is_deleted_at_once,
            the_log_is_read_from_a_place_on,
            a_change_is_told_with_itself_or_not_at_all,
            old_events_go_and_their_numbers_are_not_given_again,
            an_event_of_a_clock_that_was_ahead_keeps_no_others,
            tokens_are_kept_by_name,
            schedules_are_kept_by_name,
            limits_of_plugins_are_kept_by_name,
            what_is_new_is_unknown_of_no_job,
            a_join_token_is_good_for_its_uses_and_its_time,
            no_more_join_at_once_than_may,
            an_agent_is_remembered_from_its_enrolment_on,
            an_agent_stays_drained_and_revoked,
            agents_are_forgotten_when_their_certificates_can_no_longer_be_renewed
        );
    };
    ($open:expr, $($case:ident),*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let (store, _alive) = $open;
                crate::conformance::$case(&store).await;
            }
        )*
    };
}
pub(crate) use suite;

use made::{all_results, batch, failed, items, new_job, outcome, plugin};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

pub(crate) async fn a_plugin_is_kept_with_its_component(store: &impl Store) {
    let (record, component) = plugin(b"listed", true);
    let (hidden, other) = plugin(b"hidden", false);
    store.put_plugin(record.clone(), component.clone()).await.unwrap();
    store.put_plugin(hidden.clone(), other.clone()).await.unwrap();
    assert_eq!(store.plugin(record.digest).await.unwrap(), Some(record.clone()));
    assert_eq!(store.component(record.digest).await.unwrap(), Some(component.clone()));
    assert_eq!(store.component(hidden.digest).await.unwrap(), Some(other));
    assert_eq!(store.plugins().await.unwrap(), std::slice::from_ref(&record));

    let newer = PluginRecord { manifest: Bytes::from_static(b"signed anew"), published_ms: 8, ..record };
    store.put_plugin(newer.clone(), component).await.unwrap();
    assert_eq!(store.plugins().await.unwrap(), [newer]);
    assert_eq!(store.plugin(Digest::of(b"nothing")).await.unwrap(), None);
    assert_eq!(store.component(Digest::of(b"nothing")).await.unwrap(), None);
}

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
    assert!(stale(store.finish(id, epoch, JobState::Completed, Bytes::new(), 9).await.unwrap_err()));

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
    store.finish(job, claim.epoch(), JobState::Cancelled, Bytes::new(), 5_000).await.unwrap();
    store.put_worked(job, claim.epoch(), 1_100).await.unwrap();
    assert_eq!(store.job(job).await.unwrap().worked_ms, 1_100);
}

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

pub(crate) async fn a_finished_job_takes_nothing_and_tells_all(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    store.append(job, epoch, 0, items(0..5), Bytes::new()).await.unwrap();
    store.record(batch(&claim, "a", (0..5).map(outcome))).await.unwrap();
    let before = store.tally(job).await.unwrap();
    store.finish(job, epoch, JobState::Completed, Bytes::from_static(b"1.5 s"), 77).await.unwrap();
    let record = store.job(job).await.unwrap();
    assert_eq!((record.state, record.finished_ms, &record.summary[..]), (JobState::Completed, Some(77), &b"1.5 s"[..]));

    let late = batch(&claim, "a", [outcome(9)]);
    assert!(matches!(store.record(late).await, Err(StoreError::Finished(id)) if id == job));
    let append = store.append(job, epoch, 1, items(5..6), Bytes::new()).await;
    assert!(matches!(append, Err(StoreError::Finished(id)) if id == job));
    let again = store.finish(job, epoch, JobState::Cancelled, Bytes::new(), 78).await;
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
            store.finish(claim.job(), claim.epoch(), JobState::FailedFast, Bytes::new(), 40).await.unwrap();
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
    assert!(unknown(store.finish(job, epoch, JobState::Completed, Bytes::new(), 0).await.unwrap_err()));
    assert!(unknown(store.chunks(job).await.unwrap_err()));
    assert!(unknown(store.items(job, 0).await.unwrap_err()));
    assert!(unknown(store.item_names(job, 0, 1).await.unwrap_err()));
    assert!(unknown(store.progress(job).await.unwrap_err()));
    assert!(unknown(store.tally(job).await.unwrap_err()));
    assert!(unknown(store.results(job, RunIndex(0), 1).await.unwrap_err()));
    assert!(unknown(store.landed_after(job, 0, 1).await.unwrap_err()));
    assert_eq!(store.jobs(JobFilter::default()).await.unwrap(), []);
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
    store.finish(job, epoch, JobState::Completed, Bytes::new(), 100 * DAY_MS).await.unwrap();
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

pub(crate) async fn plugins_of_jobs_alone_go_with_them(store: &impl Store) {
    let (listed, component) = plugin(b"listed", true);
    store.put_plugin(listed.clone(), component).await.unwrap();
    let (hidden, component) = plugin(b"hidden", false);
    store.put_plugin(hidden.clone(), component).await.unwrap();
    let claim = store.create(NewJob { plugin: hidden.digest, ..new_job(1, 1) }).await.unwrap();
    let now = Retention { results: Duration::from_millis(10), ..Retention::default() };
    assert_eq!(store.sweep(DAY_MS, now).await.unwrap().files, 0);
    store.finish(claim.job(), claim.epoch(), JobState::Cancelled, Bytes::new(), DAY_MS).await.unwrap();
    drop(claim);
    let swept = store.sweep(DAY_MS + 11, now).await.unwrap();
    assert_eq!((swept.jobs.len(), swept.files), (1, 1));
    assert_eq!(store.plugin(hidden.digest).await.unwrap(), None);
    assert!(store.component(listed.digest).await.unwrap().is_some());
}
