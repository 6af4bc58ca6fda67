use std::sync::atomic::Ordering::Relaxed;

use pigeon_api::{JobState, Work};

use super::*;
use crate::samples::{Fake, status};

#[test]
fn a_job_is_named_by_the_ends_of_its_id() {
    let job: JobId = "0198f3c2-7d4e-7c11-9a51-0a4d2b8f6e01".parse().unwrap();
    for part in ["0198", "0198F3C2-7d", "6e01", "51-0A4D2b8f6e01"] {
        assert!(is_part(part, job), "{part}");
    }
    for part in ["7d4e", "198f3", "6e0", "----"] {
        assert!(!is_part(part, job), "{part}");
    }
}

/// Jobs, of which the ids' ends differ.
fn jobs(count: usize) -> Fake {
    let job = |at: usize| {
        let id = format!("0198f3c2-7d4e-7c11-9a51-0a4d0000{at:04x}").parse().unwrap();
        pigeon_api::JobStatus { id, ..status(Work::Many { iterations: 1, workers: None }) }
    };
    Fake { jobs: (0..count).map(job).collect(), ..Fake::default() }
}

#[tokio::test]
async fn among_many_jobs_only_those_that_could_be_meant_are_looked_at() {
    let host = jobs(3000);
    assert_eq!(find(&host, "00000abc", Last::Any).await.unwrap(), host.jobs[0xabc].id);
    assert_eq!(host.asked.load(Relaxed), 0);

    let several = find(&host, "0198", Last::Any).await.unwrap_err();
    assert_eq!(several.to_string(), "3,000 jobs' ids begin or end with \"0198\"");
    assert_eq!(host.asked.load(Relaxed), MOST_NAMED);
}

#[tokio::test]
async fn the_last_is_the_newest_or_the_newest_that_has_not_ended() {
    let mut host = jobs(3);
    host.jobs[1].state = JobState::Paused;
    assert_eq!(find(&host, LAST, Last::Any).await.unwrap(), host.jobs[0].id);
    assert_eq!(find(&host, LAST, Last::Unfinished).await.unwrap(), host.jobs[1].id);
    host.jobs[1].state = JobState::Finished;
    assert_eq!(find(&host, LAST, Last::Unfinished).await.unwrap(), host.jobs[0].id);
    assert_eq!(find(&jobs(0), LAST, Last::Any).await.unwrap_err().to_string(), "there is no job");
}
