//! The server: a process of its own, looked at from outside.

use std::{
    env, fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use bytes::Bytes;
use pigeon_api::{
    ChunkBuilder, JobId, JobRequest, JoinSpec, NewJoinToken, Pigeon as _, Work,
    client::{Endpoint, RestClient, Trust},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

/// A server that runs, and ends with this.
pub(crate) struct Server {
    process: Child,
    pub(crate) client: RestClient,
    /// Where the client's requests are made.
    pub(crate) runtime: Runtime,
    _dir: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start(beat: Duration) -> Self {
        // Beside the build, since a temporary folder may be in memory and would sync for nothing.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let state: PathBuf = dir.path().join("server");
        let program = env::var_os("FLEET_SERVER").unwrap_or_else(|| env!("CARGO_BIN_EXE_pigeon").into());
        let mut command = Command::new(program);
        for variable in ["XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
            command.env(variable, dir.path().join(variable));
        }
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--state-dir"])
            .arg(&state)
            .env("PIGEON_AGENTS_BEAT", format!("{}ms", beat.as_millis()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .stdin(Stdio::null());
        let mut process = command.spawn().unwrap();
        let run = state.join("run.json");
        while !run.exists() {
            assert!(process.try_wait().unwrap().is_none(), "the server did not come up");
            sleep(Duration::from_millis(10));
        }
        let run: serde_json::Value = serde_json::from_slice(&fs::read(run).unwrap()).unwrap();
        let token = fs::read_to_string(state.join("admin.token")).unwrap().trim().to_owned();
        let server = run["api"].as_str().unwrap().to_owned();
        let client = RestClient::new(Endpoint { server, token: Some(token), trust: Trust::System }).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { process, client, runtime, _dir: dir }
    }

    /// A token with which so many agents may join.
    pub(crate) fn join_token(&self, uses: usize) -> NewJoinToken {
        let spec = JoinSpec { uses: uses as u32, ttl_ms: 600_000, labels: Vec::new() };
        self.runtime.block_on(self.client.create_join_token(spec)).unwrap()
    }

    /// A job of so many small items, sealed.
    pub(crate) fn submit(&self, items: usize) -> JobId {
        self.runtime.block_on(async {
            let plugin = self.client.plugin("echo").await.unwrap().digest;
            let request = JobRequest::new(plugin, Work::Many { iterations: 1, workers: None });
            let job = self.client.submit(request).await.unwrap();
            let mut builder = ChunkBuilder::new(0, 0);
            for number in 1..=items as u64 {
                if builder.is_full_for(1) {
                    self.client.append(job, builder.finish(Bytes::new())).await.unwrap();
                }
                builder.push(|id| id.extend_from_slice(number.to_string().as_bytes()), number, b"1");
            }
            self.client.append(job, builder.finish(Bytes::new())).await.unwrap();
            self.client.seal(job).await.unwrap();
            job
        })
    }

    /// Wait until a job has ended, and see that each of its items has one valid outcome.
    pub(crate) fn finish(&self, job: JobId, items: usize) {
        let status = self.runtime.block_on(async {
            loop {
                let status = self.client.job(job).await.unwrap();
                if status.state.is_final() {
                    break status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert_eq!((status.total_runs, status.valid), (items as u64, items as u64));
    }

    /// Resident memory, in KiB.
    pub(crate) fn rss(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Resident memory once it has stood still for two seconds, within 64 KiB.
    pub(crate) fn settled_rss(&self) -> u64 {
        let begun = Instant::now();
        let (mut since, mut seen) = (begun, self.rss());
        while since.elapsed() < Duration::from_secs(2) && begun.elapsed() < Duration::from_secs(10) {
            sleep(Duration::from_millis(100));
            let now = self.rss();
            if now.abs_diff(seen) > 64 {
                (since, seen) = (Instant::now(), now);
            }
        }
        self.rss()
    }

    /// CPU time so far, user and system.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        // Behind the name, which may hold anything, stand the state and the fields from the fourth on.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = [11, 12].map(|at: usize| fields[at].parse::<u64>().unwrap()).iter().sum();
        Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        self.process.wait().unwrap();
    }
}
