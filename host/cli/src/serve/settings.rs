//! The settings of `pigeon serve`: one table says of each what it is called, what it means, and how it is read and
//! shown. The file, the environment, the flags and `--print-config` all go by it, so that none of them knows more or less
//! than the others.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use pigeon_control::{Config, rest::RestLimits};

use super::values::{Filter, HostPort, Kind, Names, Tls, Value};
use crate::units::Size;

/// All that can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) state_dir: Option<PathBuf>,
    pub(super) log: Filter,
    pub(super) agents_listen: SocketAddr,
    pub(super) agents_advertise: Option<HostPort>,
    pub(super) beat: Duration,
    pub(super) max_agents: usize,
    pub(super) certificates: Duration,
    pub(super) api_listen: SocketAddr,
    pub(super) tls: Tls,
    pub(super) names: Names,
    pub(super) connections: usize,
    pub(super) requests: usize,
    pub(super) streams: usize,
    pub(super) memory: Size,
    pub(super) body_cache: Size,
    pub(super) place_grace: Duration,
    pub(super) least_free: Size,
    pub(super) max_jobs: usize,
    pub(super) results: Duration,
    pub(super) bodies: bool,
    pub(super) max_size: Option<Size>,
    pub(super) events: Duration,
    pub(super) sweep_every: Duration,
    pub(super) deadline: Duration,
}

impl Default for Settings {
    /// What the control host and its API do if they are not told otherwise.
    fn default() -> Self {
        let agents_listen = SocketAddr::from(([0, 0, 0, 0], 4781));
        let config = Config::server(PathBuf::new(), agents_listen);
        let server = config.server.unwrap_or_default();
        let limits = RestLimits::default();
        Self {
            state_dir: None,
            log: Filter("info".to_owned()),
            agents_listen,
            agents_advertise: server.advertise.map(HostPort),
            beat: config.beat,
            max_agents: server.max_agents,
            certificates: server.agent_certificates,
            api_listen: SocketAddr::from(([127, 0, 0, 1], 4780)),
            tls: Tls::Auto,
            names: Names::default(),
            connections: limits.connections,
            requests: limits.requests,
            streams: limits.streams,
            memory: Size(limits.memory as u64),
            body_cache: Size(config.body_cache),
            place_grace: config.place_grace,
            least_free: Size(server.least_free),
            max_jobs: server.max_jobs,
            results: config.retention.results,
            bodies: config.retention.keep_bodies,
            max_size: config.retention.max_bytes.map(Size),
            events: config.retention.events,
            sweep_every: server.sweep_every,
            deadline: server.drain,
        }
    }
}

impl Settings {
    /// Whether the API is served over TLS.
    pub(super) fn serves_tls(&self) -> bool {
        match self.tls {
            Tls::Auto => !self.api_listen.ip().is_loopback(),
            Tls::On => true,
            Tls::Off => false,
        }
    }

    /// What clients of the API may take.
    pub(super) fn rest_limits(&self) -> RestLimits {
        RestLimits {
            connections: self.connections,
            requests: self.requests,
            streams: self.streams,
            memory: usize::try_from(self.memory.0).unwrap_or(usize::MAX),
            ..RestLimits::default()
        }
    }
}

/// One of them.
pub(super) struct Setting {
    /// Its name in the file: `section.name`, or `name` alone.
    pub(super) key: &'static str,
    /// What it means; a line of the file each.
    pub(super) about: &'static [&'static str],
    /// What may be said.
    pub(super) allowed: &'static str,
    /// How it stands in the file.
    pub(super) kind: Kind,
    /// Whether a server that runs takes another value when it is told to reload.
    pub(super) reloads: bool,
    /// Take a value; nothing if it is none that is allowed.
    pub(super) set: fn(&mut Settings, &str) -> Option<()>,
    /// The value as `set` takes it.
    pub(super) show: fn(&Settings) -> String,
}

impl Setting {
    /// Its name in the environment.
    pub(super) fn variable(&self) -> String {
        format!("PIGEON_{}", self.key.to_uppercase().replace(['.', '-'], "_"))
    }
}

/// When another value is taken: at once when a server that runs is told to reload, or not before it starts anew.
const RELOAD: bool = true;
const RESTART: bool = false;

/// The table: of each its name, the field, when another value is taken, and what it means. The rest is as the field's type
/// has it.
macro_rules! settings {
    ($($key:literal $field:ident $reloads:ident: $($about:literal)+;)+) => {
        &[$(Setting {
            key: $key,
            about: &[$($about),+],
            allowed: allowed(|settings| &settings.$field),
            kind: kind(|settings| &settings.$field),
            reloads: $reloads,
            set: |settings, text| Value::read(text).map(|value| settings.$field = value),
            show: |settings| settings.$field.show(),
        }),+]
    };
}

const fn allowed<T: Value>(_: fn(&Settings) -> &T) -> &'static str {
    T::ALLOWED
}

const fn kind<T: Value>(_: fn(&Settings) -> &T) -> Kind {
    T::KIND
}

/// The table, in the order of the file: what has no section first.
pub(super) const SETTINGS: &[Setting] = settings! {
    "state_dir" state_dir RESTART:
        "Where the queue, its results, the certificates and the admin token are kept; made if it is missing."
        "Not said: $STATE_DIRECTORY where systemd gives one, else $XDG_STATE_HOME/pigeon/serve.";
    "log" log RELOAD:
        "What is logged: error, warn, info, debug or trace, for parts of it as in info,pigeon_hub=debug.";
    "agents.listen" agents_listen RESTART:
        "Where agents connect: QUIC, which is UDP. Port 0 takes any that is free.";
    "agents.advertise" agents_advertise RELOAD:
        "How agents reach that place from where they are. Told along with each join token."
        "Not said: the name of this host, or the address that is listened on.";
    "agents.beat" beat RESTART:
        "Time between two signs of life of an agent. After some that did not come, its work is given to others.";
    "agents.max" max_agents RESTART:
        "Agents that may be in at once.";
    "agents.certificates" certificates RESTART:
        "How long an agent's certificate is good for. It is renewed when two thirds of that have passed, while the agent works on.";
    "api.listen" api_listen RESTART:
        "Where the REST API is served: TCP. Port 0 takes any that is free.";
    "api.tls" tls RESTART:
        "Whether it is served over TLS. auto: everywhere but on loopback. Off loopback it always is: tokens go over it.";
    "api.names" names RESTART:
        "Names and addresses by which clients reach it, for the certificate; those of this host are in it anyway.";
    "api.connections" connections RESTART:
        "Connections at once; more are closed as they come.";
    "api.requests" requests RESTART:
        "Requests under way at once that are answered soon; more are told to come back.";
    "api.streams" streams RESTART:
        "Requests at once that may go on for long (waits, results, events); more are told to come back.";
    "api.memory" memory RESTART:
        "Memory for what requests bring, of all of them together; more are told to come back.";
    "queue.body_cache" body_cache RESTART:
        "Memory for items that will be leased soon; the others wait on disk.";
    "queue.place_grace" place_grace RESTART:
        "How long the free worker places of a job of one item wait for agents that have none yet, before an agent takes"
        "a second one.";
    "queue.least_free" least_free RELOAD:
        "Room on the disk of the state folder below which the server takes no jobs, items and plugins, and calls itself"
        "not ready. What it has goes on.";
    "queue.max_jobs" max_jobs RELOAD:
        "Jobs that may be unfinished at once, those that are paused among them; more are told to come back. A job that"
        "waits takes some KiB of memory.";
    "retention.results" results RELOAD:
        "How long a job that has ended is kept, with its results. Dead letters go with their job.";
    "retention.bodies" bodies RELOAD:
        "Whether its items are kept as long; else only those of dead letters are.";
    "retention.max_size" max_size RELOAD:
        "How large the state folder may get. Beyond that the oldest jobs that have ended go first, whatever their age."
        "Not said: no bound.";
    "retention.events" events RELOAD:
        "How long the log of all that happened is kept.";
    "retention.sweep_every" sweep_every RELOAD:
        "How often what is over its time is removed.";
    "shutdown.deadline" deadline RELOAD:
        "How long going down in order may take: the API ends what it is at, agents deliver what they have, all is"
        "written. What has not ended by then is cut off; nothing that was acknowledged is lost.";
};

/// The setting of this name.
pub(super) fn setting(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}
