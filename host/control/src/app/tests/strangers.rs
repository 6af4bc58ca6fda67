//! Answers of agents that hold no lease for them.

use pigeon_hub::{HubHandler as _, Kept, Landed, Recorder};
use pigeon_protocol::{
    id::{AgentId, Fence, LeaseId, SessionId},
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
