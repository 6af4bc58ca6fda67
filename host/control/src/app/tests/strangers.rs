//! Agents that are not known (yet), and answers of those that hold no lease for them.

use pigeon_hub::{HubEvent, HubHandler as _, Kept, Landed, Recorder};
use pigeon_protocol::{
    id::{AgentId, Fence, IncarnationId, LeaseId, SessionId},
    message::{Beat, Hello},
    outcome::Outcome,
};
use tokio::sync::Semaphore;

use super::*;
use crate::handler::Handler;

#[tokio::test]
async fn answers_without_a_lease_are_refused_and_counted() {
    let dir = TempDir::new().unwrap();
    let app = app(dir.path()).await;
    let handler = Handler::new(app.core.clone(), Arc::new(Semaphore::new(8)));
    let job = submit(&app, "plugin", |_| {}).await;
    app.client.append(job, chunk(0, 0, &[FITS])).await.unwrap();
    for (about, kept, made_of_it) in [
        // What an agent brings later it knows to be none of its leases; what was on its way it may not.
        (job, true, Kept::Refused),
        (job, false, Kept::Recorded),
        (JobId::new(), true, Kept::Refused),
        (JobId::new(), false, Kept::Recorded),
    ] {
        let (recorded, heard) = Recorder::new();
        let landed = Landed {
            session: SessionId(1),
            agent: AgentId::new(),
            lease: LeaseId(77),
            fence: Fence(7),
            job: about,
            outcomes: vec![Outcome { run: 0, ..Outcome::default() }],
            begun: Vec::new(),
            end: true,
            kept,
            recorded,
        };
        handler.landed(landed).await;
        assert_eq!(heard.await, Ok(made_of_it), "{kept}");
    }
    assert_eq!(app.metrics().await.refused, [4, 0, 0]);
    assert_eq!(status(&app, job).await.total_runs, 0);
    app.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_beat_that_comes_before_it_is_known_who_beats_takes_no_lease_from_anybody() {
    let dir = TempDir::new().unwrap();
    let app = app(dir.path()).await;
    let handler = Handler::new(app.core.clone(), Arc::new(Semaphore::new(8)));
    let (session, agent) = (SessionId(1), AgentId::new());
    let beat = Beat { leases: vec![5], ..Beat::default() };
    assert_eq!(handler.beat(session, beat.clone()).await, [], "it may hold it");
    let incarnation = IncarnationId::new().to_bytes().to_vec();
    let hello = Hello { name: "a".to_owned(), incarnation, slots: 1, ..Hello::default() };
    let address = ([127, 0, 0, 1], 7).into();
    let joined =
        HubEvent::Joined { session, agent, hello, address, certificate: pigeon_api::Digest::of(b"a"), ends_ms: 0 };
    handler.event(joined).await;
    while app.metrics().await.agents[0] == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(handler.beat(session, beat).await, [LeaseId(5)], "it does not");
    app.drain(Duration::ZERO).await;
}
