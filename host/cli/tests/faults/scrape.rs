//! The server's own counters, over all its lives: they begin anew with each.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{task::JoinHandle, time::sleep};

/// What is counted between the last of these looks and a SIGKILL is missed.
const EVERY: Duration = Duration::from_millis(200);

/// Counters of interest begin so.
const NAMES: [&str; 5] = [
    "pigeon_leases_given",
    "pigeon_runs_retried",
    "pigeon_outcomes_refused",
    "pigeon_agent_sessions_total",
    "pigeon_http_turned_away",
];

/// Of each counter what it was last, and what it came to.
type Counters = Arc<Mutex<BTreeMap<String, (u64, u64)>>>;

/// Looks now and then until it is dropped.
pub(crate) struct Scrape {
    counters: Counters,
    task: JoinHandle<()>,
}

impl Scrape {
    pub(crate) fn start(api: SocketAddr) -> Self {
        let counters = Counters::default();
        let shared = counters.clone();
        let task = tokio::spawn(async move {
            loop {
                let text = tokio::task::spawn_blocking(move || read(api)).await;
                // It may be dead, or stopped.
                if let Ok(Ok(text)) = text {
                    take(&mut shared.lock().unwrap(), &text);
                }
                sleep(EVERY).await;
            }
        });
        Self { counters, task }
    }

    /// What they came to, a line each.
    pub(crate) fn told(&self) -> String {
        let counters = self.counters.lock().unwrap();
        let told = counters.iter().filter(|(_, (_, sum))| *sum > 0);
        told.map(|(name, (_, sum))| format!("  {name} {sum}\n")).collect()
    }
}

impl Drop for Scrape {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn read(api: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&api, EVERY)?;
    stream.set_read_timeout(Some(5 * EVERY))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn take(counters: &mut BTreeMap<String, (u64, u64)>, text: &str) {
    for line in text.lines().filter(|line| NAMES.iter().any(|name| line.starts_with(name))) {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.parse::<u64>() else { continue };
        let (last, sum) = counters.entry(name.to_owned()).or_default();
        *sum += if value < *last { value } else { value - *last };
        *last = value;
    }
}

#[test]
fn a_counter_that_begins_anew_goes_on() {
    let mut counters = BTreeMap::new();
    for value in [3, 5, 2, 2, 4] {
        take(&mut counters, &format!("# TYPE x\npigeon_runs_retried_total {value}\nother_total 9\n"));
    }
    assert_eq!(counters, BTreeMap::from([("pigeon_runs_retried_total".to_owned(), (4, 9))]));
}
