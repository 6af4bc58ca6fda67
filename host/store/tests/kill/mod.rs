//! A child process that is killed while it writes, and what it said before.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Tell the parent that something is on disk.
pub(crate) fn tell(what: &str, number: u64) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "\n{what} {number}").unwrap();
    stdout.flush().unwrap();
}

/// Let the test `child` of this program write until it has acknowledged so much, and kill it a moment later. It finds the
/// directory in the variable. `heard` is given what it told, and says whether that counts.
pub(crate) fn run_and_kill(
    variable: &str,
    dir: &Path,
    acknowledgements: usize,
    mut heard: impl FnMut(&str, u64) -> bool,
) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(variable, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut killed = false;
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let told = line.split_once(' ').and_then(|(what, number)| Some((what, number.parse().ok()?)));
        let Some((what, number)) = told else { continue };
        seen += usize::from(heard(what, number));
        if seen >= acknowledgements && !killed {
            // A moment that differs from life to life, so that it dies in the middle of different things.
            let moment = Instant::now() + Duration::from_micros(acknowledgements as u64 * 97 % 4000);
            while Instant::now() < moment {
                std::hint::spin_loop();
            }
            // SIGKILL.
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the child ended by itself");
}
