//! Who gets what when something goes wrong.

use std::time::Duration;

use pigeon_protocol::{
    id::{Fence, IncarnationId, LeaseId, RunIndex, SessionId},
    message::RunRange,
};
use pigeon_scheduler::{
    Action, AgentInfo, Attempts, Death, End, FailureClass, JobAdmitted, LandingClass, Left, Progress, QueueView,
    Refusal, RetryPolicy, Ruling, Time,
};

use crate::fleet::{Fleet, PERMANENT, TRANSIENT, VALID, info, job, runs_of};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn transient_failures_are_tried_three_times_and_verdicts_once() {
    let mut fleet = Fleet::new(1, 1);
    fleet.submit(job(), 1);
    for attempt in 1..=3 {
        let grant = fleet.poll().pop().unwrap();
        assert_eq!(grant.attempt, attempt);
        fleet.land(&grant, TRANSIENT, 10);
        fleet.credit(1, 1);
        match fleet.rulings[..] {
            [Ruling::Retry { attempt: next, not_before }] => {
                assert_eq!(next, attempt + 1);
                assert!(not_before <= fleet.now + SECOND / 5);
                assert!(fleet.poll().is_empty() || not_before == fleet.now);
                assert_eq!(fleet.scheduler.next_wakeup(), Some(not_before));
                fleet.now = not_before;
                fleet.scheduler.tick(fleet.now);
            }
            [Ruling::Record] => assert_eq!(attempt, 3),
            ref rulings => panic!("{rulings:?}"),
        }
    }
    fleet.poll();
    assert_eq!(fleet.ends(), [End::Complete]);
    for class in [PERMANENT, pigeon_scheduler::LandingClass::Invalid] {
        fleet.submit(job(), 1);
        fleet.credit(1, 1);
        let grant = fleet.poll().pop().unwrap();
        assert_eq!(fleet.land(&grant, class, 10).recorded, 1);
    }
}

#[test]
fn an_outcome_is_refused_unless_its_lease_is_live_and_its_run_open() {
    let mut fleet = Fleet::new(2, 1);
    fleet.submit(job(), 10);
    let grants = fleet.poll();
    let (one, other) = (&grants[0], &grants[1]);
    let stale = Ruling::Refuse(Refusal::Stale);
    let mut forged = one.clone();
    forged.fence = Fence(one.fence.0 ^ 1);
    fleet.land(&forged, VALID, 1);
    assert_eq!(fleet.rulings, [stale]);
    let stolen = pigeon_scheduler::Grant { session: other.session, ..one.clone() };
    fleet.land(&stolen, VALID, 1);
    assert_eq!(fleet.rulings, [stale]);
    let unknown = pigeon_scheduler::Grant { lease: LeaseId(999), ..one.clone() };
    fleet.land(&unknown, VALID, 1);
    assert_eq!(fleet.rulings, [stale]);
    fleet.land_some(one, &[runs_of(other)[0], u64::MAX, runs_of(one)[0], runs_of(one)[0]], VALID, 1);
    let not_leased = Ruling::Refuse(Refusal::NotLeased);
    assert_eq!(fleet.rulings, [not_leased, not_leased, Ruling::Record, Ruling::Refuse(Refusal::Duplicate)]);
    fleet.land(one, VALID, 1);
    assert_eq!(fleet.rulings, [stale], "the lease has ended with its last run");
}

#[test]
fn a_silent_agents_leases_expire_after_three_beats_and_count_for_nothing() {
    let mut fleet = Fleet::new(1, 1);
    fleet.submit(job(), 1);
    let grant = fleet.poll().pop().unwrap();
    fleet.pass(20 * SECOND);
    assert_eq!(fleet.scheduler.beat(fleet.now, SessionId(1), &[grant.lease, LeaseId(77)]), [LeaseId(77)]);
    fleet.pass(30 * SECOND);
    assert!(fleet.poll().is_empty(), "renewed");
    fleet.credit(1, 5);
    fleet.poll();
    let wakeup = fleet.scheduler.next_wakeup().unwrap();
    assert_eq!(wakeup, fleet.now + Duration::from_micros(1));
    fleet.now = wakeup;
    fleet.scheduler.tick(wakeup);
    assert!(fleet.poll().is_empty(), "it gets nothing until it is heard again");
    assert_eq!(fleet.cancelled(), [grant.lease]);
    assert_eq!(fleet.scheduler.beat(fleet.now, SessionId(1), &[grant.lease]), [grant.lease]);
    let again = fleet.poll().pop().unwrap();
    assert!(!again.alone && again.attempt == 1 && again.runs == grant.runs && again.fence != grant.fence);
    fleet.land(&grant, VALID, 1);
    assert_eq!(fleet.rulings, [Ruling::Refuse(Refusal::Stale)]);
    assert_eq!(fleet.land(&again, VALID, 1).recorded, 1);
}

#[test]
fn a_run_that_kills_twice_alone_is_dead_lettered_and_its_neighbours_are_not() {
    let mut fleet = Fleet::new(1, 1);
    fleet.submit(job(), 9);
    let first = fleet.poll().pop().unwrap();
    fleet.land(&first, VALID, 10_000);
    fleet.credit(1, 1);
    let killer = 3;
    let (mut session, mut deaths, mut alone) = (1, 0, 0);
    let (mut agent, mut died, mut letters) = (None, Vec::new(), Vec::new());
    loop {
        let grants = fleet.poll();
        letters.extend(fleet.actions.iter().filter_map(|action| match action {
            Action::DeadLetter { run, evidence, .. } => Some((*run, evidence.clone())),
            _ => None,
        }));
        if fleet.actions.iter().any(|action| matches!(action, Action::Finished { .. })) {
            break;
        }
        let grant = grants.last().unwrap().clone();
        alone += u32::from(grant.alone);
        let runs = runs_of(&grant);
        match runs.iter().position(|run| *run == killer) {
            Some(at) => {
                fleet.land_some(&grant, &runs[..at], VALID, 10_000);
                let left = SessionId(session);
                fleet.scheduler.begun(fleet.now, left, grant.lease, grant.fence, &[RunIndex(killer)]);
                fleet.pass(SECOND);
                fleet.scheduler.left(fleet.now, left, Left::Died);
                let alone = agent.filter(|_| grant.alone);
                died.extend(alone.map(|agent| Death { agent, held: false, at: fleet.now, after: SECOND }));
                (session, deaths) = (session + 1, deaths + 1);
                let info = info();
                agent = Some(info.agent);
                fleet.join(session, info, 1);
            }
            None => {
                fleet.land(&grant, VALID, 10_000);
                fleet.credit(session, 1);
            }
        }
    }
    assert_eq!((deaths, alone), (3, 2));
    assert_eq!(died.len(), 2);
    assert_eq!(letters, [(RunIndex(killer), died)], "who died, and when");
    assert_eq!(fleet.ends(), [End::Complete]);
}

#[test]
fn a_suspect_is_made_by_an_agent_that_makes_nothing_else() {
    let mut fleet = Fleet::new(3, 2);
    fleet.submit(job(), 100);
    let grants = fleet.poll();
    fleet.scheduler.left(fleet.now, SessionId(3), Left::Died);
    assert!(fleet.poll().is_empty(), "both others are busy");
    let of_one: Vec<_> = grants.iter().filter(|grant| grant.session == SessionId(1)).collect();
    let of_two: Vec<_> = grants.iter().filter(|grant| grant.session == SessionId(2)).collect();
    fleet.land(of_one[0], VALID, 1000);
    fleet.credit(1, 1);
    fleet.land(of_two[0], VALID, 1000);
    fleet.credit(2, 1);
    let next = fleet.poll();
    assert!(next.len() == 1 && !next[0].alone, "one is set aside, the other goes on: {next:?}");
    let aside = if next[0].session == SessionId(1) { of_two[1] } else { of_one[1] };
    fleet.land(aside, VALID, 1000);
    fleet.credit(aside.session.0, 2);
    let suspect = fleet.poll();
    assert!(suspect.len() == 1 && suspect[0].alone && suspect[0].session == aside.session, "{suspect:?}");
    assert_eq!(suspect[0].attempt, 2);
}

#[test]
fn an_agent_that_comes_back_keeps_its_leases_and_delivers() {
    let mut fleet = Fleet::new(0, 0);
    let agent = info();
    fleet.join(1, agent.clone(), 1);
    fleet.submit(job(), 1);
    let grant = fleet.poll().pop().unwrap();
    fleet.scheduler.left(fleet.now, SessionId(1), Left::Unreachable);
    fleet.pass(10 * SECOND);
    fleet.join(2, agent, 1);
    assert!(fleet.poll().is_empty());
    let moved = pigeon_scheduler::Grant { session: SessionId(2), ..grant };
    assert_eq!(fleet.land(&moved, VALID, 10).recorded, 1);
    fleet.poll();
    assert_eq!(fleet.ends(), [End::Complete]);
}

#[test]
fn an_agent_that_comes_back_in_another_life_has_died() {
    let mut fleet = Fleet::new(0, 0);
    let agent = info();
    fleet.join(1, agent.clone(), 1);
    let id = fleet.submit(job(), 1);
    fleet.poll();
    fleet.scheduler.left(fleet.now, SessionId(1), Left::Unreachable);
    let reborn = AgentInfo { incarnation: IncarnationId::new(), ..agent.clone() };
    fleet.join(2, reborn, 1);
    let suspect = fleet.poll().pop().unwrap();
    assert!(suspect.alone);
    // And again, this time before the hub has noticed that the former session is over.
    fleet.join(3, AgentInfo { incarnation: IncarnationId::new(), ..agent }, 1);
    assert!(fleet.poll().pop().unwrap().alone);
    let attempts = Attempts { failures: 0, deaths: 1 };
    assert_eq!(fleet.actions[0], Action::Remember { job: id, run: RunIndex(0), attempts });
}

#[test]
fn an_idle_agent_repeats_what_is_overdue_and_the_first_result_wins() {
    let mut fleet = Fleet::new(2, 1);
    fleet.submit(job(), 100);
    // Both learn that a run takes 10 ms.
    for grant in fleet.poll() {
        fleet.land(&grant, VALID, 10_000);
    }
    fleet.credit(1, 1);
    let slow = fleet.poll().pop().unwrap();
    fleet.credit(2, 1);
    let mut made = 2;
    let copy = loop {
        let grants = fleet.poll();
        match grants.first() {
            Some(grant) if runs_of(grant).iter().any(|run| runs_of(&slow).contains(run)) => break grant.clone(),
            Some(grant) => {
                made += fleet.land(grant, VALID, 10_000).recorded;
                fleet.credit(2, 1);
            }
            None => {
                let wakeup = fleet.scheduler.next_wakeup().unwrap();
                assert!(wakeup > fleet.now && wakeup <= fleet.now + SECOND, "{wakeup}");
                fleet.now = wakeup;
                fleet.scheduler.tick(wakeup);
            }
        }
    };
    assert_eq!(copy.session, SessionId(2));
    assert!(fleet.now.since(Time(1_000_000)) >= SECOND / 2);
    let (all, half) = (runs_of(&slow), runs_of(&copy).len() / 2);
    assert_eq!(
        {
            let mut runs = runs_of(&copy);
            runs.sort_unstable();
            runs
        },
        all,
        "the same runs, in another order"
    );
    made += fleet.land_some(&copy, &runs_of(&copy)[..all.len() - half], VALID, 10_000).recorded;
    let late = fleet.land(&slow, VALID, 10_000);
    assert!(late.recorded > 0 && late.refused > 0, "{late:?}");
    fleet.poll();
    assert_eq!(made + late.recorded, 100);
    assert_eq!(fleet.cancelled(), [copy.lease]);
    assert_eq!(fleet.ends(), [End::Complete]);
}

#[test]
fn a_clock_that_jumps_back_stands_still() {
    let mut fleet = Fleet::new(1, 1);
    fleet.submit(job(), 1);
    let grant = fleet.poll().pop().unwrap();
    fleet.now = Time(0);
    fleet.pass(Duration::ZERO);
    assert_eq!(fleet.land(&grant, TRANSIENT, 10).retried, 1);
    assert!(matches!(fleet.rulings[..], [Ruling::Retry { not_before, .. }] if not_before >= Time(1_000_000)));
    fleet.now = Time(u64::MAX);
    fleet.credit(1, 1);
    let grant = fleet.poll().pop().unwrap();
    assert!(fleet.poll().is_empty(), "at the end of time too a lease lives");
    assert_eq!(fleet.land(&grant, VALID, 10).recorded, 1);
}

#[test]
fn each_class_of_failure_is_tried_again_up_to_its_own_bound() {
    let mut fleet = Fleet::new(1, 1);
    let retry = RetryPolicy { transient: 4, timeouts: 3, crashes: 2, ..RetryPolicy::default() };
    let mut make = |classes: &[FailureClass]| {
        fleet.submit(JobAdmitted { retry, ..job() }, 1);
        let rulings = classes.iter().map(|class| {
            let grant = fleet.poll().pop().unwrap();
            fleet.land(&grant, LandingClass::Failure(*class), 10);
            fleet.credit(1, 1);
            fleet.pass(SECOND);
            fleet.rulings[0] == Ruling::Record
        });
        let rulings: Vec<bool> = rulings.collect();
        fleet.poll();
        assert_eq!(fleet.ends(), [End::Complete]);
        rulings
    };
    use FailureClass::{Crash, Permanent, Timeout, Transient};
    assert_eq!(make(&[Transient, Transient, Transient, Transient]), [false, false, false, true]);
    assert_eq!(make(&[Timeout, Timeout, Timeout]), [false, false, true]);
    assert_eq!(make(&[Crash, Crash]), [false, true]);
    assert_eq!(make(&[Transient, Crash]), [false, true], "the second attempt is the last that may crash");
    assert_eq!(make(&[Crash, Transient, Timeout]), [false, false, true]);
    assert_eq!(make(&[Transient, Permanent]), [false, true]);
}

#[test]
fn what_is_taken_back_is_made_again_with_all_its_attempts() {
    let mut fleet = Fleet::new(1, 1);
    let id = fleet.submit(job(), 2);
    let first = fleet.poll().pop().unwrap();
    fleet.land(&first, PERMANENT, 10);
    let taken = |fleet: &mut Fleet| fleet.scheduler.take_back(fleet.now, id, [RunRange { first: 0, count: 2 }]);
    assert_eq!((taken(&mut fleet), taken(&mut fleet)), (vec![RunRange { first: 0, count: 1 }], vec![]));
    fleet.credit(1, 1);
    let again = fleet.poll().pop().unwrap();
    assert_eq!((runs_of(&again), again.attempt), (vec![0, 1], 1));
    fleet.land(&first, VALID, 10);
    assert_eq!(fleet.rulings, [Ruling::Refuse(Refusal::Stale)]);
    assert_eq!(fleet.land(&again, VALID, 10).recorded, 2);
    fleet.poll();
    assert_eq!(fleet.ends(), [End::Complete]);
    assert_eq!(taken(&mut fleet), [], "it has ended");
    // It is admitted again, as if that run had never been made.
    fleet.scheduler.forget(fleet.now, id);
    let progress = Progress { done: std::iter::once(1..2).collect(), ..Progress::default() };
    fleet.submit(JobAdmitted { job: id, progress, ..job() }, 2);
    fleet.credit(1, 1);
    let again = fleet.poll().pop().unwrap();
    assert_eq!(runs_of(&again), [0]);
    assert_eq!(fleet.scheduler.queue(), QueueView { runs: 1, leases: 1 });
    fleet.land(&again, VALID, 10);
    fleet.poll();
    assert_eq!(fleet.ends(), [End::Complete]);
    assert_eq!(fleet.scheduler.queue(), QueueView { runs: 0, leases: 0 });
}
