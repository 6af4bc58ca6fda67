//! How many requests may be under way at once.
//!
//! Those that are answered soon and those that go on have room of their own, so that a thousand watchers do not keep
//! anybody from submitting a job. Room is held until the answer's last byte was handed on, not only until its first.

use std::sync::Arc;

use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures::StreamExt as _;
use tokio::sync::Semaphore;

use super::{failure::Failure, shared::Rest};

/// Of a request that is answered soon.
pub(super) async fn short(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    bounded(&rest, &rest.requests, "requests", request, next).await
}

/// Of a request that may go on for long.
pub(super) async fn long(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    bounded(&rest, &rest.streams, "uploads, streams and waits", request, next).await
}

async fn bounded(rest: &Rest, room: &Arc<Semaphore>, of: &str, request: Request, next: Next) -> Response {
    if rest.stop.is_cancelled() {
        return Failure::going_down().into_response();
    }
    let Ok(permit) = room.clone().try_acquire_owned() else {
        rest.figures.turned_away();
        return Failure::overloaded(format!("there are too many {of} under way")).into_response();
    };
    let response = next.run(request).await;
    if response.body().size_hint().exact().is_some() {
        // All of it is there.
        return response;
    }
    response.map(|body| {
        Body::from_stream(body.into_data_stream().inspect(move |_| {
            // Held as long as the stream is.
            let _ = &permit;
        }))
    })
}
