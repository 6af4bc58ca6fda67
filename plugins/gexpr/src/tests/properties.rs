//! What holds for all items.

use pigeon_plugin::{Expectation, Validator};
use proptest::prelude::*;

use super::judged;
use crate::Gexpr;

const RUN: [(&str, &str); 3] = [
    ("validation_types", "syntax,semantic,execution"),
    ("test_inputs", r#"[[],[1],[[2],{"a":3}],{"args":["x"],"expect":null}]"#),
    ("max_steps", "20000"),
];

/// JSON texts that look like programs, more or less.
fn almost_programs() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "\"lit\"",
        "\"ref\"",
        "\"vec\"",
        "\"lam\"",
        "\"app\"",
        "\"match\"",
        "\"fix\"",
        "\"x\"",
        "\"+\"",
        "\"else_pattern\"",
        "1",
        "1e400",
        "null",
        "[]",
        "{}",
        "\"\\ud800\"",
    ])
    .prop_map(str::to_owned);
    let key = prop::sample::select(vec![
        "g",
        "v",
        "params",
        "body",
        "fn",
        "args",
        "expr",
        "branches",
        "pattern",
        "result",
        "lit_pattern",
        "odd",
    ]);
    word.prop_recursive(6, 60, 5, move |inner| {
        let member = (key.clone(), inner.clone()).prop_map(|(key, value)| format!("\"{key}\":{value}"));
        let node = (prop::sample::select(vec!["vec", "lam", "app", "match", "fix", "lit"]), inner.clone())
            .prop_map(|(tag, value)| format!(r#"{{"g":"{tag}","v":{value}}}"#));
        prop_oneof![
            node,
            prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
            prop::collection::vec(inner, 0..4).prop_map(|elements| format!("[{}]", elements.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_judged(body in prop::collection::vec(any::<u8>(), 0..300)) {
        judged(body, &RUN);
    }

    #[test]
    fn almost_programs_are_judged_the_same_by_each_check_alone(body in almost_programs()) {
        let all = judged(body.as_str(), &RUN);
        let mut alone = Vec::new();
        for check in ["syntax", "semantic", "execution"] {
            let judgement = judged(body.as_str(), &[("validation_types", check), RUN[1], RUN[2]]);
            alone.extend(judgement.findings);
        }
        alone.sort_by_key(|finding| finding.severity as u8);
        prop_assert_eq!(all.findings, alone);
    }

    #[test]
    fn places_point_at_something(body in almost_programs()) {
        let judgement = judged(body.as_str(), &RUN);
        // Keys that stand twice hide one another from a pointer, and from the other parser.
        prop_assume!(judgement.findings.iter().all(|finding| finding.code != "repeated-key"));
        let document: serde_json::Value = serde_json::from_str(&body.replace("\\ud800", "s")).unwrap();
        for finding in judgement.findings {
            let Some(place) = finding.place else { continue };
            prop_assert_eq!(u64::from(place.column.unwrap()), place.offset.unwrap() + 1);
            if let Some(pointer) = place.pointer {
                prop_assert!(document.pointer(&pointer).is_some(), "{} {}", pointer, body);
            }
        }
    }

    #[test]
    fn generated_cases_deserve_what_they_say(seed: u64) {
        for case in Gexpr::generate_test_cases(6, seed).unwrap() {
            let judgement = judged(case.item.body, &[]);
            prop_assert_eq!(judgement.is_valid(), case.expected == Expectation::Valid);
        }
    }
}
