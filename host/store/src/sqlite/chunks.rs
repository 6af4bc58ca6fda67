//! Chunks of items, as SQL.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use bytes::Bytes;
use pigeon_protocol::id::{Digest, Epoch, JobId};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    int,
    jobs::{bytes_of, known_key, owned},
    lock::FileLock,
    number,
    spool::{self, Span},
    writer::Work,
};
use crate::{
    Appended, ChunkInfo, ItemName, Result, StoreError,
    item::{decode_names_at, decode_some_names},
};

/// A chunk of items, as it is written.
pub(super) struct NewChunk {
    pub(super) seq: u64,
    pub(super) count: u64,
    pub(super) bytes: u64,
    pub(super) names: Vec<u8>,
    pub(super) lengths: Vec<u8>,
    pub(super) bodies: Bytes,
    pub(super) files: Vec<Digest>,
    pub(super) cursor: Bytes,
    /// What keeps the files that it names until it is written, whether or not somebody waits for that.
    pub(super) _named: Option<FileLock>,
}

impl NewChunk {
    /// Bytes that it takes in a file of items.
    pub(super) fn spooled_bytes(&self) -> u64 {
        if self.bodies.len() < spool::LEAST { 0 } else { self.bodies.len().next_multiple_of(spool::BLOCK) as u64 }
    }
}

/// Append a chunk, unless it is a repeat.
pub(super) fn append(work: &mut Work, job: JobId, epoch: Epoch, chunk: &NewChunk) -> Result<Appended> {
    let connection = &work.connection;
    let head = owned(connection, job, epoch)?;
    if chunk.seq < head.chunks {
        let mut select = connection.prepare_cached("SELECT first, count FROM chunk WHERE job = ?1 AND seq = ?2")?;
        let (first, count) = select.query_row([head.key, int(chunk.seq)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        return Ok(Appended { first: number(first), count: number(count), new: false });
    }
    if head.sealed {
        return Err(StoreError::Sealed(job));
    }
    if head.state.is_finished() {
        return Err(StoreError::Finished(job));
    }
    if chunk.seq > head.chunks {
        return Err(StoreError::ChunkGap { job, expected: head.chunks, found: chunk.seq });
    }
    let (key, seq) = (head.key, int(chunk.seq));
    let (first, count, bytes) = (int(head.items), int(chunk.count), int(chunk.bytes));
    connection
        .prepare_cached("INSERT INTO chunk (job, seq, first, count, bytes, names) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![key, seq, first, count, bytes, chunk.names])?;
    if chunk.bodies.len() < spool::LEAST {
        connection
            .prepare_cached("INSERT INTO body (job, seq, lengths, bodies) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![key, seq, chunk.lengths, &chunk.bodies[..]])?;
    } else {
        let Span { spool, start, size } = work.spools.put(job, epoch, &chunk.bodies)?;
        let mut insert = connection.prepare_cached(
            "INSERT INTO body (job, seq, lengths, bodies, spool, start, size) VALUES (?1, ?2, ?3, x'', ?4, ?5, ?6)",
        )?;
        insert.execute(params![key, seq, chunk.lengths, int(spool.0), int(start), int(size)])?;
    }
    for digest in &chunk.files {
        connection
            .prepare_cached("INSERT OR IGNORE INTO body_file (digest, job) VALUES (?1, ?2)")?
            .execute(params![&digest.as_bytes()[..], key])?;
    }
    connection
        .prepare_cached(
            "UPDATE job SET items = items + ?2, chunks = chunks + 1, bytes = bytes + ?3, cursor = ?4 WHERE key = ?1",
        )?
        .execute(params![key, count, bytes, &chunk.cursor[..]])?;
    Ok(Appended { first: head.items, count: chunk.count, new: true })
}

/// The chunks of a job, in order.
pub(super) fn chunks(connection: &Connection, job: JobId) -> Result<Vec<ChunkInfo>> {
    let key = known_key(connection, job)?;
    let mut select =
        connection.prepare_cached("SELECT seq, first, count, bytes FROM chunk WHERE job = ?1 ORDER BY seq")?;
    let chunks = select.query_map([key], |row| {
        Ok(ChunkInfo {
            seq: number(row.get(0)?),
            first: number(row.get(1)?),
            count: number(row.get(2)?),
            bytes: number(row.get(3)?),
        })
    })?;
    Ok(chunks.collect::<Result<_, _>>()?)
}

/// Where the bodies of a chunk are that lie together.
pub(super) enum Packed {
    /// In the row itself.
    Here(Bytes),
    /// In a file.
    Spooled(Span),
}

/// A chunk of items, as it was written.
pub(super) struct WrittenChunk {
    pub(super) names: Bytes,
    pub(super) lengths: Bytes,
    pub(super) bodies: Packed,
}

/// A chunk of a job.
pub(super) fn chunk(connection: &Connection, job: JobId, seq: u64) -> Result<WrittenChunk> {
    let key = known_key(connection, job)?;
    let mut select = connection.prepare_cached(
        "SELECT names, lengths, bodies, spool, start, size FROM chunk JOIN body USING (job, seq)
         WHERE job = ?1 AND seq = ?2",
    )?;
    let mut rows = select.query([key, int(seq)])?;
    let Some(row) = rows.next()? else { return Err(StoreError::NoBodies { job, chunk: seq }) };
    let bodies = match row.get::<_, Option<i64>>("spool")? {
        Some(spool) => Packed::Spooled(Span {
            spool: Epoch(number(spool)),
            start: number(row.get("start")?),
            size: number(row.get("size")?),
        }),
        None => Packed::Here(bytes_of(row, "bodies")?),
    };
    Ok(WrittenChunk { names: bytes_of(row, "names")?, lengths: bytes_of(row, "lengths")?, bodies })
}

/// The lengths of the bodies of a chunk, as they were written.
pub(super) fn lengths(connection: &Connection, job: JobId, seq: u64) -> Result<Bytes> {
    let key = known_key(connection, job)?;
    let mut select = connection.prepare_cached("SELECT lengths FROM body WHERE job = ?1 AND seq = ?2")?;
    let lengths = select.query_row([key, int(seq)], |row| row.get::<_, Vec<u8>>(0)).optional()?;
    lengths.map(Bytes::from).ok_or(StoreError::NoBodies { job, chunk: seq })
}

/// The ids of items, by their numbers; without those that there are not. Each chunk is read once, however many of its items
/// are wanted.
pub(super) fn names_of(connection: &Connection, key: i64, items: &BTreeSet<u64>) -> Result<BTreeMap<u64, String>> {
    let mut names = BTreeMap::new();
    let mut select = connection.prepare_cached(
        "SELECT first, count, names FROM chunk WHERE job = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1",
    )?;
    let mut next = items.first().copied();
    while let Some(item) = next {
        let mut rows = select.query([key, int(item)])?;
        let Some(row) = rows.next()? else { break };
        let first = number(row.get("first")?);
        let end = first.saturating_add(number(row.get("count")?));
        let wanted: Vec<u64> = items.range(item..).copied().take_while(|item| *item < end).collect();
        let indices = wanted.iter().map(|item| item - first);
        names.extend(wanted.iter().copied().zip(decode_names_at(bytes_of(row, "names")?, indices)?));
        let behind = Bound::Excluded(item.max(end.saturating_sub(1)));
        next = items.range((behind, Bound::Unbounded)).next().copied();
    }
    Ok(names)
}

/// Names of items, from number `first` on.
pub(super) fn item_names(connection: &Connection, key: i64, first: u64, count: usize) -> Result<Vec<ItemName>> {
    let mut some = Vec::new();
    let mut select = connection.prepare_cached(
        "SELECT first, names FROM chunk WHERE job = ?1
         AND first >= (SELECT max(first) FROM chunk WHERE job = ?1 AND first <= ?2) ORDER BY first",
    )?;
    let mut rows = select.query([key, int(first)])?;
    while some.len() < count
        && let Some(row) = rows.next()?
    {
        let skip = first.saturating_sub(number(row.get("first")?));
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        some.append(&mut decode_some_names(bytes_of(row, "names")?, skip, count - some.len())?);
    }
    Ok(some)
}
