//! What the validator says of itself.

use pigeon_plugin::Metadata;
use strict_json::ErrorKind;

use crate::schema::DEPTH_LIMIT;

/// Findings and failures that are the validator's own; those of the parser have the parser's codes.
pub(crate) mod code {
    pub(crate) const BOM: &str = "bom";
    pub(crate) const DUPLICATE_KEY: &str = "duplicate-key";
    pub(crate) const TOO_DEEP: &str = "too-deep";
    pub(crate) const TOO_DEEP_FOR_SCHEMA: &str = "too-deep-for-schema";
    pub(crate) const SCHEMA_VIOLATION: &str = "schema-violation";
    pub(crate) const BAD_SCHEMA: &str = "bad-schema";
    pub(crate) const SCHEMA_REFERENCE: &str = "schema-reference";
    pub(crate) const SCHEMA_PATTERN: &str = "schema-pattern";
}

/// Everything that hosts and people are told before the first run.
pub(crate) fn metadata(crate_says: Metadata) -> Metadata {
    let mut metadata = crate_says
        .description(
            "Judges JSON documents strictly by RFC 8259, and by a JSON Schema where one is given. Findings have line, \
             column, byte offset and JSON Pointer. Nesting of any depth is read; a byte order mark is skipped with a \
             warning.",
        )
        .format("application/json")
        .option(
            "schema",
            "a JSON Schema that documents must fit: draft 2020-12 unless its $schema says another. References must \
             stay inside it, patterns must need no backtracking, and format is checked where the draft asks for it",
        )
        .option_or("duplicate_keys", "warning", "what a repeated key of an object is: warning, error or ignore")
        .option("max_depth", "the deepest nesting of objects and arrays that is no error; any if not given");
    for kind in ErrorKind::ALL {
        metadata = metadata.error(kind.code(), kind.describe());
    }
    metadata
        .warning(code::BOM, "the document begins with a byte order mark, which was skipped")
        .warning(code::DUPLICATE_KEY, "a key stands twice in one object; the option duplicate_keys makes it an error")
        .error(code::TOO_DEEP, "the document is nested deeper than the option max_depth allows")
        .error(
            code::TOO_DEEP_FOR_SCHEMA,
            &format!(
                "the document is nested deeper than {DEPTH_LIMIT}, so that it cannot be checked against the schema"
            ),
        )
        .error(code::SCHEMA_VIOLATION, "the document does not fit the schema")
        .failure("bad-option", "an option has a value that cannot be used")
        .failure(code::BAD_SCHEMA, "the option schema is no JSON Schema")
        .failure(code::SCHEMA_REFERENCE, "a $ref leads out of the schema, or to nowhere in it")
        .failure(code::SCHEMA_PATTERN, "a pattern is no regular expression, or one that needs backtracking")
        .failure("too-many-cases", "more test cases were asked for than are made at once")
        .shared()
        // The tree that a schema is shown is what takes the memory: a value of two bytes in the text (`0,`) becomes
        // one of 24 and a number's text of its own.
        .memory(16 << 20, 24.0)
}
