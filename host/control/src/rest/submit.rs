//! Submission: a job is opened, with its items if they are few.

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::LOCATION},
    response::{IntoResponse as _, Response},
};
use pigeon_api::{ApiError, ErrorKind, Problem, Role, Submission, page::Submitted};

use super::{
    caller::{Caller, Submitter},
    extract::{self, Nothing, Query},
    failure::{Answer, Failure},
};
use crate::clock;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Open a job. It is durable when this is answered. With `items` it is sealed as well, and needs nothing more; without, it
/// is appended to and sealed by further requests. 65,536 `items` are the most: more are appended.
///
/// With a key (in the body, or as the header `Idempotency-Key`) the request may be repeated for as long as the job is kept:
/// the job that the first opened is given again.
#[utoipa::path(
    post,
    path = "/api/v1/jobs",
    tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same as `key` in the body", max_length = 255)),
    request_body(content = Submission, examples(
        ("one item" = (value = json!({"plugin": "gexpr", "items": ["(+ 1 2)"]}))),
        ("to be appended to" = (value = json!({"plugin": "json@0.1.0", "key": "nightly-2026-11-21", "priority": 5}))),
    )),
    responses(
        (status = 201, description = "It was opened", body = Submitted,
            headers(("Location" = String, description = "Where the job is"))),
        (status = 200, description = "It was opened before, by a request with the same key", body = Submitted),
        (status = 403, description = "It grants powers, which takes the role operator", body = Problem,
            content_type = "application/problem+json"),
        (status = 404, description = "There is no such plugin", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The key was used for another request", body = Problem,
            content_type = "application/problem+json"),
        (status = 413, description = "It is too large, or has too many items", body = Problem,
            content_type = "application/problem+json"),
        (status = 429, description = "There is too much going on, or as many jobs wait as may", body = Problem,
            content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds"))),
    ),
    security(("bearer" = ["submitter"]))
)]
pub(super) async fn submit_job(
    caller: Caller<Submitter>,
    _: Query<Nothing>,
    headers: HeaderMap,
    extract::Json(mut submission, memory): extract::Json<Submission>,
) -> Answer<Response> {
    if let Some(key) = header_key(&headers)? {
        if submission.key.as_ref().is_some_and(|other| *other != key) {
            return Err(Failure::bad_request("the header Idempotency-Key and the body name different keys"));
        }
        submission.key = Some(key);
    }
    if let Some(key) = &submission.key
        && (key.is_empty() || key.len() > Submission::LONGEST_KEY)
    {
        return Err(Failure::bad_request(format!("a key has 1 to {} bytes", Submission::LONGEST_KEY)));
    }
    if !submission.grants.is_empty() && caller.principal.role < Role::Operator {
        let message = "the plugin's manifest grants no powers, and to go beyond it takes the role operator";
        return Err(ApiError::new(ErrorKind::Forbidden, message).hint("leave `grants` out, or ask an operator").into());
    }
    let began_ms = i64::try_from(clock::now_ms()).unwrap_or(i64::MAX);
    let (pigeon, keyed) = (caller.pigeon(), submission.key.is_some());
    let id = {
        let pigeon = pigeon.clone();
        caller.deed(memory.during(async move { crate::submit::submit(&*pigeon, submission).await })).await?
    };
    caller.authors.learn(id, caller.principal.name.as_str().into());
    let new = !keyed || pigeon.job(id).await?.accepted_ms >= began_ms;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    let location = HeaderValue::try_from(format!("/api/v1/jobs/{id}"));
    let location = location.map_err(|_| Failure::internal("failed to name the job"))?;
    Ok((status, [(LOCATION, location)], Json(Submitted { id })).into_response())
}

fn header_key(headers: &HeaderMap) -> Answer<Option<String>> {
    let key = headers.get(IDEMPOTENCY_KEY).map(|key| key.to_str().map(str::to_owned));
    key.transpose().map_err(|_| Failure::bad_request("the header Idempotency-Key is no plain text"))
}
