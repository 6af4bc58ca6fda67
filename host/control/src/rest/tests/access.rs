//! Who may do what: as the OpenAPI document says it, for every operation that it has.

use reqwest::Method;
use serde_json::Value;

use super::*;

/// Every operation of the document: its method, a path with something for each of its parameters, and the role it needs.
fn operations() -> Vec<(Method, String, Option<Role>)> {
    let document: Value = serde_json::from_str(&super::super::openapi_document()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let role = operation["security"][0]["bearer"][0].as_str().map(|role| role.parse().unwrap());
            let job = "01890a5d-ac96-774b-bcce-b302099a8057";
            let id = if path.starts_with("/api/v1/dead") { format!("{job}:1") } else { job.to_owned() };
            let path = path.replace("{id}", &id).replace("{seq}", "0");
            let path = path.replace("{reference}", "echo").replace("{name}", "echo");
            operations.push((method.to_uppercase().parse().unwrap(), path, role));
        }
    }
    assert!(operations.len() > 40, "{operations:?}");
    operations
}

#[tokio::test]
async fn every_operation_needs_the_role_that_the_document_says() {
    let api = api().await;
    for (method, path, role) in operations() {
        let Some(role) = role else {
            let open = ["/health", "/ready", "/metrics", "/openapi.json"];
            assert!(open.contains(&&*path), "{path} is open to all");
            continue;
        };
        let what = format!("{method} {path}");
        let refused = api.request(method.clone(), &path).send().await.unwrap();
        assert_eq!(refused.headers()["www-authenticate"], "Bearer realm=\"pigeon\"", "{what}");
        assert_eq!(problem(refused).await.kind, "unauthorized", "{what}");
        let unknown = api.request(method.clone(), &path).bearer_auth("guess").send().await.unwrap();
        assert_eq!(unknown.status(), StatusCode::UNAUTHORIZED, "{what}");
        for other in Role::ALL {
            // The least that it must not be: what comes behind the door is another matter.
            let answer = api.request(method.clone(), &format!("{path}?nonsense=1")).bearer_auth(other).send().await;
            let status = answer.unwrap().status();
            let expected = if other < role { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
            assert_eq!(status, expected, "{what} as {other}");
        }
    }
}

#[tokio::test]
async fn a_submitter_controls_its_own_jobs_and_an_operator_all() {
    let api = api().await;
    let (own, foreign) = (api.job_of(Role::Submitter).await, api.job_of(Role::Admin).await);
    let ask = |method: Method, path: String, role: Role| {
        let request = api.request(method, &path).bearer_auth(role);
        async move { request.send().await.unwrap() }
    };
    for deed in ["seal", "pause", "resume", "cancel"] {
        for (job, role, allowed) in [
            (&own, Role::Submitter, true),
            (&foreign, Role::Submitter, false),
            (&foreign, Role::Publisher, false),
            (&foreign, Role::Operator, true),
            (&own, Role::Operator, true),
        ] {
            let answer = ask(Method::POST, format!("/api/v1/jobs/{job}/{deed}"), role).await;
            let status = answer.status();
            assert_eq!(status.is_success(), allowed, "{deed} of {job} as {role}: {status}");
            if !allowed {
                let problem = problem(answer).await;
                assert_eq!(problem.kind, "forbidden");
                assert!(problem.detail.contains("somebody else"), "{problem:?}");
            }
        }
    }
    assert_eq!(ask(Method::DELETE, format!("/api/v1/jobs/{foreign}"), Role::Submitter).await.status(), 403);
    assert_eq!(ask(Method::DELETE, format!("/api/v1/jobs/{own}"), Role::Submitter).await.status(), 204);
}

#[tokio::test]
async fn a_submitter_has_letters_of_its_own_jobs_tried_again_and_an_operator_all() {
    let api = api().await;
    let (own, foreign) = (api.job_of(Role::Submitter).await, api.job_of(Role::Admin).await);
    let both = [format!("{own}:1"), format!("{foreign}:1")];
    for deed in ["retry", "discard"] {
        for (selection, role, status) in [
            (serde_json::json!({"job": own, "code": "timeout"}), Role::Submitter, 200),
            (serde_json::json!({"ids": both[..1]}), Role::Submitter, 200),
            (serde_json::json!({"ids": both}), Role::Submitter, 403),
            (serde_json::json!({"job": own, "ids": both[1..]}), Role::Submitter, 403),
            (serde_json::json!({"job": foreign}), Role::Publisher, 403),
            (serde_json::json!({"code": "timeout"}), Role::Submitter, 403),
            (serde_json::json!({"all": true}), Role::Submitter, 403),
            (serde_json::json!({"job": "01890a5d-ac96-774b-bcce-b302099a8057"}), Role::Submitter, 404),
            (serde_json::json!({"ids": both}), Role::Operator, 200),
            (serde_json::json!({"all": true}), Role::Operator, 200),
            (serde_json::json!({"job": own}), Role::Viewer, 403),
        ] {
            let request = api.request(Method::POST, &format!("/api/v1/dead/{deed}")).bearer_auth(role);
            let answer = request.json(&selection).send().await.unwrap();
            assert_eq!(answer.status(), status, "{deed} of {selection} as {role}");
        }
    }
    let done = api.double.queue.selections.lock().unwrap().len();
    assert_eq!(done, 8, "nothing is done of what is refused");
}

#[tokio::test]
async fn powers_beyond_the_manifest_are_an_operators_to_grant() {
    let api = api().await;
    let body = serde_json::json!({"plugin": "echo", "grants": ["llm"]});
    for (role, status) in [(Role::Submitter, 403), (Role::Publisher, 403), (Role::Operator, 201), (Role::Admin, 201)] {
        let answer = api.request(Method::POST, "/api/v1/jobs").bearer_auth(role).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), status, "{role}");
    }
}

#[tokio::test]
async fn what_is_no_token_is_told_as_such() {
    let api = api().await;
    let ask = |header: &'static [&'static str]| {
        let mut request = api.request(Method::GET, "/api/v1/jobs");
        for value in header {
            request = request.header("authorization", *value);
        }
        async move { request.send().await.unwrap() }
    };
    for good in ["Bearer viewer", "bearer viewer", "BEARER  viewer "] {
        assert_eq!(ask(Box::leak(Box::new([good]))).await.status(), 200, "{good}");
    }
    for bad in [&["Basic viewer"][..], &["viewer"], &["Bearer"], &["Bearer "], &["Bearer viewer", "Bearer admin"]] {
        assert_eq!(problem(ask(bad).await).await.status, 401, "{bad:?}");
    }
}

#[tokio::test]
async fn figures_need_no_token_on_the_same_machine_unless_they_are_forwarded() {
    let api = api().await;
    let direct = api.request(Method::GET, "/metrics").send().await.unwrap();
    assert_eq!(direct.status(), 200);
    assert!(direct.text().await.unwrap().contains("pigeon_runs_total{verdict=\"valid\"} 3"));
    let forwarded = || api.request(Method::GET, "/metrics").header("x-forwarded-for", "192.0.2.1");
    assert_eq!(problem(forwarded().send().await.unwrap()).await.status, 401);
    assert_eq!(forwarded().bearer_auth(Role::Viewer).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn plain_http_is_for_loopback() {
    let config = RestConfig { listen: "0.0.0.0:0".parse().unwrap(), tls: None, limits: RestLimits::default() };
    let refused = Server::bind(config, std::sync::Arc::new(Double::default())).await;
    assert!(matches!(refused, Err(super::super::RestError::Plain { .. })));
}

#[tokio::test]
async fn over_tls_the_certificate_is_checked_and_may_be_changed() {
    let _ = client();
    let ca = pigeon_hub::CertificateAuthority::new_in_memory().unwrap();
    let certificate = || ca.server(&["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let config = RestConfig { listen, tls: Some(certificate()), limits: RestLimits::default() };
    let server = Server::bind(config, std::sync::Arc::new(Double::default())).await.unwrap();
    let url = format!("https://localhost:{}/health", server.address().port());
    let root = reqwest::Certificate::from_der(ca.certificate()).unwrap();
    let trusting = || reqwest::Client::builder().tls_certs_only([root.clone()]).build().unwrap();
    let answer = trusting().get(&url).send().await.unwrap();
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, reqwest::Version::HTTP_2));
    assert!(answer.headers().contains_key("strict-transport-security"));
    server.set_certificate(certificate()).unwrap();
    assert_eq!(trusting().get(&url).send().await.unwrap().status(), 200);
    let other = pigeon_hub::CertificateAuthority::new_in_memory().unwrap();
    let other = reqwest::Certificate::from_der(other.certificate()).unwrap();
    let wary = reqwest::Client::builder().tls_certs_only([other]).build().unwrap();
    assert!(wary.get(&url).send().await.is_err());
    server.shutdown(Duration::from_secs(5)).await;
}
