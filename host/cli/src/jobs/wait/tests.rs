use std::collections::VecDeque;

use pigeon_api::Work;

use super::*;
use crate::samples::{Fake, status, view};

fn job(state: JobState, [total_runs, invalid, failures]: [u64; 3]) -> JobStatus {
    let valid = total_runs - invalid - failures;
    let planned_runs = total_runs.max(10);
    JobStatus {
        state,
        total_runs,
        planned_runs,
        valid,
        invalid,
        failures,
        ..status(Work::One { workers: 1, iterations: 1 })
    }
}

#[test]
fn exit_codes_are_those_of_process() {
    let code = |state, counts| exit(&job(state, counts)) as u8;
    assert_eq!(code(JobState::Finished, [10, 0, 0]), 0);
    assert_eq!(code(JobState::Finished, [10, 2, 0]), 1);
    assert_eq!(code(JobState::Stopped, [10, 2, 1]), 3);
    assert_eq!(code(JobState::Cancelled, [10, 2, 1]), 130);
    assert_eq!(code(JobState::Interrupted, [0, 0, 0]), 130);
    let broken = ApiError::new(pigeon_api::ErrorKind::Exhausted, "the disk is full");
    let broken = JobStatus { broken: Some(broken.into()), ..job(JobState::Interrupted, [2, 1, 0]) };
    assert_eq!(exit(&broken) as u8, 4);
    assert!([Exit::Valid, Exit::Invalid, Exit::Failures, Exit::Machinery, Exit::Interrupted].is_sorted());
}

#[test]
fn how_a_job_ended_is_one_line() {
    let told = |state, counts| {
        let line = line(&job(state, counts), &view(80));
        line.split_once("  ").unwrap().1.trim_end().to_owned()
    };
    assert_eq!(told(JobState::Finished, [12, 0, 0]), "finished  all valid, 12 runs in 1.23 s");
    assert_eq!(told(JobState::Cancelled, [5, 0, 0]), "cancelled  no error so far, 5 runs in 1.23 s");
    assert_eq!(told(JobState::Cancelled, [0, 0, 0]), "cancelled  nothing ran, 0 runs in 1.23 s");
    assert_eq!(told(JobState::Stopped, [2, 1, 1]), "stopped  1 invalid, 1 failure, 2 runs in 1.23 s");
}

#[tokio::test]
async fn a_job_has_ended_once_it_has() {
    let done = job(JobState::Finished, [10, 0, 0]);
    let screen = Screen::new(Colours::Never);
    let host = Fake { jobs: vec![done.clone()], ..Fake::default() };
    assert_eq!(end(&host, done.id, &screen).await.unwrap().state, JobState::Finished);

    // Without an end in sight it is watched, and looked at again.
    let paused = job(JobState::Paused, [1, 0, 0]);
    let heard = VecDeque::from([vec![JobEvent::Finished(JobState::Paused)]]);
    let host = Fake { jobs: vec![paused.clone()], heard: heard.into(), ..Fake::default() };
    let looked_again = async {
        while host.asked.load(std::sync::atomic::Ordering::Relaxed) < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        ended = end(&host, paused.id, &screen) => panic!("{ended:?}"),
        () = looked_again => {}
    }
}
