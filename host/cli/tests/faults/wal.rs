//! The end of SQLite's write-ahead log: where the last commit ends, and damage behind it.
//!
//! The log is a header of 32 bytes and frames, each a header of 24 bytes and a page. A frame counts if its salts are those of
//! the log's header, and its checksum goes on from the frame before; what is behind the first that does not counts for
//! nothing, and neither does what is behind the last frame that says it is a commit. A process that dies as it writes leaves
//! such an end. (See "WAL File Format" in SQLite's documentation.)

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

use crate::plan::Damage;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// What was done, in words.
pub(crate) fn damage(log: &Path, damage: Damage) -> io::Result<String> {
    let bytes = match fs::read(log) {
        Ok(bytes) if bytes.len() > HEADER => bytes,
        Ok(_) => return Ok("the log is empty: there is no last frame".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok("there is no log".to_owned()),
        Err(error) => return Err(error),
    };
    let Some(read) = Read::new(&bytes) else { return Ok("the log has no header".to_owned()) };
    let (committed, frames) = read.committed();
    let mut frame = vec![0; FRAME_HEADER + read.page];
    // Page 1, as good a frame as can be but for what follows: of a commit, with the salts of this log.
    frame[..4].copy_from_slice(&1_u32.to_be_bytes());
    frame[4..8].copy_from_slice(&1_u32.to_be_bytes());
    frame[8..16].copy_from_slice(&bytes[16..24]);
    let (mut sum, last) = (read.sum_at(committed), committed.checked_sub(frame.len()).filter(|at| *at >= HEADER));
    if let Some(last) = last {
        frame[FRAME_HEADER..].copy_from_slice(&bytes[last + FRAME_HEADER..committed]);
    }
    sum = read.sum(sum, &frame[..8]);
    sum = read.sum(sum, &frame[FRAME_HEADER..]);
    frame[16..20].copy_from_slice(&sum.0.to_be_bytes());
    frame[20..24].copy_from_slice(&sum.1.to_be_bytes());
    match damage {
        Damage::Torn => frame.truncate(FRAME_HEADER + read.page / 2),
        Damage::Flipped => frame[FRAME_HEADER + read.page / 3] ^= 0x10,
        Damage::Zeroed => frame[FRAME_HEADER..].fill(0),
    }
    let file = File::options().write(true).open(log)?;
    file.set_len(committed as u64)?;
    file.write_all_at(&frame, committed as u64)?;
    let uncommitted = (bytes.len() - committed) / (FRAME_HEADER + read.page);
    Ok(format!("{frames} frames are committed, {uncommitted} behind them were not; the last one is now damaged"))
}

/// A log that is read.
struct Read<'a> {
    bytes: &'a [u8],
    page: usize,
    big_endian: bool,
}

impl<'a> Read<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let magic = word(bytes, 0)?;
        let page = usize::try_from(word(bytes, 8)?).ok()?;
        let is_ours = magic & !1 == 0x377f_0682 && page.is_power_of_two();
        is_ours.then_some(Self { bytes, page, big_endian: magic & 1 == 1 })
    }

    /// The checksum goes on over these bytes.
    fn sum(&self, (mut one, mut two): (u32, u32), bytes: &[u8]) -> (u32, u32) {
        let read = if self.big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        for pair in bytes.as_chunks::<8>().0 {
            let [first, second] = [0, 4].map(|at| read([pair[at], pair[at + 1], pair[at + 2], pair[at + 3]]));
            one = one.wrapping_add(first).wrapping_add(two);
            two = two.wrapping_add(second).wrapping_add(one);
        }
        (one, two)
    }

    /// The checksum of all that counts before this place, which is behind the header or a frame.
    fn sum_at(&self, end: usize) -> (u32, u32) {
        let at = if end <= HEADER { 24 } else { end - self.page - 8 };
        (word(self.bytes, at).unwrap_or_default(), word(self.bytes, at + 4).unwrap_or_default())
    }

    /// Where the last commit ends, and how many frames there are up to it.
    fn committed(&self) -> (usize, usize) {
        let (mut end, mut count) = (HEADER, 0);
        let mut sum = self.sum_at(HEADER);
        let frames = self.bytes[HEADER..].chunks_exact(FRAME_HEADER + self.page);
        for (number, frame) in (1..).zip(frames) {
            sum = self.sum(sum, &frame[..8]);
            sum = self.sum(sum, &frame[FRAME_HEADER..]);
            let is_good =
                frame[8..16] == self.bytes[16..24] && (word(frame, 16), word(frame, 20)) == (Some(sum.0), Some(sum.1));
            if !is_good {
                break;
            }
            if word(frame, 4) != Some(0) {
                (end, count) = (HEADER + number * frame.len(), number);
            }
        }
        (end, count)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
