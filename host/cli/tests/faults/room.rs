//! A room of our own: name spaces in which links are cut, file systems are mounted and processes end with us.
//!
//! The harness starts itself anew in it. Whatever ends the first of the two, and however, ends all that lives in the room:
//! the second is its first process, and reads from a pipe that the first holds. What was mounted and the links of the agents
//! are gone with the last process. So nothing is left behind, and any number of harnesses run beside one another.

use std::{
    env,
    io::Read as _,
    process::{Command, Stdio, exit, id},
};

use crate::run;

/// Set where the harness is in its room.
const INSIDE: &str = "PIGEON_FAULTS_INSIDE";

/// If it is set, it is an error that a fault has to be left out.
const WHOLE: &str = "PIGEON_FAULTS_WHOLE";

/// How a room is made: as root, or as one who is root in it.
const HOW: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];

const SPACES: [&str; 6] = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// What the room has to be able to do.
const TRIAL: &str = "mount -t tmpfs none /run && mkdir /run/netns && ip netns add trial && ip link set lo up \
    && ip link add near type veth peer name far netns trial";

/// What can be done here.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Powers {
    /// Agents have networks of their own, and the server a disk of its own.
    pub(crate) room: bool,
    /// The kernel can make a link slow (tc netem).
    pub(crate) netem: bool,
}

impl Powers {
    /// What can be done where we are, said aloud where it is not all.
    fn look(room: bool) -> Self {
        let netem = room && {
            let trial = "tc qdisc add dev lo root netem delay 1ms && tc qdisc del dev lo root";
            Command::new("sh").args(["-c", trial]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        if !room {
            let left_out = "no name spaces can be made here (that takes root or user name spaces, unshare, ip and mount): \
                            THE DISK IS NOT FILLED, AND NO INTERFACE IS CUT; links are cut and slowed by a relay on loopback";
            assert!(env::var_os(WHOLE).is_none(), "{WHOLE} is set, but {left_out}");
            eprintln!("{left_out}");
        } else if !netem {
            eprintln!(
                "this kernel has no tc netem: a relay makes links slow, and loses, doubles and mixes up datagrams"
            );
        }
        Self { room, netem }
    }
}

/// Do it in a room if one can be made, else here. `test` is the name of the test that called.
pub(crate) fn within(test: &str, work: impl FnOnce(Powers)) {
    if env::var_os(INSIDE).is_some() {
        std::thread::spawn(|| {
            let _ = std::io::stdin().read(&mut [0]);
            eprintln!("whoever wanted to know has gone");
            exit(1);
        });
        run("mount -t tmpfs none /run && mkdir /run/netns && ip link set lo up");
        return work(Powers::look(true));
    }
    let can = |how: &&&[&str]| {
        let trial = Command::new("unshare").args(**how).args(SPACES).args(["sh", "-c", TRIAL]).output();
        trial.is_ok_and(|output| output.status.success())
    };
    let Some(how) = HOW.iter().find(can) else { return work(Powers::look(false)) };
    let mut command = Command::new("unshare");
    command.args(*how).args(SPACES).arg(env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(INSIDE, id().to_string()).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Held until it has ended.
    let stdin = child.stdin.take();
    let status = child.wait().unwrap();
    drop(stdin);
    assert!(status.success(), "it went wrong in its room ({status}): see above");
}
