//! What is wrong before anything runs: a clear error, a hint, exit 2.

use crate::support::{PIGEON, Place, ended};

const GOOD: [&str; 4] = ["-f", "a.json", "-v", "json"];

fn refused(args: &[&str]) -> String {
    Place::with(&[("a.json", "{}"), ("empty.json", ""), ("blank.jsonl", "\n\n"), ("bad.json", "[1,")])
        .process(args)
        .refused()
}

#[test]
fn input_that_cannot_be_taken() {
    assert_eq!(refused(&["-f", "none.json", "-v", "json"]), "there is no file none.json");
    assert_eq!(refused(&["-f", "empty.json", "-v", "json"]), "empty.json is empty");
    assert_eq!(refused(&["-f", "blank.jsonl", "--items", "-v", "json"]), "there is no item in blank.jsonl");
    assert_eq!(
        refused(&["-f", "bad.json", "--items", "-v", "json"]),
        "bad.json:1:4: the array ends in the middle of an element, or its ] is missing"
    );
    assert_eq!(refused(&["-f", "a.json", "--items", "-v", "json"]), "a.json:1:1: a JSON array must begin here, with [");
    assert_eq!(refused(&["-f", "a.json", "-v", "json", "--max-item", "1B"]), "the item a.json is larger than 1 B");
    assert_eq!(
        refused(&["-f", "-", "--items", "-v", "json"]),
        "standard input has no extension that would say how to split it"
    );
    assert_eq!(refused(&["-f", "-", "-v", "json"]), "- is empty");
}

#[test]
fn text_to_be_split_that_is_not_utf8() {
    let place = Place::new();
    place.write("a.jsonl", b"1\n\"\xff\"\n");
    let error = place.process(&["-f", "a.jsonl", "--items", "-v", "json"]).refused();
    assert_eq!(error, "a.jsonl:2:2: the text is not UTF-8 (byte 3)");
}

#[test]
fn validators_that_are_none() {
    let place = Place::with(&[("a.json", "{}"), ("text.wasm", "no component")]);
    place.write("module.wasm", b"\0asm\x01\0\0\0");
    let unknown = place.process(&["-f", "a.json", "-v", "gexp"]);
    assert!(unknown.stderr.contains("hint: did you mean `gexpr`?"), "{unknown:#?}");
    unknown.refused();
    let unknown = place.process(&["-f", "a.json", "-v", "json@9.9.9"]);
    assert!(unknown.stderr.contains("hint: there is `json@0."), "{unknown:#?}");
    unknown.refused();
    for component in ["text.wasm", "module.wasm"] {
        let error = place.process(&["-f", "a.json", "-v", component]).refused();
        assert_eq!(error, format!("{component} is no validator"));
    }
    let error = place.process(&["-f", "a.json", "-v", "none.wasm"]).refused();
    assert_eq!(error, "failed to read the component none.wasm");
}

#[test]
fn numbers_that_make_no_sense() {
    assert_eq!(refused(&[&GOOD[..], &["--workers", "0"]].concat()), "there must be at least one worker, not 0");
    assert_eq!(refused(&[&GOOD[..], &["--iterations", "0"]].concat()), "there must be at least one iteration, not 0");
    assert_eq!(refused(&[&GOOD[..], &["--max-output", "2MiB"]].concat()), "an outcome of 2 MiB is too large");
    let place = Place::with(&[("a.json", "{}")]);
    for args in [["--timeout", "10"], ["--max-memory", "1 parsec"], ["--seed", "x"], ["--clock", "noon"]] {
        let ended = place.process(&[&GOOD[..], &args].concat()).expect(2);
        assert!(ended.stderr.contains("invalid value"), "{ended:#?}");
    }
    for wrong in [["-n", "-1"], ["-k", "-1"], ["--max-parallel", "-1"]] {
        let ended = place.process(&[&GOOD[..], &wrong].concat()).expect(2);
        assert!(ended.stderr.contains("a whole number from 1 on is wanted"), "{ended:#?}");
    }
    let ended = place.process(&[&GOOD[..], &["--workers", "x"]].concat()).expect(2);
    assert!(ended.stderr.contains("\"x\" is not a whole number"), "{ended:#?}");
}

#[test]
fn options_that_the_validator_does_not_know() {
    let place = Place::with(&[("a.json", "{}")]);
    let ended = place.process(&[&GOOD[..], &["--option", "depth=3"]].concat());
    assert!(ended.stderr.contains("max_depth"), "{ended:#?}");
    assert_eq!(ended.refused(), "json does not know the option \"depth\"");
    assert_eq!(
        place.process(&[&GOOD[..], &["--option", "schema=@none"]].concat()).refused(),
        "failed to read the value of the option \"schema\" from none"
    );
}

#[test]
fn a_value_that_the_validator_cannot_use_is_a_failure_that_says_why() {
    let place = Place::with(&[("a.json", "{}")]);
    let report = place.report(3, &[&GOOD[..], &["--option", "duplicate_keys=perhaps"]].concat());
    assert_eq!(report["failures"], 5);
    assert!(report["error_details"][0]["message"].as_str().unwrap().contains("duplicate_keys"), "{report:#}");
}

#[test]
fn a_report_that_could_not_be_written_and_a_state_directory_that_cannot_be() {
    let place = Place::with(&[("a.json", "{}"), ("file", "")]);
    let error = place.process(&[&GOOD[..], &["--output-file", "no/such/folder"]].concat()).refused();
    assert_eq!(error, "failed to open no/such/folder for the report");
    let output = place.command(&["process", "--state-dir", "file", "-f", "a.json", "-v", "json"]).output().unwrap();
    let ended = ended(output).expect(4);
    assert!(ended.stderr.contains("hint: ") && ended.job().is_none(), "{ended:#?}");
}

#[test]
fn a_report_is_not_written_over_the_input() {
    let place = Place::with(&[("a.json", "{}"), ("d/b.json", "{}")]);
    std::fs::hard_link(place.dir.path().join("a.json"), place.dir.path().join("same.json")).unwrap();
    for file in ["a.json", "./a.json", "same.json"] {
        let error = place.process(&[&GOOD[..], &["--output-file", file]].concat()).refused();
        assert_eq!(error, "the report would be written over the input a.json");
    }
    let error = place.process(&["-f", "d", "-v", "json", "--output-file", "d/new.xml"]).refused();
    assert_eq!(error, "the report d/new.xml would be an item of d");
    assert!(!place.dir.path().join("d/new.xml").exists());
    assert_eq!(place.read("a.json"), "{}");
    place.process(&["-f", "d", "-v", "json", "--output-file", "d/.new.xml"]).expect(0);
    let error = place.process(&["--resume", "last", "--output-file", "d/b.json"]).refused();
    assert_eq!(error, "the report d/b.json would be an item of d");
    assert_eq!(place.read("d/b.json"), "{}");
}

#[test]
fn a_report_is_not_written_over_what_judges() {
    let place = Place::with(&[("a.json", "{}"), ("s.json", "{}")]);
    let validator = place.hostile();
    std::os::unix::fs::symlink("hostile.wasm", place.dir.path().join("link")).unwrap();
    std::fs::hard_link(place.dir.path().join("s.json"), place.dir.path().join("same")).unwrap();
    for report in ["hostile.wasm", "link"] {
        let args = ["-f", "a.json", "-v", &validator, "--output-file", report];
        let error = place.process(&args).refused();
        assert_eq!(error, "the report would be written over the validator ./hostile.wasm");
    }
    for report in ["./s.json", "same"] {
        let error = place.process(&[&GOOD[..], &["--option", "schema=@s.json", "--output-file", report]].concat());
        let told = "the report would be written over s.json, which the option \"schema\" is read from";
        assert_eq!(error.refused(), told);
    }
    assert_eq!(place.read("s.json"), "{}");
    assert!(std::fs::read(place.dir.path().join("link")).unwrap() == pigeon_plugins::HOSTILE, "it was written over");
    assert!(!place.dir.path().join("state").exists(), "something was begun");
}

#[test]
fn a_queue_in_the_input_would_be_judged() {
    let place = Place::with(&[("a.json", "{}")]);
    let ended = place.process(&["-f", ".", "-v", "json"]);
    assert!(ended.stderr.contains("--state-dir"), "{ended:#?}");
    let queue = place.dir.path().join("state");
    assert_eq!(ended.refused(), format!("the queue in {} would be an item of .", queue.display()));
    assert!(!queue.exists());
    let hidden = ["process", "-f", ".", "-v", "json", "--state-dir", ".state"];
    self::ended(place.command(&hidden).output().unwrap()).expect(0);
}

#[test]
fn a_dash_is_standard_output() {
    let place = Place::with(&[("a.json", "{}")]);
    let report = place.process(&[&GOOD[..], &["-o", "json", "--output-file", "-"]].concat()).json(0);
    assert_eq!(report["total_runs"], 5);
    assert!(!place.dir.path().join("-").exists());
}

#[test]
fn a_full_disk_is_told_and_the_report_can_be_had_again() {
    let place = Place::with(&[("a.json", "{}")]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.process_command(&GOOD).stdout(full).output().unwrap();
    let ended = ended(output).expect(4);
    assert!(ended.stderr.contains("failed to write the report to standard output"), "{ended:#?}");
    // By its id: the last job may be another by then.
    let again = format!("`pigeon process --resume {} --state-dir state` prints its report again", ended.job().unwrap());
    assert!(ended.stderr.contains(&again), "{ended:#?}");
    let again = place.process(&["--resume", "last", "-o", "json"]).json(0);
    assert_eq!(again["total_runs"], 5);
}

#[test]
fn a_closed_standard_output_would_lose_the_report() {
    let place = Place::with(&[("a.json", "{}")]);
    let closed = |args: &[&str]| ended(place.in_shell(r#"exec "$@" >&-"#, args).output().unwrap());
    let refused = closed(&GOOD);
    assert!(refused.stderr.contains("--output-file"), "{refused:#?}");
    assert_eq!(refused.refused(), "standard output is closed: what is written there would be lost");
    assert!(!place.dir.path().join("state").exists());

    let mut list = place.program("sh");
    let list = ended(list.args(["-c", r#"exec "$0" plugins list >&-"#, PIGEON]).output().unwrap());
    assert_eq!(list.refused(), "standard output is closed: what is written there would be lost");

    closed(&[&GOOD[..], &["-o", "json", "--output-file", "report.json"]].concat()).expect(0);
    assert!(place.read("report.json").contains("\"total_runs\": 5"), "{}", place.read("report.json"));

    // What programs that want no report give: it is open, and looks just like what Rust puts in a closed one's place.
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
    ended(place.process_command(&GOOD).stdout(null).output().unwrap()).expect(0);
}

#[test]
fn a_compile_cache_that_cannot_be_written_is_told_once_and_the_job_goes_on() {
    let place = Place::with(&[("a.json", "{}"), ("c/pigeon", "a file in the place of the folder")]);
    let run = |args: &[&str]| {
        let mut command = place.process_command(&[&["-f", "a.json", "-v", "echo"], args].concat());
        ended(command.env("XDG_CACHE_HOME", place.dir.path().join("c")).output().unwrap()).expect(0)
    };
    let told = run(&[]);
    let warnings: Vec<_> = told.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
    let [warning] = warnings[..] else { panic!("{told:#?}") };
    for word in ["compiled components cannot be kept", "c/pigeon/compiled (", "XDG_CACHE_HOME"] {
        assert!(warning.contains(word), "{warning}");
    }
    assert!(!run(&["--quiet"]).stderr.contains("warning"));
}
