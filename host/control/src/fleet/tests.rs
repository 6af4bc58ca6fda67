use pigeon_protocol::outcome::{Answer, Failure, Judgement};

use pigeon_api::{AgentState, Health};
use pigeon_hub::SessionEnd;

use super::*;

fn hello(name: &str) -> Hello {
    Hello { name: name.to_owned(), version: "0.1.0".to_owned(), slots: 2, ..Hello::default() }
}

/// It comes in; what is remembered of it may be given.
fn join(fleet: &mut Fleet, session: u64, agent: AgentId, hello: &Hello, known: Option<&AgentRecord>) -> Joined {
    let address = SocketAddr::from(([127, 0, 0, 1], 7));
    fleet.joined(&Joining { session: SessionId(session), agent, hello, address, ends_ms: 500, known })
}

fn outcomes(valid: usize, failed: usize) -> Vec<Outcome> {
    let answers = [(valid, Answer::Judgement(Judgement::default())), (failed, Answer::Failure(Failure::default()))];
    let outcome = |answer| Outcome { answer: Some(answer), ..Outcome::default() };
    answers.into_iter().flat_map(|(count, answer)| vec![outcome(answer); count]).collect()
}

#[test]
fn an_agent_is_told_of_by_how_it_came_and_went() {
    let mut fleet = Fleet::new(Duration::from_secs(5));
    let (one, two) = (AgentId::new(), AgentId::new());
    join(&mut fleet, 1, one, &hello("b"), None);
    join(&mut fleet, 2, two, &hello("a"), None);
    fleet.draining(SessionId(2), "maintenance");
    let told = fleet.status(|session| session.0 as usize);
    let short: Vec<_> = told.iter().map(|agent| (&*agent.name, agent.state, agent.leases, agent.health)).collect();
    assert_eq!(short, [("a", AgentState::Draining, 2, Health::Good), ("b", AgentState::Ready, 1, Health::Good)]);
    assert_eq!(told[0].reasons, ["is leaving: maintenance"]);

    // One that died is back in another life before its end is told.
    for session in [3, 4] {
        join(&mut fleet, session, one, &hello("b"), None);
        let died = Leaving::of(&SessionEnd::Died);
        assert_eq!(fleet.left(SessionId(if session == 3 { 1 } else { 3 }), died.as_ref(), true).as_deref(), Some("b"));
    }
    fleet.left(SessionId(2), Leaving::of(&SessionEnd::Unreachable).as_ref(), false);
    let told = fleet.status(|_| 0);
    assert_eq!(
        (told[0].state, told[0].health, &*told[0].reasons[0]),
        (AgentState::Away, Health::Bad, "cannot be reached")
    );
    assert_eq!((told[1].state, told[1].health), (AgentState::Ready, Health::Warning));
    assert_eq!(told[1].reasons, ["died 2 times in the last hour"]);
}

#[test]
fn an_agent_that_makes_no_progress_is_bad_until_it_does_or_comes_anew() {
    let mut fleet = Fleet::new(Duration::from_secs(5));
    let agent = AgentId::new();
    join(&mut fleet, 1, agent, &hello("a"), None);
    let health = |fleet: &Fleet| fleet.status(|_| 0)[0].health;
    assert_eq!(fleet.stalled(SessionId(1), true).as_deref(), Some("a"));
    let told = fleet.status(|_| 0);
    assert_eq!((told[0].state, told[0].health), (AgentState::Ready, Health::Bad));
    assert!(told[0].reasons[0].starts_with("makes no progress"), "{:?}", told[0].reasons);
    fleet.stalled(SessionId(1), false);
    assert_eq!(health(&fleet), Health::Good);
    fleet.stalled(SessionId(1), true);
    join(&mut fleet, 2, agent, &hello("a"), None);
    assert_eq!(health(&fleet), Health::Good);
    assert_eq!(fleet.stalled(SessionId(9), true), None);
}

#[test]
fn an_agent_that_fails_where_others_do_not_is_told_of() {
    let mut fleet = Fleet::new(Duration::from_secs(5));
    let agents = [AgentId::new(), AgentId::new()];
    for (number, (agent, name)) in agents.iter().zip(["a", "b"]).enumerate() {
        join(&mut fleet, number as u64, *agent, &hello(name), None);
    }
    fleet.landed(agents[0], &outcomes(0, 30));
    assert!(fleet.status(|_| 0)[0].reasons.is_empty(), "it may be the work");
    fleet.landed(agents[1], &outcomes(30, 1));
    let told = fleet.status(|_| 0);
    assert_eq!((told[0].health, told[0].runs, told[0].failures), (Health::Bad, 30, 30));
    assert_eq!(told[0].reasons, ["could not judge 30 of its last 30 runs, where others could"]);
    assert_eq!((told[1].health, told[1].reasons.len()), (Health::Good, 0));
    fleet.landed(agents[0], &outcomes(20, 0));
    assert_eq!(fleet.status(|_| 0)[0].health, Health::Warning);
    fleet.landed(agents[0], &outcomes(90, 0));
    assert_eq!(fleet.status(|_| 0)[0].health, Health::Good, "what it does lately counts");
    fleet.landed(agents[1], &outcomes(0, 100));
    fleet.landed(agents[0], &outcomes(0, 100));
    assert!(fleet.status(|_| 0).iter().all(|agent| agent.health == Health::Good), "where all fail it is the work");
}

#[test]
fn agents_that_are_away_are_forgotten_in_time() {
    let mut fleet = Fleet::new(Duration::from_secs(5));
    for number in 0..AWAY as u64 + 50 {
        join(&mut fleet, number, AgentId::new(), &hello("a"), None);
        fleet.left(SessionId(number), Some(&Leaving::InOrder), false);
    }
    assert_eq!((fleet.agents.len(), fleet.sessions.len()), (AWAY, 0));
}

fn record(agent: AgentId) -> AgentRecord {
    AgentRecord {
        agent,
        name: "north".to_owned(),
        token: Some("join-1".to_owned()),
        granted: vec!["rack=1".to_owned()],
        labels: Vec::new(),
        first_ms: 5,
        last_ms: 9,
        incarnation: None,
        certificate: None,
        ends_ms: 400,
        drained: None,
        revoked: None,
    }
}

fn mark(why: &str) -> Mark {
    Mark { at_ms: 7, by: "ann".to_owned(), why: why.to_owned() }
}

#[test]
fn an_agent_has_the_labels_of_its_token_and_stays_drained() {
    let (mut fleet, agent) = (Fleet::new(Duration::from_secs(5)), AgentId::new());
    let hello = Hello { labels: vec!["rack=2".to_owned(), "gpu".to_owned()], ..hello("north") };
    let drained = AgentRecord { drained: Some(mark("")), ..record(agent) };
    let joined = join(&mut fleet, 1, agent, &hello, Some(&drained));
    assert_eq!((joined.labels, joined.drained), (vec!["gpu".to_owned(), "rack=1".to_owned()], true));
    let told = fleet.status(|_| 0).remove(0);
    assert_eq!((told.state, told.health), (AgentState::Drained, Health::Good));
    assert_eq!(told.reasons, ["takes nothing: drained by ann"]);
    // Where nothing can be read of it, what was known is.
    let joined = join(&mut fleet, 2, agent, &hello, None);
    assert_eq!((joined.labels.len(), joined.drained), (2, true));
    assert_eq!(fleet.drained(agent, None), Some(SessionId(2)));
    assert_eq!(fleet.status(|_| 0)[0].state, AgentState::Ready);
    fleet.draining(SessionId(2), "");
    assert_eq!(fleet.drained(agent, None), None, "it leaves of its own accord");
    assert_eq!(fleet.drained(AgentId::new(), None), None);
}

#[test]
fn an_agent_that_is_revoked_is_shown_so_and_no_trouble() {
    let (mut fleet, agent) = (Fleet::new(Duration::from_secs(5)), AgentId::new());
    join(&mut fleet, 1, agent, &hello("north"), Some(&record(agent)));
    assert_eq!(fleet.revoked(agent, mark("it was stolen")), Some(SessionId(1)));
    fleet.left(SessionId(1), Some(&Leaving::SentAway("the agent was revoked".to_owned())), false);
    let told = fleet.status(|_| 0).remove(0);
    assert_eq!((told.state, told.health), (AgentState::Revoked, Health::Good));
    assert_eq!(told.reasons, ["was revoked by ann: it was stolen"]);
    assert_eq!(fleet.revoked(agent, mark("")), None);
}

#[test]
fn all_that_is_known_of_an_agent_is_told() {
    let (mut fleet, agent) = (Fleet::new(Duration::from_secs(5)), AgentId::new());
    fleet.remember(&[record(agent)]);
    let away = fleet.detail(agent, |_| 0).unwrap();
    assert_eq!((away.status.state, away.status.heard_ms, away.certificate_ends_ms), (AgentState::Away, 9, Some(400)));
    assert_eq!(away, remembered(&record(agent)));
    let hello = Hello { incarnation: vec![7; 16], ..hello("north") };
    join(&mut fleet, 1, agent, &hello, Some(&record(agent)));
    let digest = pigeon_api::Digest::of(b"plugin");
    fleet.beat(
        SessionId(1),
        &Beat {
            computing: 2,
            waiting: 3,
            rss: 4,
            plugins: vec![digest.as_bytes().to_vec(), vec![1]],
            models: vec!["codellama:7b".to_owned()],
            ..Beat::default()
        },
    );
    fleet.renewed(agent, 900);
    let told = fleet.detail(agent, |_| 6).unwrap();
    let AgentStatus { computing, waiting, rss, leases, .. } = told.status;
    assert_eq!((computing, waiting, rss, leases), (2, 3, 4, 6));
    assert_eq!((told.first_ms, told.certificate_ends_ms, told.token.as_deref()), (5, Some(900), Some("join-1")));
    assert_eq!(told.plugins.iter().map(|plugin| plugin.digest).collect::<Vec<_>>(), [digest]);
    assert_eq!(told.models, ["codellama:7b"]);
    assert!(told.incarnation.is_some());
    assert_eq!(fleet.detail(AgentId::new(), |_| 0), None);
}
