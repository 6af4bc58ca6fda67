//! Cases in folders: an item, the options of its job and the answer that is expected, side by side.
//!
//! ```text
//! cases/json/duplicate-key/
//!     item.json        the item: the one file whose stem is `item`, of any extension; its name is the item's id
//!     options.json     {"duplicate_keys": "error"}; none where the file is missing
//!     expected.json    what the validator answers
//! ```
//!
//! The same folders serve a host that wants to know whether components answer alike inside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::{Failure, FailureKind, Finding, Item, Judgement, Options, Severity, Validator, judge};

/// A case, as it lies on disk.
#[derive(Debug, Clone)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    /// The item.
    pub item: Item,
    /// The options of the job, by name.
    pub options: Vec<(String, String)>,
    /// What is expected, in the form that [`answer`] gives; `Null` where there is nothing yet.
    pub expected: Value,
    folder: PathBuf,
}

/// Reads all cases in `folder`, by name.
///
/// # Errors
/// What reading the files comes to; a folder without an item, or JSON that is none, is invalid data.
pub fn cases(folder: &Path) -> io::Result<Vec<Case>> {
    let mut folders = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders.into_iter().map(case).collect()
}

fn case(folder: PathBuf) -> io::Result<Case> {
    let named = |name: &str| match fs::read(folder.join(name)) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| invalid(&folder, &format!("{name}: {error}"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(error),
    };
    let options = named("options.json")?;
    let expected = named("expected.json")?;
    let mut item = None;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.file_stem().is_some_and(|stem| stem == "item") {
            let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            item = Some(Item::new(id, fs::read(&path)?));
        }
    }
    let options = options.as_object().into_iter().flatten();
    Ok(Case {
        name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        item: item.ok_or_else(|| invalid(&folder, "no item"))?,
        options: options.map(|(key, value)| (key.clone(), text(value))).collect(),
        expected,
        folder,
    })
}

/// An option's value: a string as it is, anything else as the JSON that it is.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn invalid(folder: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", folder.display()))
}

/// Judges every case in `folder` with `V`, natively. With the variable `UPDATE_CASES` set, what is answered becomes
/// what is expected: for new cases, and to be read before it is committed.
///
/// # Errors
/// The names of the cases that were answered otherwise, with both answers; that there is no case; or what reading
/// them came to.
pub fn check<V: Validator>(folder: &Path) -> Result<(), String> {
    let cases = cases(folder).map_err(|error| error.to_string())?;
    if cases.is_empty() {
        return Err(format!("no case in {}", folder.display()));
    }
    let mut wrong = String::new();
    for case in cases {
        let answered = answer(&judge::<V>(&Options::of(case.options.clone()), &case.item));
        if answered == case.expected {
            continue;
        }
        if std::env::var_os("UPDATE_CASES").is_some() {
            let path = case.folder.join("expected.json");
            fs::write(&path, format!("{answered:#}\n")).map_err(|error| format!("{}: {error}", path.display()))?;
        } else {
            wrong.push_str(&format!("{}: expected {:#}\nanswered {answered:#}\n", case.name, case.expected));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// An answer as JSON. What is empty is left out.
#[must_use]
pub fn answer(answer: &Result<Judgement, Failure>) -> Value {
    let judgement = match answer {
        Ok(judgement) => judgement,
        Err(failure) => {
            let kind = match failure.kind {
                FailureKind::Permanent => "permanent",
                FailureKind::Transient => "transient",
            };
            return json!({ "verdict": "failure", "kind": kind, "code": failure.code, "message": failure.message });
        }
    };
    let mut out = Map::new();
    out.insert("verdict".to_owned(), json!(if judgement.is_valid() { "valid" } else { "invalid" }));
    if !judgement.findings.is_empty() {
        out.insert("findings".to_owned(), judgement.findings.iter().map(finding).collect());
    }
    let omitted = &judgement.omitted;
    if omitted.errors + omitted.warnings + omitted.infos > 0 {
        let counts = json!({ "errors": omitted.errors, "warnings": omitted.warnings, "infos": omitted.infos });
        out.insert("omitted".to_owned(), counts);
    }
    if let Some(score) = judgement.score {
        out.insert("score".to_owned(), json!(score));
    }
    if let Some(data) = &judgement.data {
        out.insert("data".to_owned(), json!(data));
    }
    Value::Object(out)
}

fn finding(finding: &Finding) -> Value {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let mut out = json!({ "severity": severity, "code": finding.code, "message": finding.message });
    if let Some(place) = &finding.place {
        let parts = [
            ("line", json!(place.line)),
            ("column", json!(place.column)),
            ("offset", json!(place.offset)),
            ("pointer", json!(place.pointer)),
        ];
        out["place"] =
            parts.into_iter().filter(|(_, part)| !part.is_null()).map(|(name, part)| (name.to_owned(), part)).collect();
    }
    out
}
