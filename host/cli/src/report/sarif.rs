//! `sarif` 2.1.0: a result for each finding of each item, and for each item that could not be judged.

use std::io::{self, Write};

use pigeon_api::{FailureInfo, Finding, ItemResult, JobStatus, Severity};
use serde_json::{Map, Value, json};

use super::{Report, Setting, file_of};
use crate::input::{STDIN, Split};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Writes the log, result by result.
pub(super) struct Sarif<'a> {
    status: &'a JobStatus,
    setting: &'a Setting,
    any: bool,
}

impl<'a> Sarif<'a> {
    pub(super) fn begin(out: &mut dyn Write, status: &'a JobStatus, setting: &'a Setting) -> io::Result<Self> {
        let metadata = &status.plugin.metadata;
        let rules: Vec<Value> = metadata
            .codes
            .iter()
            .map(|code| {
                json!({
                    "id": code.code,
                    "shortDescription": { "text": code.description },
                    "defaultConfiguration": { "level": code.severity.map_or("error", level) },
                })
            })
            .collect();
        let driver = json!({
            "name": metadata.name,
            "semanticVersion": metadata.version,
            "fullDescription": { "text": metadata.description },
            "rules": rules,
            "properties": { "digest": status.plugin.digest.to_string() },
        });
        writeln!(out, "{{\n  \"$schema\": {},\n  \"version\": \"2.1.0\",\n  \"runs\": [{{", json!(SCHEMA))?;
        writeln!(out, "    \"tool\": {{ \"driver\": {driver} }},")?;
        // Places count characters, not UTF-16 units.
        writeln!(out, "    \"columnKind\": \"unicodeCodePoints\",")?;
        write!(out, "    \"results\": [")?;
        Ok(Self { status, setting, any: false })
    }

    fn write(&mut self, out: &mut dyn Write, result: &Value) -> io::Result<()> {
        out.write_all(if self.any { b",\n      " } else { b"\n      " })?;
        self.any = true;
        serde_json::to_writer(out, result)?;
        Ok(())
    }
}

impl Report for Sarif<'_> {
    fn item(&mut self, out: &mut dyn Write, item: &ItemResult) -> io::Result<bool> {
        let (file, split) = file_of(&item.id, self.setting.inputs.as_ref());
        let uri = uri(if file == STDIN { "stdin" } else { file });
        for finding in &item.findings {
            let result = json!({
                "ruleId": finding.code,
                "level": level(finding.severity),
                "message": { "text": finding.message },
                "locations": [location(item, &uri, region(item, split, Some(finding)), Some(finding))],
            });
            self.write(out, &result)?;
        }
        if let Some(failure) = &item.failure {
            let result = json!({
                "ruleId": failure.code,
                "level": "error",
                "message": { "text": failure_text(failure) },
                "locations": [location(item, &uri, region(item, split, None), None)],
                "properties": { "cause": failure.cause },
            });
            self.write(out, &result)?;
        }
        Ok(true)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(if self.any { b"\n    ],\n" } else { b"],\n" })?;
        let status = self.status;
        let invocation = json!({
            "executionSuccessful": status.failures == 0 && status.total_runs == status.planned_runs,
            "properties": { "job_id": status.id.to_string(), "seed": status.request.seed },
        });
        writeln!(out, "    \"invocations\": [{invocation}]\n  }}]\n}}")
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

fn failure_text(failure: &FailureInfo) -> String {
    format!("could not be judged: {}", failure.message)
}

fn location(item: &ItemResult, uri: &str, region: Option<Value>, finding: Option<&Finding>) -> Value {
    let mut physical = Map::new();
    physical.insert("artifactLocation".to_owned(), json!({ "uri": uri }));
    if let Some(region) = region {
        physical.insert("region".to_owned(), region);
    }
    let pointer = finding.and_then(|finding| finding.place.pointer.as_deref()).unwrap_or_default();
    let name = format!("{}{}", item.id, if pointer.is_empty() { String::new() } else { format!("#{pointer}") });
    json!({
        "physicalLocation": physical,
        "logicalLocations": [{ "fullyQualifiedName": name }],
    })
}

/// The place in the file: where the item begins, and where the finding is in the item.
fn region(item: &ItemResult, split: Split, finding: Option<&Finding>) -> Option<Value> {
    let begin = item.line.max(1);
    let place = finding.map(|finding| &finding.place);
    let line = place.and_then(|place| place.line).map(u64::from);
    let column = place.and_then(|place| place.column).map(u64::from);
    // A row was written anew: of what is in it only the row's own place in the file is known.
    let (line, column) = match (split, line) {
        (Split::Csv, _) => (begin, None),
        // The first line of an element begins somewhere in a line.
        (Split::Array, Some(line)) if line > 1 => (begin + line - 1, column),
        (Split::Array, _) => (begin, None),
        (_, Some(line)) => (begin + line - 1, column),
        (Split::Whole, None) => return None,
        (_, None) => (begin, None),
    };
    let mut region = Map::new();
    region.insert("startLine".to_owned(), json!(line));
    if let Some(column) = column {
        region.insert("startColumn".to_owned(), json!(column));
    }
    Some(Value::Object(region))
}

/// A path as a relative or absolute URI reference (RFC 3986).
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    if path.starts_with('/') { format!("file://{uri}") } else { uri }
}
