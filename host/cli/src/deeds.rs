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
    each_but_last(what, things, paper, screen, |_| false, act).await
}

/// The same, and with those that are to come last only after all others. The document has them in the order named.
///
/// # Errors
/// If the document cannot be written.
pub(crate) async fn each_but_last<T: Display>(
    what: &str,
    things: &[T],
    paper: &mut Paper,
    screen: &Screen,
    is_last: impl Fn(&T) -> bool,
    act: impl AsyncFn(&T) -> Result<(Deed, String), Failed>,
) -> Result<Exit, Failed> {
    let notes = (paper.output == Output::Table).then_some(screen);
    let write = |deeds: &Deeds| if notes.is_some() { Ok(()) } else { paper.json(deeds) };
    gather(what, things, (screen, notes), write, is_last, act).await
}

/// What went wrong goes to the screen, and what did not if there are to be notes of it.
async fn gather<T: Display>(
    what: &str,
    things: &[T],
    (screen, notes): (&Screen, Option<&Screen>),
    write: impl FnMut(&Deeds) -> Result<(), Failed>,
    is_last: impl Fn(&T) -> bool,
    act: impl AsyncFn(&T) -> Result<(Deed, String), Failed>,
) -> Result<Exit, Failed> {
    let mut exit = Exit::Valid;
    let mut gathered = Gathered { deeds: things.iter().map(|_| None).collect(), write };
    let mut order: Vec<(usize, &T)> = things.iter().enumerate().collect();
    order.sort_by_key(|(_, thing)| is_last(thing));
    for (place, thing) in order {
        let deed = match act(thing).await {
            Ok((deed, words)) => {
                if let Some(notes) = notes {
                    notes.note(&format!("{what} {thing}: {words}"));
                }
                deed
            }
            Err(error) => {
                exit = exit.max(error.exit);
                let error = error.about(what, thing);
                error.print(screen.paint);
                Deed::failed(thing, error.problem())
            }
        };
        if let Some(slot) = gathered.deeds.get_mut(place) {
            *slot = Some(deed);
        }
    }
    gathered.told()?;
    Ok(exit)
}

/// What was done so far, each in its place. Ctrl-C drops whatever is under way: what was done by then is told all the same.
struct Gathered<W: FnMut(&Deeds) -> Result<(), Failed>> {
    deeds: Vec<Option<Deed>>,
    write: W,
}

impl<W: FnMut(&Deeds) -> Result<(), Failed>> Gathered<W> {
    /// Tell it, once.
    fn told(&mut self) -> Result<(), Failed> {
        let deeds = std::mem::take(&mut self.deeds).into_iter().flatten().collect();
        (self.write)(&Deeds { deeds })
    }
}

impl<W: FnMut(&Deeds) -> Result<(), Failed>> Drop for Gathered<W> {
    fn drop(&mut self) {
        if self.deeds.iter().any(Option::is_some) {
            // It ends as interrupted, whether this is read or not.
            let _ = self.told();
        }
    }
}

#[cfg(test)]
mod tests;
