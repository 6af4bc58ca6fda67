//! What can go wrong, as far as a client can act on it.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error with what to do next.
#[derive(Debug)]
pub struct ApiError {
    /// What sort of thing went wrong. Decides the exit code, and later the HTTP status.
    pub kind: ErrorKind,
    /// What was attempted, on what. Lowercase, without a full stop; never repeats its source.
    pub message: String,
    /// What to do next, if anything can be done.
    pub hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Sorts of error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The request cannot be right: an unknown option, a component that is none.
    BadRequest,
    /// There is no such job or plugin.
    NotFound,
    /// It is there, but in a state in which this cannot be done: sealed, finished, owned by another process.
    Conflict,
    /// The bearer of the token may not do that.
    Forbidden,
    /// There is no token, or it is not good.
    Unauthorized,
    /// Larger than can be taken.
    TooLarge,
    /// There is too much going on; the same may work later.
    Overloaded,
    /// The control host cannot be reached.
    Unreachable,
    /// This control host does not offer it: an embedded one has no schedules.
    Unsupported,
    /// A disk is full, or another thing that the machine ran out of.
    Exhausted,
    /// The machinery failed.
    Internal,
}

impl ApiError {
    /// An error without a source or a hint.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// Say what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Say what it came from.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
