//! Who gets what where jobs name labels.

use std::{collections::BTreeMap, time::Duration};

use pigeon_protocol::id::{JobId, RunIndex, SessionId, Shape};
use pigeon_scheduler::{AgentInfo, Grant, JobAdmitted, Left, Waiting};

use crate::fleet::{Fleet, VALID, info, job, runs_of};

const SECOND: Duration = Duration::from_secs(1);

fn labels(labels: &[&str]) -> Vec<String> {
    labels.iter().map(ToString::to_string).collect()
}

fn requires(require: &[&str]) -> JobAdmitted {
    JobAdmitted { require: labels(require), ..job() }
}

fn prefers(prefer: &[&str]) -> JobAdmitted {
    JobAdmitted { prefer: labels(prefer), ..job() }
}

/// Agents 1, 2, ... with these labels.
fn fleet(agents: &[&[&str]], room: u32) -> Fleet {
    let mut fleet = Fleet::new(0, 0);
    for (session, agent) in (1..).zip(agents) {
        fleet.join(session, AgentInfo { labels: labels(agent), ..info() }, room);
    }
    fleet
}

fn sessions(grants: &[Grant]) -> Vec<u64> {
    grants.iter().map(|grant| grant.session.0).collect()
}

fn waiting(fleet: &Fleet, job: JobId) -> Option<Waiting> {
    fleet.scheduler.waiting(job)
}

#[test]
fn work_goes_only_to_who_has_all_that_is_required() {
    let mut fleet = fleet(&[&["arch=x"], &["gpu", "arch=y"], &["gpu", "arch=x", "zone=a"]], 1);
    fleet.submit(requires(&["gpu", "arch=x"]), 100);
    assert_eq!(sessions(&fleet.poll()), [3]);
    fleet.submit(requires(&["arch"]), 100);
    assert_eq!(sessions(&fleet.poll()), [1, 2], "a key is any value");
}

#[test]
fn suspects_leave_half_of_those_who_have_a_label_to_others() {
    let gpu: &[&str] = &["gpu"];
    let mut fleet = fleet(&[gpu, gpu, gpu, &[], &[], &[], &[], &[]], 0);
    fleet.submit(requires(gpu), 100);
    fleet.credit(1, 1);
    let first = fleet.poll().pop().unwrap();
    fleet.land(&first, VALID, 1000);
    fleet.credit(1, 1);
    let held = fleet.poll().pop().unwrap();
    let begun: Vec<RunIndex> = runs_of(&held).into_iter().map(RunIndex).collect();
    assert!(begun.len() > 3);
    fleet.scheduler.begun(fleet.now, held.session, held.lease, held.fence, &begun);
    fleet.scheduler.left(fleet.now, held.session, Left::Died);
    [2, 3].iter().for_each(|session| fleet.credit(*session, 1));
    let grants = fleet.poll();
    let mut alone: Vec<bool> = grants.iter().map(|grant| grant.alone).collect();
    alone.sort_unstable();
    assert_eq!(alone, [false, true]);
}

#[test]
fn a_job_that_nobody_can_make_says_for_want_of_what() {
    let mut fleet = fleet(&[&["gpu"], &["arch=x"]], 1);
    let gone = fleet.submit(requires(&["zone=a", "gpu", "zone"]), 10);
    let parts = fleet.submit(requires(&["gpu", "arch"]), 10);
    assert!(fleet.poll().is_empty());
    assert_eq!(waiting(&fleet, gone), Some(Waiting::NoLabel { labels: labels(&["zone", "zone=a"]) }));
    assert_eq!(waiting(&fleet, parts), Some(Waiting::NoLabel { labels: labels(&["arch", "gpu"]) }));
    fleet.join(3, AgentInfo { labels: labels(&["zone=a", "gpu", "zone=a"]), ..info() }, 0);
    assert_eq!(waiting(&fleet, gone), Some(Waiting::AgentsBusy), "it has no room");
    fleet.credit(3, 1);
    assert_eq!(sessions(&fleet.poll()), [3]);
    assert_eq!(waiting(&fleet, gone), None);
    for session in [1, 2, 3] {
        fleet.scheduler.left(fleet.now, SessionId(session), Left::Drained);
    }
    assert_eq!(waiting(&fleet, gone), Some(Waiting::NoAgent));
}

#[test]
fn who_has_more_of_what_is_preferred_is_first_and_nobody_waits_for_it() {
    let mut fleet = fleet(&[&[], &["gpu", "fast"], &["gpu"], &["fast"]], 2);
    fleet.submit(prefers(&["gpu", "fast"]), 1000);
    assert_eq!(sessions(&fleet.poll()), [2, 2, 3, 4, 3, 4, 1, 1], "and then the least loaded, but each has work");
    let mut fleet = self::fleet(&[&[], &["gpu"]], 3);
    fleet.submit(job(), 1000);
    fleet.submit(prefers(&["gpu"]), 1);
    assert_eq!(sessions(&fleet.poll()).len(), 6, "what nobody prefers is as it was");
}

#[test]
fn members_of_a_job_for_few_agents_are_those_that_it_prefers() {
    let mut fleet = fleet(&[&[], &["gpu"], &[], &["gpu"]], 1);
    fleet.submit(JobAdmitted { max_agents: Some(2), ..prefers(&["gpu"]) }, 1000);
    assert_eq!(sessions(&fleet.poll()), [2, 4]);
    let shape = Shape { places: 3, iterations: 2 };
    let mut fleet = self::fleet(&[&[], &["gpu"], &[], &["gpu"]], 1);
    fleet.submit(JobAdmitted { shape, max_agents: Some(3), ..requires(&["gpu"]) }, 1);
    let mut made: BTreeMap<SessionId, u32> = BTreeMap::new();
    for _ in 0..8 {
        for grant in fleet.poll() {
            *made.entry(grant.session).or_default() += fleet.land(&grant, VALID, 1000).recorded;
            fleet.credit(grant.session.0, 1);
        }
        fleet.pass(SECOND);
    }
    assert_eq!(made.into_iter().collect::<Vec<_>>(), [(SessionId(2), 4), (SessionId(4), 2)], "one has two places");
}

#[test]
fn suspects_and_copies_go_to_who_can_make_them() {
    let mut fleet = fleet(&[&["gpu"], &[], &["gpu"]], 1);
    fleet.submit(requires(&["gpu"]), 20);
    let grants = fleet.poll();
    assert_eq!(sessions(&grants), [1, 3]);
    fleet.scheduler.begun(fleet.now, SessionId(1), grants[0].lease, grants[0].fence, &[RunIndex(0)]);
    fleet.scheduler.left(fleet.now, SessionId(1), Left::Died);
    assert!(fleet.poll().is_empty(), "the one that could is busy");
    fleet.land(&grants[1], VALID, 10_000);
    fleet.credit(3, 1);
    let suspect = fleet.poll().pop().unwrap();
    assert!(suspect.alone && suspect.session == SessionId(3));
    fleet.land(&suspect, VALID, 10_000);
    fleet.credit(3, 1);
    // The rest of it, until only what is under way at 3 is left. Nobody else may repeat it.
    let last = loop {
        let grant = fleet.poll().pop().unwrap();
        if runs_of(&grant).contains(&19) {
            break grant;
        }
        fleet.land(&grant, VALID, 10_000);
        fleet.credit(3, 1);
    };
    fleet.scheduler.beat(fleet.now, SessionId(3), &[last.lease]);
    fleet.pass(20 * SECOND);
    assert!(fleet.poll().is_empty());
    fleet.join(4, AgentInfo { labels: labels(&["gpu"]), ..info() }, 1);
    assert!(fleet.poll().is_empty());
    fleet.pass(SECOND);
    assert_eq!(sessions(&fleet.poll()), [4]);
}

#[test]
fn an_agent_that_is_back_without_a_label_keeps_nothing_that_requires_it() {
    let mut fleet = Fleet::new(0, 0);
    let agent = AgentInfo { labels: labels(&["gpu"]), ..info() };
    fleet.join(1, agent.clone(), 2);
    fleet.submit(requires(&["gpu"]), 1);
    fleet.submit(job(), 1);
    let grants = fleet.poll();
    fleet.scheduler.left(fleet.now, SessionId(1), Left::Unreachable);
    fleet.join(2, AgentInfo { labels: Vec::new(), ..agent }, 2);
    let leases: Vec<_> = grants.iter().map(|grant| grant.lease).collect();
    let unknown = fleet.scheduler.beat(fleet.now, SessionId(2), &leases);
    assert_eq!(unknown, [leases[0]]);
    assert!(fleet.poll().is_empty());
    fleet.join(3, AgentInfo { labels: labels(&["gpu"]), ..info() }, 1);
    assert_eq!(sessions(&fleet.poll()), [3]);
}

/// Makes so many leases of 100 ms, and counts them by job.
fn make(fleet: &mut Fleet, leases: usize) -> BTreeMap<JobId, usize> {
    let (mut open, mut count) = (std::collections::VecDeque::new(), BTreeMap::new());
    for _ in 0..leases {
        open.extend(fleet.poll());
        let Some(grant): Option<Grant> = open.pop_front() else { break };
        *count.entry(grant.job).or_default() += 1;
        fleet.land(&grant, VALID, 100_000);
        fleet.credit(grant.session.0, 1);
    }
    for grant in open {
        fleet.land(&grant, VALID, 100_000);
        fleet.credit(grant.session.0, 1);
    }
    count
}

#[test]
fn jobs_share_what_they_compete_for_whatever_others_got() {
    let mut fleet = fleet(&[&["gpu"], &[], &[], &[]], 1);
    let plain = fleet.submit(job(), 100_000);
    let scarce = fleet.submit(requires(&["gpu"]), 100_000);
    let count = make(&mut fleet, 800);
    assert!((190..=210).contains(&count[&scarce]), "all of the one that it can have: {count:?}");
    assert!((590..=610).contains(&count[&plain]));
    // One that comes late is not put behind those that have everything.
    let late = fleet.submit(requires(&["gpu"]), 100_000);
    let count = make(&mut fleet, 800);
    assert!((90..=110).contains(&count[&late]) && (90..=110).contains(&count[&scarce]), "{count:?}");
}

#[test]
fn a_job_that_comes_takes_nothing_from_those_that_named_labels() {
    let mut fleet = fleet(&[&["x"], &["x"]], 1);
    let old = fleet.submit(requires(&["x"]), 100_000);
    make(&mut fleet, 500);
    let new = fleet.submit(job(), 100_000);
    let count = make(&mut fleet, 400);
    assert!((190..=210).contains(&count[&new]) && (190..=210).contains(&count[&old]), "{count:?}");
}

#[test]
fn who_requires_a_label_does_not_starve_behind_a_higher_priority() {
    let mut fleet = fleet(&[&["gpu"], &[]], 1);
    let low = fleet.submit(requires(&["gpu"]), 1000);
    fleet.submit(JobAdmitted { priority: 5, ..job() }, 100_000);
    let mut open = std::collections::VecDeque::new();
    let mut served = 0;
    for _ in 0..700 {
        open.extend(fleet.poll());
        let grant: Grant = open.pop_front().unwrap();
        served += usize::from(grant.job == low);
        fleet.pass(SECOND / 10);
        fleet.land(&grant, VALID, 100_000);
        fleet.credit(grant.session.0, 1);
    }
    assert_eq!(served, 2, "once in 30 s of 70");
}

#[test]
fn needs_end_with_the_jobs_that_have_them() {
    let mut fleet = fleet(&[&["gpu"], &[]], 1);
    for _ in 0..3 {
        let one = fleet.submit(requires(&["gpu"]), 1);
        let two = fleet.submit(JobAdmitted { prefer: labels(&["gpu"]), ..requires(&["gpu"]) }, 1);
        for _ in 0..2 {
            let grants = fleet.poll();
            assert_eq!(sessions(&grants), [1]);
            fleet.land(&grants[0], VALID, 10);
            fleet.credit(1, 1);
        }
        fleet.poll();
        fleet.scheduler.forget(fleet.now, one);
        fleet.scheduler.forget(fleet.now, two);
    }
    fleet.submit(job(), 10);
    assert_eq!(sessions(&fleet.poll()), [1, 2]);
}
