//! Copies of what kills its agents.

use std::{collections::BTreeMap, time::Duration};

use pigeon_protocol::id::{LeaseId, SessionId};
use pigeon_scheduler::{Action, Left};

use crate::fleet::{Fleet, VALID, info, job};

/// Agents die of the run some seconds after they were given it, so that there is time to copy it to the next.
#[test]
fn a_run_that_kills_whoever_has_it_or_a_copy_of_it_is_given_up() {
    let mut fleet = Fleet::new(4, 1);
    fleet.submit(job(), 5);
    // It is known how long a run takes: the last one is overdue soon.
    for grant in fleet.poll() {
        fleet.land(&grant, VALID, 10_000);
        fleet.credit(grant.session.0, 1);
    }
    let (mut held, mut copied, mut deaths): (BTreeMap<LeaseId, SessionId>, _, _) = (BTreeMap::new(), false, 0);
    for step in 1..=200_u64 {
        fleet.pass(Duration::from_millis(250));
        held.extend(fleet.poll().into_iter().map(|grant| (grant.lease, grant.session)));
        if fleet.actions.iter().any(|action| matches!(action, Action::DeadLetter { .. })) {
            assert!(copied && (2..=4).contains(&deaths), "{deaths} deaths");
            return;
        }
        copied |= held.len() > 1;
        for (lease, session) in &held {
            fleet.scheduler.beat(fleet.now, *session, &[*lease]);
        }
        if step.is_multiple_of(12)
            && let Some((_, session)) = held.pop_first()
        {
            fleet.scheduler.left(fleet.now, session, Left::Died);
            fleet.join(100 + step, info(), 1);
            deaths += 1;
        }
    }
    panic!("{deaths} agents died of one run, and it is tried still");
}
