//! Jobs from their submission to their results.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _};
use pigeon_api::{
    ErrorKind, ItemResult, JobEvent, JobFilter, JobId, JobRequest, JobState, Pigeon, Stop, Verdict, Watch, Work,
};

use crate::support::{Place, chunks};

async fn request(client: &dyn Pigeon) -> JobRequest {
    let plugin = client.plugin("json").await.unwrap().digest;
    JobRequest::new(plugin, Work::Many { iterations: 1, workers: None })
}

async fn results(client: &dyn Pigeon, job: JobId) -> Vec<ItemResult> {
    let pages: Vec<Vec<ItemResult>> = client.results(job).await.unwrap().try_collect().await.unwrap();
    pages.concat()
}

const RUNS: Watch = Watch { runs: true, logs: false, after: 0, past: false };

/// Every run that a watcher hears until the job has ended: its item's index.
async fn heard(client: &dyn Pigeon, job: JobId, watch: Watch) -> (Vec<u64>, JobState) {
    let mut events = client.watch(job, watch).await.unwrap();
    let mut runs = Vec::new();
    while let Some(event) = events.next().await {
        match event.unwrap() {
            JobEvent::Landed(landed) => runs.extend(landed.runs.iter().map(|run| run.index)),
            JobEvent::Finished(state) => return (runs, state),
            JobEvent::Progress(_) | JobEvent::Note(_) => {}
        }
    }
    panic!("the events ended before the job");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_the_same_from_afar_and_from_within() {
    let place = Place::start(true).await;
    let client = place.client();
    let request = request(&client).await;
    let job = client.submit(request.clone()).await.unwrap();
    for chunk in chunks(3, 100) {
        client.append(job, chunk.clone()).await.unwrap();
        // A chunk that was taken already is taken again, and counts once.
        client.append(job, chunk).await.unwrap();
    }
    client.seal(job).await.unwrap();
    client.seal(job).await.unwrap();
    let (runs, state) = heard(&client, job, RUNS).await;
    assert_eq!(state, JobState::Finished);
    assert_eq!((runs.len(), runs.iter().collect::<BTreeSet<_>>().len()), (300, 300));

    let within = place.embedded.client();
    let (ours, theirs) = (results(&client, job).await, results(&*within, job).await);
    assert_eq!(ours, theirs);
    assert!(ours.iter().all(|item| (item.verdict == Verdict::Invalid) == (item.index % 3 == 0)));
    let (ours, theirs) = (client.job(job).await.unwrap(), within.job(job).await.unwrap());
    assert_eq!((ours.total_runs, ours.invalid, &ours.errors), (300, 100, &theirs.errors));
    assert_eq!((ours.request.sources, ours.request.seed), (request.sources, request.seed));
    assert_eq!(client.plugins().await.unwrap(), within.plugins().await.unwrap());
    let listed = client.jobs(JobFilter { limit: Some(10), ..JobFilter::default() }).await.unwrap();
    assert_eq!(listed.iter().map(|listed| listed.id).collect::<Vec<_>>(), [job]);
    assert_eq!(client.job_ids().await.unwrap(), [job]);

    // What has landed already is heard again, from whichever batch on, without a wait for more.
    let past = Watch { past: true, ..RUNS };
    assert_eq!(heard(&client, job, past).await, (runs, JobState::Finished));
    let nothing = Watch { after: u64::MAX >> 1, ..past };
    assert_eq!(heard(&client, job, nothing).await, (Vec::new(), JobState::Finished));
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_and_its_watcher_outlive_restarts_of_the_server() {
    let mut place = Place::start(false).await;
    let client = place.client();
    let job = client.submit(request(&client).await).await.unwrap();
    let watcher = client.clone();
    let watcher = tokio::spawn(async move { heard(&watcher, job, RUNS).await });
    for chunk in chunks(30, 20) {
        let sent = if [10, 20].contains(&chunk.seq) {
            // It is sent while nobody listens, and arrives when somebody does.
            place.silence().await;
            let client = client.clone();
            let sending = tokio::spawn(async move { client.append(job, chunk).await });
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(!sending.is_finished(), "somebody took it");
            place.serve().await;
            sending.await.unwrap()
        } else {
            client.append(job, chunk).await
        };
        sent.unwrap();
    }
    client.seal(job).await.unwrap();
    let (mut runs, state) = watcher.await.unwrap();
    runs.sort_unstable();
    assert_eq!((runs, state), ((0..600).collect(), JobState::Finished));
    assert_eq!(results(&client, job).await.len(), 600);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_as_within() {
    let place = Place::start(false).await;
    let (client, within) = (place.client(), place.embedded.client());
    let nobody = JobId::new();
    let (ours, theirs) = (client.job(nobody).await.unwrap_err(), within.job(nobody).await.unwrap_err());
    assert_eq!((ours.kind, &ours.message, &ours.hint), (theirs.kind, &theirs.message, &theirs.hint));
    let (ours, theirs) = (client.plugin("jsn").await.unwrap_err(), within.plugin("jsn").await.unwrap_err());
    assert_eq!((ours.kind, &ours.message, &ours.hint), (theirs.kind, &theirs.message, &theirs.hint));
    let error = client.watch(nobody, Watch::default()).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::NotFound);

    let job = client.submit(request(&client).await).await.unwrap();
    let [first, second] = &chunks(2, 5)[..] else { panic!() };
    // The chunk before it is missing.
    let error = client.append(job, second.clone()).await.unwrap_err();
    assert_eq!(error.kind, within.append(job, second.clone()).await.unwrap_err().kind);
    client.append(job, first.clone()).await.unwrap();
    client.stop(job, Stop::Cancel).await.unwrap();
    client.stop(job, Stop::Cancel).await.unwrap();
    let (_, state) = heard(&client, job, RUNS).await;
    assert!(state.is_final() || state == JobState::Interrupted, "{state:?}");
    place.stop().await;
}
