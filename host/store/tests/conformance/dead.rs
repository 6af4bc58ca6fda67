//! Cases of dead letters, and of outcomes that are taken back.

use bytes::Bytes;
use pigeon_protocol::{id::RunIndex, outcome::Verdict};
use pigeon_store::{
    Attempts, Batch, Claim, DeadQuery, DeadRow, JobEnd, JobState, MAX_GROUPS, OutcomeRow, Retention, Store, StoreError,
};

use super::{
    DAY_MS,
    made::{all_results, batch, failed, items, new_job, outcome},
};

/// A run that could not be judged.
fn dead(run: u64, code: &str, message: &str) -> OutcomeRow {
    OutcomeRow { verdict: Verdict::Failure, ..failed(run, code, message) }
}

fn at(landed_ms: u64, batch: Batch) -> Batch {
    Batch { landed_ms, ..batch }
}

fn query(limit: usize) -> DeadQuery {
    DeadQuery { limit, ..DeadQuery::default() }
}

fn runs(runs: impl IntoIterator<Item = u64>) -> Vec<RunIndex> {
    runs.into_iter().map(RunIndex).collect()
}

fn names(letters: &[DeadRow]) -> Vec<(usize, u64)> {
    let mut jobs: Vec<_> = letters.iter().map(|letter| letter.job).collect();
    jobs.dedup();
    letters
        .iter()
        .map(|letter| (jobs.iter().position(|job| *job == letter.job).unwrap_or(usize::MAX), letter.run.0))
        .collect()
}

async fn job_of(store: &impl Store, outcomes: impl IntoIterator<Item = OutcomeRow>) -> Claim {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    store.append(claim.job(), claim.epoch(), 0, items(0..40), Bytes::new()).await.unwrap();
    store.record(at(5_000, batch(&claim, "a", outcomes))).await.unwrap();
    claim
}

pub(crate) async fn failures_are_dead_letters(store: &impl Store) {
    let old = job_of(store, [outcome(0), dead(1, "trap", "unreachable"), failed(2, "syntax", "no")]).await;
    let new = job_of(store, [dead(7, "timeout", "3 s"), dead(3, "trap", "unreachable"), outcome(8)]).await;
    store.record(at(6_000, batch(&new, "b", [dead(5, "trap", "out of bounds")]))).await.unwrap();

    let letters = store.dead(query(9)).await.unwrap();
    assert_eq!(names(&letters), [(0, 7), (0, 5), (0, 3), (1, 1)]);
    let letter = &letters[1];
    assert_eq!((letter.job, &*letter.worker, letter.landed_ms), (new.job(), "b", 6_000));
    assert_eq!(letter.outcome, dead(5, "trap", "out of bounds"));
    assert_eq!(store.dead_letter(new.job(), RunIndex(5)).await.unwrap().as_ref(), Some(letter));
    assert_eq!(store.dead_letter(new.job(), RunIndex(8)).await.unwrap(), None);
    assert_eq!(store.dead_count(None).await.unwrap(), 4);
    assert_eq!(store.dead_count(Some(old.job())).await.unwrap(), 1);
    assert_eq!(store.job(new.job()).await.unwrap().dead, 3);

    let of = async |query: DeadQuery| names(&store.dead(query).await.unwrap());
    assert_eq!(of(DeadQuery { job: Some(old.job()), ..query(9) }).await, [(0, 1)]);
    assert_eq!(of(DeadQuery { code: Some("trap".to_owned()), ..query(9) }).await, [(0, 5), (0, 3), (1, 1)]);
    assert_eq!(of(DeadQuery { message: Some("reach".to_owned()), ..query(9) }).await, [(0, 3), (1, 1)]);
    let both = DeadQuery { job: Some(new.job()), message: Some("bounds".to_owned()), ..query(9) };
    assert_eq!(of(both).await, [(0, 5)]);
}

pub(crate) async fn dead_letters_are_read_in_pages(store: &impl Store) {
    let old = job_of(store, (0..5).map(|run| dead(run, "c", "m"))).await;
    let new = job_of(store, (0..7).map(|run| dead(run, "c", "m"))).await;
    for job in [None, Some(new.job()), Some(old.job())] {
        let all = store.dead(DeadQuery { job, ..query(100) }).await.unwrap();
        let mut read = Vec::new();
        loop {
            let after = read.last().map(|letter: &DeadRow| (letter.job, letter.run));
            // Those that were read go meanwhile; the place is known without them.
            if let Some((job, run)) = after {
                store.forget_dead(job, vec![run]).await.unwrap();
            }
            let page = store.dead(DeadQuery { job, after, ..query(2) }).await.unwrap();
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        assert_eq!(read, all);
    }
    let behind = Some((old.job(), RunIndex(3)));
    assert_eq!(store.dead(DeadQuery { job: Some(new.job()), after: behind, ..query(9) }).await.unwrap(), []);
}

pub(crate) async fn a_page_of_large_dead_letters_is_shorter_and_never_empty(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    for run in 0..5 {
        // Each is a row of its own, and two of them fill a page.
        let large = OutcomeRow { detail: vec![7; 9 << 20].into(), ..dead(run, "c", "m") };
        store.record(batch(&claim, "a", [large])).await.unwrap();
    }
    let (mut read, mut pages) = (Vec::new(), 0);
    loop {
        let after = read.last().map(|run| (claim.job(), RunIndex(*run)));
        let page = store.dead(DeadQuery { after, ..query(100) }).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() < 5, "it is cut");
        read.extend(page.iter().map(|letter| letter.run.0));
        pages += 1;
    }
    assert_eq!((read, pages > 1), (vec![4, 3, 2, 1, 0], true));
}

pub(crate) async fn dead_letters_are_forgotten_and_their_outcomes_stand(store: &impl Store) {
    let claim = job_of(store, (0..4).map(|run| dead(run, "c", "m"))).await;
    let (job, before) = (claim.job(), store.tally(claim.job()).await.unwrap());
    assert_eq!(store.forget_dead(job, runs([1, 3, 9])).await.unwrap(), 2);
    assert_eq!(store.forget_dead(job, runs([1, 3, 9])).await.unwrap(), 0);
    assert_eq!(names(&store.dead(query(9)).await.unwrap()), [(0, 2), (0, 0)]);
    assert_eq!(store.dead_count(None).await.unwrap(), 2);
    assert_eq!(store.tally(job).await.unwrap(), before);
    assert_eq!(all_results(store, job, 9).await.len(), 4);
}

pub(crate) async fn what_is_taken_back_never_was(store: &impl Store) {
    let claim =
        job_of(store, [outcome(0), dead(1, "trap", "no"), failed(2, "syntax", "no"), dead(3, "late", "3 s")]).await;
    let (job, epoch) = (claim.job(), claim.epoch());
    store.record(at(6_000, batch(&claim, "b", [dead(4, "trap", "no"), dead(6, "trap", "no")]))).await.unwrap();
    let kept = Attempts { failed: 3, deaths: 1 };
    store.put_attempts(job, epoch, vec![(RunIndex(9), kept), (RunIndex(4), kept)]).await.unwrap();
    store.seal(job, epoch, Bytes::new()).await.unwrap();
    let landed = store.landed_after(job, 0, 9).await.unwrap();
    assert_eq!(landed.iter().map(|batch| batch.landed_ms).collect::<Vec<_>>(), [5_000, 6_000]);

    // 8 has no outcome.
    assert_eq!(store.take_back(job, epoch, runs([6, 1, 4, 8, 6])).await.unwrap(), 3);
    let tally = store.tally(job).await.unwrap();
    assert_eq!((tally.total().runs(), tally.total().failures), (3, 1));
    assert_eq!(tally.total().time_us, [0, 2, 3].map(|run| outcome(run).time_us).iter().sum::<u64>());
    assert_eq!(tally.total().quantile_us(1.0), 13);
    assert!(!tally.workers.contains_key("b"));
    let trap = tally.groups.iter().position(|group| group.code == "trap").unwrap();
    assert_eq!(tally.total().errors.get(&(trap as u32)), None);
    assert_eq!((tally.groups[trap].first_ms, tally.groups[trap].last_ms), (0, 0));
    let progress = store.progress(job).await.unwrap();
    assert_eq!((progress.done, progress.attempts), (vec![0..1, 2..4], vec![(RunIndex(9), kept)]));
    assert_eq!(all_results(store, job, 2).await.iter().map(|row| row.run.0).collect::<Vec<_>>(), [0, 2, 3]);
    assert_eq!(names(&store.dead(query(9)).await.unwrap()), [(0, 3)]);
    assert_eq!(store.job(job).await.unwrap().dead, 1);
    let rest = store.landed_after(job, 0, 9).await.unwrap();
    assert_eq!((rest.len(), rest[0].number, rest[0].outcomes.len()), (1, landed[0].number, 3));

    // They are recorded again, as if for the first time.
    let again = at(7_000, batch(&claim, "b", [outcome(1), dead(4, "trap", "no"), outcome(6)]));
    assert_eq!(store.record(again).await.unwrap().refused, []);
    let tally = store.tally(job).await.unwrap();
    assert_eq!((tally.total().runs(), tally.total().failures), (6, 2));
    let group = &tally.groups[trap];
    assert_eq!((group.first_run, group.first_ms, group.last_ms), (RunIndex(4), 7_000, 7_000));
    let more = store.landed_after(job, landed[1].number, 9).await.unwrap();
    assert_eq!(more.iter().map(|batch| batch.outcomes.len()).collect::<Vec<_>>(), [3]);
    assert!(more[0].number > landed[1].number);
    assert_eq!(names(&store.dead(query(9)).await.unwrap()), [(0, 4), (0, 3)]);
}

pub(crate) async fn a_finished_job_goes_on_when_outcomes_are_taken_back(store: &impl Store) {
    let claim = job_of(store, (0..40).map(|run| if run == 7 { dead(7, "c", "m") } else { outcome(run) })).await;
    let (job, epoch) = (claim.job(), claim.epoch());
    store.seal(job, epoch, Bytes::new()).await.unwrap();
    store
        .finish(job, epoch, JobEnd { summary: Bytes::from_static(b"1 s"), ..JobEnd::new(JobState::Completed, 9_000) })
        .await
        .unwrap();
    drop(claim);
    let claim = store.claim(job).await.unwrap();
    assert!(matches!(store.take_back(job, epoch, runs([7])).await, Err(StoreError::StaleEpoch { .. })));
    assert_eq!(store.take_back(job, claim.epoch(), runs([90])).await.unwrap(), 0);
    assert!(store.job(job).await.unwrap().state.is_finished(), "nothing changed");
    assert_eq!(store.take_back(job, claim.epoch(), runs([7])).await.unwrap(), 1);
    let record = store.job(job).await.unwrap();
    assert_eq!((record.state, record.finished_ms, &record.summary[..]), (JobState::Active, None, &b""[..]));
    store.record(batch(&claim, "b", [outcome(7)])).await.unwrap();
    assert!(store.progress(job).await.unwrap().done.into_iter().eq(std::iter::once(0..40)));
    store.finish(job, claim.epoch(), JobEnd::new(JobState::Completed, 9_500)).await.unwrap();
    assert_eq!(store.tally(job).await.unwrap().total().valid, 40);
}

pub(crate) async fn a_job_that_was_stopped_does_not_go_on(store: &impl Store) {
    for state in [JobState::Cancelled, JobState::FailedFast] {
        let claim = job_of(store, [outcome(0), dead(1, "c", "m")]).await;
        let (job, epoch) = (claim.job(), claim.epoch());
        store
            .finish(job, epoch, JobEnd { summary: Bytes::from_static(b"1 s"), ..JobEnd::new(state, 9_000) })
            .await
            .unwrap();
        for run in [1, 30] {
            let refused = store.take_back(job, epoch, runs([run])).await.unwrap_err();
            assert!(matches!(refused, StoreError::Stopped(id) if id == job), "{refused}");
        }
        let record = store.job(job).await.unwrap();
        assert_eq!((record.state, record.finished_ms, record.dead), (state, Some(9_000), 1));
        assert_eq!(store.tally(job).await.unwrap().total().runs(), 2);
    }
}

pub(crate) async fn taking_back_is_exact_however_much_there_is(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    let other = store.create(new_job(1, 1)).await.unwrap();
    let row = |run: u64| match run % 5 {
        0 => dead(run, "c", &format!("message {}", run % 6_000)),
        1 => failed(run, "c", &format!("message {}", run % 6_000)),
        _ => outcome(run),
    };
    // Overlapping batches, more groups than are told apart, and a second job that never had what the first one loses.
    for first in 0..40 {
        let of = (0..400).map(|place| place * 40 + first);
        store.record(batch(&claim, ["a", "b", "c"][first as usize % 3], of.clone().map(row))).await.unwrap();
        let kept = of.filter(|run| run % 5 != 0).map(row);
        store.record(batch(&other, ["a", "b", "c"][first as usize % 3], kept)).await.unwrap();
    }
    let all = runs((0..16_000).filter(|run| run % 5 == 0));
    assert_eq!(store.dead_count(Some(job)).await.unwrap(), all.len() as u64);
    for page in all.chunks(700) {
        assert_eq!(store.take_back(job, epoch, page.to_vec()).await.unwrap(), page.len() as u64);
    }
    let (tally, expected) = (store.tally(job).await.unwrap(), store.tally(other.job()).await.unwrap());
    assert!(tally.groups.len() == MAX_GROUPS + 1);
    // Groups are numbered as they came, which differs; all else is as if those runs had never been.
    for (worker, stats) in &tally.workers {
        let expected = &expected.workers[worker];
        assert_eq!((stats.valid, stats.invalid, stats.failures), (expected.valid, expected.invalid, 0));
        assert_eq!((stats.time_us, stats.quantile_us(0.9)), (expected.time_us, expected.quantile_us(0.9)));
        assert_eq!(stats.errors.values().sum::<u64>(), expected.invalid);
    }
    assert_eq!(store.progress(job).await.unwrap().done, store.progress(other.job()).await.unwrap().done);
    assert_eq!(all_results(store, job, 999).await, all_results(store, other.job(), 999).await);
    assert_eq!(store.dead_count(None).await.unwrap(), 0);
}

pub(crate) async fn bodies_are_kept_for_dead_letters(store: &impl Store) {
    let claim = job_of(store, (0..40).map(|run| if run < 2 { dead(run, "c", "m") } else { outcome(run) })).await;
    let (job, epoch) = (claim.job(), claim.epoch());
    store.finish(job, epoch, JobEnd::new(JobState::Completed, DAY_MS)).await.unwrap();
    drop(claim);
    let week = Retention::default();
    assert_eq!(store.sweep(2 * DAY_MS, week).await.unwrap().bodies, []);
    assert_eq!(store.items(job, 0).await.unwrap(), items(0..40));
    assert_eq!(store.forget_dead(job, runs([1])).await.unwrap(), 1);
    assert_eq!(store.sweep(2 * DAY_MS, week).await.unwrap().bodies, []);
    assert!(store.job(job).await.unwrap().has_bodies);

    assert_eq!(store.forget_dead(job, runs([0])).await.unwrap(), 1);
    assert_eq!(store.sweep(2 * DAY_MS, week).await.unwrap().bodies, [job]);
    assert!(!store.job(job).await.unwrap().has_bodies);
    let claim = store.claim(job).await.unwrap();
    let refused = store.take_back(job, claim.epoch(), runs([0])).await.unwrap_err();
    assert!(matches!(refused, StoreError::BodiesGone(id) if id == job), "{refused}");
    assert_eq!(store.tally(job).await.unwrap().total().failures, 2);
}

pub(crate) async fn dead_letters_go_with_their_job(store: &impl Store) {
    let claim = job_of(store, (0..200).map(|run| dead(run, "c", "m"))).await;
    let job = claim.job();
    store.finish(job, claim.epoch(), JobEnd::new(JobState::Completed, DAY_MS)).await.unwrap();
    drop(claim);
    assert_eq!(store.sweep(9 * DAY_MS, Retention::default()).await.unwrap().jobs, [job]);
    assert_eq!(store.dead_count(None).await.unwrap(), 0);
    assert_eq!(store.dead(query(9)).await.unwrap(), []);
}
