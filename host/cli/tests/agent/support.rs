//! A control host, and agents that are processes of their own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use pigeon_api::{
    ChunkBuilder, JobEvent, JobId, JobRequest, JobState, JobStatus, Landed, Pigeon, RunResult, Verdict, Watch, Work,
};
use pigeon_cli::inspector::RuntimeInspector;
use pigeon_control::{App, Config};
use pigeon_runtime::{Runtime, RuntimeConfig};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// Far longer than anything takes: what is not there by then never comes.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// Between two looks at what does not tell by itself.
const LOOK: Duration = Duration::from_millis(10);

/// The binary. It lies beside `pigeon`, where every build of the workspace puts it.
pub(crate) fn binary() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_pigeon")).with_file_name("pigeon-agent");
    assert!(path.exists(), "{} is missing: build the whole workspace", path.display());
    path
}

/// A control host without agents.
pub(crate) struct Host {
    pub(crate) dir: TempDir,
    app: App,
    client: Arc<dyn Pigeon>,
}

impl Host {
    pub(crate) async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let inspector = Arc::new(RuntimeInspector::new(Runtime::new(RuntimeConfig::default()).unwrap()));
        let app = App::build(Config::embedded(dir.path().join("host")), inspector).await.unwrap();
        Self { dir, client: app.client(), app }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file with a join token that is good for so many uses.
    pub(crate) fn token(&self, uses: u32) -> PathBuf {
        let path = self.path("token");
        fs::write(&path, self.app.join_token(uses, LONG).unwrap().reveal()).unwrap();
        path
    }

    /// An agent of one slot with a state folder of its own, and nothing of our environment.
    pub(crate) fn agent(&self, name: &str) -> Command {
        let mut command = Command::new(binary());
        command
            .args(["--hub", &self.app.hub_address().to_string(), "--name", name, "--slots", "1"])
            .arg("--state-dir")
            .arg(self.path(name))
            .env_clear()
            .stdin(Stdio::null());
        command
    }

    /// An agent that enrols with a token of its own, running.
    pub(crate) fn started(&self, name: &str) -> Agent {
        let mut command = self.agent(name);
        command.arg("--token-file").arg(self.token(1));
        self.start_as(command)
    }

    pub(crate) fn start_as(&self, mut command: Command) -> Agent {
        let log = self.path("agent.log");
        let log = (0..).map(|number| log.with_extension(number.to_string())).find(|log| !log.exists()).unwrap();
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Agent { child: command.spawn().unwrap(), log }
    }

    /// A job of these deeds of the hostile guest, a run each.
    pub(crate) async fn job(&self, deeds: &[&str]) -> JobId {
        let plugin = self.client.publish(Bytes::from_static(pigeon_plugins::HOSTILE)).await.unwrap().digest;
        let mut request = JobRequest::new(plugin, Work::Many { iterations: 1, workers: None });
        request.options.insert("do".to_owned(), "body".to_owned());
        let job = self.client.submit(request).await.unwrap();
        let mut builder = ChunkBuilder::new(0, 0);
        for (line, deed) in (1..).zip(deeds) {
            builder.push(|id| id.extend_from_slice(line.to_string().as_bytes()), line, deed.as_bytes());
        }
        self.client.append(job, builder.finish(Bytes::new())).await.unwrap();
        self.client.seal(job).await.unwrap();
        job
    }

    pub(crate) async fn runs(&self, job: JobId) -> Runs {
        Runs(self.client.watch(job, Watch { runs: true, ..Watch::default() }).await.unwrap())
    }

    /// Waits for its end: every run was made, and was valid.
    pub(crate) async fn all_valid(&self, job: JobId) -> JobStatus {
        let mut runs = self.runs(job).await;
        while runs.next().await.is_some() {}
        let status = self.client.job(job).await.unwrap();
        assert_eq!(status.state, JobState::Finished);
        assert_eq!((status.total_runs, status.valid), (status.planned_runs, status.planned_runs));
        status
    }

    /// Runs with an outcome so far.
    pub(crate) async fn landed(&self, job: JobId) -> u64 {
        self.client.job(job).await.unwrap().total_runs
    }

    pub(crate) async fn stop(self) {
        self.app.drain(Duration::from_secs(5)).await;
    }
}

/// Runs of a job as they land.
pub(crate) struct Runs(BoxStream<'static, pigeon_api::Result<JobEvent>>);

impl Runs {
    /// The next ones; `None` when the job has finished.
    pub(crate) async fn next(&mut self) -> Option<Vec<RunResult>> {
        loop {
            match timeout(LONG, self.0.next()).await.unwrap().unwrap().unwrap() {
                JobEvent::Landed(Landed { runs, .. }) => {
                    assert!(runs.iter().all(|run| run.verdict == Verdict::Valid), "{runs:?}");
                    return Some(runs);
                }
                JobEvent::Finished(_) => return None,
                JobEvent::Progress(_) | JobEvent::Note(_) => {}
            }
        }
    }
}

/// An agent that does not outlive the test.
pub(crate) struct Agent {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Agent {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(LONG, async {
            loop {
                match self.child.try_wait().unwrap() {
                    Some(status) => return status,
                    None => sleep(LOOK).await,
                }
            }
        });
        ended.await.unwrap_or_else(|_| panic!("it goes on: {}", fs::read_to_string(&self.log).unwrap()))
    }

    /// Told to stop, it ends well.
    pub(crate) async fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// What it has said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it says this.
    pub(crate) async fn says(&self, words: &str) {
        let said = timeout(LONG, async {
            while !self.log().contains(words) {
                sleep(LOOK).await;
            }
        });
        said.await.unwrap_or_else(|_| panic!("it never said {words:?}: {}", self.log()));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
