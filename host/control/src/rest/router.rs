//! All routes, with what surrounds each of them.

use axum::{Router, middleware::from_fn_with_state};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    backup, bound, chunks, dead, events, extract, fleet, health, items, jobs, observe, plugins, schedules,
    shared::Rest, socket, stats, streams, submit, tokens,
};

/// Everything that can be asked.
pub(super) fn router(rest: Rest) -> Router {
    let short = Router::from(short()).route_layer(from_fn_with_state(rest.clone(), bound::short));
    let long = Router::from(long()).route_layer(from_fn_with_state(rest.clone(), bound::long));
    let uploads = Router::from(uploads()).route_layer(from_fn_with_state(rest.clone(), bound::upload));
    let all = Router::from(always()).merge(short).merge(long).merge(uploads);
    all.fallback(extract::no_route)
        .method_not_allowed_fallback(extract::no_method)
        .layer(from_fn_with_state(rest.clone(), observe::observe))
        .with_state(rest)
}

/// Answered whatever else goes on.
pub(super) fn always() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .routes(routes!(health::openapi_json))
}

/// Answered soon.
pub(super) fn short() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(submit::submit_job, jobs::list_jobs))
        .routes(routes!(jobs::show_job, jobs::delete_job))
        .routes(routes!(jobs::seal_job))
        .routes(routes!(jobs::pause_job))
        .routes(routes!(jobs::cancel_job))
        .routes(routes!(jobs::resume_job))
        .routes(routes!(dead::list_dead))
        .routes(routes!(dead::show_dead))
        .routes(routes!(dead::retry_dead))
        .routes(routes!(dead::discard_dead))
        .routes(routes!(plugins::list_plugins, plugins::publish_plugin))
        .routes(routes!(plugins::show_plugin))
        .routes(routes!(plugins::show_limits, plugins::set_limits))
        .routes(routes!(schedules::list_schedules, schedules::add_schedule))
        .routes(routes!(schedules::remove_schedule))
        .routes(routes!(schedules::pause_schedule))
        .routes(routes!(schedules::resume_schedule))
        .routes(routes!(fleet::list_agents))
        .routes(routes!(fleet::show_agent))
        .routes(routes!(fleet::drain_agent))
        .routes(routes!(fleet::resume_agent))
        .routes(routes!(fleet::revoke_agent))
        .routes(routes!(fleet::list_join_tokens, fleet::create_join_token))
        .routes(routes!(fleet::revoke_join_token))
        .routes(routes!(tokens::list_tokens, tokens::create_token))
        .routes(routes!(tokens::revoke_token))
        .routes(routes!(stats::show_status))
        .routes(routes!(stats::show_stats))
        .routes(routes!(events::list_events))
}

/// Items on their way into jobs.
pub(super) fn uploads() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(chunks::append_chunk)).routes(routes!(items::append_items))
}

/// Streams and waits.
pub(super) fn long() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(jobs::wait_job))
        .routes(routes!(streams::job_results))
        .routes(routes!(streams::job_runs))
        .routes(routes!(streams::watch_job))
        .routes(routes!(events::stream_events))
        .routes(routes!(socket::events_socket))
        .routes(routes!(backup::take_backup))
}
