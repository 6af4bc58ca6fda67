//! Items as lines: any number of them in one request, in bounded memory.
//!
//! Lines are gathered into chunks of about 1 MiB; one is on its way to the disk while the next is gathered. A request that
//! is cut off leaves whole chunks, and [`resume`](super::jobs::resume_job) tells how many items there are by then.

use std::{borrow::Cow, io::Write as _, sync::Arc};

use axum::{Json, body::Body, extract::Request};
use bytes::{BufMut as _, Bytes};
use pigeon_api::{ApiError, Chunk, ChunkBuilder, ErrorKind, JobState, Pigeon, Problem, page::Appended, words::plural};
use pigeon_protocol::id::JobId;
use serde::{Deserialize, Serialize};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::{CancellationToken, DropGuard};
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{Pieces, Reservation},
    caller::{Caller, Submitter},
    extract::{Job, Query, must_be},
    failure::{Answer, Failure},
    lines::{Lines, Stuck},
    reading,
    shared::Rest,
    uploads::Upload,
};

/// Media types of lines.
const MEDIA_TYPES: [&str; 2] = ["application/x-ndjson", "application/jsonl"];

/// Memory for the chunk that is gathered and the one that is written, and what is around them.
const GATHERED: usize = 4 * Chunk::TARGET;

/// How the items stand in their lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ItemsQuery {
    /// What a line is: `raw` if not said.
    #[param(inline)]
    format: Format,
    /// The index of the first item that is sent, from 0: what `next_item` was when the job was asked where it stands. If the
    /// job has more or fewer items by now, none is taken. If it is not said, they go behind those that there are.
    first: Option<u64>,
}

/// What a line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    /// The item's body; its id is its number in the job, from 1.
    #[default]
    Raw,
    /// A JSON object with the item's `id` and `body`.
    Named,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    body: Cow<'a, str>,
}

/// Append items to a job that is not sealed, a line each; empty lines are none. Any number of them: a million in one request
/// is fine. They are written as they come, and all of them are on disk when this is answered.
///
/// A request that was cut off leaves some of them: `POST /api/v1/jobs/{id}/resume` tells how many items the job has
/// (`next_item`), and the next request begins with the line behind and says so, as `first`: should some of the first
/// request have been written after all, that is answered 409, and no item is taken twice. One such request may be under way
/// for a job.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{id}/items",
    tag = "jobs",
    params(("id" = String, Path, description = "The job", format = "uuid"), ItemsQuery),
    // Of any type: whatever is sent is a line, and a line may be JSON itself.
    request_body(content = serde_json::Value, content_type = "application/x-ndjson", description = "A line for each item",
        example = json!("(+ 1 2)\n(+ 3 4)\n")),
    responses(
        (status = 200, description = "All of them are on disk", body = Appended, example = json!({"items": 1_000_000})),
        (status = 400, description = "A line is no item; what came before may be in the job", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "The job takes no more items, or does not stand at `first`, or another request appends \
            to it", body = Problem,
            content_type = "application/problem+json"),
        (status = 413, description = "A line is too long", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["submitter"]))
)]
pub(super) async fn append_items(
    caller: Caller<Submitter>,
    Job(job): Job,
    Query(query): Query<ItemsQuery>,
    request: Request<Body>,
) -> Answer<Json<Appended>> {
    caller.may_control(job).await?;
    let (parts, body) = request.into_parts();
    must_be(&parts.headers, &MEDIA_TYPES)?;
    let mut memory = Reservation::new(&caller);
    memory.grow(GATHERED)?;
    let upload = Arc::new(caller.uploads.alone(job)?);
    let mut writer = Writer::begin(&caller, caller.pigeon(), job, upload, query).await?;
    let mut pieces = Pieces::new(body, caller.limits.silence);
    let read = read(&mut pieces, &mut Lines::new(caller.limits.line), &mut memory, &mut writer).await;
    if read.is_err() {
        writer.give_up();
    }
    match (read, writer.finish().await) {
        (Ok(()), Ok(items)) => Ok(Json(Appended { items })),
        (Err(failure), Ok(items)) => {
            let held = plural(items, "item");
            Err(failure.hint(format!("the job has {held} of this request: go on behind")))
        }
        (_, Err(failure)) => Err(failure.hint("ask where the job's input stands, and go on from there")),
    }
}

async fn read(pieces: &mut Pieces, lines: &mut Lines, memory: &mut Reservation, writer: &mut Writer) -> Answer<()> {
    let most = lines.most();
    let stuck = |stuck| match stuck {
        Stuck::TooLong(line) => Failure::too_large(format!("line {line} is longer than {most} bytes")),
        Stuck::Failed(line, why) => Failure::bad_request(format!("line {line} is no item: {why}")),
    };
    while let Some(piece) = pieces.next().await? {
        // The line that has begun lies in memory twice as it becomes a chunk.
        memory.grow(GATHERED + 2 * lines.begun())?;
        lines.feed(&piece, |number, line| writer.gather(number, line)).map_err(stuck)?;
        writer.write().await?;
    }
    lines.finish(|number, line| writer.gather(number, line)).map_err(stuck)?;
    writer.whole = true;
    writer.write().await
}

/// Gathers items into chunks, and appends them one after another.
struct Writer {
    rest: Rest,
    pigeon: Arc<dyn Pigeon>,
    job: JobId,
    upload: Arc<Upload>,
    format: Format,
    builder: ChunkBuilder,
    /// Items before the one to come, in the job.
    number: u64,
    /// Those that can be written.
    ready: Vec<Chunk>,
    /// Whether all lines came: what was gathered is written, however little it is.
    whole: bool,
    /// The one that is being written, with the number of its items.
    writing: Option<(u64, JoinHandle<Result<(), ApiError>>)>,
    /// As long as this is held, what is being written is waited for.
    patience: Option<DropGuard>,
    /// Nobody holds it any more: it is waited for a while, and then no longer.
    impatient: CancellationToken,
    /// Items that are on disk.
    written: u64,
}

impl Writer {
    /// Begin behind what the job has.
    async fn begin(
        rest: &Rest,
        pigeon: Arc<dyn Pigeon>,
        job: JobId,
        upload: Arc<Upload>,
        query: ItemsQuery,
    ) -> Answer<Self> {
        let state = pigeon.job(job).await?.state;
        if state == JobState::Paused {
            return Err(Failure::conflict(format!("job {job} is paused")).hint("resume it first"));
        }
        let point = {
            let pigeon = pigeon.clone();
            rest.deed(async move { pigeon.resume(job).await }).await?
        };
        if point.sealed || point.state.is_final() {
            return Err(Failure::conflict(format!("job {job} takes no more items: all of them are there")));
        }
        if let Some(first) = query.first
            && first != point.next_item
        {
            let message =
                format!("the request begins at item {first}, and job {job} stands at item {}", point.next_item);
            return Err(Failure::conflict(message).hint(format!("go on with `first={}`", point.next_item)));
        }
        let impatient = CancellationToken::new();
        Ok(Self {
            rest: rest.clone(),
            pigeon,
            job,
            upload,
            format: query.format,
            builder: ChunkBuilder::new(point.next_seq, point.next_item),
            number: point.next_item,
            ready: Vec::new(),
            whole: false,
            writing: None,
            patience: Some(impatient.clone().drop_guard()),
            impatient,
            written: 0,
        })
    }

    fn gather(&mut self, line: u64, text: &[u8]) -> Result<(), String> {
        self.number += 1;
        match self.format {
            Format::Raw => {
                let number = self.number;
                // A number always fits into memory that grows.
                self.push(|id| drop(write!(id.writer(), "{number}")), line, text);
            }
            Format::Named => {
                let named: Named<'_> = serde_json::from_slice(text).map_err(|error| reading::line(&error))?;
                if named.id.len() > Chunk::TARGET {
                    return Err(format!("its id is longer than {} bytes", Chunk::TARGET));
                }
                self.push(|id| id.put_slice(named.id.as_bytes()), line, named.body.as_bytes());
            }
        }
        Ok(())
    }

    fn push(&mut self, write_id: impl FnOnce(&mut bytes::BytesMut), line: u64, body: &[u8]) {
        if self.builder.is_full_for(body.len()) {
            self.ready.push(self.builder.finish(Bytes::new()));
        }
        self.builder.push(write_id, line, body);
    }

    /// Write what is ready.
    async fn write(&mut self) -> Answer<()> {
        if self.whole && !self.builder.is_empty() {
            self.ready.push(self.builder.finish(Bytes::new()));
        }
        for chunk in std::mem::take(&mut self.ready) {
            self.written().await?;
            let (pigeon, upload, job) = (self.pigeon.clone(), self.upload.clone(), self.job);
            let (impatient, wait) = (self.impatient.clone(), self.rest.limits.append_wait);
            let items = chunk.len() as u64;
            // Whatever becomes of the request, the job is appended to by nobody else until this is over.
            let writing = self.rest.deeds.spawn(async move {
                let _held = upload;
                tokio::select! {
                    appended = pigeon.append(job, chunk) => appended,
                    // It is over for the others, too: they learn where the job stands.
                    () = async { impatient.cancelled().await; sleep(wait).await } => {
                        Err(ApiError::new(ErrorKind::Overloaded, format!("what was appended to job {job} took too long")))
                    }
                }
            });
            self.writing = Some((items, writing));
        }
        Ok(())
    }

    /// Until what is being written is on disk.
    async fn written(&mut self) -> Answer<()> {
        let Some((items, writing)) = self.writing.take() else { return Ok(()) };
        match writing.await {
            Ok(written) => written?,
            Err(broken) if broken.is_panic() => std::panic::resume_unwind(broken.into_panic()),
            Err(_) => return Err(Failure::going_down()),
        }
        self.written += items;
        Ok(())
    }

    /// Nobody will hear of what is being written, or nothing follows it.
    fn give_up(&mut self) {
        self.patience = None;
    }

    /// Gives the number of items that are on disk.
    async fn finish(mut self) -> Answer<u64> {
        self.written().await?;
        Ok(self.written)
    }
}
