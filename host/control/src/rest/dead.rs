//! Dead letters: runs that could not be judged.

use axum::Json;
use pigeon_api::{
    DeadFilter, Problem,
    page::{Count, DeadDocument, DeadPage, DeadQuery, DeadSelection},
};

use super::{
    caller::{Caller, Operator, Viewer},
    extract::{self, Dead, Nothing, Query, page},
    failure::Answer,
};

/// Dead letters, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/dead",
    tag = "dead letters",
    params(DeadQuery),
    responses((status = 200, description = "A page of them", body = DeadPage)),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn list_dead(caller: Caller<Viewer>, Query(query): Query<DeadQuery>) -> Answer<Json<DeadPage>> {
    let limit = page(query.limit)?;
    // One more tells whether there is another page.
    let mut dead = caller.pigeon().dead(query.filter(), query.after, limit + 1).await?;
    let more = dead.len() > limit;
    dead.truncate(limit);
    let next = dead.last().filter(|_| more).map(|letter| letter.id);
    Ok(Json(DeadPage { dead, next }))
}

/// A dead letter with its input and its log.
#[utoipa::path(
    get,
    path = "/api/v1/dead/{id}",
    tag = "dead letters",
    params(("id" = String, Path, description = "The letter: JOB:RUN", example = "01890a5d-ac96-774b-bcce-b302099a8057:17")),
    responses(
        (status = 200, description = "The letter", body = DeadDocument),
        (status = 404, description = "There is no such letter", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn show_dead(caller: Caller<Viewer>, Dead(id): Dead, _: Query<Nothing>) -> Answer<Json<DeadDocument>> {
    Ok(Json(caller.pigeon().dead_letter(id).await?.into()))
}

/// Try dead letters again: their failures count no longer, and jobs that had ended go on.
#[utoipa::path(
    post,
    path = "/api/v1/dead/retry",
    tag = "dead letters",
    request_body(content = DeadSelection, examples(
        ("of a job" = (value = json!({"job": "01890a5d-ac96-774b-bcce-b302099a8057"}))),
        ("all" = (value = json!({"all": true}))),
    )),
    responses(
        (status = 200, description = "How many there were", body = Count),
        (status = 409, description = "The input of one is not kept any more; none is tried again", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("bearer" = ["operator"]))
)]
pub(super) async fn retry_dead(
    caller: Caller<Operator>,
    _: Query<Nothing>,
    extract::Json(selection, memory): extract::Json<DeadSelection>,
) -> Answer<Json<Count>> {
    let (pigeon, filter) = (caller.pigeon(), DeadFilter::try_from(selection)?);
    let count = caller
        .deed(async move {
            let _held = memory;
            pigeon.retry_dead(filter).await
        })
        .await?;
    Ok(Json(Count { count }))
}

/// Forget that these are dead letters: their failures stand.
#[utoipa::path(
    post,
    path = "/api/v1/dead/discard",
    tag = "dead letters",
    request_body(content = DeadSelection, examples(
        ("by code" = (value = json!({"code": "timeout"}))),
        ("all" = (value = json!({"all": true}))),
    )),
    responses((status = 200, description = "How many there were", body = Count)),
    security(("bearer" = ["operator"]))
)]
pub(super) async fn discard_dead(
    caller: Caller<Operator>,
    _: Query<Nothing>,
    extract::Json(selection, memory): extract::Json<DeadSelection>,
) -> Answer<Json<Count>> {
    let (pigeon, filter) = (caller.pigeon(), DeadFilter::try_from(selection)?);
    let count = caller
        .deed(async move {
            let _held = memory;
            pigeon.discard_dead(filter).await
        })
        .await?;
    Ok(Json(Count { count }))
}
