//! Whatever is written is read again, and whatever comes never panics.

use bytes::Bytes;
use pigeon_protocol::{
    frame::{self, Decoder},
    message::{FromBatch, JobContext, Lease, LeasedItems, OptionSize, Request, RunRange, ToAgent, ToHub},
    outcome::{Answer, Counts, Failure, Finding, Judgement, Outcome, Place},
};
use proptest::{collection::vec, option, prelude::*};

prop_compose! {
    fn place()(line: Option<u32>, column: Option<u32>, offset: Option<u64>, pointer: Option<String>) -> Place {
        Place { line, column, offset, pointer }
    }
}

prop_compose! {
    fn finding()(severity: i32, code: String, message: String, place in option::of(place())) -> Finding {
        Finding { severity, code, message, place }
    }
}

fn answer() -> impl Strategy<Value = Answer> {
    let counts = any::<(u64, u64, u64)>().prop_map(|(errors, warnings, infos)| Counts { errors, warnings, infos });
    // Not NaN: it would not be equal to itself.
    let score = option::of(-1e300..1e300f64);
    let judgement = (vec(finding(), 0..5), option::of(counts), score, any::<Option<String>>())
        .prop_map(|(findings, omitted, score, data)| Answer::Judgement(Judgement { findings, omitted, score, data }));
    let failure = any::<(i32, String, String, String)>()
        .prop_map(|(cause, code, message, backtrace)| Answer::Failure(Failure { cause, code, message, backtrace }));
    prop_oneof![judgement, failure]
}

prop_compose! {
    fn outcome()(run: u64, time_us: u64, cpu_us: u64, memory: u64, answer in option::of(answer()), log: Vec<u8>) -> Outcome {
        Outcome { run, time_us, cpu_us, memory, answer, log: log.into() }
    }
}

fn read<M: prost::Message + Default>(bytes: Bytes) -> Option<M> {
    let mut decoder = Decoder::new();
    decoder.push(bytes);
    decoder.message().ok().flatten()
}

proptest! {
    #[test]
    fn outcomes(outcomes in vec(outcome(), 0..5), end: bool, begun: Vec<u64>) {
        let message = FromBatch { outcomes, end, begun };
        prop_assert_eq!(read(frame::encode(&message).unwrap()), Some(message));
    }

    #[test]
    fn leases(lease: u64, fence: u64, items: Vec<(u64, String, Vec<u32>, Vec<u64>)>, ranges: Vec<(u64, u64)>, attempt: u32, more: bool, options: Option<Vec<(String, String)>>) {
        let items = items.into_iter();
        let items = items.map(|(first, ids, id_sizes, sizes)| LeasedItems { first, ids, id_sizes, sizes }).collect();
        let runs = ranges.into_iter().map(|(first, count)| RunRange { first, count }).collect();
        let option = |(key, value): (String, String)| OptionSize { key, size: value.len() as u64, value: Some(value) };
        let context = options.map(|options| JobContext {
            options: options.into_iter().map(option).collect(),
            ..JobContext::default()
        });
        let message = Lease { lease, fence, job: vec![7; 16], items, runs, attempt, more, context };
        prop_assert_eq!(read(frame::encode(&message).unwrap()), Some(message));
    }

    #[test]
    fn no_bytes_panic(mut bytes: Vec<u8>) {
        let length = bytes.len() as u32;
        bytes.splice(..0, length.to_le_bytes());
        let bytes = Bytes::from(bytes);
        let _ = read::<ToHub>(bytes.clone());
        let _ = read::<ToAgent>(bytes.clone());
        let _ = read::<Lease>(bytes.clone());
        let _ = read::<Request>(bytes.clone());
        if let Some(batch) = read::<FromBatch>(bytes) {
            for outcome in batch.outcomes {
                let _ = (outcome.verdict(), outcome.cause());
            }
        }
    }
}
