//! What a control host is told before it is built.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use pigeon_hub::ca::AGENT_CERTIFICATE_LIFETIME;
use pigeon_store::Retention;

/// How a control host is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the queue and the registry live. Made if it is missing.
    pub state_dir: PathBuf,
    /// Where agents connect (UDP); port 0 for any.
    pub listen: SocketAddr,
    /// Time between two beats of an agent; at most 30 s. One that is silent for three of them is gone.
    pub beat: Duration,
    /// Bytes of a job's items that may be appended and not yet judged before an append has to wait.
    /// One that serves takes what comes, however long no agent is there: it is on disk.
    pub backlog: u64,
    /// Bytes of item bodies kept in memory for the leases to come, shared out among the jobs under way. What does not fit
    /// is read back from disk.
    pub body_cache: u64,
    /// Outcomes that may wait for the disk at once, in messages of an agent.
    pub unrecorded: usize,
    /// How long things are kept.
    pub retention: Retention,
    /// How long the store of an embedded control host may be swept on the way out; what is left then, the next process
    /// sweeps. One that serves sweeps while it runs.
    pub sweep: Duration,
    /// How long free worker places wait for agents that have none yet, so that each of the workers of a job of one item
    /// gets its own.
    pub place_grace: Duration,
    /// What only a control host that serves many is told. None: it is embedded in the process of its one client.
    pub server: Option<ServerSettings>,
}

/// What a control host that serves many is told besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where agents are told to connect: `HOST:PORT`. The address that is listened on, if not said; it must be said where
    /// that is no address that others can reach, such as 0.0.0.0.
    pub advertise: Option<String>,
    /// Most agents connected at once.
    pub max_agents: usize,
    /// How long agents' certificates are good for: a day, if nothing else is said. Agents renew them when two thirds of that
    /// have passed, without leaving, and one that was away for longer when it comes back, for 30 days. What is stolen of an
    /// agent that is not revoked is good for so long, so less is better as long as agents find the control host in time.
    pub agent_certificates: Duration,
    /// Time between two sweeps, which remove what [`Config::retention`] need not keep.
    pub sweep_every: Duration,
    /// How long going down may take: so long agents may bring in what they have, and writes may reach the disk.
    pub drain: Duration,
    /// Bytes that have to be free on the disk of the state directory for this control host to take jobs, items and plugins,
    /// and to call itself ready.
    pub least_free: u64,
    /// Most jobs that are not finished; more are refused until some have ended.
    pub max_jobs: usize,
    /// Whether another token of the role `admin` is made, as the first start does, if that in `admin.token` is good no
    /// more: for whoever has the state directory, and no token.
    pub new_admin_token: bool,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            advertise: None,
            max_agents: 10_000,
            agent_certificates: AGENT_CERTIFICATE_LIFETIME,
            sweep_every: Duration::from_secs(600),
            drain: Duration::from_secs(30),
            least_free: 64 << 20,
            max_jobs: 1_000_000,
            new_admin_token: false,
        }
    }
}

impl Config {
    /// A control host inside the process of its client, for agents of the same machine: any free port on loopback.
    pub fn embedded(state_dir: PathBuf) -> Self {
        // Enough for every core to have a batch and the next one, and for those that are read meanwhile.
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let backlog = (cores * (16 << 20)).clamp(32 << 20, 256 << 20);
        Self {
            state_dir,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            beat: Duration::from_secs(2),
            backlog,
            body_cache: backlog / 2 * 3,
            unrecorded: 256,
            retention: Retention::default(),
            sweep: Duration::from_millis(100),
            place_grace: Duration::from_millis(500),
            server: None,
        }
    }

    /// A control host that many clients and agents share: the state directory is its own alone, its CA, keys and tokens
    /// are kept there, and it works at every job that is not finished.
    pub fn server(state_dir: PathBuf, listen: SocketAddr) -> Self {
        Self {
            listen,
            beat: Duration::from_secs(5),
            backlog: u64::MAX,
            body_cache: 384 << 20,
            unrecorded: 4096,
            place_grace: Duration::from_secs(2),
            server: Some(ServerSettings::default()),
            ..Self::embedded(state_dir)
        }
    }

    /// Where agents are told to connect, if the hub listens there.
    pub(crate) fn hub(&self, listened: SocketAddr) -> String {
        let said = self.server.as_ref().and_then(|server| server.advertise.clone());
        said.unwrap_or_else(|| listened.to_string())
    }

    /// Bytes that have to be free on the disk of the state directory; 0 where that does not matter.
    pub(crate) fn least_free(&self) -> u64 {
        self.server.as_ref().map_or(0, |server| server.least_free)
    }

    /// Most jobs that are not finished.
    pub(crate) fn max_jobs(&self) -> usize {
        self.server.as_ref().map_or(usize::MAX, |server| server.max_jobs)
    }

    /// Take over what can be changed while a control host runs. Gives the names of the settings that differ as well.
    pub(crate) fn take_over(&mut self, new: Config) -> Vec<&'static str> {
        (self.retention, self.backlog) = (new.retention, new.backlog);
        let mut differ = Vec::new();
        let mut compare = |name, same: bool| {
            if !same {
                differ.push(name)
            }
        };
        compare("state_dir", self.state_dir == new.state_dir);
        compare("listen", self.listen == new.listen);
        compare("beat", self.beat == new.beat);
        compare("body_cache", self.body_cache == new.body_cache);
        compare("unrecorded", self.unrecorded == new.unrecorded);
        compare("place_grace", self.place_grace == new.place_grace);
        if let (Some(server), Some(new)) = (&mut self.server, new.server) {
            compare("max_agents", server.max_agents == new.max_agents);
            compare("agent_certificates", server.agent_certificates == new.agent_certificates);
            let (max_agents, agent_certificates) = (server.max_agents, server.agent_certificates);
            *server = ServerSettings { max_agents, agent_certificates, ..new };
        }
        differ
    }
}
