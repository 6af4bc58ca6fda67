//! Tokens for this API.

use axum::{Json, http::StatusCode};
use pigeon_api::{NewToken, Problem, TokenSpec, page::TokenList};

use super::{
    caller::{Admin, Caller},
    extract::{self, Name, Nothing, Query},
    failure::Answer,
};

/// The tokens that are not revoked, by name, without their secrets.
#[utoipa::path(
    get,
    path = "/api/v1/tokens",
    tag = "tokens",
    responses((status = 200, description = "The tokens", body = TokenList)),
    security(("bearer" = ["admin"]))
)]
pub(super) async fn list_tokens(caller: Caller<Admin>, _: Query<Nothing>) -> Answer<Json<TokenList>> {
    Ok(Json(TokenList { tokens: caller.pigeon().tokens().await? }))
}

/// Make a token. Its secret is shown this once.
#[utoipa::path(
    post,
    path = "/api/v1/tokens",
    tag = "tokens",
    request_body(content = TokenSpec, example = json!({"name": "ci", "role": "submitter", "ttl_ms": 604_800_000})),
    responses(
        (status = 201, description = "The token", body = NewToken),
        (status = 409, description = "There is one of that name", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["admin"]))
)]
pub(super) async fn create_token(
    caller: Caller<Admin>,
    _: Query<Nothing>,
    extract::Json(spec, memory): extract::Json<TokenSpec>,
) -> Answer<(StatusCode, Json<NewToken>)> {
    let pigeon = caller.pigeon();
    let token = caller.deed(memory.during(async move { pigeon.create_token(spec).await })).await?;
    Ok((StatusCode::CREATED, Json(token)))
}

/// Revoke a token: nobody may do anything with it any more.
#[utoipa::path(
    delete,
    path = "/api/v1/tokens/{name}",
    tag = "tokens",
    params(("name" = String, Path, description = "The token", example = "ci")),
    responses(
        (status = 204, description = "It is good for nothing"),
        (status = 404, description = "There is no such token", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["admin"]))
)]
pub(super) async fn revoke_token(caller: Caller<Admin>, Name(name): Name, _: Query<Nothing>) -> Answer<StatusCode> {
    let pigeon = caller.pigeon();
    caller.deed(async move { pigeon.revoke_token(&name).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
