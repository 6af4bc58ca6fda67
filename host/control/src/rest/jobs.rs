//! Jobs: how they stand, and what is done to them as a whole.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use futures::StreamExt as _;
use pigeon_api::{
    JobEvent, JobFilter, JobState, JobStatus, Pigeon, Problem, ResumePoint, Stop, Watch,
    page::{JobPage, JobsQuery, MOST_WAIT_MS, WaitQuery},
};
use pigeon_protocol::id::JobId;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    caller::{Caller, Submitter, Viewer},
    extract::{Job, Nothing, Query, page},
    failure::Answer,
    tags,
};

/// A job that is paused is looked at again after this time.
const PAUSED: Duration = Duration::from_millis(500);

/// Jobs, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/jobs",
    tag = "jobs",
    params(JobsQuery),
    responses((status = 200, description = "A page of them", body = JobPage)),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn list_jobs(caller: Caller<Viewer>, Query(query): Query<JobsQuery>) -> Answer<Json<JobPage>> {
    let limit = page(query.limit)?;
    // One more tells whether there is another page.
    let filter = JobFilter { limit: Some(limit + 1), ..JobFilter::from(query) };
    let mut jobs = caller.pigeon().jobs(filter).await?;
    let more = jobs.len() > limit;
    jobs.truncate(limit);
    let next = jobs.last().filter(|_| more).map(|job| job.id);
    Ok(Json(JobPage { jobs, next }))
}

/// A job with all its figures.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}",
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job", format = "uuid"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of what the client has"),
    ),
    responses(
        (status = 200, description = "The job", body = JobStatus, headers(("ETag" = String, description = "Of this answer"))),
        (status = 304, description = "It is as the client has it"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn show_job(
    caller: Caller<Viewer>,
    Job(job): Job,
    _: Query<Nothing>,
    headers: HeaderMap,
) -> Answer<Response> {
    let status = caller.pigeon().job(job).await?;
    tags::json(&headers, &status)
}

/// Remove a job that has ended, with all that is known of it.
#[utoipa::path(
    delete,
    path = "/api/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = String, Path, description = "The job", format = "uuid")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has not ended", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["submitter"]))
)]
pub(super) async fn delete_job(caller: Caller<Submitter>, Job(job): Job, _: Query<Nothing>) -> Answer<StatusCode> {
    caller.may_control(job).await?;
    let pigeon = caller.pigeon();
    caller.deed(async move { pigeon.delete(job).await }).await?;
    caller.authors.forget(job);
    Ok(StatusCode::NO_CONTENT)
}

/// Say that no more items come. Done twice, the second does nothing.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{id}/seal",
    tag = "jobs",
    params(("id" = String, Path, description = "The job", format = "uuid")),
    responses(
        (status = 204, description = "It is sealed"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["submitter"]))
)]
pub(super) async fn seal_job(caller: Caller<Submitter>, Job(job): Job, _: Query<Nothing>) -> Answer<StatusCode> {
    caller.may_control(job).await?;
    let pigeon = caller.pigeon();
    caller.deed(async move { pigeon.seal(job).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lease nothing more of the job until it is resumed. What is under way ends as it would.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{id}/pause",
    tag = "jobs",
    params(("id" = String, Path, description = "The job", format = "uuid")),
    responses(
        (status = 204, description = "It is paused, or will be within a moment"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has ended", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["submitter"]))
)]
pub(super) async fn pause_job(caller: Caller<Submitter>, Job(job): Job, _: Query<Nothing>) -> Answer<StatusCode> {
    stop(caller, job, Stop::Pause).await
}

/// Nobody wants the rest of the job. What is under way is cancelled.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{id}/cancel",
    tag = "jobs",
    params(("id" = String, Path, description = "The job", format = "uuid")),
    responses(
        (status = 204, description = "It is cancelled, or will be within a moment"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has ended", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["submitter"]))
)]
pub(super) async fn cancel_job(caller: Caller<Submitter>, Job(job): Job, _: Query<Nothing>) -> Answer<StatusCode> {
    stop(caller, job, Stop::Cancel).await
}

async fn stop(caller: Caller<Submitter>, job: JobId, stop: Stop) -> Answer<StatusCode> {
    caller.may_control(job).await?;
    let pigeon = caller.pigeon();
    caller.deed(async move { pigeon.stop(job, stop).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Go on with a paused job, and hear where its input stands: how far an upload that broke off has come.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{id}/resume",
    tag = "jobs",
    params(("id" = String, Path, description = "The job", format = "uuid")),
    responses(
        (status = 200, description = "Where its input stands", body = ResumePoint),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["submitter"]))
)]
pub(super) async fn resume_job(
    caller: Caller<Submitter>,
    Job(job): Job,
    _: Query<Nothing>,
) -> Answer<Json<ResumePoint>> {
    caller.may_control(job).await?;
    let pigeon = caller.pigeon();
    Ok(Json(caller.deed(async move { pigeon.resume(job).await }).await?))
}

/// Wait for the job's end, for 30 seconds at most.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}/wait",
    tag = "jobs",
    params(("id" = String, Path, description = "The job", format = "uuid"), WaitQuery),
    responses(
        (status = 200, description = "It has ended", body = JobStatus),
        (status = 202, description = "It has not: ask again", body = JobStatus),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["viewer"]))
)]
pub(super) async fn wait_job(
    caller: Caller<Viewer>,
    Job(job): Job,
    Query(query): Query<WaitQuery>,
) -> Answer<Response> {
    let timeout = Duration::from_millis(query.timeout_ms.unwrap_or(MOST_WAIT_MS).min(MOST_WAIT_MS));
    let pigeon = caller.pigeon();
    tokio::select! {
        ended = timeout_at(Instant::now() + timeout, end(&*pigeon, job)) => ended.unwrap_or(Ok(()))?,
        // How it stands is told to those who wait before it goes down.
        () = caller.stop.cancelled() => {}
    }
    let status = pigeon.job(job).await?;
    let code = if status.state.is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((code, Json(status)).into_response())
}

/// Until the job has ended; a paused one has not.
async fn end(pigeon: &dyn Pigeon, job: JobId) -> pigeon_api::Result<()> {
    loop {
        let mut events = pigeon.watch(job, Watch::default()).await?;
        let mut state = None::<JobState>;
        while let Some(event) = events.next().await {
            if let JobEvent::Finished(ended) = event? {
                state = Some(ended);
            }
        }
        if state.is_some_and(JobState::is_final) {
            return Ok(());
        }
        sleep_until(Instant::now() + PAUSED).await;
    }
}
