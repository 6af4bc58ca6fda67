//! What is told of a job for as long as there is something to tell: its results, its runs, and all that happens to it.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header::CONTENT_TYPE},
    response::{
        IntoResponse as _, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use bytes::Bytes;
use futures::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};
use pigeon_api::{
    ApiError, ItemResult, JobEvent, Landed, Problem, Watch,
    page::{Broken, RunsQuery, WatchQuery},
    sse::Message,
};
use serde::Serialize;
use tokio::time::timeout;

use super::{
    caller::{Caller, Viewer},
    extract::{Job, Nothing, Query},
    failure::{Answer, Failure},
};

/// The media type of lines of JSON.
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Who was cut off comes again after this time.
const RETRY: Duration = Duration::from_secs(1);

/// What became of the job's items, in their order, a line each: those that have an outcome by now. If it breaks off, the last
/// line is `{"error": PROBLEM}`.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}/results",
    tag = "jobs",
    params(("id" = String, Path, description = "The job", format = "uuid")),
    responses(
        (status = 200, description = "A line for each item", body = ItemResult, content_type = "application/x-ndjson"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn job_results(caller: Caller<Viewer>, Job(job): Job, _: Query<Nothing>) -> Answer<Response> {
    let results = caller.pigeon().results(job).await?;
    Ok(lines(results.map(|results| {
        let mut text = Vec::new();
        for result in results? {
            line(&mut text, &result);
        }
        Ok(text)
    })))
}

/// The job's runs in the order in which they landed, a line for each batch of them: those that have landed by now, or with
/// `follow` all of them until the job has ended; while none lands, an empty line comes now and then. If it breaks off, the
/// last line is `{"error": PROBLEM}`.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}/runs",
    tag = "jobs",
    params(("id" = String, Path, description = "The job", format = "uuid"), RunsQuery),
    responses(
        (status = 200, description = "A line for each batch", body = Landed, content_type = "application/x-ndjson"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn job_runs(
    caller: Caller<Viewer>,
    Job(job): Job,
    Query(query): Query<RunsQuery>,
) -> Answer<Response> {
    let RunsQuery { after, logs, follow } = query;
    let watch = Watch { runs: true, logs, after, past: !follow };
    let events = caller.pigeon().watch(job, watch).await?;
    let landed = events.filter_map(|event| async move {
        match event {
            Ok(JobEvent::Landed(landed)) => {
                let mut text = Vec::new();
                line(&mut text, &landed);
                Some(Ok(text))
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    });
    let alive = kept_alive(landed.boxed(), caller.limits.keep_alive);
    Ok(lines(alive.take_until(Box::pin(caller.over()))))
}

/// The same, with an empty line now and then while there is nothing to say.
fn kept_alive(
    told: BoxStream<'static, Result<Vec<u8>, ApiError>>,
    every: Duration,
) -> impl Stream<Item = Result<Vec<u8>, ApiError>> + Send {
    stream::unfold(told, move |mut told| async move {
        match timeout(every, told.next()).await {
            Ok(next) => next.map(|next| (next, told)),
            Err(_) => Some((Ok(b"\n".to_vec()), told)),
        }
    })
}

fn lines(told: impl Stream<Item = Result<Vec<u8>, ApiError>> + Send + 'static) -> Response {
    let lines = told.map(|told| {
        let text = told.unwrap_or_else(|error| {
            let mut text = Vec::new();
            line(&mut text, &Broken { error: Problem::from(error) });
            text
        });
        Ok::<_, Infallible>(Bytes::from(text))
    });
    ([(CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response()
}

/// Our own types can always be written; were one not to be, its line would be empty.
fn line<T: Serialize>(text: &mut Vec<u8>, value: &T) {
    let begin = text.len();
    if serde_json::to_writer(&mut *text, value).is_err() {
        text.truncate(begin);
    }
    text.push(b'\n');
}

/// All that happens to the job, as server-sent events: `landed` (with the batch as id), `progress`, `note`, `finished`, which
/// is the last, or `error`, which is the last too. Who is cut off comes again with `Last-Event-ID`, and misses nothing.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}/watch",
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job", format = "uuid"),
        WatchQuery,
        ("Last-Event-ID" = Option<u64>, Header, description = "The last batch that was seen; above `after`"),
    ),
    responses(
        (status = 200, description = "Events", body = String, content_type = "text/event-stream"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn watch_job(
    caller: Caller<Viewer>,
    Job(job): Job,
    Query(query): Query<WatchQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let mut watch = Watch::from(query);
    watch.after = last_event_id(&headers)?.unwrap_or(watch.after);
    let events = caller.pigeon().watch(job, watch).await?;
    Ok(sse(&caller, events.map(|event| Message::of_job(&event)).boxed()))
}

/// The last event that the client saw, by its header.
pub(super) fn last_event_id(headers: &HeaderMap) -> Answer<Option<u64>> {
    let Some(id) = headers.get("last-event-id") else { return Ok(None) };
    let id = id.to_str().ok().map(str::trim).unwrap_or("?");
    match id {
        "" => Ok(None),
        id => id.parse().map(Some).map_err(|_| Failure::bad_request(format!("the Last-Event-ID {id:?} is no number"))),
    }
}

/// Messages as server-sent events, until they end, the caller's token does, or the control host goes down.
pub(super) fn sse(caller: &Caller<Viewer>, messages: BoxStream<'static, Message>) -> Response {
    let begin = stream::once(async { Event::default().retry(RETRY) });
    let events = messages.map(|message| {
        let event = Event::default().event(message.event).data(message.data);
        match message.id {
            Some(id) => event.id(id.to_string()),
            None => event,
        }
    });
    let events = begin.chain(events).take_until(Box::pin(caller.over()));
    let keep_alive = KeepAlive::new().interval(caller.limits.keep_alive);
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(keep_alive).into_response()
}
