//! Schedules: jobs that are submitted when their time comes.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::LOCATION},
    response::{IntoResponse as _, Response},
};
use pigeon_api::{Problem, ScheduleInfo, ScheduleSpec, page::ScheduleList};

use super::{
    caller::{Caller, Operator, Viewer},
    extract::{self, Name, Nothing, Query},
    failure::{Answer, Failure},
};

/// All schedules, by name.
#[utoipa::path(
    get,
    path = "/api/v1/schedules",
    tag = "schedules",
    responses((status = 200, description = "The schedules", body = ScheduleList)),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn list_schedules(caller: Caller<Viewer>, _: Query<Nothing>) -> Answer<Json<ScheduleList>> {
    Ok(Json(ScheduleList { schedules: caller.pigeon().schedules().await? }))
}

/// Keep a schedule.
#[utoipa::path(
    post,
    path = "/api/v1/schedules",
    tag = "schedules",
    request_body(content = ScheduleSpec, example = json!({
        "name": "nightly",
        "when": {"cron": {"expression": "30 2 * * *", "zone": "Europe/Berlin"}},
        "job": {"plugin": "gexpr", "items": ["(+ 1 2)"]}
    })),
    responses(
        (status = 201, description = "It is kept", body = ScheduleInfo,
            headers(("Location" = String, description = "Where the schedule is"))),
        (status = 404, description = "There is no such plugin", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There is one of that name", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["operator"]))
)]
pub(super) async fn add_schedule(
    caller: Caller<Operator>,
    _: Query<Nothing>,
    extract::Json(spec, memory): extract::Json<ScheduleSpec>,
) -> Answer<Response> {
    let pigeon = caller.pigeon();
    let info = caller.deed(memory.during(async move { pigeon.add_schedule(spec).await })).await?;
    // Names of schedules are lowercase letters, digits and hyphens.
    let location = HeaderValue::try_from(format!("/api/v1/schedules/{}", info.name));
    let location = location.map_err(|_| Failure::internal("failed to name the schedule"))?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(info)).into_response())
}

/// Forget a schedule. Its jobs go on.
#[utoipa::path(
    delete,
    path = "/api/v1/schedules/{name}",
    tag = "schedules",
    params(("name" = String, Path, description = "The schedule", example = "nightly")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such schedule", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["operator"]))
)]
pub(super) async fn remove_schedule(
    caller: Caller<Operator>,
    Name(name): Name,
    _: Query<Nothing>,
) -> Answer<StatusCode> {
    let pigeon = caller.pigeon();
    caller.deed(async move { pigeon.remove_schedule(&name).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Have a schedule wait until it is resumed.
#[utoipa::path(
    post,
    path = "/api/v1/schedules/{name}/pause",
    tag = "schedules",
    params(("name" = String, Path, description = "The schedule", example = "nightly")),
    responses(
        (status = 200, description = "It waits", body = ScheduleInfo),
        (status = 404, description = "There is no such schedule", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["operator"]))
)]
pub(super) async fn pause_schedule(
    caller: Caller<Operator>,
    Name(name): Name,
    _: Query<Nothing>,
) -> Answer<Json<ScheduleInfo>> {
    set_paused(caller, name, true).await
}

/// Have a schedule go on. What becomes of the times that it missed, it says itself.
#[utoipa::path(
    post,
    path = "/api/v1/schedules/{name}/resume",
    tag = "schedules",
    params(("name" = String, Path, description = "The schedule", example = "nightly")),
    responses(
        (status = 200, description = "It goes on", body = ScheduleInfo),
        (status = 404, description = "There is no such schedule", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["operator"]))
)]
pub(super) async fn resume_schedule(
    caller: Caller<Operator>,
    Name(name): Name,
    _: Query<Nothing>,
) -> Answer<Json<ScheduleInfo>> {
    set_paused(caller, name, false).await
}

async fn set_paused(caller: Caller<Operator>, name: String, paused: bool) -> Answer<Json<ScheduleInfo>> {
    let pigeon = caller.pigeon();
    Ok(Json(caller.deed(async move { pigeon.pause_schedule(&name, paused).await }).await?))
}
