//! `pigeon schedule add`: the items are read now, and kept with the schedule.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use clap::Args;
use jiff::{
    Timestamp,
    civil::DateTime,
    fmt::temporal::Pieces,
    tz::{AmbiguousOffset, AmbiguousTimestamp, TimeZone},
};
use pigeon_api::{CatchUp, Chunk, ChunkBuilder, InlineItem, Overlap, ScheduleInfo, ScheduleSpec, Submission, When};

use super::list::when;
use crate::{
    connect::HostArgs,
    exit::{Exit, Failed},
    input::{self, Inputs, Reader},
    paint::Colours,
    paper::{OutputArgs, Paper},
    process::{JobArgs, check_options, find_validator, names_plugin, read_options},
    screen::Screen,
    text::{View, plural, printable},
    units::{self, Size},
    visit::visit,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon schedule add nightly --cron '0 3 * * *' --zone Europe/Berlin -f orders/ -v json
  pigeon schedule add pulse --every 15m --overlap allow -f ping.json -v gexpr
  pigeon schedule add once --at '2026-12-24 18:00' -f gift.json -v json")]
pub(super) struct AddArgs {
    /// Its name: lowercase letters, digits and hyphens
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    when: WhenArgs,

    /// The time zone of --cron, such as Europe/Berlin [default: UTC], or of --at [default: where we are]
    #[arg(long, value_name = "ZONE", conflicts_with = "every", help_heading = "When")]
    zone: Option<String>,

    /// What becomes of times at which no control host ran
    #[arg(long, value_enum, value_name = "HOW", default_value = "once", help_heading = "When")]
    catch_up: CatchUpArg,

    /// What happens while its last job goes on
    #[arg(long, value_enum, value_name = "HOW", default_value = "skip", help_heading = "When")]
    overlap: OverlapArg,

    /// Files, folders (every file in them but the hidden), or `-` for standard input: 8 MiB of text at most
    #[arg(short = 'f', long = "work-file", value_name = "FILE", num_args = 1.., required = true, help_heading = "Work")]
    work_files: Vec<PathBuf>,

    /// The validator: NAME (its newest version then), NAME@VERSION, or the PATH of a component (.wasm)
    #[arg(short, long, value_name = "VALIDATOR", required = true, help_heading = "Work")]
    validator: String,

    #[command(flatten)]
    job: JobArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    host: HostArgs,
}

/// When it is due: one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct WhenArgs {
    /// At these times: minute, hour, day of the month, month and day of the week
    #[arg(long, value_name = "EXPRESSION", help_heading = "When")]
    cron: Option<String>,

    /// Again and again, this time apart
    #[arg(long, value_name = "TIME", value_parser = units::duration, help_heading = "When")]
    every: Option<Duration>,

    /// Once, at this time: 2026-12-24T18:00:00Z, or '2026-12-24 18:00' where we are
    #[arg(long, value_name = "TIME", help_heading = "When")]
    at: Option<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum CatchUpArg {
    /// They are passed over
    Skip,
    /// One job for all of them
    Once,
    /// A job for each, a hundred at most
    All,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum OverlapArg {
    /// No new one is submitted
    Skip,
    /// Both run
    Allow,
    /// The last one is cancelled
    Cancel,
}

/// Bytes of items that a schedule may keep.
const MOST_BYTES: usize = 8 << 20;

/// Run the command.
pub(super) async fn run(args: AddArgs, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    args.job.check()?;
    let due = due(&args.when, args.zone.as_deref(), Timestamp::now(), &TimeZone::system())?;
    let options = read_options(&args.job.options)?;
    let clock = args.job.clock()?;
    let inputs = Inputs::new(&args.work_files, args.job.rule(), args.job.max_item.0)?;
    let mut paper = Paper::open(args.output, colours)?;
    let items = tokio::task::spawn_blocking(move || items(inputs));
    let items = items.await.map_err(|error| Failed::machinery("the input's reader was lost").caused_by(error))??;
    visit(&args.host, screen, async |host| {
        let client = host.client();
        let plugin = find_validator(client.as_ref(), &args.validator).await?;
        check_options(&options, &plugin)?;
        let is_name = names_plugin(&args.validator);
        let job = Submission {
            // A name stays a name: when the time comes, it means the newest version there is.
            plugin: if is_name { args.validator.clone() } else { plugin.digest.to_string() },
            work: Some(args.job.work(items.len() == 1)),
            items: Some(items),
            options,
            limits: args.job.limits(),
            retry: args.job.retry(),
            priority: args.job.priority,
            max_parallel: args.job.max_parallel,
            require: args.job.require,
            prefer: args.job.prefer,
            fail_fast: args.job.fail_fast,
            seed: args.job.seed,
            clock,
            grants: Vec::new(),
            key: None,
            sources: serde_json::Value::Null,
        };
        let catch_up = match args.catch_up {
            CatchUpArg::Skip => CatchUp::Skip,
            CatchUpArg::Once => CatchUp::Once,
            CatchUpArg::All => CatchUp::All,
        };
        let overlap = match args.overlap {
            OverlapArg::Skip => Overlap::Skip,
            OverlapArg::Allow => Overlap::Allow,
            OverlapArg::Cancel => Overlap::Cancel,
        };
        let added = client.add_schedule(ScheduleSpec { name: args.name, when: due, catch_up, overlap, job }).await?;
        paper.show(&added, told)?;
        Ok(Exit::Valid)
    })
    .await
}

/// What was added, and when it is due first.
fn told(schedule: &ScheduleInfo, view: &View) -> String {
    let next = schedule.next_ms.map_or_else(|| "never".to_owned(), |ms| view.moment.both(ms));
    let words = format!(
        "schedule {} ({}): {} for {}, first {next}",
        schedule.name,
        when(&schedule.when, view),
        plural(schedule.items, "item"),
        schedule.plugin,
    );
    format!("{}\n", printable(&words))
}

/// When it is due.
fn due(args: &WhenArgs, zone: Option<&str>, now: Timestamp, here: &TimeZone) -> Result<When, Failed> {
    let named = zone.map(|name| {
        TimeZone::get(name).map_err(|_| {
            Failed::usage(format!("there is no time zone {name:?}")).hint("it has a name such as Europe/Berlin, or UTC")
        })
    });
    let named = named.transpose()?;
    match args {
        WhenArgs { cron: Some(expression), .. } => {
            Ok(When::Cron { expression: expression.clone(), zone: zone.map(str::to_owned) })
        }
        WhenArgs { every: Some(every), .. } => match u64::try_from(every.as_millis()) {
            Ok(ms) if ms > 0 => Ok(When::Every { ms }),
            _ => Err(Failed::usage("--every is less than a millisecond").hint("such as --every 15m")),
        },
        WhenArgs { at: Some(text), .. } => {
            let last = Timestamp::MAX.to_zoned(TimeZone::UTC).date();
            let wrong = || match Pieces::parse(text) {
                // Written as times are, and none all the same.
                Ok(pieces) if pieces.date() >= last => {
                    Failed::usage(format!("{text} is too far away")).hint(format!("a time is before {last}"))
                }
                _ => Failed::usage(format!("{text:?} is no time"))
                    .hint("write it like 2026-12-24T18:00:00Z, or '2026-12-24 18:00' where we are"),
            };
            let time = match text.parse::<Timestamp>() {
                Ok(time) => time,
                Err(_) => {
                    let time: DateTime = text.parse().map_err(|_| wrong())?;
                    let at = named.as_ref().unwrap_or(here).to_ambiguous_timestamp(time);
                    if at.is_ambiguous() {
                        return Err(no_single_time(text, &at, zone, named.as_ref().unwrap_or(here)));
                    }
                    at.unambiguous().map_err(|_| wrong())?
                }
            };
            if time <= now {
                return Err(Failed::usage(format!("{text} is past")).hint("a schedule begins with a time to come"));
            }
            Ok(When::At { ms: time.as_millisecond() })
        }
        WhenArgs { at: None, .. } => Err(Failed::usage("when is it due?").hint("say --cron, --every or --at")),
    }
}

/// Clocks that are put forward leave times out, and those that are put back show some twice.
fn no_single_time(text: &str, at: &AmbiguousTimestamp, name: Option<&str>, zone: &TimeZone) -> Failed {
    let place = name.map_or_else(|| "where we are".to_owned(), |name| format!("in {name}"));
    let why = match at.offset() {
        AmbiguousOffset::Gap { .. } => format!("there is no {text} {place}: clocks are put forward then"),
        _ => format!("{text} comes twice {place}: clocks are put back then"),
    };
    let told = |time: Result<Timestamp, jiff::Error>| {
        Some(time.ok()?.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
    };
    let times: Vec<String> = [at.earlier(), at.later()].into_iter().filter_map(told).collect();
    Failed::usage(why).hint(format!("say which is meant: {}", times.join(" or ")))
}

/// All items, with their ids.
fn items(inputs: Inputs) -> Result<Vec<InlineItem>, Failed> {
    let checked = input::check(&inputs)?;
    let names = inputs.names();
    let mut reader = Reader::new(inputs, checked.identities);
    let mut builder = ChunkBuilder::new(0, 0);
    let (mut items, mut bytes) = (Vec::new(), 0);
    while let Some(chunk) = reader.next_chunk(&mut builder, usize::MAX)? {
        bytes += chunk.ids.len() + chunk.bodies.len();
        if bytes > MOST_BYTES {
            let most = Size(MOST_BYTES as u64);
            return Err(Failed::usage(format!("the items of {names} are more than the {most} that a schedule keeps"))
                .hint("a schedule is for few items: have a job of many submitted by `pigeon process` from cron"));
        }
        unpack(&chunk, &mut items)?;
    }
    if items.is_empty() {
        return Err(input::InputError::NoItem { given: names, blank: reader.blank() }.into());
    }
    Ok(items)
}

/// The items of a chunk. They are kept as text.
fn unpack(chunk: &Chunk, items: &mut Vec<InlineItem>) -> Result<(), Failed> {
    let text = |bytes: &Bytes| std::str::from_utf8(bytes).map(str::to_owned);
    let (mut id_at, mut body_at) = (0, 0);
    for (id_end, body_end) in chunk.id_ends.iter().zip(&chunk.body_ends) {
        let (id_end, body_end) = (*id_end as usize, usize::try_from(*body_end).unwrap_or(usize::MAX));
        let id = text(&chunk.ids.slice(id_at..id_end))
            .map_err(|error| Failed::machinery("an item's id is no text").caused_by(error))?;
        let body = text(&chunk.bodies.slice(body_at..body_end)).map_err(|error| {
            Failed::usage(format!("{id} is not UTF-8")).caused_by(error).hint("a schedule keeps its items as text")
        })?;
        items.push(InlineItem::Named { id, body });
        (id_at, body_at) = (id_end, body_end);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
