//! The binary `pigeon-agent` where no hub is needed: what it says when it cannot begin, and where it says it.
//!
//! With a hub it is tested in host/cli/tests/agent: tests that need both sides live there.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::{
    fs::{self, File},
    io::ErrorKind,
    net::UdpSocket,
    os::unix::{fs::MetadataExt as _, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use pigeon_protocol::{enrol::JoinToken, id::Digest};
use tempfile::TempDir;

const AGENT: &str = env!("CARGO_BIN_EXE_pigeon-agent");

/// A folder to work in, and a hub that never answers.
struct Place {
    dir: TempDir,
    hub: UdpSocket,
}

impl Place {
    fn new() -> Self {
        let hub = UdpSocket::bind("127.0.0.1:0").unwrap();
        hub.set_nonblocking(true).unwrap();
        Self { dir: TempDir::new().unwrap(), hub }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn token(&self) -> PathBuf {
        let path = self.path("token");
        fs::write(&path, JoinToken::new(Digest::of(b"a CA")).unwrap().reveal()).unwrap();
        path
    }

    /// Arguments that every agent needs.
    fn args(&self, state: &Path) -> Vec<String> {
        let hub = self.hub.local_addr().unwrap().to_string();
        ["--hub", &hub, "--state-dir", state.to_str().unwrap()].map(str::to_owned).into()
    }

    /// What it says when it cannot begin.
    fn refused(&self, state: &Path, token: Option<&Path>) -> String {
        let mut command = Command::new(AGENT);
        command.args(self.args(state)).env_clear();
        if let Some(token) = token {
            command.arg("--token-file").arg(token);
        }
        let output = command.output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words}");
        words
    }

    /// Whether somebody has written to the hub.
    fn was_asked(&self) -> bool {
        match self.hub.recv(&mut [0; 2048]) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                false
            }
        }
    }
}

#[track_caller]
fn says(words: &str, all: &[&str]) {
    for part in all {
        assert!(words.contains(part), "{part:?} is missing in: {words}");
    }
}

#[test]
fn without_a_token_it_says_how_to_give_one() {
    let place = Place::new();
    let state = place.path("state");
    says(
        &place.refused(&state, None),
        &["no identity in", state.to_str().unwrap(), "hint: ", "--token-file", "credential join-token"],
    );
    let token = place.path("token");
    says(
        &place.refused(&state, Some(&token)),
        &["failed to read the join token from", token.to_str().unwrap(), "No such file", "hint: "],
    );
    fs::write(&token, "pgn1.too short").unwrap();
    let words = place.refused(&state, Some(&token));
    says(&words, &["failed to use", token.to_str().unwrap(), "the join token cannot be read", "hint: "]);
    assert!(!words.contains("too short"), "a token is not shown: {words}");
    assert!(!place.was_asked());
}

#[test]
fn a_state_folder_that_cannot_be_written_is_told_before_the_token_is_used() {
    let place = Place::new();
    fs::write(place.path("file"), "").unwrap();
    let state = place.path("file/state");
    let words = place.refused(&state, Some(&place.token()));
    says(&words, &["failed to", state.to_str().unwrap(), "Not a directory", "hint: ", "--state-dir"]);

    // The folder can be made, but what it is to hold cannot.
    let state = place.path("state");
    fs::create_dir_all(state.join("identity/probe")).unwrap();
    let words = place.refused(&state, Some(&place.token()));
    says(&words, &["failed to write to", state.to_str().unwrap(), "hint: ", "--state-dir"]);
    assert!(!place.was_asked(), "the token may have been spent for nothing");
}

#[test]
fn a_damaged_identity_is_named() {
    let place = Place::new();
    let state = place.path("state");
    fs::create_dir_all(state.join("identity")).unwrap();
    fs::write(state.join("identity/agent.id"), "nonsense").unwrap();
    says(&place.refused(&state, Some(&place.token())), &["identity/agent.id is not an agent id", "hint: "]);
    assert!(!place.was_asked());
}

#[test]
fn a_hub_that_does_not_answer_is_told() {
    let place = Place::new();
    let words = place.refused(&place.path("state"), Some(&place.token()));
    let hub = place.hub.local_addr().unwrap().to_string();
    says(&words, &[&hub, "did not answer", "hint: ", "--hub"]);
    assert!(place.was_asked());
}

#[test]
fn a_hub_may_be_named() {
    let place = Place::new();
    let port = place.hub.local_addr().unwrap().port();
    let by_name = |hub: &str| {
        let mut command = Command::new(AGENT);
        command.args(["--hub", hub, "--state-dir"]).arg(place.path("state")).arg("--token-file").arg(place.token());
        let output = command.env_clear().output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, words) = by_name("localhost");
    assert_eq!(code, Some(2), "{words}");
    says(&words, &["'localhost'", "HOST:PORT"]);
    let (code, words) = by_name(&format!("{}.invalid:1", "x".repeat(64)));
    assert_eq!(code, Some(1), "{words}");
    says(&words, &["failed to look up the hub xxx", "hint: ", "--hub"]);
    assert!(!place.was_asked());
    let (code, words) = by_name(&format!("localhost:{port}"));
    assert_eq!(code, Some(1), "{words}");
    says(&words, &["did not answer"]);
    assert!(place.was_asked());
}

/// What an agent that cannot begin writes to standard error, connected with the journal as `stream` says of it.
fn log_of(place: &Place, program: &mut Command, stream: impl Fn(&fs::Metadata) -> String) -> String {
    let path = place.path("stderr");
    let stderr = File::create(&path).unwrap();
    program.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    program.env("JOURNAL_STREAM", stream(&stderr.metadata().unwrap()));
    let status = program.stdin(Stdio::null()).stderr(stderr).status().unwrap();
    let words = fs::read_to_string(path).unwrap();
    assert_eq!(status.code(), Some(1), "{words}");
    words
}

/// As systemd names the stream that it connected with the journal.
fn this_stream(stderr: &fs::Metadata) -> String {
    format!("{}:{}", stderr.dev(), stderr.ino())
}

/// What somebody else's variable says that was inherited.
fn other_stream(stderr: &fs::Metadata) -> String {
    format!("{}:{}", stderr.dev(), stderr.ino() + 1)
}

/// The words that each of these logs ends with.
const NO_TOKEN: &str = "no join token to get one";

#[test]
fn the_log_goes_to_standard_error_unless_that_is_the_journal() {
    let place = Place::new();
    let args = place.args(&place.path("state"));
    says(&log_of(&place, Command::new(AGENT).args(&args), other_stream), &[NO_TOKEN]);

    // The journal itself: a socket of ours at its place, in a name space of the file system that only the agent is in.
    let journal = place.path("journal");
    fs::create_dir(&journal).unwrap();
    let socket = UnixDatagram::bind(journal.join("socket")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let Some(unshare) = unshare() else {
        eprintln!("no file system may be mounted here: only that nothing is lost without a journal is tried");
        // Then the journal's place is what it is here, and there is none: nothing may be lost.
        if !Path::new("/run/systemd/journal/socket").exists() {
            says(&log_of(&place, Command::new(AGENT).args(&args), this_stream), &[NO_TOKEN]);
        }
        return;
    };
    let inside = |mounts: &str| {
        let script = format!(r#"mount -t tmpfs none /run && {mounts} && exec "$@""#);
        let mut command = Command::new("unshare");
        command.args([unshare, "sh", "-c", &script, "sh", AGENT]).args(&args);
        command
    };
    let with = format!("mkdir -p /run/systemd/journal && mount --bind '{}' /run/systemd/journal", journal.display());
    assert_eq!(log_of(&place, &mut inside(&with), this_stream), "");
    let mut record = [0; 4096];
    let text = loop {
        let length = socket.recv(&mut record).unwrap();
        // The first is empty: whether somebody listens.
        if length > 0 {
            break String::from_utf8_lossy(&record[..length]).into_owned();
        }
    };
    says(&text, &["PRIORITY=3", NO_TOKEN, "hint: ", "SYSLOG_IDENTIFIER=pigeon-agent"]);

    says(&log_of(&place, &mut inside(&with), other_stream), &[NO_TOKEN]);
    assert!(socket.recv(&mut record).is_err(), "it was told to both");
    // A journal that cannot be reached: better the stream than nothing.
    says(&log_of(&place, &mut inside("true"), this_stream), &[NO_TOKEN]);
}

/// How `unshare` makes a name space in which a file system may be mounted: as root, or as one who is root in it.
fn unshare() -> Option<&'static str> {
    ["-m", "-rm"].into_iter().find(|how| {
        let status = Command::new("unshare").args([how, "mount", "-t", "tmpfs", "none", "/run"]).status();
        status.is_ok_and(|status| status.success())
    })
}
