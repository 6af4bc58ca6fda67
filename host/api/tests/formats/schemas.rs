//! The JSON Schemas of what `-o json` prints and the REST API answers: made of the types, kept in `schemas/`, and held to
//! what the types really write. `UPDATE=1` writes them anew.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use pigeon_api::report::{Report, ReportRun};
use pigeon_api::{
    AgentDetail, AgentStatus, ContextInfo, ContextList, DeadLetter, Deeds, Event, HostStats, HostStatus, ItemResult,
    JobEvent, JobRequest, JobStatus, JobSummary, JoinInfo, Landed, NewJoinToken, NewToken, PluginInfo, PluginLimits,
    Problem, RunResult, ScheduleInfo, ScheduleSpec, Submission, TokenInfo,
    page::{
        AgentList, AllTokens, Broken, Count, DeadDocument, DeadPage, DeadSelection, EventPage, JobList, JobPage,
        JoinTokenList, PluginList, RunList, ScheduleList, TokenList,
    },
};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::samples;

/// A schema of one type, with all that it names.
fn schema<T: PartialSchema + ToSchema>(id: &str) -> Value {
    let mut named = Vec::new();
    T::schemas(&mut named);
    let mut root = serde_json::to_value(T::schema()).unwrap();
    let definitions: BTreeMap<String, Value> =
        named.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap())).collect();
    let root = root.as_object_mut().unwrap();
    if !definitions.is_empty() {
        root.insert("$defs".to_owned(), json!(definitions));
    }
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("$id".to_owned(), json!(format!("urn:pigeon:schema:{id}")));
    schema.insert("title".to_owned(), json!(T::name()));
    schema.append(root);
    let mut schema = Value::Object(schema);
    as_json_schema(&mut schema);
    schema
}

/// What OpenAPI writes in another way: where definitions lie, and examples.
fn as_json_schema(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get_mut("$ref") {
                *target = target.replace("#/components/schemas/", "#/$defs/");
            }
            // A property may be called so as well; then it is a schema, and no example.
            if let Some(example) = fields.remove("example") {
                match example {
                    Value::Object(_) => fields.insert("example".to_owned(), example),
                    example => fields.insert("examples".to_owned(), json!([example])),
                };
            }
            fields.values_mut().for_each(as_json_schema);
        }
        Value::Array(values) => values.iter_mut().for_each(as_json_schema),
        _ => {}
    }
}

macro_rules! schemas {
    ($($file:literal => $type:ty,)*) => {
        /// All of them, by the name of their file.
        fn schemas() -> BTreeMap<&'static str, Value> {
            BTreeMap::from([$(($file, schema::<$type>($file))),*])
        }
    };
}

schemas! {
    "agent-detail" => AgentDetail,
    "agent-list" => AgentList,
    "agent-status" => AgentStatus,
    "all-tokens" => AllTokens,
    "broken" => Broken,
    "context-info" => ContextInfo,
    "context-list" => ContextList,
    "count" => Count,
    "dead-document" => DeadDocument,
    "dead-letter" => DeadLetter,
    "dead-page" => DeadPage,
    "dead-selection" => DeadSelection,
    "deeds" => Deeds,
    "event" => Event,
    "event-page" => EventPage,
    "host-stats" => HostStats,
    "host-status" => HostStatus,
    "item-result" => ItemResult,
    "job-event" => JobEvent,
    "job-list" => JobList,
    "job-page" => JobPage,
    "job-request" => JobRequest,
    "job-status" => JobStatus,
    "job-summary" => JobSummary,
    "join-info" => JoinInfo,
    "join-token-list" => JoinTokenList,
    "landed" => Landed,
    "new-join-token" => NewJoinToken,
    "new-token" => NewToken,
    "plugin-info" => PluginInfo,
    "plugin-limits" => PluginLimits,
    "plugin-list" => PluginList,
    "problem" => Problem,
    "report" => Report,
    "report-run" => ReportRun,
    "run-list" => RunList,
    "run-result" => RunResult,
    "schedule-info" => ScheduleInfo,
    "schedule-list" => ScheduleList,
    "schedule-spec" => ScheduleSpec,
    "submission" => Submission,
    "token-info" => TokenInfo,
    "token-list" => TokenList,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

#[test]
fn the_schemas_that_are_kept_are_those_of_the_types() {
    let update = env::var_os("UPDATE").is_some();
    let made: BTreeMap<String, Value> =
        schemas().into_iter().map(|(name, schema)| (format!("{name}.json"), schema)).collect();
    if update {
        fs::create_dir_all(folder()).unwrap();
    }
    let kept = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for name in kept.filter(|name| !made.contains_key(name)) {
        assert!(update, "schemas/{name} is of no type: UPDATE=1 removes it");
        fs::remove_file(folder().join(name)).unwrap();
    }
    for (name, made) in made {
        let path = folder().join(&name);
        if update {
            fs::write(&path, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
        }
        let kept: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap_or_default()).unwrap_or_default();
        assert!(kept == made, "schemas/{name} is not that of its type any more: UPDATE=1 writes it anew");
    }
}

/// Whatever is named in a schema is defined in it.
#[test]
fn every_schema_stands_alone() {
    fn targets(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| targets(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| targets(value, found)),
            _ => {}
        }
    }
    for (name, schema) in schemas() {
        let mut found = Vec::new();
        targets(&schema, &mut found);
        for target in found {
            let pointer = target.strip_prefix('#').unwrap_or_else(|| panic!("{name}: {target} is outside"));
            assert!(schema.pointer(pointer).is_some(), "{name}: {target} is not there");
        }
        jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn what_the_types_write_is_what_the_schemas_say() {
    let mut untried = schemas();
    for (name, values) in samples::all() {
        let schema = untried.remove(name).unwrap_or_else(|| panic!("{name} has no schema"));
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        for value in values {
            let errors: Vec<String> =
                validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{name}: {errors:#?} in {value:#}");
        }
        assert!(!validator.is_valid(&json!(false)), "{name} holds of anything");
    }
    assert!(untried.is_empty(), "nothing is tried of {:?}", untried.keys());
}
