//! A server under ten times what it takes: it sheds, keeps what it acknowledged and its agents, and is itself again after.
//!
//! `PIGEON_TEST_OVERLOAD` says how many seconds it lasts; 5 if it says nothing.

use std::{
    collections::HashSet,
    fs,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use crate::{
    http::Http,
    support::{Place, until},
};

/// Requests that may be under way at once: a tenth of those that come.
const REQUESTS: usize = 32;

/// Memory that the server may take, in bytes: what it starts with, and some KiB for each job that waits.
const MEMORY: u64 = 512 << 20;

/// What clients were told, all together.
#[derive(Default)]
struct Told {
    stop: AtomicBool,
    accepted: Mutex<HashSet<String>>,
    shed: AtomicU64,
    listed: AtomicU64,
    other: Mutex<Vec<String>>,
}

/// A client that asks again and again, and does not heed what it is told.
fn client(address: SocketAddr, token: String, number: usize, told: Arc<Told>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut http = None;
        for round in number.. {
            if told.stop.load(Relaxed) {
                return;
            }
            let Some(mut open) = http.take().or_else(|| Http::connect(address, &token).ok()) else { continue };
            let (method, path, body) = match round % 4 {
                0 => ("GET", "/api/v1/jobs?limit=100", String::new()),
                1 => ("GET", ["/api/v1/status", "/api/v1/agents"][round / 4 % 2], String::new()),
                _ => ("POST", "/api/v1/jobs", r#"{"plugin":"json","items":["{\"a\": [1, 2, 3]}"]}"#.to_owned()),
            };
            let Ok(answer) = open.ask(method, path, &body) else {
                // Closed before it answered: nothing was acknowledged.
                continue;
            };
            match (method, answer.status) {
                ("POST", 201) => {
                    told.accepted.lock().unwrap().insert(answer.json()["id"].as_str().unwrap().to_owned());
                }
                ("GET", 200) => _ = told.listed.fetch_add(1, Relaxed),
                (_, 429) if sensible(answer.retry_after.as_deref()) && answer.json()["status"] == 429 => {
                    told.shed.fetch_add(1, Relaxed);
                }
                (_, status) => {
                    let text = format!("{method} {path}: {status}, {:?}: {}", answer.retry_after, answer.text());
                    told.other.lock().unwrap().push(text);
                }
            }
            http = Some(open);
        }
    })
}

/// Whether a client is told to come back after a while, and not to leave.
fn sensible(retry_after: Option<&str>) -> bool {
    retry_after.and_then(|seconds| seconds.parse().ok()).is_some_and(|seconds: u64| (1..=60).contains(&seconds))
}

/// Memory that a process takes, in bytes.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// When each agent was heard last, as the server says, in milliseconds from now.
fn unheard(place: &Place) -> Vec<u64> {
    let agents = place.json(&["agents", "list"]);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let agents = agents["agents"].as_array().unwrap();
    assert!(agents.iter().all(|agent| agent["state"] == "ready"), "{agents:#?}");
    agents.iter().map(|agent| now.saturating_sub(agent["heard_ms"].as_u64().unwrap())).collect()
}

/// All jobs that the server has, by id, with where they stand.
fn jobs(http: &mut Http) -> Vec<(String, String)> {
    let (mut jobs, mut path) = (Vec::new(), "/api/v1/jobs?limit=1000".to_owned());
    loop {
        let page = http.ask("GET", &path, "").unwrap().json();
        let text = |job: &Value, key: &str| job[key].as_str().unwrap().to_owned();
        let page = page["jobs"].as_array().unwrap();
        jobs.extend(page.iter().map(|job| (text(job, "id"), text(job, "state"))));
        match page.last() {
            Some(last) => path = format!("/api/v1/jobs?limit=1000&before={}", text(last, "id")),
            None => return jobs,
        }
    }
}

#[test]
fn a_server_under_ten_times_its_load_sheds_and_comes_back() {
    let lasts = std::env::var("PIGEON_TEST_OVERLOAD").ok().map_or(5, |seconds| seconds.parse().unwrap());
    let place = Place::new();
    place.write("serve.toml", format!("[api]\nrequests = {REQUESTS}\n"));
    let serving = place.serve(&["--config", "serve.toml"]);
    place.run(&["context", "add", "here", "--state-dir", "host", "--use"]).expect(0);
    let _agents = ["one", "two"].map(|name| place.agent(&serving, name));
    let token = place.read("host/admin.token").trim().to_owned();
    let address: SocketAddr = serving.addresses().api.parse().unwrap();

    // Who follows the log hears of what happens meanwhile.
    let heard = Arc::new(AtomicU64::new(0));
    let follower = Http::connect(address, &token).unwrap().follow("/api/v1/events/stream").unwrap();
    thread::spawn({
        let heard = heard.clone();
        move || follower.filter(|line| line.starts_with("data:")).for_each(|_| _ = heard.fetch_add(1, Relaxed))
    });

    let told = Arc::new(Told::default());
    let begun = Instant::now();
    let clients: Vec<_> =
        (0..REQUESTS * 10).map(|number| client(address, token.clone(), number, told.clone())).collect();
    let (mut looks, mut most) = (0, 0);
    while begun.elapsed() < Duration::from_secs(lasts) {
        // Each on a connection of its own, as whoever looks after processes does.
        for (path, words) in [("/health", "alive"), ("/metrics", "pigeon_http_turned_away_total")] {
            let answer = Http::connect(address, "").unwrap().ask("GET", path, "").unwrap();
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert!(looks == 0 || answer.text().contains(words), "{path}: {}", answer.text());
        }
        most = most.max(resident(serving.pid()));
        looks += 1;
        sleep(Duration::from_millis(100));
    }
    let heard_meanwhile = heard.load(Relaxed);
    told.stop.store(true, Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());

    let accepted = told.accepted.lock().unwrap();
    let (shed, listed, other) = (told.shed.load(Relaxed), told.listed.load(Relaxed), told.other.lock().unwrap());
    println!(
        "{} accepted, {listed} lists, {shed} shed, {heard_meanwhile} events heard, {looks} looks, {} MiB at most",
        accepted.len(),
        most >> 20
    );
    assert!(other.is_empty(), "{} more, as {}", other.len(), other[0]);
    assert!(!accepted.is_empty() && listed > 0 && shed > 0 && looks > 0 && heard_meanwhile > 0);
    assert!(most < MEMORY, "{} MiB", most >> 20);
    // Three beats of 5 s.
    assert!(unheard(&place).into_iter().all(|ms| ms < 15_000), "{:?}", unheard(&place));

    // It recovers by itself: what comes now is taken, and done.
    place.write("a.json", "{}");
    place.run(&["process", "-f", "a.json", "-v", "json"]).expect(0);
    let mut http = Http::connect(address, &token).unwrap();
    until("the end of the queue", || http.ask("GET", "/api/v1/status", "").unwrap().json()["queue"]["runs"] == 0);
    let jobs = jobs(&mut http);
    let finished: HashSet<_> =
        jobs.iter().filter(|(_, state)| state == "finished").map(|(job, _)| job.as_str()).collect();
    let lost: Vec<_> = accepted.iter().filter(|job| !finished.contains(job.as_str())).collect();
    assert!(lost.is_empty(), "{} were acknowledged and are not there, as {}", lost.len(), lost[0]);

    let log = place.run(&["events", "--since", "1h", "-o", "json"]);
    assert!(!log.stdout.contains("agent-lost") && !log.stdout.contains("agent-left"), "{}", serving.log());
    serving.stop();
}
