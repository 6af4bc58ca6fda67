//! What the benches share: what they are called with, a place beside the build, jobs and their outcomes; laps, and a table
//! of their medians.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use pigeon_protocol::id::{Digest, JobId, Shape};
use pigeon_store::{Batch, Claim, NewJob, SqliteStore, Store};
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Batches and chunks on their way at once.
pub(crate) const AT_ONCE: usize = 4;

/// Runs and rounds: as given, or these.
pub(crate) fn arguments(runs: u64, rounds: u64) -> (u64, u64) {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    (numbers.next().unwrap_or(runs), numbers.next().unwrap_or(rounds))
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

/// Beside the build, not in a temporary directory: that may be memory.
pub(crate) fn dir() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

pub(crate) async fn new_job(store: &SqliteStore, spec: &'static [u8]) -> Claim {
    let job = NewJob {
        id: JobId::new(),
        spec: Bytes::from_static(spec),
        plugin: Digest::of(b""),
        shape: Shape { places: 1, iterations: 1 },
        priority: 0,
        created_ms: 0,
        key: None,
        author: String::new(),
    };
    store.create(job).await.unwrap()
}

/// Record so many runs, in batches of so many: each is given its first run and how many it has.
pub(crate) async fn record(store: &SqliteStore, runs: u64, each: u64, batch: impl Fn(u64, u64) -> Batch) {
    stream::iter((0..runs).step_by(each as usize))
        .map(|first| store.record(batch(first, each.min(runs - first))))
        .buffer_unordered(AT_ONCE)
        .for_each(|recorded| async move { assert_eq!(recorded.unwrap().refused, []) })
        .await;
}

/// Wall and CPU time.
pub(crate) struct Lap {
    wall: Instant,
    cpu: Duration,
}

impl Lap {
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu() }
    }

    pub(crate) fn end(self) -> (Duration, Duration) {
        (self.wall.elapsed(), cpu() - self.cpu)
    }
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Wall and CPU times by what was done, and how often it was done in each.
#[derive(Default)]
pub(crate) struct Table(Vec<Line>);

struct Line {
    what: &'static str,
    count: u64,
    laps: Vec<(Duration, Duration)>,
}

impl Table {
    pub(crate) fn add(&mut self, what: &'static str, count: u64, lap: (Duration, Duration)) {
        match self.0.iter_mut().find(|line| line.what == what) {
            Some(line) => line.laps.push(lap),
            None => self.0.push(Line { what, count, laps: vec![lap] }),
        }
    }

    pub(crate) fn print(&mut self, rounds: u64) {
        println!("medians of {rounds} rounds");
        println!("{:<24}{:>12}{:>14}{:>16}{:>16}", "", "count", "wall", "a second", "CPU us each");
        for Line { what, count, laps } in &mut self.0 {
            laps.sort_unstable();
            let (wall, cpu) = laps[laps.len() / 2];
            let wall = wall.as_secs_f64();
            let each = cpu.as_secs_f64() * 1e6 / *count as f64;
            println!("{what:<24}{count:>12}{:>11.3} ms{:>16.0}{each:>16.3}", wall * 1e3, *count as f64 / wall);
        }
    }
}
