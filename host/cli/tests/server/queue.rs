//! The queue's commands against a real server: what is asked for by one of them is seen by the others.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Place, Serving, until};

/// A server in use.
fn served() -> (Place, Serving) {
    let place = Place::new();
    let serving = place.serve(&[]);
    place.run(&["context", "add", "here", "--state-dir", "host", "--use"]).expect(0);
    (place, serving)
}

/// A job that goes on alone: its id.
fn submit(place: &Place, args: &[&str]) -> String {
    let args: Vec<&str> = ["process", "--detach"].iter().chain(args).copied().collect();
    place.run(&args).expect(0).stdout.trim().to_owned()
}

#[track_caller]
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key}: {value}"))
}

#[test]
fn a_job_is_listed_shown_paused_resumed_waited_for_and_removed() {
    let (place, serving) = served();
    place.write("lines.jsonl", "[1]\n[2,]\n[3]\n");
    let job = submit(&place, &["-f", "lines.jsonl", "--items", "-v", "json"]);

    let list = place.json(&["jobs", "list", "--state", "unfinished"]);
    assert_eq!((text(&list["jobs"][0], "id"), &list["next"]), (job.as_str(), &Value::Null), "{list}");
    until("the reason", || place.run(&["jobs", "show", "last"]).expect(0).stdout.contains("no agent is in"));
    place.run(&["jobs", "pause", "last"]).expect(0);
    until("the pause", || text(&place.json(&["jobs", "show", &job]), "state") == "paused");
    let shown = place.run(&["jobs", "show", &job[30..]]).expect(0).stdout;
    assert!(shown.contains("it is paused") && shown.contains(&format!("pigeon jobs resume {job}")), "{shown}");
    let waited = place.run(&["jobs", "wait", "last", "--timeout", "500ms"]).refused(4);
    assert!(waited.contains(&format!("the time was over before job {job} had ended")), "{waited}");
    place.run(&["jobs", "resume", "last"]).expect(0);

    let _agent = place.agent(&serving, "worker-1");
    let waited = place.run(&["jobs", "wait", "last", "--timeout", "2m"]).expect(1);
    assert_eq!(waited.stdout.split("  ").take(2).collect::<Vec<_>>(), [job.as_str(), "finished"], "{waited:?}");
    assert!(waited.stdout.contains("1 invalid, 3 runs"), "{waited:?}");
    let waited = &place.run(&["jobs", "wait", &job, "-o", "json"]).json(1)["jobs"][0];
    assert_eq!((text(waited, "state"), waited["total_runs"].as_u64()), ("finished", Some(3)));
    let followed = place.run(&["jobs", "show", "last", "--follow", "-o", "json"]).expect(0).stdout;
    assert!(followed.lines().last().unwrap().contains("finished"), "{followed}");

    for (format, part) in [
        ("table", "trailing-comma"),
        ("json", "\"job_id\""),
        ("jsonl", "\"verdict\":\"invalid\""),
        ("junit", "<testsuites"),
        ("sarif", "\"2.1.0\""),
    ] {
        let report = place.run(&["jobs", "results", "last", "-o", format]).expect(0).stdout;
        assert!(report.contains(part), "{format}: {report}");
    }
    assert_eq!(place.json(&["jobs", "results", "last"])["items"].as_array().unwrap().len(), 3);
    let stats = place.run(&["stats"]).expect(0).stdout;
    assert!(stats.contains("worker-1") && stats.contains("json 0.1.0"), "{stats}");
    assert_eq!(place.json(&["stats", "last"])["invalid"], 1);
    let status = place.json(&["status"]);
    assert_eq!(
        (&status["queue"]["runs"], text(&status["agents"][0], "name")),
        (&Value::from(0), "worker-1"),
        "{status}"
    );
    let status = place.run(&["status", "-d"]).expect(0).stdout;
    assert!(status.contains("1 finished") && status.contains("worker-1"), "{status}");

    let events = place.json(&["events", "--job", &job]);
    let kinds: Vec<&str> = events["events"].as_array().unwrap().iter().map(|event| text(event, "kind")).collect();
    for kind in ["job-submitted", "job-sealed", "job-paused", "job-resumed", "job-finished"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    assert!(text(&events["events"][0], "author") == "admin", "{events}");

    let asked = place.run(&["jobs", "delete", &job]).refused(2);
    assert!(asked.contains("--yes"), "{asked}");
    place.run(&["jobs", "delete", &job, "--yes"]).expect(0);
    let list = place.run(&["jobs", "list"]).expect(0).stdout;
    assert!(list.starts_with("no job is kept"), "{list}");
    place.run(&["jobs", "show", &job]).refused(2);
    serving.stop();
}

#[test]
fn several_jobs_are_changed_at_once_and_what_is_wrong_with_one_is_told() {
    let (place, serving) = served();
    place.write("a.json", "[1]");
    let jobs: Vec<String> = (0..3).map(|_| submit(&place, &["-f", "a.json", "-v", "json"])).collect();
    let cancelled = place.json(&["jobs", "cancel", &jobs[0]]);
    assert_eq!(cancelled, serde_json::json!({"deeds": [{"of": jobs[0], "done": "cancelled"}]}));
    until("the end", || text(&place.json(&["jobs", "show", &jobs[0]]), "state") == "cancelled");
    let waited = place.run(&["jobs", "wait", &jobs[0]]).expect(130);
    assert!(waited.stdout.contains("cancelled"), "{waited:?}");

    // One of them goes on: it stays, and the other is removed.
    let deleted = place.run(&["jobs", "delete", &jobs[0], &jobs[1], "--yes", "-o", "json"]).expect(2);
    let deeds: Value = serde_json::from_str(&deleted.stdout).unwrap();
    assert_eq!(deeds["deeds"][0], serde_json::json!({"of": jobs[0], "done": "removed"}));
    let kept = &deeds["deeds"][1];
    assert_eq!((text(kept, "of"), text(&kept["error"], "kind")), (jobs[1].as_str(), "conflict"), "{deeds:#}");
    let error = deleted.stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert_eq!(error.matches(&jobs[1]).count(), 1, "{deleted:?}");
    let first = place.json(&["jobs", "list", "--limit", "1"]);
    assert_eq!((text(&first["jobs"][0], "id"), text(&first, "next")), (jobs[2].as_str(), jobs[2].as_str()));
    let second = place.json(&["jobs", "list", "--limit", "1", "--before", text(&first, "next")]);
    assert_eq!((text(&second["jobs"][0], "id"), &second["next"]), (jobs[1].as_str(), &Value::Null));
    serving.stop();
}

#[test]
fn what_could_not_be_judged_is_looked_at_tried_again_and_discarded() {
    let (place, serving) = served();
    let _agent = place.agent(&serving, "worker-1");
    let hostile = place.hostile();
    place.write("deeds.txt", "trap:1\nvalid:2\ntrap:3\n");
    let args = ["-f", "deeds.txt", "--split", "lines", "-v", &hostile, "--option", "do=body"];
    let job = submit(&place, &args);
    place.run(&["jobs", "wait", "last", "--timeout", "2m"]).expect(3);

    let dead = place.json(&["dead", "list", "--job", "last"]);
    let letters: Vec<&str> = dead["dead"].as_array().unwrap().iter().map(|letter| text(letter, "id")).collect();
    assert_eq!(letters.len(), 2, "{dead}");
    assert!(letters.contains(&format!("{job}:0").as_str()), "{letters:?}");
    let shown = place.run(&["dead", "show", "last:0"]).expect(0).stdout;
    assert!(shown.contains("sha256:") && shown.contains("  trap:1"), "{shown}");
    assert_eq!(place.run(&["dead", "show", "last:0", "--raw"]).expect(0).stdout, "trap:1");
    let logs = place.run(&["jobs", "logs", "last", "--item", "deeds.txt:1"]).expect(0).stdout;
    assert!(logs.contains("failure deeds.txt:1") && !logs.contains("deeds.txt:3"), "{logs}");
    let runs = |more: &[&str]| {
        let logs = place.json(&[&["jobs", "logs", "last"], more].concat());
        logs["runs"].as_array().unwrap().iter().map(|run| text(run, "item").to_owned()).collect::<Vec<_>>()
    };
    let mut failed = runs(&[]);
    failed.sort();
    assert_eq!(failed, ["deeds.txt:1", "deeds.txt:3"]);
    assert_eq!(runs(&["--item", "deeds.txt:3"]), ["deeds.txt:3"]);
    assert!(runs(&["--item", "deeds.txt:2"]).is_empty());
    let nobody = place.run(&["jobs", "logs", "last", "--item", "nope"]).expect(0);
    assert!(nobody.stderr.contains("no run of nope has landed"), "{nobody:?}");
    let followed = place.run(&["jobs", "logs", "last", "--follow", "-o", "json"]).expect(0).stdout;
    assert_eq!(followed.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count(), 2, "{followed}");

    let retried = place.run(&["dead", "retry", "last:0"]).expect(0);
    assert!(retried.stderr.contains("tried again: 1 run"), "{retried:?}");
    assert!(retried.stdout.is_empty(), "{retried:?}");
    // It fails again, and is a dead letter again.
    let count = || place.json(&["dead", "list"])["dead"].as_array().unwrap().len();
    until("both", || count() == 2);
    place.run(&["jobs", "wait", "last", "--timeout", "2m"]).expect(3);

    place.run(&["dead", "discard"]).refused(2);
    let asked = place.run(&["dead", "discard", "--all"]).refused(2);
    assert!(asked.contains("--yes"), "{asked}");
    place.run(&["dead", "discard", "last:2", "--yes"]).expect(0);
    assert_eq!(count(), 1);
    assert_eq!(place.json(&["dead", "discard", "--all", "--yes"]), serde_json::json!({"count": 1}));
    let none = place.run(&["dead", "list"]).expect(0).stdout;
    assert!(none.starts_with("no dead letter"), "{none}");
    assert_eq!(place.json(&["jobs", "show", "last"])["failures"], 2, "the failures stand");
    serving.stop();
}

#[test]
fn what_could_not_be_judged_is_tried_again_while_the_job_goes_on() {
    let (place, serving) = served();
    let _agent = place.agent(&serving, "worker-1");
    let hostile = place.hostile();
    place.write("deeds.txt", "trap:1\nwait-forever\n");
    let args = ["-f", "deeds.txt", "--split", "lines", "-v", &hostile, "--option", "do=body", "--real-clock"];
    let job = submit(&place, &args);
    let letters = || place.json(&["dead", "list"])["dead"].as_array().unwrap().clone();
    until("its letter", || letters().len() == 1);
    // The other run does not end: whoever waited for it would wait for minutes.
    let retried = place.run(&["dead", "retry", &format!("{job}:0")]).expect(0);
    assert!(retried.stderr.contains("tried again: 1 run"), "{retried:?}");
    let status = place.json(&["status"]);
    assert!(status["queue"]["leases"].as_u64().unwrap() >= 1, "{status}");
    place.run(&["jobs", "cancel", &job]).expect(0);
    serving.stop();
}

#[test]
fn a_schedule_submits_when_its_time_comes_until_it_is_removed() {
    let (place, serving) = served();
    place.write("a.json", "[1]");
    let none = place.run(&["schedule", "list"]).expect(0).stdout;
    assert!(none.starts_with("no schedule is kept"), "{none}");
    let add = ["schedule", "add", "pulse", "--every", "1s", "--overlap", "allow", "-f", "a.json", "-v", "json"];
    let add = [&add[..], &["--max-attempts", "7", "--retry-on", "timeout"]].concat();
    let added = place.run(&add).expect(0).stdout;
    assert!(added.starts_with("schedule pulse (every 1 s): 1 item for json, first "), "{added}");
    place.run(&add).expect(2);
    let wrong = ["schedule", "add", "wrong", "--cron", "soon", "-f", "a.json", "-v", "json"];
    let wrong = place.run(&wrong).expect(2);
    assert!(wrong.stderr.contains("soon"), "{wrong:?}");

    until("its job", || !place.json(&["jobs", "list"])["jobs"].as_array().unwrap().is_empty());
    let list = place.json(&["schedule", "list"]);
    assert_eq!(text(&list["schedules"][0], "name"), "pulse", "{list}");
    let retry = &place.json(&["jobs", "show", "last"])["request"]["retry"];
    assert_eq!(
        (&retry["attempts"], &retry["timeouts"], &retry["crashes"]),
        (&1.into(), &7.into(), &1.into()),
        "{retry}"
    );
    place.run(&["schedule", "pause", "pulse"]).expect(0);
    assert!(place.run(&["schedule", "list"]).expect(0).stdout.contains("paused"));
    let resumed = &place.json(&["schedule", "resume", "pulse"])["deeds"][0];
    assert!(text(resumed, "done") == "resumed" && resumed["next_ms"].as_i64() > Some(0), "{resumed}");
    place.run(&["schedule", "remove", "pulse"]).expect(0);
    place.run(&["schedule", "remove", "pulse"]).expect(2);
    serving.stop();
}

#[test]
fn a_backup_of_a_server_at_work_is_a_state_directory_again() {
    let (place, serving) = served();
    place.write("a.json", "[1]");
    let job = submit(&place, &["-f", "a.json", "-v", "json"]);
    let backup = place.run(&["backup", "queue.tar"]).expect(0);
    assert!(backup.stderr.contains("in queue.tar"), "{backup:?}");
    assert_eq!(place.mode("queue.tar"), 0o600);
    place.run(&["backup", "queue.tar"]).refused(2);
    place.run(&["backup", "queue.tar", "--force"]).expect(0);
    serving.stop();

    let refused = place.run(&["restore", "queue.tar", "--state-dir", "host"]).refused(2);
    assert!(refused.contains("host"), "{refused}");
    place.run(&["restore", "queue.tar", "--state-dir", "again"]).expect(0);
    let list = place.json(&["jobs", "list", "--state-dir", "again"]);
    assert_eq!(text(&list["jobs"][0], "id"), job, "{list}");
    place.write("cut.tar", &std::fs::read(place.path("queue.tar")).unwrap()[..1000]);
    let cut = place.run(&["restore", "cut.tar", "--state-dir", "cut"]).refused(2);
    assert!(cut.contains("cut.tar is no whole backup") && cut.contains("it ends too early"), "{cut}");
    let other = place.run(&["restore", "a.json", "--state-dir", "cut"]).refused(2);
    assert!(other.contains("a.json is no backup of Pigeon") && other.contains("pigeon backup FILE"), "{other}");
    assert!(!place.path("cut").exists());
}

#[test]
fn what_follows_goes_on_until_it_is_interrupted() {
    let (place, serving) = served();
    for (args, lines) in [
        (&["events", "--follow", "-o", "json"][..], 2),
        (&["events", "--follow"], 2),
        (&["status", "--watch", "--every", "50ms", "-o", "json"], 3),
        (&["status", "--watch", "--every", "50ms"], 25),
    ] {
        place.write("a.json", "[1]");
        let mut child = place.command(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut read = BufReader::new(child.stdout.take().unwrap()).lines();
        submit(&place, &["-f", "a.json", "-v", "json"]);
        for _ in 0..lines {
            let line = read.next().unwrap().unwrap();
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        // That nobody reads is no reason to fail. A pipe that is closed would end it too, and might be noticed first.
        assert_eq!(child.wait().unwrap().code(), Some(130), "{args:?}");
        drop(read);
    }
    // A reader that goes away ends it as well.
    let mut child = place.command(&["status", "--watch", "--every", "50ms"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    serving.stop();
}
