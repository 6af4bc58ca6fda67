//! What is done for every request, whatever it asks: an id, the log, figures, and an answer even if the handler panics.

use std::{panic::AssertUnwindSafe, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{
        HeaderName, HeaderValue,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures::FutureExt as _;
use pigeon_protocol::id::JobId;
use tracing::{Instrument as _, field};

use super::{
    failure::{Failure, Told, TurnedAway},
    shared::Rest,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An id that a client may give a request, at most, in bytes.
const LONGEST_ID: usize = 64;

/// Of requests that no route is for.
const NO_ROUTE: &str = "none";

/// Around all routes.
pub(super) async fn observe(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| NO_ROUTE.into(), |path| path.as_str().to_owned());
    // Only what is in the path: a token stands in a header, and that is told nowhere.
    let span = tracing::debug_span!("request", id = id.to_str().unwrap_or_default(), %method, path, by = field::Empty);
    let under_way = rest.figures.begin();
    let mut response = async {
        let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        let response = answered.unwrap_or_else(|panic| {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
            tracing::error!(panic = words, "a handler of the API panicked");
            Failure::internal("the control host failed at this request").into_response()
        });
        let (status, ms) = (response.status(), started.elapsed().as_secs_f64() * 1e3);
        let told = response.extensions().get::<Told>().map(|told| told.0.as_str());
        if status.is_server_error() && status.as_u16() != 503 {
            tracing::warn!(status = status.as_u16(), ms, problem = told, "answered");
        } else {
            tracing::debug!(status = status.as_u16(), ms, problem = told, "answered");
        }
        response
    }
    .instrument(span)
    .await;
    drop(under_way);
    if let Some(TurnedAway(full)) = response.extensions().get() {
        rest.figures.turned_away(full);
    }
    rest.figures.answered(method.as_str(), route, response.status().as_u16(), started.elapsed());

    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let nothing = "default-src 'none'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(nothing));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if rest.tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// The client's own id of the request, if it can stand in a log; else a new one.
fn request_id(request: &Request) -> HeaderValue {
    let given = request.headers().get(REQUEST_ID).filter(|id| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
        !id.is_empty() && id.len() <= LONGEST_ID && id.as_bytes().iter().all(plain)
    });
    // A UUID as text can always stand in a header.
    let new = || HeaderValue::try_from(JobId::new().to_string()).unwrap_or(HeaderValue::from_static("unknown"));
    given.cloned().unwrap_or_else(new)
}
