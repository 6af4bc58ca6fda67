//! Everything that a guest could do to its host: what the runtime's limits are tested with. In test builds only.
//!
//! A *deed* is a word, some with an argument behind a colon: `spin`, `busy:20`, `findings:5000`. The option `do` names
//! it for all items; where it is not set, or is `body`, each item's first line does, so that a batch can mix good and
//! bad. [`deeds`] lists them; an unknown one is a permanent failure. `after` names a deed that is done first: a run
//! can log, then trap.
//!
//! Three components are made of it: with a shared instance, with a fresh one a run (feature `fresh`), and as a
//! `batch-validator` (feature `batch`).
#![cfg(target_arch = "wasm32")]

mod alias;
mod answer;
mod deeds;
mod witness;

mod bindings {
    #[cfg(not(feature = "batch"))]
    wit_bindgen::generate!({ path: "../../wit", world: "validator", generate_all });
    #[cfg(feature = "batch")]
    wit_bindgen::generate!({ path: "../../wit", world: "batch-validator", generate_all });
}

use std::sync::atomic::{AtomicU32, Ordering};

use bindings::exports::pigeon::plugin::validation::Guest;
use bindings::pigeon::plugin::types::{
    Expectation, Failure, FailureKind, InstancePolicy, Item, Judgement, MemoryNeed, Metadata, OptionSpec, TestCase,
    Vote,
};
use bindings::wasi::config::store;

struct Hostile;

/// Calls that this instance has seen, the present one included.
static CALLS: AtomicU32 = AtomicU32::new(0);

impl Guest for Hostile {
    fn metadata() -> Metadata {
        let (name, instances) = if cfg!(feature = "batch") {
            ("hostile-batch", InstancePolicy::Shared)
        } else if cfg!(feature = "fresh") {
            ("hostile-fresh", InstancePolicy::Fresh)
        } else {
            ("hostile", InstancePolicy::Shared)
        };
        let option = |name: &str, description: &str| OptionSpec {
            name: name.into(),
            description: description.into(),
            default: None,
            required: false,
        };
        Metadata {
            name: name.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: "Does its host every harm that it can think of. For tests.".into(),
            formats: vec!["text/plain".into()],
            options: vec![
                option("do", "the deed; `body` or nothing: the item's first line names it"),
                option("after", "a deed that is done first, its answer dropped"),
                option("text", "a text for the deeds that show options"),
            ],
            codes: Vec::new(),
            instances,
            vote: Vote::Worst,
            memory: MemoryNeed { base: 64 << 20, factor: 4.0 },
            models: Vec::new(),
            extensions: Vec::new(),
        }
    }

    fn validate(item: Item) -> Result<Judgement, Failure> {
        judge(&item)
    }

    fn generate_test_cases(count: u32, seed: u64) -> Result<Vec<TestCase>, Failure> {
        let case = |index: u32| {
            let (body, expected) =
                if index.is_multiple_of(2) { ("valid", Expectation::Valid) } else { ("invalid", Expectation::Invalid) };
            TestCase {
                item: Item { id: format!("case-{index}"), body: format!("{body}:{seed}-{index}").into_bytes() },
                expected,
                description: format!("a deed that makes it {body}"),
            }
        };
        Ok((0..count).map(case).collect())
    }
}

#[cfg(feature = "batch")]
impl bindings::exports::pigeon::plugin::batch_validation::Guest for Hostile {
    fn validate_batch(items: Vec<Item>) -> Vec<Result<Judgement, Failure>> {
        let mut answers: Vec<_> = items.iter().map(judge).collect();
        // Broken promises about the number of answers.
        for item in &items {
            match item.body.as_slice() {
                b"answer-missing" => drop(answers.pop()),
                b"answer-extra" => answers.push(Ok(answer::valid())),
                _ => {}
            }
        }
        answers
    }
}

fn judge(item: &Item) -> Result<Judgement, Failure> {
    let call = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    if let Some(first) = option("after")? {
        deeds::Deed::parse(&first)?.carry_out(call)?;
    }
    match option("do")? {
        Some(deed) if deed != "body" => deeds::Deed::parse(&deed)?.carry_out(call),
        _ => {
            let line = item.body.split(|byte| *byte == b'\n').next().unwrap_or_default();
            deeds::Deed::parse(&String::from_utf8_lossy(line))?.carry_out(call)
        }
    }
}

fn option(name: &str) -> Result<Option<String>, Failure> {
    store::get(name).map_err(|error| answer::failure(FailureKind::Transient, "no-options", format!("{error:?}")))
}

bindings::export!(Hostile with_types_in bindings);
