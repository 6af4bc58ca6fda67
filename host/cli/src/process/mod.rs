//! `pigeon process`: judge work items with a validator and report the verdicts.
//!
//! ```text
//! check the command line ─► check the input ───────┐
//!                           reach the control host ┴─► find the validator ─► submit ─► drive ─► report
//!                                                            (or resume) ───────┘   └► (--detach) leave
//! ```
//!
//! Nothing runs before all that can be known to be wrong has been looked at; from acceptance on nothing is lost. Whether
//! the control host is embedded or a server makes no difference but this: an embedded one is given its workers, and goes
//! when the command does.

mod apart;
mod args;
mod away;
mod cuts;
mod detach;
mod drive;
mod feed;
mod finish;
mod options;
mod resume;
mod submit;
mod target;
mod validator;
mod waits;

use std::{ffi::OsString, io, sync::Arc};

use pigeon_api::{JobId, JobState, Pigeon};
use pigeon_runtime::{CacheConfig, CompileLimits, CompileMode, this_program};
use serde::{Deserialize, Serialize};

pub(crate) use args::{JobArgs, ProcessArgs};
pub(crate) use finish::report_again;
pub(crate) use options::{check as check_options, read as read_options};
pub(crate) use target::Target;
pub(crate) use validator::{component as read_component, find as find_validator, names_plugin, none as no_validator};

use crate::{
    connect::{Chosen, Host},
    dirs::{Dirs, quoted},
    embedded::{EmbeddedError, Options},
    exit::{Exit, Failed},
    input::{Inputs, RootIdentity},
    job_id,
    paint::{Colours, Paint},
    report::Format,
    screen::Screen,
    serve::Running,
    signals::Interrupts,
};
use cuts::Cut;
use drive::Driven;

/// Where the items of a job come from. Kept with the job for `--resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sources {
    inputs: Inputs,
    /// By what each of the things given is known again; nothing for a stream.
    identities: Vec<Option<RootIdentity>>,
    /// Items in all of it; nothing where a stream may bring more.
    #[serde(default)]
    items: Option<u64>,
}

/// A job that was accepted, now or earlier, and what has to be done about it.
struct Accepted {
    job: JobId,
    sources: Option<Sources>,
    /// What still has to be appended.
    feed: Option<feed::Feed>,
    /// What is missing of the input already.
    input: Vec<Cut>,
    /// Where it stands, if there is nothing more to do but to report.
    over: Option<JobState>,
}

/// What can be done with the job once this command has ended, as commands to be pasted.
struct Ways {
    /// To go on with it, or to see its report.
    again: String,
    /// To end it.
    cancel: String,
    /// To see how it stands.
    show: String,
}

impl Ways {
    /// Say that a job stays open, for a part of its input is missing.
    fn held(&self, screen: &Screen) {
        screen.warn(
            "the job is not whole: it stays open on the server, and waits for the part of its input that is missing",
        );
        screen.next("to go on once that is back:", &self.again);
        screen.next("to end it without:", &self.cancel);
    }
}

/// Linear memory that a run may have at most if more was not asked for, in bytes.
const USUAL_MEMORY: u64 = pigeon_control::MOST_MEMORY;

/// Run the command.
pub(crate) async fn run(args: ProcessArgs, colours: Colours, screen: Screen) -> Result<Exit, Failed> {
    args.job.check()?;
    let inputs = match args.resume {
        Some(_) => None,
        None => Some(Inputs::new(&args.work_files, args.job.rule(), args.job.max_item.0)?),
    };
    let chosen = args.host.choose()?;
    if chosen.is_local() {
        args.job.check_here()?;
    }
    if args.detach && chosen.is_local() {
        return Err(Failed::usage("there is no server that would go on with the job")
            .hint("`pigeon up` starts one here, and `pigeon context` names another; without --detach it is done in this process"));
    }
    if let Some(inputs) = &inputs {
        if let Some(report) = args.report() {
            apart::report_and_inputs(report, inputs)?;
            apart::report_and_validator(report, &args)?;
        }
        if chosen.is_local() {
            apart::queue_and_inputs(&chosen.dirs.state, inputs)?;
        }
    }
    let mut target = Target::open(args.report(), args.output, colours)?;
    let interrupts = Interrupts::watch(&screen)
        .map_err(|error| Failed::machinery("failed to set up the handling of signals").caused_by(error))?;
    let mut shutdown = None;
    let ended = go(&args, inputs, &chosen, &mut target, &screen, interrupts, &mut shutdown).await;
    screen.clear();
    if let Some(host) = shutdown.take() {
        host.close().await;
    }
    if ended.is_err() {
        target.abandon();
    }
    ended
}

async fn go(
    args: &ProcessArgs,
    inputs: Option<Inputs>,
    chosen: &Chosen,
    target: &mut Target,
    screen: &Screen,
    mut interrupts: Interrupts,
    started: &mut Option<Host>,
) -> Result<Exit, Failed> {
    let accepted = async {
        match (&args.resume, inputs) {
            (None, Some(inputs)) => submit::submit(args, inputs, chosen, screen, started).await,
            (which, _) => {
                let which = which.as_deref().unwrap_or(job_id::LAST);
                resume::resume(which, args.report(), chosen, screen, started).await
            }
        }
    };
    // Until the job is accepted there is nothing to wait for.
    let accepted = tokio::select! {
        accepted = accepted => accepted?,
        () = interrupts.first() => return Ok(Exit::Interrupted),
    };
    let Some(host) = started.as_ref() else {
        return Err(Failed::machinery("the control host is not there"));
    };
    let again = chosen.command(&format!("pigeon process --resume {}", accepted.job));
    target.accepted(again.clone());
    interrupts.accepted(again.clone());
    let ways = Ways {
        again,
        cancel: chosen.command(&format!("pigeon jobs cancel {}", accepted.job)),
        show: chosen.command(&format!("pigeon jobs show {}", accepted.job)),
    };
    if args.detach {
        return detach::detach(host, accepted, &ways, screen, &mut interrupts).await;
    }
    let client = host.client();
    let Accepted { job, sources, feed, input, over } = accepted;
    let driven = match over {
        Some(state) if args.output != Format::Jsonl => Driven { state: Some(state), ..Driven::default() },
        _ => drive::drive(host, job, feed, args.wait_timeout, target, screen, &mut interrupts).await,
    };
    screen.clear();
    if let Some(trouble) = host.embedded().and_then(|embedded| embedded.runtime().cache_trouble()) {
        screen.warn(&chosen.dirs.not_kept(trouble));
    }
    let driven = Driven { input: Some(driven.input.unwrap_or(input)), ..driven };
    // A job that has just ended needs nobody any more: they leave, and its bodies are cleared away, while it is reported.
    // One that had ended long ago may itself be due to be cleared away.
    let ended_now = over.is_none() && driven.state.is_some_and(JobState::is_final);
    let leaving = ended_now.then(|| started.take()).flatten();
    let leaving = leaving.map(|host| tokio::spawn(host.close()));
    let ended = finish::finish(client, job, sources, driven, &ways, target, screen).await;
    if let Some(leaving) = leaving
        && let Err(error) = leaving.await
    {
        tracing::error!(%error, "the embedded control host ended badly");
    }
    ended
}

/// The compiled plugins of this user, made by children of this program.
pub(crate) fn embedded_options(dirs: &Dirs, max_memory: Option<u64>) -> Result<Options, Failed> {
    let exe = this_program()
        .map_err(|error: io::Error| Failed::machinery("failed to find this program's own file").caused_by(error))?;
    Ok(Options {
        state_dir: dirs.state.clone(),
        cache: Some(CacheConfig::new(dirs.cache.join("compiled"), dirs.key_file.clone())),
        compile: CompileMode::Child {
            exe,
            args: vec![OsString::from("compile-component")],
            limits: CompileLimits::default(),
        },
        max_memory: max_memory.unwrap_or(0).max(USUAL_MEMORY),
    })
}

/// An error of the embedded control host, for people.
pub(crate) fn not_started(dirs: &Dirs) -> impl FnOnce(EmbeddedError) -> Failed {
    let state = dirs.state.clone();
    move |error| {
        let hint = match Running::read(&state) {
            Ok(Some(running)) => format!(
                "a server runs there (process {}): `pigeon context add NAME --state-dir {}` reaches it",
                running.process.pid,
                quoted(&state.to_string_lossy())
            ),
            _ => format!("the queue lives in {}; --state-dir names another folder", state.display()),
        };
        Failed::machinery("failed to start").caused_by(error).hint(hint)
    }
}

/// Agents for a job whose number of workers is not said: one for each core.
fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
}

/// A client that outlives the borrow of the control host.
type Client = Arc<dyn Pigeon>;

/// Colours of standard output.
fn stdout_paint(colours: Colours) -> Paint {
    Paint::for_stream(colours, &io::stdout())
}
