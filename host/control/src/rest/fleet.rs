//! Agents, and the tokens with which they join.

use axum::{Json, http::StatusCode};
use pigeon_api::{JoinSpec, NewJoinToken, page::AgentList};

use super::{
    caller::{Caller, Operator, Viewer},
    extract::{self, Nothing, Query},
    failure::Answer,
};

/// Agents that are in, or were since the control host started, by name.
#[utoipa::path(
    get,
    path = "/api/v1/agents",
    tag = "fleet",
    responses((status = 200, description = "The agents", body = AgentList)),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn list_agents(caller: Caller<Viewer>, _: Query<Nothing>) -> Answer<Json<AgentList>> {
    Ok(Json(AgentList { agents: caller.pigeon().agents().await? }))
}

/// Make a token with which agents join. Its secret is shown this once.
#[utoipa::path(
    post,
    path = "/api/v1/agents/tokens",
    tag = "fleet",
    request_body(content = JoinSpec, example = json!({"uses": 3, "ttl_ms": 3_600_000})),
    responses((status = 201, description = "The token", body = NewJoinToken)),
    security(("bearer" = ["operator"]))
)]
pub(super) async fn create_join_token(
    caller: Caller<Operator>,
    _: Query<Nothing>,
    extract::Json(spec, memory): extract::Json<JoinSpec>,
) -> Answer<(StatusCode, Json<NewJoinToken>)> {
    let pigeon = caller.pigeon();
    let token = caller.deed(memory.during(async move { pigeon.create_join_token(spec).await })).await?;
    Ok((StatusCode::CREATED, Json(token)))
}
