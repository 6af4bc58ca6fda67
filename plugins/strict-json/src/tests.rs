//! What is JSON, what is not, and that the size of a text never hurts.

use proptest::prelude::*;
use serde_json::Value;

use crate::{
    Error, ErrorKind, LineCursor, Outline, POINTER_LIMIT, Pointer, Sink, contents, locate, parse, to_text, unescape,
};

fn error(text: &[u8]) -> Error {
    parse(text, &mut ()).unwrap_err()
}

/// Texts that every parser must accept.
const ACCEPTED: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "10",
    "1.5",
    "-0.0",
    "1e5",
    "1E+5",
    "1e-5",
    "0e0",
    "0.1e1",
    "1e400",
    "123456789012345678901234567890",
    "true",
    "false",
    "null",
    "\"\"",
    "\"a\"",
    r#""\"\\\/\b\f\n\r\t""#,
    r#""\u0000""#,
    r#""\uD800""#,
    r#""\uDC00\uD800""#,
    r#""\ud83d\ude00""#,
    r#""\uaBcD""#,
    "\"\u{7f}\"",
    "\"\u{80}\"",
    "\"\u{10ffff}\"",
    "\"\u{2028}\"",
    "\"\u{feff}\"",
    "[]",
    "[ ]",
    "{}",
    "{ }",
    "[1]",
    "[1,2]",
    "[[]]",
    "[{}]",
    "{\"a\":1}",
    "{\"\":0}",
    "{\"a\":{\"a\":[]}}",
    "{\"a\":1,\"a\":2}",
    " 1 ",
    "\t\r\n1\t\r\n",
    "[ 1 , 2 ]",
    "{ \"a\" : 1 , \"b\" : 2 }",
    "\u{feff}1",
    "\u{feff} {} ",
];

#[test]
fn json_is_accepted() {
    for text in ACCEPTED {
        let outline = parse(text.as_bytes(), &mut ());
        assert_eq!(outline.map(|outline| outline.bom), Ok(text.starts_with('\u{feff}')), "{text}");
    }
}

#[test]
fn what_is_not_json_is_refused_where_it_stops_being_json() {
    use ErrorKind::*;
    let refused: &[(&str, ErrorKind, usize)] = &[
        ("", Empty, 0),
        (" \n", Empty, 2),
        ("\u{feff}", Empty, 3),
        ("\u{feff}\u{feff}1", ExpectedValue, 3),
        ("\u{a0}1", ExpectedValue, 0),
        ("\u{c}1", ExpectedValue, 0),
        ("tru", ExpectedValue, 0),
        ("True", ExpectedValue, 0),
        ("nul", ExpectedValue, 0),
        ("truex", TrailingData, 4),
        ("NaN", ExpectedValue, 0),
        ("Infinity", ExpectedValue, 0),
        ("-Infinity", BadNumber, 1),
        ("'a'", ExpectedValue, 0),
        ("undefined", ExpectedValue, 0),
        ("+1", ExpectedValue, 0),
        (".5", ExpectedValue, 0),
        ("-", BadNumber, 1),
        ("-.5", BadNumber, 1),
        ("1.", BadNumber, 2),
        ("1.e5", BadNumber, 2),
        ("1e", BadNumber, 2),
        ("1e+", BadNumber, 3),
        ("01", LeadingZero, 0),
        ("-01", LeadingZero, 1),
        ("00", LeadingZero, 0),
        ("0x10", TrailingData, 1),
        ("1_000", TrailingData, 1),
        ("1 2", TrailingData, 2),
        ("{}{}", TrailingData, 2),
        ("[]]", TrailingData, 2),
        ("{} // no", TrailingData, 3),
        ("/* no */ 1", ExpectedValue, 0),
        ("[", UnexpectedEnd, 1),
        ("[1", UnexpectedEnd, 2),
        ("[1,", UnexpectedEnd, 3),
        ("[1 2]", ExpectedComma, 3),
        ("[1;2]", ExpectedComma, 2),
        ("[,1]", ExpectedValue, 1),
        ("[1,,2]", ExpectedValue, 3),
        ("[1,]", TrailingComma, 3),
        ("[1}", ExpectedComma, 2),
        ("{", UnexpectedEnd, 1),
        ("{\"a\"", UnexpectedEnd, 4),
        ("{\"a\":", UnexpectedEnd, 5),
        ("{\"a\":1", UnexpectedEnd, 6),
        ("{\"a\":1,", UnexpectedEnd, 7),
        ("{\"a\":1,}", TrailingComma, 7),
        ("{,}", ExpectedKey, 1),
        ("{a:1}", ExpectedKey, 1),
        ("{1:1}", ExpectedKey, 1),
        ("{\"a\" 1}", ExpectedColon, 5),
        ("{\"a\",1}", ExpectedColon, 4),
        ("{\"a\":}", ExpectedValue, 5),
        ("{\"a\":1]", ExpectedComma, 6),
        ("{\"a\":1 \"b\":2}", ExpectedComma, 7),
        ("\"", UnclosedString, 0),
        (" \"abc", UnclosedString, 1),
        ("\"abc\\", UnclosedString, 0),
        ("\"abc\\\"", UnclosedString, 0),
        ("\"\\u12", UnclosedString, 0),
        ("[\"abc", UnclosedString, 1),
        ("\"\n\"", ControlCharacter, 1),
        ("\"a\tb\"", ControlCharacter, 2),
        ("\"12345678\u{1f}\"", ControlCharacter, 9),
        ("\"\0\"", ControlCharacter, 1),
        ("\0", ExpectedValue, 0),
        ("[1]\0", TrailingData, 3),
        ("\"\\x\"", BadEscape, 2),
        ("\"\\'\"", BadEscape, 2),
        ("\"\\\u{e9}\"", BadEscape, 2),
        ("\"\\u12g4\"", BadUnicodeEscape, 5),
        ("\"\\u\"", BadUnicodeEscape, 3),
        ("\"\\uD800\\u\"", BadUnicodeEscape, 9),
    ];
    for (text, kind, offset) in refused {
        assert_eq!(error(text.as_bytes()), Error { kind: *kind, offset: *offset }, "{text:?}");
    }
}

#[test]
fn what_is_not_utf8_is_told_before_anything_else() {
    let refused: &[(&[u8], usize)] = &[
        (b"\xff", 0),
        (b"{\"a\": \"\xe9\"}", 7),
        (b"]\xff", 1),
        (b"\"\xed\xa0\x80\"", 1),
        (b"\"\xc0\xaf\"", 1),
        (b"\"\xf4\x90\x80\x80\"", 1),
        (b"\xff\xfe1\0", 0),
        (b"\"\xe2\x82", 1),
    ];
    for (text, offset) in refused {
        assert_eq!(error(text), Error { kind: ErrorKind::NotUtf8, offset: *offset });
    }
}

#[test]
fn messages_name_what_was_found() {
    let message = |text: &[u8]| error(text).message(text);
    assert_eq!(message(b"[1,]"), "a comma with no element behind it, found `]`");
    assert_eq!(message("é".as_bytes()), "expected a value, found `é`");
    assert_eq!(message(b"\"\x01\""), "a control character in a string must be escaped, found U+0001");
    assert_eq!(message(b"\xff"), "the bytes are not UTF-8, found the byte 0xFF");
    assert_eq!(message(b"-"), "a number lacks digits, found the end of the text");
    assert_eq!(message(b"["), "the text ends before its objects and arrays do");
    assert_eq!(message("\u{feff}\u{feff}".as_bytes()), "expected a value, found U+FEFF");
}

#[test]
fn every_kind_has_a_code_of_its_own() {
    let mut codes: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), ErrorKind::ALL.len());
}

#[test]
fn a_million_levels_are_as_good_as_one() {
    let levels = 1_000_000;
    let arrays = "[".repeat(levels) + &"]".repeat(levels);
    assert_eq!(parse(arrays.as_bytes(), &mut ()), Ok(Outline { bom: false, depth: levels }));
    let objects = "{\"a\":".repeat(levels) + "[]" + &"}".repeat(levels);
    assert_eq!(parse(objects.as_bytes(), &mut ()), Ok(Outline { bom: false, depth: levels + 1 }));
    // The levels are of both kinds, and each must be closed by its own bracket.
    let mixed = "[{\"a\":".repeat(levels) + "0" + &"}]".repeat(levels);
    assert_eq!(parse(mixed.as_bytes(), &mut ()), Ok(Outline { bom: false, depth: 2 * levels }));
    let wrong = "[{\"a\":".repeat(levels) + "0" + &"}]".repeat(levels - 1) + "]}";
    assert_eq!(error(wrong.as_bytes()), Error { kind: ErrorKind::ExpectedComma, offset: wrong.len() - 2 });
    let places = locate(wrong.as_bytes(), &[0, 6, wrong.len() - 2]);
    assert_eq!(places[1].pointer.as_deref(), Some("/0/a"));
    assert_eq!(places[2].pointer.as_deref(), Some("/0"));
}

/// Gathers what it is told as words.
#[derive(Default)]
struct Words<'a>(&'a str, Vec<String>);

impl Sink for Words<'_> {
    fn begin_object(&mut self, at: usize) {
        self.1.push(format!("{{{at}"));
    }
    fn end_object(&mut self, end: usize) {
        self.1.push(format!("}}{end}"));
    }
    fn begin_array(&mut self, at: usize) {
        self.1.push(format!("[{at}"));
    }
    fn end_array(&mut self, end: usize) {
        self.1.push(format!("]{end}"));
    }
    fn key(&mut self, start: usize, end: usize, escaped: bool) {
        self.1.push(format!("key {} {escaped}", &self.0[start..end]));
    }
    fn string(&mut self, start: usize, end: usize, escaped: bool) {
        self.1.push(format!("string {} {escaped}", &self.0[start..end]));
    }
    fn number(&mut self, start: usize, end: usize) {
        self.1.push(format!("number {}", &self.0[start..end]));
    }
    fn literal(&mut self, start: usize, end: usize) {
        self.1.push(format!("literal {}", &self.0[start..end]));
    }
}

#[test]
fn the_sink_is_told_everything_in_order() {
    let text = "{ \"a\\n\" : [1, true, \"x\"], \"b\": {}, \"c\": [ ] }";
    let mut words = Words(text, Vec::new());
    assert_eq!(parse(text.as_bytes(), &mut words), Ok(Outline { bom: false, depth: 2 }));
    let expected = [
        "{0",
        "key \"a\\n\" true",
        "[10",
        "number 1",
        "literal true",
        "string \"x\" false",
        "]24",
        "key \"b\" false",
        "{31",
        "}33",
        "key \"c\" false",
        "[40",
        "]43",
        "}45",
    ];
    assert_eq!(words.1, expected);
}

#[test]
fn escapes_are_undone() {
    let meaning = |raw: &str| {
        let mut out = Vec::new();
        unescape(raw.as_bytes(), &mut out);
        out
    };
    assert_eq!(meaning(r#"a\"\\\/\b\f\n\r\tz"#), b"a\"\\/\x08\x0c\n\r\tz");
    assert_eq!(meaning(r"\u0041\u00e9\u20AC"), "Aé€".as_bytes());
    assert_eq!(meaning(r"\ud83d\ude00!"), "😀!".as_bytes());
    assert_eq!(meaning(r"\ud83d"), b"\xed\xa0\xbd");
    assert_eq!(meaning(r"\ude00\ud83d"), b"\xed\xb8\x80\xed\xa0\xbd");
    assert_eq!(meaning(r"\ud83d\n"), b"\xed\xa0\xbd\n");
    assert_eq!(
        meaning(r"\ud83d\ud83d\ude00"),
        "\u{fffd}😀".as_bytes().iter().skip(3).fold(b"\xed\xa0\xbd".to_vec(), |mut all, byte| {
            all.push(*byte);
            all
        })
    );
    assert_eq!(to_text(b"a\xed\xa0\xbdb\xed\xb8\x80"), "a\u{fffd}b\u{fffd}");
    assert_eq!(contents(br#"["ab"]"#, 1, 5, false).as_ref(), b"ab");
    assert_eq!(contents(br#"["a\u0062"]"#, 1, 10, true).as_ref(), b"ab");
}

#[test]
fn lines_and_columns_count_characters() {
    let text = "\u{feff}ab\r\né€😀x\n\nz".as_bytes();
    let mut cursor = LineCursor::new(text);
    let places: Vec<_> =
        [0, 3, 5, 7, 9, 12, 16, 17, 18, 19, 20, 99].into_iter().map(|offset| cursor.at(offset)).collect();
    let expected = [(1, 1), (1, 1), (1, 3), (2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (3, 1), (4, 1), (4, 2), (4, 2)];
    assert_eq!(places, expected);
    assert_eq!(cursor.at(9), (2, 2), "and back again");
}

#[test]
fn pointers_are_escaped_and_bounded() {
    let mut pointer = Pointer::new();
    assert_eq!(pointer.as_str(), Some(""));
    pointer.push_key(b"a/b~c");
    pointer.push_index(10);
    assert_eq!(pointer.as_str(), Some("/a~1b~0c/10"));
    pointer.push_key(b"\xed\xa0\xbd");
    pointer.push_key(b"fine");
    assert_eq!(pointer.as_str(), None);
    pointer.pop();
    pointer.pop();
    assert_eq!(pointer.as_str(), Some("/a~1b~0c/10"));
    // The bound holds for what is written, escapes included.
    pointer.push_key("~".repeat(POINTER_LIMIT / 2).as_bytes());
    assert_eq!(pointer.as_str(), None);
    pointer.pop();
    pointer.push_key("x".repeat(POINTER_LIMIT - 12).as_bytes());
    assert_eq!(pointer.as_str().map(str::len), Some(POINTER_LIMIT));
    pointer.push_key(b"");
    assert_eq!(pointer.as_str(), None);
}

#[test]
fn places_are_found_in_one_walk() {
    let text = "{\"a\": [10, {\"b\": 1}],\n \"c\": tru}";
    let offsets = [0, 1, 6, 7, 9, 11, 12, 17, 19, 23, 28];
    let pointers: Vec<_> = locate(text.as_bytes(), &offsets).into_iter().map(|place| place.pointer.unwrap()).collect();
    assert_eq!(pointers, ["", "/a", "/a", "/a/0", "/a", "/a/1", "/a/1/b", "/a/1/b", "/a", "/c", "/c"]);
    let last = locate(text.as_bytes(), &[28]).remove(0);
    assert_eq!((last.line, last.column, last.offset), (2, 7, 28));
    assert_eq!(locate(b"[1, \xff", &[4]).remove(0).pointer, Some(String::new()));
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            proptest::collection::btree_map(".*", inner, 0..8).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_read(document in documents(), pretty: bool) {
        let text = if pretty { format!("{document:#}") } else { document.to_string() };
        prop_assert!(parse(text.as_bytes(), &mut ()).is_ok(), "{}", text);
    }

    /// The judges agree on texts that are almost JSON: a document with one byte changed, added or lost.
    #[test]
    fn a_slip_is_seen_as_others_see_it(document in documents(), at: prop::sample::Index, with: u8, how in 0..3u8) {
        let mut text = document.to_string().into_bytes();
        let at = at.index(text.len());
        match how {
            0 => text[at] = with,
            1 => text.insert(at, with),
            _ => drop(text.remove(at)),
        }
        let ours = parse(&text, &mut ());
        // With a raw value nothing is looked at but the grammar; the other judge leaves UTF-8 to its caller then.
        let theirs = std::str::from_utf8(&text).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
        prop_assert_eq!(ours.is_ok(), theirs, "{}", String::from_utf8_lossy(&text));
        if let Err(error) = ours {
            prop_assert!(error.offset <= text.len());
            prop_assert_eq!(locate(&text, &[error.offset]).len(), 1);
        }
    }

    #[test]
    fn soup_is_survived(text in r#"[\[\]{}:,"\\u0-9eE.+tfn \-]{0,40}"#) {
        let ours = parse(text.as_bytes(), &mut ()).is_ok();
        prop_assert_eq!(ours, serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn strings_mean_what_others_say_they_mean(text in ".*") {
        let written = Value::from(text.clone()).to_string();
        let read = contents(written.as_bytes(), 0, written.len(), true);
        prop_assert_eq!(to_text(&read), text);
    }
}
