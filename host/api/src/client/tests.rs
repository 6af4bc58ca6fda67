//! The client against a server that says what it is told to, and hangs up where it is told to.

use std::sync::{Arc, Mutex};

use futures::TryStreamExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{ChunkBuilder, Counts, Digest, EventKind, JobState, Landed, Problem, Role, Verdict, Work, sse};

/// What the server does with a request. Each comes on a connection of its own.
enum Turn {
    /// Answer so, with this document.
    Answer(&'static str, &'static str, String),
    /// Answer that it is too early, with the seconds after which to come again.
    Later(&'static str, u32),
    /// Answer 200 with what has no end but the connection's.
    Stream(String),
    /// Answer 200 with a piece of what was to have an end.
    Cut(String),
    /// Take it, and hang up.
    HangUp,
}

fn json(text: impl Into<String>) -> Turn {
    Turn::Answer("200 OK", "application/json", text.into())
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    line: String,
    headers: String,
    body: Vec<u8>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        let fields = self.headers.lines().filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A server that does this, and then is no more; what it was asked comes with it.
async fn server(turns: Vec<Turn>) -> (RestClient, Arc<Mutex<Vec<Asked>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let all = asked.clone();
    tokio::spawn(async move {
        for turn in turns {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read(&mut stream).await;
            all.lock().unwrap().push(request);
            let answer = match turn {
                Turn::Answer(status, kind, body) => format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
                     retry-after: 0\r\n\r\n{body}",
                    body.len()
                ),
                Turn::Later(status, seconds) => {
                    format!(
                        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: {seconds}\r\n\r\n"
                    )
                }
                Turn::Stream(body) => format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}"),
                Turn::Cut(body) => {
                    format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len())
                }
                Turn::HangUp => String::new(),
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let endpoint = Endpoint { server, token: Some("secret".to_owned()), trust: Trust::System };
    (RestClient::new(endpoint).unwrap(), asked)
}

async fn read(stream: &mut TcpStream) -> Asked {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    let mut asked = Asked { line: line.to_owned(), headers: headers.to_owned(), body: Vec::new() };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    asked.body = vec![0; length];
    stream.read_exact(&mut asked.body).await.unwrap();
    asked
}

fn job() -> JobId {
    JobId::from_bytes([7; 16])
}

fn request() -> JobRequest {
    JobRequest::new(Digest::of(b"component"), Work::Many { iterations: 1, workers: None })
}

fn lines(asked: &Mutex<Vec<Asked>>) -> Vec<String> {
    asked.lock().unwrap().iter().map(|asked| asked.line.clone()).collect()
}

#[tokio::test]
async fn a_submission_whose_answer_is_lost_opens_no_second_job() {
    let (client, asked) = server(vec![Turn::HangUp, json(format!("{{\"id\":\"{}\"}}", job()))]).await;
    assert_eq!(client.submit(request()).await.unwrap(), job());
    let asked = asked.lock().unwrap();
    assert_eq!(asked[0].line, "POST /api/v1/jobs HTTP/1.1");
    assert_eq!(asked[0], asked[1]);
    let key = asked[0].header("idempotency-key").unwrap();
    let submission: Submission = serde_json::from_slice(&asked[0].body).unwrap();
    assert_eq!(submission.key.as_deref(), Some(key));
    assert_eq!(asked[0].header("authorization"), Some("Bearer secret"));
    assert_eq!(asked[0].header("user-agent"), Some(concat!("pigeon/", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn a_key_that_was_given_is_kept() {
    let (client, asked) = server(vec![json(format!("{{\"id\":\"{}\"}}", job()))]).await;
    client.submit(JobRequest { key: Some("mine".to_owned()), ..request() }).await.unwrap();
    assert_eq!(asked.lock().unwrap()[0].header("idempotency-key"), Some("mine"));
}

#[tokio::test]
async fn a_chunk_is_sent_until_it_is_taken() {
    let mut builder = ChunkBuilder::new(3, 40);
    builder.push(|id| id.extend_from_slice(b"a"), 1, b"first");
    builder.push(|id| id.extend_from_slice(b"b"), 2, b"second");
    let chunk = builder.finish(Bytes::from_static(b"cursor"));
    let busy = || Turn::Answer("429 Too Many Requests", "text/plain", "later".to_owned());
    let turns = vec![busy(), Turn::HangUp, busy(), Turn::Answer("204 No Content", "text/plain", String::new())];
    let (client, asked) = server(turns).await;
    client.append(job(), chunk.clone()).await.unwrap();
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 4);
    for asked in asked.iter() {
        assert_eq!(asked.line, format!("PUT /api/v1/jobs/{}/chunks/3 HTTP/1.1", job()));
        assert_eq!(asked.header("content-type"), Some(wire::CHUNK_MEDIA_TYPE));
        assert_eq!(wire::decode_chunk(asked.body.clone().into(), 1 << 20).unwrap(), chunk);
    }
}

#[tokio::test]
async fn what_may_have_been_done_is_not_asked_for_twice() {
    let (client, asked) = server(vec![Turn::HangUp, json("{}")]).await;
    let spec = TokenSpec { name: "ci".to_owned(), role: Role::Submitter, ttl_ms: None };
    let error = client.create_token(spec).await.unwrap_err();
    assert_eq!((error.kind, lines(&asked).len()), (ErrorKind::Unreachable, 1));
}

#[tokio::test]
async fn who_is_asked_to_come_later_does_and_not_for_ever() {
    let list = || json("{\"plugins\":[]}");
    let turns = vec![Turn::Later("503 Service Unavailable", 1), Turn::Later("429 Too Many Requests", 1), list()];
    let (client, asked) = server(turns).await;
    let begun = std::time::Instant::now();
    assert_eq!(client.plugins().await.unwrap(), []);
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(lines(&asked), ["GET /api/v1/plugins HTTP/1.1"; 3]);

    let (client, asked) = server((0..1000).map(|_| Turn::Later("429 Too Many Requests", 0)).collect()).await;
    let client = client.with_patience(Duration::from_millis(500));
    assert_eq!(client.plugins().await.unwrap_err().kind, ErrorKind::Overloaded);
    let tries = lines(&asked).len();
    assert!((2..20).contains(&tries), "{tries} tries");
}

#[tokio::test]
async fn who_waits_for_a_control_host_can_say_so() {
    let (client, _) = server(vec![json("{\"plugins\":[]}")]).await;
    let client = client.with_patience(Duration::from_secs(4));
    let (told, heard) = std::sync::mpsc::channel();
    client.on_contact(move |contact| told.send(contact).unwrap());
    client.plugins().await.unwrap();
    // The server is no more.
    assert_eq!(client.plugins().await.unwrap_err().kind, ErrorKind::Unreachable);
    let told: Vec<Contact> = heard.try_iter().collect();
    assert!(matches!(told[..], [Contact::Lost { .. }]), "{told:?}");
}

#[tokio::test]
async fn problems_are_told_as_they_are() {
    let problem = Problem::from(ApiError::new(ErrorKind::Conflict, "the job is sealed").hint("open another"));
    let problem = serde_json::to_string(&problem).unwrap();
    let unauthorized = Problem::from(ApiError::new(ErrorKind::Unauthorized, "it has ended"));
    let turns = vec![
        Turn::Answer("409 Conflict", "application/problem+json", problem),
        Turn::Answer("401 Unauthorized", PROBLEM, serde_json::to_string(&unauthorized).unwrap()),
        Turn::Answer("404 Not Found", "text/html", "<html>".to_owned()),
        json("<html>"),
    ];
    let (client, _) = server(turns).await;
    let error = client.seal(job()).await.unwrap_err();
    let told = (error.kind, &*error.message, error.hint.as_deref());
    assert_eq!(told, (ErrorKind::Conflict, "the job is sealed", Some("open another")));
    let error = client.plugins().await.unwrap_err();
    let at = client.server().trim_end_matches('/').to_owned();
    let words = format!("the control host at {at} refused the token: it has ended");
    assert_eq!((error.kind, error.message), (ErrorKind::Unauthorized, words));
    assert!(error.hint.is_some());
    let error = client.plugin("json@1.0.0").await.unwrap_err();
    let words = format!("{at}/api/v1/plugins/json@1.0.0 answered 404 Not Found, and not as a control host does");
    assert_eq!((error.kind, error.message), (ErrorKind::NotFound, words));
    let error = client.plugins().await.unwrap_err();
    assert_eq!(error.message, format!("what {at}/api/v1/plugins answered cannot be read"));
}

const PROBLEM: &str = "application/problem+json; charset=utf-8";

fn said(message: sse::Message) -> String {
    let id = message.id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!(": alive\n\nevent: {}\n{id}data: {}\n\n", message.event, message.data)
}

fn landed(batch: u64) -> JobEvent {
    JobEvent::Landed(Landed { batch, runs: Vec::new() })
}

#[tokio::test]
async fn a_watcher_misses_nothing_and_hears_nothing_twice() {
    let tell = |events: &[JobEvent]| -> String {
        events.iter().map(|event| said(sse::Message::of_job(&Ok(event.clone())))).collect()
    };
    let note = JobEvent::Note("an agent was lost".to_owned());
    let finished = JobEvent::Finished(JobState::Finished);
    let going = sse::Message::of_job(&Err(ApiError::new(ErrorKind::Unreachable, "it goes down")));
    let turns = vec![
        Turn::Stream(tell(&[landed(1), landed(2)]) + "event: landed\ndata: {\"bat"),
        Turn::HangUp,
        Turn::Cut(tell(&[landed(2), note.clone(), landed(5)]) + &said(going)),
        Turn::Stream(tell(&[landed(5), landed(6), finished.clone()])),
    ];
    let (client, asked) = server(turns).await;
    let watch = Watch { runs: true, logs: false, after: 0, past: false };
    let heard: Vec<JobEvent> = client.watch(job(), watch).await.unwrap().try_collect().await.unwrap();
    assert_eq!(heard, [landed(1), landed(2), note, landed(5), landed(6), finished]);
    let path = |after| format!("GET /api/v1/jobs/{}/watch?runs=true&after={after} HTTP/1.1", job());
    assert_eq!(lines(&asked), [path(0), path(2), path(2), path(5)]);
}

#[tokio::test]
async fn the_log_is_followed_across_connections() {
    let entry = |seq| Event {
        seq,
        at_ms: 1,
        author: "pigeon".to_owned(),
        kind: EventKind::JobSubmitted,
        job: Some(job()),
        subject: None,
        message: "submitted".to_owned(),
    };
    let tell = |seqs: &[u64]| seqs.iter().map(|seq| said(sse::Message::of_log(&Ok(entry(*seq))))).collect();
    let ends = |words: &str| said(sse::Message::of_log(&Err(ApiError::new(ErrorKind::Forbidden, words))));
    let turns = vec![Turn::Stream(tell(&[8, 9])), Turn::Stream(tell(&[9, 12]) + &ends("no more"))];
    let (client, asked) = server(turns).await;
    let filter = EventFilter { after: 7, job: Some(job()) };
    let mut heard = client.follow_events(filter).await.unwrap();
    for seq in [8, 9, 12] {
        assert_eq!(heard.try_next().await.unwrap().unwrap().seq, seq);
    }
    assert_eq!(heard.try_next().await.unwrap_err().message, "no more");
    assert!(heard.try_next().await.unwrap().is_none());
    let path = |after| format!("GET /api/v1/events/stream?job={}&after={after} HTTP/1.1", job());
    assert_eq!(lines(&asked), [path(7), path(9)]);
}

#[tokio::test]
async fn a_stream_that_cannot_be_had_is_an_error_at_once() {
    let problem = serde_json::to_string(&Problem::from(ApiError::new(ErrorKind::NotFound, "no such job"))).unwrap();
    let (client, _) = server(vec![Turn::Answer("404 Not Found", PROBLEM, problem)]).await;
    let error = client.watch(job(), Watch::default()).await.err().unwrap();
    assert_eq!((error.kind, &*error.message), (ErrorKind::NotFound, "no such job"));
}

#[tokio::test]
async fn what_has_landed_by_now_is_read_and_where_the_job_stands() {
    let line = |event: &JobEvent| match event {
        JobEvent::Landed(landed) => serde_json::to_string(landed).unwrap() + "\n",
        _ => String::new(),
    };
    let status = include_str!("status.json");
    let (client, asked) = server(vec![
        Turn::Cut(line(&landed(4)) + &line(&landed(6))),
        Turn::Stream(line(&landed(4)) + &line(&landed(6)) + &line(&landed(7))),
        json(status),
    ])
    .await;
    let watch = Watch { runs: true, logs: true, after: 3, past: true };
    let heard: Vec<JobEvent> = client.watch(job(), watch).await.unwrap().try_collect().await.unwrap();
    assert_eq!(heard, [landed(4), landed(6), landed(7), JobEvent::Finished(JobState::Paused)]);
    let asked = lines(&asked);
    assert_eq!(asked[0], format!("GET /api/v1/jobs/{}/runs?after=3&follow=false&logs=true HTTP/1.1", job()));
    assert_eq!(asked[2], format!("GET /api/v1/jobs/{} HTTP/1.1", job()));
}

fn result(index: u64) -> ItemResult {
    ItemResult {
        id: format!("item {index}"),
        index,
        line: index + 1,
        verdict: Verdict::Valid,
        runs: 1,
        time_ms: 0.5,
        findings: Vec::new(),
        omitted: Counts::default(),
        score: None,
        data: None,
        failure: None,
    }
}

fn result_lines(indices: impl Iterator<Item = u64>) -> String {
    indices.map(|index| serde_json::to_string(&result(index)).unwrap() + "\n").collect()
}

#[tokio::test]
async fn results_come_whole_though_the_connection_is_lost() {
    let (client, asked) =
        server(vec![Turn::Cut(result_lines(0..1500) + "{\"id\": \"half a"), Turn::Stream(result_lines(0..3000))]).await;
    let pages: Vec<Vec<ItemResult>> = client.results(job()).await.unwrap().try_collect().await.unwrap();
    assert!(pages.iter().all(|page| !page.is_empty() && page.len() <= 1024));
    let results = pages.concat();
    assert!(results.iter().zip(0..).all(|(one, index)| *one == result(index)), "in order, and each once");
    assert_eq!((results.len(), lines(&asked).len()), (3000, 2));
}

#[tokio::test]
async fn results_that_end_in_an_error_say_so_behind_what_there_was() {
    let problem = Problem::from(ApiError::new(ErrorKind::Internal, "a disk failed"));
    let last = serde_json::to_string(&crate::page::Broken { error: problem }).unwrap();
    let (client, asked) = server(vec![Turn::Stream(result_lines(0..2) + &last)]).await;
    let mut pages = client.results(job()).await.unwrap();
    assert_eq!(pages.try_next().await.unwrap().unwrap().len(), 2);
    assert_eq!(pages.try_next().await.unwrap_err().message, "a disk failed");
    assert!(pages.try_next().await.unwrap().is_none());
    assert_eq!(lines(&asked).len(), 1);
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let summary = |id: JobId| {
        format!(
            "{{\"id\":\"{id}\",\"plugin\":\"json 1\",\"state\":\"open\",\"accepted_ms\":1,\"planned_runs\":2,\
             \"total_runs\":1}}"
        )
    };
    let (one, two) = (JobId::from_bytes([2; 16]), JobId::from_bytes([1; 16]));
    let (client, asked) = server(vec![
        json(format!("{{\"jobs\":[{}],\"next\":\"{one}\"}}", summary(one))),
        json(format!("{{\"jobs\":[{}],\"next\":null}}", summary(two))),
    ])
    .await;
    let filter = JobFilter { unfinished: true, state: Some(JobState::Open), limit: Some(5), ..JobFilter::default() };
    let ids: Vec<JobId> = client.jobs(filter).await.unwrap().into_iter().map(|job| job.id).collect();
    assert_eq!(ids, [one, two]);
    let asked = lines(&asked);
    assert_eq!(asked[0], "GET /api/v1/jobs?limit=5&state=open&unfinished=true HTTP/1.1");
    assert_eq!(asked[1], format!("GET /api/v1/jobs?before={one}&limit=4&state=open&unfinished=true HTTP/1.1"));
}

#[tokio::test]
async fn the_end_of_the_log_is_read_backwards() {
    let page = |seqs: std::ops::RangeInclusive<u64>| {
        let next = *seqs.end();
        let events = seqs
            .map(|seq| format!("{{\"seq\":{seq},\"at_ms\":1,\"author\":\"a\",\"kind\":\"swept\",\"message\":\"m\"}}"));
        let events: Vec<String> = events.collect();
        json(format!("{{\"events\":[{}],\"next\":{next}}}", events.join(",")))
    };
    let (client, asked) = server(vec![page(501..=1500), page(1..=500)]).await;
    let seqs: Vec<u64> =
        client.last_events(None, None, 9000).await.unwrap().into_iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=1500).collect::<Vec<_>>());
    let path = |before: &str| format!("GET /api/v1/events?after=0{before}&limit=1000&tail=true HTTP/1.1");
    assert_eq!(lines(&asked), [path(""), path("&before=501")]);
}

#[tokio::test]
async fn nobody_there_is_said_soon_and_with_the_address() {
    let (client, _) = server(Vec::new()).await;
    let begun = std::time::Instant::now();
    let error = client.plugins().await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let at = client.server().trim_end_matches('/');
    let told = (error.kind, error.message.clone());
    assert_eq!(told, (ErrorKind::Unreachable, format!("cannot reach the control host at {at}")));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("refused"), "{error:?}");
    assert!(error.hint.is_some());
}

#[test]
fn addresses_are_looked_at() {
    for bad in ["host:4780", "ftp://host", "host", "https://", "https://h?x=1", "https://me@h", ""] {
        let error = RestClient::new(Endpoint { server: bad.to_owned(), ..Endpoint::default() }).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadRequest, "{bad}");
    }
    let endpoint = Endpoint {
        server: "https://[::1]:4780/behind/a/proxy".to_owned(),
        token: Some("hidden".to_owned()),
        trust: Trust::Fingerprint(Digest::of(b"ca")),
    };
    assert!(!format!("{endpoint:?}").contains("hidden"));
    let client = RestClient::new(endpoint).unwrap();
    assert!(!format!("{client:?}").contains("hidden"));
    let url = client.url(&["plugins", "a/b?c"]);
    assert_eq!(url.as_str(), "https://[::1]:4780/behind/a/proxy/api/v1/plugins/a%2Fb%3Fc");
    let ca = Trust::Ca("no certificate".to_owned());
    let error = RestClient::new(Endpoint { server: "https://h".to_owned(), token: None, trust: ca }).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadRequest);
}

#[tokio::test]
async fn empty_lines_say_nothing() {
    let text = format!("\n\n{}\n\n{}\n", result_lines(0..2), result_lines(2..3));
    let (client, _) = server(vec![Turn::Answer("200 OK", "application/x-ndjson", text)]).await;
    let results = client.results(job()).await.unwrap().try_concat().await.unwrap();
    assert_eq!(results, (0..3).map(result).collect::<Vec<_>>());
}

#[test]
fn a_token_goes_to_another_machine_over_tls_only() {
    let client = |server: &str, token: Option<&str>| {
        let token = token.map(str::to_owned);
        RestClient::new(Endpoint { server: server.to_owned(), token, ..Endpoint::default() })
    };
    for server in ["http://192.0.2.1:4780", "http://host.example", "http://localhost.example"] {
        let refused = client(server, Some("secret")).unwrap_err();
        assert_eq!((refused.kind, refused.hint.as_deref()), (ErrorKind::BadRequest, Some("reach it over https")));
        assert!(client(server, None).is_ok(), "{server}");
    }
    for server in ["https://192.0.2.1:4780", "http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"] {
        assert!(client(server, Some("secret")).is_ok(), "{server}");
    }
}
