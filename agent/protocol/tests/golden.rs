//! The bytes of every message, as the first version writes them. What is in `golden/` is never changed: a peer that
//! writes those bytes is out there. A new field gets a new sample beside the old ones.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in tests a panic is the report")]

use std::{fmt::Debug, fs, path::Path};

use pigeon_protocol::{
    enrol::{EnrolReply, EnrolRequest},
    frame::{self, Decoder},
    gather::Gather,
    manifest::{Kind, Manifest, SignedManifest},
    message::*,
    outcome::*,
};
use prost::Message;

/// Writing gives the golden bytes, reading them gives the message, and so does reading them with a field behind them
/// that nobody knows yet.
#[track_caller]
fn golden<M: Message + Default + PartialEq + Debug>(name: &str, message: M) {
    let hex: String = frame::encode(&message).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v0").join(name).with_extension("hex");
    let kept = fs::read_to_string(&path).unwrap_or_else(|_| panic!("missing {name}: {hex}"));
    assert_eq!(hex, kept.trim(), "{name} is written differently");

    let mut bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&kept[at..at + 2], 16).unwrap()).collect();
    let read = |bytes: &[u8]| {
        let mut decoder = Decoder::new();
        decoder.push(bytes.to_vec().into());
        let read = decoder.message::<M>().unwrap();
        decoder.finish().unwrap();
        read
    };
    assert_eq!(read(&bytes).as_ref(), Some(&message), "{name} is read differently");
    // Field 1000, a varint.
    bytes.extend([0xc0, 0x3e, 0x07]);
    let length = bytes.len() as u32 - 4;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    assert_eq!(read(&bytes).as_ref(), Some(&message), "{name} with an unknown field is read differently");
}

fn sixteen() -> Vec<u8> {
    (0..16).collect()
}

fn to_hub(say: to_hub::Say) -> ToHub {
    ToHub { say: Some(say) }
}

fn to_agent(say: to_agent::Say) -> ToAgent {
    ToAgent { say: Some(say) }
}

fn signed() -> SignedManifest {
    SignedManifest { manifest: vec![1, 2, 3].into(), signature: vec![4; 64], public_key: vec![5; 32] }
}

fn context() -> JobContext {
    JobContext {
        known: true,
        plugin: vec![8; 32],
        seed: 42,
        clock_ns: Some(-1),
        limits: Some(Limits { cpu_ms: 1, wall_ms: 2, memory: 3, output: 4, log: 5, fuel: 6 }),
        options: vec![OptionSize { key: "schema".into(), size: 1000, value: None }],
        places: 3,
        iterations: 5,
        grants: vec!["llm=codellama:7b".into()],
    }
}

fn invalid() -> Outcome {
    let place = Place { line: Some(3), column: Some(7), offset: Some(42), pointer: Some("/a/0".into()) };
    let finding = |severity, place| Finding {
        severity: severity as i32,
        code: "bad-number".into(),
        message: "a leading zero".into(),
        place,
    };
    let judgement = Judgement {
        findings: vec![finding(Severity::Error, Some(place)), finding(Severity::Info, None)],
        omitted: Some(Counts { errors: 1, warnings: 2, infos: 3 }),
        score: Some(0.5),
        data: Some("{\"a\":1}".into()),
    };
    Outcome {
        run: 1_000_000,
        time_us: 12,
        cpu_us: 11,
        memory: 1 << 20,
        answer: Some(Answer::Judgement(judgement)),
        log: b"hello\n".to_vec().into(),
    }
}

fn failed() -> Outcome {
    let failure = Failure {
        cause: Cause::Trap as i32,
        code: "trap".into(),
        message: "unreachable".into(),
        backtrace: "0: f\n1: g".into(),
    };
    Outcome { run: 7, answer: Some(Answer::Failure(failure)), ..Outcome::default() }
}

fn valid(run: u64) -> Outcome {
    Outcome { run, time_us: 12, answer: Some(Answer::Judgement(Judgement::default())), ..Outcome::default() }
}

#[test]
fn the_control_stream() {
    let hello = Hello {
        oldest_minor: 0,
        newest_minor: 3,
        incarnation: sixteen(),
        name: "worker-1".into(),
        slots: 2,
        in_flight: 128,
        memory: 4 << 30,
        labels: vec!["arch=x86_64".into(), "zone=a".into()],
        version: "0.1.0".into(),
        max_memory: 1 << 30,
    };
    golden("to-hub-hello", to_hub(to_hub::Say::Hello(hello)));
    let beat = Beat {
        number: 9,
        leases: vec![1, 300],
        computing: 2,
        waiting: 5,
        rss: 123_456_789,
        plugins: vec![vec![6; 32]],
        models: Vec::new(),
    };
    golden("to-hub-beat", to_hub(to_hub::Say::Beat(beat.clone())));
    let models = Beat { models: vec!["codellama:7b".into(), "llava".into()], ..beat };
    golden("to-hub-beat-models", to_hub(to_hub::Say::Beat(models)));
    golden("to-hub-credit", to_hub(to_hub::Say::Credit(Credit { received: 17, batches: 4, short: 0 })));
    golden("to-hub-credit-short", to_hub(to_hub::Say::Credit(Credit { received: 17, batches: 40, short: 36 })));
    golden("to-hub-draining", to_hub(to_hub::Say::Draining(Draining { reason: "SIGTERM".into() })));
    golden("to-agent-welcome", to_agent(to_agent::Say::Welcome(Welcome { minor: 1, session: 2, beat_ms: 10_000 })));
    let refused = Refused { reason: "revoked".into(), try_again: true, elsewhere: false };
    golden("to-agent-refused", to_agent(to_agent::Say::Refused(refused)));
    let elsewhere = Refused { reason: "elsewhere".into(), try_again: false, elsewhere: true };
    golden("to-agent-refused-elsewhere", to_agent(to_agent::Say::Refused(elsewhere)));
    golden("to-agent-beat-heard", to_agent(to_agent::Say::BeatHeard(BeatHeard { number: 9, unknown: vec![300] })));
    golden("to-agent-cancel", to_agent(to_agent::Say::Cancel(Cancel { leases: vec![1, 2] })));
    golden("to-agent-drain", to_agent(to_agent::Say::Drain(Drain { grace_ms: 5000 })));
    golden("to-hub-silent", ToHub { say: None });
}

#[test]
fn the_batch_stream() {
    let mut items = LeasedItems::new(3);
    items.push("a.jsonl:1", 846);
    items.push("ä", 0);
    let lease = Lease {
        lease: 5,
        fence: u64::MAX,
        job: sixteen(),
        items: vec![items],
        runs: vec![RunRange { first: 0, count: 10 }],
        attempt: 2,
        more: false,
        context: None,
    };
    golden("lease-more", Lease { more: true, ..lease.clone() });
    let option = OptionSize { key: "schema".into(), size: 2, value: Some("{}".into()) };
    let context = JobContext { options: vec![option], ..context() };
    golden("lease-context", Lease { context: Some(context), ..lease.clone() });
    golden("lease", lease);
    golden("from-batch", FromBatch { outcomes: vec![invalid(), failed(), valid(8)], end: true, begun: vec![9, 300] });
    golden("recorded", Recorded { count: 5000, refused: 0 });
    golden("recorded-refused", Recorded { count: 5000, refused: 300 });
}

#[test]
fn requests_and_answers() {
    let ask = |ask| Request { ask: Some(ask) };
    golden("request-plugin", ask(request::Ask::Plugin(FetchPlugin { digest: vec![8; 32], offset: 4096 })));
    golden("plugin-head", PluginHead { signed: Some(signed()), size: 300_000 });
    golden("request-job", ask(request::Ask::Job(FetchJob { job: sixteen() })));
    golden("job-context", context());
    golden("request-deliver", ask(request::Ask::Deliver(Deliver { lease: 5, fence: 6, job: sixteen() })));
}

#[test]
fn enrolment_and_manifests() {
    golden("enrol-request", EnrolRequest { secret: vec![1; 32], csr: vec![2; 8], name: "worker-1".into() });
    let reply = EnrolReply {
        refused: "no".into(),
        certificate: vec![1; 4],
        ca: vec![2; 4],
        agent: sixteen(),
        trusted_keys: vec![vec![3; 32]],
    };
    golden("enrol-reply", reply);
    let manifest = Manifest {
        digest: vec![8; 32],
        name: "gexpr".into(),
        version: "0.1.0".into(),
        kind: Kind::Validator as i32,
        metadata: "{}".into(),
        powers: vec!["llm".into()],
        grants: vec!["llm=codellama:7b".into()],
        size: 300_000,
    };
    golden("manifest", manifest);
    golden("signed-manifest", signed());
}

#[test]
fn gathered_outcomes_are_the_same_message() {
    let mut gather = Gather::default();
    for outcome in [invalid(), failed(), valid(8)] {
        gather.push(&outcome).unwrap();
    }
    let (bytes, count) = gather.seal(true, &[9, 300]).unwrap();
    let whole = FromBatch { outcomes: vec![invalid(), failed(), valid(8)], end: true, begun: vec![9, 300] };
    assert_eq!(bytes, frame::encode(&whole).unwrap());
    assert_eq!(count, 3);
}
