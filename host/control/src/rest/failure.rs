//! What a request is answered that could not be done: a problem document (RFC 9457), whatever went wrong.

use axum::{
    body::Body,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use pigeon_api::{ApiError, ErrorKind, PROBLEM_MEDIA_TYPE, Problem};

/// The answer of a handler.
pub(super) type Answer<T> = Result<T, Failure>;

/// A problem on its way to the client.
#[derive(Debug)]
pub(super) struct Failure {
    problem: Box<Problem>,
    /// What there is too much of, if that is the problem.
    full: Option<&'static str>,
}

/// The same within a response, for the log: what it says is not read back from the body.
#[derive(Debug, Clone)]
pub(super) struct Told(pub(super) String);

/// Likewise what there is too much of, for the figures: `other` where the control host itself said so.
#[derive(Debug, Clone, Copy)]
pub(super) struct TurnedAway(pub(super) &'static str);

impl Failure {
    /// A problem of HTTP rather than of what was asked.
    pub(super) fn status(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { problem: Box::new(Problem::of_status(status.as_u16(), title, detail)), full: None }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        ApiError::new(ErrorKind::BadRequest, detail).into()
    }

    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        ApiError::new(ErrorKind::Conflict, detail).into()
    }

    /// There is too much of something, in a word for the figures: the same may work in a second.
    pub(super) fn overloaded(full: &'static str, detail: impl Into<String>) -> Self {
        let failure = Self::from(ApiError::new(ErrorKind::Overloaded, detail).hint("try the same again after a while"));
        Self { full: Some(full), ..failure }
    }

    pub(super) fn too_large(detail: impl Into<String>) -> Self {
        ApiError::new(ErrorKind::TooLarge, detail).into()
    }

    /// It goes down, and takes nothing more.
    pub(super) fn going_down() -> Self {
        ApiError::new(ErrorKind::Unreachable, "the control host is going down").into()
    }

    pub(super) fn internal(detail: impl Into<String>) -> Self {
        ApiError::new(ErrorKind::Internal, detail).into()
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        self.hinted(Some(hint.into()))
    }

    /// The same, if there is anything to say.
    pub(super) fn hinted(mut self, hint: Option<String>) -> Self {
        self.problem.hint = hint;
        self
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self { problem: Box::new(Problem::from(&error)), full: None }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Our own plain type: it can always be written.
        let document = serde_json::to_vec(&self.problem).unwrap_or_default();
        let mut response = Response::new(Body::from(document));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"pigeon\""));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        let mut told = self.problem.detail;
        for cause in self.problem.causes {
            told.push_str(": ");
            told.push_str(&cause);
        }
        response.extensions_mut().insert(Told(told));
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.extensions_mut().insert(TurnedAway(self.full.unwrap_or("other")));
        }
        response
    }
}
