//! `--detach`: the server gets all of the input, and goes on alone.

use std::io::{self, Write as _};

use super::{
    Accepted, Ways,
    away::{self, Paused},
    cuts::Cut,
};
use crate::{
    connect::Host,
    exit::{Exit, Failed},
    screen::Screen,
    signals::Interrupts,
    text::plural,
};

/// Bring what is left of the input, and print the job's id.
pub(super) async fn detach(
    host: &Host,
    accepted: Accepted,
    ways: &Ways,
    screen: &Screen,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failed> {
    let Accepted { job, feed, input, .. } = accepted;
    let client = host.client();
    let mut missing: Vec<Cut> = input;
    let mut held = false;
    if let Some(feed) = feed {
        let fed = tokio::select! {
            fed = feed.run(client.as_ref(), job, host.is_local()) => fed?,
            () = interrupts.first() => {
                // What is there would be run, and then wait for the rest: better that all of it waits.
                if away::pause(host, job).await? == Paused::Unheard {
                    away::tell(true, ways, screen);
                } else {
                    screen.warn("interrupted: the job is paused, and a part of its input is missing");
                    screen.next("to go on:", &ways.again);
                }
                return Ok(Exit::Interrupted);
            }
        };
        if fed.blank > 0 {
            screen.note(&format!("{} skipped", plural(fed.blank, "blank line")));
        }
        held = fed.held;
        missing = fed.cuts.cuts;
    }
    let mut out = io::stdout().lock();
    match writeln!(out, "{job}").and_then(|()| out.flush()) {
        // Whoever wanted the id has gone: it was told on standard error as well.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => {
            written.map_err(|error| Failed::machinery("failed to write to standard output").caused_by(error))?;
        }
    }
    if missing.is_empty() {
        screen.next("to see its report:", &ways.again);
        return Ok(Exit::Valid);
    }
    if held {
        ways.held(screen);
    } else {
        screen.next("to see its report:", &ways.again);
    }
    for cut in missing {
        Failed::from(cut).print(screen.paint);
    }
    Ok(Exit::Usage)
}
