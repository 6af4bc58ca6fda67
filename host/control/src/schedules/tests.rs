//! Schedules in a control host that has a clock to be moved, and no agents.

use std::{
    path::Path,
    sync::atomic::{AtomicI64, Ordering::SeqCst},
};

use async_trait::async_trait;
use bytes::Bytes;
use pigeon_api::{
    Inspected, InstancePolicy, JobFilter, JobState, JobStatus, MemoryNeed, PluginKind, PluginMetadata, Stop, Vote,
};
use pigeon_store::{Options, ScheduleRecord, SqliteStore};
use tempfile::TempDir;

use super::{
    plan::{Pending, State},
    *,
};
use crate::{App, Config, Inspector};

const HOUR: i64 = 3_600_000;
/// A full hour.
const START: i64 = 500_000 * HOUR;

/// Takes whatever bytes for a plugin of that name.
struct Credulous;

#[async_trait]
impl Inspector for Credulous {
    async fn inspect(&self, component: Bytes) -> Result<Inspected> {
        let metadata = PluginMetadata {
            name: "probe".to_owned(),
            version: String::from_utf8_lossy(&component).into_owned(),
            description: String::new(),
            formats: Vec::new(),
            options: Vec::new(),
            codes: Vec::new(),
            instances: InstancePolicy::Fresh,
            vote: Vote::Worst,
            memory: MemoryNeed { base: 0, factor: 1.0 },
            models: Vec::new(),
            extensions: Vec::new(),
        };
        Ok(Inspected { kind: PluginKind::Validator, metadata, imports: Vec::new(), powers: Vec::new() })
    }
}

/// A control host, and schedules by a clock of their own, which are kept beside it.
struct House {
    app: Arc<App>,
    store: Arc<dyn Store>,
    schedules: Schedules,
    now: Arc<AtomicI64>,
}

impl House {
    async fn open(dir: &Path, now: i64) -> Self {
        let config = Config::server(dir.join("host"), ([127, 0, 0, 1], 0).into());
        let app = Arc::new(App::build(config, Arc::new(Credulous)).await.unwrap());
        if app.client().plugin("probe").await.is_err() {
            app.client().publish(Bytes::from_static(b"1.0.0")).await.unwrap();
        }
        let store = SqliteStore::open(&dir.join("schedules"), Options::default()).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let now = Arc::new(AtomicI64::new(now));
        let (clients, clock) = (app.clone(), now.clone());
        let client: ClientAs = Arc::new(move |author| clients.client_as(author));
        let schedules =
            Schedules::start_at(client, store.clone(), Arc::new(|_, _| ()), Arc::new(move || clock.load(SeqCst)));
        let schedules = schedules.await.unwrap();
        Self { app, store, schedules, now }
    }

    /// The clock is set, and the keeper is woken: somebody wants something of it.
    async fn at(&self, now: i64) {
        self.now.store(now, SeqCst);
        self.schedules.pause("nobody", true).await.unwrap_err();
    }

    /// Waits until a schedule is done with a time, and gives how it stands.
    async fn done(&self, name: &str, time: i64) -> ScheduleInfo {
        loop {
            let info = self.info(name).await;
            if info.last_ms.is_some_and(|last| last >= time) {
                return info;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    async fn info(&self, name: &str) -> ScheduleInfo {
        self.schedules.list().await.unwrap().into_iter().find(|info| info.name == name).unwrap()
    }

    async fn jobs(&self) -> Vec<JobStatus> {
        let mut jobs = Vec::new();
        for job in self.app.client().jobs(JobFilter::default()).await.unwrap().into_iter().rev() {
            jobs.push(self.app.client().job(job.id).await.unwrap());
        }
        jobs
    }

    async fn keys(&self) -> Vec<String> {
        self.jobs().await.into_iter().filter_map(|job| job.request.key).collect()
    }

    async fn state(&self, name: &str) -> State {
        let kept = self.store.schedules().await.unwrap();
        serde_json::from_slice(&kept.into_iter().find(|kept| kept.name == name).unwrap().state).unwrap()
    }

    async fn close(self) {
        self.schedules.stop().await;
        self.app.drain(std::time::Duration::ZERO).await;
    }
}

fn hourly(change: impl FnOnce(&mut serde_json::Value)) -> ScheduleSpec {
    let mut json = serde_json::json!({
        "name": "hourly", "when": { "cron": { "expression": "0 * * * *" } },
        "job": { "plugin": "probe", "items": ["one", { "id": "b", "body": "two" }] },
    });
    change(&mut json);
    serde_json::from_value(json).unwrap()
}

fn key(hours: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(START + hours * HOUR).unwrap();
    format!("schedule:hourly:{time}")
}

#[tokio::test]
async fn each_time_gives_one_job_with_its_items_and_its_author() {
    let dir = TempDir::new().unwrap();
    let house = House::open(dir.path(), START).await;
    let info = house.schedules.add(hourly(|json| json["overlap"] = "allow".into()), "ada").await.unwrap();
    assert_eq!((info.next_ms, info.last_ms, info.items), (Some(START + HOUR), None, 2));
    assert_eq!((info.author.as_str(), info.paused), ("ada", false));
    house.at(START + HOUR).await;
    let info = house.done("hourly", START + HOUR).await;
    assert_eq!((info.next_ms, info.last_error), (Some(START + 2 * HOUR), None));
    house.at(START + 2 * HOUR + 5).await;
    house.done("hourly", START + 2 * HOUR).await;
    let jobs = house.jobs().await;
    assert_eq!(house.keys().await, [key(1), key(2)]);
    assert_eq!(jobs[0].id.to_string(), info.last_job.unwrap());
    for job in &jobs {
        assert_eq!((job.state, job.items, job.author.as_str()), (JobState::Sealed, 2, "schedule hourly"));
        assert_eq!(job.request.sources["schedule"], "hourly");
    }
    assert_ne!(jobs[0].request.seed, jobs[1].request.seed);
    house.close().await;
}

#[tokio::test]
async fn while_the_job_before_goes_on_the_policy_decides() {
    let dir = TempDir::new().unwrap();
    let house = House::open(dir.path(), START).await;
    house.schedules.add(hourly(|_| {}), "ada").await.unwrap();
    let cancel = |json: &mut serde_json::Value| {
        json["name"] = "cancels".into();
        json["overlap"] = "cancel".into();
    };
    house.schedules.add(hourly(cancel), "ada").await.unwrap();
    for hour in 1..=2 {
        house.at(START + hour * HOUR).await;
        house.done("hourly", START + hour * HOUR).await;
        house.done("cancels", START + hour * HOUR).await;
    }
    let jobs = house.jobs().await;
    let of = |name: &str| jobs.iter().filter(move |job| job.author == format!("schedule {name}")).collect::<Vec<_>>();
    let (skipped, cancelled) = (of("hourly"), of("cancels"));
    assert_eq!((skipped.len(), cancelled.len()), (1, 2));
    let info = house.info("hourly").await;
    assert_eq!((info.last_ms, info.last_job), (Some(START + 2 * HOUR), None));
    assert_eq!(info.last_error.unwrap(), format!("not submitted: job {} goes on", skipped[0].id));
    assert_eq!(cancelled[1].state, JobState::Sealed);
    // It is being cancelled, or was.
    while !house.app.client().job(cancelled[0].id).await.unwrap().state.is_final() {
        tokio::task::yield_now().await;
    }
    // With that one out of the way, the next time has its job.
    house.app.client().stop(skipped[0].id, Stop::Cancel).await.unwrap();
    while !house.app.client().job(skipped[0].id).await.unwrap().state.is_final() {
        tokio::task::yield_now().await;
    }
    house.at(START + 3 * HOUR).await;
    assert!(house.done("hourly", START + 3 * HOUR).await.last_job.is_some());
    house.close().await;
}

#[tokio::test]
async fn what_was_missed_while_nobody_looked_is_caught_up_with() {
    let dir = TempDir::new().unwrap();
    let house = House::open(dir.path(), START).await;
    for (name, catch_up) in [("skip", "skip"), ("once", "once"), ("all", "all")] {
        let change = |json: &mut serde_json::Value| {
            json["name"] = name.into();
            json["catch_up"] = catch_up.into();
            json["overlap"] = "allow".into();
        };
        house.schedules.add(hourly(change), "ada").await.unwrap();
    }
    house.close().await;
    let house = House::open(dir.path(), START + 3 * HOUR + 120_000).await;
    house.done("once", START + 3 * HOUR).await;
    house.done("all", START + 3 * HOUR).await;
    while house.info("skip").await.next_ms != Some(START + 4 * HOUR) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let jobs = house.jobs().await;
    let count = |name: &str| jobs.iter().filter(|job| job.author == format!("schedule {name}")).count();
    assert_eq!((count("skip"), count("once"), count("all")), (0, 1, 3));
    assert_eq!(house.info("skip").await.last_ms, None);
    house.close().await;
}

/// It died behind each of its steps in turn: what is left of the time is one job, and whole.
#[tokio::test]
async fn whatever_dies_a_time_has_one_job() {
    let plugin = |house: &House| {
        let client = house.app.client();
        async move { client.plugin("probe").await.unwrap().digest.to_string() }
    };
    for died in ["decided", "pinned", "opened", "appended", "sealed"] {
        let dir = TempDir::new().unwrap();
        let house = House::open(dir.path(), START).await;
        house.schedules.add(hourly(|_| {}), "ada").await.unwrap();
        house.schedules.stop().await;
        // What the keeper would have written down, and done.
        let mut state = house.state("hourly").await;
        let digest = plugin(&house).await;
        let pinned = (died != "decided").then(|| digest.clone());
        state.decided_ms = START + HOUR;
        state.pending = vec![Pending { time_ms: START + HOUR, late: false, plugin: pinned }];
        let kept = house.store.schedules().await.unwrap().pop().unwrap();
        let state = serde_json::to_vec(&state).unwrap().into();
        house.store.put_schedule(ScheduleRecord { state, ..kept.clone() }).await.unwrap();
        let submission = Entry::read(kept).unwrap().submission(START + HOUR, &digest);
        let client = house.app.client_as("schedule hourly");
        let submitted = match died {
            "decided" | "pinned" => None,
            "sealed" => Some(crate::submit::submit(&*client, submission).await.unwrap()),
            died => {
                let (request, items) = crate::submit::asked(&*client, submission).await.unwrap();
                let job = client.submit(request).await.unwrap();
                if died == "appended" {
                    let items = items.unwrap();
                    client.append(job, crate::submit::Chunks::of(&items).next().unwrap()).await.unwrap();
                }
                Some(job)
            }
        };
        // In the meantime the plugin has a new version: the job stays with the one that it had.
        client.publish(Bytes::from_static(b"2.0.0")).await.unwrap();
        // Whoever holds a client holds the state directory.
        drop(client);
        house.app.drain(std::time::Duration::ZERO).await;
        drop(house);

        let house = House::open(dir.path(), START + HOUR + 500).await;
        let info = house.done("hourly", START + HOUR).await;
        let jobs = house.jobs().await;
        assert_eq!(jobs.len(), 1, "{died}");
        let job = &jobs[0];
        assert_eq!((job.state, job.items, info.last_job), (JobState::Sealed, 2, Some(job.id.to_string())), "{died}");
        assert!(submitted.is_none_or(|submitted| submitted == job.id), "{died}");
        let version = if died == "decided" { "2.0.0" } else { "1.0.0" };
        assert_eq!(job.plugin.metadata.version, version, "{died}");
        assert!(house.state("hourly").await.pending.is_empty());
        house.close().await;
    }
}

#[tokio::test]
async fn a_schedule_waits_and_goes_on_and_is_forgotten() {
    let dir = TempDir::new().unwrap();
    let house = House::open(dir.path(), START).await;
    house.schedules.add(hourly(|_| {}), "ada").await.unwrap();
    let info = house.schedules.pause("hourly", true).await.unwrap();
    assert_eq!((info.paused, info.next_ms), (true, None));
    let marker = |json: &mut serde_json::Value| json["name"] = "marker".into();
    house.schedules.add(hourly(marker), "ada").await.unwrap();
    house.at(START + 5 * HOUR).await;
    house.done("marker", START + 5 * HOUR).await;
    house.close().await;
    let house = House::open(dir.path(), START + 6 * HOUR).await;
    assert!(house.info("hourly").await.paused, "whatever restarts");
    let info = house.schedules.pause("hourly", false).await.unwrap();
    assert_eq!((info.paused, info.next_ms), (false, Some(START + 7 * HOUR)));
    house.schedules.remove("hourly").await.unwrap();
    house.at(START + 7 * HOUR).await;
    house.done("marker", START + 7 * HOUR).await;
    assert!(house.keys().await.iter().all(|key| key.starts_with("schedule:marker:")));
    let names = house.schedules.list().await.unwrap().into_iter().map(|info| info.name);
    assert!(names.eq(["marker"]) && house.store.schedules().await.unwrap().len() == 1);
    house.close().await;
}

#[tokio::test]
async fn mistakes_are_told_when_it_is_added_and_later() {
    let dir = TempDir::new().unwrap();
    let house = House::open(dir.path(), START).await;
    house.schedules.add(hourly(|_| {}), "ada").await.unwrap();
    let wrong = async |change: &dyn Fn(&mut serde_json::Value)| {
        let error = house.schedules.add(hourly(change), "ada").await.unwrap_err();
        (error.kind, error.message)
    };
    let taken = (ErrorKind::Conflict, "there is a schedule \"hourly\" already".to_owned());
    assert_eq!(wrong(&|_| {}).await, taken);
    assert_eq!(wrong(&|json| json["name"] = "No".into()).await.0, ErrorKind::BadRequest);
    assert_eq!(wrong(&|json| json["job"]["plugin"] = "nothing".into()).await.0, ErrorKind::NotFound);
    let options = wrong(&|json| json["job"]["options"] = serde_json::json!({ "no-such": "1" })).await;
    assert_eq!(options.0, ErrorKind::BadRequest);
    let zone = serde_json::json!({ "cron": { "expression": "0 0 * * *", "zone": "Europe/Berln" } });
    let named = move |json: &mut serde_json::Value| {
        json["name"] = "other".into();
        json["when"] = zone.clone();
    };
    assert_eq!(wrong(&named).await, (ErrorKind::BadRequest, "there is no time zone \"Europe/Berln\"".to_owned()));
    let near = house.schedules.remove("hourlyy").await.unwrap_err();
    assert_eq!((near.kind, near.hint.as_deref()), (ErrorKind::NotFound, Some("there is \"hourly\"")));
    house.close().await;
}

#[tokio::test]
async fn a_clock_that_was_wrong_for_a_while_stops_nothing_and_repeats_nothing() {
    let dir = TempDir::new().unwrap();
    let house = House::open(dir.path(), START).await;
    house.schedules.add(hourly(|json| json["overlap"] = "allow".into()), "ada").await.unwrap();
    house.at(START + 5 * HOUR).await;
    house.done("hourly", START + 5 * HOUR).await;
    // Back by a little: what was decided on is not decided on again.
    house.at(START + 3 * HOUR).await;
    assert_eq!(house.info("hourly").await.next_ms, Some(START + 6 * HOUR));
    // Ahead by years, and right again.
    house.at(START + 50_000 * HOUR).await;
    house.done("hourly", START + 50_000 * HOUR).await;
    house.at(START + 6 * HOUR + 1).await;
    while house.info("hourly").await.next_ms != Some(START + 7 * HOUR) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    house.at(START + 7 * HOUR).await;
    while house.info("hourly").await.last_ms != Some(START + 7 * HOUR) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(house.keys().await, [key(5), key(50_000), key(7)]);
    house.close().await;
}

#[tokio::test]
async fn one_that_takes_long_holds_up_no_other() {
    let dir = TempDir::new().unwrap();
    let house = House::open(dir.path(), START).await;
    // What has a second chunk waits for room, which nobody makes.
    let mut config = Config::server(dir.path().join("host"), ([127, 0, 0, 1], 0).into());
    config.backlog = 0;
    house.app.reload(config).await;
    let large = |json: &mut serde_json::Value| {
        json["name"] = "a-large-one".into();
        json["job"]["items"] = serde_json::json!(["x".repeat(700_000), "y".repeat(700_000)]);
    };
    house.schedules.add(hourly(large), "ada").await.unwrap();
    house.schedules.add(hourly(|_| {}), "ada").await.unwrap();
    house.at(START + HOUR).await;
    let done = house.done("hourly", START + HOUR);
    tokio::time::timeout(std::time::Duration::from_secs(60), done).await.unwrap();
    assert_eq!(house.info("a-large-one").await.last_ms, None);
    let waits = loop {
        let jobs = house.jobs().await;
        if let Some(job) = jobs.into_iter().find(|job| job.author == "schedule a-large-one" && job.items == 1) {
            break job.id;
        }
    };
    // What is wanted of it has its turn when that is over.
    let client = house.app.client();
    let paused = house.schedules.pause("a-large-one", true);
    let (paused, stopped) = tokio::join!(paused, client.stop(waits, Stop::Cancel));
    stopped.unwrap();
    assert_eq!(paused.unwrap().last_job, Some(waits.to_string()));
    drop(client);
    house.close().await;
}
