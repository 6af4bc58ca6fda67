//! The whole road, measured: the `pigeon` binary reads a file, its embedded control host queues the items durably and
//! leases them to agents over QUIC, and the report is printed. Beside each figure stands its baseline of the same run:
//! a bare one-threaded Wasmtime loop over the same component with the same instance policy, and the disk's fdatasync.
//!
//!     cargo bench -p pigeon --bench end_to_end [-- throughput|cost|cold|latency]
#![expect(clippy::unwrap_used, reason = "a bench that fails may panic")]

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::StreamExt as _;
use pigeon_api::{ChunkBuilder, JobEvent, JobRequest, Watch, Work};
use pigeon_cli::embedded::{Embedded, Options};

#[path = "../../../agent/runtime/benches/bare/mod.rs"]
mod bare;

const ROUNDS: usize = 5;
const BODY: &[u8] = include_bytes!("../../../plugins/gexpr/examples/fibonacci.json");

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let bench = Bench::new();
    println!(
        "gexpr, {} bytes an item, medians of {ROUNDS}; fdatasync of 4 KiB {:.0} us",
        BODY.len(),
        bench.fdatasync()
    );
    for (name, part) in [
        ("throughput", Bench::throughput as fn(&Bench)),
        ("cost", Bench::cost),
        ("cold", Bench::cold),
        ("latency", Bench::latency),
    ] {
        if wants(name) {
            part(&bench);
        }
    }
}

/// Folders and files that the parts share.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        // Beside the build, since a temporary folder may be in memory and would sync for nothing.
        Self { dir: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() }
    }

    /// One slot, then two, against the bare loop; alternating, since machines drift.
    fn throughput(&self) {
        let items = 400_000;
        let file = self.items(items);
        let mut bare = bare::Loop::new(pigeon_plugins::built_in("gexpr").unwrap().component, true);
        let (mut loops, mut ones, mut twos, mut starts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let started = Instant::now();
            bare.run(BODY, 100_000);
            loops.push(started.elapsed());
            starts.push(self.process(&self.items(1), 1));
            ones.push(self.process(&file, 1));
            twos.push(self.process(&file, 2));
        }
        let start = median(starts);
        let rate = |time: Duration| items as f64 / time.saturating_sub(start).as_secs_f64();
        let (bare, one, two) = (100_000.0 / median(loops).as_secs_f64(), rate(median(ones)), rate(median(twos)));
        println!("bare loop                 {bare:>9.0} items/s");
        println!("end to end, one slot      {one:>9.0} items/s, {:.0}% of the bare loop", 100.0 * one / bare);
        println!("end to end, two slots     {two:>9.0} items/s, {:.2} times one slot", two / one);
    }

    /// What an item costs, whatever their number: (time - time of a job of one item) / items.
    fn cost(&self) {
        let start = median((0..ROUNDS).map(|_| self.process(&self.items(1), 2)).collect());
        for items in [10_000, 100_000, 1_000_000] {
            let file = self.items(items);
            let time = median((0..ROUNDS).map(|_| self.process(&file, 2)).collect());
            let each = time.saturating_sub(start).as_secs_f64() * 1e6 / items as f64;
            println!("cost of an item of {items:>9}  {each:>6.2} us, peak memory {} MiB", self.peak(&file));
        }
    }

    /// From nothing to a printed verdict, the compile cache warm.
    fn cold(&self) {
        let file = self.items(1);
        self.process(&file, 1);
        let times: Vec<_> = (0..2 * ROUNDS).map(|_| self.process(&file, 1)).collect();
        println!("one item, cold start      {:>9.0} ms", median(times).as_secs_f64() * 1e3);
    }

    /// One run at a time: from the acknowledgement of its item to the news that its outcome is on disk. One right behind
    /// the other, and each after a pause in which everything fell asleep.
    fn latency(&self) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for (pause, name) in [(0, "one behind the other"), (20, "20 ms apart")] {
            let mut times = runtime.block_on(self.runs(200, Duration::from_millis(pause)));
            times.sort();
            let ms = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e3;
            println!("a leased run, {name:<20} p50 {:.2} ms, p99 {:.2} ms", ms(50), ms(99));
        }
    }

    /// What so many runs of an item each took, with this pause before each.
    async fn runs(&self, count: u64, pause: Duration) -> Vec<Duration> {
        let state = tempfile::tempdir_in(self.dir.path()).unwrap();
        let mut embedded = Embedded::start(Options::new(state.path())).await.unwrap();
        embedded.add_agents(1).await.unwrap();
        let client = embedded.client();
        let plugin = client.plugin("gexpr").await.unwrap().digest;
        let request = JobRequest::new(plugin, Work::Many { iterations: 1, workers: None });
        let job = client.submit(request).await.unwrap();
        let mut events = client.watch(job, Watch::default()).await.unwrap();
        let mut builder = ChunkBuilder::new(0, 0);
        let mut times = Vec::new();
        for item in 1..=count {
            tokio::time::sleep(pause).await;
            builder.push(|id| id.extend_from_slice(b"item"), item, BODY);
            client.append(job, builder.finish(Bytes::new())).await.unwrap();
            let appended = Instant::now();
            // Watchers are told at once when all that was appended is done.
            while let Some(event) = events.next().await {
                if matches!(event.unwrap(), JobEvent::Progress(progress) if progress.done == item) {
                    break;
                }
            }
            times.push(appended.elapsed());
        }
        embedded.stop(Duration::from_secs(5)).await;
        times
    }

    /// A file of so many items, a line each.
    fn items(&self, count: usize) -> PathBuf {
        let path = self.dir.path().join(format!("{count}.jsonl"));
        if !path.exists() {
            let mut file = BufWriter::new(File::create(&path).unwrap());
            for _ in 0..count {
                file.write_all(BODY.trim_ascii_end()).unwrap();
                file.write_all(b"\n").unwrap();
            }
            file.into_inner().unwrap().sync_all().unwrap();
        }
        path
    }

    /// The time of a whole process that judges a file with so many agents, in a new state directory.
    fn process(&self, file: &Path, workers: u32) -> Duration {
        let state = tempfile::tempdir_in(self.dir.path()).unwrap();
        let started = Instant::now();
        let status = self.command(file, workers, state.path()).stdout(Stdio::null()).status().unwrap();
        let time = started.elapsed();
        assert!(status.success(), "{status}");
        time
    }

    fn command(&self, file: &Path, workers: u32, state: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pigeon"));
        command.args(["process", "--quiet", "--items", "-v", "gexpr", "-o", "json"]);
        command.arg("-f").arg(file).arg("--workers").arg(workers.to_string()).arg("--state-dir").arg(state);
        // The cache lives with the bench: the first process fills it, and that is not counted.
        command.env("XDG_CACHE_HOME", self.dir.path().join("cache")).stderr(Stdio::null());
        command
    }

    /// The greatest resident memory of a process that judges a file, in MiB.
    fn peak(&self, file: &Path) -> u64 {
        let state = tempfile::tempdir_in(self.dir.path()).unwrap();
        let mut child = self.command(file, 2, state.path()).stdout(Stdio::null()).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        while child.try_wait().unwrap().is_none() {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
            peak = kib.unwrap_or(0).max(peak);
            std::thread::sleep(Duration::from_millis(20));
        }
        peak / 1024
    }

    /// The median of the disk's own fdatasync after a write of 4 KiB, in microseconds.
    fn fdatasync(&self) -> f64 {
        let mut file = File::create(self.dir.path().join("sync")).unwrap();
        let times = (0..200).map(|_| {
            file.write_all(&[7; 4096]).unwrap();
            let started = Instant::now();
            file.sync_data().unwrap();
            started.elapsed()
        });
        median(times.collect()).as_secs_f64() * 1e6
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
