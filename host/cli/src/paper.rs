//! Where commands write what was asked for: standard output, for people or for programs.

use std::{
    env,
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use clap::Args;
use serde::Serialize;

use crate::{
    exit::Failed,
    paint::{Colours, Paint},
    stdout,
    text::{Moment, View},
    units,
};

/// Columns of a terminal that does not say.
const PLAIN_WIDTH: usize = 80;

/// Columns below which nothing is made to fit.
const LEAST_WIDTH: usize = 20;

/// How to show what was asked for.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OutputArgs {
    /// How to show it
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Output")]
    pub(crate) output: Output,
}

/// Whether to show it again and again.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WatchArgs {
    /// Go on showing it, until Ctrl-C; each time on a line of its own with `-o json`
    #[arg(short, long, help_heading = "Output")]
    pub(crate) watch: bool,

    /// Time from one to the next with --watch
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "2s", requires = "watch",
        help_heading = "Output")]
    pub(crate) every: Duration,
}

/// Forms in which something can be shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// Standard output.
#[derive(Debug)]
pub(crate) struct Paper {
    pub(crate) output: Output,
    pub(crate) view: View,
    /// Whether it is a terminal: what is on it can be drawn anew.
    pub(crate) terminal: bool,
    /// Whether whoever read it has gone.
    gone: bool,
}

impl Paper {
    /// See that it is there.
    ///
    /// # Errors
    /// If it was closed: what is written there would be lost.
    pub(crate) fn open(OutputArgs { output }: OutputArgs, colours: Colours) -> Result<Self, Failed> {
        stdout::check("leave it open: there is nowhere else to write to")?;
        let terminal = io::stdout().is_terminal();
        let view = View {
            paint: Paint::for_stream(colours, &io::stdout()),
            width: width(terminal),
            unicode: speaks_unicode(|name| env::var(name).ok()),
            moment: Moment::now(),
            flags: String::new(),
        };
        Ok(Self { output, view, terminal, gone: false })
    }

    /// How to show something now: the clock and the terminal's width may have moved.
    pub(crate) fn view_now(&self) -> View {
        View { width: width(self.terminal), moment: Moment::now(), ..self.view.clone() }
    }

    /// Write text. Nothing is written, and nothing is wrong, once its reader has gone.
    ///
    /// # Errors
    /// If it cannot be written, as a rule because the disk is full.
    pub(crate) fn write(&mut self, text: impl AsRef<[u8]>) -> Result<(), Failed> {
        if self.gone {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            Err(error) => Err(Failed::machinery("failed to write to standard output").caused_by(error)),
            Ok(()) => Ok(()),
        }
    }

    /// Write a JSON document.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failed> {
        let text = serde_json::to_string_pretty(value).map_err(not_json)?;
        self.write(text + "\n")
    }

    /// Write a JSON document on one line.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failed> {
        self.write(json_text(value)? + "\n")
    }

    /// Write for people or for programs, as was asked for.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) fn show<T: Serialize>(
        &mut self,
        value: &T,
        table: impl FnOnce(&T, &View) -> String,
    ) -> Result<(), Failed> {
        match self.output {
            Output::Table => self.write(table(value, &self.view)),
            Output::Json => self.json(value),
        }
    }

    /// Look, and show what is seen: once, or again and again until whoever reads it has gone. On a terminal each is drawn
    /// in the place of the one before.
    ///
    /// # Errors
    /// As [`write`](Self::write), and those of `look`.
    pub(crate) async fn watch<T: Serialize>(
        &mut self,
        WatchArgs { watch, every }: WatchArgs,
        look: impl AsyncFn() -> Result<T, Failed>,
        table: impl Fn(&T, &View) -> String,
    ) -> Result<(), Failed> {
        if !watch {
            return self.show(&look().await?, table);
        }
        let mut first = true;
        while !self.is_gone() {
            let seen = look().await?;
            match self.output {
                Output::Json => self.json_line(&seen)?,
                Output::Table => {
                    let text = table(&seen, &self.view_now());
                    self.write(match first {
                        _ if self.terminal => drawn_anew(&text, first, rows()),
                        true => text,
                        false => format!("\n{text}"),
                    })?;
                }
            }
            first = false;
            tokio::time::sleep(every).await;
        }
        Ok(())
    }

    /// Whether whoever read it has gone: then nobody wants to know more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }
}

/// A value as JSON on one line, a part of a longer document.
///
/// # Errors
/// If it can be no JSON.
pub(crate) fn json_text(value: &impl Serialize) -> Result<String, Failed> {
    serde_json::to_string(value).map_err(not_json)
}

fn not_json(error: serde_json::Error) -> Failed {
    Failed::machinery("failed to write down what was asked for").caused_by(error)
}

/// What no screen shows is never cut.
fn width(terminal: bool) -> usize {
    match terminal.then(terminal_size::terminal_size) {
        None => usize::MAX,
        Some(size) => size.map_or(PLAIN_WIDTH, |(width, _)| usize::from(width.0).max(LEAST_WIDTH)),
    }
}

/// Lines of the terminal.
fn rows() -> usize {
    terminal_size::terminal_size_of(io::stdout()).map_or(24, |(_, rows)| usize::from(rows.0))
}

/// Move to the corner; clear what is behind the cursor on a line, and below it.
const HOME: &str = "\u{1b}[H";
const CLEAR_LINE: &str = "\u{1b}[K";
const CLEAR_BELOW: &str = "\u{1b}[J";

/// Text in the place of what was on the screen before, without a flicker: lines are written over, not cleared first.
fn drawn_anew(text: &str, first: bool, rows: usize) -> String {
    let mut drawn = String::from(HOME);
    if first {
        drawn.push_str(CLEAR_BELOW);
    }
    // The last line stays free: to write there would scroll.
    for line in text.lines().take(rows.saturating_sub(1).max(1)) {
        let _ = writeln!(drawn, "{line}{CLEAR_LINE}");
    }
    drawn.push_str(CLEAR_BELOW);
    drawn
}

/// Whether the locale speaks UTF-8, by the first of these variables that says anything.
fn speaks_unicode(variable: impl Fn(&str) -> Option<String>) -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty());
    said.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_written_over() {
        let drawn = drawn_anew("a\nb\nc\n", true, 3);
        assert_eq!(drawn, "\u{1b}[H\u{1b}[Ja\u{1b}[K\nb\u{1b}[K\n\u{1b}[J");
        assert_eq!(drawn_anew("a\n", false, 0), "\u{1b}[Ha\u{1b}[K\n\u{1b}[J");
    }

    #[test]
    fn the_first_variable_that_says_something_counts() {
        let speaks = |said: &[(&str, &str)]| {
            speaks_unicode(|name| said.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(speaks(&[("LANG", "de_DE.UTF-8")]));
        assert!(speaks(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]));
        assert!(!speaks(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(!speaks(&[]));
    }
}
