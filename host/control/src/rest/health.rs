//! Whether it lives, whether it can work, and what it counts: asked by machines, without a token.

use std::{net::SocketAddr, sync::LazyLock};

use axum::{
    Json,
    extract::{ConnectInfo, State},
    http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use pigeon_api::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    caller,
    extract::{Nothing, Query},
    failure::{Answer, Failure},
    metrics, openapi,
    shared::Rest,
};

/// It answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alive {
    /// `alive`
    status: &'static str,
    /// Version of the program.
    version: &'static str,
}

/// Whether it can do its work.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    /// Whether it can.
    ready: bool,
    /// Why not; empty if it can.
    reasons: Vec<String>,
}

/// Whether the control host answers at all.
#[utoipa::path(
    get,
    path = "/health",
    tag = "host",
    responses((status = 200, description = "It does", body = Alive, example = json!({"status": "alive", "version": "0.1.0"})))
)]
pub(super) async fn health(_: Query<Nothing>) -> Json<Alive> {
    Json(Alive { status: "alive", version: env!("CARGO_PKG_VERSION") })
}

/// Whether it can do its work: its store takes writes, its hub takes agents, and it does not go down.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "host",
    responses(
        (status = 200, description = "It can", body = Readiness, example = json!({"ready": true, "reasons": []})),
        (status = 503, description = "It cannot, and why", body = Readiness,
            example = json!({"ready": false, "reasons": ["it is going down"]})),
    )
)]
pub(super) async fn ready(State(rest): State<Rest>, _: Query<Nothing>) -> Response {
    let mut reasons = rest.backend.ready().err().unwrap_or_default();
    if rest.stop.is_cancelled() && reasons.is_empty() {
        reasons.push("it is going down".to_owned());
    }
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready: reasons.is_empty(), reasons })).into_response()
}

/// Figures in the text format of OpenMetrics, which Prometheus reads. From the same machine no token is needed, unless a
/// proxy forwards the request.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "host",
    responses(
        (status = 200, description = "The figures", body = String,
            content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (status = 401, description = "It was asked from another machine, without a token", body = Problem,
            content_type = "application/problem+json"),
    ),
    security((), ("bearer" = ["viewer"]))
)]
pub(super) async fn metrics(
    State(rest): State<Rest>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    _: Query<Nothing>,
) -> Answer<Response> {
    let forwarded = ["forwarded", "x-forwarded-for", "x-real-ip"].into_iter().any(|name| headers.contains_key(name));
    if !peer.ip().to_canonical().is_loopback() || forwarded {
        // Whoever has a token may at least look.
        caller::authenticate(&rest, &headers)?;
    }
    let text = rest.figures.scrape(rest.backend.metrics().await, rest.room());
    let text = text.map_err(|_| Failure::internal("failed to write the figures"))?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(metrics::MEDIA_TYPE))], text).into_response())
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "host",
    responses((status = 200, description = "An OpenAPI document", body = serde_json::Value))
)]
pub(super) async fn openapi_json(_: Query<Nothing>) -> Response {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| openapi::document().into());
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], DOCUMENT.clone()).into_response()
}
