//! A call at a control host: reach it, do what was asked for, leave. Ctrl-C ends it at any moment.

use crate::{
    connect::{Host, HostArgs},
    exit::{Exit, Failed},
    screen::Screen,
    signals::Interrupts,
};

/// Do something at a control host.
///
/// # Errors
/// If it cannot be reached, and those of `act`.
pub(crate) async fn visit(
    args: &HostArgs,
    screen: &Screen,
    act: impl AsyncFnOnce(&Host) -> Result<Exit, Failed>,
) -> Result<Exit, Failed> {
    let mut interrupts = Interrupts::watch(screen)
        .map_err(|error| Failed::machinery("failed to set up the handling of signals").caused_by(error))?;
    let host = tokio::select! {
        host = Host::open(args) => host?,
        () = interrupts.first() => return Ok(Exit::Interrupted),
    };
    host.tell_if_away(screen);
    let ended = tokio::select! {
        // What is there to be told is told first.
        biased;
        ended = act(&host) => ended,
        () = interrupts.first() => Ok(Exit::Interrupted),
    };
    screen.clear();
    host.close().await;
    ended
}
