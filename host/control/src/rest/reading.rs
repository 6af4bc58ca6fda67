//! What cannot be read of a request, told to those who wrote it: what is wrong, where, and what may stand there.
//!
//! serde tells it in the words of Rust's types, as `PATH: MESSAGE at line 1 column 2`. It has no other way of telling it, so
//! its words are taken apart here; those that are not known are passed on as they are.

use std::borrow::Cow;

/// What is wrong, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unread {
    pub(super) detail: String,
    pub(super) hint: Option<String>,
}

/// A word that is not known is taken for one that is so like it.
const LIKE: f64 = 0.8;

/// Characters of a client's own words that are told to it: they may be as long as its whole request. What is longer is like
/// nothing that is known.
const LONGEST: usize = 64;

/// What messages about a value begin with; whatever stands before is the path to it.
const BEGINNINGS: [&str; 7] = [
    "unknown field ",
    "unknown variant ",
    "missing field ",
    "duplicate field ",
    "invalid type: ",
    "invalid value: ",
    "invalid length ",
];

/// What is wrong with a body in JSON, by the words of axum, which has its own before those of serde.
pub(super) fn body(said: &str) -> Unread {
    let said = said.split_once(": ").map_or(said, |(_, said)| said);
    let said = Said::of(said);
    said.told(&said.place.map_or_else(String::new, |(line, column)| format!(" (line {line}, column {column})")), like)
}

/// What is wrong with a line of JSON: it is known which.
pub(super) fn line(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let said = Said::of(&said);
    let place = said.place.map_or_else(String::new, |(_, column)| format!(" (column {column})"));
    // There is no room for a hint, and there may be many lines.
    said.told(&place, |_, _| None).detail
}

/// What is wrong with a query, by the words of axum.
pub(super) fn query(said: &str) -> Unread {
    Said::of(said.split_once(": ").map_or(said, |(_, said)| said)).told("", like)
}

/// The words of serde, taken apart.
#[derive(Debug)]
struct Said<'a> {
    /// Such as `items[3].id`; empty at the top.
    path: &'a str,
    message: &'a str,
    /// Line and column, from 1.
    place: Option<(u64, u64)>,
}

impl<'a> Said<'a> {
    fn of(said: &'a str) -> Self {
        let placed = said.rsplit_once(" at line ").and_then(|(message, place)| {
            let (line, column) = place.split_once(" column ")?;
            Some((message, (line.parse().ok()?, column.parse().ok()?)))
        });
        let (said, place) = placed.map_or((said, None), |(message, place)| (message, Some(place)));
        let begins = |text: &str| BEGINNINGS.iter().any(|beginning| text.starts_with(beginning));
        let (path, message) = match said.split_once(": ") {
            Some((path, message)) if !begins(said) => (path, message),
            _ => ("", said),
        };
        Self { path, message, place }
    }

    /// In words, with the place where it was found. `like` says which is most like a name, of those that are known.
    fn told(&self, place: &str, like: impl Fn(&str, &str) -> Option<String>) -> Unread {
        let message = self.message;
        if let Some(broken) = broken(message) {
            let detail = format!("it is no JSON{place}: {broken}");
            return Unread { detail, hint: Some("send one whole JSON value".to_owned()) };
        }
        let plain = |detail| Unread { detail, hint: None };
        let subject = match self.path {
            "" => format!("it{place}"),
            path => format!("`{}`{place}", short(path)),
        };
        if let Some((name, known)) = named(message, "unknown field ") {
            // The path goes as far as the name, or up to it.
            let up_to = self.path.strip_suffix(name).unwrap_or(self.path).trim_end_matches('.');
            let detail = format!("`{}`{place} is not known: {}", joined(up_to, &short(name)), choice(known));
            return Unread { detail, hint: like(name, known) };
        }
        if let Some((name, known)) = named(message, "unknown variant ") {
            return Unread {
                detail: format!("{subject} cannot be `{}`: {}", short(name), choice(known)),
                hint: like(name, known),
            };
        }
        if let Some((name, _)) = named(message, "missing field ") {
            return plain(format!("`{}` is missing", joined(self.path, name)));
        }
        if let Some((name, _)) = named(message, "duplicate field ") {
            return plain(format!("`{}`{place} is said twice", joined(self.path, &short(name))));
        }
        let wrong = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
        if let Some((found, expected)) = wrong.and_then(|wrong| wrong.rsplit_once(", expected ")) {
            return plain(format!("{subject} is {}, and has to be {}", found_words(found), expected_words(expected)));
        }
        match number_words(message) {
            Some(words) => plain(format!("{subject} has to be {words}")),
            None => plain(format!("{subject}: {message}")),
        }
    }
}

/// What is wrong with text that is no JSON at all.
fn broken(message: &str) -> Option<String> {
    if let Some(within) = message.strip_prefix("EOF while parsing ") {
        return Some(format!("it ends within {within}"));
    }
    const BROKEN: [&str; 15] = [
        "expected value",
        "expected ident",
        "expected `:`",
        "expected `,` or `}`",
        "expected `,` or `]`",
        "expected `\"`",
        "trailing comma",
        "trailing characters",
        "key must be a string",
        "invalid escape",
        "invalid number",
        "number out of range",
        "invalid unicode code point",
        "lone leading surrogate in hex escape",
        "recursion limit exceeded",
    ];
    let known = BROKEN.contains(&message) || message.starts_with("control character ");
    known.then(|| match message {
        "expected value" | "expected ident" => "a value has to stand there".to_owned(),
        "recursion limit exceeded" => "it is nested too deep".to_owned(),
        "trailing characters" => "something follows behind its end".to_owned(),
        other => other.to_owned(),
    })
}

/// The name behind these words, and what follows it.
fn named<'a>(message: &'a str, words: &str) -> Option<(&'a str, &'a str)> {
    let rest = message.strip_prefix(words)?.strip_prefix('`')?;
    // What is known is told behind the name, which may have any characters.
    let told = rest.rfind("`, expected ").max(rest.rfind("`, there are "));
    let end = told.or_else(|| rest.rfind('`'))?;
    Some((rest.get(..end)?, rest.get(end + 1..)?))
}

/// What may stand there, of `, expected one of ...`. Times that version 0.1 wrote down without their unit are read as well,
/// and not offered.
fn offered(known: &str) -> impl Iterator<Item = &str> {
    let names = || known.split('`').skip(1).step_by(2);
    names().filter(move |name| names().all(|other| other.strip_suffix("_ms") != Some(name)))
}

fn choice(known: &str) -> String {
    let names: Vec<String> = offered(known).map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "nothing can be said here".to_owned(),
        [one] => format!("there is {one}"),
        [most @ .., last] => format!("there are {} and {last}", most.join(", ")),
    }
}

/// That which is most like this name, of those that are known.
fn like(name: &str, known: &str) -> Option<String> {
    if name.chars().nth(LONGEST).is_some() {
        return None;
    }
    let names = offered(known).map(|other| (strsim::jaro_winkler(name, other), other));
    let like = names.filter(|(near, _)| *near > LIKE).max_by(|one, other| one.0.total_cmp(&other.0));
    like.map(|(_, like)| format!("perhaps `{like}` is meant"))
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{}.{name}", short(path)) }
}

/// A client's own words, as far as they are told to it.
fn short(words: &str) -> Cow<'_, str> {
    match words.char_indices().nth(LONGEST).and_then(|(end, _)| words.get(..end)) {
        Some(begin) => format!("{begin}\u{2026}").into(),
        None => words.into(),
    }
}

/// What was found.
fn found_words(found: &str) -> String {
    let number = found.strip_prefix("integer ").or_else(|| found.strip_prefix("floating point "));
    match (number, found) {
        (Some(number), _) => number.trim_matches('`').to_owned(),
        (None, "map") => "an object".to_owned(),
        (None, "sequence") => "a list".to_owned(),
        (None, "unit value" | "Option value") => "null".to_owned(),
        (None, "unit variant") => "a name alone".to_owned(),
        (None, "newtype variant" | "struct variant" | "tuple variant") => "a name with a value".to_owned(),
        (None, other) => match other.split_once(' ') {
            Some(("boolean", value)) => value.trim_matches('`').to_owned(),
            Some(("string", text)) => format!("the string {}", short(text)),
            _ => other.to_owned(),
        },
    }
}

/// What has to stand there.
fn expected_words(expected: &str) -> String {
    let whole = |least: i64, most: u64| format!("a whole number from {least} to {most}");
    match expected {
        "u8" => whole(0, u8::MAX.into()),
        "u16" => whole(0, u16::MAX.into()),
        "u32" => whole(0, u32::MAX.into()),
        "u64" | "usize" => whole(0, u64::MAX),
        "i32" => whole(i32::MIN.into(), i32::MAX as u64),
        "i64" => whole(i64::MIN, i64::MAX as u64),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a map" => "an object".to_owned(),
        "a sequence" => "a list".to_owned(),
        "unit variant" => "a name alone".to_owned(),
        "newtype variant" => "an object with that name and its value".to_owned(),
        "string or map" | "map with a single key" => "a name, or an object with one".to_owned(),
        other if other.starts_with("enum ") => "a name, or an object with one".to_owned(),
        other if other.starts_with("struct ") || other.starts_with("internally tagged enum ") => "an object".to_owned(),
        other => other.to_owned(),
    }
}

/// What has to stand in a query, by the words of Rust's parsers.
fn number_words(message: &str) -> Option<&'static str> {
    Some(match message {
        "invalid digit found in string" | "cannot parse integer from empty string" => "a whole number, from 0 on",
        "number too large to fit in target type" => "a smaller number",
        "provided string was not `true` or `false`" => "true or false",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use pigeon_api::{
        ScheduleSpec, Submission,
        page::{EventsQuery, JobsQuery},
    };
    use serde::de::DeserializeOwned;

    use super::*;

    fn wrong<T: DeserializeOwned>(json: &str) -> Unread {
        match axum::Json::<T>::from_bytes(json.as_bytes()) {
            Ok(_) => panic!("{json} can be read"),
            Err(refused) => body(&refused.body_text()),
        }
    }

    #[test]
    fn a_body_is_told_what_is_wrong_with_it_and_where() {
        for (json, told) in [
            (r#"{}"#, "`plugin` is missing"),
            (r#"{"plugin":5}"#, "`plugin` (line 1, column 11) is 5, and has to be a string"),
            ("{\"plugin\":\n [1]}", "`plugin` (line 2, column 1) is a list, and has to be a string"),
            (
                r#"{"plugin":"json","max_parallel":-1}"#,
                "`max_parallel` (line 1, column 34) is -1, and has to be a whole number from 0 to 4294967295",
            ),
            (r#"{"plugin":"json","fail_fast":"yes"}"#, "the string \"yes\", and has to be true or false"),
            (r#"{"plugin":"json","options":[]}"#, "is a list, and has to be an object"),
            (r#"{"plugin":"json","options":{"a":{}}}"#, "`options.a` (line 1, column 32) is an object"),
            (
                r#"{"plugin":"json","items":["a",7]}"#,
                "`items[1]` (line 1, column 32): an item is a string, or an object",
            ),
            (r#"{"plugin":"json","items":{}}"#, "is an object, and has to be a list of items"),
            (r#"{"plugin":"json","plugin":"a"}"#, "`plugin` (line 1, column 25) is said twice"),
            (r#"{"plugin":"json","work":{"of":"two"}}"#, "cannot be `two`: there are `one` and `many`"),
            (
                r#"{"plugin":"json","clock":"at"}"#,
                "is a name alone, and has to be an object with that name and its value",
            ),
            (
                r#"{"plugin":"json","limits":{"cpu_ms":"1s"}}"#,
                "`limits.cpu_ms` (line 1, column 41): a time is a number of",
            ),
            (r#"{"#, "it is no JSON (line 1, column 1): it ends within an object"),
            ("", "it is no JSON (line 1, column 0): it ends within a value"),
            (r#"{"plugin":json}"#, "it is no JSON (line 1, column 11): a value has to stand there"),
            (r#"{"plugin":"json"} {}"#, "it is no JSON (line 1, column 19): something follows behind its end"),
            (r#"{"plugin":"json",}"#, "it is no JSON (line 1, column 18): trailing comma"),
        ] {
            let unread = wrong::<Submission>(json);
            assert!(unread.detail.contains(told), "{json}: {unread:?} without {told:?}");
            let raw = ["expected", "invalid type", "variant", "u32", "struct", "EOF", "map"];
            assert!(!raw.iter().any(|word| unread.detail.contains(word)), "{json}: {unread:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_told_with_what_is() {
        let unread = wrong::<Submission>(r#"{"plugin":"echo","itmes":[]}"#);
        assert!(
            unread.detail.starts_with("`itmes` (line 1, column 24) is not known: there are `plugin`, `items`,"),
            "{unread:?}"
        );
        assert_eq!(unread.hint.as_deref(), Some("perhaps `items` is meant"));
        let unread = wrong::<Submission>(r#"{"plugin":"echo","limits":{"cpus":1}}"#);
        assert!(
            unread
                .detail
                .starts_with("`limits.cpus` (line 1, column 33) is not known: there are `cpu_ms`, `wall_ms`, `memory`"),
            "{unread:?}"
        );
        let spec = r#"{"name":"n","when":{"evry":{"ms":5}},"job":{"plugin":"a"}}"#;
        let unread = wrong::<ScheduleSpec>(spec);
        assert!(unread.detail.contains("cannot be `evry`: there are `cron`, `every` and `at`"), "{unread:?}");
        assert_eq!(unread.hint.as_deref(), Some("perhaps `every` is meant"));
        let spec = r#"{"name":"n","when":{"cron":{"expression":"* * * * *","expected `x`, expected `y`":1}}}"#;
        let unread = wrong::<ScheduleSpec>(spec);
        assert!(unread.detail.contains("is not known: there are `expression` and `zone`"), "{unread:?}");
    }

    #[test]
    fn a_query_is_told_which_of_its_parts_is_wrong() {
        fn wrong<T: DeserializeOwned>(query: &str) -> Unread {
            match axum::extract::Query::<T>::try_from_uri(&format!("/?{query}").parse().unwrap()) {
                Ok(_) => panic!("{query} can be read"),
                Err(refused) => super::query(&refused.body_text()),
            }
        }
        for (query, told) in [
            ("limit=x", "`limit` has to be a whole number, from 0 on"),
            ("limit=", "`limit` has to be a whole number, from 0 on"),
            ("limit=99999999999999999999999", "`limit` has to be a smaller number"),
            ("unfinished=1", "`unfinished` has to be true or false"),
            ("state=done", "`state` cannot be `done`: there are `open`, `sealed`"),
            ("limits=7", "`limits` is not known: there are `state`"),
            ("limit=1&limit=2", "`limit` is said twice"),
        ] {
            let unread = wrong::<JobsQuery>(query);
            assert!(unread.detail.starts_with(told), "{query}: {unread:?}");
        }
        assert_eq!(wrong::<JobsQuery>("limits=7").hint.as_deref(), Some("perhaps `limit` is meant"));
        assert!(wrong::<EventsQuery>("job=7").detail.starts_with("`job`: "));
    }

    #[test]
    fn of_long_words_the_beginning_is_told_and_nothing_is_like_them() {
        let (long, edge) = ("plugin".repeat(100_000), "items".to_owned() + &"s".repeat(LONGEST - 5));
        for json in [
            format!(r#"{{"plugin":"echo","{long}":1}}"#),
            format!(r#"{{"plugin":"echo","work":{{"of":"{long}"}}}}"#),
            format!(r#"{{"plugin":"echo","fail_fast":"{long}"}}"#),
            format!(r#"{{"plugin":"echo","options":{{"{long}":{{}}}}}}"#),
            format!(r#"{{"plugin":"echo","limits":{{"{long}`, expected `a`, `b":1}}}}"#),
        ] {
            let unread = wrong::<Submission>(&json);
            assert!(unread.detail.len() < 1000 && unread.detail.contains("pluginplugin"), "{unread:?}");
            assert!(unread.detail.contains('\u{2026}') && unread.hint.is_none(), "{unread:?}");
        }
        let known = format!(", expected `{edge}`");
        assert_eq!((&*short(&edge), like(&edge, &known).is_some()), (edge.as_str(), true));
        let over = format!("{edge}s");
        assert_eq!((&*short(&over), like(&over, &known)), (format!("{edge}\u{2026}").as_str(), None));
        // What is known is what is told last, whatever the name has in it.
        let message = "unknown field `a`, expected `b`, there are no fields";
        assert_eq!(named(message, "unknown field "), Some(("a`, expected `b", ", there are no fields")));
    }

    #[test]
    fn a_line_is_told_by_its_column() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Named {
            #[expect(dead_code, reason = "only its reading counts")]
            id: String,
        }
        let wrong = |text| line(&serde_json::from_str::<Named>(text).unwrap_err());
        assert_eq!(wrong(r#"{"di":1}"#), "`di` (column 5) is not known: there is `id`");
        assert_eq!(wrong("{}"), "`id` is missing");
        assert_eq!(wrong("id"), "it is no JSON (column 1): a value has to stand there");
        assert_eq!(wrong("[1]"), "it (column 2) is 1, and has to be a string");
    }
}
