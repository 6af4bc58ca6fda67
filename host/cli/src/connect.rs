//! The control host that a command talks to: one within its own process, or a server that a context names.
//!
//! ```text
//! --state-dir, --local ─► embedded
//! --context, PIGEON_CONTEXT, `pigeon context use` (the first that says something) ─► that server
//! else ─► embedded
//! ```

use std::{env, sync::Arc, time::Duration};

use clap::Args;
use pigeon_api::{
    Pigeon,
    client::{Contact, RestClient},
};

use crate::{
    args::StateArgs,
    context::{Context, ContextsFile},
    dirs::{Dirs, quoted},
    embedded::Embedded,
    exit::Failed,
    process::{embedded_options, not_started},
    screen::Screen,
    text::wall,
};

/// How long it may take to leave.
const LEAVE: Duration = Duration::from_secs(2);

/// Which control host is meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct HostArgs {
    /// The server of this context [env: PIGEON_CONTEXT] [default: the one in use, see `pigeon context`]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["local", "state_dir"], help_heading = "Control host")]
    pub(crate) context: Option<String>,

    /// No server: work within this process, whichever context is in use
    #[arg(long, help_heading = "Control host")]
    pub(crate) local: bool,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

/// A control host that was chosen, and not reached yet.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// The folders of this user, and the state directory of an embedded one.
    pub(crate) dirs: Dirs,
    /// The flags that choose the same again, with a space before them.
    flags: String,
    /// The server, by its context's name; embedded if there is none.
    server: Option<(String, Context)>,
}

impl HostArgs {
    /// Choose.
    ///
    /// # Errors
    /// If there is no context of the name that was given.
    pub(crate) fn choose(&self) -> Result<Chosen, Failed> {
        let dirs = Dirs::new(self.state.state_dir.clone())?;
        if self.local || self.state.state_dir.is_some() {
            let local = if self.local { " --local" } else { "" };
            return Ok(Chosen { flags: format!("{local}{}", dirs.flags()), dirs, server: None });
        }
        let said = env::var("PIGEON_CONTEXT").ok().filter(|name| !name.is_empty());
        let given = self.context.clone();
        let flags = given.as_ref().map_or_else(String::new, |name| format!(" --context {}", quoted(name)));
        let file = match ContextsFile::of_user() {
            Ok(file) => file,
            // Without a place for them there are none.
            Err(_) if given.is_none() && said.is_none() => return Ok(Chosen { dirs, flags, server: None }),
            Err(error) => return Err(error),
        };
        let contexts = file.read()?;
        let server = match given.or(said).or_else(|| contexts.current.clone()) {
            None => None,
            Some(name) => Some((name.clone(), contexts.named(&name)?.clone())),
        };
        Ok(Chosen { dirs, flags, server })
    }
}

impl Chosen {
    /// Whether it is within this process.
    pub(crate) fn is_local(&self) -> bool {
        self.server.is_none()
    }

    /// This command with the flags that name the same control host, to be pasted into a shell.
    pub(crate) fn command(&self, command: &str) -> String {
        format!("{command}{}", self.flags)
    }

    /// Reach it. An embedded one gives each run so much memory at most, in bytes; as much as is usual if not said.
    ///
    /// # Errors
    /// If it cannot be started, or a context's certificate is none. A server is not asked anything yet.
    pub(crate) async fn open(&self, max_memory: Option<u64>) -> Result<Host, Failed> {
        let reached = match &self.server {
            None => {
                let options = embedded_options(&self.dirs, max_memory)?;
                Reached::Embedded(Box::new(Embedded::start(options).await.map_err(not_started(&self.dirs))?))
            }
            Some((name, context)) => {
                let client = RestClient::new(context.endpoint()?)
                    .map_err(|error| Failed::from(error).but(format!("it is what the context {name} says")))?;
                Reached::Server(Arc::new(client))
            }
        };
        Ok(Host { chosen: self.clone(), reached })
    }
}

/// A control host that is there. [Close](Self::close) it.
pub(crate) struct Host {
    chosen: Chosen,
    reached: Reached,
}

enum Reached {
    Embedded(Box<Embedded>),
    Server(Arc<RestClient>),
}

impl Host {
    /// Choose and reach it.
    ///
    /// # Errors
    /// If it cannot be reached, or started.
    pub(crate) async fn open(args: &HostArgs) -> Result<Self, Failed> {
        args.choose()?.open(None).await
    }

    /// What is asked.
    pub(crate) fn client(&self) -> Arc<dyn Pigeon> {
        match &self.reached {
            Reached::Embedded(embedded) => embedded.client(),
            Reached::Server(client) => client.clone(),
        }
    }

    /// Whether it is a state directory of this machine, without a server: then nobody works at its jobs unless a
    /// command does.
    pub(crate) fn is_local(&self) -> bool {
        self.chosen.is_local()
    }

    /// Say that what is shown is the queue of this machine, where nobody asked for that: a server may be meant.
    pub(crate) fn tell_if_no_server(&self, screen: &Screen) {
        if self.is_local() && self.chosen.flags.is_empty() {
            let state = self.chosen.dirs.state.display();
            screen.note(&format!("no server is in use: this is the queue of this machine, in {state}"));
        }
    }

    /// From now on, say when a server that was there is away for a while, and when it is back.
    pub(crate) fn tell_if_away(&self, screen: &Screen) {
        let Reached::Server(client) = &self.reached else { return };
        let (at, screen) = (client.server().trim_end_matches('/').to_owned(), screen.clone());
        client.on_contact(move |contact| {
            let ms = |time: Duration| wall(time.as_secs_f64() * 1e3);
            screen.note(&match contact {
                Contact::Lost { away } => format!("{at} has not answered for {}: trying again", ms(away)),
                Contact::Back { away } => format!("{at} answers again, after {}", ms(away)),
            });
        });
    }

    /// The embedded one, if it is.
    pub(crate) fn embedded(&self) -> Option<&Embedded> {
        match &self.reached {
            Reached::Embedded(embedded) => Some(embedded),
            Reached::Server(_) => None,
        }
    }

    /// See that it is there. A server that has answered once is waited for when it is away for a while; one that never has
    /// is told to be away at once.
    ///
    /// # Errors
    /// If it is not.
    pub(crate) async fn greet(&self) -> Result<(), Failed> {
        if let Reached::Server(client) = &self.reached {
            client.agents().await?;
        }
        Ok(())
    }

    /// Add workers to an embedded one. A server has its own agents.
    ///
    /// # Errors
    /// If one cannot be started.
    pub(crate) async fn add_agents(&mut self, count: u32) -> Result<(), Failed> {
        match &mut self.reached {
            Reached::Embedded(embedded) => embedded.add_agents(count).await.map_err(not_started(&self.chosen.dirs)),
            Reached::Server(_) => Ok(()),
        }
    }

    /// Wait until it has no workers of ours any more, though nobody stopped them.
    pub(crate) async fn lost(&self) {
        match &self.reached {
            Reached::Embedded(embedded) => embedded.lost().await,
            Reached::Server(_) => std::future::pending().await,
        }
    }

    /// This command with the flags that name the same control host, to be pasted into a shell.
    pub(crate) fn command(&self, command: &str) -> String {
        self.chosen.command(command)
    }

    /// Leave it.
    pub(crate) async fn close(self) {
        match self.reached {
            Reached::Embedded(embedded) => embedded.stop(LEAVE).await,
            Reached::Server(_) => {}
        }
    }
}
