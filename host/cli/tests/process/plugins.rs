//! `pigeon plugins`.

use serde_json::Value;

use crate::support::{Ended, Place, ended};

fn plugins(args: &[&str]) -> Ended {
    let place = Place::new();
    let args: Vec<&str> = ["plugins"].iter().chain(args).copied().chain(["--state-dir", "state"]).collect();
    ended(place.command(&args).output().unwrap())
}

#[test]
fn the_built_in_ones_are_listed() {
    let text = plugins(&["list"]).expect(0).stdout;
    let names: Vec<_> = text.lines().filter_map(|line| line.split_ascii_whitespace().next()).collect();
    assert_eq!(names, ["echo", "gexpr", "json"]);
    let list: Value = serde_json::from_str(&plugins(&["list", "-o", "json"]).expect(0).stdout).unwrap();
    assert_eq!(list["plugins"].as_array().unwrap().len(), 3);
}

#[test]
fn one_is_shown_with_its_options() {
    let text = plugins(&["show", "json"]).expect(0).stdout;
    assert!(text.contains("duplicate_keys") && text.contains("sha256:"), "{text}");
    let shown: Value = serde_json::from_str(&plugins(&["show", "json", "-o", "json"]).expect(0).stdout).unwrap();
    for key in ["name", "version", "digest", "description", "formats", "options", "imports", "memory"] {
        assert!(!shown[key].is_null(), "{key}: {shown:#}");
    }
}

#[test]
fn an_unknown_one_is_an_error() {
    assert_eq!(plugins(&["show", "jsn"]).refused(), "there is no validator named \"jsn\"");
}
