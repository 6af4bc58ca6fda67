use proptest::prelude::*;

use super::*;
use crate::message::{Cancel, Recorded};

fn drain(decoder: &mut Decoder) -> Result<Vec<Cancel>, FrameError> {
    let mut messages = Vec::new();
    while let Some(message) = decoder.message()? {
        messages.push(message);
    }
    Ok(messages)
}

proptest! {
    #[test]
    fn messages_survive_any_cutting(leases: Vec<Vec<u64>>, cuts in prop::collection::vec(1usize..40, 1..20)) {
        let sent: Vec<_> = leases.into_iter().map(|leases| Cancel { leases }).collect();
        let mut bytes = BytesMut::new();
        for message in &sent {
            encode_into(message, &mut bytes).unwrap();
        }
        let mut bytes = bytes.freeze();
        let (mut decoder, mut got) = (Decoder::new(), Vec::new());
        for cut in cuts.iter().cycle() {
            if bytes.is_empty() {
                break;
            }
            decoder.push(bytes.split_to((*cut).min(bytes.len())));
            got.extend(drain(&mut decoder).unwrap());
        }
        prop_assert_eq!(got, sent);
        prop_assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn garbage_is_an_error_or_a_message_and_never_held_twice(pieces: Vec<Vec<u8>>) {
        let mut decoder = Decoder::with_bound(64);
        for piece in pieces {
            let length = piece.len();
            let before = decoder.held();
            decoder.push(piece.into());
            prop_assert_eq!(decoder.held(), before + length);
            if drain(&mut decoder).is_err() {
                return Ok(());
            }
            prop_assert!(decoder.held() < HEADER + 64 + 1);
        }
    }
}

#[test]
fn a_length_over_the_bound_is_refused_before_its_bytes_come() {
    let mut decoder = Decoder::new();
    decoder.push(Bytes::from_static(&[0xff, 0xff, 0xff]));
    assert_eq!(decoder.message::<Cancel>(), Ok(None));
    decoder.push(Bytes::from_static(&[0x7f]));
    assert_eq!(decoder.message::<Cancel>(), Err(FrameError::TooLong { length: 0x7fff_ffff, bound: MAX_FRAME }));
}

#[test]
fn a_message_of_exactly_the_bound_passes_and_one_more_does_not() {
    let mut lease = crate::message::Refused { reason: String::new(), ..Default::default() };
    lease.reason = "x".repeat(MAX_FRAME - 4);
    let frame = encode(&lease).unwrap();
    assert_eq!(frame.len(), HEADER + MAX_FRAME);
    let mut decoder = Decoder::new();
    decoder.push(frame);
    assert_eq!(decoder.message(), Ok(Some(lease.clone())));
    lease.reason.push('x');
    assert!(matches!(encode(&lease), Err(FrameError::TooLong { .. })));
}

#[test]
fn raw_bytes_follow_where_they_are_asked_for() {
    let mut bytes = BytesMut::from(&encode(&Recorded { count: 7, refused: 0 }).unwrap()[..]);
    bytes.extend_from_slice(b"body");
    bytes.extend_from_slice(&encode(&Recorded { count: 8, refused: 0 }).unwrap());
    let mut decoder = Decoder::new();
    decoder.push(bytes.freeze());
    assert_eq!(decoder.message(), Ok(Some(Recorded { count: 7, refused: 0 })));
    assert_eq!(&decoder.raw(4)[..], b"body");
    assert_eq!(decoder.message(), Ok(Some(Recorded { count: 8, refused: 0 })));
    assert!(decoder.raw(10).is_empty());
}

#[test]
fn an_end_within_a_message_is_told() {
    let mut decoder = Decoder::new();
    decoder.push(Bytes::from_static(&[1, 0]));
    assert_eq!(decoder.message::<Cancel>(), Ok(None));
    assert_eq!(decoder.finish(), Err(FrameError::CutShort));
}

#[test]
fn unknown_fields_are_skipped() {
    // Field 15, varint 1, behind a known field.
    let mut decoder = Decoder::new();
    decoder.push(Bytes::from_static(&[4, 0, 0, 0, 0x08, 0x07, 0x78, 0x01]));
    assert_eq!(decoder.message(), Ok(Some(Recorded { count: 7, refused: 0 })));
}
