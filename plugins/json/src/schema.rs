//! The check against a JSON Schema.
//!
//! The schema is compiled once and must be whole in itself: nothing is fetched, and patterns are those that a linear
//! engine can run, so that no document can make a schema slow. What violates it is told with the place of the value in
//! the text, which a tree does not know: the walk of [`places`] finds it again.

mod places;

use std::fmt::{self, Write as _};

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{PatternOptions, ReferencingError, ValidationError, Validator};
use pigeon_plugin::{Failure, Finding, Findings, Severity};
use strict_json::{LineCursor, Outline, Place, Pointer, Sink, locate, parse};

use crate::check::{QUOTE_LIMIT, place_of};
use crate::metadata::code;
use crate::tree;

/// The deepest document that is shown to a schema, and the deepest schema. The validator recurses.
pub(crate) const DEPTH_LIMIT: usize = 256;

/// A compiled schema.
pub(crate) struct Schema(Validator);

impl Schema {
    /// Compiles the schema that `text` is.
    ///
    /// # Errors
    /// A permanent failure: no JSON or no schema, a reference to elsewhere, a pattern that needs backtracking.
    pub(crate) fn compile(text: &str) -> Result<Schema, Failure> {
        let bad = |why: String| Failure::permanent(code::BAD_SCHEMA, format!("option schema: {why}"));
        let (schema, outline) = tree::read(text.as_bytes()).map_err(|error| {
            let (line, column) = LineCursor::new(text.as_bytes()).at(error.offset);
            bad(format!("not JSON at line {line}, column {column}: {}", error.message(text.as_bytes())))
        })?;
        if outline.depth > DEPTH_LIMIT {
            return Err(bad(format!("nested {} levels deep, more than {DEPTH_LIMIT}", outline.depth)));
        }
        let options = jsonschema::options().offline().with_pattern_options(PatternOptions::regex());
        options.build(&schema).map(Schema).map_err(|error| refusal(&error))
    }

    /// Shows the document `body`, which was parsed before and came out as `outline`, to the schema.
    pub(crate) fn judge(&self, body: &[u8], outline: &Outline, findings: &mut Findings) {
        if outline.depth > DEPTH_LIMIT {
            let message = format!(
                "nested {} levels deep, more than the {DEPTH_LIMIT} that can be checked against a schema",
                outline.depth
            );
            let places = locate(body, &[first_too_deep(body)]).into_iter().map(place_of).next();
            findings.push(Finding { place: places, ..Finding::error(code::TOO_DEEP_FOR_SCHEMA, message) });
            return;
        }
        let Ok((document, _)) = tree::read(body) else { return };
        if self.0.is_valid(&document) {
            return;
        }
        let room = pigeon_plugin::FINDINGS_LIMIT
            .saturating_sub(usize::try_from(findings.count(Severity::Error)).unwrap_or(usize::MAX));
        let mut listed = Vec::new();
        let mut omitted = 0_u64;
        for error in self.0.iter_errors(&document) {
            if listed.len() < room {
                listed.push((message(&error), error.instance_path().clone()));
            } else {
                omitted += 1;
            }
        }
        let offsets = places::offsets(body, listed.iter().map(|(_, path)| path));
        let mut found: Vec<_> = listed.into_iter().zip(offsets).collect();
        found.sort_by_key(|(_, offset)| *offset);
        let mut lines = LineCursor::new(body);
        for ((message, path), offset) in found {
            let (line, column) = lines.at(offset);
            let place = Place { offset, line, column, pointer: pointer(&path) };
            findings.push(Finding::error(code::SCHEMA_VIOLATION, message).at(place_of(place)));
        }
        for _ in 0..omitted {
            findings.omit(Severity::Error);
        }
    }
}

/// Why a schema cannot be used.
fn refusal(error: &ValidationError<'_>) -> Failure {
    let (code, why) = match error.kind() {
        ValidationErrorKind::Referencing(ReferencingError::UnknownSpecification { .. }) => {
            (code::BAD_SCHEMA, "$schema names no draft that is known")
        }
        ValidationErrorKind::Referencing(_) => {
            (code::SCHEMA_REFERENCE, "a $ref must lead to a place in the schema itself")
        }
        ValidationErrorKind::Format { format } if format == "regex" => {
            (code::SCHEMA_PATTERN, "a pattern must be a regular expression without look-around and backreferences")
        }
        _ => (code::BAD_SCHEMA, "no JSON Schema"),
    };
    let mut message = Cut::new(2 * QUOTE_LIMIT);
    let _ = write!(message, "{error}");
    Failure::permanent(
        code,
        format!("option schema: {why}: {} (at {:?})", message.text, error.instance_path().as_str()),
    )
}

/// What is wrong, and where in the schema it says so. Values that are quoted may be of any size.
fn message(error: &ValidationError<'_>) -> String {
    let mut message = Cut::new(QUOTE_LIMIT);
    let _ = write!(message, "{error}");
    let mut path = Cut::new(QUOTE_LIMIT);
    let _ = path.write_str(error.schema_path().as_str());
    let space = if path.text.is_empty() { "" } else { " " };
    format!("{} (schema{space}{})", message.text, path.text)
}

fn pointer(path: &Location) -> Option<String> {
    let mut pointer = Pointer::new();
    for segment in path.segments() {
        match segment {
            LocationSegment::Property(key) => pointer.push_key(key.as_bytes()),
            LocationSegment::Index(index) => pointer.push_index(index),
        }
    }
    pointer.as_str().map(str::to_owned)
}

/// Text that takes so many characters and then ends in an ellipsis, and refuses the rest, so that whoever writes
/// stops writing.
struct Cut {
    text: String,
    left: usize,
}

impl Cut {
    fn new(characters: usize) -> Self {
        Cut { text: String::new(), left: characters }
    }
}

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            if self.left == 0 {
                self.text.push('…');
                return Err(fmt::Error);
            }
            self.left -= 1;
            self.text.push(char);
        }
        Ok(())
    }
}

/// Where the first level begins that is too deep.
fn first_too_deep(body: &[u8]) -> usize {
    #[derive(Default)]
    struct Deep {
        depth: usize,
        at: Option<usize>,
    }
    impl Sink for Deep {
        fn begin_object(&mut self, at: usize) {
            self.begin_array(at);
        }
        fn end_object(&mut self, _end: usize) {
            self.depth -= 1;
        }
        fn begin_array(&mut self, at: usize) {
            self.depth += 1;
            if self.depth > DEPTH_LIMIT && self.at.is_none() {
                self.at = Some(at);
            }
        }
        fn end_array(&mut self, _end: usize) {
            self.depth -= 1;
        }
    }
    let mut deep = Deep::default();
    let _ = parse(body, &mut deep);
    deep.at.unwrap_or_default()
}
