//! Figures of the whole control host.

use axum::Json;
use pigeon_api::{HostStats, HostStatus};

use super::{
    caller::{Caller, Viewer},
    extract::{Nothing, Query},
    failure::Answer,
};

/// How the control host stands now.
#[utoipa::path(
    get,
    path = "/api/v1/status",
    tag = "events",
    responses((status = 200, description = "How it stands", body = HostStatus)),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn show_status(caller: Caller<Viewer>, _: Query<Nothing>) -> Answer<Json<HostStatus>> {
    Ok(Json(caller.pigeon().status().await?))
}

/// Figures by plugin and worker, over all jobs that are kept.
#[utoipa::path(
    get,
    path = "/api/v1/stats",
    tag = "events",
    responses((status = 200, description = "The figures", body = HostStats)),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn show_stats(caller: Caller<Viewer>, _: Query<Nothing>) -> Answer<Json<HostStats>> {
    Ok(Json(caller.pigeon().stats().await?))
}
