//! What the process ends with, and how an error is told.

use std::{error::Error, fmt, io::Write as _, process::ExitCode};

use pigeon_api::{ApiError, ErrorKind};

use crate::{input::InputError, paint::Paint};

/// Exit codes. Published: scripts lean on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failed {
    /// Wrong usage, or bad input.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), hint: None, source: None }
    }

    /// The machinery failed.
    pub(crate) fn machinery(message: impl Into<String>) -> Self {
        Self { exit: Exit::Machinery, ..Self::usage(message) }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
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

    /// Print the error, its causes and the hint to standard error.
    pub(crate) fn print(&self, paint: Paint) {
        let mut text = format!("{} {}\n", paint.bad("error:"), self.message);
        let mut source = self.source.as_deref().map(|source| source as &(dyn Error + 'static));
        while let Some(error) = source {
            text.push_str(&format!("  {} {error}\n", paint.dim("because:")));
            source = error.source();
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("{} {hint}\n", paint.good("hint:")));
        }
        // Where standard error is gone there is nobody to tell.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<InputError> for Failed {
    fn from(error: InputError) -> Self {
        let (message, hint) = (error.to_string(), error.hint());
        Self { exit: Exit::Usage, message, hint, source: into_source(error) }
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
            ErrorKind::BadRequest | ErrorKind::NotFound | ErrorKind::Conflict => Exit::Usage,
            ErrorKind::Exhausted | ErrorKind::Internal => Exit::Machinery,
        };
        let hint = error.hint.take();
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        Self { exit, message: error.message, hint, source: Causes::chain(causes) }
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
