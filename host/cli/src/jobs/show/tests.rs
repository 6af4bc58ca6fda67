use pigeon_api::{ApiError, ErrorKind, JobId};

use super::*;
use crate::samples::{EVIL, NOW, assert_harmless, busy, long, status, view};

#[test]
fn a_job_that_waits_at_several_widths() {
    for width in [40, 80, 120] {
        let text = page(&busy(), &view(width));
        assert_harmless(&text, width);
        insta::assert_snapshot!(format!("waits_{width}"), text);
    }
}

#[test]
fn a_job_that_has_ended() {
    let mut job = status(Work::One { workers: 2, iterations: 600 });
    (job.items, job.accepted_ms, job.finished_ms) = (1, NOW - 60_000, Some(NOW - 50_000));
    insta::assert_snapshot!(page(&job, &view(100)));
}

#[test]
fn a_job_of_which_nothing_ran() {
    let mut job = busy();
    (job.state, job.items, job.planned_runs, job.total_runs, job.dead) = (JobState::Open, 0, 0, 0, 0);
    (job.valid, job.invalid, job.failures, job.workers, job.errors) = (0, 0, 0, Vec::new(), Vec::new());
    job.waiting = Some(Waiting::Items);
    insta::assert_snapshot!(page(&job, &view(100)));
}

#[test]
fn it_is_said_why_a_job_waits() {
    let why = |waiting| {
        let text = page(&JobStatus { waiting: Some(waiting), ..busy() }, &view(120));
        text.lines().find_map(|line| line.strip_prefix("waits     ")).unwrap().to_owned()
    };
    assert_eq!(why(Waiting::NoAgent), "no agent is in");
    let lacks = |labels: &[&str]| Waiting::NoLabel { labels: labels.iter().map(ToString::to_string).collect() };
    assert_eq!(why(lacks(&["gpu"])), "no agent with label gpu");
    assert_eq!(why(lacks(&["gpu", "arch=x86_64"])), "no agent with the labels gpu, arch=x86_64");
    assert_eq!(why(Waiting::AgentsBusy), "all agents work for other jobs");
    assert_eq!(why(Waiting::Backoff { until_ms: NOW + 30_000 }), "what is left failed and is tried again in 30 s");
    assert_eq!(why(Waiting::Backoff { until_ms: NOW - 30_000 }), "what is left failed and is tried again now");
    assert_eq!(why(Waiting::Items), "all items that it has are done, and more may come: it is not sealed");
    assert_eq!(why(Waiting::Paused), "it is paused");
    let busy = Waiting::PluginBusy { max_parallel: 4 };
    assert_eq!(why(busy), "its plugin has as many leases under way as it may (4)");
    let rate = Waiting::PluginRate { until_ms: NOW + 1500 };
    assert_eq!(why(rate), "its plugin has begun as many runs as it may for now; the next in 1 s");
    assert_eq!(why(Waiting::Nobody), "it was interrupted, and nobody works at it");
}

#[test]
fn it_is_said_what_the_machinery_failed_at() {
    let mut job = busy();
    (job.state, job.waiting) = (JobState::Interrupted, Some(Waiting::Nobody));
    let error = ApiError::new(ErrorKind::Exhausted, "failed to record outcomes").caused_by("the disk is full");
    job.broken = Some(error.hint("free some space").into());
    let text = page(&job, &view(80));
    let told: Vec<&str> = text.lines().skip(1).take(4).collect();
    let nobody = "waits     it was interrupted, and nobody works at it";
    let rest = ["failed    failed to record outcomes", "because   the disk is full", "hint      free some space"];
    assert_eq!((told[0], &told[1..]), (nobody, &rest[..]));
    job.broken = Some(ApiError::new(ErrorKind::Internal, EVIL).caused_by(long()).hint(long()).into());
    assert_harmless(&page(&job, &view(40)), 40);
}

#[test]
fn what_can_be_done_next_can_be_pasted() {
    let flags = " --context far".to_owned();
    let next = |job: &JobStatus| {
        let text = page(job, &View { flags: flags.clone(), ..view(60) });
        text.lines().filter(|line| line.contains("pigeon ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let id = JobId::from_bytes([0x11; 16]);
    let mut job = busy();
    (job.state, job.waiting) = (JobState::Paused, Some(Waiting::Paused));
    let resume = format!("to go on: pigeon jobs resume {id} --context far");
    assert_eq!(next(&job), [resume, format!("what could not be judged: pigeon dead list --job {id} --context far")]);
    (job.state, job.waiting, job.dead) = (JobState::Interrupted, Some(Waiting::Nobody), 0);
    assert_eq!(next(&job), [format!("to go on: pigeon process --resume {id} --context far")]);
}

#[test]
fn the_bar_is_full_when_all_is_done() {
    let bar = |total_runs, planned_runs| {
        progress(&JobStatus { total_runs, planned_runs, ..busy() }, &view(60)).split(']').next().unwrap().to_owned()
    };
    assert_eq!(bar(0, 10), format!("[{}", " ".repeat(27)));
    assert_eq!(bar(10, 10), format!("[{}", "=".repeat(24)));
    assert!(bar(5, 10).contains("=>") && bar(1, 100_000).starts_with("[>"));
}

#[test]
fn hostile_words_steer_nothing() {
    let mut job = busy();
    (job.author, job.plugin.metadata.name, job.plugin.metadata.version) = (long(), EVIL.to_owned(), long());
    job.workers[0].name = long();
    for at in 0..MOST_OPTIONS + 5 {
        job.request.options.insert(format!("{at}{EVIL}"), long());
    }
    for group in &mut job.errors {
        (group.code, group.message, group.example) = (EVIL.to_owned(), long(), long());
    }
    for width in [20, 40, 80, 200] {
        assert_harmless(&page(&job, &view(width)), width);
    }
    assert!(page(&job, &view(80)).contains("... and 6 more"));
}
