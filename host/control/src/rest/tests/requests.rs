//! What is true of every request: how it is refused, and what stands in the header of its answer.

use super::*;

#[tokio::test]
async fn whatever_is_wrong_is_told_as_a_problem() {
    let api = api().await;
    let job = api.job_of(Role::Admin).await;
    let submit = || api.post("/api/v1/jobs").header("content-type", "application/json");
    let cases = [
        (api.get("/api/v1/nothing"), 404, "not-found", "there is no /api/v1/nothing"),
        (api.put("/api/v1/jobs"), 405, "bad-request", "PUT cannot be done"),
        (api.get("/api/v1/jobs/7"), 400, "bad-request", "\"7\""),
        (api.get("/api/v1/jobs?limit=x"), 400, "bad-request", "limit"),
        (api.get("/api/v1/jobs?limit=0"), 400, "bad-request", "at least one"),
        (api.put("/api/v1/plugins/echo/limits").json(&[1]), 422, "bad-request", "it is a list"),
        (api.get("/api/v1/jobs?limits=7"), 400, "bad-request", "`limits` is not known: there are `state`"),
        (api.get(&format!("/api/v1/jobs/{job}?x=1")), 400, "bad-request", "`x` is not known: nothing can be said here"),
        (api.get("/api/v1/jobs/01890a5d-ac96-774b-bcce-b302099a8057"), 404, "not-found", "there is no job"),
        (api.post("/api/v1/jobs"), 415, "bad-request", "is not said"),
        (api.post("/api/v1/jobs").header("content-type", "text/plain").body("{}"), 415, "bad-request", "text/plain"),
        (submit().body("{"), 400, "bad-request", "(line 1, column 1): it ends within an object"),
        (submit().body("{}"), 422, "bad-request", "`plugin` is missing"),
        (
            submit().body(r#"{"plugin":"echo","itmes":[]}"#),
            422,
            "bad-request",
            "`itmes` (line 1, column 24) is not known: there are `plugin`, `items`",
        ),
        (
            submit().body(r#"{"plugin":"echo","limits":{"cpus":1}}"#),
            422,
            "bad-request",
            "`limits.cpus` (line 1, column 33) is not known: there are `cpu_ms`",
        ),
        (submit().body(r#"{"plugin":"ehco"}"#), 404, "not-found", "no plugin"),
        (submit().body(r#"{"plugin":"echo"}"#).header("idempotency-key", ""), 400, "bad-request", "a key has"),
        (
            submit().body(r#"{"plugin":"echo","key":"a"}"#).header("idempotency-key", "b"),
            400,
            "bad-request",
            "different",
        ),
        (api.post("/api/v1/dead/retry").json(&serde_json::json!({})), 400, "bad-request", "nothing says"),
        (api.get("/api/v1/dead/7"), 400, "bad-request", "JOB:RUN"),
        (
            api.post("/api/v1/plugins").header("content-type", "application/wasm").body("no"),
            400,
            "bad-request",
            "no component",
        ),
        (api.delete(&format!("/api/v1/jobs/{job}")), 409, "conflict", "not ended"),
    ];
    for (request, status, kind, words) in cases {
        let answer = request.send().await.unwrap();
        let problem = problem(answer).await;
        assert_eq!((problem.status, &*problem.kind), (status, kind), "{problem:?}");
        assert!(problem.detail.contains(words), "{words:?} in {problem:?}");
    }
}

#[tokio::test]
async fn methods_that_a_path_has_are_told() {
    let api = api().await;
    let refused = api.delete("/api/v1/jobs").send().await.unwrap();
    assert_eq!(
        (refused.status(), refused.headers()["allow"].to_str().unwrap()),
        (StatusCode::METHOD_NOT_ALLOWED, "POST,GET,HEAD")
    );
    let options = api.request(Method::OPTIONS, "/api/v1/jobs").send().await.unwrap();
    assert_eq!(
        (options.status(), options.headers()["allow"].to_str().unwrap()),
        (StatusCode::NO_CONTENT, "POST,GET,HEAD")
    );
    let get = api.get("/api/v1/jobs").send().await.unwrap();
    let head = api.request(Method::HEAD, "/api/v1/jobs").bearer_auth(Role::Viewer).send().await.unwrap();
    assert_eq!((head.status(), &head.headers()["content-length"]), (StatusCode::OK, &get.headers()["content-length"]));
    assert!(head.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_next_request_is_none_of_its_business() {
    let api = api().await;
    api.double.queue.panics.store(true, std::sync::atomic::Ordering::SeqCst);
    let broken = problem(api.get("/api/v1/stats").send().await.unwrap()).await;
    assert_eq!((broken.status, &*broken.kind), (500, "internal"));
    assert!(!broken.detail.contains("double"), "what it was is for the log: {broken:?}");
    api.double.queue.panics.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(api.get("/api/v1/stats").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn every_answer_has_an_id_and_forbids_what_a_browser_might_do() {
    let api = api().await;
    let answer = api.get("/api/v1/jobs").header("x-request-id", "mine-7").send().await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap();
    assert_eq!(header("x-request-id"), "mine-7");
    assert_eq!((header("x-content-type-options"), header("cache-control")), ("nosniff", "no-store"));
    assert!(header("content-security-policy").contains("default-src 'none'"));
    let long = "x".repeat(65);
    for odd in ["", "a b", "<script>", &long] {
        let answer = api.get("/nothing").header("x-request-id", odd).send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap();
        assert_eq!((id.len(), id == odd), (36, false), "{id:?} for {odd:?}");
    }
}

#[tokio::test]
async fn it_says_whether_it_lives_and_whether_it_can_work() {
    let api = api().await;
    let get = |path| api.request(Method::GET, path);
    assert_eq!(json(get("/health").send().await.unwrap()).await["status"], "alive");
    assert_eq!(json(get("/ready").send().await.unwrap()).await, serde_json::json!({"ready": true, "reasons": []}));
    *api.double.reasons.lock().unwrap() = vec!["the disk is full".to_owned()];
    let unready = get("/ready").send().await.unwrap();
    assert_eq!(unready.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(json(unready).await["reasons"], serde_json::json!(["the disk is full"]));
}
