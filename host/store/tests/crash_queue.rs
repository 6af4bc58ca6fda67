//! A process that dies while it accepts jobs with their items, takes outcomes back, removes jobs, sweeps and takes backups: each of these is done or it
//! is not, and what was begun is finished by whoever comes next. The log tells of what was done, and of nothing else.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod kill;

use std::{collections::BTreeSet, path::Path, time::Duration};

use bytes::Bytes;
use kill::tell;
use pigeon_protocol::{
    id::{Digest, JobId, RunIndex, Shape},
    outcome::Verdict,
};
use pigeon_store::{
    Access, Batch, Claim, DeadQuery, Items, ItemsBuilder, JobEnd, JobFilter, JobState, LARGE_ITEM, NewEvent, NewJob,
    Options, OutcomeRow, Retention, RunError, SqliteStore, Store, StoreError,
};

/// Tells the child where to work.
const DIR: &str = "PIGEON_STORE_CRASH_QUEUE_DIR";

/// Runs of a job, of which every fourth fails at first.
const RUNS: u64 = 200;

/// Everything is kept that may be, so that only what was deleted goes.
const KEEP: Retention = Retention {
    results: Duration::from_secs(1 << 30),
    keep_bodies: true,
    max_bytes: None,
    events: Duration::from_secs(1 << 30),
    agents: Duration::from_secs(1 << 30),
};

fn id(number: u64) -> JobId {
    let mut id = [7; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    JobId::from_bytes(id)
}

/// The items of a job: enough for a file of their own, and a large one here and there.
fn items(number: u64) -> Items {
    let mut builder = ItemsBuilder::default();
    for item in 0..RUNS {
        builder.push(&format!("item-{item}"), item, vec![number as u8; 500].into());
    }
    if number.is_multiple_of(3) {
        builder.push("large", RUNS, vec![number as u8; LARGE_ITEM + 1].into());
    }
    builder.take()
}

fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir, Options { access: Access::Alone, dead_letters: true, ..Options::default() }).unwrap()
}

fn batch(claim: &Claim, runs: impl Iterator<Item = u64>, fails: impl Fn(u64) -> bool) -> Batch {
    let outcome = |run: u64| OutcomeRow {
        run: RunIndex(run),
        verdict: if fails(run) { Verdict::Failure } else { Verdict::Valid },
        time_us: run,
        attempts: 1,
        error: fails(run).then(|| RunError { code: format!("code-{}", run % 3), message: "no".to_owned() }),
        detail: Bytes::new(),
    };
    let outcomes = runs.map(outcome).collect();
    Batch { job: claim.job(), epoch: claim.epoch(), worker: "a".into(), landed_ms: 1, outcomes }
}

fn event(kind: &str, number: u64) -> NewEvent {
    NewEvent {
        at_ms: number,
        author: String::new(),
        kind: kind.to_owned(),
        job: Some(id(number)),
        subject: None,
        message: String::new(),
    }
}

fn fails_at_first(run: u64) -> bool {
    run.is_multiple_of(4)
}

/// Whether a job is there with all its items or not at all.
fn is_accepted_at_once(number: u64) -> bool {
    number % 4 < 2
}

/// What the child process does until it is killed. As a test of its own it does nothing.
#[tokio::test]
async fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = open(Path::new(&dir));
    let newest = store.jobs(JobFilter { limit: Some(1), ..JobFilter::default() }).await.unwrap();
    for number in newest.first().map_or(0, |record| record.job.created_ms + 1).. {
        work(&store, number).await;
    }
}

async fn work(store: &SqliteStore, number: u64) {
    let job = NewJob {
        id: id(number),
        spec: Bytes::new(),
        plugin: Digest::of(b""),
        shape: Shape { places: 1, iterations: 1 },
        priority: 0,
        created_ms: number,
        key: Some(number.to_string()),
        author: String::new(),
    };
    let telling = |kind: &str, number| store.telling(vec![event(kind, number)]);
    let at_once = is_accepted_at_once(number);
    let created = match at_once {
        true => telling("accepted", number).create_with(job, items(number), Bytes::new()).await,
        false => telling("accepted", number).create(job).await,
    };
    let claim = created.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    tell("accepted", number);
    if !at_once {
        store.append(job, epoch, 0, items(number), Bytes::new()).await.unwrap();
        store.seal(job, epoch, Bytes::new()).await.unwrap();
    }
    for first in 0..2 {
        store.record(batch(&claim, (first..RUNS).step_by(2), fails_at_first)).await.unwrap();
    }
    telling("finished", number).finish(job, epoch, JobEnd::new(JobState::Completed, number)).await.unwrap();
    tell("finished", number);
    let failed = (0..RUNS).filter(|run| fails_at_first(*run));
    let taken = telling("taken", number).take_back(job, epoch, failed.clone().map(RunIndex).collect()).await.unwrap();
    assert_eq!(taken, RUNS / 4);
    tell("taken", number);
    store.record(batch(&claim, failed, |_| false)).await.unwrap();
    telling("finished", number).finish(job, epoch, JobEnd::new(JobState::Completed, number)).await.unwrap();
    tell("whole", number);
    drop(claim);
    if let Some(before) = number.checked_sub(1).filter(|_| number.is_multiple_of(2)) {
        match telling("deleted", before).delete(id(before)).await {
            Ok(()) => tell("deleted", before),
            // A former life left it as it was.
            Err(StoreError::NotFinished(_)) => {}
            failed => failed.unwrap(),
        }
    }
    if number % 5 == 4 {
        let backup = store.backup(Vec::new()).await.unwrap();
        store.sweep(number, KEEP).await.unwrap();
        backup.write_to(std::io::sink()).unwrap();
    }
}

#[derive(Default)]
struct Told {
    accepted: BTreeSet<u64>,
    taken: BTreeSet<u64>,
    whole: BTreeSet<u64>,
    deleted: BTreeSet<u64>,
}

#[tokio::test]
async fn what_was_begun_is_done_or_not_and_nothing_is_left_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = Told::default();
    for life in 0..6 {
        kill::run_and_kill(DIR, dir.path(), 9 + 13 * life, |what, number| match what {
            "accepted" => {
                told.accepted.insert(number);
                false
            }
            "finished" => true,
            "taken" => told.taken.insert(number),
            "whole" => told.whole.insert(number),
            "deleted" => told.deleted.insert(number),
            _ => false,
        });
        check(dir.path(), &told).await;
    }
    assert!(told.whole.len() > 15 && told.deleted.len() > 5);
}

async fn check(dir: &Path, told: &Told) {
    let store = open(dir);
    let jobs = store.jobs(JobFilter::default()).await.unwrap();
    let there: BTreeSet<u64> = jobs.iter().map(|record| record.job.created_ms).collect();
    for number in &told.deleted {
        assert!(!there.contains(number), "{number} was deleted");
    }
    let log = store.events(0, None, 10_000).await.unwrap();
    let about = |kind| log.iter().map(|stored| &stored.event).filter(move |event| event.kind == kind);
    let deleted: BTreeSet<u64> = about("deleted").map(|event| event.at_ms).collect();
    assert_eq!(about("deleted").count(), deleted.len());
    let gone: BTreeSet<u64> = about("accepted").map(|event| event.at_ms).filter(|it| !there.contains(it)).collect();
    assert_eq!(deleted, gone);
    let mut dead = 0;
    for record in &jobs {
        let (job, number) = (record.job.id, record.job.created_ms);
        let results = store.results(job, RunIndex(0), RUNS as usize + 1).await.unwrap();
        let failures: Vec<u64> =
            results.iter().filter(|row| row.verdict == Verdict::Failure).map(|row| row.run.0).collect();
        // The outcomes, what is counted of them, and the dead letters are of one moment.
        let total = store.tally(job).await.unwrap().total();
        assert_eq!((total.runs(), total.failures), (results.len() as u64, failures.len() as u64));
        assert_eq!(total.time_us, results.iter().map(|row| row.time_us).sum::<u64>());
        assert_eq!(total.errors.values().sum::<u64>(), total.failures);
        let done: Vec<u64> = store.progress(job).await.unwrap().done.into_iter().flatten().collect();
        assert!(done.into_iter().eq(results.iter().map(|row| row.run.0)));
        let letters = store.dead(DeadQuery { job: Some(job), limit: 1_000, ..DeadQuery::default() }).await.unwrap();
        assert!(letters.iter().rev().map(|letter| letter.run.0).eq(failures.iter().copied()));
        assert_eq!(record.dead, failures.len() as u64);
        dead += record.dead;
        assert!(record.sealed.is_none() || record.chunks == 1);
        assert!(record.sealed.is_some() || !is_accepted_at_once(number));
        if record.chunks > 0 {
            assert_eq!(store.items(job, 0).await.unwrap(), items(number));
        }
        let log = store.events(0, Some(job), 10).await.unwrap();
        let log: Vec<&str> = log.iter().map(|stored| &*stored.event.kind).collect();
        assert!(["accepted", "finished", "taken", "finished"].starts_with(&log), "{log:?}");
        let has_ended = record.state == JobState::Completed;
        match log.len() {
            1 => assert!(!has_ended),
            2 => assert!(has_ended && failures.len() == 50),
            3 => assert!(!has_ended && failures.is_empty()),
            told => assert!(told == 4 && has_ended && failures.is_empty()),
        }
        match record.state {
            JobState::Completed if told.taken.contains(&number) => {
                assert_eq!((results.len(), failures.len()), (200, 0))
            }
            JobState::Completed => assert!(results.len() == 200 && [0, 50].contains(&failures.len())),
            _ => assert!([0, 100, 150, 200].contains(&results.len()) && !told.whole.contains(&number)),
        }
    }
    assert_eq!(store.dead_count(None).await.unwrap(), dead);
    for number in told.accepted.iter().filter(|number| !there.contains(number)) {
        // It was deleted, if only it was not told any more.
        assert!(number % 2 == 1, "{number} is gone");
    }

    // What was begun is finished by a sweep, and nothing of it is left.
    store.sweep(1, KEEP).await.unwrap();
    assert_eq!(store.sweep(1, KEEP).await.unwrap().deleted, 0);
    let backups =
        std::fs::read_dir(dir.join("backups")).map_or(0, |left| left.flatten().filter(|it| it.path().is_dir()).count());
    assert_eq!(backups, 0);
    drop(store);
    let database = rusqlite::Connection::open(dir.join("pigeon.db")).unwrap();
    for table in ["body", "body_file", "chunk", "outcome", "dead", "attempt", "ledger", "job_text"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE job NOT IN (SELECT key FROM job)");
        let strays: i64 = database.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(strays, 0, "{table}");
    }
    let jobs: u32 = database.query_row("SELECT count(*) FROM job", [], |row| row.get(0)).unwrap();
    assert_eq!(jobs as usize, there.len());
    drop(database);
    kill::check_files(dir);
}
