//! Work items, packed.
//!
//! Items travel and lie in chunks of about 1 MiB: the ids one behind the other, the bodies one behind the other, and
//! where each ends. So an item costs no allocation of its own, and a body that is read is a slice of its chunk. A body
//! larger than [`LARGE_ITEM`] stays apart, in memory as on disk.

use std::{ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use pigeon_protocol::id::Digest;

use crate::{
    Result, StoreError,
    codec::{Reader, put_varint},
};

/// A chunk is full when its ids and bodies reach this size, in bytes.
pub const CHUNK_BYTES: usize = 1 << 20;

/// A chunk is full when it has so many items, however small.
const CHUNK_ITEMS: usize = 1 << 16;

/// The largest body that lies among others in its chunk, in bytes. A larger one is a file of its own.
pub const LARGE_ITEM: usize = 1 << 20;

/// Where a chunk of items was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The number of its first item in the job.
    pub first: u64,
    /// How many items it has.
    pub count: u64,
    /// Whether it is new, and no repeat of one that was there.
    pub new: bool,
}

/// A chunk of items, without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkInfo {
    /// Its number in the job, from 0.
    pub seq: u64,
    /// The number of its first item.
    pub first: u64,
    /// How many items it has.
    pub count: u64,
    /// Bytes of all their bodies.
    pub bytes: u64,
}

/// An item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<'a> {
    /// Its id.
    pub id: &'a str,
    /// The line of its source on which it begins, from 1; 0 if that is not known.
    pub line: u64,
    /// Its body.
    pub body: Bytes,
}

/// An item's name and place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemName {
    /// Its id.
    pub id: String,
    /// The line of its source on which it begins, from 1; 0 if that is not known.
    pub line: u64,
}

/// Items one behind the other. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Items {
    entries: Arc<[Entry]>,
    ids: Arc<str>,
    bodies: Bytes,
    large: Arc<[Bytes]>,
    bytes: u64,
}

/// Where an item's parts end; they begin where those of the item before end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    id_end: usize,
    line: u64,
    /// End among the bodies that lie together.
    body_end: usize,
    /// End among the large ones: one more than before if this body is one of them.
    large_end: usize,
}

const START: Entry = Entry { id_end: 0, line: 0, body_end: 0, large_end: 0 };

impl Items {
    /// How many items.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all bodies.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many bytes each body has, in order.
    pub fn sizes(&self) -> impl Iterator<Item = u64> + '_ {
        self.heads(0..self.len()).map(|(_, size)| size)
    }

    /// The item at an index, from 0.
    pub fn get(&self, index: usize) -> Option<Item<'_>> {
        let (start, end) = self.span(index)?;
        let body = if end.large_end > start.large_end {
            self.large.get(start.large_end)?.clone()
        } else {
            self.bodies.slice(start.body_end..end.body_end)
        };
        Some(Item { id: self.ids.get(start.id_end..end.id_end)?, line: end.line, body })
    }

    /// Id and length of the body of the items at these indices, as far as there are.
    pub fn heads(&self, range: Range<usize>) -> impl Iterator<Item = (&str, u64)> {
        let first = self.span(range.start).map_or(START, |(start, _)| start);
        let range = range.start.min(self.len())..range.end.min(self.len());
        let entries = self.entries.get(range).unwrap_or_default();
        entries.iter().scan(first, |start, end| {
            let large = self.large.get(start.large_end).filter(|_| end.large_end > start.large_end);
            let size = large.map_or(end.body_end - start.body_end, Bytes::len);
            let id = self.ids.get(start.id_end..end.id_end).unwrap_or_default();
            *start = *end;
            Some((id, size as u64))
        })
    }

    /// All items in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Item<'_>> {
        // Every index is in range: the fallback is never taken.
        (0..self.len()).map(|index| self.get(index).unwrap_or(Item { id: "", line: 0, body: Bytes::new() }))
    }

    /// The bodies of the items at these indices, as far as there are, one behind the other in as few pieces as can be:
    /// those that lie together are one.
    pub fn bodies(&self, range: Range<usize>) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        let range = range.start..range.end.min(self.len());
        let Some((mut start, _)) = self.span(range.start).filter(|_| !range.is_empty()) else { return pieces };
        let mut piece = start.body_end;
        for end in &self.entries[range] {
            if let Some(large) = self.large.get(start.large_end..end.large_end)
                && !large.is_empty()
            {
                pieces.push(self.bodies.slice(piece..start.body_end));
                pieces.extend_from_slice(large);
                piece = end.body_end;
            }
            start = *end;
        }
        pieces.push(self.bodies.slice(piece..start.body_end));
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// Items that are packed already: where each id ends in `ids`, the line of each, where each body ends in `bodies`.
    /// The bodies are shared, unless one of several is a large one. `None` if the parts do not add up.
    pub fn from_packed(ids: &str, id_ends: &[u32], lines: &[u64], bodies: Bytes, body_ends: &[u64]) -> Option<Self> {
        if id_ends.len() != body_ends.len() || lines.len() != body_ends.len() {
            return None;
        }
        let mut entries = Vec::with_capacity(body_ends.len());
        let (mut start, mut largest) = (START, 0);
        for ((&id_end, &line), &body_end) in id_ends.iter().zip(lines).zip(body_ends) {
            let end = Entry { id_end: id_end as usize, line, body_end: usize::try_from(body_end).ok()?, large_end: 0 };
            ids.get(start.id_end..end.id_end)?;
            largest = largest.max(end.body_end.checked_sub(start.body_end)?);
            entries.push(end);
            start = end;
        }
        if start.id_end != ids.len() || start.body_end != bodies.len() {
            return None;
        }
        let bytes = bodies.len() as u64;
        let packed = Self { entries: entries.into(), ids: ids.into(), bodies, large: Arc::new([]), bytes };
        if largest <= LARGE_ITEM {
            return Some(packed);
        }
        let mut builder = ItemsBuilder::default();
        packed.iter().for_each(|item| builder.push(item.id, item.line, item.body));
        Some(builder.take())
    }

    fn span(&self, index: usize) -> Option<(Entry, Entry)> {
        let end = *self.entries.get(index)?;
        let start = index.checked_sub(1).and_then(|before| self.entries.get(before)).copied().unwrap_or(START);
        Some((start, end))
    }

    /// Ids and lines, as they are kept: count, then length and line of each, then the ids.
    pub(crate) fn encode_names(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.ids.len() + 4 * self.len() + 4);
        put_varint(&mut out, self.len() as u64);
        let mut start = START;
        for end in self.entries.iter() {
            put_varint(&mut out, (end.id_end - start.id_end) as u64);
            put_varint(&mut out, end.line);
            start = *end;
        }
        out.extend_from_slice(self.ids.as_bytes());
        out
    }

    /// Lengths of the bodies, as they are kept: the length twice, and one more if the body is a file, with its digest
    /// behind it. Also those digests, with their bodies.
    pub(crate) fn encode_lengths(&self) -> (Vec<u8>, Vec<(Digest, Bytes)>) {
        let mut out = Vec::with_capacity(3 * self.len());
        let mut files = Vec::new();
        let mut start = START;
        for end in self.entries.iter() {
            match self.large.get(start.large_end) {
                Some(body) if end.large_end > start.large_end => {
                    let digest = Digest::of(body);
                    put_varint(&mut out, (body.len() as u64) << 1 | 1);
                    out.extend_from_slice(digest.as_bytes());
                    files.push((digest, body.clone()));
                }
                _ => put_varint(&mut out, ((end.body_end - start.body_end) as u64) << 1),
            }
            start = *end;
        }
        (out, files)
    }

    /// The bodies that lie together, as they are kept.
    pub(crate) fn packed_bodies(&self) -> &Bytes {
        &self.bodies
    }

    /// Items as they were encoded. `file` reads a large body by its digest.
    pub(crate) fn decode(
        names: Bytes,
        lengths: Bytes,
        bodies: Bytes,
        mut file: impl FnMut(Digest) -> Result<Bytes>,
    ) -> Result<Self> {
        let (mut entries, ids) = decode_names(names)?;
        let mut reader = Reader::new(lengths, "lengths of a chunk of items");
        let (mut bytes, mut body_end, mut large) = (0u64, 0usize, Vec::new());
        for entry in &mut entries {
            let word = reader.varint()?;
            let length = usize::try_from(word >> 1).map_err(|_| reader.corrupt())?;
            if word & 1 == 1 {
                let digest = Digest::from_slice(&reader.take(32)?).ok_or_else(|| reader.corrupt())?;
                large.push(file(digest)?);
            } else {
                body_end =
                    body_end.checked_add(length).filter(|&end| end <= bodies.len()).ok_or_else(|| reader.corrupt())?;
            }
            bytes = bytes.saturating_add(length as u64);
            entry.body_end = body_end;
            entry.large_end = large.len();
        }
        if body_end != bodies.len() || reader.remaining() != 0 {
            return Err(reader.corrupt());
        }
        Ok(Self { entries: entries.into(), ids, bodies, large: large.into(), bytes })
    }
}

/// Where the ids of a chunk end, and the ids.
fn decode_names(names: Bytes) -> Result<(Vec<Entry>, Arc<str>)> {
    let mut reader = Reader::new(names, "ids of a chunk of items");
    let count = reader.count(2)?;
    let mut entries = Vec::with_capacity(count);
    let mut id_end = 0usize;
    for _ in 0..count {
        let length = usize::try_from(reader.varint()?).map_err(|_| reader.corrupt())?;
        id_end = id_end.checked_add(length).ok_or_else(|| reader.corrupt())?;
        entries.push(Entry { id_end, line: reader.varint()?, ..START });
    }
    let ids = reader.take(id_end as u64)?;
    let ids: Arc<str> = std::str::from_utf8(&ids).map_err(|_| reader.corrupt())?.into();
    Ok((entries, ids))
}

/// Names out of a chunk: those at the indices `first..first + count`, as far as there are.
pub(crate) fn decode_some_names(names: Bytes, first: usize, count: usize) -> Result<Vec<ItemName>> {
    let (entries, ids) = decode_names(names)?;
    let mut start = first.checked_sub(1).and_then(|before| entries.get(before)).map_or(0, |entry| entry.id_end);
    let mut some = Vec::with_capacity(count.min(entries.len()));
    for entry in entries.iter().skip(first).take(count) {
        let id = ids.get(start..entry.id_end);
        let id = id.ok_or_else(|| StoreError::Corrupt { what: "an item's id is not UTF-8".to_owned() })?;
        some.push(ItemName { id: id.to_owned(), line: entry.line });
        start = entry.id_end;
    }
    Ok(some)
}

/// The ids of a chunk at these ascending indices, as far as there are.
pub(crate) fn decode_names_at(names: Bytes, indices: impl Iterator<Item = u64>) -> Result<Vec<String>> {
    let (entries, ids) = decode_names(names)?;
    let name = |index: u64| {
        let index = usize::try_from(index).ok()?;
        let end = entries.get(index)?.id_end;
        let start = index.checked_sub(1).and_then(|before| entries.get(before)).map_or(0, |entry| entry.id_end);
        ids.get(start..end).map(str::to_owned)
    };
    Ok(indices.map_while(name).collect())
}

/// Lengths of the bodies of a chunk.
pub(crate) fn decode_sizes(lengths: Bytes) -> Result<Vec<u64>> {
    let mut reader = Reader::new(lengths, "lengths of a chunk of items");
    let mut sizes = Vec::new();
    while reader.remaining() > 0 {
        let word = reader.varint()?;
        if word & 1 == 1 {
            reader.take(32)?;
        }
        sizes.push(word >> 1);
    }
    Ok(sizes)
}

/// Packs items.
#[derive(Debug, Default)]
pub struct ItemsBuilder {
    entries: Vec<Entry>,
    ids: String,
    bodies: BytesMut,
    large: Vec<Bytes>,
    bytes: u64,
}

impl ItemsBuilder {
    /// Add an item that begins on `line` of its source, from 1; 0 if that is not known.
    pub fn push(&mut self, id: &str, line: u64, body: Bytes) {
        self.ids.push_str(id);
        self.bytes += body.len() as u64;
        if body.len() > LARGE_ITEM {
            self.large.push(body);
        } else {
            self.bodies.extend_from_slice(&body);
        }
        self.entries.push(Entry {
            id_end: self.ids.len(),
            line,
            body_end: self.bodies.len(),
            large_end: self.large.len(),
        });
    }

    /// Whether it has as much as a chunk should have.
    pub fn is_full(&self) -> bool {
        self.bytes + self.ids.len() as u64 >= CHUNK_BYTES as u64 || self.entries.len() >= CHUNK_ITEMS
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What was pushed. The builder is empty again.
    pub fn take(&mut self) -> Items {
        let Self { entries, ids, bodies, large, bytes } = std::mem::take(self);
        Items { entries: entries.into(), ids: ids.into(), bodies: bodies.freeze(), large: large.into(), bytes }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use proptest::prelude::*;

    fn through_disk(items: &Items) -> Result<Items> {
        let (lengths, files) = items.encode_lengths();
        let files: HashMap<_, _> = files.into_iter().collect();
        Items::decode(items.encode_names().into(), lengths.into(), items.packed_bodies().clone(), |digest| {
            Ok(files[&digest].clone())
        })
    }

    proptest! {
        #[test]
        fn items_survive_their_encoding(items in proptest::collection::vec((".{0,20}", 0u64..1 << 40, proptest::collection::vec(any::<u8>(), 0..50)), 0..50)) {
            let mut builder = ItemsBuilder::default();
            for (id, line, body) in &items {
                builder.push(id, *line, body.clone().into());
            }
            let packed = builder.take();
            prop_assert!(builder.is_empty());
            let read = through_disk(&packed).unwrap();
            prop_assert_eq!(&read, &packed);
            prop_assert_eq!(read.len(), items.len());
            for (item, (id, line, body)) in read.iter().zip(&items) {
                prop_assert_eq!((item.id, item.line, &item.body[..]), (id.as_str(), *line, &body[..]));
            }
            let heads = items.iter().map(|(id, _, body)| (id.as_str(), body.len() as u64));
            prop_assert!(packed.heads(1..9).eq(heads.skip(1).take(8)));
            let names = decode_some_names(packed.encode_names().into(), 1, 2).unwrap();
            let expected: Vec<_> = items.iter().skip(1).take(2).map(|(id, line, _)| ItemName { id: id.clone(), line: *line }).collect();
            prop_assert_eq!(names, expected);
        }

        #[test]
        fn damaged_columns_are_errors(names: Vec<u8>, lengths: Vec<u8>, bodies: Vec<u8>) {
            let _ = Items::decode(names.clone().into(), lengths.clone().into(), bodies.into(), |_| Ok(Bytes::new()));
            let _ = decode_some_names(names.into(), 3, 3);
            let _ = decode_sizes(lengths.into());
        }
    }

    proptest! {
        #[test]
        fn bodies_are_in_few_pieces(sizes in proptest::collection::vec(prop_oneof![9 => 0usize..9, 1 => Just(LARGE_ITEM + 1)], 0..8), from in 0usize..9, count in 0usize..9) {
            let mut builder = ItemsBuilder::default();
            let (mut ids, mut id_ends, mut lines, mut bodies, mut body_ends) = (String::new(), vec![], vec![], vec![], vec![]);
            for (index, &size) in sizes.iter().enumerate() {
                let body = vec![index as u8; size];
                builder.push(&index.to_string(), 5, body.clone().into());
                ids.push_str(&index.to_string());
                bodies.extend_from_slice(&body);
                id_ends.push(ids.len() as u32);
                lines.push(5);
                body_ends.push(bodies.len() as u64);
            }
            let items = builder.take();
            let packed = Items::from_packed(&ids, &id_ends, &lines, bodies.into(), &body_ends).unwrap();
            prop_assert_eq!(&packed, &items);
            prop_assert!(items.sizes().eq(sizes.iter().map(|&size| size as u64)));
            let pieces = items.bodies(from..from + count);
            let expected: Vec<u8> = items.iter().skip(from).take(count).flat_map(|item| item.body.to_vec()).collect();
            let large = sizes.iter().skip(from).take(count).filter(|&&size| size > LARGE_ITEM).count();
            prop_assert!(pieces.len() <= 2 * large + 1);
            prop_assert_eq!(pieces.concat(), expected);
        }
    }

    #[test]
    fn parts_that_do_not_add_up_are_no_items() {
        let bodies = Bytes::from_static(b"abcd");
        let packed =
            |id_ends: &[u32], body_ends: &[u64]| Items::from_packed("äb", id_ends, &[1, 2], bodies.clone(), body_ends);
        assert!(packed(&[2, 3], &[1, 4]).is_some());
        assert!(packed(&[1, 3], &[1, 4]).is_none(), "an id is cut in the middle of a character");
        assert!(packed(&[2, 9], &[1, 4]).is_none());
        assert!(packed(&[2, 3], &[4, 1]).is_none());
        assert!(packed(&[2, 3], &[1, 3]).is_none());
        assert!(packed(&[2, 3], &[4]).is_none());
    }

    #[test]
    fn a_large_body_stays_apart() {
        let mut builder = ItemsBuilder::default();
        let large = Bytes::from(vec![7; LARGE_ITEM + 1]);
        builder.push("small", 1, Bytes::from_static(b"abc"));
        assert!(!builder.is_full());
        builder.push("large", 2, large.clone());
        builder.push("last", 3, Bytes::from_static(b"xyz"));
        assert!(builder.is_full());
        let items = through_disk(&builder.take()).unwrap();
        let sizes = decode_sizes(items.encode_lengths().0.into()).unwrap();
        assert_eq!(sizes, [3, LARGE_ITEM as u64 + 1, 3]);
        assert_eq!(items.packed_bodies().len(), 6);
        assert_eq!(items.bytes(), LARGE_ITEM as u64 + 7);
        assert_eq!(items.get(1).unwrap().body, large);
        assert_eq!(items.get(2).unwrap().body, "xyz");
        assert_eq!(items.get(3), None);
    }
}
