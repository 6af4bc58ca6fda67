//! The OpenAPI document.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn the_document_is_served_and_whole() {
    let api = api().await;
    let served = json(api.request(Method::GET, "/openapi.json").send().await.unwrap()).await;
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(served["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    assert_eq!(served["components"]["schemas"]["TokenInfo"]["properties"]["created_ms"]["format"], "int64");
    assert_eq!(served["components"]["schemas"]["Appended"]["properties"]["items"]["format"], "uint64");
    let mut ids = BTreeSet::new();
    let mut references = Vec::new();
    collect(&served, &mut references);
    for reference in references {
        let schema = served.pointer(reference.trim_start_matches('#'));
        assert!(schema.is_some(), "{reference} is nowhere");
    }
    for (path, item) in served["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
                "{what}: its id is another's too"
            );
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{what} is not described");
            let content = &operation["responses"]["default"]["content"]["application/problem+json"];
            assert_eq!(content["schema"]["$ref"], "#/components/schemas/Problem", "{what}");
            if path.starts_with("/api/v1") {
                assert!(operation["security"][0]["bearer"][0].is_string(), "{what} needs no role");
            }
        }
    }
}

/// All `$ref`s.
fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                references.push(reference.clone());
            }
            members.values().for_each(|member| collect(member, references));
        }
        Value::Array(members) => members.iter().for_each(|member| collect(member, references)),
        _ => {}
    }
}
