//! What clients may take: size, time, number.

use std::sync::atomic::Ordering::SeqCst;

use pigeon_api::wire::CHUNK_MEDIA_TYPE;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::*;

/// All that is answered until the connection is closed.
async fn rest_of(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    let _ = read.unwrap_or_else(|_| panic!("it is still open after {answer:?}"));
    String::from_utf8(answer).unwrap()
}

fn head(path: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin\r\n{more}\r\n")
}

#[tokio::test]
async fn bodies_are_bounded_whether_they_say_their_size_or_not() {
    let api = api_with(|limits| (limits.json, limits.chunk, limits.component) = (1 << 20, 2 << 20, 3 << 20)).await;
    let job = api.job_of(Role::Admin).await;
    let large = || vec![b' '; (3 << 20) + 1];
    let unsized_body = || {
        let pieces: Vec<_> = large().chunks(1 << 16).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
        reqwest::Body::wrap_stream(futures::stream::iter(pieces))
    };
    let chunk = format!("/api/v1/jobs/{job}/chunks/0");
    for (method, path, media_type) in [
        (Method::POST, "/api/v1/jobs", "application/json"),
        (Method::PUT, &*chunk, CHUNK_MEDIA_TYPE),
        (Method::POST, "/api/v1/plugins", "application/wasm"),
    ] {
        for body in [large().into(), unsized_body()] {
            let request = api.request(method.clone(), path).bearer_auth(Role::Admin).header("content-type", media_type);
            assert_eq!(problem(request.body(body).send().await.unwrap()).await.kind, "too-large", "{path}");
        }
    }
}

#[tokio::test]
async fn there_is_room_for_so_many_requests_and_each_gives_its_own_back() {
    let api = api_with(|limits| (limits.requests, limits.streams) = (1, 1)).await;
    let job = api.job_of(Role::Admin).await;
    // One that is soon answered: the next has to come again.
    let slow = tokio::spawn(api.get("/api/v1/status").send());
    let refused = loop {
        let answer = api.get("/api/v1/jobs").send().await.unwrap();
        if answer.status() != StatusCode::OK {
            break answer;
        }
    };
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(problem(refused).await.status, 429);
    assert_eq!(slow.await.unwrap().unwrap().status(), 404);
    assert_eq!(api.get("/api/v1/jobs").send().await.unwrap().status(), 200);
    // One that goes on takes nothing from those.
    let mut stream = api.get("/api/v1/events/stream").send().await.unwrap();
    stream.chunk().await.unwrap();
    assert_eq!(api.get("/api/v1/jobs").send().await.unwrap().status(), 200);
    assert_eq!(api.get("/health").send().await.unwrap().status(), 200);
    let watch = || api.get(&format!("/api/v1/jobs/{job}/runs")).send();
    assert_eq!(problem(watch().await.unwrap()).await.status, 429);
    drop(stream);
    while watch().await.unwrap().status() != StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let figures = api.get("/metrics").send().await.unwrap().text().await.unwrap();
    for reason in ["requests", "streams"] {
        let counted = format!("pigeon_http_turned_away_total{{reason=\"{reason}\"}} ");
        assert!(figures.contains(&counted), "{figures}");
    }
    assert!(figures.contains("pigeon_http_room{sort=\"streams\"} 1\n"), "{figures}");
}

#[tokio::test]
async fn bodies_share_so_much_memory() {
    let api = api_with(|limits| limits.memory = 1 << 20).await;
    let job = api.job_of(Role::Admin).await;
    api.double.queue.gated.store(true, SeqCst);
    let put = |seq: u64| {
        let mut builder = pigeon_api::ChunkBuilder::new(seq, seq);
        builder.push(|_| {}, 0, &vec![b'x'; 700 << 10]);
        let body = pigeon_api::wire::encode_chunk(&builder.finish(Default::default())).concat();
        let request = api.put(&format!("/api/v1/jobs/{job}/chunks/{seq}")).header("content-type", CHUNK_MEDIA_TYPE);
        request.body(body).send()
    };
    let first = tokio::spawn(put(0));
    while api.double.queue.appends.load(SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(problem(put(1).await.unwrap()).await.kind, "overloaded");
    api.double.queue.gated.store(false, SeqCst);
    api.double.queue.gate.notify_one();
    assert_eq!(first.await.unwrap().unwrap().status(), 204);
    assert_eq!(put(1).await.unwrap().status(), 204);
}

#[tokio::test]
async fn who_says_nothing_is_let_go() {
    let api = api_with(|limits| {
        (limits.header_time, limits.silence) = (Duration::from_millis(100), Duration::from_millis(100));
    })
    .await;
    let began = Instant::now();
    for said in ["", "PRI ", "GET / HT", "GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let answer = rest_of(&mut stream).await;
        assert!(!answer.contains("200 OK"), "{said:?}: {answer}");
    }
    // A body that stops, and one that comes a byte at a time.
    let json = "Content-Type: application/json\r\nContent-Length: 100\r\n";
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    stream.write_all((head("/api/v1/jobs", json) + "{").as_bytes()).await.unwrap();
    assert!(rest_of(&mut stream).await.contains("408 Request Timeout"));
    let (mut read, mut write) = TcpStream::connect(api.address).await.unwrap().into_split();
    let trickle = tokio::spawn(async move {
        write.write_all(head("/api/v1/jobs", json).as_bytes()).await.unwrap();
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = vec![0; 32];
    read.read_exact(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{answer:?}");
    trickle.abort();
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn who_does_not_read_is_let_go() {
    let api = api_with(|limits| limits.silence = Duration::from_millis(200)).await;
    let job = api.job_of(Role::Admin).await;
    let items = "x\n".repeat(100_000);
    let upload = api.post(&format!("/api/v1/jobs/{job}/items")).header("content-type", "application/x-ndjson");
    assert_eq!(upload.body(items).send().await.unwrap().status(), 200);
    let free = api.server.as_ref().unwrap().free_streams();
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    let path = format!("/api/v1/jobs/{job}/results");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut begin = [0; 15];
    stream.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    // What there is does not fit into the buffers of a socket, and nobody takes it out.
    while api.server.as_ref().unwrap().free_streams() != free {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn connections_are_counted() {
    let api = api_with(|limits| limits.connections = 2).await;
    let _first = TcpStream::connect(api.address).await.unwrap();
    let _second = TcpStream::connect(api.address).await.unwrap();
    let mut third = TcpStream::connect(api.address).await.unwrap();
    assert_eq!(rest_of(&mut third).await, "");
}

#[tokio::test]
async fn who_is_refused_before_it_was_heard_out_hears_why() {
    let api = api().await;
    let body = vec![b' '; 8 << 20];
    for _ in 0..20 {
        let request = api.request(Method::POST, "/api/v1/jobs").header("content-type", "application/json");
        assert_eq!(problem(request.body(body.clone()).send().await.unwrap()).await.kind, "unauthorized");
    }
}

#[tokio::test]
async fn a_submission_brings_so_many_items_and_no_more() {
    let api = api().await;
    let send = |items: usize| {
        let body = serde_json::json!({"plugin": "echo", "items": vec!["x"; items]});
        api.post("/api/v1/jobs").json(&body).send()
    };
    let refused = problem(send((1 << 16) + 1).await.unwrap()).await;
    assert_eq!(refused.kind, "too-large", "{refused:?}");
    assert!(refused.hint.unwrap().contains("append"));
    assert_eq!(send(1 << 16).await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_submission_holds_its_memory_until_it_is_done() {
    let api = api_with(|limits| limits.memory = 1 << 20).await;
    api.double.queue.gated.store(true, SeqCst);
    let send = || {
        let body = serde_json::json!({"plugin": "echo", "items": ["x".repeat(700 << 10)]});
        api.post("/api/v1/jobs").json(&body).send()
    };
    let first = tokio::spawn(send());
    while api.double.queue.appends.load(SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let refused = send().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(problem(refused).await.kind, "overloaded");
    api.double.queue.gated.store(false, SeqCst);
    api.double.queue.gate.notify_one();
    assert_eq!(first.await.unwrap().unwrap().status(), 201);
    assert_eq!(send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn watchers_leave_room_for_uploads_and_one_token_for_others() {
    let api = api_with(|limits| (limits.streams, limits.uploads) = (4, 1)).await;
    let job = api.job_of(Role::Admin).await;
    let watch = |role| api.request(Method::GET, "/api/v1/events/stream").bearer_auth(role).send();
    let mut streams = Vec::new();
    for role in [Role::Viewer, Role::Submitter, Role::Operator, Role::Admin] {
        let stream = watch(role).await.unwrap();
        assert_eq!(stream.status(), 200, "{role}");
        if role == Role::Viewer {
            let more = problem(watch(role).await.unwrap()).await;
            assert!(more.status == 429 && more.detail.contains("its share"), "{more:?}");
            assert_eq!(watch(role).await.unwrap().headers()["retry-after"], "1");
        }
        streams.push(stream);
    }
    assert!(problem(watch(Role::Publisher).await.unwrap()).await.detail.contains("too many streams"));
    let upload = || {
        let request = api.post(&format!("/api/v1/jobs/{job}/items")).header("content-type", "application/x-ndjson");
        request.body("a\n").send()
    };
    assert_eq!(upload().await.unwrap().status(), 200);
    api.double.queue.gated.store(true, SeqCst);
    let appends = api.double.queue.appends.load(SeqCst);
    let slow = tokio::spawn(upload());
    while api.double.queue.appends.load(SeqCst) == appends {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let refused = upload().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    assert!(problem(refused).await.detail.contains("too many uploads"));
    api.double.queue.gate.notify_one();
    assert_eq!(slow.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_socket_takes_the_room_of_one_stream_as_long_as_it_is_open() {
    let api = api_with(|limits| limits.streams = 1).await;
    let uri: axum::http::Uri = format!("ws://{}/api/v1/events/ws", api.address).parse().unwrap();
    let request = tokio_tungstenite::tungstenite::ClientRequestBuilder::new(uri);
    let request = request.with_header("Authorization", "Bearer viewer");
    let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    assert_eq!(problem(api.get("/api/v1/events/stream").send().await.unwrap()).await.status, 429);
    drop(socket);
    while api.server.as_ref().unwrap().free_streams() != 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
