//! What lists, a job and its figures ask of the database costs the same however much there is in it.
//!
//! It is counted, and not timed: how often SQLite's machine goes on to a next row or jumps.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use futures::future::join_all;
use pigeon_protocol::{
    id::{Digest, JobId, RunIndex, Shape},
    outcome::Verdict,
};
use rusqlite::Connection;

use super::{chunks, dead, events, jobs, outcomes, room, schema, writer::Work};
use crate::{
    Batch, Claim, DeadQuery, ItemsBuilder, JobEnd, JobFilter, JobState, NewEvent, NewJob, Options, OutcomeRow, Result,
    RunError, SqliteStore, Store as _, row::ROW_SPAN,
};

/// Rows of outcomes, chunks and events, and ten times as many as finished jobs: enough for a ledger to be written down.
const SMALL: u64 = 600;
const LARGE: u64 = 5 * SMALL;

/// Rows of a page.
const PAGE: usize = 50;

#[tokio::test]
async fn what_is_asked_costs_the_same_however_much_there_is() {
    let (small, large) = (costs(SMALL).await, costs(LARGE).await);
    for ((what, small), (_, large)) in small.into_iter().zip(large) {
        assert!(small > 0, "{what} was not counted");
        assert!(
            large <= small + small / 2 + 20,
            "{what}: {small} steps, and {large} where there is five times as much"
        );
    }
}

async fn costs(size: u64) -> Vec<(&'static str, u64)> {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), Options { dead_letters: true, ..Options::default() }).unwrap();
    for claim in join_all((0..size / 10).map(|_| new_job(&store))).await {
        store.finish(claim.job(), claim.epoch(), JobEnd::new(JobState::Completed, 5)).await.unwrap();
    }
    let claim = new_job(&store).await;
    let job = claim.job();
    fill(&store, &claim, size).await;

    let mut connection = schema::open_reader(&store.0.database).unwrap();
    let steps = Arc::new(AtomicU64::new(0));
    let count = {
        let steps = steps.clone();
        move || {
            steps.fetch_add(1, Relaxed);
            false
        }
    };
    connection.progress_handler(1, Some(count)).unwrap();
    let mut costs = Vec::new();
    let mut ask = |what, ask: &dyn Fn(&Connection) -> Result<usize>| {
        steps.store(0, Relaxed);
        assert!(ask(&connection).unwrap() > 0, "{what} gave nothing");
        costs.push((what, steps.load(Relaxed)));
    };
    let key = jobs::known_key(&schema::open_reader(&store.0.database).unwrap(), job).unwrap();
    let page = JobFilter { limit: Some(PAGE as u32), ..JobFilter::default() };
    let letters = |job| DeadQuery { job, limit: PAGE, ..DeadQuery::default() };
    let middle = size / 2;
    ask("a page of jobs", &|db| Ok(jobs::jobs(db, &page)?.len()));
    ask("the next page of jobs", &|db| Ok(jobs::jobs(db, &JobFilter { before: Some(job), ..page.clone() })?.len()));
    ask("unfinished jobs", &|db| Ok(jobs::jobs(db, &JobFilter { unfinished: true, ..page.clone() })?.len()));
    ask("counts of jobs", &|db| Ok(jobs::counts(db)?.completed as usize));
    ask("a job", &|db| Ok(jobs::job(db, job)?.items as usize));
    ask("the tally", &|db| Ok(outcomes::tally(db, job)?.total().runs() as usize));
    ask("progress", &|db| Ok(outcomes::progress(db, job)?.done.len()));
    ask("a page of results", &|db| Ok(outcomes::results(db, key, RunIndex(middle * ROW_SPAN), PAGE)?.len()));
    ask("what landed", &|db| Ok(outcomes::landed_after(db, key, middle, PAGE)?.len()));
    ask("a chunk of items", &|db| Ok(chunks::chunk(db, job, middle)?.names.len()));
    ask("sizes of items", &|db| Ok(chunks::lengths(db, job, middle)?.len()));
    ask("names of items", &|db| Ok(chunks::item_names(db, key, middle, PAGE)?.len()));
    ask("dead letters", &|db| Ok(dead::list(db, &letters(None))?.len()));
    ask("dead letters of a job", &|db| Ok(dead::list(db, &letters(Some(job)))?.len()));
    ask("dead letters further on", &|db| {
        let after = Some((job, RunIndex(middle * ROW_SPAN)));
        Ok(dead::list(db, &DeadQuery { after, ..letters(None) })?.len())
    });
    ask("a dead letter", &|db| Ok(usize::from(dead::one(db, job, RunIndex(0))?.is_some())));
    ask("the number of dead letters", &|db| Ok(dead::count(db, None)? as usize));
    ask("that of a job", &|db| Ok(dead::count(db, Some(job))? as usize));
    ask("events", &|db| Ok(events::after(db, middle, None, PAGE)?.len()));
    ask("events of a job", &|db| Ok(events::after(db, middle, Some(job), PAGE)?.len()));
    ask("the last events", &|db| Ok(events::last(db, None, None, PAGE)?.len()));
    ask("the last events of a job", &|db| Ok(events::last(db, None, Some(job), PAGE)?.len()));
    ask("events that are outdated", &|db| Ok(events::outdated(db, 1, 9)? as usize + 1));
    ask("the job that was finished first", &|db| Ok(room::oldest(db, (0, 0), 1)?.len()));
    costs
}

/// Outcomes of which each is a row of its own and every fourth a dead letter, as many chunks of items, and as many events.
async fn fill(store: &SqliteStore, claim: &Claim, size: u64) {
    let (job, epoch) = (claim.job(), claim.epoch());
    let chunk = |seq: u64| {
        let mut builder = ItemsBuilder::default();
        builder.push(&format!("item-{seq}"), seq, Bytes::from_static(b"body"));
        builder.take()
    };
    let mut new = Vec::new();
    for seq in 0..size {
        new.push(store.0.prepare(seq, &chunk(seq), Bytes::new(), true).await.unwrap());
    }
    let append = move |work: &mut Work| new.iter().try_for_each(|new| chunks::append(work, job, epoch, new).map(drop));
    store.0.writer.write(append).await.unwrap();
    let outcome = |number: u64| OutcomeRow {
        run: RunIndex(number * ROW_SPAN),
        verdict: if number.is_multiple_of(4) { Verdict::Failure } else { Verdict::Valid },
        time_us: number,
        attempts: 1,
        error: number.is_multiple_of(4).then(|| RunError { code: "c".to_owned(), message: "m".to_owned() }),
        detail: Bytes::new(),
    };
    // And some behind the ledger that is written down.
    for numbers in [0..size, size..size + 5] {
        let outcomes = numbers.map(outcome).collect();
        store.record(Batch { job, epoch, worker: "a".into(), landed_ms: 2, outcomes }).await.unwrap();
    }
    let event = |number: u64| NewEvent {
        at_ms: 3,
        author: "ann".to_owned(),
        kind: "note".to_owned(),
        job: number.is_multiple_of(2).then_some(job),
        subject: None,
        message: String::new(),
    };
    store.put_events((0..size).map(event).collect()).await.unwrap();
}

async fn new_job(store: &SqliteStore) -> Claim {
    let job = NewJob {
        id: JobId::new(),
        spec: Bytes::from_static(b"{}"),
        plugin: Digest::of(b"component"),
        shape: Shape { places: 1, iterations: 1 },
        priority: 0,
        created_ms: 1,
        key: None,
        author: String::new(),
    };
    store.create(job).await.unwrap()
}
