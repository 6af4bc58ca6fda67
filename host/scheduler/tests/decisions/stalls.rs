//! Agents that are connected and of no use.

use std::time::Duration;

use pigeon_protocol::id::{LeaseId, RunIndex, SessionId};
use pigeon_scheduler::{Action, Attempts, Grant, JobAdmitted, Refusal, Ruling, Waiting};

use crate::fleet::{Fleet, VALID, info, job, runs_of};

const SECOND: Duration = Duration::from_secs(1);

/// A job whose runs take 20 s at most, and 40 s if each is made twice.
fn slow() -> JobAdmitted {
    JobAdmitted { wall: 20 * SECOND, ..job() }
}

/// What is told of sessions.
#[derive(Debug, PartialEq)]
enum Told {
    Stalled(u64, Vec<LeaseId>),
    Moves(u64),
    Lost(u64),
}

/// Time passes, while these sessions beat each second and name what they were given.
fn beat(fleet: &mut Fleet, seconds: u32, beating: &[(u64, &[&Grant])]) -> (Vec<Told>, Vec<Grant>) {
    let (mut told, mut grants) = (Vec::new(), Vec::new());
    for _ in 0..seconds {
        fleet.pass(SECOND);
        for (session, held) in beating {
            let leases: Vec<LeaseId> = held.iter().map(|grant| grant.lease).collect();
            assert_eq!(fleet.scheduler.beat(fleet.now, SessionId(*session), &leases), [], "in {session}");
        }
        grants.extend(fleet.poll());
        told.extend(fleet.actions.iter().filter_map(|action| match action {
            Action::Stalled { session, leases, .. } => Some(Told::Stalled(session.0, leases.clone())),
            Action::Moves { session } => Some(Told::Moves(session.0)),
            Action::Lost { session } => Some(Told::Lost(session.0)),
            _ => None,
        }));
    }
    (told, grants)
}

fn begun(fleet: &mut Fleet, grant: &Grant, run: u64) {
    fleet.scheduler.begun(fleet.now, grant.session, grant.lease, grant.fence, &[RunIndex(run)]);
}

#[test]
fn a_session_that_beats_and_does_not_move_loses_what_it_has() {
    let mut fleet = Fleet::new(1, 2);
    let id = fleet.submit(slow(), 100);
    let held = fleet.poll();
    begun(&mut fleet, &held[0], runs_of(&held[0])[0]);
    let both: &[&Grant] = &[&held[0], &held[1]];
    // 40 s for the run and its repetition, 30 s for the word of it.
    assert_eq!(beat(&mut fleet, 69, &[(1, both)]), (vec![], vec![]));
    let taken = held.iter().map(|grant| grant.lease).collect();
    let (told, _) = beat(&mut fleet, 11, &[(1, both)]);
    assert_eq!(told, [Told::Stalled(1, taken)]);
    assert!(fleet.scheduler.stalled(SessionId(1)).is_some_and(|time| time >= 70 * SECOND));
    assert_eq!(fleet.scheduler.waiting(id), Some(Waiting::NoAgent));
    // It gets nothing, whatever room it claims, and is left in the belief that it has what it had.
    fleet.credit(1, 5);
    assert_eq!(beat(&mut fleet, 100, &[(1, both)]), (vec![], vec![]));
    // Another makes what it had.
    fleet.join(2, info(), 2);
    let (_, others) = beat(&mut fleet, 1, &[(1, both)]);
    assert_eq!(others.iter().map(runs_of).collect::<Vec<_>>(), [runs_of(&held[0]), runs_of(&held[1])]);
    // What it delivers late counts for nothing; but it moves, and has room.
    fleet.land(&held[0], VALID, 1000);
    assert_eq!(fleet.rulings, [Ruling::Refuse(Refusal::Stale)]);
    let grants = fleet.poll();
    assert!(fleet.actions.contains(&Action::Moves { session: SessionId(1) }));
    assert_eq!(grants.iter().filter(|grant| grant.session == SessionId(1)).count(), 5);
    assert_eq!(fleet.scheduler.stalled(SessionId(1)), None);
    assert_eq!(fleet.scheduler.beat(fleet.now, SessionId(1), &[held[1].lease]), [held[1].lease], "it is told now");
}

#[test]
fn who_comes_anew_is_trusted_anew() {
    let mut fleet = Fleet::new(0, 0);
    let agent = info();
    fleet.join(1, agent.clone(), 1);
    fleet.submit(slow(), 1);
    let held = fleet.poll().pop().unwrap();
    begun(&mut fleet, &held, 0);
    let (told, _) = beat(&mut fleet, 80, &[(1, &[&held])]);
    assert_eq!(told, [Told::Stalled(1, vec![held.lease])]);
    fleet.join(2, agent, 1);
    let again = fleet.poll().pop().unwrap();
    assert!(again.session == SessionId(2) && !again.alone && again.attempt == 1, "nothing is held against the run");
}

#[test]
fn who_holds_nothing_any_more_of_what_it_did_not_move_gets_work_again() {
    let mut fleet = Fleet::new(1, 1);
    fleet.submit(slow(), 2);
    let held = fleet.poll().pop().unwrap();
    begun(&mut fleet, &held, 0);
    let (told, _) = beat(&mut fleet, 80, &[(1, &[&held])]);
    assert_eq!(told, [Told::Stalled(1, vec![held.lease])]);
    fleet.credit(1, 1);
    assert_eq!(beat(&mut fleet, 5, &[(1, &[&held])]), (vec![], vec![]));
    let (told, grants) = beat(&mut fleet, 1, &[(1, &[])]);
    assert_eq!((told, grants.len()), (vec![Told::Moves(1)], 1));
}

#[test]
fn what_is_slow_and_moves_is_not_stalled() {
    let mut fleet = Fleet::new(1, 2);
    fleet.submit(JobAdmitted { wall: 300 * SECOND, ..job() }, 2);
    let held = fleet.poll();
    begun(&mut fleet, &held[0], 0);
    // A run that takes nearly all that it may, and one that waits for its turn meanwhile.
    assert_eq!(beat(&mut fleet, 299, &[(1, &[&held[0], &held[1]])]), (vec![], vec![]));
    fleet.land(&held[0], VALID, 299_000_000);
    begun(&mut fleet, &held[1], 1);
    assert_eq!(beat(&mut fleet, 299, &[(1, &[&held[1]])]), (vec![], vec![]));
    assert_eq!(fleet.land(&held[1], VALID, 299_000_000).recorded, 1);
    // With nothing to do it does nothing for days.
    assert_eq!(beat(&mut fleet, 10_000, &[(1, &[])]), (vec![], vec![]));
}

#[test]
fn a_batch_may_be_narrowed_down_by_halves_before_anything_lands() {
    let mut fleet = Fleet::new(1, 1);
    fleet.submit(slow(), 100);
    let first = fleet.poll().pop().unwrap();
    fleet.land(&first, VALID, 1_000);
    fleet.credit(1, 1);
    let held = fleet.poll().pop().unwrap();
    let runs = runs_of(&held);
    begun(&mut fleet, &held, runs[0]);
    // All of them, halves down to one that fails, and that one again.
    let attempts = 2 + (0..64).find(|halvings| 1 << halvings >= runs.len()).unwrap();
    assert!(attempts > 4, "{held:?}");
    assert_eq!(beat(&mut fleet, 20 * attempts + 29, &[(1, &[&held])]), (vec![], vec![]));
    let (told, _) = beat(&mut fleet, 12, &[(1, &[&held])]);
    assert_eq!(told, [Told::Stalled(1, vec![held.lease])]);
}

#[test]
fn a_plugin_may_have_to_be_compiled_before_anything_begins() {
    let mut fleet = Fleet::new(1, 1);
    fleet.submit(slow(), 1);
    let held = fleet.poll().pop().unwrap();
    assert_eq!(beat(&mut fleet, 629, &[(1, &[&held])]), (vec![], vec![]));
    let (told, _) = beat(&mut fleet, 12, &[(1, &[&held])]);
    assert_eq!(told, [Told::Stalled(1, vec![held.lease])]);
    // Where something of the job was made before, the plugin is there.
    let mut fleet = Fleet::new(1, 1);
    fleet.submit(slow(), 2);
    let first = fleet.poll().pop().unwrap();
    fleet.land(&first, VALID, 1000);
    fleet.credit(1, 1);
    let held = fleet.poll().pop().unwrap();
    let (told, _) = beat(&mut fleet, 82, &[(1, &[&held])]);
    assert_eq!(told, [Told::Stalled(1, vec![held.lease])]);
}

#[test]
fn one_run_that_is_held_loses_its_lease_and_is_not_tried_for_ever() {
    let mut fleet = Fleet::new(1, 2);
    let id = fleet.submit(slow(), 100);
    let held = fleet.poll();
    begun(&mut fleet, &held[0], runs_of(&held[0])[0]);
    let began = fleet.now;
    let mut other = held[1].clone();
    begun(&mut fleet, &other, runs_of(&other)[0]);
    let alone = loop {
        assert!(fleet.now.since(began) < 90 * SECOND, "it is held for ever");
        for _ in 0..10 {
            fleet.pass(SECOND);
            fleet.scheduler.beat(fleet.now, SessionId(1), &[held[0].lease, other.lease]);
        }
        fleet.land(&other, VALID, 10_000_000);
        fleet.credit(1, 1);
        other = fleet.poll().pop().unwrap();
        assert!(!fleet.actions.iter().any(|action| matches!(action, Action::Stalled { .. })));
        if !fleet.cancelled().is_empty() {
            break other;
        }
        begun(&mut fleet, &other, runs_of(&other)[0]);
    };
    assert_eq!(fleet.cancelled(), [held[0].lease]);
    assert!(fleet.now.since(began) >= 70 * SECOND);
    let (job, run) = (id, RunIndex(runs_of(&held[0])[0]));
    let told = |action: &Action| matches!(action, Action::Held { runs, .. } if *runs == [run]);
    assert!(fleet.actions.iter().any(told), "{:?}", fleet.actions);
    let attempts = Attempts { failures: 0, deaths: 1 };
    assert!(fleet.actions.contains(&Action::Remember { job, run, attempts }), "{:?}", fleet.actions);
    // It is made alone from now on. Who does not get done with it then has nothing else that could be the cause.
    assert!(alone.alone && runs_of(&alone) == [run.0], "{alone:?}");
    begun(&mut fleet, &alone, run.0);
    let mut evidence = Vec::new();
    for _ in 0..100 {
        fleet.pass(SECOND);
        fleet.scheduler.beat(fleet.now, alone.session, &[alone.lease]);
        fleet.poll();
        evidence.extend(fleet.actions.iter().filter_map(|action| match action {
            Action::DeadLetter { run, evidence, .. } => Some((*run, evidence.len(), evidence.iter().all(|it| it.held))),
            _ => None,
        }));
    }
    assert_eq!(evidence, [(run, 2, true)]);
}

#[test]
fn a_connection_that_lives_without_beats_is_lost_after_three() {
    let mut fleet = Fleet::new(2, 1);
    // One that has nothing is not given anything once it is silent.
    assert_eq!(beat(&mut fleet, 30, &[(2, &[])]), (vec![], vec![]));
    assert_eq!(beat(&mut fleet, 2, &[(2, &[])]).0, [Told::Lost(1)]);
    fleet.submit(slow(), 1);
    let held = fleet.poll().pop().unwrap();
    assert_eq!(held.session, SessionId(2));
    let (told, grants) = beat(&mut fleet, 33, &[]);
    assert_eq!((told, grants.len()), (vec![Told::Lost(2)], 0));
    assert_eq!(fleet.scheduler.queue().leases, 0, "and what it had is free");
    fleet.join(3, info(), 1);
    assert_eq!(runs_of(&fleet.poll()[0]), [0]);
}

#[test]
fn who_reads_late_takes_nobody_for_lost() {
    let mut fleet = Fleet::new(1, 1);
    // The scheduler's own host was held up for a minute; the beats of that time are read now.
    fleet.pass(60 * SECOND);
    assert!(fleet.poll().is_empty() && fleet.actions.is_empty());
    assert_eq!(beat(&mut fleet, 100, &[(1, &[])]), (vec![], vec![]));
}
