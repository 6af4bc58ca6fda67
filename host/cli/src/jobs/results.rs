//! `pigeon jobs results`: the report of `pigeon process`, of any job.

use std::path::PathBuf;

use clap::Args;

use super::{JobArg, landed::landed};
use crate::{
    exit::{Exit, Failed},
    paint::Colours,
    process::{Target, report_again},
    report::{Format, jsonl},
    screen::Screen,
    visit::visit,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon jobs results last
  pigeon jobs results 6e01 -o junit --output-file report.xml")]
pub(super) struct ResultsArgs {
    #[command(flatten)]
    job: JobArg,

    /// How to report
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Output")]
    output: Format,

    /// Write the report to this file; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output_file: Option<PathBuf>,
}

/// Run the command.
pub(super) async fn run(args: ResultsArgs, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    let path = args.output_file.as_deref().filter(|path| path.as_os_str() != "-");
    let mut target = Target::open(path, args.output, colours)?;
    let ended = visit(&args.job.host, screen, async |host| {
        let client = host.client();
        let job = args.job.find(client.as_ref()).await?;
        if args.output == Format::Jsonl {
            landed(client.as_ref(), job, false, false, |runs| {
                target.write(|out| jsonl::write(out, job, runs))?;
                Ok(!target.is_gone())
            })
            .await?;
        } else {
            report_again(&client, job, &mut target).await?;
        }
        Ok(Exit::Valid)
    })
    .await;
    if ended.is_err() {
        target.abandon();
    }
    ended
}
