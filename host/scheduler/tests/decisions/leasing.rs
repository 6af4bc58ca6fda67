//! Who gets what while all goes well.

use std::{collections::BTreeMap, collections::VecDeque, time::Duration};

use pigeon_protocol::{
    id::{JobId, RunIndex, SessionId, Shape},
    message::RunRange,
};
use pigeon_scheduler::{Chunk, Credit, End, JobAdmitted, Left, Refusal, Ruling, Waiting, Why};

use crate::fleet::{Fleet, PERMANENT, VALID, info, job, runs_of};

const MS: Duration = Duration::from_millis(1);

#[test]
fn batches_grow_from_one_run_to_a_tenth_of_a_second() {
    let mut fleet = Fleet::new(1, 1);
    fleet.submit(job(), 1_000_000);
    let mut sizes = Vec::new();
    for _ in 0..7 {
        let grant = fleet.poll().pop().unwrap();
        sizes.push(runs_of(&grant).len());
        assert_eq!(fleet.land(&grant, VALID, 50).recorded as usize, runs_of(&grant).len());
        fleet.credit(1, 1);
    }
    assert_eq!(sizes, [1, 8, 64, 512, 2000, 2000, 2000]);
}

#[test]
fn a_batch_touches_no_more_than_four_chunks_of_a_mebibyte() {
    let mut fleet = Fleet::new(1, 1);
    fleet.submit(job(), 1_000_000);
    for _ in 0..12 {
        let grant = fleet.poll().pop().unwrap();
        let (first, last) = (grant.runs[0].first, grant.runs[0].first + grant.runs[0].count - 1);
        assert!(last / 1000 - first / 1000 < 4);
        fleet.land(&grant, VALID, 1);
        fleet.credit(1, 1);
    }
}

#[test]
fn slow_runs_are_leased_one_by_one() {
    let mut fleet = Fleet::new(2, 2);
    fleet.submit(job(), 100);
    for _ in 0..3 {
        for grant in fleet.poll() {
            assert_eq!(runs_of(&grant).len(), 1);
            fleet.land(&grant, VALID, 2_000_000);
            fleet.credit(grant.session.0, 1);
        }
    }
}

#[test]
fn credit_bounds_what_is_sent() {
    let mut fleet = Fleet::new(3, 0);
    fleet.submit(job(), 100);
    assert!(fleet.poll().is_empty());
    assert_eq!(fleet.scheduler.next_wakeup(), Some(fleet.watched()));
    fleet.credit(2, 3);
    let grants = fleet.poll();
    assert_eq!(grants.iter().map(|grant| grant.session.0).collect::<Vec<_>>(), [2, 2, 2]);
    assert!(fleet.poll().is_empty());
}

#[test]
fn what_is_taken_for_short_runs_is_not_given_to_long_ones() {
    let mut fleet = Fleet::new(1, 0);
    let submit = |fleet: &mut Fleet, group: u64| {
        (0..20).for_each(|_| _ = fleet.submit(JobAdmitted { group, ..job() }, 1));
    };
    let credit = Credit { batches: 10, short: 8 };
    submit(&mut fleet, 1);
    fleet.credit(1, credit);
    let first = fleet.poll();
    assert_eq!(first.len(), 2, "nothing is known of them");
    first.iter().for_each(|grant| _ = fleet.land(grant, VALID, 100));
    fleet.credit(1, credit);
    assert_eq!(fleet.poll().len(), 10, "others of their group were short");
    fleet.credit(1, credit);
    let rest = fleet.poll();
    rest.iter().for_each(|grant| _ = fleet.land(grant, VALID, 100));
    submit(&mut fleet, 2);
    fleet.credit(1, credit);
    let other = fleet.poll();
    assert_eq!(other.len(), 2, "of another group nothing is known");
    other.iter().for_each(|grant| _ = fleet.land(grant, VALID, 10_000_000));
    fleet.credit(1, credit);
    assert_eq!(fleet.poll().len(), 2, "and it is long");
}

#[test]
fn work_is_shared_evenly_and_ends_together() {
    let mut fleet = Fleet::new(4, 2);
    fleet.submit(job(), 20_000);
    // Each lane is busy until its batch is made: virtual time, one lane after another.
    let mut lanes: BTreeMap<(Duration, u64), _> = BTreeMap::new();
    let mut busy = [Duration::ZERO; 5];
    let mut number = 0;
    loop {
        for grant in fleet.poll() {
            let at = fleet.now.since(pigeon_scheduler::Time::ZERO);
            let session = grant.session.0 as usize;
            busy[session] = busy[session].max(at) + Duration::from_micros(100) * runs_of(&grant).len() as u32;
            number += 1;
            lanes.insert((busy[session], number), grant);
        }
        let Some(((at, _), grant)) = lanes.pop_first() else { break };
        fleet.now = fleet.now.max(pigeon_scheduler::Time(at.as_micros() as u64));
        fleet.land(&grant, VALID, 100);
        fleet.credit(grant.session.0, 1);
    }
    assert_eq!(fleet.ends(), [End::Complete]);
    let (first, last) = (busy[1..].iter().min().unwrap(), busy.iter().max().unwrap());
    assert!(*last - *first <= 30 * MS, "they end between {first:?} and {last:?}");
    assert!(number < 200, "{number} batches");
}

#[test]
fn higher_priority_goes_first_and_equals_share() {
    let mut fleet = Fleet::new(1, 1);
    let low = fleet.submit(job(), 1000);
    let jobs = [job(), job()].map(|job| fleet.submit(JobAdmitted { priority: 5, ..job }, 1000));
    let mut count: BTreeMap<JobId, u32> = BTreeMap::new();
    for _ in 0..40 {
        let grant = fleet.poll().pop().unwrap();
        *count.entry(grant.job).or_default() += 1;
        // One of them has slower runs: it gets as much time, not as many runs.
        fleet.land(&grant, VALID, if grant.job == jobs[0] { 300_000 } else { 100_000 });
        fleet.credit(1, 1);
    }
    assert_eq!(count.get(&low), None);
    assert!((8..=12).contains(&count[&jobs[0]]), "{count:?}");
}

#[test]
fn a_job_of_which_nothing_is_known_pays_later_for_what_it_took() {
    let mut fleet = Fleet::new(1, 1);
    let slow = fleet.submit(job(), 1000);
    let grant = fleet.poll().pop().unwrap();
    let quick = fleet.submit(job(), 100_000);
    // Its first run took ten seconds. Until the other has had as much, it gets nothing.
    fleet.land(&grant, VALID, 10_000_000);
    for made in 0.. {
        fleet.credit(1, 1);
        let grant = fleet.poll().pop().unwrap();
        if grant.job == slow {
            assert!((95..=105).contains(&made), "after {made} batches");
            break;
        }
        assert_eq!(grant.job, quick);
        fleet.land(&grant, VALID, 100_000);
    }
}

#[test]
fn nobody_starves() {
    let mut fleet = Fleet::new(1, 1);
    let low = fleet.submit(job(), 1000);
    fleet.submit(JobAdmitted { priority: 5, ..job() }, 100_000);
    let mut served = 0;
    for _ in 0..700 {
        let grant = fleet.poll().pop().unwrap();
        served += usize::from(grant.job == low);
        fleet.pass(100 * MS);
        fleet.land(&grant, VALID, 100_000);
        fleet.credit(1, 1);
    }
    assert_eq!(served, 2, "once in 30 s of 70");
}

#[test]
fn max_parallel_bounds_leases_and_max_agents_sessions() {
    let mut fleet = Fleet::new(5, 4);
    let narrow = fleet.submit(JobAdmitted { max_parallel: Some(3), ..job() }, 100);
    assert_eq!(fleet.poll().len(), 3);
    fleet.scheduler.stop(fleet.now, narrow, Why::Cancel);
    let few = fleet.submit(JobAdmitted { max_agents: Some(2), ..job() }, 100);
    let grants = fleet.poll();
    let mut sessions: Vec<_> = grants.iter().filter(|grant| grant.job == few).map(|grant| grant.session).collect();
    sessions.sort();
    sessions.dedup();
    assert_eq!(sessions.len(), 2);
    fleet.scheduler.left(fleet.now, sessions[0], pigeon_scheduler::Left::Drained);
    let grants = fleet.poll();
    assert!(!grants.is_empty() && grants.iter().all(|grant| grant.session != sessions[0]), "another takes its place");
    assert_eq!(fleet.scheduler.job(few).unwrap().sessions, 2);
}

fn single(places: u32, iterations: u32) -> JobAdmitted {
    JobAdmitted { shape: Shape { places, iterations }, max_agents: Some(places), ..job() }
}

/// Lands whatever is leased, at once, until nothing is; gives who made which place.
fn make_places(fleet: &mut Fleet, iterations: u64) -> BTreeMap<u64, Vec<SessionId>> {
    let mut places: BTreeMap<u64, Vec<SessionId>> = BTreeMap::new();
    let mut queue = VecDeque::from(fleet.poll());
    while let Some(grant) = queue.pop_front() {
        for run in runs_of(&grant) {
            places.entry(run / iterations).or_default().push(grant.session);
        }
        fleet.land(&grant, VALID, 10);
        fleet.credit(grant.session.0, 2);
        queue.extend(fleet.poll());
    }
    places
}

#[test]
fn each_agent_makes_a_place_of_a_single_item_job() {
    let mut fleet = Fleet::new(3, 2);
    fleet.submit(single(3, 5), 1);
    let places = make_places(&mut fleet, 5);
    assert_eq!(fleet.ends(), [End::Complete]);
    let owners: Vec<_> = places.values().map(|sessions| sessions[0]).collect();
    assert!(places.values().all(|sessions| sessions.len() == 5 && sessions.iter().all(|one| *one == sessions[0])));
    assert!(owners[0] != owners[1] && owners[1] != owners[2] && owners[0] != owners[2], "{owners:?}");
}

#[test]
fn places_wait_a_little_for_agents_that_come_late() {
    let mut fleet = Fleet::new(1, 2);
    fleet.submit(single(3, 5), 1);
    assert_eq!(make_places(&mut fleet, 5).len(), 1);
    fleet.pass(100 * MS);
    fleet.join(2, info(), 2);
    assert_eq!(make_places(&mut fleet, 5).into_values().flatten().collect::<Vec<_>>(), [SessionId(2); 5]);
    assert_eq!(fleet.scheduler.next_wakeup(), Some(pigeon_scheduler::Time(1_200_000)));
    fleet.pass(100 * MS);
    assert_eq!(make_places(&mut fleet, 5).into_keys().collect::<Vec<_>>(), [2], "the third never came");
    assert_eq!(fleet.ends(), [End::Complete]);
}

#[test]
fn a_retry_in_a_place_whose_agent_left_is_made_by_another() {
    let mut fleet = Fleet::new(2, 2);
    fleet.submit(single(2, 1), 1);
    let grants = fleet.poll();
    fleet.land(&grants[0], VALID, 10);
    fleet.land(&grants[1], crate::fleet::TRANSIENT, 10);
    fleet.scheduler.left(fleet.now, grants[1].session, pigeon_scheduler::Left::Drained);
    fleet.credit(grants[0].session.0, 2);
    assert!(fleet.poll().is_empty());
    fleet.pass(1000 * MS);
    let again = fleet.poll().pop().unwrap();
    assert_eq!((again.session, again.attempt, &again.runs), (grants[0].session, 2, &grants[1].runs));
}

#[test]
fn fail_fast_leases_nothing_more() {
    let mut fleet = Fleet::new(2, 2);
    let id = fleet.submit(JobAdmitted { fail_fast: true, ..job() }, 100);
    let grants = fleet.poll();
    fleet.land(&grants[0], PERMANENT, 1000);
    assert!(fleet.poll().is_empty());
    assert_eq!(fleet.scheduler.waiting(id), Some(Waiting::Stopped));
    for grant in &grants[1..] {
        assert_eq!(fleet.ends(), []);
        assert_eq!(fleet.land(grant, VALID, 1000).recorded, 1, "what runs may end");
        fleet.poll();
    }
    assert_eq!(fleet.ends(), [End::Stopped(Why::FailFast)]);
    assert_eq!(fleet.scheduler.done(id).unwrap().len(), 4);
}

#[test]
fn a_cancelled_job_ends_at_once_and_a_paused_one_in_its_time() {
    let mut fleet = Fleet::new(1, 2);
    let (paused, cancelled) = (fleet.submit(job(), 1), fleet.submit(job(), 10));
    let grants = fleet.poll();
    fleet.scheduler.stop(fleet.now, paused, Why::Pause);
    fleet.scheduler.stop(fleet.now, cancelled, Why::Cancel);
    fleet.poll();
    assert_eq!(fleet.ends(), [End::Stopped(Why::Cancel)]);
    assert_eq!(fleet.cancelled(), [grants.iter().find(|grant| grant.job == cancelled).unwrap().lease]);
    fleet.land(grants.iter().find(|grant| grant.job == paused).unwrap(), VALID, 10);
    fleet.poll();
    assert_eq!(fleet.ends(), [End::Complete], "every run of it was recorded after all");
}

#[test]
fn of_an_interrupted_job_what_was_begun_may_end_and_what_waits_is_not_begun() {
    let mut fleet = Fleet::new(1, 3);
    let id = fleet.submit(job(), 3);
    let grants = fleet.poll();
    let [first, second, third] = grants.as_slice() else { panic!("{grants:?}") };
    fleet.scheduler.begun(fleet.now, first.session, first.lease, first.fence, &[first.runs[0].first].map(RunIndex));
    fleet.pass(300 * MS);
    fleet.scheduler.stop(fleet.now, id, Why::Interrupt);
    fleet.poll();
    let mut cancelled = fleet.cancelled();
    cancelled.sort_unstable();
    assert_eq!(cancelled, [second.lease, third.lease]);
    assert_eq!(fleet.ends(), []);
    assert_eq!(fleet.land(first, VALID, 300_000).recorded, 1);
    fleet.poll();
    assert_eq!(fleet.ends(), [End::Stopped(Why::Interrupt)]);

    // What was only just given may have been begun: nobody can have told yet.
    let mut fleet = Fleet::new(1, 1);
    let id = fleet.submit(job(), 1);
    let grant = fleet.poll().remove(0);
    fleet.pass(5 * MS);
    fleet.scheduler.stop(fleet.now, id, Why::Interrupt);
    fleet.poll();
    assert_eq!(fleet.cancelled(), []);
    assert_eq!(fleet.land(&grant, VALID, 5_000).recorded, 1);
}

#[test]
fn a_job_says_what_it_waits_for() {
    let mut fleet = Fleet::new(0, 0);
    let admitted = job();
    let id = admitted.job;
    fleet.scheduler.admit(fleet.now, admitted);
    let waiting = |fleet: &Fleet| fleet.scheduler.waiting(id);
    assert_eq!(waiting(&fleet), Some(Waiting::NoAgent));
    fleet.join(1, info(), 0);
    assert_eq!(waiting(&fleet), Some(Waiting::Items));
    fleet.scheduler.append(fleet.now, id, Chunk { first: 0, count: 1, bytes: 10 });
    assert_eq!(waiting(&fleet), Some(Waiting::AgentsBusy));
    fleet.credit(1, 1);
    let grant = fleet.poll().pop().unwrap();
    assert_eq!(waiting(&fleet), None);
    fleet.land(&grant, crate::fleet::TRANSIENT, 10);
    assert!(matches!(fleet.rulings[..], [Ruling::Retry { attempt: 2, .. }]));
    let Ruling::Retry { not_before: until, .. } = fleet.rulings[0] else { panic!("{:?}", fleet.rulings) };
    assert_eq!(waiting(&fleet), Some(Waiting::Backoff { until }));
}

#[test]
fn ten_thousand_agents_share_a_million_runs() {
    let mut fleet = Fleet::new(10_000, 2);
    let id = fleet.submit(job(), 1_000_000);
    let mut open = VecDeque::from(fleet.poll());
    let (mut leases, mut by_session) = (0, vec![0_u32; 10_001]);
    while let Some(grant) = open.pop_front() {
        leases += 1;
        by_session[grant.session.0 as usize] += runs_of(&grant).len() as u32;
        fleet.now.0 += 10;
        fleet.land(&grant, VALID, 1000);
        fleet.credit(grant.session.0, 1);
        // Decided on for many events at once, as a busy control host does.
        if leases % 64 == 0 || open.is_empty() {
            open.extend(fleet.poll());
        }
    }
    assert_eq!(fleet.scheduler.done(id).unwrap().len(), 1_000_000);
    assert_eq!(fleet.ends(), [End::Complete]);
    assert!(by_session[1..].iter().all(|runs| (20..500).contains(runs)), "nobody is left out");
}

#[test]
fn what_is_resolved_is_not_leased_and_ends_the_job_like_any_outcome() {
    let mut fleet = Fleet::new(1, 1);
    let id = fleet.submit(job(), 3);
    let resolve = |fleet: &mut Fleet, first, count| {
        fleet.scheduler.resolve(fleet.now, id, [RunRange { first, count }], PERMANENT)
    };
    assert_eq!(resolve(&mut fleet, 1, 1), [RunRange { first: 1, count: 1 }]);
    let grant = fleet.poll().pop().unwrap();
    assert_eq!(runs_of(&grant), [0]);
    assert_eq!(resolve(&mut fleet, 0, 2), [RunRange { first: 0, count: 1 }], "under way, and of no interest any more");
    fleet.credit(1, 1);
    assert_eq!(runs_of(&fleet.poll().pop().unwrap()), [2]);
    assert_eq!(fleet.cancelled(), [grant.lease]);
    fleet.land(&grant, VALID, 10);
    assert_eq!(fleet.rulings, [Ruling::Refuse(Refusal::Stale)]);
    assert_eq!(resolve(&mut fleet, 0, 3).len(), 1);
    fleet.poll();
    assert_eq!(fleet.ends(), [End::Complete]);
    assert_eq!(resolve(&mut fleet, 0, 3), []);
}

#[test]
fn a_failure_that_is_resolved_stops_a_fail_fast_job() {
    let mut fleet = Fleet::new(1, 1);
    let id = fleet.submit(JobAdmitted { fail_fast: true, ..job() }, 100);
    let run = |first| RunRange { first, count: 1 };
    let mut resolve = |runs: &[u64], class| {
        let runs = runs.iter().map(|first| run(*first));
        fleet.scheduler.resolve(fleet.now, id, runs, class)
    };
    assert_eq!(resolve(&[6, 7], VALID), [RunRange { first: 6, count: 2 }]);
    assert_eq!(resolve(&[7, 8, 9], PERMANENT), [run(8)], "the rest is reported as not run");
    assert_eq!(resolve(&[9], PERMANENT), []);
    assert!(fleet.poll().is_empty());
    assert_eq!(fleet.ends(), [End::Stopped(Why::FailFast)]);
}

#[test]
fn an_agent_that_says_nothing_of_its_leases_is_not_at_work() {
    let mut fleet = Fleet::new(1, 2);
    let id = fleet.submit(job(), 100);
    let grants = fleet.poll();
    let at_work = |fleet: &Fleet| fleet.scheduler.job(id).unwrap().at_work;
    assert!(grants.len() == 2 && at_work(&fleet), "it was leased just now");
    fleet.pass(500 * MS);
    assert!(!at_work(&fleet), "its plugin may be loaded");
    let (session, lease, fence) = (grants[0].session, grants[0].lease, grants[0].fence);
    fleet.scheduler.begun(fleet.now, session, lease, fence, &[RunIndex(runs_of(&grants[0])[0])]);
    fleet.pass(500 * MS);
    assert!(at_work(&fleet));
    fleet.scheduler.left(fleet.now, session, Left::Unreachable);
    assert!(!at_work(&fleet) && fleet.scheduler.job(id).unwrap().leases == 2, "nobody knows what it does");
}

#[test]
fn who_is_drained_keeps_what_it_has_and_takes_more_once_it_is_resumed() {
    let mut fleet = Fleet::new(1, 2);
    fleet.submit(job(), 3);
    let held = fleet.poll();
    assert!(!held.is_empty());
    fleet.scheduler.draining(fleet.now, SessionId(1));
    fleet.submit(job(), 3);
    fleet.credit(1, 2);
    assert_eq!(fleet.poll(), [], "it takes nothing more");
    for grant in &held {
        let landed = fleet.land(grant, VALID, 5);
        assert_eq!(landed.recorded as usize, runs_of(grant).len(), "what it has it ends");
    }
    fleet.credit(1, 2);
    assert_eq!(fleet.poll(), []);
    fleet.scheduler.resumed(fleet.now, SessionId(1));
    assert!(!fleet.poll().is_empty());
    // Of nobody it is no news.
    fleet.scheduler.resumed(fleet.now, SessionId(7));
}
