//! Nobody starves: while a job has something to do, others that are not more important do not go on and on without it.

use std::collections::BTreeSet;

use super::{Found, Rule};
use crate::history::{Account, History};

/// Seconds in which others landed something, without a run of the job between them. Longer than a lease that is lost with its
/// agent, its link and the server after one another is waited for.
pub(super) const PATIENCE: usize = 30;

pub(super) fn check(history: &History, found: &mut Found) {
    for account in history.accounts.iter().filter(|account| !account.paused) {
        let waited = longest(account, history);
        found.unless(waited <= PATIENCE, Rule::NobodyStarves, || {
            format!("order {} waited while others landed runs in {waited} seconds", account.order.number)
        });
    }
}

/// The most seconds between two runs of a job in which jobs that are not more important landed something.
fn longest(account: &Account, history: &History) -> usize {
    let (Some(begun), Some(ended)) = (account.begun, account.ended) else { return 0 };
    let others = history
        .accounts
        .iter()
        .filter(|other| other.order.number != account.order.number && other.order.priority <= account.order.priority);
    let others: BTreeSet<u64> = others.flat_map(|other| other.heard.iter().copied()).collect();
    let mut last = begun;
    let mut longest = 0;
    for second in account.heard.iter().copied().chain([ended]) {
        if second > last + 1 {
            longest = longest.max(others.range(last + 1..second).count());
        }
        last = second;
    }
    longest
}
