//! `pigeon jobs list`: jobs, the newest first, a page at a time.

use clap::Args;
use pigeon_api::{JobFilter, JobId, JobState, JobSummary, Pigeon, page::JobPage};

use crate::{
    connect::HostArgs,
    exit::{Exit, Failed},
    job_id::{self, Last},
    paint::{Colours, Paint},
    paper::{OutputArgs, Paper},
    screen::Screen,
    text::{Column, Grid, View, cell, number},
    units,
    visit::visit,
    words,
};

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only those in this state
    #[arg(short, long, value_enum, value_name = "STATE")]
    state: Option<State>,

    /// Only those of the plugin with this name
    #[arg(short, long, value_name = "NAME")]
    plugin: Option<String>,

    /// At most so many
    #[arg(short = 'n', long, value_name = "N", value_parser = units::count, allow_negative_numbers = true,
        default_value_t = 20, conflicts_with = "all")]
    limit: u32,

    /// All of them
    #[arg(short, long)]
    all: bool,

    /// Only those that were submitted before this one: the next page
    #[arg(long, value_name = "JOB")]
    before: Option<String>,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    host: HostArgs,
}

/// States that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum State {
    /// Any but stopped, cancelled and finished
    Unfinished,
    /// Items still come
    Open,
    /// All items are there, and runs are under way or wait
    Sealed,
    /// Nobody works at it, and it has not ended
    Interrupted,
    /// Somebody has it wait
    Paused,
    /// Stopped at its first error, by --fail-fast
    Stopped,
    /// Nobody wants the rest of it
    Cancelled,
    /// Every run has an outcome
    Finished,
}

impl State {
    const fn state(self) -> Option<JobState> {
        match self {
            State::Unfinished => None,
            State::Open => Some(JobState::Open),
            State::Sealed => Some(JobState::Sealed),
            State::Interrupted => Some(JobState::Interrupted),
            State::Paused => Some(JobState::Paused),
            State::Stopped => Some(JobState::Stopped),
            State::Cancelled => Some(JobState::Cancelled),
            State::Finished => Some(JobState::Finished),
        }
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
        paper.view.flags = host.command("");
        let before = match &args.before {
            Some(which) => Some(job_id::find(client.as_ref(), which, Last::Any).await?),
            None => None,
        };
        let page = page(client.as_ref(), &args, before).await?;
        paper.show(&page, |page, view| table(page, &args, view))?;
        Ok(Exit::Valid)
    })
    .await
}

/// What was asked for, in as many pages as it takes, and whether there is more.
async fn page(client: &dyn Pigeon, args: &ListArgs, mut before: Option<JobId>) -> Result<JobPage, Failed> {
    let most = if args.all { usize::MAX } else { args.limit as usize };
    let mut jobs: Vec<JobSummary> = Vec::new();
    loop {
        // One more than is shown tells whether there are more.
        let wanted = most.saturating_add(1).saturating_sub(jobs.len()).min(PAGE);
        let filter = JobFilter {
            unfinished: args.state == Some(State::Unfinished),
            state: args.state.and_then(State::state),
            plugin: args.plugin.clone(),
            before,
            limit: Some(wanted),
        };
        let some = client.jobs(filter).await?;
        let over = some.len() < wanted;
        jobs.extend(some);
        before = jobs.last().map(|job| job.id);
        if jobs.len() > most {
            jobs.truncate(most);
            let next = jobs.last().map(|job| job.id);
            return Ok(JobPage { jobs, next });
        }
        if over {
            return Ok(JobPage { jobs, next: None });
        }
    }
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
            cell(words::state(job.state)).painted(words::state_tone(job.state)),
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
    use clap::ValueEnum as _;
    let mut flags = String::new();
    if let Some(state) = args.state.and_then(|state| state.to_possible_value()) {
        flags.push_str(&format!(" --state {}", state.get_name()));
    }
    if let Some(plugin) = &args.plugin {
        flags.push_str(&format!(" --plugin {}", crate::dirs::quoted(&crate::text::printable(plugin))));
    }
    if args.limit != 20 {
        flags.push_str(&format!(" --limit {}", args.limit));
    }
    flags
}

fn none(args: &ListArgs, view: &View) -> String {
    if args.state.is_some() || args.plugin.is_some() || args.before.is_some() {
        format!("no such job: {} lists all\n", view.command("pigeon jobs list --all"))
    } else {
        format!("no job is kept: {} submits one\n", view.command("pigeon process -f FILE -v json"))
    }
}

#[cfg(test)]
mod tests;
