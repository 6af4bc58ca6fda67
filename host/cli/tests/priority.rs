//! Two jobs in one control host: the more urgent one gets its leases first, whoever came first.

#![expect(clippy::unwrap_used, reason = "a panic is the report of a test")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt as _;
use pigeon_api::{ChunkBuilder, Digest, JobEvent, JobId, JobRequest, JobState, Pigeon, Stop, Watch, Work};
use pigeon_cli::embedded::{Embedded, Options};

/// A job of so many runs of 20 ms each.
async fn submit(client: &Arc<dyn Pigeon>, plugin: Digest, priority: i32, runs: u64) -> JobId {
    let mut request = JobRequest::new(plugin, Work::Many { iterations: 1, workers: None });
    request.priority = priority;
    request.options.insert("do".to_owned(), "busy:20".to_owned());
    let job = client.submit(request).await.unwrap();
    let mut builder = ChunkBuilder::new(0, 0);
    for item in 1..=runs {
        builder.push(|id| id.extend_from_slice(item.to_string().as_bytes()), item, b"item");
    }
    client.append(job, builder.finish(Bytes::new())).await.unwrap();
    client.seal(job).await.unwrap();
    job
}

async fn finished(client: &Arc<dyn Pigeon>, job: JobId) {
    let mut events = client.watch(job, Watch::default()).await.unwrap();
    while let Some(event) = events.next().await {
        if let JobEvent::Finished(state) = event.unwrap() {
            assert_eq!(state, JobState::Finished);
            return;
        }
    }
    unreachable!("the events ended before the job");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_higher_priority_gets_its_leases_first() {
    const PATIENT: u64 = 250;
    let dir = tempfile::tempdir().unwrap();
    let mut embedded = Embedded::start(Options::new(dir.path())).await.unwrap();
    let client = embedded.client();
    let plugin = client.publish(Bytes::from_static(pigeon_plugins::HOSTILE)).await.unwrap().digest;
    let landed = async |job| client.job(job).await.unwrap().total_runs;

    // All are there before anybody could run one, the least urgent first. In turn, or evenly shared, as many runs of the
    // patient one would land as of the others.
    let patient = submit(&client, plugin, -1, PATIENT).await;
    let usual = submit(&client, plugin, 0, 40).await;
    let urgent = submit(&client, plugin, 7, 40).await;
    embedded.add_agents(1).await.unwrap();
    finished(&client, urgent).await;
    assert!(landed(usual).await < 20, "{} runs of the usual one", landed(usual).await);
    finished(&client, usual).await;
    assert!(landed(patient).await < 40, "{} runs of the patient one", landed(patient).await);

    // One that comes later goes before what is not leased yet.
    let late = submit(&client, plugin, 1, 20).await;
    finished(&client, late).await;
    assert!(landed(patient).await < PATIENT, "the patient one had ended");
    client.stop(patient, Stop::Pause).await.unwrap();
    embedded.stop(Duration::from_secs(5)).await;
}
