//! Test cases: well-typed, closed programs of all kinds of nodes, and some that are broken on purpose.
//!
//! Programs are written as text at once, by descent through their types; their depth is bounded. Every third one is
//! broken in one place. Each case draws from its own generator, so that more cases are the same cases and more.

use std::collections::BTreeSet;
use std::fmt::Write;

use pigeon_plugin::{Expectation, Failure, Item, TestCase};

use crate::codes;

/// The most cases that are made: about 40 MB of them.
const MOST: u32 = 100_000;

/// How deep programs may be.
const DEPTH: u32 = 4;

/// `count` different cases, the same for the same seed.
///
/// # Errors
/// A permanent failure if there are too many to be held.
pub(crate) fn cases(count: u32, seed: u64) -> Result<Vec<TestCase>, Failure> {
    if count > MOST {
        let message = format!("cannot make {count} test cases at once, ask for {MOST} at most");
        return Err(Failure::permanent(codes::TOO_MANY_CASES.name, message));
    }
    let mut seen = BTreeSet::new();
    let mut cases = Vec::with_capacity(count as usize);
    for index in 0..u64::from(count) {
        let mut random = Random(seed ^ index.wrapping_mul(0xD134_2543_DE82_EF95));
        let (body, fault) = loop {
            let fault = (index % 3 == 2).then(|| *random.pick(&FAULTS));
            let body = program(&mut random, fault);
            if seen.insert(fingerprint(&body)) {
                break (body, fault);
            }
        };
        let (expected, description) = match fault {
            None => (Expectation::Valid, "a well-typed, closed program".to_owned()),
            Some(fault) => (Expectation::Invalid, format!("a program with {}", fault.what)),
        };
        let item = Item::new(format!("generated-{seed}-{index}.json"), body);
        cases.push(TestCase { item, expected, description });
    }
    Ok(cases)
}

/// Something wrong, as the text of a node that is.
#[derive(Debug, Clone, Copy)]
struct Fault {
    what: &'static str,
    node: &'static str,
}

const FAULTS: [Fault; 10] = [
    Fault { what: "an unbound name", node: r#"{"g":"ref","v":"nowhere"}"# },
    Fault { what: "a node without a tag", node: r#"{"v":1}"# },
    Fault { what: "an unknown tag", node: r#"{"g":"let","v":1}"# },
    Fault { what: "a literal without a value", node: r#"{"g":"lit"}"# },
    Fault { what: "a name that is no string", node: r#"{"g":"ref","v":7}"# },
    Fault { what: "a vector that is no array", node: r#"{"g":"vec","v":{}}"# },
    Fault { what: "a function without a body", node: r#"{"g":"lam","v":{"params":[]}}"# },
    Fault { what: "a repeated key", node: r#"{"g":"lit","v":1,"v":2}"# },
    Fault {
        what: "an unknown pattern",
        node: r#"{"g":"match","v":{"expr":{"g":"lit","v":1},"branches":[{"pattern":"any","result":{"g":"lit","v":2}}]}}"#,
    },
    Fault { what: "text that is not JSON", node: r#"{"g":"lit","v":01}"# },
];

/// The types of expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Number,
    Boolean,
}

/// A program's text. A fault stands beside a sound program in a vector.
fn program(random: &mut Random, fault: Option<Fault>) -> String {
    let ty = if random.below(3) == 0 { Type::Boolean } else { Type::Number };
    let mut writer = Writer { random, text: String::new(), scope: Vec::new() };
    match fault {
        None => writer.expression(ty, DEPTH),
        Some(fault) => {
            let first = writer.random.below(2) == 0;
            writer.text.push_str(r#"{"g":"vec","v":["#);
            if first {
                writer.text.push_str(fault.node);
                writer.text.push(',');
            }
            writer.expression(ty, DEPTH - 1);
            if !first {
                writer.text.push(',');
                writer.text.push_str(fault.node);
            }
            writer.text.push_str("]}");
        }
    }
    writer.text
}

struct Writer<'a> {
    random: &'a mut Random,
    text: String,
    /// The parameters in scope, each named by its place.
    scope: Vec<Type>,
}

impl Writer<'_> {
    fn expression(&mut self, ty: Type, depth: u32) {
        if depth == 0 {
            return self.leaf(ty);
        }
        match (self.random.below(8), ty) {
            (0, _) => self.leaf(ty),
            (1, _) => self.choice(ty, depth - 1),
            (2, _) => self.binding(ty, depth - 1),
            (3, Type::Number) => self.recursion(depth - 1),
            (_, Type::Number) => {
                let operator = *self.random.pick(&["+", "-", "*"]);
                self.application(operator, &[Type::Number, Type::Number], depth - 1);
            }
            (3, Type::Boolean) => self.application("not", &[Type::Boolean], depth - 1),
            (4, Type::Boolean) => {
                let operator = *self.random.pick(&["and", "or", "="]);
                self.application(operator, &[Type::Boolean, Type::Boolean], depth - 1);
            }
            (_, Type::Boolean) => {
                let operator = *self.random.pick(&["<", ">", "<=", ">=", "="]);
                self.application(operator, &[Type::Number, Type::Number], depth - 1);
            }
        }
    }

    fn leaf(&mut self, ty: Type) {
        let fitting: Vec<_> = (0..self.scope.len()).filter(|place| self.scope[*place] == ty).collect();
        if !fitting.is_empty() && self.random.below(2) == 0 {
            let place = *self.random.pick(&fitting);
            self.put(format_args!(r#"{{"g":"ref","v":"x{place}"}}"#));
            return;
        }
        match ty {
            Type::Number => {
                let number = self.random.below(1000);
                self.put(format_args!(r#"{{"g":"lit","v":{number}}}"#));
            }
            Type::Boolean => {
                let boolean = self.random.below(2) == 0;
                self.put(format_args!(r#"{{"g":"lit","v":{boolean}}}"#));
            }
        }
    }

    /// A builtin, with an argument of each type.
    fn application(&mut self, builtin: &str, types: &[Type], depth: u32) {
        self.put(format_args!(r#"{{"g":"app","v":{{"fn":{{"g":"ref","v":"{builtin}"}},"args":"#));
        if let [only] = types {
            // One argument needs no vector.
            self.expression(*only, depth);
        } else {
            self.text.push_str(r#"{"g":"vec","v":["#);
            for (index, ty) in types.iter().enumerate() {
                if index > 0 {
                    self.text.push(',');
                }
                self.expression(*ty, depth);
            }
            self.text.push_str("]}");
        }
        self.text.push_str("}}");
    }

    fn choice(&mut self, ty: Type, depth: u32) {
        self.text.push_str(r#"{"g":"match","v":{"expr":"#);
        self.expression(Type::Number, depth);
        self.text.push_str(r#","branches":["#);
        let first = self.random.below(100);
        for pattern in [first, first + 1 + self.random.below(100)] {
            self.put(format_args!(r#"{{"pattern":{{"lit_pattern":{pattern}}},"result":"#));
            self.expression(ty, depth);
            self.text.push_str("},");
        }
        self.text.push_str(r#"{"pattern":"else_pattern","result":"#);
        self.expression(ty, depth);
        self.text.push_str("}]}}");
    }

    /// A function that is applied where it stands.
    fn binding(&mut self, ty: Type, depth: u32) {
        let bound = if self.random.below(3) == 0 { Type::Boolean } else { Type::Number };
        let place = self.scope.len();
        self.put(format_args!(r#"{{"g":"app","v":{{"fn":{{"g":"lam","v":{{"params":["x{place}"],"body":"#));
        self.scope.push(bound);
        self.expression(ty, depth);
        self.scope.pop();
        self.text.push_str(r#"}},"args":{"g":"vec","v":["#);
        self.expression(bound, depth);
        self.text.push_str("]}}}");
    }

    /// A sum over the numbers from some small one down to 0.
    fn recursion(&mut self, depth: u32) {
        let count = self.random.below(10);
        self.text.push_str(
            r#"{"g":"app","v":{"fn":{"g":"fix","v":{"g":"lam","v":{"params":["self"],"body":{"g":"lam","v":{"params":["n"],"body":{"g":"match","v":{"expr":{"g":"ref","v":"n"},"branches":[{"pattern":{"lit_pattern":0},"result":"#,
        );
        self.expression(Type::Number, depth);
        self.text.push_str(
            r#"},{"pattern":"else_pattern","result":{"g":"app","v":{"fn":{"g":"ref","v":"+"},"args":{"g":"vec","v":[{"g":"ref","v":"n"},{"g":"app","v":{"fn":{"g":"ref","v":"self"},"args":{"g":"vec","v":[{"g":"app","v":{"fn":{"g":"ref","v":"-"},"args":{"g":"vec","v":[{"g":"ref","v":"n"},{"g":"lit","v":1}]}}}]}}}]}}}}]}}}}}}},"args":"#,
        );
        self.put(format_args!(r#"{{"g":"lit","v":{count}}}}}}}"#));
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(text);
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }
}

/// FNV-1a. Two programs of one fingerprint only cost another draw.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gexpr;
    use pigeon_plugin::{Options, judge};

    #[test]
    fn cases_are_different_and_as_many_as_asked_for() {
        for count in [0, 1, 7, 3000] {
            let cases = cases(count, 42).unwrap();
            let bodies: BTreeSet<_> = cases.iter().map(|case| case.item.body.clone()).collect();
            assert_eq!((cases.len(), bodies.len()), (count as usize, count as usize));
        }
        assert_eq!(cases(MOST + 1, 0).unwrap_err().code, "too-many-cases");
    }

    #[test]
    fn a_seed_makes_the_same_cases_and_another_seed_others() {
        assert_eq!(cases(50, 1), cases(50, 1));
        assert_eq!(cases(50, 1).unwrap()[..20], cases(20, 1).unwrap());
        assert_ne!(cases(50, 1), cases(50, 2));
    }

    #[test]
    fn the_validator_agrees_with_every_case() {
        let options = Options::of([("validation_types", "syntax,semantic,execution"), ("test_inputs", "[[]]")]);
        for case in cases(2000, 7).unwrap() {
            let judgement = judge::<Gexpr>(&options, &case.item).unwrap();
            let valid = case.expected == Expectation::Valid;
            let body = String::from_utf8_lossy(&case.item.body);
            assert_eq!(judgement.is_valid(), valid, "{}: {body}\n{:?}", case.description, judgement.findings);
            assert!(!valid || judgement.findings.is_empty(), "{body}\n{:?}", judgement.findings);
        }
    }
}
