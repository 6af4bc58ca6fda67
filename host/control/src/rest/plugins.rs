//! Plugins: what there is, what is published, and how much of the fleet each may take.

use axum::{
    Json,
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header::LOCATION},
    response::{IntoResponse as _, Response},
};
use pigeon_api::{PluginInfo, PluginLimits, Problem, page::PluginList};

use super::{
    body,
    caller::{Caller, Operator, Publisher, Viewer},
    extract::{self, Name, Nothing, Query, must_be},
    failure::{Answer, Failure},
    tags,
};

/// All plugins, by name, the newest version first.
#[utoipa::path(
    get,
    path = "/api/v1/plugins",
    tag = "plugins",
    params(("If-None-Match" = Option<String>, Header, description = "The ETag of what the client has")),
    responses(
        (status = 200, description = "The plugins", body = PluginList, headers(("ETag" = String, description = "Of this answer"))),
        (status = 304, description = "They are as the client has them"),
    ),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn list_plugins(caller: Caller<Viewer>, _: Query<Nothing>, headers: HeaderMap) -> Answer<Response> {
    let plugins = caller.pigeon().plugins().await?;
    tags::json(&headers, &PluginList { plugins })
}

/// A plugin: by `name` (the newest version), `name@version` or `sha256:...`.
#[utoipa::path(
    get,
    path = "/api/v1/plugins/{reference}",
    tag = "plugins",
    params(
        ("reference" = String, Path, description = "The plugin", example = "gexpr"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of what the client has"),
    ),
    responses(
        (status = 200, description = "The plugin", body = PluginInfo, headers(("ETag" = String, description = "Of this answer"))),
        (status = 304, description = "It is as the client has it"),
        (status = 404, description = "There is no such plugin", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn show_plugin(
    caller: Caller<Viewer>,
    Name(reference): Name,
    _: Query<Nothing>,
    headers: HeaderMap,
) -> Answer<Response> {
    let plugin = caller.pigeon().plugin(&reference).await?;
    tags::json(&headers, &plugin)
}

/// Publish a plugin: jobs that are submitted from now on can name it. Those under way stay with the component that they
/// began with.
#[utoipa::path(
    post,
    path = "/api/v1/plugins",
    tag = "plugins",
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "A component, of at most 128 MiB"),
    responses(
        (status = 201, description = "It is there", body = PluginInfo,
            headers(("Location" = String, description = "Where the plugin is"))),
        (status = 400, description = "It is no component, or of a world that is not ours", body = Problem,
            content_type = "application/problem+json"),
        (status = 413, description = "It is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "It is sent as something else", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["publisher"]))
)]
pub(super) async fn publish_plugin(
    caller: Caller<Publisher>,
    _: Query<Nothing>,
    request: Request<Body>,
) -> Answer<Response> {
    let (parts, body) = request.into_parts();
    must_be(&parts.headers, &["application/wasm"])?;
    let (component, memory) = body::whole(&caller, &parts.headers, body, caller.limits.component).await?;
    let pigeon = caller.pigeon();
    let plugin = caller.deed(memory.during(async move { pigeon.publish(component).await })).await?;
    let location = HeaderValue::try_from(format!("/api/v1/plugins/{}", plugin.digest));
    let location = location.map_err(|_| Failure::internal("failed to name the plugin"))?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(plugin)).into_response())
}

/// How much of the fleet a plugin's runs may take, whatever its version.
#[utoipa::path(
    get,
    path = "/api/v1/plugins/{name}/limits",
    tag = "plugins",
    params(("name" = String, Path, description = "The plugin's name", example = "gexpr")),
    responses(
        (status = 200, description = "Its limits", body = PluginLimits),
        (status = 404, description = "There is no such plugin", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn show_limits(
    caller: Caller<Viewer>,
    Name(name): Name,
    _: Query<Nothing>,
) -> Answer<Json<PluginLimits>> {
    Ok(Json(caller.pigeon().plugin_limits(&name).await?))
}

/// Give a plugin other limits. They hold from now on, for jobs under way as well; what is not said has no bound.
#[utoipa::path(
    put,
    path = "/api/v1/plugins/{name}/limits",
    tag = "plugins",
    params(("name" = String, Path, description = "The plugin's name", example = "gexpr")),
    request_body(content = PluginLimits, example = json!({"max_parallel": 4, "rate": {"runs": 100, "per_ms": 1000}})),
    responses(
        (status = 200, description = "Its limits from now on", body = PluginLimits),
        (status = 404, description = "There is no such plugin", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["operator"]))
)]
pub(super) async fn set_limits(
    caller: Caller<Operator>,
    Name(name): Name,
    _: Query<Nothing>,
    extract::Json(limits, memory): extract::Json<PluginLimits>,
) -> Answer<Json<PluginLimits>> {
    let pigeon = caller.pigeon();
    caller.deed(memory.during(async move { pigeon.set_plugin_limits(&name, limits).await })).await?;
    Ok(Json(limits))
}
