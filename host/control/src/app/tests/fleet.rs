//! Agents that are remembered, and the tokens with which they join; none of them is in.

use pigeon_api::{AgentState, EventFilter, EventKind, JoinSpec};
use pigeon_protocol::id::{AgentId, IncarnationId};
use pigeon_store::AgentSeen;

use super::*;

fn spec(labels: &[&str]) -> JoinSpec {
    JoinSpec { uses: 3, ttl_ms: 60_000, labels: labels.iter().map(|label| (*label).to_owned()).collect() }
}

async fn seen(app: &App, name: &str) -> AgentId {
    let agent = AgentId::new();
    let seen = AgentSeen {
        agent,
        name: name.to_owned(),
        labels: vec!["gpu".to_owned()],
        incarnation: IncarnationId::new(),
        certificate: pigeon_api::Digest::of(name.as_bytes()),
        ends_ms: clock::now_ms() + 60_000,
        at_ms: clock::now_ms(),
    };
    app.core.store.see_agent(seen).await.unwrap();
    agent
}

#[tokio::test]
async fn join_tokens_outlive_a_restart_until_they_are_revoked() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let made = app.client.create_join_token(spec(&["rack=7"])).await.unwrap();
    assert!(!format!("{made:?}").contains(&made.secret), "its secret is shown by nothing but itself");
    for wrong in [spec(&["=7"]), spec(&["a\nb"]), spec(&["gpu"; 65])] {
        assert_eq!(kind(app.client.create_join_token(wrong).await), ErrorKind::BadRequest);
    }
    stop(app).await;
    let app = server(dir.path()).await;
    assert_eq!(app.client.join_tokens().await.unwrap(), std::slice::from_ref(&made.info));
    app.client.revoke_join_token(&made.info.id).await.unwrap();
    assert_eq!(app.client.join_tokens().await.unwrap(), []);
    assert_eq!(kind(app.client.revoke_join_token(&made.info.id).await), ErrorKind::NotFound);
    let events = app.client.events(EventFilter::default(), 100).await.unwrap();
    let of_it: Vec<_> = events.iter().filter(|event| event.subject.as_ref() == Some(&made.info.id)).collect();
    assert_eq!(
        of_it.iter().map(|event| event.kind).collect::<Vec<_>>(),
        [EventKind::TokenCreated, EventKind::TokenRevoked]
    );
    stop(app).await;
}

#[tokio::test]
async fn agents_that_are_away_are_drained_and_revoked_for_good() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let (north, south) = (seen(&app, "north").await, seen(&app, "south").await);
    let ann = app.client_as("ann");
    assert_eq!(ann.drain_agent("north", true).await.unwrap().drained.unwrap().by, "ann");
    let revoked = ann.revoke_agent(&south.to_string(), "it was stolen").await.unwrap();
    assert_eq!((revoked.status.state, revoked.revoked.unwrap().why.as_str()), (AgentState::Revoked, "it was stolen"));
    // Who said so first stays known.
    let again = app.client_as("bob").revoke_agent("south", "").await.unwrap();
    assert_eq!(again.revoked.unwrap().by, "ann");
    assert!(app.core.is_revoked(south) && !app.core.is_revoked(north));
    assert_eq!(kind(ann.drain_agent("south", true).await), ErrorKind::Conflict);
    assert_eq!(kind(ann.revoke_agent("north", "two\nlines").await), ErrorKind::BadRequest);
    let unknown = ann.agent("nord").await.unwrap_err();
    assert_eq!(unknown.kind, ErrorKind::NotFound);
    assert!(unknown.hint.unwrap().contains("`north`"));
    // Whoever asks holds the state directory.
    drop(ann);
    stop(app).await;

    let app = server(dir.path()).await;
    assert!(app.core.is_revoked(south));
    let told: Vec<_> = app.client.agents().await.unwrap().into_iter().map(|agent| (agent.name, agent.state)).collect();
    assert_eq!(told, [("north".to_owned(), AgentState::Away), ("south".to_owned(), AgentState::Revoked)]);
    assert!(app.client.agent("north").await.unwrap().drained.is_some());
    app.client_as("bob").drain_agent("north", false).await.unwrap();
    assert_eq!(app.client.agent("north").await.unwrap().drained, None);
    let events = app.client.events(EventFilter::default(), 100).await.unwrap();
    let decided =
        |kind| events.iter().filter(|event| event.kind == kind).map(|event| &*event.author).collect::<Vec<_>>();
    assert_eq!(decided(EventKind::AgentDrained), ["ann"]);
    assert_eq!(decided(EventKind::AgentRevoked), ["ann"]);
    assert_eq!(decided(EventKind::AgentResumed), ["bob"]);
    stop(app).await;
}
