//! Cases of agents that are remembered, and of the tokens with which they join.

use pigeon_protocol::id::{AgentId, Digest, IncarnationId};
use pigeon_store::{
    AgentRecord, AgentSeen, Certified, JoinRefusal, JoinTokenRecord, Mark, Retention, Store, StoreError,
};

use super::DAY_MS;

fn token(id: &str, uses: u32) -> JoinTokenRecord {
    JoinTokenRecord {
        id: id.to_owned(),
        hash: Digest::of(id.as_bytes()),
        author: "ann".to_owned(),
        created_ms: 5,
        expires_ms: 100,
        uses,
        used: 0,
        labels: vec!["rack=1".to_owned(), "gpu=a100".to_owned()],
    }
}

fn certified(agent: AgentId, at_ms: u64, ends_ms: u64) -> Certified {
    let certificate = Digest::of(&ends_ms.to_be_bytes());
    Certified { agent, name: "north".to_owned(), certificate, ends_ms, at_ms }
}

fn seen(agent: AgentId, at_ms: u64, ends_ms: u64) -> AgentSeen {
    AgentSeen {
        agent,
        name: "south".to_owned(),
        labels: vec!["arch=x86_64".to_owned()],
        incarnation: IncarnationId::from_bytes([7; 16]),
        certificate: Digest::of(&ends_ms.to_be_bytes()),
        ends_ms,
        at_ms,
    }
}

fn mark(at_ms: u64, by: &str, why: &str) -> Mark {
    Mark { at_ms, by: by.to_owned(), why: why.to_owned() }
}

fn refused(joined: Result<(), StoreError>) -> Option<JoinRefusal> {
    match joined {
        Err(StoreError::NoJoin(refusal)) => Some(refusal),
        _ => None,
    }
}

pub(crate) async fn a_join_token_is_good_for_its_uses_and_its_time(store: &impl Store) {
    store.put_join_token(token("b", 2)).await.unwrap();
    store.put_join_token(JoinTokenRecord { created_ms: 4, ..token("a", 1) }).await.unwrap();
    let taken = store.put_join_token(token("b", 9)).await.unwrap_err();
    assert!(matches!(&taken, StoreError::NameTaken(id) if id == "b"), "{taken}");
    let join = async |id: &str, at_ms| {
        store.join_agent(Digest::of(id.as_bytes()), certified(AgentId::new(), at_ms, 500)).await
    };
    assert_eq!(refused(join("c", 10).await), Some(JoinRefusal::Unknown));
    assert_eq!(refused(join("b", 100).await), Some(JoinRefusal::Expired));
    assert_eq!(store.agents().await.unwrap(), [], "whoever was refused is not remembered");
    join("b", 10).await.unwrap();
    join("b", 99).await.unwrap();
    assert_eq!(refused(join("b", 10).await), Some(JoinRefusal::UsedUp));
    let used = JoinTokenRecord { used: 2, ..token("b", 2) };
    let kept = store.join_tokens().await.unwrap();
    assert_eq!(kept, [JoinTokenRecord { created_ms: 4, ..token("a", 1) }, used]);
    assert!(store.remove_join_token("a").await.unwrap());
    assert!(!store.remove_join_token("a").await.unwrap());
    assert_eq!(refused(join("a", 10).await), Some(JoinRefusal::Unknown));
}

pub(crate) async fn no_more_join_at_once_than_may(store: &impl Store) {
    store.put_join_token(token("a", 3)).await.unwrap();
    let join = || store.join_agent(Digest::of(b"a"), certified(AgentId::new(), 10, 500));
    let joined = futures::future::join_all((0..10).map(|_| join())).await;
    assert_eq!(joined.iter().filter(|joined| joined.is_ok()).count(), 3);
    assert_eq!(store.agents().await.unwrap().len(), 3);
}

pub(crate) async fn an_agent_is_remembered_from_its_enrolment_on(store: &impl Store) {
    let agent = AgentId::new();
    store.put_join_token(token("a", 1)).await.unwrap();
    store.join_agent(Digest::of(b"a"), certified(agent, 10, 500)).await.unwrap();
    let enrolled = AgentRecord {
        agent,
        name: "north".to_owned(),
        token: Some("a".to_owned()),
        granted: token("a", 1).labels,
        labels: Vec::new(),
        first_ms: 10,
        last_ms: 10,
        incarnation: None,
        certificate: Some(Digest::of(&500u64.to_be_bytes())),
        ends_ms: 500,
        drained: None,
        revoked: None,
    };
    assert_eq!(store.agent(agent).await.unwrap(), Some(enrolled.clone()));
    let incarnation = Some(IncarnationId::from_bytes([7; 16]));
    let labels = vec!["arch=x86_64".to_owned()];
    let joined = AgentRecord { name: "south".to_owned(), labels, incarnation, last_ms: 20, ..enrolled };
    assert_eq!(store.see_agent(seen(agent, 20, 500)).await.unwrap(), joined);
    store.renew_agent(certified(agent, 400, 900)).await.unwrap();
    let certificate = Some(Digest::of(&900u64.to_be_bytes()));
    let renewed = AgentRecord { last_ms: 400, ends_ms: 900, certificate, ..joined };
    assert_eq!(store.agent(agent).await.unwrap(), Some(renewed.clone()));
    // It comes back with the certificate before, of which nobody need know.
    let back = AgentRecord { last_ms: 450, ..renewed };
    assert_eq!(store.see_agent(seen(agent, 450, 500)).await.unwrap(), back);
    store.agent_left(agent, 460).await.unwrap();
    store.agent_left(agent, 450).await.unwrap();
    assert_eq!(store.agents().await.unwrap(), [AgentRecord { last_ms: 460, ..back }]);
    // One that enrolled before agents were remembered is from now on.
    let older = store.see_agent(seen(AgentId::new(), 470, 500)).await.unwrap();
    assert_eq!((older.token, older.granted, older.first_ms), (None, Vec::new(), 470));
    assert_eq!(store.agents().await.unwrap()[0].agent, older.agent);
    assert_eq!(store.agent(AgentId::new()).await.unwrap(), None);
}

pub(crate) async fn an_agent_stays_drained_and_revoked(store: &impl Store) {
    let agent = AgentId::new();
    store.see_agent(seen(agent, 20, 500)).await.unwrap();
    assert!(store.set_agent_drained(agent, Some(mark(30, "ann", ""))).await.unwrap());
    let back = store.see_agent(seen(agent, 40, 500)).await.unwrap();
    assert_eq!((back.drained, back.revoked), (Some(mark(30, "ann", "")), None));
    assert!(store.set_agent_drained(agent, None).await.unwrap());
    assert_eq!(store.agent(agent).await.unwrap().unwrap().drained, None);

    let first = mark(50, "ann", "it was stolen");
    assert_eq!(store.revoke_agent(agent, first.clone()).await.unwrap(), Some(first.clone()));
    assert_eq!(store.revoke_agent(agent, mark(60, "bob", "")).await.unwrap(), Some(first.clone()));
    assert_eq!(store.see_agent(seen(agent, 70, 900)).await.unwrap().revoked, Some(first));

    let nobody = AgentId::new();
    assert_eq!(store.revoke_agent(nobody, mark(50, "ann", "")).await.unwrap(), None);
    assert!(!store.set_agent_drained(nobody, None).await.unwrap());
}

pub(crate) async fn agents_are_forgotten_when_their_certificates_can_no_longer_be_renewed(store: &impl Store) {
    let (away, renewed) = (AgentId::new(), AgentId::new());
    store.put_join_token(token("a", 1)).await.unwrap();
    store.see_agent(seen(away, 20, DAY_MS)).await.unwrap();
    store.see_agent(seen(renewed, 20, DAY_MS)).await.unwrap();
    store.renew_agent(certified(renewed, 30, 2 * DAY_MS)).await.unwrap();
    store.revoke_agent(away, mark(50, "ann", "")).await.unwrap();
    let known = async || store.agents().await.unwrap().len();
    store.sweep(99, Retention::default()).await.unwrap();
    assert_eq!((known().await, store.join_tokens().await.unwrap().len()), (2, 1));
    store.sweep(31 * DAY_MS, Retention::default()).await.unwrap();
    assert_eq!((known().await, store.join_tokens().await.unwrap().len()), (2, 0));
    store.sweep(31 * DAY_MS + 1, Retention::default()).await.unwrap();
    assert_eq!(store.agents().await.unwrap()[0].agent, renewed);
    assert_eq!(known().await, 1);
}
