//! `pigeon serve`: the control host as a server, for many people and many agents.
//!
//! ```text
//! settings (file < environment < flags) ─► log ─► build: store, CA, hub ─► REST ─► run.json ─► READY ─► run
//!                                                                                                        │ SIGTERM
//! exit ◄─ run.json goes ◄─ drain: agents deliver, all is written ◄─ REST ends what it is at ◄─ STOPPING ◄┘
//! ```
//!
//! The way down has one deadline for all of it. A second signal ends the process at once: what was acknowledged is on
//! disk, whatever happens.

mod file;
mod hints;
mod running;
mod settings;
mod told;
mod values;

use std::{
    env,
    fs::DirBuilder,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use pigeon_agent::daemon::{Log, Systemd};
use pigeon_api::Digest;
use pigeon_control::{
    App, Config, ServerSettings,
    rest::{RestConfig, Server},
};
use pigeon_runtime::{Runtime, RuntimeConfig};
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

pub(crate) use self::running::Running;
use self::{
    settings::{SETTINGS, Setting, Settings},
    told::Told,
};
use crate::{
    dirs::{self, Dirs},
    exit::{Exit, Failed},
    inspector::RuntimeInspector,
    pid::ProcessId,
    process::embedded_options,
    screen::Screen,
    stdout, units,
};

/// Of the time to go down, what the API may take for itself: agents need the rest.
const FOR_THE_API: f64 = 0.25;

/// Serve a control host, for many people and many agents
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon serve                                         For this machine: API on loopback, agents from anywhere
  pigeon serve --print-config > serve.toml             All settings, explained
  pigeon serve --config serve.toml
  pigeon serve --api-listen 0.0.0.0:4780 --api-name pigeon.example.org

Signals: SIGTERM and SIGINT go down in order, a second one at once; SIGHUP reads the configuration again.")]
pub(crate) struct ServeArgs {
    /// Read the settings from this file
    #[arg(long, value_name = "FILE", env = "PIGEON_CONFIG")]
    config: Option<PathBuf>,

    /// Print all settings as they stand, explained, and do nothing else
    #[arg(long)]
    print_config: bool,

    /// Keep everything in this folder [default: $XDG_STATE_HOME/pigeon/serve]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// Where agents connect: QUIC, over UDP [default: 0.0.0.0:4781]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,

    /// How agents reach that place from where they are
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,

    /// Where the REST API is served [default: 127.0.0.1:4780]
    #[arg(long, value_name = "ADDRESS:PORT")]
    api_listen: Option<String>,

    /// A name or address by which clients reach the API, for its certificate; may be given several times
    #[arg(long = "api-name", value_name = "NAME")]
    api_names: Vec<String>,

    /// Whether the API is served over TLS: auto, on or off [default: auto, which is everywhere but on loopback]
    #[arg(long, value_name = "WHEN")]
    api_tls: Option<String>,

    /// What is logged [default: info]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,

    /// If the token in admin.token is good no more, or there is none, make another that may do everything
    #[arg(long)]
    new_admin_token: bool,
}

impl ServeArgs {
    /// The settings as they stand now: a reload reads them again.
    fn settings(&self) -> Result<Settings, Failed> {
        let names = (!self.api_names.is_empty()).then(|| self.api_names.join(","));
        let state_dir = self.state_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned());
        let given = [
            ("state_dir", "--state-dir", state_dir),
            ("agents.listen", "--listen", self.listen.clone()),
            ("agents.advertise", "--advertise", self.advertise.clone()),
            ("api.listen", "--api-listen", self.api_listen.clone()),
            ("api.names", "--api-name", names),
            ("api.tls", "--api-tls", self.api_tls.clone()),
            ("log", "--log", self.log.clone()),
        ];
        let flags = given.into_iter().filter_map(|(key, flag, value)| Some((key, flag, value?))).collect();
        file::read(self.config.as_deref(), |name| env::var(name).ok(), &flags)
    }
}

/// The variables of the environment that it reads settings from.
pub(crate) fn variables() -> impl Iterator<Item = String> {
    SETTINGS.iter().map(Setting::variable)
}

/// Run the command.
pub(crate) async fn run(args: ServeArgs, screen: Screen) -> Result<Exit, Failed> {
    let settings = args.settings()?;
    if args.print_config {
        stdout::check("leave it open: the settings are written there")?;
        print!("{}", file::print(&settings));
        return Ok(Exit::Valid);
    }
    let log = Log::start(&settings.log.0);
    let state_dir = state_dir(&settings)?;
    // From here on a signal is heard, whatever is being done.
    let mut signals =
        Signals::listen().map_err(|error| Failed::machinery("failed to listen for signals").caused_by(error))?;
    let systemd = Systemd::from_env();
    let host = tokio::select! {
        host = Serving::start(&args, &settings, state_dir, &screen) => host?,
        () = signals.stop() => return Ok(Exit::Valid),
    };
    host.serve(args, settings, log, signals, systemd).await
}

/// Where it lives.
fn state_dir(settings: &Settings) -> Result<PathBuf, Failed> {
    let of_systemd = || env::var_os("STATE_DIRECTORY").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let dir = settings.state_dir.clone().or_else(of_systemd).or_else(|| dirs::state().map(|dir| dir.join("serve")));
    let dir = dir.ok_or_else(|| {
        Failed::usage("failed to find a folder for the queue").hint("set HOME, or say where with --state-dir")
    })?;
    std::path::absolute(dir).map_err(|error| Failed::usage("failed to find the current folder").caused_by(error))
}

/// A file in the state folder from the first start on, until one that came up has said how to go on: one that fails, on a
/// port that is taken, says nothing of that.
const UNTOLD: &str = "untold";

/// A control host that serves.
struct Serving {
    app: Arc<App>,
    /// There until it goes down.
    rest: Option<Server>,
    state_dir: PathBuf,
}

impl Serving {
    async fn start(args: &ServeArgs, settings: &Settings, state_dir: PathBuf, screen: &Screen) -> Result<Self, Failed> {
        let failed = || Failed::machinery(format!("failed to serve from {}", state_dir.display()));
        // Items are nobody else's business.
        DirBuilder::new().recursive(true).mode(0o700).create(&state_dir).map_err(|error| {
            let hint = hints::folder(&state_dir, error.kind());
            failed().caused_by(error).hint(hint)
        })?;
        let options = embedded_options(&Dirs::new(Some(state_dir.clone()))?, None)?;
        let runtime = RuntimeConfig { compile: options.compile, cache: options.cache, ..RuntimeConfig::default() };
        let runtime = tokio::task::spawn_blocking(move || Runtime::new(runtime)).await;
        let runtime = runtime.map_err(|error| failed().caused_by(error))?.map_err(|error| failed().caused_by(error))?;
        let inspector = Arc::new(RuntimeInspector::new(runtime));
        let mut config = config(settings, state_dir.clone(), settings.agents_listen);
        if let Some(server) = &mut config.server {
            server.new_admin_token = args.new_admin_token;
        }
        let untold = state_dir.join(UNTOLD);
        if !state_dir.join("ca").exists() {
            std::fs::write(&untold, "").map_err(|error| failed().caused_by(error))?;
        }
        let first = untold.exists();
        let app = App::build(config, inspector).await.map_err(|error| {
            let hint = hints::control(&error, &state_dir, settings.agents_listen);
            failed().caused_by(error).hint(hint)
        })?;
        let mut serving = Self { app: Arc::new(app), rest: None, state_dir };
        match serving.open(settings, first, screen).await {
            Ok(()) => Ok(serving),
            Err(error) => {
                serving.stop(Duration::from_secs(1)).await;
                Err(error)
            }
        }
    }

    /// Serve the API, and say so; and all else that is to be known, if this is the first start.
    async fn open(&mut self, settings: &Settings, first: bool, screen: &Screen) -> Result<(), Failed> {
        let hub = self.app.hub_address();
        if settings.agents_listen.port() == 0 {
            // Which port that is was not known before.
            self.app.reload(config(settings, self.state_dir.clone(), hub)).await;
        }
        let tls = settings.serves_tls().then(|| self.app.server_certificate(&names(settings))).transpose();
        let tls = tls.map_err(|error| {
            Failed::usage("failed to make the certificate of the API")
                .caused_by(error)
                .hint("api.names are names and addresses by which it is reached")
        })?;
        let rest = RestConfig { listen: settings.api_listen, tls, limits: settings.rest_limits() };
        let rest = Server::bind(rest, self.app.clone()).await.map_err(|error| {
            let hint = hints::api(&error);
            Failed::machinery("failed to serve the API").caused_by(error).hint(hint)
        })?;
        let api = rest.address();
        self.rest = Some(rest);
        let running = Running {
            process: ProcessId::of_self().ok_or_else(|| Failed::machinery("failed to read /proc: is it mounted?"))?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api: format!("{}://{}", if settings.serves_tls() { "https" } else { "http" }, from_here(api)),
            agents: from_here(hub).to_string(),
        };
        running.write(&self.state_dir).map_err(|error| {
            Failed::machinery(format!("failed to write to {}", self.state_dir.display())).caused_by(error)
        })?;
        let told = Told {
            state_dir: &self.state_dir,
            api: &running.api,
            hub,
            reached_as: &reached_as(settings, api),
            fingerprint: Digest::of(self.app.ca_certificate()),
            first,
            token: self.app.take_first_token().is_some(),
        };
        told.lines().iter().for_each(|line| screen.say(line));
        if first {
            let _ = std::fs::remove_file(self.state_dir.join(UNTOLD));
        }
        Ok(())
    }

    /// Serve until a signal says to stop.
    async fn serve(
        mut self,
        args: ServeArgs,
        mut settings: Settings,
        log: Log,
        mut signals: Signals,
        mut systemd: Systemd,
    ) -> Result<Exit, Failed> {
        let app = self.app.clone();
        systemd.ready();
        let ended = {
            // What it does now and then is not begun anew on the way down.
            let run = app.run(std::future::pending());
            tokio::pin!(run);
            loop {
                tokio::select! {
                    // It cannot go on: nothing else matters any more.
                    ended = &mut run => break ended,
                    asked = signals.next() => match asked {
                        Asked::Stop => break Ok(()),
                        Asked::Reload => {
                            systemd.say(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_us()));
                            self.reload(&args, &mut settings, &log).await;
                            systemd.say("READY=1");
                        }
                    },
                    // The watchdog wants to know that this loop still turns.
                    () = systemd.watchdog_due() => systemd.say("WATCHDOG=1"),
                }
            }
        };
        systemd.say("STOPPING=1");
        tracing::info!("going down within {}; a second signal stops at once", units::in_units(settings.deadline));
        tokio::select! {
            () = self.stop(settings.deadline) => {}
            () = signals.stop() => {
                tracing::warn!("stopped at once: what was acknowledged is on disk, and goes on with the next start");
                Running::forget(&self.state_dir);
                return Ok(Exit::Interrupted);
            }
        }
        match ended {
            Ok(()) => Ok(Exit::Valid),
            Err(error) => Err(Failed::machinery("the control host could not go on")
                .caused_by(error)
                .hint("what was acknowledged is on disk, and goes on with the next start; PIGEON_LOG=debug says more")),
        }
    }

    /// Read the settings again, and take those that can be taken.
    async fn reload(&self, args: &ServeArgs, settings: &mut Settings, log: &Log) {
        let new = match args.settings() {
            Ok(new) => new,
            Err(error) => return tracing::error!("the settings stay as they are: {}", error.in_a_line()),
        };
        let changed: Vec<_> =
            SETTINGS.iter().filter(|setting| (setting.show)(&new) != (setting.show)(settings)).collect();
        log.set(&new.log.0);
        self.app.reload(config(&new, self.state_dir.clone(), self.app.hub_address())).await;
        for setting in &changed {
            let (from, to) = ((setting.show)(settings), (setting.show)(&new));
            if setting.reloads {
                tracing::info!("{} is {to:?} now, and was {from:?}", setting.key);
            } else {
                tracing::warn!("{} stays {from:?}: {to:?} needs a restart", setting.key);
            }
        }
        if changed.is_empty() {
            tracing::info!("the settings were read again: they are as they were");
        }
        // What needs a restart is told of again next time.
        for setting in changed.into_iter().filter(|setting| setting.reloads) {
            (setting.set)(settings, &(setting.show)(&new));
        }
    }

    /// Go down in order, within the deadline. Done twice, the second does what is left.
    async fn stop(&mut self, deadline: Duration) {
        let until = Instant::now() + deadline;
        if let Some(rest) = self.rest.take() {
            rest.shutdown(deadline.mul_f64(FOR_THE_API)).await;
        }
        self.app.drain(until.saturating_duration_since(Instant::now())).await;
        Running::forget(&self.state_dir);
    }
}

/// The settings as the control host takes them; `hub` is where agents connect in the end.
fn config(settings: &Settings, state_dir: PathBuf, hub: SocketAddr) -> Config {
    let advertise = match (&settings.agents_advertise, host_name()) {
        (Some(given), _) => given.0.clone(),
        (None, Some(name)) if hub.ip().is_unspecified() => format!("{name}:{}", hub.port()),
        (None, _) => from_here(hub).to_string(),
    };
    let mut config = Config::server(state_dir, settings.agents_listen);
    config.beat = settings.beat;
    config.body_cache = settings.body_cache.0;
    config.place_grace = settings.place_grace;
    config.retention.results = settings.results;
    config.retention.keep_bodies = settings.bodies;
    config.retention.max_bytes = settings.max_size.map(|size| size.0);
    config.retention.events = settings.events;
    config.server = Some(ServerSettings {
        advertise: Some(advertise),
        max_agents: settings.max_agents,
        agent_certificates: settings.certificates,
        sweep_every: settings.sweep_every,
        drain: settings.deadline,
        least_free: settings.least_free.0,
        max_jobs: settings.max_jobs,
        ..ServerSettings::default()
    });
    config
}

/// An address as this machine reaches it.
fn from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The names in the certificate of the API: those that were given, those of this machine, and where it listens.
fn names(settings: &Settings) -> Vec<String> {
    let mut names = settings.names.0.clone();
    let here = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let ip = settings.api_listen.ip();
    let listens = (!ip.is_unspecified()).then(|| ip.to_string());
    for name in here.into_iter().chain(host_name()).chain(listens) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// How clients elsewhere reach the API, as far as that can be told; nothing if they do not.
fn reached_as(settings: &Settings, api: SocketAddr) -> Option<String> {
    let ip = api.ip();
    let name = match settings.names.0.first() {
        Some(name) => name.clone(),
        None if ip.is_loopback() => return None,
        None if ip.is_unspecified() => host_name()?,
        None => return Some(api.to_string()),
    };
    let name = if name.parse::<Ipv6Addr>().is_ok() { format!("[{name}]") } else { name };
    Some(format!("{name}:{}", api.port()))
}

/// What this machine calls itself.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty() && name != "(none)").then(|| name.to_owned())
}

/// Now, by the clock that systemd reckons with.
fn monotonic_us() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1_000)
}

/// What a signal asks for.
enum Asked {
    Stop,
    /// To read the settings again.
    Reload,
}

/// What this process is told by signals.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// To stop, by systemd or by a person.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The next one.
    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }
}
