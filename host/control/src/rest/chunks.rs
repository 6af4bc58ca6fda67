//! Chunks: items with numbers, so that a client that was cut off goes on where it was.

use axum::{body::Body, extract::Request, http::StatusCode};
use pigeon_api::{
    Chunk, Problem,
    wire::{CHUNK_MEDIA_TYPE, WireError, decode_chunk},
};
use pigeon_protocol::limits::MAX_ITEM;
use tokio::time::timeout;

use super::{
    body,
    caller::{Caller, Submitter},
    extract::{JobChunk, Nothing, Query, must_be},
    failure::{Answer, Failure},
};

/// Bytes of bodies that several items may have together, and of all ids: what is above is sent in more chunks, for an
/// agent would be leased no such items.
const MOST_TOGETHER: usize = 2 * Chunk::TARGET;

/// Append a chunk of items to a job that is not sealed. Its number is that behind the last one's, from 0; one that was
/// appended before is ignored, so a request whose answer was lost may be repeated. Answered once it is on disk.
///
/// A packed chunk is a byte 1; then as varints (groups of 7 bits, the lowest first): its number, the index of its first
/// item, the number of items, the lengths of the cursor, of all ids and of all bodies; then the cursor, the ids, for each
/// item as varints the length of its id, its line and the length of its body; then the bodies. It has at most 65,536 items;
/// several together have at most 2 MiB of bodies, and one alone may have as much as the server takes.
#[utoipa::path(
    put,
    path = "/api/v1/jobs/{id}/chunks/{seq}",
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job", format = "uuid"),
        ("seq" = u64, Path, description = "The chunk's number"),
    ),
    request_body(content = Vec<u8>, content_type = "application/vnd.pigeon.chunk", description = "A packed chunk"),
    responses(
        (status = 204, description = "It is on disk"),
        (status = 400, description = "It is no chunk, or has another number", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "The job takes no more items, or chunks before this one are missing: which comes next, \
            the problem says", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "It is too large", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Much of what came before is not judged yet: send the same chunk again", body = Problem,
            content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds"))),
    ),
    security(("bearer" = ["submitter"]))
)]
pub(super) async fn append_chunk(
    caller: Caller<Submitter>,
    JobChunk(job, seq): JobChunk,
    _: Query<Nothing>,
    request: Request<Body>,
) -> Answer<StatusCode> {
    caller.may_control(job).await?;
    let (parts, body) = request.into_parts();
    must_be(&parts.headers, &[CHUNK_MEDIA_TYPE])?;
    let most = caller.limits.chunk;
    let (bytes, memory) = body::whole(&caller, &parts.headers, body, most).await?;
    let chunk = decode_chunk(bytes, most).map_err(|error| match error {
        WireError::TooLarge { .. } => Failure::too_large(error.to_string()),
        error => Failure::bad_request(error.to_string()),
    })?;
    if chunk.seq != seq {
        return Err(Failure::bad_request(format!("the chunk has the number {}, and the path names {seq}", chunk.seq)));
    }
    must_fit(&chunk, MAX_ITEM)?;
    let upload = caller.uploads.chunk(job)?;
    let pigeon = caller.pigeon();
    let wait = caller.limits.append_wait;
    // The time is within the deed: when it is over nothing goes on behind the back of the client, which will send it again.
    let appended = caller.deed(async move {
        let _held = (upload, memory);
        match timeout(wait, pigeon.append(job, chunk)).await {
            Ok(appended) => appended.map(Some),
            Err(_) => Ok(None),
        }
    });
    match appended.await? {
        Some(()) => Ok(StatusCode::NO_CONTENT),
        None => {
            Err(Failure::overloaded("backlog", format!("much of what was appended to job {job} is not judged yet"))
                .hint("send the same chunk again"))
        }
    }
}

/// See that its items can be leased: what cannot be would hold up the job when it is its turn.
fn must_fit(chunk: &Chunk, most_item: u64) -> Answer<()> {
    let (items, bodies) = (chunk.len(), chunk.bodies.len());
    let too_large = |what: String, most: usize| {
        let message = format!("the chunk has {what}, and {most} are the most");
        Err(Failure::too_large(message).hint("send its items in several chunks"))
    };
    if items > Chunk::MOST_ITEMS {
        return too_large(format!("{items} items"), Chunk::MOST_ITEMS);
    }
    if items > 1 && bodies > MOST_TOGETHER {
        return too_large(format!("{bodies} bytes of bodies"), MOST_TOGETHER);
    }
    if chunk.ids.len() > MOST_TOGETHER {
        return too_large(format!("{} bytes of ids", chunk.ids.len()), MOST_TOGETHER);
    }
    // Only one that is alone can be so large.
    if bodies as u64 > most_item {
        return Err(Failure::too_large(format!("the item has {bodies} bytes, and {most_item} are the most")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pigeon_api::ChunkBuilder;

    use super::*;

    #[test]
    fn an_item_that_no_lease_can_hold_does_not_fit() {
        let mut builder = ChunkBuilder::default();
        builder.push(|_| {}, 0, &[b'x'; 5]);
        let chunk = builder.finish(Default::default());
        assert!(must_fit(&chunk, 5).is_ok() && must_fit(&chunk, 4).is_err());
    }
}
