//! Submissions: jobs that come with their items in one piece, by a schedule or in one request.
//!
//! A submission whose items are one chunk becomes a job in one step. Another goes the usual way: it is opened, appended to,
//! sealed. With a key, all of it may be repeated: the steps that were taken are found taken, so whatever dies in between,
//! the job is there once, and whole.

use std::collections::HashSet;

use bytes::{BufMut as _, Bytes, BytesMut};
use pigeon_api::{
    ApiError, Chunk, ChunkBuilder, Digest, ErrorKind, InlineItem, JobId, JobRequest, JobState, Pigeon, Result,
    Submission, Work,
};
use sha2::{Digest as _, Sha256};

/// Under what the digest of the items stands in the notes of a job that was submitted with a key.
const ITEMS: &str = "items";

/// Opens the job of a submission; with its items, if it has any: then it is sealed as well.
///
/// # Errors
/// Those of opening, appending and sealing. [`ErrorKind::BadRequest`] if the items cannot be those of one job,
/// [`ErrorKind::Conflict`] if the key is that of another request.
pub(crate) async fn submit(client: &dyn Pigeon, submission: Submission) -> Result<JobId> {
    let keyed = submission.key.is_some();
    let (request, items) = asked(client, submission).await?;
    let Some(items) = items else { return client.submit(request).await };
    let mut chunks = Chunks::of(&items).peekable();
    let first = chunks.next();
    let (job, whole) = match &first {
        Some(all) if chunks.peek().is_none() => (client.submit_with(request, all.clone()).await?, !keyed),
        _ => (client.submit(request).await?, false),
    };
    if whole || keyed && is_whole(client, job, items.len()).await? {
        return Ok(job);
    }
    match fill(client, job, first.into_iter().chain(chunks)).await {
        // A repeat was quicker, and the job may even have ended.
        Err(error) if keyed && error.kind == ErrorKind::Conflict && is_whole(client, job, items.len()).await? => {
            Ok(job)
        }
        filled => filled.map(|()| job),
    }
}

/// What is asked for by a submission, and the items that come with it.
pub(crate) async fn asked(
    client: &dyn Pigeon,
    mut submission: Submission,
) -> Result<(JobRequest, Option<Vec<InlineItem>>)> {
    let items = submission.items.take();
    if let Some(items) = &items {
        check(items, submission.work)?;
        if submission.key.is_some() {
            note_items(&mut submission.sources, items);
        }
    }
    let plugin = client.plugin(&submission.plugin).await?.digest;
    Ok((request(plugin, submission), items))
}

/// What is asked for by a submission whose plugin was found. The seed, if none is said, is taken from the key, so that
/// a repeat asks for the same; without a key it is drawn.
fn request(plugin: Digest, submission: Submission) -> JobRequest {
    let seed = submission.key.as_deref().map_or_else(rand::random, seed_of);
    submission.request(plugin, seed)
}

/// Whether these can be the items of one job.
///
/// # Errors
/// [`ErrorKind::BadRequest`], in words.
pub(crate) fn check(items: &[InlineItem], work: Option<Work>) -> Result<()> {
    if let Some(Work::One { .. }) = work
        && items.len() != 1
    {
        let message = format!("a job of one item was given {}", items.len());
        return Err(ApiError::new(ErrorKind::BadRequest, message).hint("say `many` to run each of several items"));
    }
    if items.is_empty() {
        let message = "a job was given a list of items with nothing in it";
        return Err(ApiError::new(ErrorKind::BadRequest, message).hint("leave `items` out to append them afterwards"));
    }
    if let [InlineItem::Text(body) | InlineItem::Named { body, .. }] = items
        && body.is_empty()
    {
        let message = "the only item of a job is empty: it needs at least one byte";
        return Err(ApiError::new(ErrorKind::BadRequest, message).hint("an empty item can only be one of several"));
    }
    let mut ids = HashSet::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let id = match item {
            InlineItem::Text(_) => (index + 1).to_string(),
            InlineItem::Named { id, .. } => id.clone(),
        };
        if let Some(twice) = ids.replace(id) {
            return Err(ApiError::new(ErrorKind::BadRequest, format!("two items have the id {twice:?}")));
        }
    }
    Ok(())
}

fn seed_of(key: &str) -> u64 {
    let mut seed = [0; 8];
    seed.copy_from_slice(&Sha256::digest(key)[..8]);
    u64::from_le_bytes(seed)
}

/// Notes which items a key stands for, so that a repeat with others is seen to be another request.
fn note_items(sources: &mut serde_json::Value, items: &[InlineItem]) {
    let mut hash = Sha256::new();
    for item in items {
        let (id, body) = match item {
            InlineItem::Text(body) => (None, body),
            InlineItem::Named { id, body } => (Some(id), body),
        };
        // Each part with its length: no two lists of items look the same.
        hash.update(id.map_or(u64::MAX, |id| id.len() as u64).to_le_bytes());
        hash.update(id.map_or("", String::as_str));
        hash.update((body.len() as u64).to_le_bytes());
        hash.update(body);
    }
    if sources.is_null() {
        *sources = serde_json::Value::Object(serde_json::Map::new());
    }
    if let Some(notes) = sources.as_object_mut() {
        let digest = Digest::from_bytes(hash.finalize().into());
        notes.entry(ITEMS).or_insert_with(|| digest.to_string().into());
    }
}

/// Whether all the items of a job are on disk, and it is sealed. One that has them all is sealed here, if it was not: whether
/// somebody works at it, or it waits or is broken, does not show that.
async fn is_whole(client: &dyn Pigeon, job: JobId, items: usize) -> Result<bool> {
    let status = client.job(job).await?;
    if status.state == JobState::Sealed || status.state.is_final() {
        return Ok(true);
    }
    if status.items < items as u64 {
        return Ok(false);
    }
    client.seal(job).await.map(|()| true)
}

async fn fill(client: &dyn Pigeon, job: JobId, chunks: impl Iterator<Item = Chunk> + Send) -> Result<()> {
    for chunk in chunks {
        client.append(job, chunk).await?;
    }
    client.seal(job).await
}

/// The chunks of items, one at a time.
pub(crate) struct Chunks<'a> {
    items: std::iter::Peekable<std::iter::Enumerate<std::slice::Iter<'a, InlineItem>>>,
    builder: ChunkBuilder,
}

impl<'a> Chunks<'a> {
    pub(crate) fn of(items: &'a [InlineItem]) -> Self {
        Self { items: items.iter().enumerate().peekable(), builder: ChunkBuilder::new(0, 0) }
    }
}

impl Iterator for Chunks<'_> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        while let Some((_, item)) = self.items.peek() {
            let (InlineItem::Text(body) | InlineItem::Named { body, .. }) = item;
            if self.builder.is_full_for(body.len()) {
                break;
            }
            let Some((index, item)) = self.items.next() else { break };
            let (InlineItem::Text(body) | InlineItem::Named { body, .. }) = item;
            let write_id = |ids: &mut BytesMut| match item {
                InlineItem::Text(_) => ids.put_slice((index + 1).to_string().as_bytes()),
                InlineItem::Named { id, .. } => ids.put_slice(id.as_bytes()),
            };
            self.builder.push(write_id, 0, body.as_bytes());
        }
        (!self.builder.is_empty()).then(|| self.builder.finish(Bytes::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &str) -> InlineItem {
        InlineItem::Text(body.to_owned())
    }

    fn named(id: &str, body: &str) -> InlineItem {
        InlineItem::Named { id: id.to_owned(), body: body.to_owned() }
    }

    fn submission(json: serde_json::Value) -> Submission {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn items_are_cut_into_chunks_with_their_ids() {
        let large = "x".repeat(Chunk::TARGET);
        let items = [text("one"), named("b", "two"), text(&large), text("y")];
        let chunks: Vec<Chunk> = Chunks::of(&items).collect();
        let ids: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.ids.as_ref()).collect();
        assert_eq!(ids, [&b"1b"[..], b"3", b"4"]);
        let numbers: Vec<_> = chunks.iter().map(|chunk| (chunk.seq, chunk.first, chunk.len())).collect();
        assert_eq!(numbers, [(0, 0, 2), (1, 2, 1), (2, 3, 1)]);
        assert_eq!(chunks[0].bodies, "onetwo");
        assert_eq!(Chunks::of(&[]).count(), 0);
    }

    #[test]
    fn items_that_cannot_be_one_jobs_are_refused() {
        let one = Some(Work::One { workers: 2, iterations: 3 });
        assert!(check(&[text("a")], one).is_ok() && check(&[text("a"), text("a")], None).is_ok());
        let told = |items: &[InlineItem], work| check(items, work).unwrap_err().message;
        assert_eq!(told(&[text("a"), text("b")], one), "a job of one item was given 2");
        assert_eq!(told(&[], one), "a job of one item was given 0");
        assert_eq!(told(&[], None), "a job was given a list of items with nothing in it");
        for empty in [text(""), named("a", "")] {
            assert_eq!(told(&[empty], None), "the only item of a job is empty: it needs at least one byte");
        }
        assert!(check(&[text(""), text("")], None).is_ok(), "an empty one among others is one like them");
        assert_eq!(told(&[text("a"), named("1", "b")], None), "two items have the id \"1\"");
    }

    #[test]
    fn a_repeat_of_a_key_asks_for_the_same() {
        let plugin = Digest::from_bytes([7; 32]);
        let keyed = || submission(serde_json::json!({ "plugin": "json", "key": "nightly" }));
        assert_eq!(request(plugin, keyed()), request(plugin, keyed()));
        let other = submission(serde_json::json!({ "plugin": "json", "key": "nightly-2" }));
        assert_ne!(request(plugin, keyed()).seed, request(plugin, other).seed);
        let drawn = || request(plugin, submission(serde_json::json!({ "plugin": "json" }))).seed;
        assert_ne!(drawn(), drawn());
        assert_eq!(request(plugin, submission(serde_json::json!({ "plugin": "json", "key": "k", "seed": 5 }))).seed, 5);
    }

    #[test]
    fn other_items_under_the_same_key_are_another_request() {
        let noted = |items: &[InlineItem], mut sources| {
            note_items(&mut sources, items);
            sources
        };
        let null = || serde_json::Value::Null;
        let (one, two) = (noted(&[text("ab"), text("c")], null()), noted(&[text("a"), text("bc")], null()));
        assert_eq!(one, noted(&[text("ab"), text("c")], null()));
        assert_ne!(one, two);
        assert_ne!(noted(&[text("a")], null()), noted(&[named("1", "a")], null()));
        let kept = noted(&[text("a")], serde_json::json!({ "from": "here" }));
        assert_eq!(kept["from"], "here");
        assert!(kept["items"].as_str().unwrap().starts_with("sha256:"));
        assert_eq!(noted(&[text("a")], serde_json::json!("a note")), serde_json::json!("a note"));
    }
}
