//! A disk that fills up under a job, and has room again: nothing is lost, and nothing is counted twice.

use std::collections::HashSet;

use serde_json::Value;

use crate::{
    support::{Ended, PIGEON, Place, ended},
    unshare::unshare,
};

/// Items of 64 KiB each: four times what there is room for.
const ITEMS: usize = 256;

const ARGS: [&str; 5] = ["-f", "a.txt", "--items", "-v", "echo"];

fn place() -> Place {
    let place = Place::new();
    let line = "x".repeat((64 << 10) - 1) + "\n";
    place.write("a.txt", line.repeat(ITEMS).as_bytes());
    place
}

/// The disk was full: what failed and where is told, and what to do next.
fn told(first: &Ended) {
    assert_eq!(first.code, Some(4), "{first:#?}");
    let job = first.job().unwrap();
    for words in ["error: ", "the disk is full: failed to write ", "/state/", "hint: free some space"] {
        assert!(first.stderr.contains(words), "{words:?} is missing: {first:#?}");
    }
    assert!(first.stderr.contains(&format!("to go on: pigeon process --resume {job} --state-dir state")), "{first:#?}");
}

/// Each run was made, and landed once.
fn whole(runs: &str) {
    let runs: Vec<Value> = runs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(runs.iter().all(|run| run["verdict"] == "valid"), "{runs:#?}");
    let items: HashSet<_> = runs.iter().map(|run| run["item"].as_str().unwrap()).collect();
    assert_eq!((items.len(), runs.len()), (ITEMS, ITEMS));
}

#[test]
fn files_that_may_not_grow_are_a_full_disk() {
    let place = place();
    // The kernel refuses to write behind the bound; without the trap it would end the process as well.
    let bounded = place.in_shell(r#"trap "" XFSZ; ulimit -f 4096; exec "$@""#, &ARGS).output().unwrap();
    told(&ended(bounded));
    whole(&place.process(&["--resume", "last", "-o", "jsonl"]).expect(0).stdout);
    assert_eq!(place.process(&["--resume", "last", "-o", "json"]).json(0)["total_runs"], ITEMS);
}

#[test]
fn a_disk_without_room_is_told_and_the_job_goes_on_when_there_is_some() {
    let place = place();
    let Some(unshare) = unshare() else {
        eprintln!("no file system may be mounted here: bounded files stand for a full one");
        return files_that_may_not_grow_are_a_full_disk();
    };
    let script = format!(
        r#"mkdir state && mount -t tmpfs -o size=4m none state || exit 99
        "$0" process --state-dir state {} --output-file report 2>first; echo $? >code
        mount -o remount,size=256m state || exit 99
        exec "$0" process --state-dir state --resume last -o jsonl"#,
        ARGS.join(" ")
    );
    let second = place.program("unshare").args([unshare, "sh", "-c", &script, PIGEON]).output().unwrap();
    let code = place.read("code").trim().parse().ok();
    told(&Ended { code, stdout: String::new(), stderr: place.read("first") });
    whole(&ended(second).expect(0).stdout);
}
