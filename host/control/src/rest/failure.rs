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
pub(super) struct Failure(Box<Problem>);

/// The same within a response, for the log: what it says is not read back from the body.
#[derive(Debug, Clone)]
pub(super) struct Told(pub(super) String);

impl Failure {
    /// A problem of HTTP rather than of what was asked.
    pub(super) fn status(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self(Box::new(Problem::of_status(status.as_u16(), title, detail)))
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        ApiError::new(ErrorKind::BadRequest, detail).into()
    }

    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        ApiError::new(ErrorKind::Conflict, detail).into()
    }

    /// Too much goes on: the same may work in a second.
    pub(super) fn overloaded(detail: impl Into<String>) -> Self {
        ApiError::new(ErrorKind::Overloaded, detail).hint("try the same again after a while").into()
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

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self(Box::new(Problem::from(&error)))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Our own plain type: it can always be written.
        let document = serde_json::to_vec(&self.0).unwrap_or_default();
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
        let mut told = self.0.detail;
        for cause in self.0.causes {
            told.push_str(": ");
            told.push_str(&cause);
        }
        response.extensions_mut().insert(Told(told));
        response
    }
}
