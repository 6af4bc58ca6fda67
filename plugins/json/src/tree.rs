//! The tree that a schema is shown.
//!
//! It is built by the strict parser, not by a second one that could see another document: the last of repeated keys
//! holds, and a lone surrogate, which no Rust string can hold, becomes U+FFFD.

use serde_json::{Map, Value};
use strict_json::{Error, Outline, Sink, contents, parse, to_text};

/// Reads `body`. The tree is as deep as the document: whoever drops or shows it recurses, so look at the depth first.
///
/// # Errors
/// The first thing that is not JSON.
pub(crate) fn read(body: &[u8]) -> Result<(Value, Outline), Error> {
    let mut tree = Tree { body, open: Vec::new(), root: Value::Null };
    let outline = parse(body, &mut tree)?;
    Ok((tree.root, outline))
}

struct Tree<'a> {
    body: &'a [u8],
    open: Vec<Open>,
    root: Value,
}

/// An object or array that has not ended yet.
enum Open {
    Array(Vec<Value>),
    Object(Map<String, Value>, String),
}

impl Tree<'_> {
    fn text(&self, start: usize, end: usize, escaped: bool) -> String {
        to_text(&contents(self.body, start, end, escaped)).into_owned()
    }

    fn add(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.root = value,
            Some(Open::Array(array)) => array.push(value),
            Some(Open::Object(object, key)) => {
                object.insert(std::mem::take(key), value);
            }
        }
    }

    fn close(&mut self) {
        match self.open.pop() {
            Some(Open::Array(array)) => self.add(Value::Array(array)),
            Some(Open::Object(object, _)) => self.add(Value::Object(object)),
            None => {}
        }
    }
}

impl Sink for Tree<'_> {
    fn begin_object(&mut self, _at: usize) {
        self.open.push(Open::Object(Map::new(), String::new()));
    }
    fn end_object(&mut self, _end: usize) {
        self.close();
    }
    fn begin_array(&mut self, _at: usize) {
        self.open.push(Open::Array(Vec::new()));
    }
    fn end_array(&mut self, _end: usize) {
        self.close();
    }
    fn key(&mut self, start: usize, end: usize, escaped: bool) {
        let text = self.text(start, end, escaped);
        if let Some(Open::Object(_, key)) = self.open.last_mut() {
            *key = text;
        }
    }
    fn string(&mut self, start: usize, end: usize, escaped: bool) {
        let text = self.text(start, end, escaped);
        self.add(Value::String(text));
    }
    fn number(&mut self, start: usize, end: usize) {
        // Numbers keep their text, so that none is too large or too exact.
        let text = self.body.get(start..end).and_then(|text| std::str::from_utf8(text).ok());
        self.add(text.and_then(|text| text.parse().ok()).map_or(Value::Null, Value::Number));
    }
    fn literal(&mut self, start: usize, _end: usize) {
        self.add(match self.body.get(start) {
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            _ => Value::Null,
        });
    }
}
