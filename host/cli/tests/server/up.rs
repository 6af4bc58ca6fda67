//! `pigeon up` and `pigeon down`: clusters of real processes, whole, half dead and gone.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use crate::support::{Ended, Place, is_alive, kill};

/// A cluster that does not outlive the test.
struct Cluster {
    place: Place,
}

impl Cluster {
    fn new() -> Self {
        Self { place: Place::new() }
    }

    fn up(&self, args: &[&str]) -> Ended {
        self.place.run(&[&["up", "--state-dir", "cluster"], args].concat())
    }

    fn down(&self, args: &[&str]) -> Ended {
        self.place.run(&[&["down", "--state-dir", "cluster"], args].concat())
    }

    fn known(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.place.path("cluster/up.json")).ok()?).ok()
    }

    /// The processes that it is of, by name.
    fn processes(&self) -> BTreeMap<String, u32> {
        let known = self.known().unwrap_or_default();
        let pid = |process: &Value| u32::try_from(process["pid"].as_u64().unwrap()).unwrap();
        let agents = known["agents"].as_object().into_iter().flatten();
        let mut found: BTreeMap<_, _> = agents.map(|(name, agent)| (name.clone(), pid(&agent["process"]))).collect();
        if known["server"].is_object() {
            found.insert("server".to_owned(), pid(&known["server"]));
        }
        found
    }

    /// Names of the agents that take work.
    fn ready(&self) -> Vec<String> {
        let agents = self.place.json(&["agents", "list"]);
        let name = |agent: &Value| agent["name"].as_str().unwrap().to_owned();
        agents["agents"].as_array().unwrap().iter().filter(|agent| agent["state"] == "ready").map(name).collect()
    }

    fn current(&self) -> Option<String> {
        let contexts = self.place.json(&["context", "list"]);
        let current =
            contexts["contexts"].as_array().unwrap().iter().find(|context| context["current"] == true)?.clone();
        Some(current["name"].as_str().unwrap().to_owned())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (_, pid) in self.processes() {
            if is_alive(pid) {
                kill(pid);
            }
        }
    }
}

#[test]
fn a_cluster_comes_up_works_and_goes_down_and_both_may_be_said_twice() {
    let cluster = Cluster::new();
    let place = &cluster.place;
    place.write("token", "pgt1.something\n");
    let before = ["context", "add", "before", "--server", "http://127.0.0.1:1", "--token-file", "token"];
    place.run(&[&before[..], &["--no-check", "--use"]].concat()).expect(0);
    let nothing = cluster.down(&[]).expect(0);
    assert!(nothing.stderr.contains("nothing is up"), "{nothing:?}");

    let up = cluster.up(&["--agents", "2", "--slots", "1"]).expect(0);
    assert!(up.stderr.contains("pigeon process -f") && up.stderr.contains("pigeon down --state-dir"), "{up:?}");
    let processes = cluster.processes();
    assert_eq!(processes.keys().collect::<Vec<_>>(), ["server", "worker-1", "worker-2"]);
    assert!(processes.values().all(|pid| is_alive(*pid)));
    assert_eq!(cluster.ready(), ["worker-1", "worker-2"]);
    assert_eq!(cluster.current().as_deref(), Some("up"));
    cluster.up(&["--agents", "2", "--slots", "1"]).expect(0);
    assert_eq!(cluster.processes(), processes, "the second does nothing");

    place.write("orders.jsonl", "1\n2\n3\n");
    let report = place.json(&["process", "-f", "orders.jsonl", "--items", "-v", "json"]);
    assert_eq!(report["total_runs"], 3);

    let down = cluster.down(&[]).expect(0);
    assert!(down.stderr.contains("it is down"), "{down:?}");
    assert!(processes.values().all(|pid| !is_alive(*pid)), "{processes:?}");
    assert_eq!(cluster.current().as_deref(), Some("before"));
    assert_eq!(place.json(&["context", "list"])["contexts"].as_array().unwrap().len(), 1);
    let again = cluster.down(&[]).expect(0);
    assert!(again.stderr.contains("nothing was up"), "{again:?}");

    // What it kept is there again, until it is purged.
    cluster.up(&["--agents", "1", "--slots", "1"]).expect(0);
    assert_eq!(place.run(&["process", "--resume", "last", "-o", "json"]).json(0)["total_runs"], 3);
    cluster.down(&["--purge"]).expect(0);
    assert!(!place.path("cluster").exists());
}

#[test]
fn a_half_dead_cluster_is_made_whole_by_up_and_stopped_by_down() {
    let cluster = Cluster::new();
    cluster.up(&["--agents", "2", "--slots", "1"]).expect(0);
    let first = cluster.processes();
    kill(first["worker-1"]);
    cluster.up(&["--agents", "2", "--slots", "1"]).expect(0);
    let second = cluster.processes();
    assert_ne!(second["worker-1"], first["worker-1"]);
    assert_eq!((second["server"], second["worker-2"]), (first["server"], first["worker-2"]));
    assert_eq!(cluster.ready(), ["worker-1", "worker-2"]);

    kill(second["server"]);
    cluster.up(&["--agents", "2", "--slots", "1"]).expect(0);
    let third = cluster.processes();
    assert_ne!(third["server"], second["server"]);
    assert_eq!(cluster.ready(), ["worker-1", "worker-2"]);

    // Fewer agents, each with more slots.
    let fewer = cluster.up(&["--agents", "1", "--slots", "2"]).expect(0);
    assert!(fewer.stderr.contains("worker-1: stopped in order and started again, with 2 slots"), "{fewer:?}");
    assert!(fewer.stderr.contains("worker-2: no longer of the cluster, for there is to be 1 agent"), "{fewer:?}");
    assert_eq!(cluster.ready(), ["worker-1"]);
    assert!(!is_alive(third["worker-2"]));

    kill(cluster.processes()["server"]);
    let left = cluster.processes();
    cluster.down(&[]).expect(0);
    assert!(left.values().all(|pid| !is_alive(*pid)), "{left:?}");
    assert_eq!(cluster.current(), None);
}

#[test]
fn a_cluster_keeps_its_number_and_what_was_gone_is_told() {
    let cluster = Cluster::new();
    cluster.up(&["--agents", "3", "--slots", "1"]).expect(0);
    let first = cluster.processes();
    kill(first["server"]);
    kill(first["worker-3"]);
    let up = cluster.up(&[]).expect(0);
    for told in ["the server was gone: it is started again", "worker-3: gone, and started again", "3 agents of 1 slot"]
    {
        assert!(up.stderr.contains(told), "{told}: {up:?}");
    }
    let second = cluster.processes();
    assert_eq!((&second["worker-1"], &second["worker-2"]), (&first["worker-1"], &first["worker-2"]), "they went on");
    assert_eq!(cluster.ready(), ["worker-1", "worker-2", "worker-3"]);
    let again = cluster.up(&[]).expect(0);
    assert!(!again.stderr.contains("gone") && !again.stderr.contains("started again"), "{again:?}");

    let none = cluster.up(&["--agents", "0"]).expect(0);
    assert!(none.stderr.contains("the server runs, without agents"), "{none:?}");
    assert!(!none.stderr.contains("slot"), "{none:?}");
    cluster.down(&["--purge"]).expect(0);
}

#[test]
fn a_context_of_ones_own_is_not_taken() {
    let cluster = Cluster::new();
    let place = &cluster.place;
    place.write("token", "pgt1.something\n");
    let add = ["context", "add", "up", "--server", "http://127.0.0.1:1", "--token-file", "token", "--no-check"];
    place.run(&add).expect(0);
    let refused = cluster.up(&["--agents", "1"]).refused(2);
    assert!(refused.contains("pigeon context remove up"), "{refused}");
    assert!(cluster.processes().is_empty());
}

#[test]
fn a_cluster_finds_its_way_in_again_when_its_token_was_revoked() {
    let cluster = Cluster::new();
    let place = &cluster.place;
    cluster.up(&["--agents", "1", "--slots", "1"]).expect(0);
    let before = cluster.processes();
    place.run(&["token", "create", "other", "--role", "viewer", "--out", "other.token"]).expect(0);
    place.run(&["token", "revoke", "admin", "--yes"]).expect(0);
    let revoked = place.run(&["agents", "list"]).refused(2);
    assert!(revoked.contains("pigeon up"), "{revoked}");
    let up = cluster.up(&["--agents", "1", "--slots", "1"]).expect(0);
    assert!(up.stderr.contains("was revoked or lost"), "{up:?}");
    let after = cluster.processes();
    assert_ne!(after["server"], before["server"]);
    assert!(!is_alive(before["server"]));
    assert_eq!(cluster.ready(), ["worker-1"]);
    place.run(&["token", "list"]).expect(0);
    cluster.down(&["--purge"]).expect(0);
}

#[test]
fn a_cluster_of_which_nothing_is_known_any_more_is_found() {
    let cluster = Cluster::new();
    let place = &cluster.place;
    cluster.up(&["--agents", "2", "--slots", "1"]).expect(0);
    let before = cluster.processes();
    let known = place.read("cluster/up.json");
    place.write("cluster/up.json", &known[..known.len() / 2]);
    let up = cluster.up(&["--agents", "2", "--slots", "1"]).expect(0);
    assert!(up.stderr.contains("cannot be understood") && up.stderr.contains("found all the same: 3"), "{up:?}");
    assert_eq!(cluster.processes(), before, "they are there, and are as they shall be");

    fs::remove_file(place.path("cluster/up.json")).unwrap();
    let down = cluster.down(&[]).expect(0);
    assert!(down.stderr.contains("is missing") && down.stderr.contains("it is down"), "{down:?}");
    assert!(before.values().all(|pid| !is_alive(*pid)), "{before:?}");
    place.write("cluster/up.json", "{");
    cluster.down(&["--purge"]).expect(0);
    assert!(!place.path("cluster").exists());
}
