//! `pigeon jobs show`: all that is known of a job, on one page.

use std::fmt::Write as _;

use clap::Args;
use pigeon_api::{JobState, JobStatus, Waiting, Work};

use super::{JobArg, follow};
use crate::{
    exit::{Exit, Failed},
    paint::{Colours, Paint},
    paper::{Output, OutputArgs, Paper},
    screen::Screen,
    stats,
    text::{View, number, percent, plural, wall},
    units::Size,
    visit::visit,
    words::{self, Tone},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon jobs show last
  pigeon jobs show 6e01 --follow            And how it goes on, until it has ended
  pigeon jobs show last -o json")]
pub(super) struct ShowArgs {
    #[command(flatten)]
    job: JobArg,

    /// Show how it goes on until it has ended; with `-o json`, each event is a line of its own
    #[arg(long)]
    follow: bool,

    #[command(flatten)]
    output: OutputArgs,
}

/// Run the command.
pub(super) async fn run(args: ShowArgs, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.job.host, screen, async |host| {
        let client = host.client();
        paper.view.flags = host.command("");
        let job = args.job.find(client.as_ref()).await?;
        if args.follow {
            follow::follow(client.as_ref(), job, &mut paper, screen).await?;
            if paper.output == Output::Json {
                return Ok(Exit::Valid);
            }
            paper.view = paper.view_now();
        }
        paper.show(&client.job(job).await?, page)?;
        Ok(Exit::Valid)
    })
    .await
}

/// Columns of a fact's name.
const NAME: usize = 10;

/// Columns of the bar, at most.
const WIDEST_BAR: usize = 40;

/// Options and their values that are shown.
const MOST_OPTIONS: usize = 20;

/// A job for people.
fn page(job: &JobStatus, view: &View) -> String {
    let paint = view.paint;
    let id = job.id.to_string();
    let state = job.state.as_str();
    let mut text = if id.len() + 2 + state.len() > view.width {
        format!("{}\n{}\n", paint.strong(&view.fitted(&id)), words::state_tone(job.state)(paint, state))
    } else {
        format!("{}  {}\n", paint.strong(&id), words::state_tone(job.state)(paint, state))
    };
    let mut fact = |name: &str, tone: Tone, words: &str| text.push_str(&view.fact(name, NAME, tone, words));
    if let Some(waiting) = &job.waiting {
        fact("waits", Paint::warn, &words::waiting(waiting, view));
    }
    if let Some(broken) = &job.broken {
        fact("failed", Paint::bad, &broken.detail);
        broken.causes.iter().for_each(|cause| fact("because", Paint::bad, cause));
        broken.hint.iter().for_each(|hint| fact("hint", Paint::good, hint));
    }
    fact("progress", words::plain, &progress(job, view));
    let plugin = &job.plugin;
    let named = format!("{} {}  {}", plugin.metadata.name, plugin.metadata.version, plugin.digest);
    fact("plugin", words::plain, &named);
    for (at, (key, value)) in job.request.options.iter().enumerate() {
        if at == MOST_OPTIONS {
            fact("", words::plain, &format!("... and {} more", job.request.options.len() - at));
            break;
        }
        fact(if at == 0 { "options" } else { "" }, words::plain, &format!("{key}={value}"));
    }
    fact("work", words::plain, &work(job));
    fact("bounds", words::plain, &bounds(job));
    let author = if job.author.is_empty() { String::new() } else { format!(", by {}", job.author) };
    fact("accepted", words::plain, &format!("{}{author}", view.moment.both(job.accepted_ms)));
    if let Some(finished_ms) = job.finished_ms {
        fact("ended", words::plain, &view.moment.both(finished_ms));
    }
    fact("worked at", words::plain, &format!("{}, seed {}", wall(job.wall_time_ms), job.request.seed));
    if job.dead > 0 {
        fact("dead", Paint::warn, &plural(job.dead, "dead letter"));
    }
    if job.total_runs > 0 {
        let _ = write!(text, "\n{}", stats::workers(job, view));
    }
    if !job.errors.is_empty() {
        let _ = write!(text, "\n{}\n{}", paint.strong("errors"), stats::groups(&job.errors, view));
    }
    let next = next(job);
    if !next.is_empty() {
        text.push('\n');
    }
    for (what, command) in next {
        let _ = writeln!(text, "{what} {}", view.command(command));
    }
    text
}

/// `[====>     ] 1,200 of 5,000 runs (24.0 %)`
fn progress(job: &JobStatus, view: &View) -> String {
    let (done, planned) = (job.total_runs.min(job.planned_runs), job.planned_runs);
    let more = if job.state == JobState::Open { ", and more items may come" } else { "" };
    let words = format!("{} of {} ({}){more}", number(done), plural(planned, "run"), percent(done, planned));
    let wide = view.width.saturating_sub(NAME + words.len() + 3).min(WIDEST_BAR);
    if wide < 8 || planned == 0 {
        return words;
    }
    let filled = usize::try_from(u128::from(done) * wide as u128 / u128::from(planned)).unwrap_or(wide);
    let tip = if filled < wide && done > 0 { ">" } else { "" };
    let bar = format!("{}{tip}", "=".repeat(filled));
    format!("[{bar:<wide$}] {words}")
}

fn work(job: &JobStatus) -> String {
    let items = plural(job.items, "item");
    match job.request.work {
        Work::One { workers, iterations } => {
            let (workers, iterations) = (plural(workers.into(), "worker"), plural(iterations.into(), "iteration"));
            format!("{items} x {workers} x {iterations}")
        }
        Work::Many { iterations, workers } => {
            let most = workers.map(|workers| format!(", on at most {}", plural(workers.into(), "agent")));
            format!("{items} x {}{}", plural(iterations.into(), "iteration"), most.unwrap_or_default())
        }
    }
}

/// What holds its runs: time, memory, attempts, and how it stands to other jobs.
fn bounds(job: &JobStatus) -> String {
    let request = &job.request;
    let ms = |time: std::time::Duration| wall(time.as_secs_f64() * 1000.0);
    let mut bounds =
        vec![format!("{} of CPU time", ms(request.limits.cpu)), format!("{} in all", ms(request.limits.wall))];
    bounds.extend(request.limits.memory.map(|bytes| format!("{} of memory", Size(bytes))));
    let retry = &request.retry;
    bounds.push(format!("{} if transient", plural(retry.attempts.into(), "attempt")));
    if retry.timeouts > 1 {
        bounds.push(format!("{} if out of time", retry.timeouts));
    }
    if retry.crashes > 1 {
        bounds.push(format!("{} if crashed", retry.crashes));
    }
    bounds.extend(request.max_parallel.map(|most| format!("{} at once", plural(most.into(), "run"))));
    bounds.extend(request.require.iter().map(|label| format!("only agents with {label}")));
    bounds.extend(request.prefer.iter().map(|label| format!("agents with {label} first")));
    if request.priority != 0 {
        bounds.push(format!("priority {}", request.priority));
    }
    if request.fail_fast {
        bounds.push("stops at its first error".to_owned());
    }
    bounds.join(", ")
}

/// What can be done next.
fn next(job: &JobStatus) -> Vec<(&'static str, String)> {
    let id = job.id;
    let mut next = Vec::new();
    match (job.state, &job.waiting) {
        (JobState::Paused, _) | (_, Some(Waiting::Paused)) => {
            next.push(("to go on:", format!("pigeon jobs resume {id}")))
        }
        (JobState::Interrupted, _) => next.push(("to go on:", format!("pigeon process --resume {id}"))),
        _ => {}
    }
    if job.dead > 0 {
        next.push(("what could not be judged:", format!("pigeon dead list --job {id}")));
    }
    if job.state.is_final() && job.invalid + job.failures > 0 {
        next.push(("each item:", format!("pigeon jobs results {id}")));
    }
    next
}

#[cfg(test)]
mod tests;
