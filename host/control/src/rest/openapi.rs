//! The OpenAPI document, made of the handlers' annotations.

use pigeon_api::{PROBLEM_MEDIA_TYPE, Problem};
use serde_json::Value;
use utoipa::{
    OpenApi, PartialSchema as _,
    openapi::{
        Components, ContentBuilder, Ref, RefOr, ResponseBuilder,
        path::Operation,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::router;

/// What stands above all routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Pigeon",
        description = "A durable queue of items to be validated by plugins, which many people and many agents share.\n\n\
            A job is opened (`POST /api/v1/jobs`), appended to (chunks, or lines) and sealed; its items are judged as they \
            come. What was answered is on disk. Errors are problem documents (RFC 9457). A token carries a role: viewer, \
            submitter, publisher, operator or admin, of which each may do what those before it may; the role that an \
            operation needs stands in its security requirement.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "jobs", description = "Jobs, from their submission to their results"),
        (name = "dead letters", description = "Runs that could not be judged"),
        (name = "plugins", description = "What judges"),
        (name = "schedules", description = "Jobs that are submitted when their time comes"),
        (name = "fleet", description = "Agents, and the tokens with which they join"),
        (name = "tokens", description = "Who may do what over this API"),
        (name = "events", description = "The log of all that happens, and figures"),
        (name = "host", description = "The control host itself"),
    )
)]
struct Base;

/// The OpenAPI document of the API, as JSON.
pub fn document() -> String {
    let mut document = Base::openapi();
    for routes in [router::always(), router::short(), router::uploads(), router::long()] {
        document.merge(routes.into_openapi());
    }
    let components = document.components.get_or_insert_with(Components::new);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let bearer = bearer.description(Some("A token of `pigeon token create`, or the one of the first start")).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.schemas.insert("Problem".to_owned(), Problem::schema());
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        operations.into_iter().flatten().for_each(complete);
    }
    // Our own document: it can always be written.
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    without_signs(&mut document);
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

/// Numbers that are never negative are written as signed ones, which only hold the half of them: say what they are.
fn without_signs(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let unsigned = members.get("minimum").and_then(Value::as_u64).is_some();
            let format = match members.get("format").and_then(Value::as_str) {
                Some("int64") if unsigned => Some("uint64"),
                Some("int32") if unsigned => Some("uint32"),
                _ => None,
            };
            if let Some(format) = format {
                members.insert("format".to_owned(), format.into());
            }
            members.values_mut().for_each(without_signs);
        }
        Value::Array(members) => members.iter_mut().for_each(without_signs),
        _ => {}
    }
}

/// Say of an operation what is true of all of them: whatever goes wrong is told in the same way.
fn complete(operation: &mut Operation) {
    let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let problem =
        ResponseBuilder::new().description("It could not be done, and why").content(PROBLEM_MEDIA_TYPE, content);
    operation.responses.responses.entry("default".to_owned()).or_insert_with(|| RefOr::T(problem.build()));
}
