//! The validator as a whole: cases in folders, hostile items, and what all items have in common.

mod hostile;
pub(crate) mod program;
mod properties;

use std::path::Path;

use pigeon_plugin::{Item, Judgement, Options, Validator, judge};

use crate::{Gexpr, codes};

/// What the validator says of `body`, with options.
pub(crate) fn judged(body: impl Into<Vec<u8>>, options: &[(&str, &str)]) -> Judgement {
    judge::<Gexpr>(&Options::of(options.iter().copied()), &Item::new("test", body)).unwrap()
}

/// The codes of a judgement's findings, with their pointers.
pub(crate) fn told(judgement: &Judgement) -> Vec<(&str, Option<&str>)> {
    judgement
        .findings
        .iter()
        .map(|finding| {
            let pointer = finding.place.as_ref().and_then(|place| place.pointer.as_deref());
            (finding.code.as_str(), pointer)
        })
        .collect()
}

#[test]
fn cases_in_folders() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/gexpr");
    if let Err(wrong) = pigeon_plugin::testing::check::<Gexpr>(&folder) {
        panic!("{wrong}");
    }
}

#[test]
fn examples_are_what_they_are_said_to_be() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let fibonacci = read("fibonacci.json");
    assert_eq!(fibonacci.len(), 846);
    let all = "syntax,semantic,execution";
    for (program, inputs) in [
        (fibonacci.as_str(), r#"[{"args":[0],"expect":0},{"args":[10],"expect":55},{"args":[15],"expect":610}]"#),
        (&read("factorial.json"), r#"[{"args":[5],"expect":120},{"args":[0],"expect":1}]"#),
        (&read("power.json"), &read("power.inputs.json")),
    ] {
        let judgement = judged(program, &[("validation_types", all), ("test_inputs", inputs)]);
        assert!(judgement.findings.is_empty(), "{judgement:?}");
        assert_eq!(judgement.data, None);
    }
    assert_eq!(told(&judged(read("unbound.json"), &[])), [("unbound-ref", Some("/v/body/v/args/v/1"))]);
    for line in read("programs.jsonl").lines() {
        assert!(judged(line, &[]).findings.is_empty());
    }
}

#[test]
fn metadata_lists_what_can_be_said() {
    let metadata = Gexpr::metadata(pigeon_plugin::Metadata::new("gexpr", "0.1.0", ""));
    assert_eq!(metadata.instances, pigeon_plugin::InstancePolicy::Shared);
    assert_eq!(metadata.codes.len(), codes::ALL.len());
    let names: Vec<_> = metadata.options.iter().map(|option| option.name.as_str()).collect();
    assert_eq!(names, ["validation_types", "test_inputs", "max_steps"]);
    let largest = metadata.memory.base as f64 + metadata.memory.factor * f64::from(64 << 20);
    assert!(largest <= f64::from(1 << 30));
}

#[test]
fn an_instance_keeps_nothing_that_changes_an_answer() {
    let mut validator = Gexpr::new(&Options::of([("validation_types", "syntax,semantic")])).unwrap();
    let items = [
        r#"{"g":"lam","v":{"params":["x","x"],"body":{"g":"ref","v":"x"},"odd":1,"odd":2}}"#,
        r#"{"g":"ref","v":"x"}"#,
        r#"{"odd":1,"g":"lit","v":[1,{"odd":[]}]}"#,
        "[1,",
        r#"{"g":"vec","v":[{"g":"ref","v":"odd"},{"g":"ref","v":"and"}]}"#,
    ];
    for first in items {
        for second in items {
            for item in [first, second] {
                let mut findings = pigeon_plugin::Findings::new();
                validator.validate(&Item::new("test", item), &mut findings).unwrap();
                assert_eq!(Judgement::from(findings), judged(item, &[]), "{item}");
            }
        }
    }
}
