//! The validator `json`: is a document JSON, by the letter of RFC 8259, and does it fit a schema?
//!
//! Every document goes through the strict parser first, which knows no limit of depth or size. Only then, and only if
//! the job gave a schema, a tree is built and shown to the schema: that part recurses, so that it is closed to
//! documents nested deeper than [`schema::DEPTH_LIMIT`]. Options are read and the schema is compiled once an instance.

mod check;
mod generate;
mod metadata;
mod schema;
mod tree;

use pigeon_plugin::{Failure, Findings, Item, Metadata, Options, Severity, TestCase, Validator};

use crate::check::Check;
use crate::schema::Schema;

/// What the job's options come to.
pub struct Json {
    check: Check,
    schema: Option<Schema>,
}

impl Validator for Json {
    fn new(options: &Options) -> Result<Self, Failure> {
        let duplicate_keys = options.choice(
            "duplicate_keys",
            &[("warning", Some(Severity::Warning)), ("error", Some(Severity::Error)), ("ignore", None)],
        )?;
        let check = Check::new(duplicate_keys.unwrap_or(Some(Severity::Warning)), options.parse("max_depth")?);
        let schema = options.get("schema")?.map(Schema::compile).transpose()?;
        Ok(Json { check, schema })
    }

    fn validate(&mut self, item: &Item, findings: &mut Findings) -> Result<(), Failure> {
        let Some(outline) = self.check.document(&item.body, findings) else { return Ok(()) };
        if let Some(schema) = &self.schema {
            schema.judge(&item.body, &outline, findings);
        }
        Ok(())
    }

    fn metadata(crate_says: Metadata) -> Metadata {
        metadata::metadata(crate_says)
    }

    fn generate_test_cases(count: u32, seed: u64) -> Result<Vec<TestCase>, Failure> {
        generate::test_cases(count, seed)
    }
}

pigeon_plugin::export!(Json);

#[cfg(test)]
mod tests;
