use std::collections::VecDeque;

use clap::Parser as _;
use pigeon_api::{Counts, JobEvent, JobId, JobState, Landed, Progress, RunResult, Verdict, Watch};

use super::landed::landed;
use crate::{args::Cli, samples::Fake};

fn runs(count: usize) -> JobEvent {
    let run = RunResult {
        item: "a".to_owned(),
        index: 0,
        place: 0,
        iteration: 0,
        worker: "w".to_owned(),
        verdict: Verdict::Valid,
        findings: Vec::new(),
        omitted: Counts::default(),
        score: None,
        data: None,
        failure: None,
        time_ms: 1.0,
        log: String::new(),
    };
    JobEvent::Landed(Landed { batch: 1, runs: vec![run; count] })
}

async fn seen(follow: bool, most: usize, heard: Vec<JobEvent>) -> Result<usize, String> {
    let host = Fake { heard: VecDeque::from([heard]).into(), ..Fake::default() };
    let mut count = 0;
    let ended = landed(&host, JobId::from_bytes([1; 16]), true, follow, |runs| {
        count += runs.len();
        Ok(count < most)
    });
    ended.await.map_err(|error| error.to_string())?;
    let watches = host.watches.lock().unwrap();
    assert_eq!(*watches, [Watch { runs: true, logs: true, after: 0, past: !follow }]);
    Ok(count)
}

#[tokio::test]
async fn runs_are_told_up_to_the_end_or_until_nobody_reads_on() {
    let progress = JobEvent::Progress(Progress { done: 3, ..Progress::default() });
    let heard = || vec![runs(3), progress.clone(), runs(2), JobEvent::Finished(JobState::Sealed), runs(9)];
    assert_eq!(seen(false, 100, heard()).await, Ok(5));
    assert_eq!(seen(true, 100, heard()).await, Ok(5));
    assert_eq!(seen(true, 3, heard()).await, Ok(3));
    assert!(seen(true, 100, vec![runs(3)]).await.is_err());
}

#[test]
fn arguments_that_cannot_be_right_are_refused() {
    for wrong in [
        "jobs",
        "jobs show",
        "jobs wait",
        "jobs wait last --timeout soon",
        "jobs list --state running",
        "jobs list --all --limit 3",
        "jobs list --limit -1",
        "jobs list --every 1s",
        "jobs list --since soon",
        "process --resume last --max-attempts 2",
        "process --resume last --retry-on crash",
        "jobs cancel",
        "jobs delete",
        "jobs results last -o csv",
        "dead show",
        "dead show last:1 --raw -o json",
        "dead retry --all --job last",
        "dead discard --all a:1",
        "schedule add nightly -f a.json -v json",
        "schedule add nightly --every 1m --at 2026-12-24 -f a.json -v json",
        "schedule add nightly --every 1m --zone UTC -f a.json -v json",
        "schedule add nightly --every 1m -v json",
        "schedule add nightly --every 1m -f a.json",
        "schedule add --every 1m -f a.json -v json",
        "schedule remove",
        "status --every 1s",
        "events --after x",
        "backup",
    ] {
        let line = std::iter::once("pigeon").chain(wrong.split(' '));
        assert!(Cli::try_parse_from(line).is_err(), "{wrong}");
    }
    for right in [
        "jobs list -s unfinished -p json -n 3 --before last",
        "jobs list --watch --every 1s --author ci --since 2h",
        "jobs show last --follow -o json",
        "jobs wait last 0198 --timeout 1h",
        "jobs delete last 0198 --yes",
        "jobs logs last --item a --follow",
        "jobs results last -o sarif --output-file r",
        "dead list --job last --code timeout --message CPU --limit 3 --after last:1",
        "dead retry last:1 0198:2",
        "dead discard --all --yes",
        "schedule add nightly --every 1m -f a b -v json --items --option a=b --timeout 3s --overlap allow --catch-up all",
        "schedule list -o json",
        "schedule pause nightly hourly",
        "status -d --watch --every 1s",
        "stats last -o json",
        "events --follow --job last --limit 3",
        "backup - --force",
    ] {
        let line = std::iter::once("pigeon").chain(right.split(' '));
        let read = Cli::try_parse_from(line);
        assert!(read.is_ok(), "{right}: {}", read.unwrap_err());
    }
}

#[test]
fn the_command_line_is_sound() {
    use clap::CommandFactory as _;
    Cli::command().debug_assert();
}
