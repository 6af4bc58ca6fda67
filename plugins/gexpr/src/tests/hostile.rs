//! Items that want to do harm: deep, long, repetitive, or all of it. They are judged like any other.

use pigeon_plugin::{Judgement, Severity};

use super::{judged, told};

fn errors(judgement: &Judgement) -> u64 {
    let listed = judgement.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    listed as u64 + judgement.omitted.errors
}

const RUN: [(&str, &str); 2] = [("validation_types", "syntax,semantic,execution"), ("test_inputs", "[[]]")];

/// `depth` copies of `open`, `core`, and as many of `close`.
fn nested(open: &str, core: &str, close: &str, depth: usize) -> String {
    format!("{}{core}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn every_kind_of_node_may_be_nested_a_hundred_thousand_deep() {
    let one = r#"{"g":"lit","v":1}"#;
    for (open, close) in [
        (r#"{"g":"vec","v":["#, "]}"),
        (r#"{"g":"lam","v":{"params":["x"],"body":"#, "}}"),
        (r#"{"g":"fix","v":"#, "}"),
        (r#"{"g":"app","v":{"args":{"g":"lit","v":2},"fn":"#, "}}"),
        (r#"{"g":"app","v":{"fn":{"g":"lit","v":2},"args":"#, "}}"),
        (r#"{"g":"match","v":{"branches":[{"pattern":"else_pattern","result":{"g":"lit","v":3}}],"expr":"#, "}}"),
        (r#"{"g":"match","v":{"expr":{"g":"lit","v":3},"branches":[{"pattern":"else_pattern","result":"#, "}]}}"),
    ] {
        for depth in [100_000, 300_000] {
            let judgement = judged(nested(open, one, close, depth), &[]);
            assert!(judgement.findings.is_empty(), "{open} {:?}", judgement.findings);
        }
    }
    let judgement = judged(nested("[", "", "]", 1_000_000), &[]);
    assert_eq!(told(&judgement), [("node-not-an-object", Some(""))]);
    let literal = format!(r#"{{"g":"lit","v":{}}}"#, nested("[", "", "]", 1_000_000));
    assert!(judged(literal, &RUN).is_valid());
    assert_eq!(told(&judged("[".repeat(1_000_000), &[])), [("not-json", None)]);
}

#[test]
fn deep_programs_run() {
    for depth in [100_000, 400_000] {
        let vectors = nested(r#"{"g":"vec","v":["#, r#"{"g":"lit","v":1}"#, "]}", depth);
        let value = nested("[", "1", "]", depth);
        let inputs = format!(r#"[{{"args":[],"expect":{value}}}]"#);
        let options =
            [("validation_types", "syntax,semantic,execution"), ("test_inputs", &inputs), ("max_steps", "2000000")];
        assert!(judged(vectors, &options).is_valid());
    }
    let calls = nested(
        r#"{"g":"app","v":{"fn":{"g":"ref","v":"+"},"args":{"g":"vec","v":[{"g":"lit","v":1},"#,
        r#"{"g":"lit","v":0}"#,
        "]}}}",
        100_000,
    );
    let options = [("validation_types", "execution"), ("test_inputs", r#"[{"args":[],"expect":100000}]"#)];
    assert!(judged(calls, &options).is_valid());
}

#[test]
fn a_name_bound_far_out_is_found_from_deep_within() {
    // Each level binds a new name, and applies the function right away; the innermost asks for the outermost.
    let depth = 50_000;
    let mut program = String::new();
    for level in 0..depth {
        program.push_str(&format!(r#"{{"g":"app","v":{{"fn":{{"g":"lam","v":{{"params":["x{level}"],"body":"#));
    }
    program.push_str(r#"{"g":"ref","v":"x0"}"#);
    for level in (0..depth).rev() {
        program.push_str(&format!(r#"}}}},"args":{{"g":"vec","v":[{{"g":"lit","v":{level}}}]}}}}}}"#));
    }
    let options = [("validation_types", "syntax,semantic,execution"), ("test_inputs", r#"[{"args":[],"expect":0}]"#)];
    assert!(judged(program, &options).findings.is_empty());
}

#[test]
fn numbers_of_a_million_digits() {
    let digits = "7".repeat(1_000_000);
    assert!(judged(format!(r#"{{"g":"lit","v":{digits}}}"#), &[]).findings.is_empty());
    assert_eq!(told(&judged(format!(r#"{{"g":"lit","v":[{digits}]}}"#), &RUN)), [("runtime-error", Some(""))]);
    let small = format!(r#"{{"g":"lit","v":0.{digits}}}"#);
    assert!(judged(small, &RUN).findings.is_empty());
    assert!(judged(r#"{"g":"lit","v":1e400}"#, &[]).findings.is_empty());
    assert!(judged(r#"{"g":"lam","v":{"params":[],"body":{"g":"lit","v":1e400}}}"#, &[]).is_valid());
}

#[test]
fn lone_surrogates_and_escapes() {
    let program = r#"{"\u0067":"lam","v":{"params":["\ud800"],"body":{"g":"vec","v":[{"g":"ref","v":"\uD800"},{"g":"ref","v":"\ud801"}]}}}"#;
    assert_eq!(told(&judged(program, &[])), [("unbound-ref", Some("/v/body/v/1"))]);
    let compared = r#"{"g":"lit","v":"\ud83d\ude00\udc00"}"#;
    let inputs = [("validation_types", "execution"), ("test_inputs", r#"[{"args":[],"expect":"😀\udC00"}]"#)];
    assert!(judged(compared, &inputs).is_valid());
}

#[test]
fn a_million_findings_are_counted_and_a_thousand_told() {
    for (element, code) in [("1", "node-not-an-object"), ("{}", "missing-g"), (r#"{"g":"ref","v":"y"}"#, "unbound-ref")]
    {
        let body = format!(r#"{{"g":"vec","v":[{}{element}]}}"#, format!("{element},").repeat(999_999));
        let judgement = judged(body, &[]);
        assert_eq!((judgement.findings.len(), errors(&judgement)), (1000, 1_000_000));
        assert_eq!(told(&judgement)[999], (code, Some("/v/999")));
    }
}

#[test]
fn deep_findings_have_no_pointer_and_shallow_ones_have() {
    let bad = r#"{"g":"vec","v":[{"g":"lit"},"#;
    let judgement = judged(nested(bad, r#"{"g":"lit"}"#, "]}", 100_000), &[]);
    assert_eq!(errors(&judgement), 100_001);
    let told = told(&judgement);
    assert_eq!(told[0], ("lit-without-v", Some("/v/0")));
    assert_eq!(told[999], ("lit-without-v", None));
    assert!(told.iter().all(|(_, pointer)| pointer.is_none_or(|pointer| pointer.len() <= 1024)));
    assert_eq!(told.iter().filter(|(_, pointer)| pointer.is_some()).count(), 256);
}

#[test]
fn long_lists_of_parameters_keys_and_branches() {
    let many = 300_000;
    let params = (0..many).map(|index| format!("\"p{index}\"")).collect::<Vec<_>>().join(",");
    let body = format!(r#"{{"g":"lam","v":{{"params":[{params}],"body":{{"g":"ref","v":"p7"}}}}}}"#);
    assert!(judged(body, &[]).findings.is_empty());
    let same = vec!["\"p\""; many].join(",");
    let judgement = judged(format!(r#"{{"g":"lam","v":{{"params":[{same}],"body":{{"g":"ref","v":"p"}}}}}}"#), &[]);
    assert_eq!(judgement.omitted.warnings + 1000, many as u64 - 1);
    assert!(judgement.is_valid());

    let keys = (0..many).map(|index| format!("\"k{index}\":0,")).collect::<String>();
    let judgement = judged(format!(r#"{{{keys}{keys}"g":"lit","v":1}}"#), &[]);
    assert_eq!(errors(&judgement), many as u64);
    assert_eq!(judgement.omitted.warnings, many as u64);

    let branch = |index: usize| {
        format!(r#"{{"pattern":{{"lit_pattern":{{"a":[{index}],"b":"x"}}}},"result":{{"g":"lit","v":1}}}}"#)
    };
    let branches = (0..many / 3).chain(0..1500).map(branch).collect::<Vec<_>>().join(",");
    let judgement =
        judged(format!(r#"{{"g":"match","v":{{"expr":{{"g":"lit","v":1}},"branches":[{branches}]}}}}"#), &[]);
    assert_eq!((judgement.findings.len(), judgement.omitted.warnings), (1000, 500));
    assert_eq!(told(&judgement)[0].0, "unreachable-branch");
}

#[test]
fn deep_scopes_with_unbound_names_at_every_level() {
    let open = r#"{"g":"lam","v":{"params":["a","b","a"],"body":{"g":"vec","v":[{"g":"ref","v":"nowhere"},"#;
    let judgement = judged(nested(open, r#"{"g":"ref","v":"a"}"#, "]}}}", 100_000), &[]);
    assert_eq!(errors(&judgement), 100_000);
    assert_eq!(judgement.omitted.warnings, 100_000);
}

#[test]
fn text_that_is_no_text() {
    for body in
        [&b"\xFF"[..], b"", b"   ", b"{\"g\":\"lit\",\"v\":\"\xED\xA0\x80\"}", b"{\"g\":\"lit\" \"v\":1}", b"nul"]
    {
        assert_eq!(told(&judged(body, &RUN))[0].0, "not-json");
    }
    let judgement = judged("\u{feff}{\"g\":\"lit\",\"v\":1}", &RUN);
    assert_eq!(told(&judgement), [("byte-order-mark", None)]);
    assert!(judgement.is_valid());
    assert_eq!(told(&judged("\u{feff}\u{feff}1", &[]))[0].0, "not-json");
}
