//! The frame decoder, fed with whatever the network may bring, in whatever pieces.
//!
//! The first byte chooses the message, the second the size of the pieces. What is decoded must be written and read
//! again the same, and the decoder must never hold more than it was given.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use pigeon_protocol::{
    enrol::{EnrolReply, EnrolRequest, JoinToken},
    frame::{self, Decoder},
    message::{FromBatch, JobContext, Lease, PluginHead, Recorded, Request, ToAgent, ToHub},
};

fn feed<M: prost::Message + Default>(bytes: &[u8], piece: usize) {
    let mut decoder = Decoder::new();
    let mut given = 0;
    for piece in bytes.chunks(piece) {
        decoder.push(Bytes::copy_from_slice(piece));
        given += piece.len();
        assert!(decoder.held() <= given);
        loop {
            match decoder.message::<M>() {
                Ok(Some(message)) => {
                    // Unknown fields are dropped, so the bytes may differ; what is known must not.
                    let Ok(again) = frame::encode(&message) else { continue };
                    let mut second = Decoder::new();
                    second.push(again.clone());
                    let read = second.message::<M>().expect("what we wrote").expect("all of it");
                    assert_eq!(frame::encode(&read).expect("as long as before"), again);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [kind, piece, bytes @ ..] = data else { return };
    let piece = usize::from(*piece) + 1;
    match kind % 11 {
        0 => feed::<ToHub>(bytes, piece),
        1 => feed::<ToAgent>(bytes, piece),
        2 => feed::<Lease>(bytes, piece),
        3 => feed::<FromBatch>(bytes, piece),
        4 => feed::<Recorded>(bytes, piece),
        5 => feed::<Request>(bytes, piece),
        6 => feed::<PluginHead>(bytes, piece),
        7 => feed::<JobContext>(bytes, piece),
        8 => feed::<EnrolRequest>(bytes, piece),
        9 => feed::<EnrolReply>(bytes, piece),
        _ => {
            let _ = std::str::from_utf8(bytes).map(str::parse::<JoinToken>);
        }
    }
});
