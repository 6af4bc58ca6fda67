//! SIGKILL of the server at any point of a large submission: what was acknowledged is there after the restart, whole,
//! once, and so is what the log says of it.
//!
//! The server dies while the job is opened, several times among the chunks, and while it is sealed; each time at a moment
//! that is drawn. The client goes on by itself, as it does for `pigeon process`, and an agent judges meanwhile. The seed is
//! printed: `PIGEON_KILLED_SEED` makes the same draws again. The issue speaks of a million items:
//!
//! ```sh
//! PIGEON_KILLED_ITEMS=1000000 cargo test --workspace --test server -- killed --nocapture
//! ```

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::TryStreamExt as _;
use pigeon_api::{
    Chunk, ChunkBuilder, EventFilter, EventKind, JobFilter, JobId, JobRequest, JobState, Pigeon as _, Verdict, Work,
    client::{Endpoint, RestClient, Trust},
};
use tokio::time::sleep;

use crate::{
    draws::Draws,
    support::{Addresses, LONG, Place, Serving},
};

/// Items of the submission, if the environment does not say.
const ITEMS: u64 = 100_000;

/// Items of a chunk.
const CHUNK: u64 = 2_000;

/// Deaths among the chunks.
const DEATHS: u64 = 4;

/// A number that the environment may give.
fn given(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|error| panic!("{variable}: {error}")))
}

/// A moment to die at, after so much has been done.
async fn moment(draws: &mut Draws, longest: Duration) {
    let longest = u64::try_from(longest.as_micros()).unwrap();
    sleep(Duration::from_micros(draws.below(longest))).await;
}

/// Chunk number `seq`. Every third item is invalid.
fn chunk(seq: u64) -> Chunk {
    let mut builder = ChunkBuilder::new(seq, seq * CHUNK);
    for item in seq * CHUNK..(seq + 1) * CHUNK {
        let body = if item.is_multiple_of(3) { "{".to_owned() } else { item.to_string() };
        builder.push(|id| id.extend_from_slice(item.to_string().as_bytes()), item + 1, body.as_bytes());
    }
    builder.finish(Bytes::from(seq.to_string()))
}

/// A server that dies and comes back where it was.
struct Mortal<'a> {
    place: &'a Place,
    serving: Option<Serving>,
    addresses: Addresses,
}

impl<'a> Mortal<'a> {
    fn start(place: &'a Place) -> Self {
        let serving = place.serve(&[]);
        let addresses = serving.addresses();
        Self { place, serving: Some(serving), addresses }
    }

    /// A client of its own: one that was away before knows nothing of it.
    fn client(&self) -> RestClient {
        let token = Some(self.place.read("host/admin.token").trim().to_owned());
        let server = format!("http://{}", self.addresses.api);
        RestClient::new(Endpoint { server, token, trust: Trust::System }).unwrap()
    }

    /// SIGKILL, and another start.
    fn die(&mut self) {
        drop(self.serving.take());
        self.serving = Some(tokio::task::block_in_place(|| self.place.serve_at(&self.addresses)));
    }
}

/// Wait until it is so, as long as something comes of it now and then.
async fn in_time(what: &str, mut look: impl AsyncFnMut() -> (u64, bool)) {
    let (mut last, mut since) = (u64::MAX, Instant::now());
    loop {
        let (sign, is_so) = look().await;
        if is_so {
            return;
        }
        if sign != last {
            (last, since) = (sign, Instant::now());
        }
        assert!(since.elapsed() < LONG, "{what} never came: it stands at {sign}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_point_of_a_submission_it_keeps_what_it_acknowledged() {
    let seed = given("PIGEON_KILLED_SEED").unwrap_or_else(|| RandomState::new().hash_one(std::process::id()));
    let chunks = given("PIGEON_KILLED_ITEMS").unwrap_or(ITEMS).div_ceil(CHUNK).max(DEATHS);
    let items = chunks * CHUNK;
    eprintln!("{items} items, PIGEON_KILLED_SEED={seed}");
    let mut draws = Draws::new(seed);
    let place = Place::new();
    let mut server = Mortal::start(&place);
    place.run(&["context", "add", "here", "--state-dir", "host", "--use"]).expect(0);
    let _agent = place.agent(server.serving.as_ref().unwrap(), "worker-1");
    let client = server.client();

    // While it is opened: the key makes one job of all tries.
    let plugin = client.plugin("json").await.unwrap().digest;
    let mut request = JobRequest::new(plugin, Work::Many { iterations: 1, workers: None });
    request.key = Some("the one".to_owned());
    let opening = tokio::spawn({
        let (client, request) = (client.clone(), request.clone());
        async move { client.submit(request).await }
    });
    moment(&mut draws, Duration::from_millis(20)).await;
    server.die();
    let job = opening.await.unwrap().unwrap();
    assert_eq!(client.submit(request).await.unwrap(), job);
    let jobs: Vec<JobId> = client.jobs(JobFilter::default()).await.unwrap().iter().map(|job| job.id).collect();
    assert_eq!(jobs, [job]);

    // Among the chunks.
    let acknowledged = Arc::new(AtomicU64::new(0));
    let uploading = tokio::spawn({
        let (client, acknowledged) = (client.clone(), acknowledged.clone());
        async move {
            for seq in 0..chunks {
                client.append(job, chunk(seq)).await.unwrap();
                acknowledged.store(seq + 1, SeqCst);
            }
        }
    });
    for death in 0..DEATHS {
        let share = chunks / DEATHS;
        let at = death * share + draws.below(share);
        in_time("the chunk", async || {
            let by_now = acknowledged.load(SeqCst);
            (by_now, by_now > at)
        })
        .await;
        moment(&mut draws, Duration::from_millis(10)).await;
        let known = acknowledged.load(SeqCst);
        server.die();
        let looker = server.client();
        let there = looker.job(job).await.unwrap().items;
        let most = (acknowledged.load(SeqCst) + 1).min(chunks);
        assert!((known * CHUNK..=most * CHUNK).contains(&there), "{there} items, of {known} to {most} chunks");
        assert!(there.is_multiple_of(CHUNK), "{there} items: a chunk is there in part");
        // Whoever did not hear of it sends it again.
        looker.append(job, chunk(draws.below(known))).await.unwrap();
    }
    uploading.await.unwrap();
    for seq in [0, draws.below(chunks), chunks - 1] {
        client.append(job, chunk(seq)).await.unwrap();
    }
    let status = client.job(job).await.unwrap();
    assert_eq!((status.state, status.items), (JobState::Open, items));

    // While it is sealed.
    let sealing = tokio::spawn({
        let client = client.clone();
        async move { client.seal(job).await }
    });
    moment(&mut draws, Duration::from_millis(5)).await;
    server.die();
    sealing.await.unwrap().unwrap();
    client.append(job, chunk(chunks - 1)).await.unwrap();

    in_time("the end", async || {
        let status = client.job(job).await.unwrap();
        (status.total_runs, status.state == JobState::Finished)
    })
    .await;
    let status = client.job(job).await.unwrap();
    let counted = (status.items, status.planned_runs, status.total_runs, status.invalid, status.failures);
    assert_eq!(counted, (items, items, items, items.div_ceil(3), 0));
    let mut next = 0_u64;
    let mut results = client.results(job).await.unwrap();
    while let Some(results) = results.try_next().await.unwrap() {
        for result in results {
            let verdict = if next.is_multiple_of(3) { Verdict::Invalid } else { Verdict::Valid };
            let found = (result.index, result.id, result.line, result.verdict, result.runs);
            assert_eq!(found, (next, next.to_string(), next + 1, verdict, 1));
            next += 1;
        }
    }
    assert_eq!(next, items);
    // Nor is anything of it missing in the log, or there twice.
    let log = client.events(EventFilter { after: 0, job: Some(job) }, 100).await.unwrap();
    let told: Vec<EventKind> = log.iter().map(|event| event.kind).collect();
    assert_eq!(told, [EventKind::JobSubmitted, EventKind::JobSealed, EventKind::JobFinished]);
    server.serving.take().unwrap().stop();
}
