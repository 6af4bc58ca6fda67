//! `pigeon process` on a server: the same output and exit codes, and what only a server can do.

use std::{io::Write as _, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Agent, Place, Serving, end_of, ended, until};

/// A server in use.
fn served() -> (Place, Serving) {
    let place = Place::new();
    let serving = place.serve(&[]);
    place.run(&["context", "add", "here", "--state-dir", "host", "--use"]).expect(0);
    (place, serving)
}

/// A server in use, with an agent.
fn working() -> (Place, Serving, Agent) {
    let (place, serving) = served();
    let agent = place.agent(&serving, "worker-1");
    (place, serving, agent)
}

/// A report without what differs from one run to the next, or from one control host to another.
fn lasting(mut report: Value) -> Value {
    let fields = report.as_object_mut().unwrap();
    for name in ["job_id", "average_time_ms", "p50_ms", "p95_ms", "p99_ms", "wall_time_ms", "worker_results"] {
        assert!(fields.remove(name).is_some(), "{name}");
    }
    report
}

#[test]
fn a_report_and_its_exit_code_are_as_they_are_embedded() {
    let (place, serving, _agent) = working();
    place.write("orders.jsonl", "{\"a\":1}\n{\"a\":}\n\n[1,2]\n");
    let args = ["process", "-f", "orders.jsonl", "--items", "-v", "json", "--seed", "7", "-o", "json"];
    let there = place.run(&args);
    let told = there.stderr.clone();
    let there = there.json(1);
    let here = place.run(&[&args[..], &["--state-dir", "own"]].concat()).json(1);
    assert_eq!(there["worker_results"].as_object().unwrap().keys().collect::<Vec<_>>(), ["worker-1"]);
    assert!(told.contains(&format!("job {}", there["job_id"].as_str().unwrap())), "{told}");
    assert_eq!(lasting(there), lasting(here));

    // Named in the same way, and printed again.
    let again = place.run(&["process", "--resume", "last", "-o", "json"]).json(1);
    assert_eq!(again["total_runs"], 3);
    let by_name = place.run(&["process", "--resume", "last", "-o", "jsonl", "--context", "here"]).expect(1);
    assert_eq!(by_name.stdout.lines().count(), 3, "{by_name:?}");
    // --local means this process, where there is no such job.
    let job = again["job_id"].as_str().unwrap();
    place.run(&["process", "--resume", job, "--state-dir", "own"]).refused(2);
    serving.stop();
}

#[test]
fn a_validator_of_ones_own_is_brought_along() {
    let (place, serving, _agent) = working();
    let hostile = place.hostile();
    place.write("a", "valid:anything");
    let args = ["process", "-f", "a", "-v", &hostile, "--option", "do=body", "-o", "json"];
    assert_eq!(place.run(&args).json(0)["total_runs"], 5);

    place.run(&["token", "create", "ci", "--role", "submitter", "--out", "ci.token"]).expect(0);
    place.run(&["context", "add", "ci", "--server", &serving.api(), "--token-file", "ci.token"]).expect(0);
    let refused = place.run(&[&args[..], &["--context", "ci"]].concat()).expect(2);
    assert!(refused.stderr.contains("publisher"), "{refused:?}");
    // Whoever may not publish can name what was published.
    let digest = place.run(&["publish", &hostile, "-o", "json"]).json(0)["digest"].as_str().unwrap().to_owned();
    let named = ["process", "-f", "a", "-v", &digest, "--option", "do=body", "--context", "ci"];
    place.run(&named).expect(0);
    serving.stop();
}

#[test]
fn what_is_detached_goes_on_alone_and_a_key_opens_one_job() {
    let (place, serving) = served();
    place.write("a.json", "[1]");
    place.write("b.json", "[1,]");
    let local = place.run(&["process", "-f", "a.json", "-v", "json", "--detach", "--state-dir", "own"]).refused(2);
    assert!(local.contains("pigeon up"), "{local}");

    let args = ["process", "-f", "a.json", "-v", "json", "--detach", "--key", "nightly-1"];
    let first = place.run(&args).expect(0);
    let job = first.stdout.trim().to_owned();
    assert_eq!(first.stdout, format!("{job}\n"), "only the id is on standard output");
    assert!(first.stderr.contains(&format!("pigeon process --resume {job}")), "{first:?}");
    let second = place.run(&args).expect(0);
    assert_eq!(second.stdout, first.stdout, "{second:?}");
    let other = place.run(&["process", "-f", "b.json", "-v", "json", "--detach", "--key", "nightly-1"]).expect(2);
    assert_eq!(other.stdout, "", "{other:?}");

    let _agent = place.agent(&serving, "worker-1");
    let report = place.run(&["process", "--resume", &job, "-o", "json"]).json(0);
    assert_eq!((report["job_id"].as_str(), report["total_runs"].as_u64()), (Some(job.as_str()), Some(5)));
    serving.stop();
}

#[test]
fn a_job_without_agents_says_so_and_is_paused_when_its_time_is_over() {
    let (place, serving) = served();
    place.write("a.json", "[1]");
    let waited = place.run(&["process", "-f", "a.json", "-v", "json", "--wait-timeout", "3s"]).refused(4);
    assert!(waited.contains("no agent is in") && waited.contains("has waited for 3s"), "{waited}");
    assert!(waited.contains("it is paused, and waits for whoever resumes it"), "{waited}");
    let jobs = place.json(&["jobs", "list"]);
    assert_eq!(jobs.to_string().matches("\"paused\"").count(), 1, "{jobs}");

    let _agent = place.agent(&serving, "worker-1");
    place.run(&["process", "--resume", "last"]).expect(0);
    serving.stop();
}

#[test]
fn how_many_workers_there_may_be_is_the_servers_to_say() {
    let (place, serving, _agent) = working();
    place.write("a.json", "[1]");
    let args = ["process", "-f", "a.json", "-v", "json", "--workers", "257", "-k", "1", "-o", "json"];
    assert_eq!(place.run(&args).json(0)["total_runs"], 257);
    let most = ["process", "-f", "a.json", "-v", "json", "--workers", "4000000000", "--detach"];
    let refused = place.run(&most).refused(2);
    assert!(refused.contains("a job has 100000 workers at most"), "{refused}");
    let here = place.run(&[&args[..], &["--state-dir", "own"]].concat()).refused(2);
    assert!(here.contains("257 workers are more than one process can have"), "{here}");
    serving.stop();
}

#[test]
fn a_server_that_is_killed_has_noted_how_long_a_job_was_worked_at() {
    let (place, serving, _agent) = working();
    let hostile = place.hostile();
    place.write("deeds.txt", "busy:20\n".repeat(1000));
    let args = ["process", "--detach", "-f", "deeds.txt", "--split", "lines", "-v", &hostile, "--option", "do=body"];
    let job = place.run(&args).expect(0).stdout.trim().to_owned();
    let worked_ms = || place.json(&["jobs", "show", &job])["wall_time_ms"].as_f64().unwrap();
    until("it was worked at for some seconds", || worked_ms() > 3500.0);
    let addresses = serving.addresses();
    // SIGKILL.
    drop(serving);
    let serving = place.serve_at(&addresses);
    // It is noted each second.
    let noted = worked_ms();
    assert!(noted > 1500.0, "{noted}");
    place.run(&["jobs", "cancel", &job]).expect(0);
    serving.stop();
}

#[test]
fn an_interrupted_job_is_paused_there_and_goes_on_when_it_is_resumed() {
    let (place, serving, _agent) = working();
    let hostile = place.hostile();
    let lines: String = (0..400).map(|_| "busy:20\n").collect();
    place.write("deeds.txt", &lines);
    let args = ["process", "-f", "deeds.txt", "--split", "lines", "-v", &hostile, "--option", "do=body"];
    let mut command = place.command(&args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("some runs", || {
        let jobs = place.json(&["jobs", "list"]);
        jobs.to_string().contains("total_runs") && !jobs.to_string().contains("\"total_runs\":0,")
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let interrupted = ended(child.wait_with_output().unwrap()).expect(130);
    assert!(interrupted.stderr.contains("the job is paused"), "{interrupted:?}");
    let again = interrupted.stderr.lines().find_map(|line| line.strip_prefix("to go on: pigeon ")).unwrap().to_owned();

    let resumed: Vec<&str> = again.split(' ').chain(["-o", "json"]).collect();
    let report = place.run(&resumed).json(0);
    assert_eq!((report["planned_runs"].as_u64(), report["total_runs"].as_u64()), (Some(400), Some(400)));
    serving.stop();
}

#[test]
fn whoever_is_interrupted_while_the_server_is_away_leaves_and_changes_nothing() {
    let (place, serving) = served();
    place.write("a.json", "[1]");
    let addresses = serving.addresses();
    let mut command = place.command(&["process", "-f", "a.json", "-v", "json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the job", || place.json(&["jobs", "list"]).to_string().contains("\"state\":\"sealed\""));
    // SIGKILL.
    drop(serving);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let left = end_of(child, "process").expect(130);
    assert!(left.stderr.contains("the server does not answer, so the job is not stopped"), "{left:?}");
    assert!(left.stderr.contains("to see how it stands: pigeon jobs show "), "{left:?}");
    assert!(!left.stderr.contains("the job is paused"), "{left:?}");

    let serving = place.serve_at(&addresses);
    assert_eq!(place.json(&["jobs", "show", "last"])["state"], "sealed");
    let _agent = place.agent(&serving, "worker-1");
    place.run(&["jobs", "wait", "last", "--timeout", "2m"]).expect(0);
    serving.stop();
}

#[test]
fn a_job_that_somebody_cancels_while_its_input_comes_is_said_to_be_cancelled_and_cut() {
    let (place, serving, _agent) = working();
    let mut command = place.command(&["process", "-f", "-", "--split", "jsonl", "-v", "json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"1\n2\n").unwrap();
    until("the runs", || place.json(&["jobs", "list"]).to_string().contains("\"total_runs\":2,"));
    place.run(&["jobs", "cancel", "last"]).expect(0);
    let cut = end_of(child, "process").expect(130);
    drop(input);
    for cut in [cut, place.run(&["process", "--resume", "last"]).expect(130)] {
        assert!(cut.stdout.contains("a part of the input is missing"), "{cut:?}");
        assert!(cut.stdout.contains("the job was cancelled") && !cut.stdout.contains("all valid"), "{cut:?}");
    }
    serving.stop();
}

#[test]
fn a_job_that_lacks_a_part_of_its_input_is_not_taken_for_a_whole_one() {
    let (place, serving, _agent) = working();
    let input = place.write("input", b"1\n\xff\n2");
    let run = |args: &[&str]| {
        let mut command = place.command(args);
        ended(command.stdin(std::fs::File::open(&input).unwrap()).output().unwrap())
    };
    let args = ["process", "-f", "-", "--split", "jsonl", "-v", "json"];
    for more in [&["-o", "json"][..], &["--detach"]] {
        let cut = run(&[&args[..], more].concat()).expect(2);
        assert!(cut.stderr.contains("the text is not UTF-8") && cut.stderr.contains("stays open"), "{cut:?}");
        assert!(
            cut.stderr.contains("pigeon process --resume ") && cut.stderr.contains("pigeon jobs cancel "),
            "{cut:?}"
        );
        // It does not end by itself, and what it lacks is missed again.
        assert_eq!(place.json(&["jobs", "show", "last"])["state"], "open");
        let again = place.run(&["process", "--resume", "last", "-o", "json"]);
        assert!(again.stderr.contains("what was not read yet of standard input is lost"), "{again:?}");
        assert_eq!(again.json(2)["total_runs"], 5);
        place.run(&["jobs", "cancel", "last"]).expect(0);
        assert_eq!(place.json(&["jobs", "show", "last"])["state"], "cancelled");
    }
    serving.stop();
}
