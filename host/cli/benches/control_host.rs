//! The control host as a server, measured from outside: the `pigeon` binary serves, agents are processes, and what is
//! measured goes through the typed client over HTTP on loopback. Beside each figure stands its baseline of the same run:
//! the disk's fdatasync, an HTTP request that does nothing, a plain file of the same bytes.
//!
//!     cargo bench -p pigeon --bench control_host [-- submit|bulk|figures]
#![expect(clippy::unwrap_used, reason = "a bench that fails may panic")]

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use bytes::Bytes;
use pigeon_api::{
    ChunkBuilder, Digest, JobFilter, JobId, JobRequest, Pigeon as _, Stop, Work,
    client::{Endpoint, RestClient, Trust},
};
use rustix::process::{Pid, Signal, kill_process};

const BODY: &[u8] = include_bytes!("../../../plugins/gexpr/examples/fibonacci.json");

/// Jobs a second, and how many of them, where single jobs are submitted.
const PACE: (u32, u32) = (100, 3_000);

/// Connections that they come by.
const CALLERS: u32 = 8;

/// Items of the bulk.
const ITEMS: u64 = 1_000_000;

#[tokio::main]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    // Beside the build, since a temporary folder may be in memory and would sync for nothing.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    println!("fdatasync of 4 KiB {:.0} us", fdatasync(dir.path()));
    if wants("submit") {
        submit(&dir.path().join("submit")).await;
    }
    if wants("bulk") {
        bulk(&dir.path().join("bulk")).await;
    }
    if wants("figures") {
        figures(&dir.path().join("figures")).await;
    }
}

/// A control host that serves, with its agents. It ends with this.
struct Host {
    dir: PathBuf,
    /// The server, where no agents are wanted; else `pigeon up` started it.
    server: Option<Child>,
    client: RestClient,
    token: String,
    api: String,
}

impl Host {
    async fn start(dir: &Path, agents: usize) -> Self {
        fs::create_dir_all(dir).unwrap();
        let mut command = Self::command(dir);
        let (server, state) = match agents {
            0 => {
                let state = dir.join("server");
                command.args(["serve", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--state-dir"]);
                (Some(command.arg(&state).spawn().unwrap()), state)
            }
            _ => {
                let agents = agents.to_string();
                assert!(command.args(["up", "--agents", &agents]).status().unwrap().success());
                (None, dir.join("state/pigeon/up/server"))
            }
        };
        let run = state.join("run.json");
        while !run.exists() {
            sleep(Duration::from_millis(10));
        }
        let run: serde_json::Value = serde_json::from_slice(&fs::read(run).unwrap()).unwrap();
        let api = run["api"].as_str().unwrap().to_owned();
        let token = fs::read_to_string(state.join("admin.token")).unwrap().trim().to_owned();
        let endpoint = Endpoint { server: api.clone(), token: Some(token.clone()), trust: Trust::System };
        let client = RestClient::new(endpoint).unwrap();
        Self { dir: dir.to_owned(), server, client, token, api }
    }

    /// The program, with all that it keeps below `dir`.
    fn command(dir: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pigeon"));
        for (variable, folder) in
            [("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config"), ("XDG_CACHE_HOME", "cache")]
        {
            command.env(variable, dir.join(folder));
        }
        command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
        command
    }

    async fn plugin(&self, name: &str) -> Digest {
        self.client.plugin(name).await.unwrap().digest
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        match &mut self.server {
            Some(server) => {
                kill_process(Pid::from_child(server), Signal::TERM).unwrap();
                server.wait().unwrap();
            }
            None => assert!(Self::command(&self.dir).args(["down", "--purge"]).status().unwrap().success()),
        }
    }
}

/// An HTTP connection that asks one thing after another.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn new(api: &str) -> Self {
        let stream = TcpStream::connect(api.trim_start_matches("http://")).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// How long it takes until all of the answer is there.
    fn ask(&mut self, what: &str, headers: &str, body: &str) -> Duration {
        let size = body.len();
        let request = format!("{what} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {size}\r\n\r\n{body}");
        let started = Instant::now();
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut line, mut size) = (String::new(), 0);
        self.0.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 20"), "{line}");
        while line != "\r\n" {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                size = value.trim().parse().unwrap();
            }
        }
        self.0.read_exact(&mut vec![0; size]).unwrap();
        started.elapsed()
    }
}

/// Jobs of one item, at a steady pace, while an agent judges them: from the call to the answer that they are on disk. Beside
/// them, at the same pace, plain files are written and synced: a disk that stalls for a while stalls both.
async fn submit(dir: &Path) {
    let host = Host::start(dir, 1).await;
    let plugin = host.plugin("echo").await;
    let (a_second, count) = PACE;
    let begun = Instant::now();
    let due = move |number: u32| {
        let due = begun + Duration::from_secs(1) * number / a_second;
        sleep(due.saturating_duration_since(Instant::now()));
    };
    let disks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            // Of a file that has its length, as the write-ahead log: the file system has nothing to write down of it.
            let file = File::create(dir.join(format!("sync-{caller}"))).unwrap();
            file.write_all_at(&[7; 4096], 0).unwrap();
            file.sync_all().unwrap();
            std::thread::spawn(move || {
                let writes = (caller..count).step_by(CALLERS as usize).map(|number| {
                    due(number);
                    let started = Instant::now();
                    file.write_all_at(&[7; 4096], 0).unwrap();
                    file.sync_data().unwrap();
                    started.elapsed()
                });
                writes.collect::<Vec<_>>()
            })
        })
        .collect();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let mut connection = Connection::new(&host.api);
            let job = serde_json::json!({ "plugin": plugin.to_string(), "items": ["hello"] }).to_string();
            let authorization = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", host.token);
            std::thread::spawn(move || {
                let numbers = (caller..count).step_by(CALLERS as usize);
                let calls = numbers.map(|number| {
                    due(number);
                    let submitted = connection.ask("POST /api/v1/jobs", &authorization, &job);
                    (submitted, connection.ask("GET /health", "", ""))
                });
                calls.collect::<Vec<_>>()
            })
        })
        .collect();
    let calls = callers.into_iter().flat_map(|caller| caller.join().unwrap());
    let (mut submits, mut pings): (Vec<_>, Vec<_>) = calls.unzip();
    let mut syncs: Vec<_> = disks.into_iter().flat_map(|disk| disk.join().unwrap()).collect();
    let measured =
        [("an empty request", &mut pings), ("a plain write, synced", &mut syncs), ("submit of one item", &mut submits)];
    for (name, times) in measured {
        times.sort();
        let ms = |per_mille: usize| times[times.len() * per_mille / 1000].as_secs_f64() * 1e3;
        let (p50, p95, p99) = (ms(500), ms(950), ms(990));
        println!("{name:<28} p50 {p50:>5.2} ms, p95 {p95:>5.2} ms, p99 {p99:>6.2} ms, at {a_second} jobs/s");
    }
}

/// A million items into one job that nobody works at, against a file of the same bytes that is synced as often.
async fn bulk(dir: &Path) {
    let host = Host::start(dir, 0).await;
    let plugin = host.plugin("gexpr").await;
    let mut rates = Vec::new();
    let mut plain = Vec::new();
    for _ in 0..3 {
        let started = Instant::now();
        let job = fill(&host.client, plugin, ITEMS, 1).await;
        rates.push(ITEMS as f64 / started.elapsed().as_secs_f64());
        plain.push(ITEMS as f64 / write_plainly(dir).as_secs_f64());
        host.client.stop(job, Stop::Cancel).await.unwrap();
    }
    let (rate, plain) = (median(rates), median(plain));
    println!("a plain file, synced         {plain:>9.0} items/s of {} bytes", BODY.len());
    println!("bulk submit, durable         {rate:>9.0} items/s, {:.2} of the plain file", rate / plain);
}

/// A job of ten million runs: what it takes to look at it.
async fn figures(dir: &Path) {
    let host = Host::start(dir, 2).await;
    let plugin = host.plugin("echo").await;
    let started = Instant::now();
    let job = fill(&host.client, plugin, ITEMS, 10).await;
    while !host.client.job(job).await.unwrap().state.is_final() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!(
        "{} runs over REST and QUIC    {:>9.0} runs/s",
        ITEMS * 10,
        ITEMS as f64 * 10.0 / started.elapsed().as_secs_f64()
    );
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..20 {
        let clock = Instant::now();
        host.client.jobs(JobFilter::default()).await.unwrap();
        times[0].push(clock.elapsed().as_secs_f64() * 1e3);
        let clock = Instant::now();
        host.client.job(job).await.unwrap();
        times[1].push(clock.elapsed().as_secs_f64() * 1e3);
        let clock = Instant::now();
        host.client.stats().await.unwrap();
        times[2].push(clock.elapsed().as_secs_f64() * 1e3);
        let clock = Instant::now();
        host.client.status().await.unwrap();
        times[3].push(clock.elapsed().as_secs_f64() * 1e3);
    }
    for (name, times) in ["the list of jobs", "the job", "stats", "status"].into_iter().zip(times) {
        let most = times.iter().copied().fold(0.0, f64::max);
        println!("{name:<28} p50 {:>6.2} ms, most {most:>6.2} ms", median(times));
    }
}

/// A job with so many items of the example, sealed.
async fn fill(client: &RestClient, plugin: Digest, items: u64, iterations: u32) -> JobId {
    let job = client.submit(JobRequest::new(plugin, Work::Many { iterations, workers: None })).await.unwrap();
    let mut builder = ChunkBuilder::new(0, 0);
    for number in 0..items {
        if builder.is_full_for(BODY.len()) {
            client.append(job, builder.finish(Bytes::new())).await.unwrap();
        }
        builder.push(|id| id.extend_from_slice(number.to_string().as_bytes()), number + 1, BODY);
    }
    client.append(job, builder.finish(Bytes::new())).await.unwrap();
    client.seal(job).await.unwrap();
    job
}

/// The time to write the bytes of the bulk into a file, synced after each MiB.
fn write_plainly(dir: &Path) -> Duration {
    let path = dir.join("plain");
    let mut file = File::create(&path).unwrap();
    let piece = BODY.repeat((1 << 20) / BODY.len());
    let pieces = ITEMS as usize * BODY.len() / piece.len();
    let started = Instant::now();
    for _ in 0..pieces {
        file.write_all(&piece).unwrap();
        file.sync_data().unwrap();
    }
    let time = started.elapsed();
    fs::remove_file(path).unwrap();
    time
}

/// The median of the disk's own fdatasync after a write of 4 KiB, in microseconds.
fn fdatasync(dir: &Path) -> f64 {
    let mut file = File::create(dir.join("sync")).unwrap();
    let times = (0..200).map(|_| {
        file.write_all(&[7; 4096]).unwrap();
        let started = Instant::now();
        file.sync_data().unwrap();
        started.elapsed().as_secs_f64() * 1e6
    });
    median(times.collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
