//! `pigeon jobs list`: jobs, the newest first, a page at a time.

use std::time::Duration;

use clap::{Args, ValueEnum, builder::PossibleValue};
use pigeon_api::{JobFilter, JobId, JobState, JobSummary, Pigeon, page::JobPage};

use crate::{
    connect::HostArgs,
    exit::{Exit, Failed},
    job_id::{self, Last},
    paged::paged,
    paint::{Colours, Paint},
    paper::{OutputArgs, Paper, WatchArgs},
    screen::Screen,
    text::{Column, Grid, View, cell, number},
    units,
    visit::visit,
    words,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon jobs list                          The last 20
  pigeon jobs list -s unfinished --watch    What is going on, drawn anew every two seconds
  pigeon jobs list --since 24h --author ci --all -o json")]
pub(super) struct ListArgs {
    /// Only those in this state
    #[arg(short, long, value_enum, value_name = "STATE", help_heading = "Which")]
    state: Option<State>,

    /// Only those of the plugin with this name
    #[arg(short, long, value_name = "NAME", help_heading = "Which")]
    plugin: Option<String>,

    /// Only those that were submitted with the token of this name, or by `schedule NAME`
    #[arg(long, value_name = "NAME", help_heading = "Which")]
    author: Option<String>,

    /// Only those that were submitted within this time, such as 30m or 7d
    #[arg(long, value_name = "TIME", value_parser = units::duration, help_heading = "Which")]
    since: Option<Duration>,

    /// Only those that were submitted before this one: the next page
    #[arg(long, value_name = "JOB", help_heading = "Which")]
    before: Option<String>,

    /// At most so many
    #[arg(short = 'n', long, value_name = "N", value_parser = units::count, allow_negative_numbers = true,
        default_value_t = USUAL, conflicts_with = "all", help_heading = "Which")]
    limit: u32,

    /// All of them
    #[arg(short, long, help_heading = "Which")]
    all: bool,

    #[command(flatten)]
    watch: WatchArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    host: HostArgs,
}

/// Jobs that are listed if nothing is said.
const USUAL: u32 = 20;

/// States that can be asked for: one, or all that are not final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unfinished,
    Is(JobState),
}

const STATES: [State; 1 + JobState::ALL.len()] = {
    let mut states = [State::Unfinished; 1 + JobState::ALL.len()];
    let mut at = 0;
    while at < JobState::ALL.len() {
        states[at + 1] = State::Is(JobState::ALL[at]);
        at += 1;
    }
    states
};

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            State::Unfinished => "unfinished",
            State::Is(state) => state.as_str(),
        }
    }
}

impl ValueEnum for State {
    fn value_variants<'a>() -> &'a [Self] {
        &STATES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            State::Unfinished => "Any but stopped, cancelled and finished",
            State::Is(JobState::Open) => "Items still come",
            State::Is(JobState::Sealed) => "All items are there, and runs are under way or wait",
            State::Is(JobState::Interrupted) => "Nobody works at it, and it has not ended",
            State::Is(JobState::Paused) => "Somebody has it wait",
            State::Is(JobState::Stopped) => "Stopped at its first error, by --fail-fast",
            State::Is(JobState::Cancelled) => "Nobody wants the rest of it",
            State::Is(JobState::Finished) => "Every run has an outcome",
        };
        Some(PossibleValue::new(self.as_str()).help(help))
    }
}

/// Jobs that are asked for at once.
const PAGE: usize = 500;

/// Run the command.
pub(super) async fn run(args: ListArgs, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    if args.limit == 0 {
        return Err(Failed::usage("at least one job must be asked for, not 0").hint("--all lists every job"));
    }
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, screen, async |host| {
        let client = host.client();
        let client = client.as_ref();
        paper.view.flags = host.command("");
        let before = match &args.before {
            Some(which) => Some(job_id::find(client, which, Last::Any).await?),
            None => None,
        };
        let look = async || page(client, &args, before, jiff::Timestamp::now().as_millisecond()).await;
        paper.watch(args.watch, look, |page, view| table(page, &args, view)).await?;
        Ok(Exit::Valid)
    })
    .await
}

/// What was asked for, in as many pages as it takes, and whether there is more.
async fn page(client: &dyn Pigeon, args: &ListArgs, before: Option<JobId>, now_ms: i64) -> Result<JobPage, Failed> {
    let most = if args.all { usize::MAX } else { args.limit as usize };
    let since = args.since.map(|since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    let least_ms = since.map_or(i64::MIN, |since| now_ms.saturating_sub(since));
    let ask = async |last: Option<&JobSummary>, wanted: usize| {
        let mut jobs = Vec::new();
        let mut before = last.map(|job| job.id).or(before);
        // The control host knows nothing of authors: few of a page may be theirs.
        let asked = if args.author.is_some() { PAGE } else { wanted };
        while jobs.len() < wanted {
            let filter = JobFilter {
                unfinished: args.state == Some(State::Unfinished),
                state: args.state.and_then(|state| if let State::Is(state) = state { Some(state) } else { None }),
                plugin: args.plugin.clone(),
                before,
                limit: Some(asked),
            };
            let some = client.jobs(filter).await?;
            // The newest come first.
            let over = some.len() < asked || some.last().is_some_and(|job| job.accepted_ms < least_ms);
            before = some.last().map(|job| job.id);
            let is_meant = |job: &JobSummary| {
                job.accepted_ms >= least_ms && args.author.as_ref().is_none_or(|author| *author == job.author)
            };
            jobs.extend(some.into_iter().filter(is_meant).take(wanted - jobs.len()));
            if over {
                break;
            }
        }
        Ok(jobs)
    };
    let (jobs, more) = paged(most, PAGE, ask).await?;
    let next = jobs.last().filter(|_| more).map(|job| job.id);
    Ok(JobPage { jobs, next })
}

fn table(page: &JobPage, args: &ListArgs, view: &View) -> String {
    if page.jobs.is_empty() {
        return none(args, view);
    }
    let columns = [
        Column::left("job").kept(),
        Column::left("state").kept().cut(2),
        Column::right("done"),
        Column::right("runs"),
        Column::left("plugin").cut(8),
        Column::right("invalid"),
        Column::right("failures"),
        Column::left("accepted"),
        Column::left("author").cut(6),
        Column::right("priority"),
    ];
    let mut grid = Grid::new(columns);
    for job in &page.jobs {
        grid.row([
            cell(job.id.to_string()),
            cell(job.state.as_str()).painted(words::state_tone(job.state)),
            cell(done(job)),
            cell(number(job.planned_runs)),
            cell(&job.plugin),
            cell(number(job.invalid)).painted_if(job.invalid > 0, Paint::bad),
            cell(number(job.failures)).painted_if(job.failures > 0, Paint::bad),
            cell(view.moment.relative(job.accepted_ms)),
            cell(if job.author.is_empty() { "-" } else { &job.author }),
            cell(job.priority.to_string()),
        ]);
    }
    let mut text = grid.text(view.paint, view.width);
    if let Some(next) = page.next {
        let filter = same(args);
        text.push_str(&format!("more: {}\n", view.command(format!("pigeon jobs list{filter} --before {next}"))));
    }
    text
}

/// How much of it is done: whole percents, of which 100 are all.
fn done(job: &JobSummary) -> String {
    match job.planned_runs {
        0 => "-".to_owned(),
        planned => {
            let done = job.total_runs.min(planned);
            format!("{} %", u128::from(done) * 100 / u128::from(planned))
        }
    }
}

/// The flags that ask for the same again.
fn same(args: &ListArgs) -> String {
    let quoted = |text: &String| crate::dirs::quoted(&crate::text::printable(text)).into_owned();
    let flags = [
        ("state", args.state.map(|state| state.as_str().to_owned())),
        ("plugin", args.plugin.as_ref().map(quoted)),
        ("author", args.author.as_ref().map(quoted)),
        ("since", args.since.map(units::in_units)),
        ("limit", Some(args.limit.to_string()).filter(|_| args.limit != USUAL)),
    ];
    flags.into_iter().filter_map(|(flag, value)| Some(format!(" --{flag} {}", value?))).collect()
}

fn none(args: &ListArgs, view: &View) -> String {
    let any = args.state.is_some() || args.plugin.is_some() || args.author.is_some() || args.since.is_some();
    if any || args.before.is_some() {
        format!("no such job: {} lists all\n", view.command("pigeon jobs list --all"))
    } else {
        format!("no job is kept: {} submits one\n", view.command("pigeon process -f FILE -v json"))
    }
}

#[cfg(test)]
mod tests;
