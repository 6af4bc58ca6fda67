//! Streams: lines, server-sent events and the WebSocket, with their cursors, and how they end.

use futures::StreamExt as _;
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Message, protocol::frame::coding::CloseCode};

use super::*;

/// Reads what comes until it contains this; gives all of it.
async fn until(response: &mut Response, words: &str) -> String {
    let mut text = String::new();
    while !text.contains(words) {
        let piece = response.chunk().await.unwrap();
        let piece = piece.unwrap_or_else(|| panic!("it ended without {words:?}: {text:?}"));
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    text
}

#[tokio::test]
async fn results_and_runs_are_lines() {
    let api = api().await;
    let job = api.job_of(Role::Admin).await;
    let broken = api.get(&format!("/api/v1/jobs/{job}/results")).send().await.unwrap();
    assert_eq!(broken.headers()["content-type"], "application/x-ndjson");
    let last: Value = serde_json::from_str(broken.text().await.unwrap().trim()).unwrap();
    assert_eq!((&last["error"]["detail"], &last["error"]["kind"]), (&"the disk is gone".into(), &"internal".into()));
    let upload =
        api.post(&format!("/api/v1/jobs/{job}/items")).header("content-type", "application/jsonl").body("a\nb");
    upload.send().await.unwrap();
    let results = api.get(&format!("/api/v1/jobs/{job}/results")).send().await.unwrap().text().await.unwrap();
    let ids: Vec<Value> =
        results.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
    assert_eq!(ids, ["1", "2"]);

    api.double.queue.landed.send_replace(3);
    let runs = api.get(&format!("/api/v1/jobs/{job}/runs?after=1")).send().await.unwrap().text().await.unwrap();
    let batches: Vec<Value> =
        runs.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["batch"].clone()).collect();
    assert_eq!(batches, [2, 3]);
    let mut follow = api.get(&format!("/api/v1/jobs/{job}/runs?after=2&follow=true")).send().await.unwrap();
    until(&mut follow, "\"batch\":3").await;
    api.double.queue.landed.send_replace(4);
    until(&mut follow, "\"batch\":4").await;
    api.double.queue.ended.send_replace(true);
    assert_eq!(follow.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn who_reconnects_to_a_job_misses_nothing() {
    let api = api().await;
    let job = api.job_of(Role::Admin).await;
    api.double.queue.landed.send_replace(2);
    let path = format!("/api/v1/jobs/{job}/watch?runs=true");
    let mut watch = api.get(&path).send().await.unwrap();
    assert_eq!(watch.headers()["content-type"], "text/event-stream");
    let told = until(&mut watch, "id: 2\n").await;
    assert!(told.contains("event: note\ndata: \"it begins\"\n"), "{told}");
    assert!(told.contains("event: landed\ndata: {\"batch\":1,\"runs\":[]}\nid: 1\n"), "{told}");
    drop(watch);
    api.double.queue.landed.send_replace(4);
    let mut watch = api.get(&format!("{path}&after=1")).header("Last-Event-ID", "2").send().await.unwrap();
    let told = until(&mut watch, "id: 4\n").await;
    assert!(!told.contains("id: 2\n") && told.contains("id: 3\n"), "{told}");
    api.double.queue.ended.send_replace(true);
    let told = until(&mut watch, "event: finished\ndata: \"finished\"\n\n").await;
    assert!(!told.contains("id:"), "{told}");
    assert_eq!(watch.chunk().await.unwrap(), None);
    assert_eq!(problem(api.get(&path).header("Last-Event-ID", "x").send().await.unwrap()).await.status, 400);
}

#[tokio::test]
async fn streams_say_that_they_are_there_and_end_when_it_goes_down() {
    let mut api = api_with(|limits| limits.keep_alive = Duration::from_millis(20)).await;
    api.double.queue.log.send_replace(1);
    let mut stream = api.get("/api/v1/events/stream").send().await.unwrap();
    let told = until(&mut stream, ":\n\n").await;
    assert!(told.contains("event: event\ndata: {\"seq\":1,"), "{told}");
    let job = api.job_of(Role::Admin).await;
    let waiting = tokio::spawn(api.get(&format!("/api/v1/jobs/{job}/wait")).send());
    let mut runs = api.get(&format!("/api/v1/jobs/{job}/runs?follow=true")).send().await.unwrap();
    api.double.queue.landed.send_replace(1);
    until(&mut runs, "batch").await;
    api.shutdown().await;
    // They end as streams end, not as connections that break.
    while stream.chunk().await.unwrap().is_some() {}
    while runs.chunk().await.unwrap().is_some() {}
    // It may not have come before the end.
    if let Ok(waited) = waiting.await.unwrap() {
        assert!([202, 503].contains(&waited.status().as_u16()));
    }
    assert!(api.get("/health").send().await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn the_log_comes_over_a_socket_and_says_good_bye() {
    let mut api = api_with(|limits| limits.keep_alive = Duration::from_millis(30)).await;
    api.double.queue.log.send_replace(2);
    let uri = format!("ws://{}/api/v1/events/ws?after=1", api.address).parse().unwrap();
    let request = ClientRequestBuilder::new(uri).with_header("Authorization", "Bearer viewer");
    let (mut socket, _) = tokio_tungstenite::connect_async(request.clone()).await.unwrap();
    let mut numbers = Vec::new();
    let mut pinged = false;
    while numbers.len() < 2 || !pinged {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => {
                numbers.push(serde_json::from_str::<Value>(&text).unwrap()["seq"].as_u64().unwrap());
                api.double.queue.log.send_replace(3);
            }
            Message::Ping(_) => pinged = true,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(numbers, [2, 3]);
    let down = tokio::spawn(async move {
        api.shutdown().await;
        api
    });
    let frame = loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Close(frame) => break frame.unwrap(),
            _ => continue,
        }
    };
    assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::Away, "the control host is going down"));
    down.await.unwrap();
}

#[tokio::test]
async fn what_is_no_socket_is_told_so() {
    let api = api().await;
    let plain = problem(api.get("/api/v1/events/ws").send().await.unwrap()).await;
    assert_eq!(plain.status, 400);
    let uri: axum::http::Uri = format!("ws://{}/api/v1/events/ws", api.address).parse().unwrap();
    let refused = tokio_tungstenite::connect_async(ClientRequestBuilder::new(uri.to_string().parse().unwrap())).await;
    assert!(refused.unwrap_err().to_string().contains("401"));
}

#[tokio::test]
async fn runs_that_are_followed_say_that_they_are_there() {
    let api = api_with(|limits| limits.keep_alive = Duration::from_millis(20)).await;
    let job = api.job_of(Role::Admin).await;
    let mut runs = api.get(&format!("/api/v1/jobs/{job}/runs?follow=true")).send().await.unwrap();
    assert_eq!(until(&mut runs, "\n\n").await.trim(), "");
    api.double.queue.landed.send_replace(1);
    until(&mut runs, "{\"batch\":1,\"runs\":[]}\n").await;
}

#[tokio::test]
async fn streams_end_when_the_token_does() {
    let api = api_with(|limits| limits.keep_alive = Duration::from_millis(20)).await;
    let job = api.job_of(Role::Admin).await;
    let mut streams = Vec::new();
    for path in ["events/stream", &format!("jobs/{job}/watch"), &format!("jobs/{job}/runs?follow=true")] {
        let mut stream = api.get(&format!("/api/v1/{path}")).send().await.unwrap();
        assert!(stream.chunk().await.unwrap().is_some(), "{path}");
        streams.push(stream);
    }
    let uri = format!("ws://{}/api/v1/events/ws", api.address).parse().unwrap();
    let request = ClientRequestBuilder::new(uri).with_header("Authorization", "Bearer viewer");
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    api.double.revoked.store(true, std::sync::atomic::Ordering::SeqCst);
    let all = async {
        for stream in &mut streams {
            while stream.chunk().await.unwrap().is_some() {}
        }
        loop {
            if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
                break frame.unwrap().code;
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(30), all).await.unwrap(), CloseCode::Policy);
}
