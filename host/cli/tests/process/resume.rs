//! Interruption, death and resumption.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Ended, Place, ended, verdicts};

const ITEMS: usize = 300;

/// A job of some seconds: runs that compute for 20 ms each.
fn slow_job() -> (Place, Vec<String>) {
    let place = Place::new();
    let hostile = place.hostile();
    let lines: String = (0..ITEMS).map(|_| "busy:20\n").collect();
    place.write("a.txt", lines.as_bytes());
    let args = ["-f", "a.txt", "--items", "-v", &hostile, "--option", "do=body", "-n", "2", "-o", "jsonl"];
    (place, args.iter().map(|arg| (*arg).to_owned()).collect())
}

/// Start it, and wait until so many runs have landed.
fn started(place: &Place, args: &[String], landed: usize) -> (Child, BufReader<std::process::ChildStdout>) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut child = place.process_command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..landed {
        assert!(stdout.read_line(&mut String::new()).unwrap() > 0, "the job ended too early");
    }
    (child, stdout)
}

/// Let it end, reading what it still writes.
fn finished(child: Child, mut stdout: BufReader<std::process::ChildStdout>) -> Ended {
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    let mut ended = ended(child.wait_with_output().unwrap());
    ended.stdout = String::from_utf8(rest).unwrap();
    ended
}

#[test]
fn ctrl_c_ends_a_job_that_can_be_resumed() {
    let (place, args) = slow_job();
    let (child, stdout) = started(&place, &args, 3);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let interrupted = finished(child, stdout).expect(130);
    let job = interrupted.job().unwrap().to_owned();
    assert!(
        interrupted.stderr.contains(&format!("pigeon process --resume {job} --state-dir state")),
        "{interrupted:#?}"
    );

    let report = place.process(&["--resume", "last", "-o", "json"]).json(0);
    assert_eq!(report["job_id"], job);
    assert_eq!((&report["planned_runs"], &report["total_runs"]), (&ITEMS.into(), &ITEMS.into()));
    assert_eq!(report["items"].as_array().unwrap().len(), ITEMS);
}

#[test]
fn a_second_ctrl_c_ends_it_at_once_and_says_how_to_go_on() {
    let place = Place::new();
    let hostile = place.hostile();
    place.write("a.txt", b"valid\nspin\n");
    let args = ["-f", "a.txt", "--items", "-v", &hostile, "--option", "do=body", "-n", "1", "-o", "jsonl"];
    let (mut child, stdout) = started(&place, &args.map(str::to_owned), 1);
    let pid = Pid::from_child(&child);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    kill_process(pid, Signal::INT).unwrap();
    while !said.contains("once more stops at once") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    kill_process(pid, Signal::INT).unwrap();
    stderr.read_to_string(&mut said).unwrap();
    finished(child, stdout).expect(130);
    let job = said.lines().find_map(|line| line.strip_prefix("job ")).unwrap();
    assert!(said.ends_with(&format!("to go on: pigeon process --resume {job} --state-dir state\n")), "{said}");
}

#[test]
fn a_terminal_that_goes_away_is_a_request_too() {
    let (place, args) = slow_job();
    let (child, stdout) = started(&place, &args, 3);
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    finished(child, stdout).expect(130);
    assert_eq!(place.process(&["--resume", "last", "-o", "json"]).json(0)["total_runs"], ITEMS);
}

#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let (place, args) = slow_job();
    let (mut child, stdout) = started(&place, &args, 3);
    child.kill().unwrap();
    let killed = finished(child, stdout);
    let job = killed.job().unwrap().to_owned();
    let report = place.process(&["--resume", &job, "-o", "json"]).json(0);
    assert_eq!((&report["planned_runs"], &report["total_runs"]), (&ITEMS.into(), &ITEMS.into()));
    // A finished job prints its report again.
    let again = place.process(&["--resume", &job, "-o", "json"]).json(0);
    assert_eq!((&again["total_runs"], &again["items"]), (&report["total_runs"], &report["items"]));
}

/// A job that waits for the rest of its standard input, with a file behind it; interrupted.
fn interrupted_at_its_input() -> Place {
    let place = Place::with(&[("b.txt", "3\n4\n")]);
    let args = ["-f", "-", "-f", "b.txt", "--split", "lines", "-v", "json", "-o", "jsonl"];
    let mut command = place.process_command(&args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"1\n2\n").unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..2 {
        assert!(stdout.read_line(&mut String::new()).unwrap() > 0, "the job ended too early");
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    finished(child, stdout).expect(130);
    place
}

#[test]
fn the_rest_of_the_input_is_read_but_what_a_stream_still_had_is_lost() {
    let place = interrupted_at_its_input();
    let ended = place.process(&["--resume", "last", "-o", "json"]);
    assert!(ended.stderr.contains("what was not read yet of standard input is lost"), "{ended:#?}");
    let whole = ["-:1 valid", "-:2 valid", "b.txt:1 valid", "b.txt:2 valid"];
    assert_eq!(verdicts(&ended.json(2)), whole);
    // Whoever asks later must not believe that it was all.
    for format in ["json", "jsonl"] {
        let again = place.process(&["--resume", "last", "-o", format]).expect(2);
        assert!(again.stderr.contains("error: what was not read yet of standard input is lost"), "{again:#?}");
    }
}

#[test]
fn a_file_that_has_changed_is_not_read_on() {
    let place = interrupted_at_its_input();
    place.write("b.txt", b"3\n4\n5\n");
    let ended = place.process(&["--resume", "last", "-o", "json"]);
    assert!(ended.stderr.contains("error: b.txt has changed since the job was accepted"), "{ended:#?}");
    assert_eq!(verdicts(&ended.json(2)), ["-:1 valid", "-:2 valid"]);
    let again = place.process(&["--resume", "last", "-o", "json"]);
    assert!(again.stderr.contains("error: b.txt has changed since the job was accepted"), "{again:#?}");
    assert_eq!(verdicts(&again.json(2)), ["-:1 valid", "-:2 valid"]);
}

#[test]
fn a_file_that_is_gone_is_told_and_the_job_ends() {
    let place = interrupted_at_its_input();
    std::fs::remove_file(place.dir.path().join("b.txt")).unwrap();
    for _ in 0..2 {
        let ended = place.process(&["--resume", "last", "-o", "json"]);
        assert!(ended.stderr.contains("error: b.txt is no longer there"), "{ended:#?}");
        assert_eq!(verdicts(&ended.json(2)), ["-:1 valid", "-:2 valid"]);
    }
    // It is over: there is nothing to go on with.
    let ended = place.process(&["--resume", "0198f3c2-7d4e-7c11-9a51-0a4d2b8f6e01"]);
    assert!(ended.stderr.contains("there is no unfinished job"), "{ended:#?}");
}

#[test]
fn bad_standard_input_is_told_again() {
    let place = Place::new();
    let args = ["-f", "-", "--split", "jsonl", "-v", "json", "-o", "json"];
    let first = place.process_with(b"1\n\xff\n2", &args);
    let error = "error: -:2:1: the text is not UTF-8 (byte 2); 1 item was taken";
    assert!(first.stderr.contains(error), "{first:#?}");
    assert_eq!(verdicts(&first.json(2)), ["-:1 valid"]);
    for _ in 0..2 {
        let again = place.process(&["--resume", "last"]).expect(2);
        assert!(again.stderr.contains(error), "{again:#?}");
    }
}

#[test]
fn an_unknown_job_lists_the_unfinished_ones() {
    let place = Place::with(&[("a.json", "{}")]);
    assert_eq!(place.process(&["--resume", "last"]).refused(), "there is no job to go on with");
    let unknown = "0198f3c2-7d4e-7c11-9a51-0a4d2b8f6e01";
    let ended = place.process(&["--resume", unknown]);
    assert!(ended.stderr.contains("there is no unfinished job"), "{ended:#?}");
    assert_eq!(ended.refused(), format!("there is no job {unknown}"));
    assert_eq!(place.process(&["--resume", "nonsense"]).refused(), "\"nonsense\" is no job id, and no part of one");
    let ended = place.process(&["--resume", "last", "-f", "a.json"]).expect(2);
    assert!(ended.stderr.contains("cannot be used with"), "{ended:#?}");
}

#[test]
fn a_part_of_an_id_names_a_job_where_only_one_has_it() {
    let place = Place::with(&[("a.json", "{}")]);
    let jobs: Vec<String> =
        (0..2).map(|_| place.process(&["-f", "a.json", "-v", "json"]).expect(0).job().unwrap().to_owned()).collect();
    let (_, tail) = jobs[0].split_at(jobs[0].len() - 12);
    let report = place.process(&["--resume", &tail.to_uppercase(), "-o", "json"]).json(0);
    assert_eq!(report["job_id"], jobs[0]);
    let report = place.process(&["--resume", &jobs[1][..23], "-o", "json"]).json(0);
    assert_eq!(report["job_id"], jobs[1]);

    // Both began in the same month.
    let several = place.process(&["--resume", &jobs[0][..4]]);
    assert!(jobs.iter().all(|job| several.stderr.contains(job)), "{several:#?}");
    assert_eq!(several.refused(), format!("2 jobs' ids begin or end with {:?}", &jobs[0][..4]));
    assert_eq!(place.process(&["--resume", "ffff-ffff"]).refused(), "no job's id begins or ends with \"ffff-ffff\"");
    assert_eq!(place.process(&["--resume", "abc"]).refused(), "\"abc\" is too short to name a job");
}
