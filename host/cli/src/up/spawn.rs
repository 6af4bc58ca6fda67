//! Processes of the cluster: this very program, started so that it outlives the command and its terminal.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use pigeon_runtime::this_program;

use crate::{exit::Failed, pid::ProcessId};

/// The hidden subcommand that makes a process one of its own before it becomes what it is to be.
const DETACHED: &str = "detached";

/// Bytes of a log's end that are told where a process ended too soon.
const TAIL: u64 = 4 << 10;

/// Lines of it.
const TAIL_LINES: usize = 12;

/// What this program does as `pigeon detached ARGS`: leave the session of the terminal, and be `pigeon ARGS`. Gives why
/// it is not.
pub(crate) fn become_detached(args: &[OsString]) -> io::Error {
    if let Err(errno) = rustix::process::setsid() {
        return errno.into();
    }
    match this_program() {
        Ok(program) => Command::new(program).arg0("pigeon").args(args).exec(),
        Err(error) => error,
    }
}

/// A process that was just started.
pub(super) struct Started {
    child: Child,
    pub(super) process: ProcessId,
    /// Where in its log what it says begins.
    from: u64,
}

/// Start this program with these arguments, and have it write its log there. Settings are given by the environment where
/// that does not say them already.
///
/// # Errors
/// If it cannot be started.
pub(super) fn start(args: &[OsString], log: &Path, settings: &[(&str, &str)]) -> Result<Started, Failed> {
    let failed = |error: io::Error| {
        let what = args.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Failed::machinery(format!("failed to start `pigeon {what}`")).caused_by(error)
    };
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(log).map_err(failed)?;
    let from = file.metadata().map_err(failed)?.len();
    let unsaid = settings.iter().filter(|(name, _)| std::env::var_os(name).is_none());
    let child = Command::new(this_program().map_err(failed)?)
        .arg0("pigeon")
        .arg(DETACHED)
        .args(args)
        // What is meant for this process, or for another server, is not meant for it.
        .env_remove("PIGEON_CONFIG")
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC")
        .env_remove("STATE_DIRECTORY")
        .env_remove("CREDENTIALS_DIRECTORY")
        .envs(unsaid.copied())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(file.try_clone().map_err(failed)?)
        .stderr(file)
        .spawn()
        .map_err(failed)?;
    let process = ProcessId::of(child.id());
    // It is our child and nobody has waited for it: its number is its own, even if it has ended already.
    let process = process.ok_or_else(|| failed(io::Error::other(format!("it ended at once:\n{}", tail(log, from)))))?;
    Ok(Started { child, process, from })
}

impl Started {
    /// Whether it goes on.
    ///
    /// # Errors
    /// If it has ended: what it said last.
    pub(super) fn check(&mut self, name: &str, log: &Path) -> Result<(), Failed> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Failed::machinery(format!("{name} ended ({status})"))
                .caused_by(tail(log, self.from))
                .hint(format!("its log is {}", log.display()))),
            Err(error) => Err(Failed::machinery(format!("failed to ask for {name}")).caused_by(error)),
        }
    }
}

/// The last lines of a log, from there on.
fn tail(log: &Path, from: u64) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(end.saturating_sub(TAIL))))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    match lines.len() {
        0 => "it said nothing".to_owned(),
        count => lines[count.saturating_sub(TAIL_LINES)..].join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_told() {
        let log = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(tail(log.path(), 0), "it said nothing");
        let text: String = (0..100).map(|line| format!("line {line}\n")).collect();
        std::fs::write(log.path(), &text).unwrap();
        let told = tail(log.path(), 0);
        assert!(told.ends_with("line 99") && told.lines().count() == TAIL_LINES, "{told}");
        let from = text.find("line 98").unwrap() as u64;
        assert_eq!(tail(log.path(), from), "line 98\nline 99");
    }
}
