//! Text for people: numbers, times, tables and curves, fitted to the columns that there are.
//!
//! Invariant: nothing here knows what it is about. Words of others go through [`printable`] before they are shown.

mod curve;
mod grid;
mod moment;

pub(crate) use pigeon_api::words::{number, plural};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

pub(crate) use self::{
    curve::curve,
    grid::{Cell, Column, Grid, cell},
    moment::{Moment, span},
};
use crate::paint::Paint;

/// How things are shown: what the stream that is written to can do, and the moment at which it is.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// Colours.
    pub(crate) paint: Paint,
    /// Columns that fit.
    pub(crate) width: usize,
    /// Whether more than ASCII can be drawn with.
    pub(crate) unicode: bool,
    /// Now, and here.
    pub(crate) moment: Moment,
    /// Flags that a command needs to find the same control host, with a space before them.
    pub(crate) flags: String,
}

impl View {
    /// A command that can be pasted into a shell.
    pub(crate) fn command(&self, command: impl std::fmt::Display) -> String {
        self.paint.strong(&format!("{command}{}", self.flags))
    }

    /// Text cut to the columns that there are.
    pub(crate) fn fitted(&self, text: &str) -> String {
        fit(text, self.width)
    }

    /// A fact on a line of its own: its name in so many columns, then the words for it, as far as they fit.
    pub(crate) fn fact(&self, name: &str, columns: usize, tone: fn(Paint, &str) -> String, words: &str) -> String {
        let words = fit(&printable(words), self.width.saturating_sub(columns).max(1));
        format!("{}{}\n", self.paint.dim(&format!("{name:<columns$}")), tone(self.paint, &words))
    }

    /// A line of them.
    pub(crate) fn line(&self, text: &str) -> String {
        self.fitted(text) + "\n"
    }
}

/// A time in the unit that suits it.
pub(crate) fn wall(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => format!("{:.0} us", ms * 1000.0),
        ms if ms < 100.0 => format!("{ms:.2} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms if ms < 120_000.0 => format!("{:.2} s", ms / 1000.0),
        ms => format!("{:.1} min", ms / 60_000.0),
    }
}

/// So many a second, with thousands apart; where there are that many, without a fraction.
pub(crate) fn rate(rate: f64) -> String {
    if rate < 999.95 { format!("{rate:.1}") } else { number(rate.round() as u64) }
}

/// A part of all in percent. 99.96 % are not all of them, and must not look so; 0.04 % are not nothing.
pub(crate) fn percent(part: u64, all: u64) -> String {
    if all == 0 {
        return "-".to_owned();
    }
    let percent = 100.0 * part as f64 / all as f64;
    let percent = if part < all { percent.min(99.9) } else { percent };
    format!("{percent:.1} %")
}

/// Text without what steers a terminal: control characters, and those that turn the direction of the words around them.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

fn steers(c: char) -> bool {
    // Marks, embeddings, overrides and isolates of direction; separators of lines and paragraphs.
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text cut to the columns that there are.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut fitting = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        fitting.push(c);
    }
    fitting.push('\u{2026}');
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_printable_steers_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\r\nb\u{9b}"), "a\u{fffd}[2J\u{fffd}\u{fffd}b\u{fffd}");
        // Right to left stays, what turns others around does not.
        assert_eq!(printable("\u{5d0}\u{202e}txt\u{2069}"), "\u{5d0}\u{fffd}txt\u{fffd}");
        assert_eq!(printable("\u{e4} \u{4e2d} \u{1f426}"), "\u{e4} \u{4e2d} \u{1f426}");
    }

    #[test]
    fn what_is_cut_fits() {
        assert_eq!(fit("abcdef", 6), "abcdef");
        assert_eq!(fit("abcdef", 4), "abc\u{2026}");
        assert_eq!(fit("\u{4e2d}\u{4e2d}\u{4e2d}", 4), "\u{4e2d}\u{2026}");
        assert_eq!(fit("abc", 1), "\u{2026}");
    }

    #[test]
    fn a_part_looks_like_one() {
        assert_eq!(percent(0, 0), "-");
        assert_eq!(percent(9999, 10_000), "99.9 %");
        assert_eq!(percent(10_000, 10_000), "100.0 %");
        assert_eq!(percent(1, 3), "33.3 %");
    }

    #[test]
    fn rates_have_their_thousands_apart() {
        assert_eq!([0.04, 12.34, 999.9, 999.96, 23_456.7].map(rate), ["0.0", "12.3", "999.9", "1,000", "23,457"]);
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        let times = [0.0123, 1.5, 512.4, 1234.5, 600_000.0].map(wall);
        assert_eq!(times, ["12 us", "1.50 ms", "512 ms", "1.23 s", "10.0 min"]);
    }
}
