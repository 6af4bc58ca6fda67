//! `pigeon jobs logs`: what guests logged, and where they crashed, run by run.

use clap::Args;
use pigeon_api::{RunResult, Verdict};

use super::{JobArg, landed::landed};
use crate::{
    exit::{Exit, Failed},
    paint::Colours,
    paper::{self, Output, OutputArgs, Paper},
    screen::Screen,
    text::{View, printable, wall},
    visit::visit,
};

/// How the document begins: it may be too long to be held.
const BEGIN: &str = "{\n  \"runs\": [";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon jobs logs last
  pigeon jobs logs last --item a.json
  pigeon jobs logs 6e01 --follow -o json")]
pub(super) struct LogsArgs {
    #[command(flatten)]
    job: JobArg,

    /// Go on until the job has ended; with `-o json`, each run is a line of its own
    #[arg(short, long)]
    follow: bool,

    /// Only of this item, by its id
    #[arg(long, value_name = "ID")]
    item: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

/// Run the command.
pub(super) async fn run(args: LogsArgs, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.job.host, screen, async |host| {
        let client = host.client();
        let client = client.as_ref();
        let job = args.job.find(client).await?;
        let (mut runs, mut told) = (0_u64, 0_u64);
        let document = paper.output == Output::Json && !args.follow;
        landed(client, job, true, args.follow, |some| {
            let meant = some.iter().filter(|run| args.item.as_ref().is_none_or(|item| *item == run.item));
            let mut text = String::new();
            for run in meant {
                runs += 1;
                if run.log.is_empty() && run.failure.is_none() {
                    continue;
                }
                match paper.output {
                    Output::Table => text.push_str(&entry(run, &paper.view)),
                    Output::Json if document => {
                        text.push_str(if told == 0 { BEGIN } else { "," });
                        text.push_str("\n    ");
                        text.push_str(&paper::json_text(run)?);
                    }
                    Output::Json => paper.json_line(run)?,
                }
                told += 1;
            }
            paper.write(text)?;
            Ok(!paper.is_gone())
        })
        .await?;
        if document {
            paper.write(if told == 0 { format!("{BEGIN}]\n}}\n") } else { "\n  ]\n}\n".to_owned() })?;
        }
        if told == 0 {
            match (&args.item, runs) {
                (None, 0) => screen.note("no run has landed"),
                (Some(item), 0) => screen.note(&format!(
                    "no run of {item} has landed: the ids of items stand in {}",
                    host.command(&format!("pigeon jobs results {job} -o json"))
                )),
                _ => screen.note("no guest logged anything, and no run failed"),
            }
        }
        Ok(Exit::Valid)
    })
    .await
}

/// What a run had to say: whose it is, then its log, then why it failed.
fn entry(run: &RunResult, view: &View) -> String {
    let paint = view.paint;
    let word = run.verdict.as_str();
    let verdict = match run.verdict {
        Verdict::Valid => paint.good(word),
        Verdict::Invalid | Verdict::Failure => paint.bad(word),
    };
    let place = if run.place > 0 { format!(", place {}", run.place) } else { String::new() };
    let worker = if run.worker.is_empty() { "no worker".to_owned() } else { printable(&run.worker) };
    let whose = format!("  iteration {}{place}, {worker}, {}", run.iteration, wall(run.time_ms));
    let mut text = format!("{verdict} {}{}\n", paint.strong(&printable(&run.item)), paint.dim(&whose));
    // Nothing is cut: who reads logs wants all of them.
    for line in run.log.lines() {
        text.push_str(&format!("    {}\n", printable(line)));
    }
    if let Some(failure) = &run.failure {
        let words = printable(&format!("{}: {}", failure.code, failure.message));
        text.push_str(&format!("  {}\n", paint.bad(&words)));
        for frame in &failure.backtrace {
            text.push_str(&format!("    {}\n", paint.dim(&printable(frame))));
        }
    }
    text
}

#[cfg(test)]
mod tests;
