//! A server whose disk fills up: it takes nothing new before that, and jobs can still be cancelled and removed after.

use crate::{common::PIGEON, support::Place, unshare::unshare};

/// What is done where a small file system lies under the state directory. What is said goes into files beside it.
const SCRIPT: &str = r#"
    mkdir host && mount -t tmpfs -o size=48m none host || exit 99
    "$0" serve --config serve.toml >serve.log 2>&1 &
    server=$!
    tries=0
    until [ -e host/run.json ] || [ $((tries += 1)) -gt 600 ]; do sleep 0.1; done
    "$0" context add here --state-dir host --use 2>/dev/null || exit 98
    "$0" process --detach -f small.txt -v echo >job 2>first; echo $? >first.code
    "$0" process --detach -f large.txt --items -v echo >/dev/null 2>large; echo $? >large.code
    dd if=/dev/zero of=host/others bs=64k >/dev/null 2>&1
    "$0" process --detach -f small.txt -v echo >/dev/null 2>small; echo $? >small.code
    "$0" jobs cancel "$(cat job)" 2>cancel; echo $? >cancel.code
    "$0" jobs delete --yes "$(cat job)" 2>delete; echo $? >delete.code
    kill $server
    wait $server"#;

#[test]
fn a_server_without_room_takes_nothing_and_lets_go_of_what_it_has() {
    let Some(unshare) = unshare() else {
        return eprintln!("no file system may be mounted here: what a full disk does to a server is not looked at");
    };
    let place = Place::new();
    place.write("small.txt", "small");
    let line = "x".repeat((64 << 10) - 1) + "\n";
    place.write("large.txt", line.repeat(1024));
    place.write(
        "serve.toml",
        "state_dir = \"host\"\n[agents]\nlisten = \"127.0.0.1:0\"\n[api]\nlisten = \"127.0.0.1:0\"\n[queue]\nleast_free = \"16MiB\"\n",
    );
    let output = place.program("unshare").args([unshare, "sh", "-c", SCRIPT, PIGEON]).output().unwrap();
    assert_ne!(output.status.code(), Some(99), "{output:?}");
    let told = |name: &str| (place.read(&format!("{name}.code")).trim().to_owned(), place.read(name));
    assert_eq!(told("first").0, "0", "{:?}", told("first"));
    for refused in ["large", "small"] {
        let (code, words) = told(refused);
        assert!(code == "4" && words.contains("of the state directory is nearly full"), "{refused}: {code} {words}");
        assert!(words.contains("hint: free some space"), "{refused}: {words}");
    }
    for done in ["cancel", "delete"] {
        assert_eq!(told(done).0, "0", "{:?}\n{}", told(done), place.read("serve.log"));
    }
}
