//! Cases in folders, and what is too large to lie in one.

use std::collections::HashSet;
use std::path::Path;

use pigeon_plugin::{Counts, Expectation, FailureKind, Item, Judgement, Options, Severity, Validator, judge};

use crate::Json;

fn judged(options: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Judgement {
    judge::<Json>(&Options::of(options.iter().copied()), &Item::new("item.json", body)).unwrap()
}

fn codes(judgement: &Judgement) -> Vec<&str> {
    judgement.findings.iter().map(|finding| finding.code.as_str()).collect()
}

#[test]
fn cases_are_answered_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/json");
    pigeon_plugin::testing::check::<Json>(&folder).unwrap();
}

#[test]
fn a_million_levels_are_valid_and_too_deep_for_a_schema() {
    let levels = 1_000_000;
    let deep = "[".repeat(levels) + &"]".repeat(levels);
    assert_eq!(judged(&[], deep.clone()).findings, []);
    let judgement = judged(&[("schema", "true")], deep.clone());
    assert_eq!(codes(&judgement), ["too-deep-for-schema"]);
    let place = judgement.findings[0].place.clone().unwrap();
    assert_eq!((place.offset, place.pointer), (Some(256), Some("/0".repeat(256))));
    let judgement = judged(&[("max_depth", "1000")], deep);
    assert_eq!(codes(&judgement), ["too-deep"]);
    assert_eq!(judgement.findings[0].message, "nested 1000000 levels deep, more than the 1000 of max_depth");
    assert_eq!(judgement.findings[0].place.clone().unwrap().pointer, None, "longer than 1,024 bytes");
    let objects = "{\"k\":".repeat(levels) + "tru" + &"}".repeat(levels);
    assert_eq!(codes(&judged(&[], objects)), ["expected-value"]);
}

#[test]
fn the_deepest_document_for_a_schema_is_shown_to_it() {
    let schema = r##"{"type": "array", "items": {"$ref": "#"}}"##;
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(judged(&[("schema", schema)], nested(256)).is_valid());
    assert_eq!(codes(&judged(&[("schema", schema)], nested(257))), ["too-deep-for-schema"]);
    // The error is at the innermost of 256 levels, and is found there.
    let wrong = "[".repeat(256) + "1" + &"]".repeat(256);
    let judgement = judged(&[("schema", schema)], wrong);
    assert_eq!(codes(&judgement), ["schema-violation"]);
    assert_eq!(judgement.findings[0].place.clone().unwrap().offset, Some(256));
}

#[test]
fn findings_beyond_the_limit_are_counted() {
    let item = format!("{{{}\"end\": 0}}", "\"a\": 1, ".repeat(2501));
    let judgement = judged(&[], item.clone());
    assert_eq!(judgement.findings.len(), 1000);
    assert_eq!(judgement.findings[0].place.clone().unwrap().offset, Some(9), "the second one is the first repeated");
    assert_eq!(judgement.omitted, Counts { errors: 0, warnings: 1500, infos: 0 });
    let judgement = judged(&[("schema", r#"{"items": {"type": "string"}}"#)], format!("[{}1]", "1,".repeat(3999)));
    assert_eq!(judgement.findings.len(), 1000);
    assert_eq!(judgement.findings[999].place.clone().unwrap().pointer.as_deref(), Some("/999"));
    assert_eq!(judgement.omitted, Counts { errors: 3000, warnings: 0, infos: 0 });
    // The errors of a schema come first, though the repeated keys were found first.
    let judgement = judged(&[("schema", "false")], item);
    assert_eq!(judgement.findings[0].severity, Severity::Error);
    assert_eq!(judgement.omitted.warnings, 1501);
}

#[test]
fn numbers_of_any_size_meet_a_schema() {
    let million = "1".repeat(1_000_000);
    assert!(judged(&[("schema", r#"{"type": "integer", "minimum": 5}"#)], million.clone()).is_valid());
    let judgement = judged(&[("schema", r#"{"maximum": 5, "multipleOf": 7}"#)], million);
    assert!(codes(&judgement).iter().all(|code| *code == "schema-violation"));
    assert!(judgement.findings.iter().all(|finding| finding.message.len() < 1000));
    for huge in ["1e999999999999999999999", "-1e-999999999999999999999", "1E400", "0e99999999999999999999999"] {
        let schema = r#"{"type": "number", "minimum": -1, "uniqueItems": true, "const": 0}"#;
        let judgement = judged(&[("schema", schema)], huge);
        assert_eq!(judgement.is_valid(), huge.starts_with('0'), "{huge}");
    }
}

#[test]
fn one_instance_answers_as_many_do() {
    let options = Options::of([("schema", r#"{"required": ["a"]}"#)]);
    let mut shared = Json::new(&options).unwrap();
    for body in [
        "{\"b\": {\"c\": 1, \"c\"",
        "{\"a\": {\"c\": 1}}",
        "[{\"a\": 1, \"a\"",
        "{}",
        "{\"a\": 1, \"a\": 2}",
        "\u{feff}1",
    ] {
        let item = Item::new("item.json", body);
        let mut findings = pigeon_plugin::Findings::new();
        shared.validate(&item, &mut findings).unwrap();
        assert_eq!(Judgement::from(findings), judge::<Json>(&options, &item).unwrap(), "{body}");
    }
}

#[test]
fn generated_cases_deserve_what_they_say() {
    let cases = Json::generate_test_cases(600, 42).unwrap();
    assert_eq!(cases, Json::generate_test_cases(600, 42).unwrap());
    assert_ne!(cases, Json::generate_test_cases(600, 43).unwrap());
    assert_eq!(cases.iter().map(|case| &case.item.body).collect::<HashSet<_>>().len(), 600);
    assert_eq!(cases.iter().filter(|case| case.expected == Expectation::Invalid).count(), 200);
    for case in cases {
        let judgement = judged(&[], case.item.body.clone());
        let text = String::from_utf8_lossy(&case.item.body);
        assert_eq!(judgement.is_valid(), case.expected == Expectation::Valid, "{}: {text}", case.description);
    }
    assert_eq!(Json::generate_test_cases(u32::MAX, 0).unwrap_err().kind, FailureKind::Permanent);
}

#[test]
fn the_metadata_lists_every_code_once() {
    let metadata = Json::metadata(pigeon_plugin::Metadata::new("json", "0.1.0", ""));
    let codes: HashSet<_> = metadata.codes.iter().map(|code| &code.code).collect();
    assert_eq!(codes.len(), metadata.codes.len());
    for case in pigeon_plugin::testing::cases(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/json")).unwrap() {
        let findings = case.expected["findings"].as_array().cloned().unwrap_or_default();
        for code in findings.iter().map(|finding| &finding["code"]).chain(case.expected.get("code")) {
            assert!(codes.iter().any(|known| *known == code.as_str().unwrap()), "{code} of {}", case.name);
        }
    }
}

#[test]
fn a_schema_that_refers_to_itself_for_ever_is_no_trap() {
    for schema in [
        r##"{"$ref": "#"}"##,
        r##"{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}"##,
        r##"{"allOf": [{"$ref": "#"}]}"##,
    ] {
        assert!(judged(&[("schema", schema)], "1").is_valid(), "{schema}");
    }
}
