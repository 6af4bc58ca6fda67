//! A server and its agents, each a process of its own, and the links between them.
//!
//! Each has what a machine would have: the server a disk (a small file system on which its state folder lies), each agent a
//! network (a name space that a pair of interfaces joins to the server's). What lives in here ends with it.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{Arc, Mutex as Plain},
    time::{Duration, Instant},
};

use pigeon_api::client::{Endpoint, RestClient, Trust};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::sleep,
};

use crate::{
    common::{PIGEON, Place},
    draws::Draws,
    plan::{AGENTS, BEAT},
    relay::{Relay, Toll},
    room::Powers,
    run, try_run,
};

/// Far longer than anything takes: what is not there by then never comes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A process that has begun so lately may not have come to hear signals.
const NEW: Duration = Duration::from_secs(5);

/// Between two looks at what does not tell by itself.
const LOOK: Duration = Duration::from_millis(5);

/// The program of the agents. It lies beside the other, where every build of the workspace puts it.
const AGENT: &str = "pigeon-agent";

/// Size of the server's disk.
pub(crate) const DISK: &str = "4g";

pub(crate) struct World {
    pub(crate) place: Place,
    pub(crate) powers: Powers,
    pub(crate) server: Mutex<Server>,
    pub(crate) agents: Vec<Mutex<Agent>>,
    pub(crate) toll: Arc<Toll>,
    pub(crate) api: SocketAddr,
    /// What should never have happened, in words.
    complaints: Plain<Vec<String>>,
}

/// A process that ends with us, and writes a log.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    began: Instant,
}

pub(crate) struct Server {
    pub(crate) process: Option<Process>,
    /// Where the API and the hub are.
    at: (SocketAddr, SocketAddr),
    pub(crate) starts: u64,
}

pub(crate) struct Agent {
    pub(crate) process: Option<Process>,
    pub(crate) relay: Relay,
    number: usize,
    pub(crate) kills: u64,
}

impl World {
    /// All of it, running.
    pub(crate) async fn start(powers: Powers, draws: &Draws) -> Self {
        let place = Place::new();
        // As they are now: whoever builds meanwhile changes nothing here.
        let pigeon = Path::new(PIGEON);
        for program in [pigeon, &pigeon.with_file_name(AGENT)] {
            assert!(program.exists(), "{} is missing: build the whole workspace", program.display());
            fs::copy(program, place.dir.path().join(program.file_name().unwrap())).unwrap();
        }
        fs::create_dir(place.dir.path().join("host")).unwrap();
        if powers.room {
            run(&format!("mount -t tmpfs -o size={DISK} none '{}'", place.dir.path().join("host").display()));
        }
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Server { process: None, at: (any, any), starts: 0 };
        server.start(&place).await;
        place.run_to_end(&["context", "add", "here", "--state-dir", "host", "--use"]);
        place.run_to_end(&["token", "join", "--uses", &AGENTS.to_string(), "--out", "agents.token"]);
        let (at, toll) = (server.at, Arc::new(Toll::default()));
        let mut agents = Vec::new();
        for number in 0..AGENTS {
            let near = if powers.room { network(number) } else { any };
            let relay = Relay::start(near, at.1, draws.fork(100 + number as u64), toll.clone()).await;
            let mut agent = Agent { process: None, relay, number, kills: 0 };
            agent.start(&place, powers);
            agents.push(Mutex::new(agent));
        }
        let server = Mutex::new(server);
        Self { place, powers, server, agents, toll, api: at.0, complaints: Plain::default() }
    }

    pub(crate) fn host(&self) -> PathBuf {
        self.place.dir.path().join("host")
    }

    /// A client with the server's own token.
    pub(crate) fn client(&self) -> RestClient {
        let token = Some(self.place.read("host/admin.token").trim().to_owned());
        RestClient::new(Endpoint { server: format!("http://{}", self.api), token, trust: Trust::System })
            .unwrap()
            .with_patience(LONG)
    }

    pub(crate) async fn agent(&self, number: usize) -> MutexGuard<'_, Agent> {
        self.agents[number].lock().await
    }

    pub(crate) fn complain(&self, complaint: impl Into<String>) {
        let complaint = complaint.into();
        eprintln!("WRONG: {complaint}");
        self.complaints.lock().unwrap().push(complaint);
    }

    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    /// See that nobody died of himself.
    pub(crate) async fn look(&self) {
        if let Ok(mut server) = self.server.try_lock()
            && let Some(how) = server.process.as_mut().and_then(Process::has_ended)
        {
            self.complain(format!("the server ended by itself: {how}"));
            server.process = None;
            server.start(&self.place).await;
        }
        for agent in &self.agents {
            let Ok(mut agent) = agent.try_lock() else { continue };
            if let Some(how) = agent.process.as_mut().and_then(Process::has_ended) {
                self.complain(format!("agent {} ended by itself: {how}", agent.number));
                agent.start(&self.place, self.powers);
            }
        }
    }

    /// The end of what each said last.
    pub(crate) async fn last_words(&self) -> String {
        let mut words = String::new();
        let mut say = |who: String, process: &Option<Process>| {
            if let Some(process) = process {
                words += &format!("---- {who}\n{}\n", process.last_words());
            }
        };
        say("server".to_owned(), &self.server.lock().await.process);
        for (number, agent) in self.agents.iter().enumerate() {
            say(format!("agent {number}"), &agent.lock().await.process);
        }
        words
    }
}

impl Drop for World {
    /// A folder on which a file system is mounted would stay, with all that lies beside it.
    fn drop(&mut self) {
        if self.powers.room {
            let _ = try_run(&format!("umount --lazy '{}'", self.host().display()));
        }
    }
}

/// A network for an agent; where the server's end of it is.
fn network(number: usize) -> SocketAddr {
    run(&format!(
        "ip netns add agent{number}
         ip link add link{number} type veth peer name wire netns agent{number}
         ip addr add 10.0.{number}.1/24 dev link{number}
         ip link set link{number} up
         ip -n agent{number} addr add 10.0.{number}.2/24 dev wire
         ip -n agent{number} link set wire up
         ip -n agent{number} link set lo up"
    ));
    SocketAddr::from(([10, 0, u8::try_from(number).unwrap(), 1], 4781))
}

impl Process {
    fn start(place: &Place, name: &str, mut command: Command) -> Self {
        let log = place.dir.path().join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Self { child, log, began: Instant::now() }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// How it ended, and what it said last; nothing if it goes on.
    pub(crate) fn has_ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().unwrap()?;
        Some(format!("{status}\n{}", self.last_words()))
    }

    /// Told to stop, it ends well; how it ended if it does not. One that has just begun may not listen yet.
    pub(crate) async fn stop(mut self) -> Result<(), String> {
        let is_new = self.began.elapsed() < NEW;
        self.signal(Signal::TERM);
        let deadline = Instant::now() + LONG;
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) if status.success() => return Ok(()),
                Some(status) if is_new && status.signal() == Some(Signal::TERM.as_raw()) => return Ok(()),
                Some(status) => return Err(format!("{status}\n{}", self.last_words())),
                None if Instant::now() > deadline => return Err(format!("it goes on\n{}", self.last_words())),
                None => sleep(LOOK).await,
            }
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Process {
    /// SIGKILL, unless it has ended.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Start where it was before, and wait until it serves.
    pub(crate) async fn start(&mut self, place: &Place) {
        let (api, hub) = (self.at.0.to_string(), self.at.1.to_string());
        let mut command = place.program(place.dir.path().join("pigeon"));
        command.args(["serve", "--state-dir", "host", "--listen", &hub, "--api-listen", &api]);
        command.env("PIGEON_AGENTS_BEAT", format!("{}ms", BEAT.as_millis())).env("PIGEON_QUEUE_PLACE_GRACE", "1s");
        let mut process = Process::start(place, "serve", command);
        let deadline = Instant::now() + LONG;
        let running = loop {
            if let Some(how) = process.has_ended() {
                panic!("the server does not start: {how}");
            }
            assert!(Instant::now() < deadline, "the server does not serve:\n{}", process.last_words());
            match running(place).filter(|running| running["pid"] == process.child.id()) {
                Some(running) => break running,
                None => sleep(LOOK).await,
            }
        };
        let api = running["api"].as_str().unwrap().trim_start_matches("http://");
        self.at = (api.parse().unwrap(), running["agents"].as_str().unwrap().parse().unwrap());
        self.process = Some(process);
        self.starts += 1;
    }
}

/// What the server says of itself.
fn running(place: &Place) -> Option<Value> {
    serde_json::from_slice(&fs::read(place.dir.path().join("host/run.json")).ok()?).ok()
}

impl Agent {
    /// Start with its state folder, if it has one by now.
    pub(crate) fn start(&mut self, place: &Place, powers: Powers) {
        let (name, hub) = (format!("agent-{}", self.number), self.relay.address().to_string());
        let agent = place.dir.path().join(AGENT);
        let mut command = match powers.room {
            true => place.program("nsenter"),
            false => place.program(&agent),
        };
        if powers.room {
            command.arg(format!("--net=/run/netns/agent{}", self.number)).arg(&agent);
        }
        // What is compiled is shared: compiling is not what is tested.
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
        fs::create_dir_all(&shared).unwrap();
        command.args(["--hub", &hub, "--name", &name, "--slots", "2", "--state-dir", &name]);
        command.args(["--token-file", "agents.token"]);
        command.arg("--cache-dir").arg(shared.join("cache")).arg("--cache-key").arg(shared.join("cache.key"));
        self.process = Some(Process::start(place, &name, command));
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process = None;
        self.kills += 1;
    }

    pub(crate) fn link(&self) -> String {
        format!("link{}", self.number)
    }
}

impl Place {
    fn run_to_end(&self, args: &[&str]) {
        let output = self.program(self.dir.path().join("pigeon")).args(args).output().unwrap();
        assert!(output.status.success(), "`pigeon {}`: {output:?}", args.join(" "));
    }
}
