//! `pigeon dead`: runs that could not be judged, and what becomes of them.

mod show;

use clap::{Args, Subcommand};
use pigeon_api::{
    DeadFilter, DeadId, DeadLetter, DeadName, Pigeon,
    page::{Count, DeadDocument, DeadPage, MOST_PAGE},
};

use crate::{
    confirm::confirm,
    connect::HostArgs,
    exit::{Exit, Failed},
    job_id::{self, Last},
    paged::paged,
    paint::{Colours, Paint},
    paper::{Output, OutputArgs, Paper},
    screen::Screen,
    text::{Column, Grid, View, cell, number, plural},
    units,
    visit::visit,
};

/// How many are named if nothing is said.
const USUAL: u32 = 50;

/// Runs that could not be judged: look at them, try them again, discard them
#[derive(Debug, Args)]
#[command(after_help = "\
A dead letter is named JOB:RUN; for the job, 4 or more characters of its id's beginning or end do, and `last`.

Examples:
  pigeon dead list --job last               Those of the newest job
  pigeon dead show last:17                  Why, with the input, the plugin's digest and the log
  pigeon dead show last:17 --raw >item      The input as it is
  pigeon dead retry --code timeout          Try again all that ran out of time
  pigeon dead discard --all --yes           Forget them all: they count as failures")]
pub(crate) struct DeadArgs {
    #[command(subcommand)]
    command: DeadCommand,
}

#[derive(Debug, Subcommand)]
enum DeadCommand {
    /// Name them, the newest first
    List(ListArgs),
    /// Show one: why it could not be judged, its input, its log
    Show(ShowArgs),
    /// Try them again: their failures count no longer, and jobs that had ended go on
    #[command(after_help = "\
Examples:
  pigeon dead retry last:17 last:18
  pigeon dead retry --code timeout --message 'CPU time'")]
    Retry(SelectArgs),
    /// Forget that they could be tried again: their failures stand
    #[command(after_help = "\
Examples:
  pigeon dead discard --job last
  pigeon dead discard --all --yes")]
    Discard(DiscardArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon dead list --job last
  pigeon dead list --code timeout -n 500 -o json")]
struct ListArgs {
    #[command(flatten)]
    which: WhichArgs,

    /// At most so many
    #[arg(short = 'n', long, value_name = "N", value_parser = units::count, allow_negative_numbers = true, default_value_t = USUAL)]
    limit: u32,

    /// Only those behind this one in the list: the next page
    #[arg(long, value_name = "JOB:RUN")]
    after: Option<String>,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon dead show last:17
  pigeon dead show last:17 --raw >item")]
struct ShowArgs {
    /// Which: JOB:RUN
    #[arg(value_name = "JOB:RUN")]
    letter: String,

    /// Write its input to standard output as it is, and nothing else
    #[arg(long, conflicts_with = "output")]
    raw: bool,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    host: HostArgs,
}

/// Those that all of this is true of.
#[derive(Debug, Args)]
struct WhichArgs {
    /// Of this job: its id, 4 or more characters of the id's beginning or end, or `last`
    #[arg(long, value_name = "JOB", help_heading = "Which")]
    job: Option<String>,

    /// With this code
    #[arg(long, value_name = "CODE", help_heading = "Which")]
    code: Option<String>,

    /// With this in the message
    #[arg(long, value_name = "TEXT", help_heading = "Which")]
    message: Option<String>,
}

#[derive(Debug, Args)]
struct SelectArgs {
    /// These: JOB:RUN
    #[arg(value_name = "JOB:RUN")]
    letters: Vec<String>,

    #[command(flatten)]
    which: WhichArgs,

    /// All there are
    #[arg(long, conflicts_with_all = ["letters", "job", "code", "message"], help_heading = "Which")]
    all: bool,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
struct DiscardArgs {
    #[command(flatten)]
    select: SelectArgs,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Run the command.
pub(crate) async fn run(args: DeadArgs, colours: Colours, screen: Screen) -> Result<Exit, Failed> {
    match args.command {
        DeadCommand::List(args) => list(args, colours, &screen).await,
        DeadCommand::Show(args) => look(args, colours, &screen).await,
        DeadCommand::Retry(args) => retry(args, colours, &screen).await,
        DeadCommand::Discard(args) => discard(args, colours, &screen).await,
    }
}

async fn list(args: ListArgs, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    if args.limit == 0 {
        return Err(Failed::usage("at least one dead letter must be asked for, not 0")
            .hint(format!("--limit is {USUAL} if not given")));
    }
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, screen, async |host| {
        let client = host.client();
        let client = client.as_ref();
        paper.view.flags = host.command("");
        let filter = filter(client, &args.which).await?;
        let after = match &args.after {
            Some(name) => Some(find(client, name).await?),
            None => None,
        };
        let page = page(client, &filter, after, args.limit as usize).await?;
        paper.show(&page, |page, view| table(page, &args.which, args.limit, view))?;
        if page.dead.is_empty() && host.is_local() && paper.output == Output::Table {
            let results = host.command("pigeon jobs results JOB");
            screen.next("without a server none are kept; what could not be judged stands in", &results);
        }
        Ok(Exit::Valid)
    })
    .await
}

async fn look(args: ShowArgs, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, screen, async |host| {
        let client = host.client();
        paper.view.flags = host.command("");
        let letter = find(client.as_ref(), &args.letter).await?;
        let gone = |error| Failed::from(error).or_hint(host.command("pigeon dead list") + " names all");
        let detail = client.dead_letter(letter).await.map_err(gone)?;
        if args.raw {
            let input = detail.input.ok_or_else(|| {
                Failed::usage(format!("the input of {letter} is not kept any more"))
                    .hint(host.command(&format!("pigeon dead show {letter}")) + " shows what is")
            })?;
            paper.write(&input)?;
        } else {
            paper.show(&DeadDocument::from(detail), show::page)?;
        }
        Ok(Exit::Valid)
    })
    .await
}

async fn retry(args: SelectArgs, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    checked(&args)?;
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, screen, async |host| {
        let client = host.client();
        let filter = selected(client.as_ref(), &args).await?;
        let count = client.retry_dead(filter).await?;
        done(&mut paper, screen, count, &format!("tried again: {}", plural(count, "run")))
    })
    .await
}

async fn discard(args: DiscardArgs, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    let DiscardArgs { select: args, yes } = args;
    checked(&args)?;
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, screen, async |host| {
        let client = host.client();
        let filter = selected(client.as_ref(), &args).await?;
        let what = if args.letters.is_empty() {
            "the dead letters that are meant".to_owned()
        } else {
            plural(filter.ids.len() as u64, "dead letter")
        };
        if !confirm(screen, &format!("discard {what}"), yes).await? {
            return Ok(Exit::Usage);
        }
        let count = client.discard_dead(filter).await?;
        done(&mut paper, screen, count, &format!("discarded: {}", plural(count, "dead letter")))
    })
    .await
}

/// To how many of them it was done: a note for people, a document for programs.
fn done(paper: &mut Paper, screen: &Screen, count: u64, words: &str) -> Result<Exit, Failed> {
    match paper.output {
        Output::Table => screen.note(words),
        Output::Json => paper.json(&Count { count })?,
    }
    Ok(Exit::Valid)
}

/// Something must be said: to mean all by saying nothing would be easily done.
fn checked(args: &SelectArgs) -> Result<(), Failed> {
    let WhichArgs { job, code, message } = &args.which;
    if args.all || !args.letters.is_empty() || job.is_some() || code.is_some() || message.is_some() {
        return Ok(());
    }
    Err(Failed::usage("which dead letters are meant?").hint("name them, or say --job, --code, --message or --all"))
}

async fn selected(client: &dyn Pigeon, args: &SelectArgs) -> Result<DeadFilter, Failed> {
    let mut filter = filter(client, &args.which).await?;
    for name in &args.letters {
        let name = DeadName(find(client, name).await?);
        if !filter.ids.contains(&name) {
            filter.ids.push(name);
        }
    }
    Ok(filter)
}

async fn filter(client: &dyn Pigeon, which: &WhichArgs) -> Result<DeadFilter, Failed> {
    let job = match &which.job {
        Some(job) => Some(job_id::find(client, job, Last::Any).await?),
        None => None,
    };
    Ok(DeadFilter { ids: Vec::new(), job, code: which.code.clone(), message: which.message.clone() })
}

/// The dead letter that is named, its job perhaps by a part of its id.
async fn find(client: &dyn Pigeon, name: &str) -> Result<DeadId, Failed> {
    let wrong = || {
        Failed::usage(format!("{name:?} names no dead letter"))
            .hint("write it as JOB:RUN; pigeon dead list has their names")
    };
    let (job, run) = name.rsplit_once(':').ok_or_else(wrong)?;
    let run = run.parse().map_err(|_| wrong())?;
    Ok(DeadId { job: job_id::find(client, job, Last::Any).await?, run })
}

/// At most so many behind that one, and whether there is more.
async fn page(
    client: &dyn Pigeon,
    filter: &DeadFilter,
    after: Option<DeadId>,
    most: usize,
) -> Result<DeadPage, Failed> {
    let ask = async |last: Option<&DeadLetter>, wanted| {
        Ok(client.dead(filter.clone(), last.map(|letter| letter.id).or(after), wanted).await?)
    };
    let (dead, more) = paged(most, MOST_PAGE, ask).await?;
    let next = dead.last().filter(|_| more).map(|letter| letter.id);
    Ok(DeadPage { dead, next })
}

fn table(page: &DeadPage, which: &WhichArgs, limit: u32, view: &View) -> String {
    if page.dead.is_empty() {
        let any = which.job.is_some() || which.code.is_some() || which.message.is_some();
        return if any {
            format!("no such dead letter: {} lists all\n", view.command("pigeon dead list"))
        } else {
            "no dead letter: runs that cannot be judged would stand here\n".to_owned()
        };
    }
    let columns = [
        Column::left("dead letter").kept(),
        Column::left("code").cut(8),
        Column::left("message").cut(12),
        Column::left("item").cut(8),
        Column::left("when"),
        Column::left("input"),
        Column::right("attempts"),
        Column::left("worker").cut(8),
        Column::left("plugin").cut(8),
    ];
    let mut grid = Grid::new(columns);
    for letter in &page.dead {
        grid.row([
            cell(letter.id.to_string()),
            cell(&letter.failure.code).painted(Paint::bad),
            cell(&letter.failure.message),
            cell(&letter.item),
            cell(view.moment.relative(letter.at_ms)),
            cell(if letter.input_kept { "kept" } else { "gone" }).painted_if(!letter.input_kept, Paint::warn),
            cell(number(letter.attempts.into())),
            cell(if letter.worker.is_empty() { "-" } else { &letter.worker }),
            cell(&letter.plugin),
        ]);
    }
    let mut text = grid.text(view.paint, view.width);
    if let Some(next) = page.next {
        let more = format!("pigeon dead list{} --after {next}", same(which, limit));
        text.push_str(&format!("more: {}\n", view.command(more)));
    }
    text
}

/// The flags that ask for the same again.
fn same(which: &WhichArgs, limit: u32) -> String {
    let flags = [("job", &which.job), ("code", &which.code), ("message", &which.message)];
    let flags = flags.into_iter().filter_map(|(flag, value)| value.as_ref().map(|value| (flag, value)));
    let mut same: String = flags
        .map(|(flag, value)| format!(" --{flag} {}", crate::dirs::quoted(&crate::text::printable(value))))
        .collect();
    if limit != USUAL {
        same.push_str(&format!(" --limit {limit}"));
    }
    same
}

#[cfg(test)]
mod tests;
