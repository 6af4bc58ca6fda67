use clap::Parser;
use pigeon_api::{JobStatus, Work};

use super::*;
use crate::samples::{EVIL, Fake, NOW, assert_harmless, busy, long, status, view};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    list: ListArgs,
}

fn args(args: &[&str]) -> ListArgs {
    Line::try_parse_from(["list"].iter().chain(args)).unwrap().list
}

fn host(count: usize) -> Fake {
    let job = |at: usize| JobStatus {
        id: format!("0198f3c2-7d4e-7c11-9a51-0a4d0000{:04x}", count - at).parse().unwrap(),
        state: if at.is_multiple_of(3) { JobState::Sealed } else { JobState::Finished },
        accepted_ms: NOW - at as i64 * 100_000,
        ..if at == 0 { busy() } else { status(Work::Many { iterations: 1, workers: None }) }
    };
    Fake { jobs: (0..count).map(job).collect(), ..Fake::default() }
}

#[tokio::test]
async fn a_list_at_several_widths() {
    let args = args(&[]);
    let page = page(&host(4), &args, None, NOW).await.unwrap();
    for width in [40, 80, 140] {
        let text = table(&page, &args, &view(width));
        assert_harmless(&text, width);
        insta::assert_snapshot!(format!("list_{width}"), text);
    }
}

#[tokio::test]
async fn pages_follow_one_another() {
    let host = host(1203);
    let ids = |page: &JobPage| page.jobs.iter().map(|job| job.id).collect::<Vec<_>>();
    let args_of_two = args(&["--limit", "2", "--state", "sealed", "--plugin", "it's"]);
    let first = page(&host, &args_of_two, None, NOW).await.unwrap();
    assert_eq!(ids(&first), [host.jobs[0].id, host.jobs[3].id]);
    let next = first.next.unwrap();
    let more = table(&first, &args_of_two, &View { flags: " --state-dir d".to_owned(), ..view(80) });
    let more = more.lines().last().unwrap();
    let command = format!("pigeon jobs list --state sealed --plugin 'it'\\''s' --limit 2 --before {next}");
    assert_eq!(more, format!("more: {command} --state-dir d"));
    let second = page(&host, &args_of_two, first.next, NOW).await.unwrap();
    assert_eq!(ids(&second), [host.jobs[6].id, host.jobs[9].id]);

    let all = page(&host, &args(&["--all"]), None, NOW).await.unwrap();
    assert_eq!((all.jobs.len(), all.next), (1203, None));
    let exactly = page(&host, &args(&["--limit", "1203"]), None, NOW).await.unwrap();
    assert_eq!((exactly.jobs.len(), exactly.next), (1203, None));
    let unfinished = page(&host, &args(&["--all", "--state", "unfinished"]), None, NOW).await.unwrap();
    assert_eq!(unfinished.jobs.len(), 401);
}

#[tokio::test]
async fn those_of_an_author_and_of_a_time_are_found_on_whichever_page_they_are() {
    let mut host = host(1203);
    for at in [7, 700, 1201] {
        host.jobs[at].author = "ci".to_owned();
    }
    let found = async |given: &[&str], before: Option<JobId>| {
        let page = page(&host, &args(given), before, NOW).await.unwrap();
        let at = |job: &JobSummary| host.jobs.iter().position(|known| known.id == job.id).unwrap();
        (page.jobs.iter().map(at).collect::<Vec<_>>(), page.next.is_some())
    };
    assert_eq!(found(&["--author", "ci"], None).await, (vec![7, 700, 1201], false));
    assert_eq!(found(&["--author", "ci", "-n", "2"], None).await, (vec![7, 700], true));
    assert_eq!(found(&["--author", "ci", "-n", "2"], Some(host.jobs[700].id)).await, (vec![1201], false));
    assert_eq!(found(&["--author", "cd"], None).await, (vec![], false));
    // One every 100 seconds, and the first just now.
    assert_eq!(found(&["--since", "5m"], None).await, (vec![0, 1, 2, 3], false));
    assert_eq!(found(&["--since", "5m", "-n", "4"], None).await, (vec![0, 1, 2, 3], false));
    assert_eq!(found(&["--since", "5m", "-n", "3"], None).await, (vec![0, 1, 2], true));
    assert_eq!(found(&["--since", "20h", "--author", "ci"], None).await, (vec![7, 700], false));
    let same = same(&args(&["--since", "90m", "--author", "schedule a"]));
    assert_eq!(same, " --author 'schedule a' --since 90m");
}

#[test]
fn an_empty_list_says_what_to_do() {
    let none = JobPage { jobs: Vec::new(), next: None };
    let told = |given: &[&str]| table(&none, &args(given), &view(80));
    assert_eq!(told(&[]), "no job is kept: pigeon process -f FILE -v json submits one\n");
    assert_eq!(told(&["--state", "paused"]), "no such job: pigeon jobs list --all lists all\n");
}

#[tokio::test]
async fn hostile_names_steer_nothing() {
    let mut host = host(3);
    host.jobs[0].plugin.metadata.name = long();
    host.jobs[1].author = long();
    host.jobs[2].author = EVIL.to_owned();
    let args = args(&[]);
    let page = page(&host, &args, None, NOW).await.unwrap();
    for width in [40, 80, 120, 200] {
        assert_harmless(&table(&page, &args, &view(width)), width);
    }
}

#[test]
fn a_job_is_done_when_all_is() {
    let summary = |total_runs, planned_runs| JobSummary {
        id: JobId::from_bytes([1; 16]),
        plugin: String::new(),
        state: JobState::Sealed,
        accepted_ms: 0,
        planned_runs,
        total_runs,
        valid: 0,
        invalid: 0,
        failures: 0,
        priority: 0,
        author: String::new(),
    };
    assert_eq!(done(&summary(0, 0)), "-");
    assert_eq!(done(&summary(9999, 10_000)), "99 %");
    assert_eq!(done(&summary(10_000, 10_000)), "100 %");
    assert_eq!(done(&summary(u64::MAX - 1, u64::MAX)), "99 %");
}
