//! Dead letters: runs that could not be judged.

use std::collections::BTreeSet;

use axum::{
    Json,
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use pigeon_api::{
    ApiError, DeadFilter, ErrorKind, Problem, Role,
    page::{Count, DeadDocument, DeadPage, DeadQuery, DeadSelection},
};
use pigeon_protocol::id::JobId;

use super::{
    body::Reservation,
    caller::{Caller, Submitter, Viewer},
    extract::{self, Dead, Nothing, Query, page},
    failure::{Answer, Failure},
};

/// Letters that one request may name.
const MOST_NAMED: usize = 10_000;

/// Of the memory for bodies, a letter that is read takes so great a part at most before its size is known.
const MOST_SHOWN: usize = 8;

/// A letter's input lies in memory as it is, in base64, as text, and as JSON.
const COPIES: usize = 5;

/// Dead letters, the newest first. A page of large ones may have fewer than `limit`; `next` tells whether there are more.
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
    let pigeon = caller.pigeon();
    // One more tells whether there is another page.
    let mut dead = pigeon.dead(query.filter(), query.after, limit + 1).await?;
    let mut more = dead.len() > limit;
    dead.truncate(limit);
    let last = dead.last().map(|letter| letter.id);
    if !more && last.is_some() {
        // Large letters make a page end early: whether it is the last, only what is behind it tells.
        more = !pigeon.dead(query.filter(), last, 1).await?.is_empty();
    }
    let next = last.filter(|_| more);
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
pub(super) async fn show_dead(caller: Caller<Viewer>, Dead(id): Dead, _: Query<Nothing>) -> Answer<Response> {
    let limits = &caller.limits;
    let mut memory = Reservation::new(&caller);
    // How large its input is shows when it is there.
    memory.grow(limits.line.min(limits.memory / MOST_SHOWN))?;
    let detail = caller.pigeon().dead_letter(id).await?;
    let size = detail.input.as_ref().map_or(0, Bytes::len) + detail.log.len();
    // The largest is shown when nothing else is in memory.
    memory.grow((COPIES * size).min(limits.memory))?;
    let document = serde_json::to_vec(&DeadDocument::from(detail));
    let document = document.map_err(|_| Failure::internal("failed to write the letter"))?;
    let body = Bytes::from_owner(Held { document, _memory: memory });
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

/// A document with the memory that is reserved for it, until its last byte was handed on.
struct Held {
    document: Vec<u8>,
    _memory: Reservation,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.document
    }
}

/// What is chosen, if it is not too much.
fn chosen(selection: DeadSelection) -> Answer<DeadFilter> {
    if selection.ids.len() > MOST_NAMED {
        let message = format!("{} letters are named, and {MOST_NAMED} are the most", selection.ids.len());
        return Err(Failure::too_large(message).hint("name them in several requests, or say what they have in common"));
    }
    Ok(DeadFilter::try_from(selection)?)
}

/// What is done with letters.
enum Deed {
    Retry,
    Discard,
}

/// Do it with those that are chosen: an operator with any, others with those of their own jobs.
async fn done(
    caller: Caller<Submitter>,
    extract::Json(selection, memory): extract::Json<DeadSelection>,
    deed: Deed,
) -> Answer<Json<Count>> {
    let filter = chosen(selection)?;
    if caller.principal.role < Role::Operator {
        let named: BTreeSet<JobId> = filter.ids.iter().map(|name| name.0.job).chain(filter.job).collect();
        if named.is_empty() {
            let message = "letters of all jobs are meant, and those of other people are for operators";
            return Err(ApiError::new(ErrorKind::Forbidden, message)
                .hint("name a job of your own, or letters of it")
                .into());
        }
        for job in named {
            caller.may_control(job).await?;
        }
    }
    let pigeon = caller.pigeon();
    let count = memory.during(async move {
        match deed {
            Deed::Retry => pigeon.retry_dead(filter).await,
            Deed::Discard => pigeon.discard_dead(filter).await,
        }
    });
    Ok(Json(Count { count: caller.deed(count).await? }))
}

/// Try dead letters again: their failures count no longer, and jobs that had ended go on. Without the role operator, `job` or
/// `ids` has to name letters of jobs that the token itself submitted.
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
        (status = 403, description = "Some may be of jobs that somebody else submitted, which takes the role operator",
            body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The input of one is not kept any more; none is tried again", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("bearer" = ["submitter"]))
)]
pub(super) async fn retry_dead(
    caller: Caller<Submitter>,
    _: Query<Nothing>,
    selection: extract::Json<DeadSelection>,
) -> Answer<Json<Count>> {
    done(caller, selection, Deed::Retry).await
}

/// Forget that these are dead letters: their failures stand. Without the role operator, `job` or `ids` has to name letters
/// of jobs that the token itself submitted.
#[utoipa::path(
    post,
    path = "/api/v1/dead/discard",
    tag = "dead letters",
    request_body(content = DeadSelection, examples(
        ("by code" = (value = json!({"code": "timeout"}))),
        ("all" = (value = json!({"all": true}))),
    )),
    responses(
        (status = 200, description = "How many there were", body = Count),
        (status = 403, description = "Some may be of jobs that somebody else submitted, which takes the role operator",
            body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["submitter"]))
)]
pub(super) async fn discard_dead(
    caller: Caller<Submitter>,
    _: Query<Nothing>,
    selection: extract::Json<DeadSelection>,
) -> Answer<Json<Count>> {
    done(caller, selection, Deed::Discard).await
}
