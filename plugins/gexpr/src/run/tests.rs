//! What programs come to.

use pigeon_plugin::Judgement;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::reference;
use crate::tests::judged;
use crate::tests::program::{app, choose, fix, lam, lit, name, op, vector};

/// Runs a program with one element of `test_inputs`.
fn ran(program: &str, input: &str, max_steps: &str) -> Judgement {
    let inputs = format!("[{input}]");
    judged(program, &[("validation_types", "execution"), ("test_inputs", &inputs), ("max_steps", max_steps)])
}

/// The one finding that there is, as `code: message`; the empty string if there is none.
fn said(judgement: &Judgement) -> String {
    match judgement.findings.as_slice() {
        [] => String::new(),
        [one] => format!("{}: {}", one.code, one.message),
        more => panic!("{more:?}"),
    }
}

#[track_caller]
fn gives(program: String, value: &str) {
    let input = format!(r#"{{"args":[],"expect":{value}}}"#);
    assert_eq!(said(&ran(&program, &input, "100000")), "", "{program}");
}

#[track_caller]
fn fails(program: String, message: &str) {
    let said = said(&ran(&program, "[]", "100000"));
    assert_eq!(said, format!("runtime-error: test_inputs[0]: {message}"), "{program}");
}

#[track_caller]
fn never_ends(program: String, input: &str) {
    assert!(said(&ran(&program, input, "100000")).starts_with("step-limit: test_inputs[0]: "), "{program}");
}

fn n(number: i32) -> String {
    lit(&number.to_string())
}

#[test]
fn literals_and_vectors() {
    gives(lit("null"), "null");
    gives(lit(r#"{"a":1,"a":2,"b":[6.0]}"#), r#"{"b":[6],"a":2}"#);
    gives(vector([lit("1"), vector([]), lit("\"x\"")]), r#"[1,[],"x"]"#);
    gives(lit("[1,2]"), "[1.0,2e0]");
    gives(lit(r#""\u0061""#), r#""a""#);
    gives(lit("-0"), "0");
}

#[test]
fn numbers() {
    gives(op("/", [n(3), n(2)]), "1.5");
    gives(op("+", [lit("0.1"), lit("0.2")]), "0.30000000000000004");
    gives(op("*", [n(-3), n(0)]), "0");
    gives(op("=", [lit("6.0"), n(6)]), "true");
    gives(op("<=", [n(2), n(2)]), "true");
    gives(op(">", [n(2), n(2)]), "false");
    gives(op(">=", [n(1), n(2)]), "false");
    gives(op("<", [n(1), n(2)]), "true");
    gives(op("-", [lit("1e308"), lit("1e308")]), "0");
    fails(op("/", [n(1), lit("-0")]), "division by zero");
    fails(op("*", [lit("1e308"), n(10)]), "the result of `*` is beyond 64-bit floats");
    fails(lit("1e400"), "a number here is beyond 64-bit floats");
    fails(lit(r#"[{"a":[-1e400]}]"#), "a number here is beyond 64-bit floats");
    fails(op("+", [n(1), lit("\"1\"")]), "`+` takes numbers, not \"1\"");
    fails(op("<", [lit("[true,null]"), n(1)]), "`<` takes numbers, not [true,null]");
}

#[test]
fn booleans() {
    gives(op("and", [lit("true"), lit("false")]), "false");
    gives(op("or", [lit("false"), lit("true")]), "true");
    gives(op("not", [lit("false")]), "true");
    // Both are evaluated.
    fails(op("and", [lit("false"), op("/", [n(1), n(0)])]), "division by zero");
    fails(op("or", [lit("true"), n(1)]), "`or` takes booleans, not 1");
    fails(op("not", [lit("null")]), "`not` takes booleans, not null");
}

#[test]
fn equality() {
    gives(op("=", [lit(r#"{"a":[1],"b":{}}"#), lit(r#"{"b":{},"a":[1.0]}"#)]), "true");
    gives(op("=", [lit(r#"{"a":1}"#), lit(r#"{"b":1}"#)]), "false");
    gives(op("=", [lit("[1,2]"), vector([n(1), n(2)])]), "true");
    gives(op("=", [lit("[1,2]"), lit("[1]")]), "false");
    for (left, right) in [("1", "true"), ("1", "\"1\""), ("true", "\"true\""), ("null", "false"), ("[]", "{}")] {
        gives(op("=", [lit(left), lit(right)]), "false");
    }
    fails(op("=", [name("+"), n(1)]), "`=` compares anything but functions");
    fails(op("=", [lit("1"), vector([vector([lam([], n(1))])])]), "`=` compares anything but functions");
}

#[test]
fn functions() {
    gives(app(lam(["x", "y"], op("-", [name("x"), name("y")])), [n(5), n(3)]), "2");
    gives(app(lam([], n(7)), []), "7");
    // One argument needs no vector; a literal array is one argument.
    let twice = lam(["x"], vector([name("x"), name("x")]));
    gives(format!(r#"{{"g":"app","v":{{"fn":{twice},"args":{}}}}}"#, lit("[1,2]")), "[[1,2],[1,2]]");
    // The inner name hides the outer one, and a parameter hides a builtin.
    gives(app(app(lam(["x"], lam(["x"], name("x"))), [n(1)]), [n(2)]), "2");
    gives(app(lam(["+"], app(name("+"), [n(3), n(2)])), [name("-")]), "1");
    gives(app(lam(["x", "x"], name("x")), [n(1), n(2)]), "2");
    // Closures keep what their names meant.
    let adder = lam(["a"], lam(["b"], op("+", [name("a"), name("b")])));
    gives(app(lam(["f", "a"], app(name("f"), [n(1)])), [app(adder, [n(10)]), n(100)]), "11");
    fails(app(lam(["x"], n(1)), []), "the function takes 1 arguments, not 0");
    fails(op("+", [n(1)]), "`+` takes 2 arguments, not 1");
    fails(app(lit("[1]"), []), "[1] is no function and takes no arguments");
    fails(name("nowhere"), "`nowhere` is bound to nothing");
}

#[test]
fn matching() {
    let sort = |subject| choose(subject, [("1", n(10)), (r#"{"a":[true]}"#, n(20)), ("", n(30))]);
    gives(sort(lit("1.0")), "10");
    gives(sort(lit(r#"{"a":[true]}"#)), "20");
    gives(sort(lit("\"1\"")), "30");
    gives(sort(name("+")), "30");
    fails(choose(lit("\"x\""), [("1", n(1))]), "no branch fits \"x\"");
    fails(choose(n(1), []), "no branch fits 1");
    fails(choose(n(1), [("1e400", n(1))]), "a number here is beyond 64-bit floats");
}

#[test]
fn strict_and_left_to_right() {
    let loud = |text: &str| op("+", [lit(text), n(1)]);
    fails(vector([loud("\"a\""), loud("\"b\"")]), "`+` takes numbers, not \"a\"");
    fails(app(loud("\"f\""), [loud("\"x\"")]), "`+` takes numbers, not \"f\"");
    fails(app(n(1), [loud("\"x\"")]), "`+` takes numbers, not \"x\"");
    fails(app(lam(["unused"], n(1)), [op("/", [n(1), n(0)])]), "division by zero");
}

#[test]
fn recursion() {
    let count = fix(lam(
        ["count"],
        lam(
            ["n", "sum"],
            choose(
                name("n"),
                [
                    ("0", name("sum")),
                    ("", app(name("count"), [op("-", [name("n"), n(1)]), op("+", [name("sum"), n(2)])])),
                ],
            ),
        ),
    ));
    gives(app(count, [n(1000), n(0)]), "2000");
    // `fix f` is f applied to `fix f`.
    gives(fix(lam(["self"], n(5))), "5");
    fails(fix(n(1)), "`fix` takes a function, not a number");
    fails(fix(lam(["a", "b"], n(1))), "`fix` takes a function of 1 parameter, not of 2");
    fails(fix(name("+")), "`fix` takes a function of 1 parameter, `+` has 2");
}

#[test]
fn what_refers_to_itself_before_any_call_takes_for_ever() {
    never_ends(fix(lam(["x"], name("x"))), "[]");
    never_ends(fix(lam(["x"], name("x"))), "[1]");
    never_ends(fix(lam(["x"], op("+", [name("x"), n(1)]))), "[]");
    never_ends(fix(lam(["x"], app(name("x"), [n(1)]))), "[]");
    never_ends(fix(lam(["x"], vector([name("x")]))), "[]");
    never_ends(fix(name("not")), "[]");
}

#[test]
fn running_with_arguments() {
    let add = lam(["a", "b"], op("+", [name("a"), name("b")]));
    assert_eq!(said(&ran(&add, "[1,2]", "100")), "");
    assert_eq!(said(&ran(&add, r#"{"args":[1,2],"expect":3}"#, "100")), "");
    assert_eq!(
        said(&ran(&add, r#"{"args":[1,2],"expect":"3"}"#, "100")),
        "wrong-result: test_inputs[0]: expected \"3\", got 3"
    );
    assert_eq!(said(&ran(&name("+"), r#"{"args":[1,2],"expect":3}"#, "100")), "");
    let error = "runtime-error: test_inputs[0]: ";
    assert_eq!(said(&ran(&add, "[1]", "100")), format!("{error}the function takes 2 arguments, not 1"));
    assert_eq!(said(&ran(&n(1), "[1]", "100")), format!("{error}1 is no function and takes no arguments"));
    assert_eq!(said(&ran(&lam([], n(1)), "[]", "100")), format!("{error}the result is or holds a function"));
    let hidden = lam(["x"], vector([vector([name("x"), name("not")])]));
    assert_eq!(said(&ran(&hidden, "[1]", "100")), format!("{error}the result is or holds a function"));
}

#[test]
fn each_input_is_judged_for_itself() {
    let judgement = judged(
        lam(["x"], op("/", [n(12), name("x")])),
        &[
            ("validation_types", "execution"),
            ("test_inputs", r#"[[0],{"args":[4],"expect":3},{"args":[5],"expect":2},[1,2],["a"]]"#),
        ],
    );
    let found: Vec<_> = judgement.findings.iter().map(|f| format!("{}: {}", f.code, f.message)).collect();
    assert_eq!(
        found,
        [
            "runtime-error: test_inputs[0]: division by zero",
            "wrong-result: test_inputs[2]: expected 2, got 2.4",
            "runtime-error: test_inputs[3]: the function takes 1 arguments, not 2",
            "runtime-error: test_inputs[4]: `/` takes numbers, not \"a\"",
        ]
    );
    let pointers: Vec<_> = judgement.findings.iter().map(|f| f.place.clone().unwrap().pointer.unwrap()).collect();
    assert_eq!(pointers, ["/v/body", "", "", "/v/body"]);
}

#[test]
fn values_in_messages_are_cut() {
    let long = format!("\"{}\"", "ü\\n".repeat(500));
    let judgement = ran(&lit(&long), r#"{"args":[],"expect":[[],{"b":null,"a":[1,2.5]}]}"#, "100");
    let shown = format!("\"{}…", "ü\\n".repeat(67)).replace("\\n…", "\\…");
    let message = said(&judgement);
    let expected = message.split(", got ").next().unwrap();
    // Members are told in the order of their names' first sight.
    assert_eq!(expected, r#"wrong-result: test_inputs[0]: expected [[],{"b":null,"a":[1,2.5]}]"#);
    let got = message.split(", got ").nth(1).unwrap();
    assert_eq!(got.chars().count(), 201, "{got} {shown}");
    gives(op("=", [lit(&long), lit(&long)]), "true");
    let big = ran(&lit("1e300"), r#"{"args":[],"expect":-1e-300}"#, "100");
    assert!(said(&big).chars().count() < 480);
}

/// `value -> [value, value]`, so many times over: 2^times leaves that share nearly everything.
fn doubled(times: usize, body: String) -> String {
    let mut program = body;
    for _ in 0..times {
        program = app(lam(["x"], program), [vector([name("x"), name("x")])]);
    }
    app(lam(["x"], program), [n(0)])
}

#[test]
fn a_value_that_is_larger_than_its_memory() {
    // Making it is cheap, comparing it is not: every node that is visited is a step.
    never_ends(doubled(60, op("=", [name("x"), name("x")])), "[]");
    never_ends(doubled(60, name("x")), r#"{"args":[],"expect":null}"#.replace("null", &nested(60)).as_str());
    assert_eq!(said(&ran(&doubled(60, name("x")), "[]", "1000")), "");
    assert!(said(&ran(&doubled(60, name("x")), r#"{"args":[],"expect":1}"#, "1000")).contains("got [[[["));
    gives(doubled(10, op("=", [name("x"), name("x")])), "true");
}

/// An array as deep as a doubled value, so that comparing goes all the way down its left side.
fn nested(depth: usize) -> String {
    // Every level but the last few is a pair of equal halves; sharing cannot be written down, so the halves are small.
    let mut text = "0".to_owned();
    for _ in 0..depth.min(16) {
        text = format!("[{text},{text}]");
    }
    for _ in 16..depth {
        text = format!("[{text},0]");
    }
    text
}

#[test]
fn comparing_and_printing_cost_a_step_for_each_node() {
    let array = format!("[{}0]", "0,".repeat(999));
    // Evaluating takes 1, comparing 1,001.
    let input = format!(r#"{{"args":[],"expect":{array}}}"#);
    assert_eq!(said(&ran(&lit(&array), &input, "1002")), "");
    assert!(said(&ran(&lit(&array), &input, "1001")).starts_with("step-limit"));
    // A difference at the front is found at once, however long the rest is.
    let other = format!("[1,{}0]", "0,".repeat(998));
    let input = format!(r#"{{"args":[],"expect":{other}}}"#);
    assert!(said(&ran(&lit(&array), &input, "250")).starts_with("wrong-result"));
    // 100 elements fill the 200 characters of either value.
    assert!(said(&ran(&lit(&array), &input, "150")).starts_with("step-limit"));
}

#[test]
fn garbage_is_collected() {
    // A loop that makes two vectors and a closure each time round, in constant space but for what it makes.
    let step = lam(
        ["n", "kept"],
        choose(
            name("n"),
            [
                ("0", name("kept")),
                (
                    "",
                    app(
                        name("loop"),
                        [
                            op("-", [name("n"), n(1)]),
                            app(lam(["pair"], vector([name("n"), lit("\"x\"")])), [vector([name("kept"), name("n")])]),
                        ],
                    ),
                ),
            ],
        ),
    );
    let program = app(fix(lam(["loop"], step)), [n(300_000), n(0)]);
    let judgement = ran(&program, r#"{"args":[],"expect":[1,"x"]}"#, "20000000");
    assert_eq!(said(&judgement), "");
}

#[test]
fn recursion_is_as_deep_as_the_steps_allow() {
    let sum = fix(lam(
        ["sum"],
        lam(
            ["n"],
            choose(name("n"), [("0", n(0)), ("", op("+", [n(1), app(name("sum"), [op("-", [name("n"), n(1)])])]))]),
        ),
    ));
    let program = app(sum.clone(), [n(60_000)]);
    assert_eq!(said(&ran(&program, r#"{"args":[],"expect":60000}"#, "1000000")), "");
    never_ends(app(sum, [n(-1)]), "[]");
}

/// Programs over a few names and values, that may well be wrong.
fn programs() -> impl Strategy<Value = Json> {
    let value = prop_oneof![
        (-2i32..4).prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
        prop::sample::select(vec![json!(null), json!("s"), json!([1, 2]), json!({"a": 1, "b": [2]}), json!(1.5)]),
    ];
    let some_name = prop::sample::select(vec!["a", "b", "f", "+", "-", "*", "/", "=", "<", ">=", "and", "not"]);
    let leaf = prop_oneof![
        3 => value.clone().prop_map(|value| json!({"g": "lit", "v": value})),
        4 => some_name.prop_map(|name| json!({"g": "ref", "v": name})),
    ];
    leaf.prop_recursive(7, 80, 3, move |inner| {
        let params = prop::collection::vec(prop::sample::select(vec!["a", "b", "f"]), 0..3);
        let lam = (params, inner.clone()).prop_map(|(params, body)| json!({"g": "lam", "v": {"params": params, "body": body}}));
        let elements = prop::collection::vec(inner.clone(), 0..3).prop_map(|elements| json!({"g": "vec", "v": elements}));
        let builtin = prop::sample::select(vec!["+", "-", "*", "/", "=", "<", ">=", "and"]);
        let branch = (prop::option::of(value.clone()), inner.clone()).prop_map(|(pattern, result)| {
            let pattern = pattern.map_or(json!("else_pattern"), |value| json!({"lit_pattern": value}));
            json!({"pattern": pattern, "result": result})
        });
        prop_oneof![
            2 => lam.clone(),
            1 => elements.clone(),
            2 => (inner.clone(), prop_oneof![elements.clone(), inner.clone()])
                .prop_map(|(function, args)| json!({"g": "app", "v": {"fn": function, "args": args}})),
            3 => (lam.clone(), elements).prop_map(|(function, args)| json!({"g": "app", "v": {"fn": function, "args": args}})),
            3 => (builtin, inner.clone(), inner.clone()).prop_map(|(name, left, right)| {
                json!({"g": "app", "v": {"fn": {"g": "ref", "v": name}, "args": {"g": "vec", "v": [left, right]}}})
            }),
            2 => (inner.clone(), prop::collection::vec(branch, 0..4))
                .prop_map(|(subject, branches)| json!({"g": "match", "v": {"expr": subject, "branches": branches}})),
            1 => lam.prop_map(|inner| json!({"g": "fix", "v": inner})),
            1 => inner.prop_map(|inner| json!({"g": "fix", "v": inner})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn both_interpreters_agree(program in programs(), args in prop::collection::vec(0i32..3, 0..3)) {
        let args: Vec<_> = args.into_iter().map(Json::from).collect();
        let text = program.to_string();
        match reference::run(&program, &args, 300) {
            Ok(value) => {
                let input = json!({"args": args, "expect": value}).to_string();
                prop_assert_eq!(said(&ran(&text, &input, "1000000")), "", "{}", text);
            }
            Err(reference::Stop::Error) => {
                let said = said(&ran(&text, &json!(args).to_string(), "1000000"));
                prop_assert!(said.starts_with("runtime-error"), "{} {}", said, text);
            }
            Err(reference::Stop::TooLong) => {
                // Whatever it comes to, it comes to an end.
                ran(&text, &json!(args).to_string(), "5000");
            }
        }
    }
}
