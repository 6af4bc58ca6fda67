//! `pigeon events`: the log of all that happened.

use std::time::Duration;

use clap::Args;
use futures::StreamExt as _;
use jiff::Timestamp;
use pigeon_api::{
    Event, EventFilter, EventKind, JobId, Pigeon,
    page::{EventPage, MOST_PAGE},
};

use crate::{
    connect::HostArgs,
    exit::{Exit, Failed},
    job_id::{self, Last},
    paint::{Colours, Paint},
    paper::{Output, OutputArgs, Paper},
    screen::Screen,
    text::{View, fit, number, printable},
    units,
    visit::visit,
    words::{self, Tone},
};

/// Show what happened: who did what to which job, agents that came and went, schedules that fired
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon events                     The last 50
  pigeon events --job last          What happened to the newest job
  pigeon events --follow            And what happens from now on, until Ctrl-C
  pigeon events --since 2h          All of the last two hours
  pigeon events --after 1700 -o json
                                    Those with a greater number, for programs: numbers ascend and never come twice")]
pub(crate) struct EventsArgs {
    /// Go on with what happens, until Ctrl-C; with `-o json`, each entry is a line of its own
    #[arg(short, long)]
    follow: bool,

    /// Only of this job: its id, 4 or more characters of the id's beginning or end, or `last`
    #[arg(long, value_name = "JOB")]
    job: Option<String>,

    /// Only those with a greater number, from the oldest on
    #[arg(long, value_name = "NUMBER", value_parser = units::whole::<u64>, allow_negative_numbers = true)]
    after: Option<u64>,

    /// Only those from this time on, from the oldest on: 2026-01-31T12:00:00Z, or 2h for the last two hours
    #[arg(long, value_name = "TIME", value_parser = since, conflicts_with = "after")]
    since: Option<i64>,

    /// At most so many of those that are there: the last, or with --after and --since the first [default: 50; with
    /// --since all]
    #[arg(long, value_name = "N", value_parser = units::count, allow_negative_numbers = true)]
    limit: Option<u32>,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    host: HostArgs,
}

/// Entries that are shown if nothing is said.
const USUAL: usize = 50;

/// Columns of a screen on which there is no room for numbers and dates.
const NARROW: usize = 70;

/// Columns of a screen on which there is room for whole ids.
const WIDE: usize = 140;

/// Run the command.
pub(crate) async fn run(args: EventsArgs, colours: Colours, screen: Screen) -> Result<Exit, Failed> {
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, &screen, async |host| {
        let client = host.client();
        paper.view.flags = host.command("");
        let job = match &args.job {
            Some(which) => Some(job_id::find(client.as_ref(), which, Last::Any).await?),
            None => None,
        };
        let usual = if args.since.is_some() { usize::MAX } else { USUAL };
        let limit = args.limit.map_or(usual, |limit| limit as usize);
        let after = match args.since {
            Some(since) => Some(behind(client.as_ref(), since, job).await?),
            None => args.after,
        };
        let (events, seen) = match after {
            Some(after) => first(client.as_ref(), EventFilter { after, job }, limit).await?,
            None => last(client.as_ref(), job, limit).await?,
        };
        match (paper.output, args.follow) {
            (Output::Table, _) => {
                if events.is_empty() && !args.follow {
                    screen.note("nothing of the sort has happened");
                }
                let view = paper.view.clone();
                paper.write(events.iter().map(|event| line(event, &view)).collect::<String>())?;
            }
            (Output::Json, false) => paper.json(&EventPage { events, next: seen })?,
            (Output::Json, true) => events.iter().try_for_each(|event| paper.json_line(event))?,
        }
        if args.follow {
            follow(client.as_ref(), EventFilter { after: seen, job }, &mut paper).await?;
        }
        Ok(Exit::Valid)
    })
    .await
}

/// So many of the last, and the number behind which those are that happen from now on. Where none are wanted, what follows
/// is wanted.
async fn last(client: &dyn Pigeon, job: Option<JobId>, limit: usize) -> Result<(Vec<Event>, u64), Failed> {
    let mut events = client.last_events(job, None, limit.max(1)).await?;
    let seen = events.last().map_or(0, |event| event.seq);
    events.truncate(limit);
    Ok((events, seen))
}

/// At most so many, the oldest first, and the number behind which there may be more.
async fn first(client: &dyn Pigeon, mut filter: EventFilter, limit: usize) -> Result<(Vec<Event>, u64), Failed> {
    let mut events = Vec::new();
    while events.len() < limit {
        let wanted = (limit - events.len()).min(MOST_PAGE);
        let page = client.events(filter, wanted).await?;
        let over = page.len() < wanted;
        filter.after = page.last().map_or(filter.after, |event| event.seq);
        events.extend(page);
        if over {
            break;
        }
    }
    Ok((events, filter.after))
}

/// The number behind which all entries are from this time on, in milliseconds since 1970: found by halves, since numbers
/// and times ascend together.
async fn behind(client: &dyn Pigeon, since: i64, job: Option<JobId>) -> Result<u64, Failed> {
    let last = client.last_events(job, None, 1).await?.last().map_or(0, |last| last.seq);
    let (mut before, mut behind) = (0, last);
    while before < behind {
        let after = before + (behind - before) / 2;
        let next = client.events(EventFilter { after, job }, 1).await?;
        match next.first() {
            Some(next) if next.at_ms < since => before = next.seq,
            _ => behind = after,
        }
    }
    Ok(behind)
}

/// A time as it is, or how long ago it was; in milliseconds since 1970.
fn since(text: &str) -> Result<i64, &'static str> {
    let ago = |ago: Duration| Timestamp::now().as_millisecond().saturating_sub(ago.as_millis() as i64);
    let time = units::duration(text).map(ago).or_else(|_| units::time(text).map(Timestamp::as_millisecond));
    time.map_err(|_| "a time is written like 2026-01-31T12:00:00Z, or as how long ago it was, such as 30m, 2h or 7d")
}

async fn follow(client: &dyn Pigeon, filter: EventFilter, paper: &mut Paper) -> Result<(), Failed> {
    let mut events = client.follow_events(filter).await?;
    while !paper.is_gone()
        && let Some(event) = events.next().await
    {
        let event = event?;
        match paper.output {
            Output::Table => {
                let text = line(&event, &paper.view_now());
                paper.write(text)?;
            }
            Output::Json => paper.json_line(&event)?,
        }
    }
    Ok(())
}

/// An entry for people, on one line.
fn line(event: &Event, view: &View) -> String {
    let paint = view.paint;
    let kind = kind(event.kind);
    // The words say what it did or what became of it: first whom they are about, then who had it so.
    let subject = event.subject.as_ref().map(|subject| printable(subject));
    let about: Vec<String> = event.job.map(|job| shown(job, view.width)).into_iter().chain(subject).collect();
    let about = if about.is_empty() { String::new() } else { format!("{}: ", about.join(", ")) };
    let by = if event.author.is_empty() { String::new() } else { format!(", by {}", printable(&event.author)) };
    let message = format!("{about}{}{by}", printable(&event.message));
    let (before, words) = if view.width < NARROW {
        (format!("{}  ", view.moment.time(event.at_ms)), format!("{kind}  {message}"))
    } else {
        let number = format!("{:>6}", number(event.seq));
        let before = format!("{number}  {}  ", view.moment.local(event.at_ms));
        (before, format!("{kind:<16}  {message}"))
    };
    let words = fit(&words, view.width.saturating_sub(before.len()).max(1));
    let words = match words.strip_prefix(kind) {
        Some(rest) => format!("{}{rest}", tone(event.kind)(paint, kind)),
        None => words,
    };
    format!("{}{words}\n", paint.dim(&fit(&before, view.width)))
}

/// A job's id; on a screen its end, which names it as well, where the whole would leave no room for words.
fn shown(job: JobId, width: usize) -> String {
    let id = job.to_string();
    match id.rsplit_once('-') {
        Some((_, end)) if width < WIDE => end.to_owned(),
        _ => id,
    }
}

/// The word that JSON has as well.
const fn kind(kind: EventKind) -> &'static str {
    match kind {
        EventKind::JobSubmitted => "job-submitted",
        EventKind::JobSealed => "job-sealed",
        EventKind::JobPaused => "job-paused",
        EventKind::JobResumed => "job-resumed",
        EventKind::JobCancelled => "job-cancelled",
        EventKind::JobStopped => "job-stopped",
        EventKind::JobFinished => "job-finished",
        EventKind::JobBroken => "job-broken",
        EventKind::JobDeleted => "job-deleted",
        EventKind::RunsRetried => "runs-retried",
        EventKind::RunsDead => "runs-dead",
        EventKind::DeadRetried => "dead-retried",
        EventKind::DeadDiscarded => "dead-discarded",
        EventKind::PluginPublished => "plugin-published",
        EventKind::PluginLimited => "plugin-limited",
        EventKind::AgentJoined => "agent-joined",
        EventKind::AgentLeft => "agent-left",
        EventKind::AgentLost => "agent-lost",
        EventKind::AgentRefused => "agent-refused",
        EventKind::AgentStalled => "agent-stalled",
        EventKind::AgentMoves => "agent-moves",
        EventKind::AgentDrained => "agent-drained",
        EventKind::AgentResumed => "agent-resumed",
        EventKind::AgentRevoked => "agent-revoked",
        EventKind::ScheduleAdded => "schedule-added",
        EventKind::ScheduleRemoved => "schedule-removed",
        EventKind::SchedulePaused => "schedule-paused",
        EventKind::ScheduleResumed => "schedule-resumed",
        EventKind::ScheduleFired => "schedule-fired",
        EventKind::ScheduleSkipped => "schedule-skipped",
        EventKind::TokenCreated => "token-created",
        EventKind::TokenRevoked => "token-revoked",
        EventKind::Swept => "swept",
        EventKind::BackupTaken => "backup-taken",
        EventKind::HostStarted => "host-started",
        EventKind::HostStopping => "host-stopping",
        EventKind::HostReloaded => "host-reloaded",
    }
}

const fn tone(kind: EventKind) -> Tone {
    match kind {
        EventKind::JobBroken
        | EventKind::RunsDead
        | EventKind::AgentLost
        | EventKind::AgentRefused
        | EventKind::AgentStalled => Paint::bad,
        EventKind::JobPaused
        | EventKind::JobCancelled
        | EventKind::JobStopped
        | EventKind::JobDeleted
        | EventKind::RunsRetried
        | EventKind::DeadDiscarded
        | EventKind::ScheduleSkipped
        | EventKind::Swept => Paint::warn,
        EventKind::JobFinished | EventKind::AgentJoined | EventKind::AgentMoves => Paint::good,
        _ => words::plain,
    }
}

#[cfg(test)]
mod tests;
