//! One dead letter on a page: why, whose, and what it was about.

use std::fmt::Write as _;

use pigeon_api::page::DeadDocument;

use crate::{
    paint::Paint,
    text::{View, fit, plural, printable},
    units::Size,
    words::{self, Tone},
};

/// Columns of a fact's name.
const NAME: usize = 10;

/// Lines of a text and rows of bytes that are shown.
const MOST_LINES: usize = 40;
/// Bytes of a text that are shown, but for the line that goes beyond.
const MOST_BYTES: usize = 4 << 10;
const MOST_ROWS: usize = 32;

/// Bytes in a row.
const ROW: usize = 16;

/// A dead letter for people.
pub(super) fn page(document: &DeadDocument, view: &View) -> String {
    let letter = &document.letter;
    let paint = view.paint;
    let mut text = format!("{}\n", paint.strong(&view.fitted(&letter.id.to_string())));
    let mut fact = |name: &str, tone: Tone, words: &str| text.push_str(&view.fact(name, NAME, tone, words));
    fact("error", Paint::bad, &format!("{}: {}", letter.failure.code, letter.failure.message));
    fact("cause", words::plain, &letter.failure.cause);
    fact("item", words::plain, &letter.item);
    fact("run", words::plain, &format!("iteration {}, place {}", letter.iteration, letter.place));
    let worker = if letter.worker.is_empty() { "no worker" } else { &letter.worker };
    fact("attempts", words::plain, &format!("{}, the last by {worker}", plural(letter.attempts.into(), "attempt")));
    fact("when", words::plain, &view.moment.both(letter.at_ms));
    fact("plugin", words::plain, &letter.plugin);
    // Whole, whatever the width: it is there to be pasted.
    let _ = writeln!(text, "{}{}", paint.dim(&format!("{:<NAME$}", "digest")), letter.digest);
    if !letter.failure.backtrace.is_empty() {
        let _ = writeln!(text, "\n{}", paint.strong("backtrace"));
        for frame in &letter.failure.backtrace {
            let _ = writeln!(text, "  {}", printable(frame));
        }
    }
    if !document.log.is_empty() {
        let _ = writeln!(text, "\n{}", paint.strong("log"));
        for line in document.log.lines() {
            let _ = writeln!(text, "  {}", printable(line));
        }
    }
    input(&mut text, document, view);
    let _ = writeln!(text);
    if document.input.is_some() {
        let _ = writeln!(text, "to try it again: {}", view.command(format!("pigeon dead retry {}", letter.id)));
    } else {
        let _ = writeln!(text, "its input is not kept any more: it cannot be tried again");
    }
    text
}

/// The item's body: as text where it is text, else its bytes.
fn input(text: &mut String, document: &DeadDocument, view: &View) {
    let Some(body) = &document.input else { return };
    let size = Size(body.len() as u64);
    let _ = writeln!(text, "\n{}", view.paint.strong(&format!("input, {size}")));
    let words = document.text.as_deref().filter(|text| is_text(text));
    let more = match words {
        Some(words) => {
            let mut shown = 0;
            let mut lines = words.lines();
            for line in lines.by_ref().take(MOST_LINES) {
                // A terminal that wraps them hides where lines end.
                let fitted = fit(&printable(&line.replace('\t', "    ")), view.width.saturating_sub(2).max(1));
                let _ = writeln!(text, "  {fitted}");
                shown += line.len();
                if shown > MOST_BYTES {
                    break;
                }
            }
            shown > MOST_BYTES || lines.next().is_some()
        }
        None => {
            for (at, row) in body.chunks(ROW).take(MOST_ROWS).enumerate() {
                let _ = writeln!(text, "{}", view.fitted(&dumped(at * ROW, row)));
            }
            body.len() > ROW * MOST_ROWS
        }
    };
    if more {
        let raw = view.command(format!("pigeon dead show {} --raw", document.letter.id));
        let _ = writeln!(text, "  ... this is its beginning; all of it ({size}): {raw}");
    }
}

/// Whether people can read it: no control characters but those between words and lines.
fn is_text(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

/// `  00000010  7b 22 61 22 ...  {"a"...`
fn dumped(offset: usize, row: &[u8]) -> String {
    let mut text = format!("  {offset:08x} ");
    for at in 0..ROW {
        if at == ROW / 2 {
            text.push(' ');
        }
        match row.get(at) {
            Some(byte) => drop(write!(text, " {byte:02x}")),
            None => text.push_str("   "),
        }
    }
    text.push_str("  ");
    text.extend(row.iter().map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' }));
    text
}

#[cfg(test)]
mod tests;
