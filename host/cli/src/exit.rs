//! What the process ends with, and how an error is told.

use std::{error::Error, fmt, io::Write as _, process::ExitCode};

use pigeon_api::{ApiError, ErrorKind, Problem};

use crate::{input::InputError, paint::Paint, text::printable};

/// Exit codes. Published: scripts lean on them. Of several the greatest is the gravest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Every run was valid.
    Valid = 0,
    /// Some run was invalid.
    Invalid = 1,
    /// Usage or bad input: nothing ran, or only what came before the bad place of a stream.
    Usage = 2,
    /// Some run could not be judged.
    Failures = 3,
    /// The machinery failed.
    Machinery = 4,
    /// Interrupted by Ctrl-C, SIGTERM or SIGHUP.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error as people see it: what went wrong, what it came from, and what to do next.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) exit: Exit,
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failed {
    /// Wrong usage, or bad input.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, kind: ErrorKind::BadRequest, message: message.into(), hint: None, source: None }
    }

    /// The machinery failed.
    pub(crate) fn machinery(message: impl Into<String>) -> Self {
        Self { exit: Exit::Machinery, kind: ErrorKind::Internal, ..Self::usage(message) }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What to do next, where nothing better is said.
    pub(crate) fn or_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Say something more about it.
    pub(crate) fn but(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{}; {what}", self.message);
        self
    }

    /// Say first what it is about, unless it is named already.
    pub(crate) fn about(mut self, what: &str, name: impl fmt::Display) -> Self {
        let name = name.to_string();
        let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_'));
        let is_quoted = [format!("{name:?}"), format!("`{name}`")].iter().any(|quoted| self.message.contains(quoted));
        let is_named = is_quoted || self.message.split(&format!("{what} {name}")).skip(1).any(|rest| !goes_on(rest));
        if !is_named {
            self.message = format!("{what} {name}: {}", self.message);
        }
        self
    }

    /// The same for programs.
    pub(crate) fn problem(&self) -> Problem {
        let mut error = ApiError::new(self.kind, self.message.clone());
        error.hint.clone_from(&self.hint);
        Problem { causes: self.causes().map(ToString::to_string).collect(), ..Problem::from(&error) }
    }

    /// What it came from, the nearest first.
    fn causes(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let first = self.source.as_deref().map(|source| source as &(dyn Error + 'static));
        std::iter::successors(first, |error| (*error).source())
    }

    /// All of it on one line, for a log: the causes behind the message, and then the hint.
    pub(crate) fn in_a_line(&self) -> String {
        let causes = self.causes().map(ToString::to_string);
        let said: Vec<String> = [self.message.clone()].into_iter().chain(causes).chain(self.hint.clone()).collect();
        said.join("; ")
    }

    /// Print the error, its causes and the hint to standard error.
    pub(crate) fn print(&self, paint: Paint) {
        // Where standard error is gone there is nobody to tell.
        let _ = std::io::stderr().write_all(self.told(paint).as_bytes());
    }

    fn told(&self, paint: Paint) -> String {
        let mut text = format!("{} {}\n", paint.bad("error:"), harmless(&self.message));
        for error in self.causes() {
            text.push_str(&format!("  {} {}\n", paint.dim("because:"), harmless(&error.to_string())));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("{} {}\n", paint.good("hint:"), harmless(hint)));
        }
        text
    }
}

/// Words in which a guest or the name of a file may have a hand: they do not steer the terminal, and what stands on
/// further lines is indented, so that it cannot be taken for something that we say.
fn harmless(text: &str) -> String {
    let mut lines = text.lines();
    let mut harmless = printable(lines.next().unwrap_or_default());
    for line in lines {
        harmless.push_str(if line.starts_with("  ") { "\n" } else { "\n  " });
        harmless.push_str(&printable(line));
    }
    harmless
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<InputError> for Failed {
    fn from(error: InputError) -> Self {
        let (message, hint) = (error.to_string(), error.hint());
        Self { message, hint, source: into_source(error), ..Self::usage("") }
    }
}

/// What an input error came from, without itself: its own words are the message.
fn into_source(error: InputError) -> Option<Box<dyn Error + Send + Sync>> {
    match error {
        InputError::Read { source, .. } => Some(Box::new(source)),
        _ => None,
    }
}

impl From<ApiError> for Failed {
    fn from(mut error: ApiError) -> Self {
        let exit = match error.kind {
            ErrorKind::BadRequest
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::Forbidden
            | ErrorKind::Unauthorized
            | ErrorKind::TooLarge
            | ErrorKind::Unsupported => Exit::Usage,
            ErrorKind::Exhausted | ErrorKind::Overloaded | ErrorKind::Unreachable | ErrorKind::Internal => {
                Exit::Machinery
            }
        };
        let hint = match (error.hint.take(), usual_hint(error.kind)) {
            // The client knows of no contexts.
            (Some(hint), Some(usual)) if error.kind == ErrorKind::Unreachable => Some(format!("{hint}; {usual}")),
            (hint, usual) => hint.or_else(|| usual.map(str::to_owned)),
        };
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        Self { exit, kind: error.kind, message: error.message, hint, source: Causes::chain(causes) }
    }
}

/// What to do about errors of servers that they say nothing of themselves.
const fn usual_hint(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Unreachable => Some("`pigeon context list` shows which servers are kept; --local works without one"),
        ErrorKind::Forbidden => Some(
            "an admin makes a token of that role with `pigeon token create`; `pigeon context add --replace` keeps it",
        ),
        ErrorKind::Unauthorized => {
            Some("have an admin make a token with `pigeon token create`, and keep it with `pigeon context add`")
        }
        ErrorKind::Unsupported => {
            Some("it takes a server: `pigeon up` starts one here, and `pigeon context` names others")
        }
        ErrorKind::Overloaded => Some("try again in a while"),
        _ => None,
    }
}

/// Causes whose types are gone, in their order.
#[derive(Debug)]
struct Causes {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Causes {
    fn chain(causes: Vec<String>) -> Option<Box<dyn Error + Send + Sync>> {
        causes.into_iter().rev().fold(None, |source, message| Some(Box::new(Causes { message, source }) as _))
    }
}

impl fmt::Display for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Causes {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_it_is_about_is_said_once() {
        let told = |message: &str| Failed::usage(message).about("job", 1).to_string();
        assert_eq!(told("it has ended"), "job 1: it has ended");
        assert_eq!(told("job 1 is finished"), "job 1 is finished");
        assert_eq!(told("there is no job 1"), "there is no job 1");
        assert_eq!(told("there is no job \"1\""), "there is no job \"1\"");
        assert_eq!(told("job 12 was before"), "job 1: job 12 was before");
        let told = |message: &str| Failed::usage(message).about("schedule", "in").to_string();
        assert_eq!(told("nothing is in there"), "schedule in: nothing is in there");
    }

    #[test]
    fn who_may_not_or_cannot_reach_a_server_is_told_what_to_do() {
        let hint = |error: ApiError| Failed::from(error).problem().hint.unwrap_or_default();
        assert!(hint(ApiError::new(ErrorKind::Forbidden, "needs admin")).contains("pigeon token create"));
        let away = ApiError::new(ErrorKind::Unreachable, "away").hint("see whether it runs");
        assert!(hint(away).starts_with("see whether it runs; `pigeon context list`"));
        let gone = ApiError::new(ErrorKind::Conflict, "it is sealed").hint("open another");
        assert_eq!(hint(gone), "open another");
        assert_eq!(Failed::usage("none").or_hint("a").or_hint("b").problem().hint.as_deref(), Some("a"));
    }

    #[test]
    fn programs_hear_the_same() {
        let error = ApiError::new(ErrorKind::Conflict, "it is sealed").hint("open another");
        let problem = Failed::from(error.caused_by(io::Error::other("so it is"))).about("job", 1).problem();
        assert_eq!((problem.kind.as_str(), problem.status), ("conflict", 409));
        assert_eq!((problem.detail.as_str(), problem.hint.as_deref()), ("job 1: it is sealed", Some("open another")));
        assert_eq!(problem.causes, ["so it is"]);
        assert_eq!(Failed::machinery("lost").problem().kind, "internal");
    }

    #[test]
    fn what_others_had_a_hand_in_neither_steers_the_terminal_nor_fakes_an_error() {
        let failed = Failed::usage("failed to read a\u{1b}[2J\nerror: b")
            .caused_by("one\r\nhint: two\n")
            .hint("--option o=...: \u{9b}1m\nwhich?\n  this\n\nerror: it is lost");
        let told = "error: failed to read a\u{fffd}[2J\n  error: b\n  because: one\n  hint: two\n\
                    hint: --option o=...: \u{fffd}1m\n  which?\n  this\n  \n  error: it is lost\n";
        assert_eq!(failed.told(Paint::PLAIN), told);
    }
}
