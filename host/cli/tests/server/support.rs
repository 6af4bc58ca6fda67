//! Commands that are ended, and servers that end with the test.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

pub(crate) use crate::common::{Ended, Place, ended};

/// Far longer than anything takes: what is not there by then never comes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Between two looks at what does not tell by itself.
const LOOK: Duration = Duration::from_millis(20);

impl Place {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }

    /// What comes of it. A command that does not end is ended.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        let child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        end_of(child, &args.join(" "))
    }

    /// What it prints as JSON.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        self.run(&args).json(0)
    }

    /// A server with its state in `host`, on any ports.
    pub(crate) fn serve(&self, args: &[&str]) -> Serving {
        Serving::start(self, args)
    }

    /// The same where one served before.
    pub(crate) fn serve_at(&self, Addresses { hub, api }: &Addresses) -> Serving {
        let args = ["serve", "--state-dir", "host", "--listen", hub, "--api-listen", api];
        Serving::start_as(self, self.command(&args))
    }
}

impl Ended {
    /// An error that says what to do next: its message, its causes and its hint.
    #[track_caller]
    pub(crate) fn refused(self, code: i32) -> String {
        let ended = self.expect(code);
        assert!(ended.stderr.lines().any(|line| line.starts_with("error: ")), "{ended:#?}");
        assert!(ended.stderr.lines().any(|line| line.starts_with("hint: ")), "{ended:#?}");
        ended.stderr
    }
}

/// What comes of a command that was begun. One that does not end is ended.
#[track_caller]
pub(crate) fn end_of(child: Child, what: &str) -> Ended {
    let pid = Pid::from_child(&child);
    let (sender, done) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match done.recv_timeout(LONG) {
        Ok(output) => ended(output.unwrap()),
        Err(_) => {
            kill_process(pid, Signal::KILL).unwrap();
            panic!("`pigeon {what}` did not end: {:#?}", ended(done.recv().unwrap().unwrap()));
        }
    }
}

/// Wait until it is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} never came");
        sleep(LOOK);
    }
}

/// Where a server is: the hub of its agents, and its API.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    pub(crate) hub: String,
    pub(crate) api: String,
}

/// A server that does not outlive the test.
pub(crate) struct Serving {
    child: Child,
    log: PathBuf,
    state: PathBuf,
}

impl Serving {
    fn start(place: &Place, args: &[&str]) -> Self {
        let mut command =
            place.command(&["serve", "--state-dir", "host", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"]);
        command.args(args);
        Self::start_as(place, command)
    }

    pub(crate) fn start_as(place: &Place, mut command: Command) -> Self {
        let log = (0..).map(|number| place.path(&format!("serve.{number}.log"))).find(|log| !log.exists()).unwrap();
        let file = File::create(&log).unwrap();
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let mut serving = Self { child, log, state: place.path("host") };
        until("the server", || {
            if let Some(status) = serving.child.try_wait().unwrap() {
                panic!("it ended ({status}): {}", serving.log());
            }
            serving.running().is_some_and(|running| running["pid"] == serving.child.id())
        });
        serving
    }

    /// What it says of itself.
    pub(crate) fn running(&self) -> Option<Value> {
        let text = fs::read(self.state.join("run.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    pub(crate) fn api(&self) -> String {
        self.running().unwrap()["api"].as_str().unwrap().to_owned()
    }

    pub(crate) fn addresses(&self) -> Addresses {
        let hub = self.running().unwrap()["agents"].as_str().unwrap().to_owned();
        Addresses { hub, api: self.api().trim_start_matches("http://").to_owned() }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn says(&self, words: &str) {
        let deadline = Instant::now() + LONG;
        while !self.log().contains(words) {
            assert!(Instant::now() < deadline, "it never said {words:?}: {}", self.log());
            sleep(LOOK);
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + LONG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it goes on: {}", self.log());
            sleep(LOOK);
        }
    }

    /// Told to stop, it ends well. Gives its log.
    #[track_caller]
    pub(crate) fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let status = self.ended();
        assert_eq!(status.code(), Some(0), "{}", self.log());
        assert!(self.running().is_none(), "it is said to run, and does not");
        self.log()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process of this number is there and has not ended.
pub(crate) fn is_alive(pid: u32) -> bool {
    let zombie = fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')));
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    test_kill_process(pid).is_ok() && !zombie
}

/// Kill a process that is no child of this one.
pub(crate) fn kill(pid: u32) {
    kill_process(i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap(), Signal::KILL).unwrap();
    until("its end", || !is_alive(pid));
}

/// An agent that does not outlive the test.
pub(crate) struct Agent {
    child: Child,
}

impl Agent {
    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut ended = None;
        until("the agent's end", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    /// It dies.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Place {
    /// An agent of one slot, which joins the server of the context in use.
    pub(crate) fn agent(&self, serving: &Serving, name: &str) -> Agent {
        let token = format!("{name}.token");
        self.run(&["token", "join", "--out", &token]).expect(0);
        let agent = self.start_agent(serving, name, &token);
        until("the agent", || {
            let agents = self.json(&["agents", "list"]);
            agents["agents"].as_array().unwrap().iter().any(|agent| agent["name"] == name && agent["state"] == "ready")
        });
        agent
    }

    /// An agent of one slot that may join with this token, if it has no identity yet. What it says is in `NAME.log`.
    pub(crate) fn start_agent(&self, serving: &Serving, name: &str, token: &str) -> Agent {
        let Addresses { hub, .. } = serving.addresses();
        let args = ["agent", "--hub", &hub, "--name", name, "--slots", "1", "--state-dir", name, "--token-file", token];
        let log = File::create(self.path(&format!("{name}.log"))).unwrap();
        Agent { child: self.command(&args).stdout(Stdio::null()).stderr(log).spawn().unwrap() }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
