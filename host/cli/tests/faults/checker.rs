//! What has to hold of a history, whatever went wrong meanwhile.
//!
//! From outside a fence is not seen, but what it is for is: a stale outcome that is taken shows as a run with two outcomes, or
//! with another one than its client was told. So each outcome that was ever told is held against what is there in the end, by
//! who made it and how long that took.

mod log;
mod runs;
mod waits;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use pigeon_api::{JobId, JobState};

use crate::history::{Account, Figures, History, Seen};

/// What has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// What was acknowledged is there.
    NothingIsLost,
    /// A key is of one job, and no job is there that nobody asked for.
    OncePerKey,
    /// Every job ends, as it was told to.
    AllEnd,
    /// Each run has one outcome, each item is told of once.
    OneOutcome,
    /// It is the right one.
    RightVerdict,
    /// What was told once stays: no stale fence is accepted.
    NothingChanges,
    /// Counters, figures and results tell the same.
    CountersAgree,
    /// Each job has the entries of its life in the log of events, once each, in an order that is possible.
    WholeLog,
    /// Dead letters are those that failed, and nobody else.
    TheDeadFailed,
    /// No job waits while others of its priority or a lower one go on and on.
    NobodyStarves,
}

/// Something does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// What is found.
#[derive(Debug, Default)]
struct Found(Vec<Violation>);

impl Found {
    fn unless(&mut self, holds: bool, rule: Rule, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Violation { rule, what: what() });
        }
    }
}

/// All that does not hold.
pub(crate) fn check(history: &History) -> Vec<Violation> {
    let mut found = Found::default();
    acknowledged(history, &mut found);
    for (account, job, seen) in jobs(history) {
        ended(account, job, seen, &mut found);
        runs::check(history, account, job, seen, &mut found);
    }
    let total = history.seen.values().map(|seen| seen.runs.len() as u64).sum::<u64>();
    found.unless(total == history.total, Rule::CountersAgree, || {
        format!("the jobs have {total} runs, the figures of the server {}", history.total)
    });
    log::check(history, &mut found);
    waits::check(history, &mut found);
    found.0
}

fn jobs(history: &History) -> impl Iterator<Item = (&Account, JobId, &Seen)> {
    history.accounts.iter().filter_map(|account| {
        let job = account.job?;
        Some((account, job, history.seen.get(&job)?))
    })
}

/// Every job that was acknowledged is there, once per key, and no other.
fn acknowledged(history: &History, found: &mut Found) {
    let mut listed: BTreeMap<JobId, usize> = BTreeMap::new();
    for job in &history.listed {
        *listed.entry(*job).or_default() += 1;
    }
    let mut by_job: HashMap<JobId, usize> = HashMap::new();
    for account in &history.accounts {
        let number = account.order.number;
        let Some(job) = account.job else {
            found.unless(false, Rule::AllEnd, || format!("order {number} was never acknowledged"));
            continue;
        };
        found.unless(listed.contains_key(&job) && history.seen.contains_key(&job), Rule::NothingIsLost, || {
            format!("order {number} was acknowledged as job {job}, which is not there")
        });
        if let Some(other) = by_job.insert(job, number) {
            found.unless(false, Rule::OncePerKey, || format!("orders {other} and {number} are both job {job}"));
        }
    }
    for (job, times) in listed {
        found.unless(times == 1, Rule::OncePerKey, || format!("job {job} is listed {times} times"));
        found.unless(by_job.contains_key(&job), Rule::OncePerKey, || format!("nobody was told of job {job}"));
    }
    let keys: HashSet<String> = history.accounts.iter().map(|account| account.order.key()).collect();
    found.unless(keys.len() == history.accounts.len(), Rule::OncePerKey, || "keys are not distinct".to_owned());
}

/// It has ended as it was told to, with all its items.
fn ended(account: &Account, job: JobId, seen: &Seen, found: &mut Found) {
    let state = seen.figures.state;
    let ended = state == JobState::Finished || (account.cancelled && state == JobState::Cancelled);
    found.unless(ended, Rule::AllEnd, || format!("job {job} is {}", state.as_str()));
    let (Figures { items, planned, .. }, order) = (&seen.figures, &account.order);
    found.unless(*items >= account.items, Rule::NothingIsLost, || {
        format!("of job {job} {} items were acknowledged, and {items} are there", account.items)
    });
    found.unless(*items <= order.items, Rule::OneOutcome, || {
        format!("job {job} has {items} items, and {} were sent", order.items)
    });
    let is_whole = (*items, *planned) == (order.items, order.runs());
    found.unless(account.cancelled || is_whole, Rule::NothingIsLost, || {
        format!("job {job} has {items} items and {planned} runs, of {} and {}", order.items, order.runs())
    });
}

#[cfg(test)]
mod tests;
