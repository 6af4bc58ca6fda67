//! How many runs there are, who makes them, and what they are told.

use serde_json::json;

use crate::support::{FIBONACCI, Place, verdicts};

#[test]
fn one_item_is_run_by_every_worker_as_often_as_was_asked() {
    let place = Place::with(&[("fibonacci.json", FIBONACCI)]);
    let args = ["--work-file", "fibonacci.json", "--validator", "gexpr", "--workers", "3", "--iterations", "5"];
    let report = place.report(0, &args);
    assert_eq!(
        (&report["planned_runs"], &report["total_runs"], &report["successes"], &report["success_rate"]),
        (&json!(15), &json!(15), &json!(15), &json!(1.0))
    );
    for worker in ["worker-1", "worker-2", "worker-3"] {
        assert_eq!(report["worker_results"][worker]["total"], 5, "{report:#}");
    }
    assert_eq!(report["items"], json!([{"id": "fibonacci.json", "verdict": "valid", "findings": [], "runs": 15}]));
    assert_eq!(report["plugin"]["name"], "gexpr");
}

#[test]
fn one_item_is_run_five_times_by_one_worker_if_nothing_is_said() {
    let place = Place::with(&[("a.json", "{}")]);
    let ended = place.process(&["-f", "a.json", "-v", "json"]).expect(0);
    assert!(ended.stdout.contains("1 item x 1 worker x 5 iterations = 5 runs"), "{}", ended.stdout);
}

#[test]
fn many_items_are_shared_out() {
    let lines: String = (0..500).map(|n| format!("[{n}]\n")).collect();
    let place = Place::with(&[("a.jsonl", &lines)]);
    let report = place.report(0, &["-f", "a.jsonl", "--items", "-v", "json", "-n", "3", "-k", "2"]);
    assert_eq!((&report["planned_runs"], &report["total_runs"]), (&json!(1000), &json!(1000)));
    assert_eq!(report["items"].as_array().unwrap().len(), 500);
    assert!(report["items"].as_array().unwrap().iter().all(|item| item["runs"] == 2));
    let workers = report["worker_results"].as_object().unwrap();
    assert_eq!(workers.values().map(|worker| worker["total"].as_u64().unwrap()).sum::<u64>(), 1000);
}

#[test]
fn the_same_seed_and_clock_give_the_same_answers_whatever_the_workers() {
    let place = Place::new();
    place.write("hostile.wasm", pigeon_plugins::HOSTILE_FRESH);
    let lines: String = (0..60).map(|n| format!("random:{n}\n")).collect();
    place.write("a.txt", lines.as_bytes());
    let answers = |workers: &str, seed: &str| {
        let args = ["-f", "a.txt", "--items", "-v", "hostile.wasm", "--option", "do=body", "-n", workers];
        let report = place.report(0, &[&args[..], &["--seed", seed, "--clock", "2026-01-31T12:00:00Z"]].concat());
        assert_eq!(report["seed"].to_string(), seed);
        report["items"].clone()
    };
    let first = answers("1", "42");
    assert_eq!(answers("3", "42"), first);
    assert_ne!(answers("1", "43"), first);
}

#[test]
fn fail_fast_leaves_the_rest_unrun() {
    let lines: String = (0..30_000).map(|n| if n == 3 { "[\n".to_owned() } else { format!("[{n}]\n") }).collect();
    let place = Place::with(&[("a.jsonl", &lines)]);
    let report = place.report(1, &["-f", "a.jsonl", "--items", "-v", "json", "--fail-fast", "-n", "1"]);
    assert!(report["total_runs"].as_u64() < Some(30_000), "{}", report["total_runs"]);
    // What was not even handed out counts as well.
    assert_eq!(report["planned_runs"], 30_000);
    assert!(report["invalid"].as_u64() >= Some(1));
    let ended = place.process(&["-f", "a.jsonl", "--items", "-v", "json", "--fail-fast"]).expect(1);
    assert!(ended.stdout.contains("not run: the job was stopped at its first error"), "{}", ended.stdout);
}

#[test]
fn options_reach_the_validator() {
    let place = Place::with(&[("a.json", "{}"), ("told.txt", "from a file")]);
    let args =
        ["-f", "a.json", "-v", "echo", "-k", "1", "--option", "verdict=invalid", "--option", "message=@told.txt"];
    let report = place.report(1, &args);
    assert_eq!(report["items"][0]["findings"][0]["message"], "from a file");
    assert_eq!(verdicts(&report), ["a.json invalid"]);
    let args = ["-f", "a.json", "-v", "echo", "-k", "1", "--option", "verdict=invalid", "--option", "message=@@home"];
    assert_eq!(place.report(1, &args)["items"][0]["findings"][0]["message"], "@home");
}

#[test]
fn two_processes_share_a_state_directory() {
    let lines: String = (0..3000).map(|n| format!("[{n}]\n")).collect();
    let place = Place::with(&[("a.jsonl", &lines)]);
    let args = ["-f", "a.jsonl", "--items", "-v", "json", "-n", "1", "-o", "json"];
    let start = || {
        let mut command = place.process_command(&args);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()];
    let reports = both.map(|child| crate::support::ended(child.wait_with_output().unwrap()).json(0));
    assert!(reports.iter().all(|report| report["total_runs"] == 3000));
    assert_ne!(reports[0]["job_id"], reports[1]["job_id"]);
}

#[test]
fn state_and_cache_have_their_places_and_a_fresh_state_directory_starts_warm() {
    let place = Place::with(&[("a.json", "{}")]);
    let run = |args: &[&str]| {
        let mut command = place.command(&[&["process", "-f", "a.json", "-v", "json"], args].concat());
        command.env("XDG_STATE_HOME", place.dir.path().join("s")).env("XDG_CACHE_HOME", place.dir.path().join("c"));
        crate::support::ended(command.output().unwrap()).expect(0);
        let compiled = place.dir.path().join("c/pigeon/compiled");
        let mut entries: Vec<_> = std::fs::read_dir(compiled)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name(), std::os::unix::fs::MetadataExt::ino(&entry.metadata().unwrap())))
            .collect();
        entries.sort();
        entries
    };
    let cold = run(&[]);
    assert!(!cold.is_empty() && place.dir.path().join("s/pigeon").is_dir());
    assert_eq!(run(&["--state-dir", "elsewhere"]), cold);
    assert!(place.dir.path().join("elsewhere").is_dir());
}
