//! Chunks and lines on their way into a job.

use std::sync::atomic::Ordering::SeqCst;

use futures::stream;
use pigeon_api::{
    Chunk, ChunkBuilder, JobState,
    wire::{CHUNK_MEDIA_TYPE, encode_chunk},
    words::plural,
};

use super::*;

fn chunk(seq: u64, first: u64, bodies: &[&str]) -> Vec<u8> {
    let mut builder = ChunkBuilder::new(seq, first);
    for body in bodies {
        builder.push(|id| id.extend_from_slice(body.as_bytes()), 0, body.as_bytes());
    }
    encode_chunk(&builder.finish(Default::default())).concat()
}

fn put(api: &Api, job: &str, seq: u64, body: Vec<u8>) -> RequestBuilder {
    api.put(&format!("/api/v1/jobs/{job}/chunks/{seq}")).header("content-type", CHUNK_MEDIA_TYPE).body(body)
}

fn lines(api: &Api, job: &str, query: &str) -> RequestBuilder {
    api.post(&format!("/api/v1/jobs/{job}/items{query}")).header("content-type", "application/x-ndjson")
}

#[tokio::test]
async fn chunks_are_appended_once_however_often_they_come() {
    let api = api().await;
    let job = api.job_of(Role::Admin).await;
    for _ in 0..2 {
        let answer = put(&api, &job, 0, chunk(0, 0, &["a", "b"])).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    }
    assert_eq!(put(&api, &job, 1, chunk(1, 2, &["c"])).send().await.unwrap().status(), 204);
    assert_eq!(api.double.kept(&job).items(), 3);
    let point = json(api.post(&format!("/api/v1/jobs/{job}/resume")).send().await.unwrap()).await;
    assert_eq!((&point["next_seq"], &point["next_item"]), (&2.into(), &3.into()));

    let refused = problem(put(&api, &job, 3, chunk(2, 3, &["d"])).send().await.unwrap()).await;
    assert!(refused.detail.contains("has the number 2, and the path names 3"), "{refused:?}");
    let refused = problem(put(&api, &job, 2, b"\x01garbage".to_vec()).send().await.unwrap()).await;
    assert_eq!(refused.status, 400);
    let refused = api.put(&format!("/api/v1/jobs/{job}/chunks/2")).json(&["d"]);
    assert_eq!(refused.send().await.unwrap().status(), 415);
}

#[tokio::test]
async fn a_chunk_that_waits_too_long_is_to_be_sent_again() {
    let api = api_with(|limits| limits.append_wait = Duration::from_millis(50)).await;
    let job = api.job_of(Role::Admin).await;
    api.double.queue.gated.store(true, SeqCst);
    let answer = put(&api, &job, 0, chunk(0, 0, &["a"])).send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(problem(answer).await.kind, "overloaded");
    api.double.queue.gated.store(false, SeqCst);
    assert_eq!(put(&api, &job, 0, chunk(0, 0, &["a"])).send().await.unwrap().status(), 204);
    assert_eq!(api.double.kept(&job).items(), 1);
}

#[tokio::test]
async fn a_million_lines_go_in_one_request() {
    let api = api_with(|limits| limits.memory = 8 << 20).await;
    let job = api.job_of(Role::Admin).await;
    let body = |from: u64| format!("{{\"number\":{from}}}");
    // As they come over a network: pieces that end wherever they end, of a body whose size nobody said.
    let text: Vec<u8> = (0..1_000_000).flat_map(|number| (body(number) + "\n").into_bytes()).collect();
    let pieces: Vec<_> = text.chunks(77_777).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let answer = lines(&api, &job, "").body(reqwest::Body::wrap_stream(stream::iter(pieces))).send().await.unwrap();
    assert_eq!(json(answer).await, serde_json::json!({"items": 1_000_000}));
    let kept = api.double.kept(&job);
    let (mut number, mut seq) = (0, 0);
    for chunk in kept.chunks.values() {
        assert_eq!((chunk.seq, chunk.first), (seq, number));
        assert!(chunk.bodies.len() <= Chunk::TARGET && chunk.ids.len() <= Chunk::TARGET + 10);
        let mut ends = (0, 0);
        for (id_end, body_end) in chunk.id_ends.iter().zip(&chunk.body_ends) {
            let (id_end, body_end) = (*id_end as usize, *body_end as usize);
            assert_eq!(&chunk.ids[ends.0..id_end], (number + 1).to_string().as_bytes());
            assert_eq!(&chunk.bodies[ends.1..body_end], body(number).as_bytes());
            (ends, number) = ((id_end, body_end), number + 1);
        }
        seq += 1;
    }
    assert_eq!(number, 1_000_000);
}

#[tokio::test]
async fn a_second_upload_goes_on_where_the_first_ended() {
    let api = api().await;
    let job = api.job_of(Role::Admin).await;
    assert_eq!(json(lines(&api, &job, "").body("a\r\n\nb\n").send().await.unwrap()).await["items"], 2);
    let named = "{\"id\":\"x\",\"body\":\"c\\n\"}\n";
    assert_eq!(json(lines(&api, &job, "?format=named").body(named).send().await.unwrap()).await["items"], 1);
    assert_eq!(json(lines(&api, &job, "?format=raw").body("d").send().await.unwrap()).await["items"], 1);
    assert_eq!(json(lines(&api, &job, "").body("").send().await.unwrap()).await["items"], 0);
    let kept = api.double.kept(&job);
    let told: Vec<_> = kept
        .chunks
        .values()
        .map(|chunk| (chunk.first, chunk.ids.clone(), chunk.bodies.clone(), chunk.lines.clone()))
        .collect();
    let expected = [(0, "12", "ab", vec![1, 3]), (2, "x", "c\n", vec![1]), (3, "4", "d", vec![1])];
    assert_eq!(told, expected.map(|(first, ids, bodies, lines)| (first, ids.into(), bodies.into(), lines)));

    api.post(&format!("/api/v1/jobs/{job}/pause")).send().await.unwrap();
    assert!(problem(lines(&api, &job, "").body("e").send().await.unwrap()).await.detail.contains("paused"));
    api.post(&format!("/api/v1/jobs/{job}/resume")).send().await.unwrap();
    api.post(&format!("/api/v1/jobs/{job}/seal")).send().await.unwrap();
    assert_eq!(problem(lines(&api, &job, "").body("e").send().await.unwrap()).await.status, 409);
    assert_eq!(api.double.kept(&job).state, JobState::Sealed);
}

#[tokio::test]
async fn a_line_that_is_no_item_says_which_and_how_far_it_came() {
    let api = api_with(|limits| limits.line = 3 << 20).await;
    let job = api.job_of(Role::Admin).await;
    // Large enough that those before it are a chunk already.
    let good = format!("{{\"id\":\"a\",\"body\":\"{}\"}}\n", "x".repeat(Chunk::TARGET));
    let body = format!("{good}{good}{{\"id\":\"b\",\"bdy\":\"\"}}\n");
    let refused = problem(lines(&api, &job, "?format=named").body(body).send().await.unwrap()).await;
    assert!(
        refused.detail.starts_with("line 3 is no item: `bdy` (column 15) is not known: there are `id` and `body`"),
        "{refused:?}"
    );
    let items = api.double.kept(&job).items();
    assert_eq!(refused.hint, Some(format!("the job has {} of this request: go on behind", plural(items, "item"))));
    let id = format!("{{\"id\":\"{}\",\"body\":\"\"}}\n", "i".repeat(Chunk::TARGET + 1));
    let refused = problem(lines(&api, &job, "?format=named").body(id).send().await.unwrap()).await;
    assert_eq!(refused.detail, "line 1 is no item: its id is longer than 1048576 bytes");
    let long = format!("a\n{}", "x".repeat((3 << 20) + 1));
    let refused = problem(lines(&api, &job, "").body(long).send().await.unwrap()).await;
    assert_eq!((refused.status, &*refused.detail), (413, "line 2 is longer than 3145728 bytes"));
    assert_eq!(problem(lines(&api, &job, "?format=csv").body("a").send().await.unwrap()).await.status, 400);
}

#[tokio::test]
async fn an_upload_that_is_cut_off_leaves_whole_chunks_and_can_go_on() {
    let api = api().await;
    let job = api.job_of(Role::Admin).await;
    let line = "x".repeat(Chunk::TARGET - 10) + "\n";
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
    let upload = tokio::spawn(lines(&api, &job, "").body(reqwest::Body::wrap_stream(receiver)).send());
    for _ in 0..3 {
        sender.unbounded_send(Ok(line.clone().into_bytes())).unwrap();
    }
    // Two are chunks by now, for a third has come.
    while api.double.kept(&job).items() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let other = problem(lines(&api, &job, "").body("y").send().await.unwrap()).await;
    assert!(other.detail.contains("another request appends"), "{other:?}");
    let other = problem(put(&api, &job, 2, chunk(2, 2, &["y"])).send().await.unwrap()).await;
    assert_eq!(other.status, 409);
    drop(sender.unbounded_send(Err(std::io::Error::other("the cable is cut"))));
    assert!(upload.await.unwrap().is_err());
    // It is over as soon as the server notices.
    let point = loop {
        let point = json(api.post(&format!("/api/v1/jobs/{job}/resume")).send().await.unwrap()).await;
        let answer = lines(&api, &job, "").body("rest").send().await.unwrap();
        if answer.status().is_success() {
            break point;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert_eq!(point["next_item"], 2);
    assert_eq!(api.double.kept(&job).items(), 3);
}

#[tokio::test]
async fn an_append_is_seen_to_its_end_though_its_client_is_gone() {
    let api = api().await;
    let job = api.job_of(Role::Admin).await;
    api.double.queue.gated.store(true, SeqCst);
    let sent = tokio::spawn(put(&api, &job, 0, chunk(0, 0, &["a"])).send());
    while api.double.queue.appends.load(SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sent.abort();
    assert!(sent.await.unwrap_err().is_cancelled());
    api.double.queue.gate.notify_one();
    while api.double.kept(&job).items() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_chunk_that_no_agent_could_be_leased_is_refused() {
    let api = api().await;
    let job = api.job_of(Role::Admin).await;
    let chunk = |items: usize, id: usize, body: usize| {
        let mut builder = ChunkBuilder::new(0, 0);
        for _ in 0..items {
            builder.push(|ids| ids.resize(ids.len() + id, b'i'), 0, &vec![b'x'; body]);
        }
        encode_chunk(&builder.finish(Default::default())).concat()
    };
    for (items, id, body, why) in [
        (3, 1, Chunk::TARGET, "3145728 bytes of bodies"),
        (Chunk::MOST_ITEMS + 1, 0, 0, "65537 items"),
        (1, 3 * Chunk::TARGET, 1, "3145728 bytes of ids"),
    ] {
        let refused = problem(put(&api, &job, 0, chunk(items, id, body)).send().await.unwrap()).await;
        assert_eq!((refused.status, refused.detail.contains(why)), (413, true), "{refused:?}");
        assert!(refused.hint.unwrap().contains("several chunks"));
    }
    assert_eq!(put(&api, &job, 0, chunk(1, 1, 5 * Chunk::TARGET)).send().await.unwrap().status(), 204);
}

#[tokio::test]
async fn lines_that_say_where_they_begin_are_taken_only_there() {
    let api = api().await;
    let job = api.job_of(Role::Admin).await;
    let send = |first: u64| lines(&api, &job, &format!("?first={first}")).body("a\nb\n").send();
    let early = problem(send(1).await.unwrap()).await;
    assert_eq!((early.status, early.hint.as_deref()), (409, Some("go on with `first=0`")));
    assert_eq!(json(send(0).await.unwrap()).await["items"], 2);
    // Whoever did not hear the answer, and sends the same again.
    let again = problem(send(0).await.unwrap()).await;
    assert!(again.status == 409 && again.detail.contains("stands at item 2"), "{again:?}");
    assert_eq!(json(send(2).await.unwrap()).await["items"], 2);
    assert_eq!(api.double.kept(&job).items(), 4);
}

#[tokio::test]
async fn what_an_upload_left_behind_holds_up_the_job_for_a_while_and_no_longer() {
    let api = api_with(|limits| limits.append_wait = Duration::from_millis(50)).await;
    let job = api.job_of(Role::Admin).await;
    api.double.queue.gated.store(true, SeqCst);
    let line = "x".repeat(Chunk::TARGET - 10) + "\n";
    let sent = tokio::spawn(lines(&api, &job, "").body(line.repeat(2)).send());
    while api.double.queue.appends.load(SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sent.abort();
    assert!(sent.await.unwrap_err().is_cancelled());
    // What was being written never ends by itself.
    api.double.queue.gated.store(false, SeqCst);
    let again = async {
        while lines(&api, &job, "?first=0").body("a").send().await.unwrap().status() != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.unwrap();
    assert_eq!(api.double.kept(&job).items(), 1);
}
