//! Gathering outcomes into [`FromBatch`] frames.
//!
//! Outcomes land one by one, thousands in a second, and go out together. Each is encoded once, straight into the frame
//! that will carry it; a frame is then kept as it is until the hub has recorded it.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message as _;

use crate::{
    frame::HEADER,
    limits::{MAX_FRAME, MAX_OUTCOME},
    message::FromBatch,
    outcome::Outcome,
};

/// The field number of [`FromBatch::outcomes`].
const OUTCOMES: u32 = 1;

/// Room that a frame keeps for `end` and the suspects. A lane has one run in flight: this holds hundreds.
const TAIL: usize = 4000;

/// An outcome is larger than [`MAX_OUTCOME`]. It was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an outcome of {size} bytes is larger than the {MAX_OUTCOME} that a message can carry")]
pub struct OutcomeTooLarge {
    /// Its encoded size, in bytes.
    pub size: usize,
}

/// A frame that is being filled.
#[derive(Debug, Default)]
pub struct Gather {
    frame: BytesMut,
    outcomes: u64,
}

impl Gather {
    /// Put an outcome in. If the frame has no room for it, the full frame is given back first, with how many outcomes
    /// it carries.
    pub fn push(&mut self, outcome: &Outcome) -> Result<Option<(Bytes, u64)>, OutcomeTooLarge> {
        let size = outcome.encoded_len();
        if size > MAX_OUTCOME {
            return Err(OutcomeTooLarge { size });
        }
        // Tag and length take at most 11 bytes.
        let full = (self.frame.len() + size + 11 + TAIL > HEADER + MAX_FRAME && self.outcomes > 0)
            .then(|| self.seal(false, &[]))
            .flatten();
        self.open();
        prost::encoding::encode_key(OUTCOMES, prost::encoding::WireType::LengthDelimited, &mut self.frame);
        prost::encoding::encode_varint(size as u64, &mut self.frame);
        let start = self.frame.len();
        self.frame.resize(start + size, 0);
        // Into room that is there: byte by byte into a buffer that grows costs more than all the rest.
        outcome.encode_raw(&mut &mut self.frame[start..]);
        self.outcomes += 1;
        Ok(full)
    }

    /// Bytes gathered.
    pub fn len(&self) -> usize {
        self.frame.len()
    }

    /// Whether nothing was gathered since the last seal.
    pub fn is_empty(&self) -> bool {
        self.outcomes == 0
    }

    /// Close the frame, with how many outcomes it carries. `None` if there is nothing to say. Suspects that the frame
    /// has no room for are left out.
    pub fn seal(&mut self, end: bool, begun: &[u64]) -> Option<(Bytes, u64)> {
        if self.outcomes == 0 && !end && begun.is_empty() {
            return None;
        }
        self.open();
        let begun = &begun[..begun.len().min(TAIL / 10 - 2)];
        let tail = FromBatch { outcomes: Vec::new(), end, begun: begun.to_vec() };
        // A message's fields may come in pieces: appending what a second message says is what protobuf calls merging.
        self.frame.extend_from_slice(&tail.encode_to_vec());
        let mut frame = std::mem::take(&mut self.frame);
        let length = (frame.len() - HEADER) as u32;
        frame[..HEADER].copy_from_slice(&length.to_le_bytes());
        Some((frame.freeze(), std::mem::take(&mut self.outcomes)))
    }

    fn open(&mut self) {
        if self.frame.is_empty() {
            self.frame.put_u32_le(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::Decoder;

    fn outcome(run: u64, log: usize) -> Outcome {
        Outcome { run, log: vec![b'x'; log].into(), ..Outcome::default() }
    }

    fn decode(frame: Bytes) -> FromBatch {
        let mut decoder = Decoder::new();
        decoder.push(frame);
        let message = decoder.message().unwrap().unwrap();
        decoder.finish().unwrap();
        message
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
        #[test]
        fn every_outcome_comes_out_once_in_order(sizes in prop::collection::vec(0usize..400_000, 0..20), begun: Vec<u64>) {
            let (mut gather, mut got, mut counted) = (Gather::default(), Vec::new(), 0);
            let sent: Vec<_> = sizes.iter().enumerate().map(|(run, &size)| outcome(run as u64, size)).collect();
            for outcome in &sent {
                if let Some((frame, count)) = gather.push(outcome).unwrap() {
                    counted += count;
                    got.extend(decode(frame).outcomes);
                }
            }
            let (frame, count) = gather.seal(true, &begun).unwrap();
            let last = decode(frame);
            prop_assert!(last.end);
            prop_assert_eq!(&last.begun[..], &begun[..begun.len().min(398)]);
            got.extend(last.outcomes);
            prop_assert_eq!(counted + count, sent.len() as u64);
            prop_assert_eq!(got, sent);
        }
    }

    #[test]
    fn the_largest_outcome_fits_and_one_more_byte_does_not() {
        let mut size = MAX_OUTCOME;
        while outcome(1, size).encoded_len() > MAX_OUTCOME {
            size -= 1;
        }
        let mut gather = Gather::default();
        assert_eq!(gather.push(&outcome(1, size)), Ok(None));
        assert!(gather.push(&outcome(1, size + 1)).is_err());
        let suspects = vec![u64::MAX; 1000];
        let (frame, _) = gather.seal(true, &suspects).unwrap();
        assert_eq!(decode(frame).outcomes.len(), 1);
    }

    #[test]
    fn nothing_gathered_is_nothing_said() {
        assert_eq!(Gather::default().seal(false, &[]), None);
    }
}
