//! Test cases: documents of all shapes, every third of them broken in a known way.

use std::fmt::Write as _;

use pigeon_plugin::{Expectation, Failure, Item, TestCase};

/// The most cases made at once: as many as fit any host's memory.
const CASES_LIMIT: u32 = 100_000;

/// Breaks a document.
type Slip = fn(&mut Vec<u8>);

/// Ways to break a document `{"case":NUMBER,"value":…}`, in turn.
const SLIPS: &[(&str, Slip)] = &[
    ("a trailing comma", |text| insert_before_end(text, b",")),
    ("no closing brace", |text| text.truncate(text.len().saturating_sub(1))),
    ("a brace too many", |text| text.push(b'}')),
    ("a key without quotes", |text| insert_before_end(text, b",more:1")),
    ("a string in single quotes", |text| insert_before_end(text, b",\"more\":'x'")),
    ("a number with a leading zero", |text| insert_before_end(text, b",\"more\":01")),
    ("a number without a fraction behind its point", |text| insert_before_end(text, b",\"more\":1.")),
    ("NaN", |text| insert_before_end(text, b",\"more\":NaN")),
    ("a line feed in a string", |text| insert_before_end(text, b",\"more\":\"a\nb\"")),
    ("an escape that is none", |text| insert_before_end(text, b",\"more\":\"\\x41\"")),
    ("a byte that is not UTF-8", |text| insert_before_end(text, b",\"more\":\"\xff\"")),
    ("a comment", |text| insert_before_end(text, b"/* more */")),
    ("no colon", |text| insert_before_end(text, b",\"more\" 1")),
    ("a string that does not end", |text| insert_before_end(text, b",\"more\":\"")),
];

/// `count` documents, the same for the same `seed`.
///
/// # Errors
/// A permanent failure `too-many-cases` beyond [`CASES_LIMIT`].
pub(crate) fn test_cases(count: u32, seed: u64) -> Result<Vec<TestCase>, Failure> {
    if count > CASES_LIMIT {
        let message = format!("{count} test cases at once are too many: ask for {CASES_LIMIT} at most");
        return Err(Failure::permanent("too-many-cases", message));
    }
    Ok((0..count).map(|number| case(number, seed)).collect())
}

fn case(number: u32, seed: u64) -> TestCase {
    let mut random = Random(seed ^ u64::from(number).wrapping_mul(0xD1B5_4A32_D192_ED03));
    let mut text = format!("{{\"case\":{number},\"value\":");
    value(&mut random, 4, &mut text);
    text.push('}');
    let mut body = text.into_bytes();
    let (expected, description) = if number % 3 == 2 {
        let (name, slip) = SLIPS[number as usize / 3 % SLIPS.len()];
        slip(&mut body);
        (Expectation::Invalid, name)
    } else {
        (Expectation::Valid, "a document of its own shape")
    };
    TestCase::new(Item::new(format!("json-{number}.json"), body), expected, description)
}

fn insert_before_end(text: &mut Vec<u8>, slip: &[u8]) {
    let end = text.len().saturating_sub(1);
    text.splice(end..end, slip.iter().copied());
}

/// Appends a value of at most `levels` levels.
fn value(random: &mut Random, levels: u32, out: &mut String) {
    let kinds = if levels == 0 { 4 } else { 6 };
    let _ = match random.below(kinds) {
        0 => write!(out, "{}", ["null", "true", "false"][random.below(3)]),
        1 => write!(out, "{}", random.next() as i64),
        2 => write!(out, "-{}.{}e{}", random.below(10), random.below(1000), random.below(30)),
        3 => {
            let pieces = ["a", "Z", " ", "\\n", "\\\"", "\\u00e9", "é", "😀", "\\ud83d\\ude00", "/"];
            out.push('"');
            for _ in 0..random.below(8) {
                out.push_str(pieces[random.below(pieces.len())]);
            }
            out.push('"');
            Ok(())
        }
        4 => {
            out.push('[');
            for index in 0..random.below(4) {
                out.push_str(if index > 0 { ", " } else { "" });
                value(random, levels - 1, out);
            }
            out.push(']');
            Ok(())
        }
        _ => {
            out.push('{');
            for index in 0..random.below(4) {
                let _ = write!(out, "{}\"k{index}\": ", if index > 0 { ",\n " } else { "" });
                value(random, levels - 1, out);
            }
            out.push('}');
            Ok(())
        }
    };
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
