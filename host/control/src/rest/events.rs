//! The log of all that happened: in pages, and as it goes on.

use axum::{Json, http::HeaderMap, response::Response};
use futures::StreamExt as _;
use pigeon_api::{
    EventFilter, Problem,
    page::{EventPage, EventsQuery, FollowQuery},
    sse::Message,
};

use super::{
    caller::{Caller, Viewer},
    extract::{Query, page},
    failure::Answer,
    streams::{last_event_id, sse},
};

/// Entries of the log, the oldest first. Who begins at its end says `tail`, and goes back with the first entry's number as
/// `before`.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "events",
    params(EventsQuery),
    responses(
        (status = 200, description = "A page of them, perhaps empty", body = EventPage),
        (status = 400, description = "There never was an entry of the number `after`: it is of another control host's log",
            body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn list_events(caller: Caller<Viewer>, Query(query): Query<EventsQuery>) -> Answer<Json<EventPage>> {
    let limit = page(query.limit)?;
    let mut events = match query.tail {
        true => caller.pigeon().last_events(query.job, query.before, limit).await?,
        false => caller.pigeon().events(query.filter(), limit).await?,
    };
    events.retain(|event| event.seq > query.after && query.before.is_none_or(|before| event.seq < before));
    let next = events.last().map_or(query.after, |last| last.seq);
    Ok(Json(EventPage { events, next }))
}

/// Entries of the log as server-sent events named `event`, with their number as id: those that are there, and then each as it
/// is written. Who is cut off comes again with `Last-Event-ID`, and misses nothing.
#[utoipa::path(
    get,
    path = "/api/v1/events/stream",
    tag = "events",
    params(
        FollowQuery,
        ("Last-Event-ID" = Option<u64>, Header, description = "The last entry that was seen; above `after`"),
    ),
    responses(
        (status = 200, description = "Events, for ever", body = String, content_type = "text/event-stream"),
        (status = 400, description = "There never was an entry of that number: it is of another control host's log",
            body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn stream_events(
    caller: Caller<Viewer>,
    Query(query): Query<FollowQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let mut filter = EventFilter::from(query);
    filter.after = last_event_id(&headers)?.unwrap_or(filter.after);
    let events = caller.pigeon().follow_events(filter).await?;
    Ok(sse(&caller, events.map(|event| Message::of_log(&event)).boxed()))
}
