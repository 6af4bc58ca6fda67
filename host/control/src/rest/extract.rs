//! What is asked: paths, queries and bodies, and problem documents of what is wrong with them.

use std::str::FromStr;

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse as _, Response},
};
use pigeon_api::{ApiError, DeadId, ErrorKind, InlineItem, page::page_size};
use pigeon_protocol::id::JobId;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    body,
    failure::{Answer, Failure},
    reading,
    shared::Rest,
};

/// A query, in which everything that is not known is refused.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(refused) => {
                let unread = reading::query(&refused.body_text());
                Err(Failure::bad_request(format!("the query cannot be read: {}", unread.detail)).hinted(unread.hint))
            }
        }
    }
}

/// How many entries a page has.
pub(super) fn page(limit: Option<usize>) -> Answer<usize> {
    if limit == Some(0) {
        return Err(Failure::bad_request("the query cannot be read: a page has at least one entry"));
    }
    Ok(page_size(limit))
}

/// Of routes that have no query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// The part of a path that its route leaves open, as text.
async fn segment<S: Send + Sync>(parts: &mut Parts, state: &S) -> Answer<String> {
    match Path::<String>::from_request_parts(parts, state).await {
        Ok(Path(text)) => Ok(text),
        Err(refused) => Err(Failure::bad_request(refused.body_text())),
    }
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Answer<T> {
    text.parse().map_err(|error| Failure::bad_request(format!("{error}")))
}

/// `{id}` of a job.
pub(super) struct Job(pub(super) JobId);

impl<S: Send + Sync> FromRequestParts<S> for Job {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        Ok(Self(parsed(&segment(parts, state).await?)?))
    }
}

/// `{id}` of a job, and `{seq}` of a chunk.
pub(super) struct JobChunk(pub(super) JobId, pub(super) u64);

impl<S: Send + Sync> FromRequestParts<S> for JobChunk {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Path((job, seq)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|refused| Failure::bad_request(refused.body_text()))?;
        let no_number = |_| Failure::bad_request(format!("{seq:?} is no number of a chunk"));
        Ok(Self(parsed(&job)?, seq.parse().map_err(no_number)?))
    }
}

/// `{id}` of a dead letter.
pub(super) struct Dead(pub(super) DeadId);

impl<S: Send + Sync> FromRequestParts<S> for Dead {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        Ok(Self(parsed(&segment(parts, state).await?)?))
    }
}

/// `{name}` of whatever it is.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        Ok(Self(segment(parts, state).await?))
    }
}

/// A body in JSON, in which everything that is not known is refused; with the memory that it takes, to be held for as long
/// as it is of use.
pub(super) struct Json<T>(pub(super) T, pub(super) body::Reservation);

impl<T: DeserializeOwned> FromRequest<Rest> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request<Body>, rest: &Rest) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        must_be(&parts.headers, &["application/json"])?;
        let (bytes, memory) = body::whole(rest, &parts.headers, body, rest.limits.json).await?;
        // What serde would take for a record just as well is not what the document says.
        if bytes.trim_ascii_start().starts_with(b"[") {
            let detail = "the body cannot be read: it is a list, and not an object with names";
            return Err(Failure::status(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
        match axum::Json::from_bytes(&bytes) {
            Ok(axum::Json(value)) => Ok(Self(value, memory)),
            Err(refused) => {
                let unread = reading::body(&refused.body_text());
                let detail = format!("the body cannot be read: {}", unread.detail);
                Err(match refused.status() {
                    // Said by the one who stopped reading at this.
                    _ if detail.contains(InlineItem::TOO_MANY) => {
                        Failure::too_large(detail).hint("open the job without items, and append them: chunks, or lines")
                    }
                    StatusCode::BAD_REQUEST => Failure::bad_request(detail).hinted(unread.hint),
                    status => Failure::status(status, detail).hinted(unread.hint),
                })
            }
        }
    }
}

/// See that a body is of a media type that its route takes.
pub(super) fn must_be(headers: &HeaderMap, types: &[&str]) -> Answer<()> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if types.iter().any(|known| known.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    let detail = match essence {
        "" => "the type of the request's body is not said".to_owned(),
        other => format!("a request's body of the type {other:?} is not taken here"),
    };
    let hint = format!("send it with `Content-Type: {}`", types.join("` or `"));
    Err(Failure::status(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).hint(hint))
}

/// No route of that name.
pub(super) async fn no_route(request: Request) -> Failure {
    let error = ApiError::new(ErrorKind::NotFound, format!("there is no {}", request.uri().path()));
    Failure::from(error.hint("all routes stand in /openapi.json"))
}

/// A route of that name, but not for that method. Which there are, the header `Allow` says, which axum adds.
pub(super) async fn no_method(request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let detail = format!("{} cannot be done to {}", request.method(), request.uri().path());
    Failure::status(StatusCode::METHOD_NOT_ALLOWED, detail).into_response()
}
