//! A program that is replaced while it runs, as an upgrade does.

use std::{fs, io::Write as _, process::Stdio};

use crate::support::{PIGEON, Place, ended};

#[test]
fn a_replaced_program_goes_on_as_it_began() {
    let place = Place::new();
    let program = place.dir.path().join("pigeon");
    if fs::hard_link(PIGEON, &program).is_err() {
        // On another disk.
        fs::copy(PIGEON, &program).unwrap();
    }
    // Nothing is compiled yet, and the compiler is the program itself.
    let mut child = place
        .program(&program)
        .args(["process", "-f", "-", "--split", "lines", "-v", "echo", "-o", "json"])
        .env("XDG_CACHE_HOME", place.dir.path().join("cache"))
        .env("XDG_STATE_HOME", place.dir.path().join("state"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let new = place.write("new", b"#!/bin/sh\nexit 9\n");
    fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::rename(new, &program).unwrap();

    child.stdin.take().unwrap().write_all(b"1\n2\n").unwrap();
    let report = ended(child.wait_with_output().unwrap()).json(0);
    assert_eq!(report["total_runs"], 2);
}
