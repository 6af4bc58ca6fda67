//! `junit`: a test case for each item. Invalid is a `failure`, what could not be judged an `error`.
//!
//! JUnit XML has no standard but what its readers take: attributes in `testsuite` that count, `failure` and `error`
//! with `message` and `type`.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use pigeon_api::{Finding, ItemResult, JobStatus, Severity, Verdict};

use super::{Report, Setting};

/// Writes the suite, case by case.
pub(super) struct Junit<'a> {
    class: &'a str,
}

impl<'a> Junit<'a> {
    pub(super) fn begin(out: &mut dyn Write, status: &'a JobStatus, setting: &Setting) -> io::Result<Self> {
        let count = setting.count;
        let name = &status.plugin.metadata.name;
        let counts = format!(
            "tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{:.6}\"",
            count.total(),
            count.invalid,
            count.failures,
            status.times.total_ms / 1000.0
        );
        writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
        writeln!(out, "<testsuites name=\"pigeon\" {counts}>")?;
        writeln!(out, "  <testsuite name=\"{}\" {counts}>", escape(name))?;
        writeln!(out, "    <properties>")?;
        for (key, value) in [
            ("job_id", status.id.to_string()),
            ("plugin_version", status.plugin.metadata.version.clone()),
            ("plugin_digest", status.plugin.digest.to_string()),
            ("seed", status.request.seed.to_string()),
            ("planned_runs", status.planned_runs.to_string()),
            ("total_runs", status.total_runs.to_string()),
        ] {
            writeln!(out, "      <property name=\"{key}\" value=\"{}\"/>", escape(&value))?;
        }
        writeln!(out, "    </properties>")?;
        Ok(Self { class: name })
    }
}

impl Report for Junit<'_> {
    fn item(&mut self, out: &mut dyn Write, item: &ItemResult) -> io::Result<bool> {
        write!(
            out,
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.6}\"",
            escape(self.class),
            escape(&item.id),
            item.time_ms / 1000.0
        )?;
        let details = details(item);
        match (item.verdict, &item.failure) {
            (Verdict::Valid, _) if item.findings.is_empty() => {
                writeln!(out, "/>")?;
                return Ok(true);
            }
            (Verdict::Valid, _) => {
                writeln!(out, ">\n      <system-out>{}</system-out>", escape(&details))?;
            }
            (Verdict::Invalid, _) => {
                let first = item.findings.iter().find(|finding| finding.severity == Severity::Error);
                let (code, message) = first.map_or(("invalid", "invalid"), |first| (&first.code, &first.message));
                writeln!(
                    out,
                    ">\n      <failure type=\"{}\" message=\"{}\">{}</failure>",
                    escape(code),
                    escape(message),
                    escape(&details)
                )?;
            }
            (Verdict::Failure, failure) => {
                let (code, message) =
                    failure.as_ref().map_or(("unknown", ""), |failure| (&failure.code, &failure.message));
                writeln!(
                    out,
                    ">\n      <error type=\"{}\" message=\"{}\">{}</error>",
                    escape(code),
                    escape(message),
                    escape(&details)
                )?;
            }
        }
        writeln!(out, "    </testcase>")?;
        Ok(true)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "  </testsuite>\n</testsuites>")
    }
}

/// What there is to say of an item, a line each.
fn details(item: &ItemResult) -> String {
    let mut lines: Vec<String> = item.findings.iter().map(line).collect();
    let omitted = item.omitted.errors + item.omitted.warnings + item.omitted.infos;
    if omitted > 0 {
        lines.push(format!("... and {omitted} more"));
    }
    if let Some(failure) = &item.failure {
        lines.push(format!("{}: {}", failure.cause, failure.message));
        lines.extend(failure.backtrace.iter().map(|frame| format!("  {frame}")));
    }
    lines.join("\n")
}

fn line(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let mut line = format!("{severity} {}: {}", finding.code, finding.message);
    if let Some(at) = place(finding) {
        line.push_str(&format!(" ({at})"));
    }
    line
}

/// Where a finding is, for people: `line 3, column 7, at /a/b`.
pub(super) fn place(finding: &Finding) -> Option<String> {
    let place = &finding.place;
    let mut parts = Vec::new();
    match (place.line, place.column, place.offset) {
        (Some(line), Some(column), _) => parts.push(format!("line {line}, column {column}")),
        (Some(line), None, _) => parts.push(format!("line {line}")),
        (None, _, Some(offset)) => parts.push(format!("byte {offset}")),
        (None, _, None) => {}
    }
    if let Some(pointer) = place.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
        parts.push(format!("at {pointer}"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Text as it may stand in XML, in an attribute as well. Characters that XML forbids even as references are replaced.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    let forbidden =
        |c: char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    if !text.contains(|c: char| forbidden(c) || matches!(c, '<' | '>' | '&' | '"' | '\'' | '\n' | '\r' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // Readers make spaces of these in attributes.
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            '\t' => escaped.push_str("&#9;"),
            c if forbidden(c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}
