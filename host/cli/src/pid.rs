//! Processes that outlive the command that started them.
//!
//! A number alone names no process: once it has ended, another may get it. So the moment at which it began is kept along,
//! and a stranger is never signalled.

use std::{fs, io, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

/// Between two looks at what does not tell by itself.
const LOOK: Duration = Duration::from_millis(20);

/// A process, for as long as this machine is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: u32,
    /// When it began, in clock ticks since the machine did.
    started: u64,
    /// Which time the machine was started.
    boot: String,
}

impl ProcessId {
    /// The process that has this number now; `None` if it has ended, or cannot be told from others.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        Some(Self { pid, started: started(pid)?, boot })
    }

    /// This one.
    pub(crate) fn of_self() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Signal it; false if it has ended already.
    ///
    /// # Errors
    /// If it is not ours to signal.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<bool> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
        // What is held here stays this process, whoever gets its number next.
        let held = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(held) => held,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        if !self.is_alive() {
            return Ok(false);
        }
        match pidfd_send_signal(&held, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Wait until it has ended, or for so long; whether it has.
    pub(crate) async fn ended(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while self.is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(LOOK).await;
        }
        true
    }
}

/// When a process began. One that has ended and that nobody has asked about yet (a zombie) did not.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is its name in brackets, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    // The state was the third field, the start is the 22nd.
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn a_process_is_known_until_it_ends() {
        let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let process = ProcessId::of(child.id()).unwrap();
        assert!(process.is_alive());
        assert!(!process.ended(Duration::ZERO).await);
        assert!(process.signal(Signal::TERM).unwrap());
        // A zombie until it is waited for.
        assert!(process.ended(Duration::from_secs(60)).await);
        child.wait().unwrap();
        assert!(!process.is_alive() && !process.signal(Signal::TERM).unwrap());
    }

    #[test]
    fn a_stranger_with_the_same_number_is_left_alone() {
        let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let process = ProcessId::of(child.id()).unwrap();
        let other = ProcessId { started: process.started + 1, ..process.clone() };
        assert!(!other.is_alive() && !other.signal(Signal::KILL).unwrap());
        assert!(process.is_alive());
        let earlier = ProcessId { boot: String::new(), ..process.clone() };
        assert!(!earlier.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
