//! A child process that is killed while it writes, what it said before, and the files that it leaves.

use std::{
    collections::BTreeSet,
    fs,
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

/// What was left after a sweep: each file that a row names is there and as long as the row says, and nothing lies beside
/// them that nobody names. Nobody has the store open.
pub(crate) fn check_files(dir: &Path) {
    let database = rusqlite::Connection::open(dir.join("pigeon.db")).unwrap();
    let whole: String = database.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    let mut select = database
        .prepare(
            "SELECT lower(hex(id)), spool, max(start + size) FROM body JOIN job ON job.key = body.job
             WHERE spool IS NOT NULL GROUP BY id, spool",
        )
        .unwrap();
    let spools = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    for (job, spool, end) in spools.map(Result::<(String, i64, i64), _>::unwrap) {
        let path = dir.join("items").join(job_name(&job)).join(spool.to_string());
        assert!(
            fs::metadata(&path).is_ok_and(|file| file.len() >= end as u64),
            "{} has not {end} bytes",
            path.display()
        );
    }
    let named = |sql: &str| -> BTreeSet<String> {
        let mut select = database.prepare(sql).unwrap();
        select.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap).collect()
    };
    let of_jobs = named("SELECT lower(hex(id)) FROM job WHERE has_bodies").iter().map(|id| job_name(id)).collect();
    let strays: Vec<_> = files(&dir.join("items")).difference(&of_jobs).cloned().collect();
    assert_eq!(strays, [""; 0], "items of no job");
    assert_eq!(files(&dir.join("bodies")), named("SELECT DISTINCT lower(hex(digest)) FROM body_file"));
}

/// A job's id as it is written, of its bytes.
fn job_name(hex: &str) -> String {
    let bytes: Vec<u8> = (0..16).map(|at| u8::from_str_radix(&hex[2 * at..][..2], 16).unwrap()).collect();
    pigeon_protocol::id::JobId::from_slice(&bytes).unwrap().to_string()
}

fn files(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}
