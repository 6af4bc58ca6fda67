//! Errors on their way over REST: problem documents (RFC 9457), of which [`ApiError`]s are made again.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ApiError, ErrorKind};

/// The media type of a problem document.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// What the types of our problems begin with; the kind follows.
const URN: &str = "urn:pigeon:error:";

/// Causes that are told, at most.
const MOST_CAUSES: usize = 16;

/// A problem document (RFC 9457), with two members of our own: `kind` and `hint`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Problem {
    /// `urn:pigeon:error:KIND`, or `about:blank` where the status says all.
    #[serde(rename = "type")]
    #[schema(example = "urn:pigeon:error:not-found")]
    pub type_uri: String,
    /// What sort of problem it is, in words that are the same each time.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What to do next, if anything can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What sort of problem it is, for programs: `bad-request`, `not-found` and so on.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "not-found")]
    pub kind: String,
    /// What it came from, the nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

impl ErrorKind {
    /// All of them.
    pub const ALL: [ErrorKind; 11] = [
        ErrorKind::BadRequest,
        ErrorKind::NotFound,
        ErrorKind::Conflict,
        ErrorKind::Forbidden,
        ErrorKind::Unauthorized,
        ErrorKind::TooLarge,
        ErrorKind::Overloaded,
        ErrorKind::Unreachable,
        ErrorKind::Unsupported,
        ErrorKind::Exhausted,
        ErrorKind::Internal,
    ];

    /// `bad-request`, `not-found` ...
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorKind::BadRequest => "bad-request",
            ErrorKind::NotFound => "not-found",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Forbidden => "forbidden",
            ErrorKind::Unauthorized => "unauthorized",
            ErrorKind::TooLarge => "too-large",
            ErrorKind::Overloaded => "overloaded",
            ErrorKind::Unreachable => "unreachable",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Exhausted => "exhausted",
            ErrorKind::Internal => "internal",
        }
    }

    /// The same for people.
    pub const fn title(self) -> &'static str {
        match self {
            ErrorKind::BadRequest => "The request cannot be right",
            ErrorKind::NotFound => "There is no such thing",
            ErrorKind::Conflict => "This cannot be done in the state in which it is",
            ErrorKind::Forbidden => "The token does not allow this",
            ErrorKind::Unauthorized => "A token is needed",
            ErrorKind::TooLarge => "It is larger than can be taken",
            ErrorKind::Overloaded => "There is too much going on",
            ErrorKind::Unreachable => "It cannot be reached",
            ErrorKind::Unsupported => "This is not offered",
            ErrorKind::Exhausted => "Something has run out",
            ErrorKind::Internal => "The machinery failed",
        }
    }

    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            ErrorKind::BadRequest => 400,
            ErrorKind::Unauthorized => 401,
            ErrorKind::Forbidden => 403,
            ErrorKind::NotFound => 404,
            ErrorKind::Conflict => 409,
            ErrorKind::TooLarge => 413,
            ErrorKind::Overloaded => 429,
            ErrorKind::Internal => 500,
            ErrorKind::Unsupported => 501,
            ErrorKind::Unreachable => 503,
            ErrorKind::Exhausted => 507,
        }
    }

    /// What an HTTP status comes closest to.
    pub fn of_status(status: u16) -> Self {
        let known = ErrorKind::ALL.into_iter().find(|kind| kind.status() == status);
        known.unwrap_or(match status {
            502 | 504 => ErrorKind::Unreachable,
            400..500 => ErrorKind::BadRequest,
            _ => ErrorKind::Internal,
        })
    }
}

impl Problem {
    /// A problem that is no [`ApiError`]: of routes and methods that do not exist, bodies of the wrong type and so on.
    pub fn of_status(status: u16, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            type_uri: "about:blank".to_owned(),
            title: title.into(),
            status,
            detail: detail.into(),
            kind: ErrorKind::of_status(status).as_str().to_owned(),
            ..Self::default()
        }
    }
}

impl From<&ApiError> for Problem {
    fn from(error: &ApiError) -> Self {
        let kind = error.kind;
        let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        Self {
            type_uri: format!("{URN}{}", kind.as_str()),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: error.message.clone(),
            hint: error.hint.clone(),
            kind: kind.as_str().to_owned(),
            causes: causes.take(MOST_CAUSES).map(ToString::to_string).collect(),
        }
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        Self::from(&error)
    }
}

impl From<Problem> for ApiError {
    /// Of a kind that is not known (a newer control host's), the status decides.
    fn from(problem: Problem) -> Self {
        let known = ErrorKind::ALL.into_iter().find(|kind| kind.as_str() == problem.kind);
        let kind = known.unwrap_or_else(|| ErrorKind::of_status(problem.status));
        let said = [problem.detail, problem.title].into_iter().find(|words| !words.is_empty());
        let mut error = ApiError::new(kind, said.unwrap_or_else(|| kind.title().to_owned()));
        error.hint = problem.hint;
        let causes = problem.causes.into_iter().take(MOST_CAUSES).rev();
        match causes.fold(None, |source, words| Some(Cause { words, source: source.map(Box::new) })) {
            Some(cause) => error.caused_by(cause),
            None => error,
        }
    }
}

/// What an error at the other end came from, as it was told.
#[derive(Debug)]
struct Cause {
    words: String,
    source: Option<Box<Cause>>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_back_as_they_were() {
        for kind in ErrorKind::ALL {
            let io = std::io::Error::other("no space left");
            let inner = ApiError::new(ErrorKind::Internal, "failed to write a row").caused_by(io);
            let error = ApiError::new(kind, "failed to append").hint("make room").caused_by(inner);
            let text = serde_json::to_string(&Problem::from(&error)).unwrap();
            let problem: Problem = serde_json::from_str(&text).unwrap();
            assert_eq!((problem.status, problem.type_uri.strip_prefix(URN)), (kind.status(), Some(kind.as_str())));
            let back = ApiError::from(problem.clone());
            assert_eq!(
                (back.kind, &*back.message, back.hint.as_deref()),
                (kind, "failed to append", Some("make room"))
            );
            assert_eq!(problem.causes, ["failed to write a row", "no space left"]);
            assert_eq!(Problem::from(&back), problem);
        }
    }

    #[test]
    fn every_kind_has_a_status_and_a_name_of_its_own() {
        for (at, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(ErrorKind::of_status(kind.status()), kind);
            assert!(ErrorKind::ALL[..at].iter().all(|other| other.as_str() != kind.as_str()));
        }
        assert_eq!(ErrorKind::of_status(418), ErrorKind::BadRequest);
        assert_eq!(ErrorKind::of_status(502), ErrorKind::Unreachable);
        assert_eq!(ErrorKind::of_status(599), ErrorKind::Internal);
    }

    #[test]
    fn what_others_wrote_is_read_as_far_as_it_goes() {
        let problem: Problem = serde_json::from_str(r#"{"status":409,"kind":"new","title":"Busy","x":1}"#).unwrap();
        let error = ApiError::from(problem);
        assert_eq!((error.kind, &*error.message), (ErrorKind::Conflict, "Busy"));
        let error = ApiError::from(serde_json::from_str::<Problem>("{}").unwrap());
        assert_eq!((error.kind, &*error.message), (ErrorKind::Internal, "The machinery failed"));
    }
}
