//! Jobs and the lists around them.

use std::sync::atomic::Ordering::SeqCst;

use super::*;

#[tokio::test]
async fn a_submission_is_safe_to_repeat() {
    let api = api().await;
    let submit = |items: &[&str]| {
        let body = serde_json::json!({"plugin": "echo", "items": items});
        let request = api.post("/api/v1/jobs").header("Idempotency-Key", "nightly").json(&body);
        async move { request.send().await.unwrap() }
    };
    let first = submit(&["a", "b"]).await;
    assert_eq!(first.status(), StatusCode::CREATED);
    let location = first.headers()["location"].to_str().unwrap().to_owned();
    let id = json(first).await["id"].as_str().unwrap().to_owned();
    assert_eq!(location, format!("/api/v1/jobs/{id}"));
    // The clock that tells one from the other counts milliseconds.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let second = submit(&["a", "b"]).await;
    assert_eq!((second.status(), json(second).await["id"].as_str()), (StatusCode::OK, Some(&*id)));
    assert_eq!(problem(submit(&["a", "c"]).await).await.status, 409);
    let kept = api.double.kept(&id);
    assert_eq!((kept.items(), kept.state, &*kept.author), (2, pigeon_api::JobState::Sealed, "admin-token"));
}

#[tokio::test]
async fn a_list_is_told_in_pages() {
    let api = api().await;
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.insert(0, api.job_of(Role::Submitter).await);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (mut told, mut next) = (Vec::new(), String::new());
    for _ in 0..3 {
        let page = json(api.get(&format!("/api/v1/jobs?limit=2{next}")).send().await.unwrap()).await;
        told.extend(page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        next = page["next"].as_str().map(|next| format!("&before={next}")).unwrap_or_default();
    }
    assert_eq!((told, &*next), (jobs, ""));
    let exact = json(api.get("/api/v1/jobs?limit=5").send().await.unwrap()).await;
    assert_eq!(exact["next"], Value::Null, "a full last page is the last");

    let dead = json(api.get("/api/v1/dead?limit=3&code=timeout").send().await.unwrap()).await;
    assert_eq!(dead["dead"].as_array().unwrap().len(), 3);
    let next = dead["next"].as_str().unwrap();
    let dead = json(api.get(&format!("/api/v1/dead?after={next}")).send().await.unwrap()).await;
    assert_eq!((dead["dead"].as_array().unwrap().len(), &dead["next"]), (2, &Value::Null));

    api.double.queue.log.send_replace(5);
    let page = json(api.get("/api/v1/events?after=1&limit=2").send().await.unwrap()).await;
    assert_eq!((page["events"].as_array().unwrap().len(), &page["next"]), (2, &Value::from(3)));
    let page = json(api.get("/api/v1/events?tail=true&limit=2").send().await.unwrap()).await;
    let seqs =
        |page: &Value| page["events"].as_array().unwrap().iter().map(|event| event["seq"].clone()).collect::<Vec<_>>();
    assert_eq!((seqs(&page), &page["next"]), (vec![4.into(), 5.into()], &Value::from(5)));
    let page = json(api.get("/api/v1/events?tail=true&limit=2&before=4").send().await.unwrap()).await;
    assert_eq!(seqs(&page), [2, 3]);
    let page = json(api.get("/api/v1/events?tail=true&after=4").send().await.unwrap()).await;
    assert_eq!(seqs(&page), [5]);
    let page = json(api.get("/api/v1/events?before=3").send().await.unwrap()).await;
    assert_eq!(seqs(&page), [1, 2]);
    let page = json(api.get("/api/v1/events?after=5").send().await.unwrap()).await;
    assert_eq!((page["events"].as_array().unwrap().len(), &page["next"]), (0, &Value::from(5)));
}

#[tokio::test]
async fn who_has_the_job_already_does_not_get_it_again() {
    let api = api().await;
    let path = format!("/api/v1/jobs/{}", api.job_of(Role::Admin).await);
    let first = api.get(&path).send().await.unwrap();
    let tag = first.headers()["etag"].clone();
    let again = api.get(&path).header("if-none-match", tag.clone()).send().await.unwrap();
    assert_eq!((again.status(), &again.headers()["etag"]), (StatusCode::NOT_MODIFIED, &tag));
    assert!(again.bytes().await.unwrap().is_empty());
    assert_eq!(api.post(&format!("{path}/seal")).send().await.unwrap().status(), 204);
    let changed = api.get(&path).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(json(changed).await["state"], "sealed");
    let plugins = api.get("/api/v1/plugins").send().await.unwrap();
    let tag = plugins.headers()["etag"].clone();
    assert_eq!(api.get("/api/v1/plugins").header("if-none-match", tag).send().await.unwrap().status(), 304);
}

#[tokio::test]
async fn a_wait_ends_with_the_job_or_with_its_time() {
    let api = api().await;
    let path = format!("/api/v1/jobs/{}/wait", api.job_of(Role::Admin).await);
    let waited = api.get(&format!("{path}?timeout_ms=1")).send().await.unwrap();
    assert_eq!((waited.status(), json(waited).await["state"].as_str()), (StatusCode::ACCEPTED, Some("open")));
    let waiting = tokio::spawn(api.get(&path).send());
    api.double.queue.ended.send_replace(true);
    let waited = waiting.await.unwrap().unwrap();
    assert_eq!((waited.status(), json(waited).await["state"].as_str()), (StatusCode::OK, Some("finished")));
}

#[tokio::test]
async fn a_dead_letter_comes_with_its_input_whatever_it_is() {
    let api = api().await;
    let id = "01890a5d-ac96-774b-bcce-b302099a8057:17";
    let letter = json(api.get(&format!("/api/v1/dead/{id}")).send().await.unwrap()).await;
    assert_eq!((&letter["id"], &letter["input"], &letter["text"]), (&id.into(), &"/wA=".into(), &Value::Null));
    let selection = serde_json::json!({"ids": [id], "message": "slow"});
    let retried = json(api.post("/api/v1/dead/retry").json(&selection).send().await.unwrap()).await;
    assert_eq!(retried, serde_json::json!({"count": 2}));
    let discarded =
        json(api.post("/api/v1/dead/discard").json(&serde_json::json!({"all": true})).send().await.unwrap());
    assert_eq!(discarded.await, serde_json::json!({"count": 3}));
    let selections = api.double.queue.selections.lock().unwrap();
    assert_eq!((selections[0].ids.len(), selections[0].message.as_deref()), (1, Some("slow")));
    assert!(selections[1].is_empty());
}

#[tokio::test]
async fn what_is_made_is_answered_as_made() {
    let api = api().await;
    let spec = serde_json::json!({"name": "ci", "role": "submitter"});
    let token = api.post("/api/v1/tokens").json(&spec).send().await.unwrap();
    assert_eq!((token.status(), json(token).await["secret"].as_str()), (StatusCode::CREATED, Some("hush")));
    let join =
        api.post("/api/v1/agents/tokens").json(&serde_json::json!({"uses": 1, "ttl_ms": 5})).send().await.unwrap();
    assert_eq!((join.status(), json(join).await["secret"].as_str()), (StatusCode::CREATED, Some("join me")));
    let spec = serde_json::json!({"name": "nightly", "when": {"every": {"ms": 1000}}, "job": {"plugin": "echo"}});
    let schedule = api.post("/api/v1/schedules").json(&spec).send().await.unwrap();
    assert_eq!(schedule.headers()["location"], "/api/v1/schedules/nightly");
    assert_eq!(json(schedule).await["author"], "admin-token");
    let component = api.post("/api/v1/plugins").header("content-type", "application/wasm").body("\0asm");
    let published = component.send().await.unwrap();
    assert_eq!((published.status(), json(published).await["name"].as_str()), (StatusCode::CREATED, Some("published")));
    let limits = serde_json::json!({"max_parallel": 7, "rate": {"runs": 3, "per_ms": 1000}});
    let set = api.put("/api/v1/plugins/echo/limits").json(&limits).send().await.unwrap();
    assert_eq!(json(set).await, limits);
    for path in ["/api/v1/tokens/ci", "/api/v1/schedules/nightly"] {
        assert_eq!(api.delete(path).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    }
    assert_eq!(json(api.post("/api/v1/schedules/nightly/pause").send().await.unwrap()).await["paused"], true);
    assert_eq!(api.get("/api/v1/backup").send().await.unwrap().text().await.unwrap(), "one two");
}

#[tokio::test]
async fn a_page_of_dead_letters_that_ends_early_names_the_next() {
    let api = api().await;
    api.double.queue.letters.store(2, SeqCst);
    let (mut seen, mut after) = (0, String::new());
    loop {
        let page = json(api.get(&format!("/api/v1/dead?limit=4{after}")).send().await.unwrap()).await;
        seen += page["dead"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, 5);
}

#[tokio::test]
async fn so_many_dead_letters_are_named_at_once() {
    let api = api().await;
    let name = "01890a5d-ac96-774b-bcce-b302099a8057:1";
    for deed in ["retry", "discard"] {
        let send = |names: usize| {
            let body = serde_json::json!({"ids": vec![name; names]});
            api.post(&format!("/api/v1/dead/{deed}")).json(&body).send()
        };
        assert_eq!(problem(send(10_001).await.unwrap()).await.status, 413);
        assert_eq!(send(10_000).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_dead_letter_takes_of_the_memory_for_bodies() {
    let api = api_with(|limits| limits.memory = 1 << 20).await;
    let job = api.job_of(Role::Admin).await;
    api.double.queue.gated.store(true, SeqCst);
    let mut builder = pigeon_api::ChunkBuilder::new(0, 0);
    builder.push(|_| {}, 0, &vec![b'x'; 1000 << 10]);
    let body = pigeon_api::wire::encode_chunk(&builder.finish(Default::default())).concat();
    let put = api.put(&format!("/api/v1/jobs/{job}/chunks/0")).body(body);
    let put = tokio::spawn(put.header("content-type", pigeon_api::wire::CHUNK_MEDIA_TYPE).send());
    while api.double.queue.appends.load(SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let show = || api.get(&format!("/api/v1/dead/{job}:1")).send();
    assert_eq!(problem(show().await.unwrap()).await.kind, "overloaded");
    api.double.queue.gate.notify_one();
    assert_eq!(put.await.unwrap().unwrap().status(), 204);
    assert_eq!(show().await.unwrap().status(), 200);
}
