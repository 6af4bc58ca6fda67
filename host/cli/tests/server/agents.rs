//! Agents as an operator has them come, rest and go: what is said is so at once, and after a restart.

use serde_json::Value;

use crate::support::{Addresses, Agent, Place, Serving, until};

/// What whoever is not wanted ends with: see `pigeon_agent::daemon::REFUSED`.
const REFUSED: i32 = 77;

/// A server in use, which comes back where it was.
struct Host {
    place: Place,
    serving: Serving,
    addresses: Addresses,
}

impl Host {
    fn start() -> Self {
        let place = Place::new();
        let serving = place.serve(&[]);
        place.run(&["context", "add", "here", "--state-dir", "host", "--use"]).expect(0);
        let addresses = serving.addresses();
        Self { place, serving, addresses }
    }

    fn restart(self) -> Self {
        let Self { place, serving, addresses } = self;
        serving.stop();
        let serving = place.serve_at(&addresses);
        Self { place, serving, addresses }
    }

    /// Start an agent of one slot with this token, or with the identity that it has.
    fn agent(&self, name: &str, token: &str) -> Agent {
        self.place.start_agent(&self.serving, name, token)
    }

    fn shown(&self, agent: &str) -> Value {
        self.place.json(&["agents", "show", agent])
    }

    #[track_caller]
    fn until_state(&self, agent: &str, state: &str) {
        until(&format!("{agent} being {state}"), || {
            let list = self.place.json(&["agents", "list", "--all"]);
            list["agents"].as_array().unwrap().iter().any(|one| one["name"] == agent && one["state"] == state)
        });
    }

    /// Has this done by whoever is there: the job's id.
    fn submit(&self, items: usize) -> String {
        self.place.write("deeds.txt", "busy:20\n".repeat(items));
        let hostile = self.place.hostile();
        let args =
            ["process", "--detach", "-f", "deeds.txt", "--split", "lines", "-v", &hostile, "--option", "do=body"];
        self.place.run(&args).expect(0).stdout.trim().to_owned()
    }
}

#[test]
fn a_join_token_is_good_for_as_many_as_it_says_and_outlives_a_restart() {
    let host = Host::start();
    let made = host.place.run(&["token", "create", "--ttl", "1h", "--uses", "2", "--label", "rack=7"]).expect(0);
    assert!(made.stdout.starts_with("pgn1."), "{made:?}");
    assert!(made.stderr.contains("is good for 2 agents, for 1h"), "{made:?}");
    host.place.write("join.token", &made.stdout);
    let _one = host.agent("one", "join.token");
    host.until_state("one", "ready");

    let host = host.restart();
    let _two = host.agent("two", "join.token");
    host.until_state("two", "ready");
    let list = host.place.json(&["token", "list"]);
    let token = &list["join_tokens"][0];
    assert_eq!(
        (&token["uses"], &token["left"], &token["labels"]),
        (&2.into(), &0.into(), &serde_json::json!(["rack=7"]))
    );
    let id = token["id"].as_str().unwrap();
    let shown = host.shown("two");
    assert_eq!(shown["token"], id);
    assert!(shown["labels"].as_array().unwrap().contains(&"rack=7".into()), "{shown}");
    assert!(shown["certificate_ends_ms"].as_i64().unwrap() > shown["first_ms"].as_i64().unwrap(), "{shown}");

    let mut three = host.agent("three", "join.token");
    assert_eq!(three.ended().code(), Some(1));
    let told = host.place.read("three.log");
    assert!(told.contains("the join token is used up") && told.contains("pigeon token"), "{told}");
    host.place.run(&["token", "revoke", id]).expect(0);
    assert_eq!(host.place.json(&["token", "list"])["join_tokens"], serde_json::json!([]));
    let mut four = host.agent("four", "join.token");
    assert_eq!(four.ended().code(), Some(1));
    assert!(host.place.read("four.log").contains("the join token is not known"));
    host.serving.stop();
}

#[test]
fn a_revoked_agent_is_cut_off_and_its_work_is_done_by_others() {
    let host = Host::start();
    host.place.run(&["token", "create", "--uses", "2", "--out", "join.token"]).expect(0);
    let mut bad = host.agent("bad", "join.token");
    let _good = host.agent("good", "join.token");
    host.until_state("bad", "ready");
    host.until_state("good", "ready");
    // The other one does nothing until the first is gone.
    host.place.run(&["agents", "drain", "good"]).expect(0);
    let job = host.submit(200);
    until("work for the agent", || host.shown("bad")["runs"].as_u64() > Some(0));
    assert!(host.shown("bad")["leases"].as_u64() > Some(0));

    let asked = host.place.run(&["agents", "revoke", "bad"]).refused(2);
    assert!(asked.contains("--yes"), "{asked}");
    host.place.run(&["agents", "revoke", "bda", "--yes"]).refused(2);
    host.place.run(&["agents", "revoke", "bad", "--why", "it was stolen", "--yes"]).expect(0);
    let revoked = host.shown("bad");
    assert_eq!((&revoked["state"], &revoked["leases"]), (&"revoked".into(), &0.into()), "{revoked}");
    assert_eq!(bad.ended().code(), Some(REFUSED));
    let told = host.place.read("bad.log");
    assert!(told.contains("the hub refused this agent: the agent was revoked"), "{told}");

    host.place.run(&["agents", "resume", "good"]).expect(0);
    let waited = host.place.run(&["jobs", "wait", &job, "--timeout", "2m", "-o", "json"]).json(0);
    assert_eq!(waited["jobs"][0]["total_runs"], 200, "{waited}");
    let workers = host.place.json(&["jobs", "show", &job])["workers"].clone();
    let runs: u64 = workers.as_array().unwrap().iter().map(|worker| worker["total"].as_u64().unwrap()).sum();
    assert_eq!((workers.as_array().unwrap().len(), runs), (2, 200), "{workers}");
    let events = host.place.run(&["events", "-o", "json"]).expect(0).stdout;
    assert!(events.contains("agent-revoked") && events.contains("it was stolen"), "{events}");

    // Neither now, nor when everything has been forgotten but what is on disk.
    let mut again = host.agent("bad", "join.token");
    assert_eq!(again.ended().code(), Some(REFUSED));
    let host = host.restart();
    let mut again = host.agent("bad", "join.token");
    assert_eq!(again.ended().code(), Some(REFUSED));
    assert_eq!(host.shown("bad")["state"], "revoked");
    host.place.run(&["agents", "resume", "bad"]).refused(2);
    host.serving.stop();
}

#[test]
fn a_drained_agent_stays_and_takes_nothing_until_it_is_resumed() {
    let host = Host::start();
    let mut agent = host.place.agent(&host.serving, "north");
    let drained = host.place.json(&["agents", "drain", "north"]);
    assert_eq!(drained["deeds"][0]["done"], "drained");
    host.until_state("north", "drained");
    let job = host.submit(3);
    let host = host.restart();
    host.until_state("north", "drained");
    // Another life of its process.
    agent.kill();
    host.until_state("north", "away");
    let _agent = host.agent("north", "north.token");
    host.until_state("north", "drained");
    let id = host.shown("north")["id"].as_str().unwrap().to_owned();
    let status = host.place.json(&["jobs", "show", &job]);
    assert_eq!(status["total_runs"], 0, "{status}");

    host.place.run(&["agents", "resume", &id[id.len() - 8..]]).expect(0);
    host.place.run(&["jobs", "wait", &job, "--timeout", "2m"]).expect(0);
    host.until_state("north", "ready");
    let listed = host.place.run(&["agents"]).expect(0).stdout;
    assert!(listed.contains("north"), "{listed}");
    let unknown = host.place.run(&["agents", "show", "nort"]).refused(2);
    assert!(unknown.contains("did you mean `north`?"), "{unknown}");
    host.serving.stop();
}
