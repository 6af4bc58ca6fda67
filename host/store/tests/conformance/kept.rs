//! Cases of what is kept beside jobs and their runs: plugins, keys, pauses, lists, the log, tokens, schedules, limits.

use std::time::Duration;

use bytes::Bytes;
use pigeon_protocol::id::{Digest, Epoch, JobId, RunIndex};
use pigeon_store::{
    JobCounts, JobEnd, JobFilter, JobState, NewEvent, NewJob, PluginRecord, Retention, ScheduleRecord, Store,
    StoreError, TokenRecord,
};

use super::{
    DAY_MS,
    made::{batch, items, new_job, outcome, plugin},
};

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

pub(crate) async fn plugins_of_jobs_alone_go_with_them(store: &impl Store) {
    let (listed, component) = plugin(b"listed", true);
    store.put_plugin(listed.clone(), component).await.unwrap();
    let (hidden, component) = plugin(b"hidden", false);
    store.put_plugin(hidden.clone(), component).await.unwrap();
    let claim = store.create(NewJob { plugin: hidden.digest, ..new_job(1, 1) }).await.unwrap();
    let now = Retention { results: Duration::from_millis(10), ..Retention::default() };
    assert_eq!(store.sweep(DAY_MS, now).await.unwrap().files, 0);
    store.finish(claim.job(), claim.epoch(), JobEnd::new(JobState::Cancelled, DAY_MS)).await.unwrap();
    drop(claim);
    let swept = store.sweep(DAY_MS + 11, now).await.unwrap();
    assert_eq!((swept.jobs.len(), swept.files), (1, 1));
    assert_eq!(store.plugin(hidden.digest).await.unwrap(), None);
    assert!(store.component(listed.digest).await.unwrap().is_some());
}

pub(crate) async fn a_key_names_one_job(store: &impl Store) {
    let keyed = |key: &str| NewJob { key: Some(key.to_owned()), author: "ann".to_owned(), ..new_job(1, 1) };
    let first = keyed("a");
    let claim = store.create(first.clone()).await.unwrap();
    assert_eq!(store.job(first.id).await.unwrap().job, first);
    let again = store.create(keyed("a")).await.unwrap_err();
    assert!(matches!(again, StoreError::KeyTaken(job) if job == first.id), "{again}");
    store.create(keyed("b")).await.unwrap();
    store.create(new_job(1, 1)).await.unwrap();
    store.create(new_job(1, 1)).await.unwrap();

    // A key is free when its job is kept no longer.
    store.finish(first.id, claim.epoch(), JobEnd::new(JobState::Cancelled, 5)).await.unwrap();
    assert!(matches!(store.create(keyed("a")).await, Err(StoreError::KeyTaken(job)) if job == first.id));
    drop(claim);
    store.delete(first.id).await.unwrap();
    let second = keyed("a");
    let claim = store.create(second.clone()).await.unwrap();

    // However it went.
    store.finish(second.id, claim.epoch(), JobEnd::new(JobState::Completed, 5)).await.unwrap();
    drop(claim);
    assert_eq!(store.sweep(6, Retention::default()).await.unwrap().bodies, [second.id]);
    assert!(matches!(store.create(keyed("a")).await, Err(StoreError::KeyTaken(job)) if job == second.id));
    assert_eq!(store.sweep(9 * DAY_MS, Retention::default()).await.unwrap().jobs, [second.id]);
    store.create(keyed("a")).await.unwrap();
}

pub(crate) async fn authors_do_not_take_each_others_keys(store: &impl Store) {
    let of = |author: &str| NewJob { key: Some("a".to_owned()), author: author.to_owned(), ..new_job(1, 1) };
    let (ann, bob, nobody) = (of("ann"), of("bob"), of(""));
    for job in [&ann, &bob, &nobody] {
        store.create(job.clone()).await.unwrap();
    }
    for job in [ann, bob, nobody] {
        let again = store.create(of(&job.author)).await.unwrap_err();
        assert!(matches!(again, StoreError::KeyTaken(id) if id == job.id), "{again}");
    }
}

pub(crate) async fn a_job_is_paused_until_it_goes_on(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    assert!(!store.job(job).await.unwrap().paused);
    store.set_paused(job, epoch, true).await.unwrap();
    assert!(store.job(job).await.unwrap().paused);
    drop(claim);
    let claim = store.claim(job).await.unwrap();
    assert!(store.job(job).await.unwrap().paused, "whoever owns it");
    assert!(matches!(store.set_paused(job, epoch, false).await, Err(StoreError::StaleEpoch { .. })));
    store.set_paused(job, claim.epoch(), false).await.unwrap();
    store.set_paused(job, claim.epoch(), true).await.unwrap();
    store.finish(job, claim.epoch(), JobEnd::new(JobState::Cancelled, 5)).await.unwrap();
    assert!(!store.job(job).await.unwrap().paused, "it is finished");
    assert!(matches!(store.set_paused(job, claim.epoch(), true).await, Err(StoreError::Finished(_))));
}

pub(crate) async fn jobs_are_listed_by_what_they_are(store: &impl Store) {
    let (echo, component) = plugin(b"echo", true);
    store.put_plugin(echo.clone(), component).await.unwrap();
    let mut ids = Vec::new();
    for number in 0..6 {
        let digest = if number % 2 == 0 { echo.digest } else { Digest::of(b"another") };
        // Two were accepted in the same moment.
        let job = NewJob { plugin: digest, created_ms: [10, 20, 20, 30, 40, 50][number], ..new_job(1, 1) };
        ids.push(job.id);
        let claim = store.create(job).await.unwrap();
        let (id, epoch) = (claim.job(), claim.epoch());
        match number {
            1 => store.set_paused(id, epoch, true).await.unwrap(),
            2 => store.finish(id, epoch, JobEnd::new(JobState::Completed, 60)).await.unwrap(),
            3 => store.finish(id, epoch, JobEnd::new(JobState::Cancelled, 60)).await.unwrap(),
            4 => store.finish(id, epoch, JobEnd::new(JobState::FailedFast, 60)).await.unwrap(),
            _ => {}
        }
    }
    let list = async |filter: JobFilter| -> Vec<usize> {
        let records = store.jobs(filter).await.unwrap();
        records.iter().map(|record| ids.iter().position(|id| *id == record.job.id).unwrap()).collect()
    };
    let all = JobFilter::default;
    assert_eq!(list(all()).await, [5, 4, 3, 2, 1, 0]);
    assert_eq!(list(JobFilter { unfinished: true, ..all() }).await, [5, 1, 0]);
    assert_eq!(list(JobFilter { paused: Some(true), ..all() }).await, [1]);
    assert_eq!(list(JobFilter { unfinished: true, paused: Some(false), ..all() }).await, [5, 0]);
    let states = vec![JobState::Cancelled, JobState::FailedFast];
    assert_eq!(list(JobFilter { states, ..all() }).await, [4, 3]);
    assert_eq!(list(JobFilter { states: vec![JobState::Active], ..all() }).await, [5, 1, 0]);
    assert_eq!(list(JobFilter { plugin: Some("echo".to_owned()), ..all() }).await, [4, 2, 0]);
    assert_eq!(list(JobFilter { plugin: Some("nothing".to_owned()), ..all() }).await, []);
    for (behind, id) in ids.iter().enumerate() {
        let page = list(JobFilter { before: Some(*id), limit: Some(2), ..all() }).await;
        assert_eq!(page, (0..behind).rev().take(2).collect::<Vec<_>>());
    }
    let counts = JobCounts { active: 2, paused: 1, completed: 1, failed_fast: 1, cancelled: 1 };
    assert_eq!(store.job_counts().await.unwrap(), counts);
}

pub(crate) async fn jobs_are_counted_as_they_change(store: &impl Store) {
    let counts = async || store.job_counts().await.unwrap();
    let none = JobCounts::default();
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    store.append(job, epoch, 0, items(0..2), Bytes::new()).await.unwrap();
    store.seal(job, epoch, Bytes::new()).await.unwrap();
    assert_eq!(counts().await, JobCounts { active: 1, ..none });
    for _ in 0..2 {
        store.set_paused(job, epoch, true).await.unwrap();
        assert_eq!(counts().await, JobCounts { paused: 1, ..none });
    }
    store.set_paused(job, epoch, false).await.unwrap();
    store.record(batch(&claim, "a", [outcome(0), outcome(1)])).await.unwrap();
    store.finish(job, epoch, JobEnd::new(JobState::Completed, 5)).await.unwrap();
    assert_eq!(counts().await, JobCounts { completed: 1, ..none });
    assert_eq!(store.take_back(job, epoch, vec![RunIndex(0)]).await.unwrap(), 1);
    assert_eq!(counts().await, JobCounts { active: 1, ..none });
    store.set_paused(job, epoch, true).await.unwrap();
    store.finish(job, epoch, JobEnd::new(JobState::Cancelled, 5)).await.unwrap();
    assert_eq!(counts().await, JobCounts { cancelled: 1, ..none });
    drop(claim);
    assert_eq!(store.sweep(6, Retention::default()).await.unwrap().bodies, [job]);
    assert_eq!(counts().await, JobCounts { cancelled: 1, ..none });
    store.delete(job).await.unwrap();
    assert_eq!(counts().await, none);

    let other = store.create(new_job(1, 1)).await.unwrap();
    store.finish(other.job(), other.epoch(), JobEnd::new(JobState::FailedFast, 5)).await.unwrap();
    drop(other);
    assert_eq!(counts().await, JobCounts { failed_fast: 1, ..none });
    assert_eq!(store.sweep(9 * DAY_MS, Retention::default()).await.unwrap().jobs.len(), 1);
    assert_eq!(counts().await, none);
}

pub(crate) async fn a_list_goes_on_behind_a_job_that_is_no_more(store: &impl Store) {
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = JobId::new();
        let made_ms = id.to_bytes().iter().take(6).fold(0, |ms, byte| ms << 8 | u64::from(*byte));
        let claim = store.create(NewJob { id, created_ms: made_ms, ..new_job(1, 1) }).await.unwrap();
        store.finish(id, claim.epoch(), JobEnd::new(JobState::Completed, made_ms)).await.unwrap();
        ids.push(id);
        // The ids of the three differ in their first six bytes.
        while JobId::new().to_bytes()[..6] == id.to_bytes()[..6] {
            tokio::task::yield_now().await;
        }
    }
    store.delete(ids[1]).await.unwrap();
    let filter = JobFilter { before: Some(ids[1]), ..JobFilter::default() };
    let listed: Vec<_> = store.jobs(filter).await.unwrap().iter().map(|record| record.job.id).collect();
    assert_eq!(listed, [ids[0]]);
}

pub(crate) async fn a_job_is_deleted_at_once(store: &impl Store) {
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    store.append(job, epoch, 0, items(0..500), Bytes::new()).await.unwrap();
    for run in 0..100 {
        store.record(batch(&claim, "a", [outcome(run)])).await.unwrap();
    }
    assert!(matches!(store.delete(job).await, Err(StoreError::Busy { .. })));
    drop(claim);
    assert!(matches!(store.delete(job).await, Err(StoreError::NotFinished(id)) if id == job));
    let claim = store.claim(job).await.unwrap();
    store.finish(job, claim.epoch(), JobEnd::new(JobState::Cancelled, 5)).await.unwrap();
    drop(claim);
    store.delete(job).await.unwrap();
    let unknown = |error| matches!(error, StoreError::UnknownJob(id) if id == job);
    assert!(unknown(store.delete(job).await.unwrap_err()));
    assert!(unknown(store.job(job).await.unwrap_err()));
    assert!(unknown(store.tally(job).await.unwrap_err()));
    assert!(unknown(store.claim(job).await.unwrap_err()));
    assert_eq!(store.jobs(JobFilter::default()).await.unwrap(), []);
    assert_eq!(store.sweep(DAY_MS, Retention::default()).await.unwrap().jobs, []);
}

fn event(at_ms: u64, job: Option<JobId>, message: &str) -> NewEvent {
    NewEvent {
        at_ms,
        author: "ann".to_owned(),
        kind: "job-submitted".to_owned(),
        job,
        subject: job.is_none().then(|| "echo".to_owned()),
        message: message.to_owned(),
    }
}

pub(crate) async fn the_log_is_read_from_a_place_on(store: &impl Store) {
    let (job, other) = (JobId::new(), JobId::new());
    assert_eq!(store.put_events(Vec::new()).await.unwrap(), 0);
    assert_eq!(store.events(0, None, 9).await.unwrap(), []);
    let written = [
        event(10, Some(job), "one"),
        event(20, None, "two"),
        event(15, Some(other), "three"),
        event(30, Some(job), "four"),
    ];
    assert_eq!(store.put_events(written[..3].to_vec()).await.unwrap(), 3);
    assert_eq!(store.put_events(written[3..].to_vec()).await.unwrap(), 4);
    let read = store.events(0, None, 9).await.unwrap();
    assert_eq!(read.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(read.iter().map(|event| event.event.clone()).collect::<Vec<_>>(), written);
    let seqs = async |after, job, limit| -> Vec<u64> {
        store.events(after, job, limit).await.unwrap().iter().map(|event| event.seq).collect()
    };
    assert_eq!(seqs(1, None, 2).await, [2, 3]);
    assert_eq!(seqs(4, None, 2).await, []);
    assert_eq!(seqs(0, Some(job), 9).await, [1, 4]);
    assert_eq!(seqs(1, Some(job), 9).await, [4]);
    assert_eq!(seqs(0, Some(JobId::new()), 9).await, []);
    let last = async |before, job, limit| -> Vec<u64> {
        store.last_events(before, job, limit).await.unwrap().iter().map(|event| event.seq).collect()
    };
    assert_eq!(last(None, None, 2).await, [3, 4]);
    assert_eq!(last(Some(4), None, 2).await, [2, 3]);
    assert_eq!(last(Some(1), None, 2).await, []);
    assert_eq!(last(Some(u64::MAX), None, 9).await, [1, 2, 3, 4]);
    assert_eq!(last(None, Some(job), 1).await, [4]);
    assert_eq!(last(Some(4), Some(job), 9).await, [1]);
}

pub(crate) async fn a_change_is_told_with_itself_or_not_at_all(store: &impl Store) {
    let (new, plugin) = (new_job(1, 1), plugin(b"listed", true));
    let job = new.id;
    let telling = |message: &str| store.telling(vec![event(10, Some(job), message), event(11, None, message)]);
    let claim = telling("created").create_with(new.clone(), items(0..2), Bytes::new()).await.unwrap();
    assert!(telling("refused").create(new).await.is_err());
    let epoch = claim.epoch();
    telling("nothing").seal(job, epoch, Bytes::new()).await.unwrap();
    telling("stale").set_paused(job, Epoch(9), true).await.unwrap_err();
    telling("paused").set_paused(job, epoch, true).await.unwrap();
    telling("recorded").record(batch(&claim, "a", [outcome(0)])).await.unwrap();
    telling("nothing").record(batch(&claim, "a", [outcome(0)])).await.unwrap();
    telling("nothing").forget_dead(job, vec![RunIndex(0)]).await.unwrap();
    telling("nothing").take_back(job, epoch, vec![RunIndex(1)]).await.unwrap();
    telling("taken back").take_back(job, epoch, vec![RunIndex(0)]).await.unwrap();
    telling("ended").finish(job, epoch, JobEnd::new(JobState::Completed, 5)).await.unwrap();
    telling("refused").finish(job, epoch, JobEnd::new(JobState::Completed, 5)).await.unwrap_err();
    telling("published").put_plugin(plugin.0, plugin.1).await.unwrap();
    telling("nothing").remove_token("none").await.unwrap();
    drop(claim);
    telling("deleted").delete(job).await.unwrap();
    telling("unknown").delete(job).await.unwrap_err();
    let told = store.events(0, None, 99).await.unwrap();
    let words: Vec<&str> = told.iter().map(|stored| &*stored.event.message).collect();
    let expected = ["created", "paused", "recorded", "taken back", "ended", "published", "deleted"];
    assert_eq!(words, expected.map(|word| [word; 2]).concat());
}

pub(crate) async fn old_events_go_and_their_numbers_are_not_given_again(store: &impl Store) {
    let events: Vec<_> = (0..3_000).map(|number| event(number / 1_000 * DAY_MS, None, "it happened")).collect();
    assert_eq!(store.put_events(events).await.unwrap(), 3_000);
    let kept = Retention { events: std::time::Duration::from_millis(DAY_MS), ..Retention::default() };
    assert_eq!(store.sweep(2 * DAY_MS + 1, kept).await.unwrap().events, 2_000);
    assert_eq!(store.sweep(2 * DAY_MS + 1, kept).await.unwrap().events, 0);
    assert_eq!(store.events(0, None, 1).await.unwrap()[0].seq, 2_001);
    assert_eq!(store.sweep(9 * DAY_MS, kept).await.unwrap().events, 1_000);
    assert_eq!(store.put_events(Vec::new()).await.unwrap(), 3_000);
    assert_eq!(store.put_events(vec![event(1, None, "next")]).await.unwrap(), 3_001);
}

pub(crate) async fn an_event_of_a_clock_that_was_ahead_keeps_no_others(store: &impl Store) {
    let days = [1, 9_999, 2, 5, 9_999, 5].map(|day| event(day * DAY_MS, None, "it happened"));
    store.put_events(days.to_vec()).await.unwrap();
    let kept = Retention { events: std::time::Duration::from_millis(DAY_MS), ..Retention::default() };
    assert_eq!(store.sweep(5 * DAY_MS + 1, kept).await.unwrap().events, 3);
    assert_eq!(store.sweep(5 * DAY_MS + 1, kept).await.unwrap().events, 0);
    assert_eq!(store.sweep(7 * DAY_MS, kept).await.unwrap().events, 3);
    // A clock that is behind takes none away.
    store.put_events(vec![event(8 * DAY_MS, None, "next")]).await.unwrap();
    assert_eq!(store.sweep(5, kept).await.unwrap().events, 0);
}

pub(crate) async fn tokens_are_kept_by_name(store: &impl Store) {
    let token = |name: &str, expires_ms| TokenRecord {
        name: name.to_owned(),
        role: "viewer".to_owned(),
        hash: Digest::of(name.as_bytes()),
        created_ms: 5,
        expires_ms,
    };
    store.put_token(token("b", Some(9))).await.unwrap();
    store.put_token(token("a", None)).await.unwrap();
    let taken = store.put_token(TokenRecord { role: "admin".to_owned(), ..token("a", None) }).await.unwrap_err();
    assert!(matches!(&taken, StoreError::NameTaken(name) if name == "a"), "{taken}");
    assert_eq!(store.tokens().await.unwrap(), [token("a", None), token("b", Some(9))]);
    assert!(store.remove_token("a").await.unwrap());
    assert!(!store.remove_token("a").await.unwrap());
    assert_eq!(store.tokens().await.unwrap(), [token("b", Some(9))]);
    store.put_token(token("a", Some(1))).await.unwrap();
}

pub(crate) async fn schedules_are_kept_by_name(store: &impl Store) {
    let schedule = |name: &str, state: &'static str| ScheduleRecord {
        name: name.to_owned(),
        spec: Bytes::from_static(b"daily"),
        state: Bytes::from_static(state.as_bytes()),
    };
    assert!(!store.put_schedule(schedule("b", "1")).await.unwrap(), "it is not there yet");
    store.add_schedule(schedule("b", "1")).await.unwrap();
    store.add_schedule(schedule("a", "")).await.unwrap();
    let taken = store.add_schedule(schedule("b", "2")).await.unwrap_err();
    assert!(matches!(&taken, StoreError::NameTaken(name) if name == "b"), "{taken}");
    assert!(store.put_schedule(schedule("b", "3")).await.unwrap());
    assert_eq!(store.schedules().await.unwrap(), [schedule("a", ""), schedule("b", "3")]);
    assert!(store.remove_schedule("b").await.unwrap());
    assert!(!store.remove_schedule("b").await.unwrap());
    assert!(!store.put_schedule(schedule("b", "4")).await.unwrap(), "whoever removed it was heard");
    assert_eq!(store.schedules().await.unwrap(), [schedule("a", "")]);
}

pub(crate) async fn limits_of_plugins_are_kept_by_name(store: &impl Store) {
    let limits = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    for (name, given) in [("b", limits("2")), ("a", limits("1")), ("b", limits("3")), ("c", limits("4")), ("c", None)] {
        store.put_plugin_limits(name, given).await.unwrap();
    }
    let kept: Vec<_> = store.plugin_limits().await.unwrap();
    assert_eq!(kept, [("a".to_owned(), Bytes::from_static(b"1")), ("b".to_owned(), Bytes::from_static(b"3"))]);
}

pub(crate) async fn what_is_new_is_unknown_of_no_job(store: &impl Store) {
    let (job, epoch) = (JobId::new(), Epoch(1));
    let unknown = |error| matches!(error, StoreError::UnknownJob(id) if id == job);
    assert!(unknown(store.set_paused(job, epoch, true).await.unwrap_err()));
    assert!(unknown(store.take_back(job, epoch, Vec::new()).await.unwrap_err()));
    assert!(unknown(store.forget_dead(job, Vec::new()).await.unwrap_err()));
    assert!(unknown(store.dead_count(Some(job)).await.unwrap_err()));
    assert!(unknown(store.delete(job).await.unwrap_err()));
    assert_eq!(store.dead_count(None).await.unwrap(), 0);
    assert_eq!(store.job_counts().await.unwrap(), JobCounts::default());
}
