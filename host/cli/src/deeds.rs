//! Doing something with each of several things that were named, and telling what became of each.

use std::fmt::Display;

use pigeon_api::{Deed, Deeds};

use crate::{
    exit::{Exit, Failed},
    paper::{Output, Paper},
    screen::Screen,
};

/// Do it with each: notes for people as it goes, one document for programs at the end. What goes wrong with one is no reason
/// to leave the others; what went wrong worst is what the process ends with.
///
/// # Errors
/// If the document cannot be written.
pub(crate) async fn each<T: Display>(
    what: &str,
    things: &[T],
    paper: &mut Paper,
    screen: &Screen,
    act: impl AsyncFn(&T) -> Result<(Deed, String), Failed>,
) -> Result<Exit, Failed> {
    let mut exit = Exit::Valid;
    let mut deeds = Deeds::default();
    for thing in things {
        deeds.deeds.push(match act(thing).await {
            Ok((deed, words)) => {
                if paper.output == Output::Table {
                    screen.note(&format!("{what} {thing}: {words}"));
                }
                deed
            }
            Err(error) => {
                exit = exit.max(error.exit);
                let error = error.about(what, thing);
                error.print(screen.paint);
                Deed::failed(thing, error.problem())
            }
        });
    }
    if paper.output == Output::Json {
        paper.json(&deeds)?;
    }
    Ok(exit)
}
