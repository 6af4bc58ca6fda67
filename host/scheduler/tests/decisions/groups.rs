//! Who gets what where jobs share limits.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use pigeon_protocol::id::{JobId, RunIndex, SessionId};
use pigeon_scheduler::{Grant, GroupLimits, JobAdmitted, Left, Waiting};

use crate::fleet::{Fleet, VALID, info, job, runs_of};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn of_group(group: u64) -> JobAdmitted {
    JobAdmitted { group, ..job() }
}

fn leases(most: u32) -> GroupLimits {
    GroupLimits { max_leases: Some(most), ..GroupLimits::default() }
}

fn rate(runs: u32, per: Duration) -> GroupLimits {
    GroupLimits { rate: Some((runs, per)), ..GroupLimits::default() }
}

fn waiting(fleet: &Fleet, job: JobId) -> Option<Waiting> {
    fleet.scheduler.waiting(job)
}

/// Goes to each next wakeup for a span, landing what is leased at once; gives when how many runs were leased.
fn watch(fleet: &mut Fleet, span: Duration) -> Vec<(Duration, Vec<usize>)> {
    let (start, end, mut seen) = (fleet.now, fleet.now + span, Vec::new());
    loop {
        let grants = fleet.poll();
        if !grants.is_empty() {
            seen.push((fleet.now.since(start), grants.iter().map(|grant| runs_of(grant).len()).collect()));
        }
        for grant in grants {
            fleet.land(&grant, VALID, 10);
            fleet.credit(grant.session.0, 1);
        }
        match fleet.scheduler.next_wakeup().filter(|at| *at <= end) {
            Some(at) => {
                fleet.now = at;
                fleet.scheduler.tick(at);
            }
            None => return seen,
        }
    }
}

#[test]
fn a_bound_on_leases_holds_over_all_jobs_of_the_group() {
    let mut fleet = Fleet::new(5, 2);
    fleet.scheduler.set_group(fleet.now, 1, leases(3));
    let jobs = [(); 2].map(|()| fleet.submit(of_group(1), 100));
    let other = fleet.submit(of_group(2), 100);
    let grants = fleet.poll();
    let of_group: Vec<&Grant> = grants.iter().filter(|grant| jobs.contains(&grant.job)).collect();
    assert_eq!((of_group.len(), grants.len()), (3, 10), "the others get what is left");
    fleet.scheduler.stop(fleet.now, other, pigeon_scheduler::Why::Cancel);
    (1..=5).for_each(|session| fleet.credit(session, 2));
    assert!(fleet.poll().is_empty());
    fleet.land(of_group[0], VALID, 10);
    assert_eq!(fleet.poll().len(), 1, "one has ended, and one follows");
    fleet.scheduler.set_group(fleet.now, 1, leases(1));
    fleet.land(of_group[1], VALID, 10);
    fleet.land(of_group[2], VALID, 10);
    assert!(fleet.poll().is_empty(), "one is out still");
    fleet.scheduler.set_group(fleet.now, 1, GroupLimits::default());
    assert!(fleet.poll().len() > 3);
}

#[test]
fn a_slow_rate_is_handed_out_run_by_run() {
    let mut fleet = Fleet::new(2, 2);
    fleet.scheduler.set_group(fleet.now, 1, rate(3, 3 * SECOND));
    let id = fleet.submit(of_group(1), 100);
    let seen = watch(&mut fleet, 5 * SECOND);
    let runs: Vec<_> = seen.iter().map(|(at, sizes)| (at.as_millis(), sizes.iter().sum::<usize>())).collect();
    assert_eq!(runs, [(0, 3), (1000, 1), (2000, 1), (3000, 1), (4000, 1), (5000, 1)]);
    assert_eq!(waiting(&fleet, id), Some(Waiting::GroupRate { until: fleet.now + SECOND }));
}

#[test]
fn a_high_rate_is_handed_out_in_batches() {
    let mut fleet = Fleet::new(2, 1);
    fleet.scheduler.set_group(fleet.now, 1, rate(10_000, SECOND));
    fleet.submit(of_group(1), 1_000_000);
    let seen = watch(&mut fleet, 10 * SECOND);
    let sizes: Vec<usize> = seen.iter().flat_map(|(_, sizes)| sizes.clone()).collect();
    let runs: usize = sizes.iter().sum();
    assert!((109_000..=110_000).contains(&runs), "{runs}");
    assert!(sizes.len() < 400, "{} leases", sizes.len());
}

#[test]
fn what_was_not_sent_does_not_count() {
    let mut fleet = Fleet::new(1, 1);
    fleet.scheduler.set_group(fleet.now, 1, rate(1, 3600 * SECOND));
    fleet.submit(of_group(1), 2);
    for _ in 0..3 {
        let grant = fleet.poll().pop().unwrap();
        fleet.scheduler.unsent(fleet.now, grant.session, grant.lease, grant.fence);
    }
    let grant = fleet.poll().pop().unwrap();
    fleet.land(&grant, VALID, 10);
    fleet.credit(1, 1);
    assert!(fleet.poll().is_empty());
}

#[test]
fn other_limits_are_no_way_round_a_rate() {
    let mut fleet = Fleet::new(1, 4);
    fleet.scheduler.set_group(fleet.now, 1, rate(4, 36 * SECOND));
    let id = fleet.submit(of_group(1), 100);
    for grant in fleet.poll() {
        fleet.land(&grant, VALID, 10);
    }
    fleet.credit(1, 8);
    fleet.scheduler.set_group(fleet.now, 1, rate(4, 18 * SECOND));
    assert!(fleet.poll().is_empty());
    assert_eq!(fleet.scheduler.next_wakeup(), Some(fleet.now + 9 * SECOND / 2));
    fleet.scheduler.set_group(fleet.now, 1, GroupLimits { max_leases: Some(4), ..rate(4, 18 * SECOND) });
    assert_eq!(waiting(&fleet, id), Some(Waiting::GroupRate { until: fleet.now + 9 * SECOND / 2 }));
    fleet.pass(9 * SECOND);
    assert_eq!(fleet.poll().iter().map(|grant| runs_of(grant).len()).sum::<usize>(), 2);
}

#[test]
fn a_job_says_that_its_group_is_what_it_waits_for() {
    let mut fleet = Fleet::new(2, 4);
    fleet.scheduler.set_group(fleet.now, 1, leases(1));
    let (first, second) = (fleet.submit(of_group(1), 10), fleet.submit(of_group(1), 10));
    let grant = fleet.poll().pop().unwrap();
    let other = if grant.job == first { second } else { first };
    assert_eq!((waiting(&fleet, grant.job), waiting(&fleet, other)), (None, Some(Waiting::GroupBusy)));
    fleet.scheduler.set_group(fleet.now, 1, rate(1, SECOND));
    fleet.land(&grant, VALID, 10);
    let next = fleet.poll().pop().unwrap();
    let idle = if next.job == first { second } else { first };
    assert_eq!(waiting(&fleet, idle), Some(Waiting::GroupRate { until: fleet.now + SECOND }));
}

#[test]
fn a_suspect_gets_its_turn_in_a_group_that_is_full() {
    let mut fleet = Fleet::new(4, 2);
    let killer = fleet.submit(of_group(1), 1);
    let grant = fleet.poll().pop().unwrap();
    fleet.scheduler.begun(fleet.now, grant.session, grant.lease, grant.fence, &[RunIndex(0)]);
    // By now everybody has something else to do, and the group has what it may.
    fleet.scheduler.set_group(fleet.now, 1, leases(1));
    fleet.submit(job(), 1000);
    fleet.submit(JobAdmitted { priority: 9, ..of_group(1) }, 1000);
    let mut open = VecDeque::from(fleet.poll());
    fleet.scheduler.left(fleet.now, grant.session, Left::Died);
    open.retain(|other| other.session != grant.session);
    let mut made = 0;
    let alone = loop {
        open.extend(fleet.poll());
        let grant = open.pop_front().unwrap();
        if grant.alone {
            break grant;
        }
        fleet.land(&grant, VALID, 100_000);
        fleet.credit(grant.session.0, 1);
        made += 1;
        assert!(made < 20, "the work of its group goes before it for ever");
    };
    assert_eq!(alone.job, killer);
}

/// Lands the oldest lease again and again, each run of it taking 100 ms; gives how many leases each job got.
fn serve(fleet: &mut Fleet, steps: usize) -> BTreeMap<JobId, usize> {
    let (mut count, mut open) = (BTreeMap::new(), VecDeque::new());
    for _ in 0..steps {
        open.extend(fleet.poll());
        let Some(grant) = open.pop_front() else { break };
        *count.entry(grant.job).or_default() += 1;
        fleet.pass(100 * MS);
        fleet.land(&grant, VALID, 100_000 * runs_of(&grant).len() as u64);
        fleet.credit(grant.session.0, 1);
    }
    // What is left is not made.
    for grant in open {
        fleet.scheduler.lease_ended(fleet.now, grant.session, grant.lease, grant.fence);
        fleet.credit(grant.session.0, 1);
    }
    count
}

#[test]
fn jobs_of_a_group_share_it_however_long_they_have_been_there() {
    let mut fleet = Fleet::new(4, 1);
    fleet.scheduler.set_group(fleet.now, 1, leases(1));
    let free = fleet.submit(job(), 100_000);
    let old = fleet.submit(of_group(1), 10_000);
    let alone = serve(&mut fleet, 2000);
    assert!(alone[&free] > 2 * alone[&old] && alone[&old] > 100, "{alone:?}");
    let new = fleet.submit(of_group(1), 10_000);
    let shared = serve(&mut fleet, 400);
    assert!(shared[&new].abs_diff(shared[&old]) <= 2, "{shared:?}");
}

#[test]
fn a_group_that_was_shut_does_not_make_good_what_others_got_meanwhile() {
    let mut fleet = Fleet::new(2, 1);
    fleet.scheduler.set_group(fleet.now, 1, rate(1, 10 * SECOND));
    let free = fleet.submit(job(), 100_000);
    let limited = fleet.submit(of_group(1), 100_000);
    serve(&mut fleet, 2000);
    fleet.scheduler.set_group(fleet.now, 1, GroupLimits::default());
    let shared = serve(&mut fleet, 100);
    assert!(shared[&free].abs_diff(shared[&limited]) <= 4, "no limits any more: {shared:?}");

    // The same where the limits stay and do not bind any more.
    let mut fleet = Fleet::new(2, 1);
    fleet.scheduler.set_group(fleet.now, 1, leases(1));
    let (free, limited) = (fleet.submit(job(), 100_000), fleet.submit(of_group(1), 100_000));
    let held = loop {
        let grants = fleet.poll();
        match grants.iter().find(|grant| grant.job == limited) {
            Some(grant) => break grant.clone(),
            None => grants.iter().for_each(|grant| _ = fleet.land(grant, VALID, 100_000)),
        }
    };
    fleet.join(3, info(), 1);
    fleet.join(4, info(), 1);
    serve(&mut fleet, 1000);
    fleet.land(&held, VALID, 100_000);
    fleet.credit(held.session.0, 1);
    for session in [2, 3] {
        fleet.scheduler.left(fleet.now, SessionId(session), Left::Drained);
    }
    let shared = serve(&mut fleet, 100);
    assert!(shared[&free] >= 40, "{shared:?}");
}

#[test]
fn a_thousand_jobs_of_a_full_group_cost_no_more_than_one() {
    let mut fleet = Fleet::new(4, 1);
    fleet.scheduler.set_group(fleet.now, 1, leases(2));
    let jobs: Vec<JobId> = (0..1000).map(|_| fleet.submit(of_group(1), 3)).collect();
    let count = serve(&mut fleet, 3000);
    assert_eq!(count.len(), jobs.len(), "each had its turn");
    assert!(jobs.iter().all(|job| fleet.scheduler.done(*job).unwrap().len() == 3));
}
