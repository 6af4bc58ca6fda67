//! Chunks as they travel over REST: packed, so that neither side pays for text where it moves megabytes.
//!
//! ```text
//! version  1 byte: 1
//! header   varints: seq, first, items, length of the cursor, of the ids, of the bodies
//! cursor   its bytes
//! ids      one behind the other
//! table    varints, item by item: length of the id, line, length of the body
//! bodies   one behind the other
//! ```
//!
//! A varint is a number in groups of 7 bits, the lowest first; every byte but the last has its top bit set. What was
//! decoded holds slices of the input, and of nothing that the input announces is anything allocated before it is known
//! to be there.

use bytes::{Buf as _, Bytes};

use crate::Chunk;

/// The media type of a packed chunk.
pub const CHUNK_MEDIA_TYPE: &str = "application/vnd.pigeon.chunk";

/// What the first byte says.
const VERSION: u8 = 1;

/// Bytes that an item takes in the table at least.
const LEAST_ENTRY: usize = 3;

/// What was sent is no chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It is larger than the receiver takes.
    #[error("the chunk has {size} bytes, and at most {most} are taken")]
    TooLarge {
        /// Its size, in bytes.
        size: usize,
        /// The bound, in bytes.
        most: usize,
    },
    /// It was written by another version.
    #[error("the chunk is of version {0}, and only version {VERSION} is known")]
    Version(u8),
    /// It ends too early.
    #[error("the chunk ends in the middle of {0}")]
    Truncated(&'static str),
    /// A number is larger than 64 bits hold.
    #[error("{0} is no number of 64 bits")]
    Number(&'static str),
    /// The lengths of the parts do not come to the length of the whole.
    #[error("{0} do not come to the length that the header says")]
    Lengths(&'static str),
    /// The numbers of the items would pass what 64 bits hold.
    #[error("{count} items from number {first} on are more than can be counted")]
    Count {
        /// Index of the first item.
        first: u64,
        /// How many are said to follow.
        count: u64,
    },
    /// Ids are longer than 4 GiB.
    #[error("the ids are longer than 4 GiB")]
    Ids,
}

/// A chunk, packed: the pieces to be sent one behind the other. Ids and bodies are not copied.
pub fn encode_chunk(chunk: &Chunk) -> Vec<Bytes> {
    let mut head = Vec::with_capacity(64 + chunk.cursor.len());
    head.push(VERSION);
    let lengths = [chunk.len(), chunk.cursor.len(), chunk.ids.len(), chunk.bodies.len()].map(|length| length as u64);
    for number in [chunk.seq, chunk.first].into_iter().chain(lengths) {
        put(&mut head, number);
    }
    head.extend_from_slice(&chunk.cursor);
    let mut table = Vec::with_capacity(6 * chunk.len());
    let (mut id, mut body) = (0, 0);
    for ((&id_end, &line), &body_end) in chunk.id_ends.iter().zip(&chunk.lines).zip(&chunk.body_ends) {
        put(&mut table, u64::from(id_end.saturating_sub(id)));
        put(&mut table, line);
        put(&mut table, body_end.saturating_sub(body));
        (id, body) = (id_end, body_end);
    }
    let pieces = [head.into(), chunk.ids.clone(), table.into(), chunk.bodies.clone()];
    pieces.into_iter().filter(|piece: &Bytes| !piece.is_empty()).collect()
}

/// The chunk that lies packed in `bytes`, of which there may be `most`.
///
/// # Errors
/// [`WireError`], if it is no chunk, or too large. That ids are UTF-8 is not looked at.
pub fn decode_chunk(bytes: Bytes, most: usize) -> Result<Chunk, WireError> {
    if bytes.len() > most {
        return Err(WireError::TooLarge { size: bytes.len(), most });
    }
    let mut rest = bytes;
    let version = rest.try_get_u8().map_err(|_| WireError::Truncated("its version"))?;
    if version != VERSION {
        return Err(WireError::Version(version));
    }
    let seq = take(&mut rest, "the chunk's number")?;
    let first = take(&mut rest, "the number of its first item")?;
    let count = take(&mut rest, "the number of its items")?;
    let cursor = take(&mut rest, "the length of its cursor")?;
    let ids = take(&mut rest, "the length of its ids")?;
    let bodies = take(&mut rest, "the length of its bodies")?;
    if first.checked_add(count).is_none() {
        return Err(WireError::Count { first, count });
    }
    if u32::try_from(ids).is_err() {
        return Err(WireError::Ids);
    }
    let cursor = cut(&mut rest, cursor, "its cursor")?;
    let ids = cut(&mut rest, ids, "its ids")?;
    // Each of them takes at least so much of what is there: that is what may be allocated for.
    let count = usize::try_from(count).ok().filter(|&count| count <= rest.len() / LEAST_ENTRY);
    let count = count.ok_or(WireError::Truncated("its table"))?;
    let mut chunk = Chunk {
        seq,
        first,
        cursor,
        ids,
        id_ends: Vec::with_capacity(count),
        lines: Vec::with_capacity(count),
        bodies: Bytes::new(),
        body_ends: Vec::with_capacity(count),
    };
    let (mut id_end, mut body_end) = (0_u64, 0_u64);
    for _ in 0..count {
        id_end = id_end.saturating_add(take(&mut rest, "the length of an id")?);
        chunk.id_ends.push(u32::try_from(id_end).map_err(|_| WireError::Lengths("the ids"))?);
        chunk.lines.push(take(&mut rest, "a line")?);
        body_end = body_end.saturating_add(take(&mut rest, "the length of a body")?);
        chunk.body_ends.push(body_end);
    }
    if id_end != chunk.ids.len() as u64 {
        return Err(WireError::Lengths("the ids"));
    }
    if body_end != bodies {
        return Err(WireError::Lengths("the bodies"));
    }
    chunk.bodies = cut(&mut rest, bodies, "its bodies")?;
    if rest.has_remaining() {
        return Err(WireError::Lengths("its parts"));
    }
    Ok(chunk)
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        // The cast keeps the lowest 7 bits, which is what is meant.
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(rest: &mut Bytes, what: &'static str) -> Result<u64, WireError> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = rest.try_get_u8().map_err(|_| WireError::Truncated(what))?;
        let group = u64::from(byte & 0x7f);
        // Of the tenth group only one bit is left.
        if group << shift >> shift != group {
            return Err(WireError::Number(what));
        }
        number |= group << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(WireError::Number(what))
}

fn cut(rest: &mut Bytes, length: u64, what: &'static str) -> Result<Bytes, WireError> {
    let length = usize::try_from(length).ok().filter(|&length| length <= rest.len());
    Ok(rest.split_to(length.ok_or(WireError::Truncated(what))?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ChunkBuilder;

    type Item = (Vec<u8>, u64, Vec<u8>);

    fn chunk(seq: u64, first: u64, items: &[Item], cursor: Vec<u8>) -> Chunk {
        let mut builder = ChunkBuilder::new(seq, first);
        for (id, line, body) in items {
            builder.push(|out| out.extend_from_slice(id), *line, body);
        }
        builder.finish(cursor.into())
    }

    fn packed(chunk: &Chunk) -> Bytes {
        encode_chunk(chunk).concat().into()
    }

    fn items() -> impl Strategy<Value = Vec<Item>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..200);
        prop::collection::vec((bytes(), any::<u64>(), bytes()), 0..40)
    }

    proptest! {
        #[test]
        fn chunks_come_back_as_they_were(seq: u64, first in 0..u64::MAX / 2, items in items(), cursor: Vec<u8>) {
            let chunk = chunk(seq, first, &items, cursor);
            let bytes = packed(&chunk);
            prop_assert_eq!(decode_chunk(bytes.clone(), bytes.len()).unwrap(), chunk);
        }

        #[test]
        fn what_is_cut_off_or_goes_on_is_refused(items in items(), cut in 1..100_usize) {
            let whole = packed(&chunk(3, 4, &items, vec![5; 6]));
            let short = whole.slice(..whole.len() - cut.min(whole.len()));
            prop_assert!(decode_chunk(short, usize::MAX).is_err());
            let long = [&whole[..], &vec![0; cut]].concat();
            prop_assert_eq!(decode_chunk(long.into(), usize::MAX), Err(WireError::Lengths("its parts")));
        }

        #[test]
        fn garbage_is_read_or_refused(mut bytes: Vec<u8>, version: bool) {
            if version && let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            if let Ok(chunk) = decode_chunk(bytes.into(), usize::MAX) {
                prop_assert_eq!(chunk.id_ends.last().map_or(0, |&end| end as usize), chunk.ids.len());
                prop_assert_eq!(chunk.body_ends.last().map_or(0, |&end| end as usize), chunk.bodies.len());
                prop_assert!(chunk.id_ends.is_sorted() && chunk.body_ends.is_sorted());
                prop_assert_eq!((chunk.id_ends.len(), chunk.lines.len()), (chunk.len(), chunk.len()));
            }
        }

        #[test]
        fn a_flipped_bit_panics_nowhere(items in items(), at: prop::sample::Index, bit in 0..8_u8) {
            let mut bytes = packed(&chunk(1, 2, &items, Vec::new())).to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let _ = decode_chunk(bytes.into(), usize::MAX);
        }

        #[test]
        fn every_number_survives(number: u64) {
            let mut out = Vec::new();
            put(&mut out, number);
            let mut bytes = Bytes::from(out);
            prop_assert_eq!(take(&mut bytes, "it").unwrap(), number);
            prop_assert!(bytes.is_empty());
        }
    }

    #[test]
    fn the_bytes_of_version_1() {
        let items = [(b"a".to_vec(), 7, b"xyz".to_vec()), (b"bc".to_vec(), 300, Vec::new())];
        let bytes = packed(&chunk(2, 5, &items, b"!".to_vec()));
        let hex = data_encoding::HEXLOWER.encode(&bytes);
        assert_eq!(hex, concat!("01", "020502010303", "21", "616263", "010703", "02ac0200", "78797a"));
    }

    #[test]
    fn bodies_are_slices_on_both_sides() {
        let chunk = chunk(0, 0, &[(b"id".to_vec(), 1, vec![9; 1000])], Vec::new());
        let pieces = encode_chunk(&chunk);
        assert!(pieces.iter().any(|piece| piece.as_ptr() == chunk.bodies.as_ptr()));
        let bytes = packed(&chunk);
        let within = bytes.as_ptr_range();
        let decoded = decode_chunk(bytes.clone(), usize::MAX).unwrap();
        assert!(within.contains(&decoded.bodies.as_ptr()) && within.contains(&decoded.ids.as_ptr()));
    }

    #[test]
    fn what_is_announced_and_not_there_allocates_nothing() {
        let announced = |numbers: [u64; 6]| {
            let mut out = vec![VERSION];
            numbers.into_iter().for_each(|number| put(&mut out, number));
            decode_chunk(out.into(), usize::MAX).unwrap_err()
        };
        let most = u64::MAX;
        assert_eq!(announced([0, 0, 1 << 60, 0, 0, 0]), WireError::Truncated("its table"));
        assert_eq!(announced([0, 0, 0, most, 0, 0]), WireError::Truncated("its cursor"));
        assert_eq!(announced([0, 0, 0, 0, 1 << 31, 0]), WireError::Truncated("its ids"));
        assert_eq!(announced([0, 0, 0, 0, most, 0]), WireError::Ids);
        assert_eq!(announced([0, 0, 0, 0, 0, most]), WireError::Lengths("the bodies"));
        assert_eq!(announced([0, 2, most, 0, 0, 0]), WireError::Count { first: 2, count: most });
        assert_eq!(decode_chunk(vec![2].into(), 10), Err(WireError::Version(2)));
        assert_eq!(decode_chunk(vec![1; 11].into(), 10), Err(WireError::TooLarge { size: 11, most: 10 }));
        let endless = [&[VERSION][..], &[0xff; 11]].concat();
        assert_eq!(decode_chunk(endless.into(), 20), Err(WireError::Number("the chunk's number")));
    }
}
