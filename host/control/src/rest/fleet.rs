//! Agents, and the tokens with which they join.

use axum::{Json, http::StatusCode};
use pigeon_api::{
    AgentDetail, JoinSpec, NewJoinToken, Problem, Revocation,
    page::{AgentList, JoinTokenList},
};

use super::{
    caller::{Caller, Operator, Viewer},
    extract::{self, Name, Nothing, Query},
    failure::Answer,
};

/// Agents that are in, and those that are remembered, by name.
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
    request_body(content = JoinSpec, example = json!({"uses": 3, "ttl_ms": 3_600_000, "labels": ["rack=7"]})),
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

/// All that is known of an agent.
#[utoipa::path(
    get,
    path = "/api/v1/agents/{agent}",
    tag = "fleet",
    params(("agent" = String, Path, description = "Its name or id, or the beginning or end of its id", example = "north")),
    responses(
        (status = 200, description = "The agent", body = AgentDetail),
        (status = 404, description = "There is no such agent", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It may be any of several agents", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn show_agent(
    caller: Caller<Viewer>,
    Name(agent): Name,
    _: Query<Nothing>,
) -> Answer<Json<AgentDetail>> {
    Ok(Json(caller.pigeon().agent(&agent).await?))
}

/// Have an agent take nothing until it is resumed. It ends what it has, and stays; so it does when it or the control host
/// comes back.
#[utoipa::path(
    post,
    path = "/api/v1/agents/{agent}/drain",
    tag = "fleet",
    params(("agent" = String, Path, description = "Its name or id, or the beginning or end of its id", example = "north")),
    responses(
        (status = 200, description = "It takes nothing more", body = AgentDetail),
        (status = 404, description = "There is no such agent", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It may be any of several agents, or is revoked", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["operator"]))
)]
pub(super) async fn drain_agent(
    caller: Caller<Operator>,
    Name(agent): Name,
    _: Query<Nothing>,
) -> Answer<Json<AgentDetail>> {
    set_drained(caller, agent, true).await
}

/// Have an agent take work again.
#[utoipa::path(
    post,
    path = "/api/v1/agents/{agent}/resume",
    tag = "fleet",
    params(("agent" = String, Path, description = "Its name or id, or the beginning or end of its id", example = "north")),
    responses(
        (status = 200, description = "It takes work", body = AgentDetail),
        (status = 404, description = "There is no such agent", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It may be any of several agents, or is revoked", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["operator"]))
)]
pub(super) async fn resume_agent(
    caller: Caller<Operator>,
    Name(agent): Name,
    _: Query<Nothing>,
) -> Answer<Json<AgentDetail>> {
    set_drained(caller, agent, false).await
}

async fn set_drained(caller: Caller<Operator>, agent: String, drained: bool) -> Answer<Json<AgentDetail>> {
    let pigeon = caller.pigeon();
    Ok(Json(caller.deed(async move { pigeon.drain_agent(&agent, drained).await }).await?))
}

/// Revoke an agent: it is sent away at once, others do its work, and it may not come back, nor renew its certificate.
#[utoipa::path(
    post,
    path = "/api/v1/agents/{agent}/revoke",
    tag = "fleet",
    params(("agent" = String, Path, description = "Its name or id, or the beginning or end of its id", example = "north")),
    request_body(content = Revocation, example = json!({"why": "the machine was stolen"})),
    responses(
        (status = 200, description = "It is revoked", body = AgentDetail),
        (status = 404, description = "There is no such agent", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It may be any of several agents", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["operator"]))
)]
pub(super) async fn revoke_agent(
    caller: Caller<Operator>,
    Name(agent): Name,
    _: Query<Nothing>,
    extract::Json(revocation, memory): extract::Json<Revocation>,
) -> Answer<Json<AgentDetail>> {
    let pigeon = caller.pigeon();
    let revoke = memory.during(async move { pigeon.revoke_agent(&agent, &revocation.why).await });
    Ok(Json(caller.deed(revoke).await?))
}

/// The tokens with which agents join, without their secrets.
#[utoipa::path(
    get,
    path = "/api/v1/agents/tokens",
    tag = "fleet",
    responses((status = 200, description = "The tokens", body = JoinTokenList)),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn list_join_tokens(caller: Caller<Viewer>, _: Query<Nothing>) -> Answer<Json<JoinTokenList>> {
    Ok(Json(JoinTokenList { tokens: caller.pigeon().join_tokens().await? }))
}

/// Have a token with which agents join be good for nothing any more. Agents that have joined with it stay.
#[utoipa::path(
    delete,
    path = "/api/v1/agents/tokens/{name}",
    tag = "fleet",
    params(("name" = String, Path, description = "The token", example = "join-1f3a9c04")),
    responses(
        (status = 204, description = "It is good for nothing"),
        (status = 404, description = "There is no such token", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["operator"]))
)]
pub(super) async fn revoke_join_token(
    caller: Caller<Operator>,
    Name(name): Name,
    _: Query<Nothing>,
) -> Answer<StatusCode> {
    let pigeon = caller.pigeon();
    caller.deed(async move { pigeon.revoke_join_token(&name).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
