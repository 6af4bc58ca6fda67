//! The option `test_inputs`: with what to run the program, and what should come out.

use pigeon_plugin::Failure;

use super::load::Loader;
use super::value::{Pool, Value};
use crate::codes;
use crate::names::Names;
use crate::number;
use crate::tape::{Kind, MAX_BODY, NONE, Tape};

/// One input: entries of the tape.
#[derive(Debug, Clone, Copy)]
struct Input {
    /// An array.
    args: u32,
    /// [`NONE`] where anything may come out.
    expect: u32,
}

/// All inputs, checked but not loaded: what strings mean in them depends on the program beside them.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    text: String,
    tape: Tape,
    list: Vec<Input>,
}

/// One input, loaded.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) args: Vec<Value>,
    pub(crate) expect: Option<Value>,
}

impl Inputs {
    /// Reads the option.
    ///
    /// # Errors
    /// A permanent failure that says what the option must be.
    pub(crate) fn read(text: &str) -> Result<Inputs, Failure> {
        if text.len() >= MAX_BODY {
            return Err(Failure::permanent(codes::ITEM_TOO_LARGE.name, codes::ITEM_TOO_LARGE.description));
        }
        let mut tape = Tape::default();
        let body = text.as_bytes();
        tape.fill(body).map_err(|error| malformed(&error.message(body)))?;
        if tape.kind(0) != Kind::Array {
            return Err(malformed("it is no array"));
        }
        let mut list = Vec::new();
        for (index, entry) in tape.elements(0).enumerate() {
            let input = input(&tape, body, entry).map_err(|why| malformed(&format!("element {index} {why}")))?;
            list.push(input);
        }
        if !tape.numbers_all(|entry| number::parse(tape.token(body, entry)).is_some()) {
            return Err(malformed("it holds a number beyond 64-bit floats"));
        }
        Ok(Inputs { text: text.to_owned(), tape, list })
    }

    /// Whether there is nothing to run a program with.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The values of all inputs.
    pub(crate) fn load(&self, names: &mut Names, pool: &mut Pool) -> Vec<Loaded> {
        let mut loader = Loader { body: self.text.as_bytes(), tape: &self.tape, names, pool };
        let mut loaded = Vec::with_capacity(self.list.len());
        for input in &self.list {
            let args = self.tape.elements(input.args).map(|entry| loader.load(entry)).collect();
            let expect = (input.expect != NONE).then(|| loader.load(input.expect));
            loaded.push(Loaded { args, expect });
        }
        loaded
    }
}

/// Reads one element: an argument list, or an object with one.
fn input(tape: &Tape, body: &[u8], entry: u32) -> Result<Input, &'static str> {
    match tape.kind(entry) {
        Kind::Array => return Ok(Input { args: entry, expect: NONE }),
        Kind::Object => {}
        _ => return Err("is neither a list of arguments nor an object"),
    }
    let mut input = Input { args: NONE, expect: NONE };
    for key in tape.keys(entry) {
        let token = tape.token(body, key);
        let name = strict_json::contents(token, 0, token.len(), tape.escaped(key));
        let field = match &*name {
            b"args" => &mut input.args,
            b"expect" => &mut input.expect,
            _ => return Err("has a key other than `args` and `expect`"),
        };
        if std::mem::replace(field, key + 1) != NONE {
            return Err("has a key twice");
        }
    }
    match input.args {
        NONE => Err("has no `args`"),
        args if tape.kind(args) != Kind::Array => Err("has `args` that are no list"),
        _ => Ok(input),
    }
}

fn malformed(why: &str) -> Failure {
    let known = r#"it must be a JSON array of argument lists, or of {"args": [...], "expect": value}"#;
    Failure::permanent(codes::MALFORMED_TEST_INPUTS.name, format!("option test_inputs: {why}; {known}"))
}
