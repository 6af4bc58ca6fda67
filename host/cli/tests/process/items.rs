//! From files and streams to items.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
};

use crate::support::{Place, verdicts};

#[test]
fn files_are_split_by_their_extension() {
    let place = Place::with(&[
        ("d/a.jsonl", "{\"a\":1}\r\n\n{\"a\":\n"),
        ("d/b.json", "[1,\n {\"b\": 2}]"),
        ("d/c.csv", "x,y\n1,\"a\n b\"\n3,4\n"),
        ("d/.hidden", "{"),
    ]);
    let report = place.report(1, &["-f", "d", "--items", "-v", "json"]);
    assert_eq!(
        verdicts(&report),
        [
            "d/a.jsonl:1 valid",
            "d/a.jsonl:3 invalid",
            "d/b.json[0] valid",
            "d/b.json[1] valid",
            "d/c.csv:2 valid",
            "d/c.csv:4 valid"
        ]
    );
}

#[test]
fn a_folder_gives_each_file_as_an_item_and_an_empty_one_too() {
    let place = Place::with(&[("d/b.json", "[1,2]"), ("d/a/c.bin", ""), ("d/.git/x", "{}")]);
    place.write("d/a/d.bin", b"\xff\xfe");
    let report = place.report(1, &["-f", "d/", "-v", "json"]);
    assert_eq!(verdicts(&report), ["d/a/c.bin invalid", "d/a/d.bin invalid", "d/b.json valid"]);
}

#[test]
fn standard_input_is_one_item_or_is_split() {
    let place = Place::new();
    let whole = place.process_with(b"[1,\n2]", &["-f", "-", "-v", "json", "-o", "json"]).json(0);
    assert_eq!((verdicts(&whole), &whole["planned_runs"]), (vec!["- valid".to_owned()], &serde_json::json!(5)));
    let lines = place.process_with(b"1\n\n[\n", &["-f", "-", "--split", "jsonl", "-v", "json", "-o", "json"]).json(1);
    assert_eq!(verdicts(&lines), ["-:1 valid", "-:3 invalid"]);
    let one = place.process_with(b"1\n", &["-f", "-", "--split", "lines", "-v", "json", "-o", "json"]).json(0);
    assert_eq!(one["planned_runs"], 5, "a single line is one item");
}

#[test]
fn what_came_before_bad_input_on_a_stream_is_judged_and_told() {
    let place = Place::new();
    let ended = place.process_with(b"1\n2\n3\n\xff\n5\n", &["-f", "-", "--split", "lines", "-v", "json", "-o", "json"]);
    assert!(ended.stderr.contains("-:4:1: the text is not UTF-8"), "{}", ended.stderr);
    assert!(ended.stderr.contains("3 runs were made"), "{}", ended.stderr);
    assert_eq!(verdicts(&ended.json(2)), ["-:1 valid", "-:2 valid", "-:3 valid"]);
}

#[test]
fn verdicts_come_before_a_slow_stream_ends() {
    let place = Place::new();
    let mut child = place
        .process_command(&["-f", "-", "--split", "lines", "-v", "json", "-o", "jsonl", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"1\n2\n").unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        assert!(lines.next().unwrap().unwrap().contains("\"verdict\":\"valid\""));
    }
    input.write_all(b"3").unwrap();
    drop(input);
    assert!(lines.next().unwrap().unwrap().contains("\"item\":\"-:3\""));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
