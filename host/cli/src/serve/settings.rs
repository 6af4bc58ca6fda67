//! The settings of `pigeon serve`: one table says of each what it is called, what it means, and how it is read and
//! shown. The file, the environment, the flags and `--print-config` all go by it, so that none of them knows more or less
//! than the others.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use pigeon_control::{Config, rest::RestLimits};

use crate::units::{self, Size};

/// All that can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) state_dir: Option<PathBuf>,
    pub(super) log: String,
    pub(super) agents_listen: SocketAddr,
    pub(super) agents_advertise: Option<String>,
    pub(super) beat: Duration,
    pub(super) max_agents: usize,
    pub(super) certificates: Duration,
    pub(super) api_listen: SocketAddr,
    pub(super) tls: Tls,
    pub(super) names: Vec<String>,
    pub(super) connections: usize,
    pub(super) requests: usize,
    pub(super) streams: usize,
    pub(super) memory: Size,
    pub(super) body_cache: Size,
    pub(super) place_grace: Duration,
    pub(super) least_free: Size,
    pub(super) results: Duration,
    pub(super) bodies: bool,
    pub(super) max_size: Option<Size>,
    pub(super) events: Duration,
    pub(super) sweep_every: Duration,
    pub(super) deadline: Duration,
}

/// Whether the API is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    /// Wherever it can be heard from another machine.
    Auto,
    On,
    Off,
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
            log: "info".to_owned(),
            agents_listen,
            agents_advertise: server.advertise,
            beat: config.beat,
            max_agents: server.max_agents,
            certificates: server.agent_certificates,
            api_listen: SocketAddr::from(([127, 0, 0, 1], 4780)),
            tls: Tls::Auto,
            names: Vec::new(),
            connections: limits.connections,
            requests: limits.requests,
            streams: limits.streams,
            memory: Size(limits.memory as u64),
            body_cache: Size(config.body_cache),
            place_grace: config.place_grace,
            least_free: Size(server.least_free),
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

/// How a value stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `"text"`
    Text,
    /// `7`
    Number,
    /// `true`
    Flag,
    /// `["text", "text"]`; elsewhere with commas between.
    List,
}

impl Setting {
    /// Its name in the environment.
    pub(super) fn variable(&self) -> String {
        format!("PIGEON_{}", self.key.to_uppercase().replace(['.', '-'], "_"))
    }
}

const DURATION: &str = "a number and a unit, such as 500ms, 10s, 2m, 1h or 7d";
const COUNT: &str = "a whole number from 1 on";
const SIZE: &str = "a number and a unit, such as 64MiB, 1GiB or 500GB";

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

fn host_and_port(text: &str) -> Option<Option<String>> {
    if text.is_empty() {
        return Some(None);
    }
    let (host, port) = text.rsplit_once(':')?;
    let sound =
        !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port > 0);
    sound.then(|| Some(text.to_owned()))
}

/// Whether a certificate can be made for it: a name of DNS, or an address.
fn is_name(text: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let label = |label: &str| !label.is_empty() && label.len() <= 63 && label.chars().all(sound);
    text.parse::<IpAddr>().is_ok() || text.strip_prefix("*.").unwrap_or(text).split('.').all(label)
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn time(text: &str) -> Option<Duration> {
    units::duration(text).ok()
}

fn count(text: &str) -> Option<usize> {
    text.parse().ok().filter(|count| *count > 0)
}

/// A filter of the log: it is read again where it is used, and must not fail there.
fn filter(text: &str) -> Option<String> {
    text.parse::<tracing_subscriber::EnvFilter>().ok().and_then(|_| some_text(text))
}

/// The table, in the order of the file: what has no section first.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "state_dir",
        about: &[
            "Where the queue, its results, the certificates and the admin token are kept; made if it is missing.",
            "Not said: $STATE_DIRECTORY where systemd gives one, else $XDG_STATE_HOME/pigeon/serve.",
        ],
        allowed: "the path of a folder",
        kind: Kind::Text,
        reloads: false,
        set: |settings, text| {
            settings.state_dir = some_text(text).map(PathBuf::from);
            Some(())
        },
        show: |settings| settings.state_dir.as_ref().map(|dir| dir.display().to_string()).unwrap_or_default(),
    },
    Setting {
        key: "log",
        about: &["What is logged: error, warn, info, debug or trace, for parts of it as in info,pigeon_hub=debug."],
        allowed: "error, warn, info, debug, trace, or a filter such as info,pigeon_hub=debug",
        kind: Kind::Text,
        reloads: true,
        set: |settings, text| filter(text).map(|log| settings.log = log),
        show: |settings| settings.log.clone(),
    },
    Setting {
        key: "agents.listen",
        about: &["Where agents connect: QUIC, which is UDP. Port 0 takes any that is free."],
        allowed: "an address and a port, such as 0.0.0.0:4781 or [::]:4781",
        kind: Kind::Text,
        reloads: false,
        set: |settings, text| address(text).map(|listen| settings.agents_listen = listen),
        show: |settings| settings.agents_listen.to_string(),
    },
    Setting {
        key: "agents.advertise",
        about: &[
            "How agents reach that place from where they are. Told along with each join token.",
            "Not said: the name of this host, or the address that is listened on.",
        ],
        allowed: "HOST:PORT",
        kind: Kind::Text,
        reloads: true,
        set: |settings, text| host_and_port(text).map(|hub| settings.agents_advertise = hub),
        show: |settings| settings.agents_advertise.clone().unwrap_or_default(),
    },
    Setting {
        key: "agents.beat",
        about: &[
            "Time between two signs of life of an agent. After some that did not come, its work is given to others.",
        ],
        allowed: DURATION,
        kind: Kind::Text,
        reloads: false,
        set: |settings, text| time(text).map(|beat| settings.beat = beat),
        show: |settings| units::in_units(settings.beat),
    },
    Setting {
        key: "agents.max",
        about: &["Agents that may be in at once."],
        allowed: COUNT,
        kind: Kind::Number,
        reloads: false,
        set: |settings, text| count(text).map(|max| settings.max_agents = max),
        show: |settings| settings.max_agents.to_string(),
    },
    Setting {
        key: "agents.certificates",
        about: &["How long an agent's certificate is good for. It is renewed when two thirds of that have passed."],
        allowed: DURATION,
        kind: Kind::Text,
        reloads: false,
        set: |settings, text| time(text).map(|certificates| settings.certificates = certificates),
        show: |settings| units::in_units(settings.certificates),
    },
    Setting {
        key: "api.listen",
        about: &["Where the REST API is served: TCP. Port 0 takes any that is free."],
        allowed: "an address and a port, such as 127.0.0.1:4780 or [::]:4780",
        kind: Kind::Text,
        reloads: false,
        set: |settings, text| address(text).map(|listen| settings.api_listen = listen),
        show: |settings| settings.api_listen.to_string(),
    },
    Setting {
        key: "api.tls",
        about: &[
            "Whether it is served over TLS. auto: everywhere but on loopback. Off loopback it always is: tokens go over it.",
        ],
        allowed: "auto, on or off",
        kind: Kind::Text,
        reloads: false,
        set: |settings, text| {
            settings.tls = match text {
                "auto" => Tls::Auto,
                "on" => Tls::On,
                "off" => Tls::Off,
                _ => return None,
            };
            Some(())
        },
        show: |settings| {
            match settings.tls {
                Tls::Auto => "auto",
                Tls::On => "on",
                Tls::Off => "off",
            }
            .to_owned()
        },
    },
    Setting {
        key: "api.names",
        about: &[
            "Names and addresses by which clients reach it, for the certificate; those of this host are in it anyway.",
        ],
        allowed: "a list of names and addresses",
        kind: Kind::List,
        reloads: false,
        set: |settings, text| {
            let names = list(text);
            names.iter().all(|name| is_name(name)).then(|| settings.names = names)
        },
        show: |settings| settings.names.join(","),
    },
    Setting {
        key: "api.connections",
        about: &["Connections at once; more are closed as they come."],
        allowed: COUNT,
        kind: Kind::Number,
        reloads: false,
        set: |settings, text| count(text).map(|connections| settings.connections = connections),
        show: |settings| settings.connections.to_string(),
    },
    Setting {
        key: "api.requests",
        about: &["Requests under way at once that are answered soon; more are told to come back."],
        allowed: COUNT,
        kind: Kind::Number,
        reloads: false,
        set: |settings, text| count(text).map(|requests| settings.requests = requests),
        show: |settings| settings.requests.to_string(),
    },
    Setting {
        key: "api.streams",
        about: &["Requests at once that may go on for long (waits, results, events); more are told to come back."],
        allowed: COUNT,
        kind: Kind::Number,
        reloads: false,
        set: |settings, text| count(text).map(|streams| settings.streams = streams),
        show: |settings| settings.streams.to_string(),
    },
    Setting {
        key: "api.memory",
        about: &["Memory for what requests bring, of all of them together; more are told to come back."],
        allowed: SIZE,
        kind: Kind::Text,
        reloads: false,
        set: |settings, text| text.parse().ok().map(|memory| settings.memory = memory),
        show: |settings| settings.memory.to_string(),
    },
    Setting {
        key: "queue.body_cache",
        about: &["Memory for items that will be leased soon; the others wait on disk."],
        allowed: SIZE,
        kind: Kind::Text,
        reloads: false,
        set: |settings, text| text.parse().ok().map(|size| settings.body_cache = size),
        show: |settings| settings.body_cache.to_string(),
    },
    Setting {
        key: "queue.place_grace",
        about: &[
            "How long the free worker places of a job of one item wait for agents that have none yet, before an agent takes",
            "a second one.",
        ],
        allowed: DURATION,
        kind: Kind::Text,
        reloads: false,
        set: |settings, text| time(text).map(|grace| settings.place_grace = grace),
        show: |settings| units::in_units(settings.place_grace),
    },
    Setting {
        key: "queue.least_free",
        about: &["Room on the disk of the state folder below which the server calls itself not ready."],
        allowed: SIZE,
        kind: Kind::Text,
        reloads: true,
        set: |settings, text| text.parse().ok().map(|free| settings.least_free = free),
        show: |settings| settings.least_free.to_string(),
    },
    Setting {
        key: "retention.results",
        about: &["How long a job that has ended is kept, with its results. Dead letters go with their job."],
        allowed: DURATION,
        kind: Kind::Text,
        reloads: true,
        set: |settings, text| time(text).map(|results| settings.results = results),
        show: |settings| units::in_units(settings.results),
    },
    Setting {
        key: "retention.bodies",
        about: &["Whether its items are kept as long; else only those of dead letters are."],
        allowed: "true or false",
        kind: Kind::Flag,
        reloads: true,
        set: |settings, text| text.parse().ok().map(|bodies| settings.bodies = bodies),
        show: |settings| settings.bodies.to_string(),
    },
    Setting {
        key: "retention.max_size",
        about: &[
            "How large the state folder may get. Beyond that the oldest jobs that have ended go first, whatever their age.",
            "Not said: no bound.",
        ],
        allowed: SIZE,
        kind: Kind::Text,
        reloads: true,
        set: |settings, text| {
            settings.max_size = if text.is_empty() { None } else { Some(text.parse().ok()?) };
            Some(())
        },
        show: |settings| settings.max_size.map(|size| size.to_string()).unwrap_or_default(),
    },
    Setting {
        key: "retention.events",
        about: &["How long the log of all that happened is kept."],
        allowed: DURATION,
        kind: Kind::Text,
        reloads: true,
        set: |settings, text| time(text).map(|events| settings.events = events),
        show: |settings| units::in_units(settings.events),
    },
    Setting {
        key: "retention.sweep_every",
        about: &["How often what is over its time is removed."],
        allowed: DURATION,
        kind: Kind::Text,
        reloads: true,
        set: |settings, text| time(text).map(|every| settings.sweep_every = every),
        show: |settings| units::in_units(settings.sweep_every),
    },
    Setting {
        key: "shutdown.deadline",
        about: &[
            "How long going down in order may take: the API ends what it is at, agents deliver what they have, all is",
            "written. What has not ended by then is cut off; nothing that was acknowledged is lost.",
        ],
        allowed: DURATION,
        kind: Kind::Text,
        reloads: true,
        set: |settings, text| time(text).map(|deadline| settings.deadline = deadline),
        show: |settings| units::in_units(settings.deadline),
    },
];

/// The setting of this name.
pub(super) fn setting(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The whole as a file, with each setting explained.
pub(super) fn print(settings: &Settings) -> String {
    let usual = Settings::default();
    let mut text = String::from(
        "# The configuration of `pigeon serve`: all there is, as it stands. What is left out of the file is as it stands in\n\
         # `pigeon serve --print-config` without a file. The environment goes before the file, and flags go before both.\n",
    );
    let mut section = "";
    for setting in SETTINGS {
        let (of, name) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
        if of != section {
            text.push_str(&format!("\n[{of}]\n"));
            section = of;
        }
        text.push('\n');
        for line in setting.about {
            text.push_str(&format!("# {line}\n"));
        }
        text.push_str(&format!("# In the environment: {}", setting.variable()));
        let (value, default) = ((setting.show)(settings), (setting.show)(&usual));
        if value != default {
            text.push_str(&format!("; usual: {}", in_file(setting.kind, &default)));
        }
        if setting.reloads {
            text.push_str("; taken on reload (SIGHUP)");
        }
        text.push_str(&format!("\n{name} = {}\n", in_file(setting.kind, &value)));
    }
    text
}

fn in_file(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Text => toml::Value::from(value).to_string(),
        Kind::Number | Kind::Flag => value.to_owned(),
        Kind::List => toml::Value::from(list(value)).to_string(),
    }
}

/// The name that is closest to one that nobody has, if one is close.
pub(super) fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|name| (strsim::jaro_winkler(unknown, name), name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.7).then_some(best.1)
}
