use pigeon_protocol::id::AgentId;

use super::*;

const MIB: u64 = 1 << 20;

fn work(places: u32, iterations: u32, items: u32, progress: Progress) -> Work {
    let mut work = Work::new(Shape { places, iterations }, progress);
    assert!(work.append(Chunk { first: 0, count: items, bytes: MIB }));
    work.seal();
    work
}

fn ranges(batch: Option<Batch>) -> Vec<(u64, u64)> {
    batch.into_iter().flat_map(|batch| batch.runs).map(|range| (range.first, range.count)).collect()
}

#[test]
fn fresh_runs_are_taken_in_turn_and_once() {
    let mut work = work(1, 2, 10, Progress::default());
    assert_eq!(ranges(work.take(7, MIB)), [(0, 7)]);
    assert_eq!(ranges(work.take(100, MIB)), [(7, 13)]);
    assert!(work.take(1, MIB).is_none() && !work.is_ready());
}

#[test]
fn what_came_back_goes_first_and_done_runs_do_not_come_back() {
    let mut work = work(1, 1, 100, Progress::default());
    work.take(50, MIB);
    work.record(12);
    work.put_back(10..15);
    assert_eq!(ranges(work.take(6, MIB)), [(10, 2), (13, 2), (50, 2)]);
    work.put_back(13..14);
    work.record(13);
    assert_eq!(ranges(work.take(1, MIB)), [(52, 1)], "recorded by a copy after it came back");
}

#[test]
fn an_earlier_owners_progress_is_passed_over() {
    let done: RunSet = [0..30, 40..41, 99..100].into_iter().collect();
    let attempts = vec![
        (RunIndex(35), Attempts { failures: 1, deaths: 0 }),
        (RunIndex(36), Attempts { failures: 0, deaths: 1 }),
        (RunIndex(3), Attempts { failures: 2, deaths: 0 }),
    ];
    let mut work = work(1, 1, 100, Progress { done, attempts });
    let again = work.take(100, MIB).unwrap();
    assert_eq!((again.runs[0].first, again.runs.len(), again.attempt), (35, 1, 2));
    assert_eq!(ranges(work.take(100, MIB)), [(30, 5), (37, 3), (41, 58)]);
    assert!(work.take(1, MIB).is_none());
    let suspect = work.take_suspect().unwrap();
    assert_eq!((suspect.runs[0].first, suspect.attempt), (36, 3));
    assert!(work.take_suspect().is_none());
}

#[test]
fn progress_beyond_the_items_does_not_count() {
    let done: RunSet = [0..10, 5_000..6_000].into_iter().collect();
    let mut work = work(1, 1, 20, Progress { done, attempts: Vec::new() });
    assert_eq!(work.done().len(), 10);
    assert!(!work.is_complete());
    for run in 10..20 {
        work.record(run);
    }
    assert!(work.is_complete());
}

#[test]
fn retries_of_one_attempt_go_together_when_due() {
    let mut work = work(1, 1, 10, Progress::default());
    work.take(10, MIB);
    for (run, at) in [(1, 10), (2, 10), (7, 20)] {
        work.failed(run);
        assert_eq!(work.attempts_of(run).failures, 1);
        work.delay(run, Time(at));
    }
    work.pass(Time(9));
    assert!(work.take(10, MIB).is_none() && work.next_attempt() == Some(Time(10)));
    work.pass(Time(10));
    let batch = work.take(10, MIB).unwrap();
    assert_eq!((batch.runs.clone(), batch.attempt), (vec![RunRange { first: 1, count: 2 }], 2));
    work.put_back(1..3);
    work.pass(Time(30));
    assert_eq!(ranges(work.take(10, MIB)), [(1, 2), (7, 1)], "still second attempts");
    work.record(7);
    work.failed(1);
    assert_eq!(work.attempts_of(1).failures, 2);
}

#[test]
fn a_run_that_died_alone_stays_alone() {
    let mut work = work(1, 1, 10, Progress::default());
    work.take(10, MIB);
    work.suspect(4);
    assert_eq!(work.take_suspect().unwrap().attempt, 2);
    let death = Death { agent: AgentId::new(), held: false, at: Time(5), after: std::time::Duration::ZERO };
    assert_eq!(work.died_alone(4, death), Attempts { failures: 0, deaths: 1 });
    work.put_back(4..5);
    assert!(work.take(10, MIB).is_none());
    assert_eq!(work.take_suspect().unwrap().attempt, 3);
    assert_eq!(work.take_deaths(4), [death]);
}

#[test]
fn places_are_taken_one_by_one() {
    let mut work = work(3, 4, 1, Progress { done: std::iter::once(4..6).collect(), attempts: Vec::new() });
    assert_eq!(work.runs_of(1), 4..8);
    assert_eq!(ranges(work.take_place(1, 100, MIB)), [(6, 2)]);
    assert!(!work.is_place_ready(1) && work.is_place_ready(2));
    assert_eq!(ranges(work.take_place(2, 1, MIB)), [(8, 1)]);
    assert_eq!(work.ready_in(work.runs_of(2)), 3);
    assert!(!work.append(Chunk { first: 1, count: 1, bytes: 1 }), "one item");
}

#[test]
fn a_batch_has_a_bounded_number_of_ranges() {
    let mut work = work(1, 1, 10_000, Progress::default());
    work.take(10_000, MIB);
    for run in (0..10_000).step_by(2) {
        work.put_back(run..run + 1);
    }
    assert_eq!(work.take(10_000, MIB).unwrap().runs.len(), RANGES);
}

/// The bound that matters: a job of ten million runs, landed in the worst order, after trouble.
#[test]
fn ten_million_runs_take_a_few_megabytes() {
    let mut work = Work::new(Shape { places: 1, iterations: 1 }, Progress::default());
    for chunk in 0..8_000 {
        assert!(work.append(Chunk { first: chunk * 1250, count: 1250, bytes: MIB }));
    }
    while work.take(1 << 14, 4 * MIB).is_some() {}
    for run in (0..10_000_000).step_by(2) {
        work.record(run);
    }
    work.put_back(0..10_000_000);
    for run in (1..20_000).step_by(2) {
        work.failed(run);
    }
    println!("{} bytes", work.heap_bytes());
    assert!(work.heap_bytes() < 4_000_000, "{} bytes", work.heap_bytes());
    assert_eq!(work.ready(), 5_000_000);
}

#[test]
fn what_is_resolved_is_taken_from_nowhere_and_said_once() {
    let progress =
        Progress { attempts: vec![(RunIndex(4), Attempts { failures: 1, deaths: 0 })], ..Progress::default() };
    let mut work = work(1, 2, 10, progress);
    assert_eq!(ranges(work.take(1, MIB)), [(4, 1)]);
    assert_eq!(ranges(work.take(3, MIB)), [(0, 3)]);
    work.record(1);
    work.put_back(0..3);
    work.suspect(5);
    work.delay(4, Time(7));
    let settled =
        |work: &mut Work, runs| work.settle([runs], false).iter().map(|it| (it.first, it.count)).collect::<Vec<_>>();
    assert_eq!(settled(&mut work, 0..2), [(0, 1)], "run 1 has an outcome");
    assert_eq!(settled(&mut work, 4..8), [(4, 4)]);
    assert_eq!(settled(&mut work, 4..8), []);
    assert_eq!(settled(&mut work, 18..40), [(18, 2)], "nothing behind the last item");
    assert!(!work.has_suspects() && work.next_attempt().is_none() && work.pass(Time(8)).is_empty());
    assert_eq!(ranges(work.take(100, MIB)), [(2, 2), (8, 10)]);
    assert!(!work.is_ready() && !work.is_complete());
    (2..18).for_each(|run| _ = work.record(run));
    assert!(work.is_complete());
}

#[test]
fn a_place_whose_runs_are_resolved_has_none_left() {
    let mut work = work(3, 2, 1, Progress::default());
    assert_eq!(work.settle(std::iter::once(0..3), false).len(), 1);
    assert!(!work.is_place_ready(0) && work.is_place_ready(1));
    assert_eq!(ranges(work.take_place(1, 10, MIB)), [(3, 1)]);
    assert_eq!(work.settle(std::iter::once(0..6), false).len(), 1);
    assert!(work.is_complete() && !work.is_place_ready(2));
}

#[test]
fn many_are_resolved_at_once_or_the_first_that_is_new() {
    let attempts = [3, 5, 9].map(|run| (RunIndex(run), Attempts { failures: 1, deaths: 0 })).to_vec();
    let mut work = work(1, 1, 10, Progress { attempts, ..Progress::default() });
    work.record(1);
    let settled = |work: &mut Work, runs: &[u64], once| {
        let settled = work.settle(runs.iter().map(|run| *run..run + 1), once);
        settled.iter().map(|it| (it.first, it.count)).collect::<Vec<_>>()
    };
    assert_eq!(settled(&mut work, &[1, 2, 3], true), [(2, 1)]);
    assert_eq!(settled(&mut work, &[1, 2, 3, 4, 6], false), [(3, 2), (6, 1)]);
    assert_eq!(ranges(work.take(10, MIB)), [(5, 1), (9, 1)]);
}

#[test]
fn what_is_ready_is_what_can_be_taken() {
    let progress = Progress { done: [4..6, 18..25].into_iter().collect(), attempts: Vec::new() };
    let mut work = work(1, 2, 10, progress);
    assert_eq!(work.ready(), 16);
    work.take(3, MIB);
    work.settle([1..7, 10..14, 10..12], false);
    assert_eq!(work.ready(), 7, "7 to 9 and 14 to 17: the rest is under way or done");
    work.put_back(0..3);
    assert_eq!(work.ready(), 8, "0 came back, the others have their outcomes");
    assert_eq!(ranges(work.take(100, MIB)), [(0, 1), (7, 3), (14, 4)]);
    assert!(work.ready() == 0 && !work.is_ready());
}

#[test]
fn what_is_taken_back_is_made_once_more() {
    let done: RunSet = std::iter::once(14..16).collect();
    let mut work = work(1, 1, 20, Progress { done, attempts: Vec::new() });
    assert_eq!(ranges(work.take(10, MIB)), [(0, 10)]);
    (0..10).for_each(|run| _ = work.record(run));
    assert_eq!(work.settle(std::iter::once(18..20), false).len(), 1);
    assert_eq!(work.take_back(8..15), [8..10, 14..15]);
    assert!(work.take_back(19..40).into_iter().eq(std::iter::once(19..20)));
    assert_eq!(work.take_back(10..14), [], "nobody has made them");
    assert_eq!((work.done().len(), work.ready()), (10, 10));
    assert_eq!(ranges(work.take(100, MIB)), [(8, 2), (14, 1), (19, 1), (10, 4), (16, 2)]);
    assert!(!work.is_ready() && !work.is_complete());
    (8..20).for_each(|run| _ = work.record(run));
    assert!(work.is_complete());
}
