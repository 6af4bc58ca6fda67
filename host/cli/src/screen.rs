//! What is said on standard error while a job goes on: progress, notes and the log.
//!
//! On a terminal there is a bar, and whatever else is said stands above it. Elsewhere there is a plain line now and
//! then.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pigeon_api::Progress;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    paint::{Colours, Paint},
    text::{fit, number, plural, printable},
};

/// Between two plain lines.
const PLAIN_PACE: Duration = Duration::from_secs(10);

/// Time before which a pace says nothing.
const SHORTEST: Duration = Duration::from_millis(500);

/// Columns of a note, at most: six lines of a usual terminal.
const WIDEST: usize = 480;

/// How much is to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    /// Everything.
    All,
    /// No progress.
    Notes,
    /// Nothing that was not asked for.
    Quiet,
}

/// Standard error. Clones share it.
#[derive(Clone)]
pub(crate) struct Screen {
    shared: Arc<Shared>,
    pub(crate) paint: Paint,
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    out: Box<dyn Write + Send>,
    talk: Talk,
    bar: Option<Bar>,
    said: Instant,
}

/// The bar, and where it began: what an earlier process did is no part of this one's pace.
struct Bar {
    bar: ProgressBar,
    began: Instant,
    done: u64,
}

impl Screen {
    pub(crate) fn new(colours: Colours) -> Self {
        Self::onto(Box::new(io::stderr()), Paint::for_stream(colours, &io::stderr()))
    }

    fn onto(out: Box<dyn Write + Send>, paint: Paint) -> Self {
        let state = State { out, talk: Talk::Notes, bar: None, said: Instant::now() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state) }), paint }
    }

    /// Say how much is to be said.
    pub(crate) fn set_talk(&self, talk: Talk) {
        self.state(|state| state.talk = talk);
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.shared.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Say something that is said with `--quiet` too.
    pub(crate) fn say(&self, line: &str) {
        self.state(|state| state.print(format!("{line}\n").as_bytes()));
    }

    /// Ask something: the answer stands on the same line.
    pub(crate) fn ask(&self, question: &str) {
        self.state(|state| state.print(harmless(question).as_bytes()));
    }

    /// Say something that people may want to know. A guest or an agent may have a hand in the words: they stay on one
    /// line, and do not steer the terminal.
    pub(crate) fn note(&self, line: &str) {
        self.note_as_is(&harmless(line));
    }

    /// Say that something is not as it should be. The words are as harmless as a note's.
    pub(crate) fn warn(&self, line: &str) {
        self.note_as_is(&format!("{} {}", self.paint.warn("warning:"), harmless(line)));
    }

    /// Note what can be done next. The command stays whole, however long it is: it is there to be pasted.
    pub(crate) fn next(&self, what: &str, command: &str) {
        self.note_as_is(&format!("{what} {}", self.paint.strong(&printable(command))));
    }

    fn note_as_is(&self, line: &str) {
        self.state(|state| {
            if state.talk != Talk::Quiet {
                state.print(format!("{line}\n").as_bytes());
            }
        });
    }

    /// Show how far the job is.
    pub(crate) fn progress(&self, progress: &Progress) {
        self.state(|state| {
            if state.talk != Talk::All {
                return;
            }
            if io::stderr().is_terminal() {
                let bar = state.bar.get_or_insert_with(|| Bar {
                    bar: bar(self.paint),
                    began: Instant::now(),
                    done: progress.done,
                });
                let pace = pace(progress, bar.done, bar.began.elapsed());
                let bar = &bar.bar;
                // The length first: a position behind it would look like more than all.
                bar.set_length(progress.planned.max(1));
                bar.set_position(progress.done);
                let (done, planned) = (number(progress.done), plural(progress.planned, "run"));
                bar.set_message(format!("{done}/{planned}{pace}{}", message(progress, self.paint)));
            } else if state.said.elapsed() >= PLAIN_PACE {
                state.said = Instant::now();
                let of = if progress.sealed { "" } else { " (and more to come)" };
                let line = format!(
                    "{} of {}{of}{}\n",
                    number(progress.done),
                    plural(progress.planned, "run"),
                    message(progress, Paint::PLAIN)
                );
                state.print(line.as_bytes());
            }
        });
    }

    /// Take the bar away.
    pub(crate) fn clear(&self) {
        self.state(|state| {
            if let Some(bar) = state.bar.take() {
                bar.bar.finish_and_clear();
            }
        });
    }
}

impl State {
    fn print(&mut self, bytes: &[u8]) {
        // Where standard error is gone there is nobody to tell.
        let mut print = || drop(self.out.write_all(bytes));
        match &self.bar {
            Some(bar) => bar.bar.suspend(print),
            None => print(),
        }
    }
}

/// Words of others, as they may be shown.
fn harmless(line: &str) -> String {
    fit(&printable(line), WIDEST)
}

fn bar(paint: Paint) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(10));
    let colours = if paint == Paint::PLAIN { "" } else { ".cyan/dim" };
    if let Ok(style) = ProgressStyle::with_template(&format!("[{{bar:30{colours}}}] {{msg}}")) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// Runs in a second and time that is left, once there is something to go by.
fn pace(progress: &Progress, done_before: u64, elapsed: Duration) -> String {
    let done = progress.done.saturating_sub(done_before);
    if done == 0 || elapsed < SHORTEST {
        return String::new();
    }
    let rate = done as f64 / elapsed.as_secs_f64();
    let left = progress.planned.saturating_sub(progress.done) as f64 / rate;
    let left = if left > 0.0 { format!("  {} s left", number(left.ceil() as u64)) } else { String::new() };
    format!("  {} runs/s{left}", number(rate.round() as u64))
}

fn message(progress: &Progress, paint: Paint) -> String {
    let mut message = String::new();
    if progress.invalid > 0 {
        message.push_str(&format!("  {}", paint.bad(&format!("{} invalid", number(progress.invalid)))));
    }
    if progress.failures > 0 {
        message.push_str(&format!("  {}", paint.bad(&format!("{} failed", number(progress.failures)))));
    }
    if progress.retried > 0 {
        message.push_str(&format!("  {}", paint.warn(&format!("{} retried", number(progress.retried)))));
    }
    message
}

/// The log goes the same way.
impl<'a> MakeWriter<'a> for Screen {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { screen: self.clone(), bytes: Vec::new() }
    }
}

/// A line of the log, said as a whole when it is complete.
pub(crate) struct Line {
    screen: Screen,
    bytes: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.screen.state(|state| state.print(&bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was said, for whoever looks.
    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(talk: Talk, act: impl FnOnce(&Screen)) -> String {
        let said = Said::default();
        let screen = Screen::onto(Box::new(said.clone()), Paint::PLAIN);
        screen.set_talk(talk);
        act(&screen);
        String::from_utf8(std::mem::take(&mut said.0.lock().unwrap())).unwrap()
    }

    #[test]
    fn what_a_guest_says_neither_steers_the_terminal_nor_fakes_a_line() {
        let told = "tried again: busy: \u{1b}[2Jall\r\nerror: is\u{7} \u{9b}1mlost";
        let harmless = "tried again: busy: \u{fffd}[2Jall\u{fffd}\u{fffd}error: is\u{fffd} \u{fffd}1mlost\n";
        assert_eq!(said(Talk::All, |screen| screen.note(told)), harmless);
        assert_eq!(said(Talk::All, |screen| screen.warn(told)), format!("warning: {harmless}"));
        assert_eq!(said(Talk::Quiet, |screen| screen.warn(told)), "");
    }

    #[test]
    fn a_note_is_cut_but_a_command_is_not() {
        let long = "x".repeat(100_000);
        let cut = format!("{}\u{2026}\n", "x".repeat(WIDEST - 1));
        assert_eq!(said(Talk::Notes, |screen| screen.note(&long)), cut);
        assert_eq!(said(Talk::Notes, |screen| screen.warn(&long)), format!("warning: {cut}"));
        assert_eq!(said(Talk::Notes, |screen| screen.next("to go on:", &long)), format!("to go on: {long}\n"));
    }

    #[test]
    fn what_is_not_zero_is_told() {
        let told = |progress| message(&progress, Paint::PLAIN);
        assert_eq!(told(Progress { done: 9, valid: 9, ..Progress::default() }), "");
        assert_eq!(
            told(Progress { invalid: 1, failures: 2000, retried: 3, ..Progress::default() }),
            "  1 invalid  2,000 failed  3 retried"
        );
    }

    #[test]
    fn the_pace_is_that_of_this_process() {
        let progress = Progress { planned: 30_000, sealed: true, done: 21_000, ..Progress::default() };
        assert_eq!(pace(&progress, 20_000, Duration::from_secs(1)), "  1,000 runs/s  9 s left");
        assert_eq!(pace(&progress, 20_000, Duration::from_micros(50)), "");
        assert_eq!(pace(&progress, 21_000, Duration::from_secs(9)), "");
    }
}
