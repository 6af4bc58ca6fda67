//! Runs: one outcome each, the right one, which stays; and all counters tell the same.

use std::collections::{HashMap, HashSet};

use pigeon_api::{JobId, JobState, Verdict};

use super::{Found, Rule};
use crate::history::{AGENT_LOST, Account, History, Outcome, Seen};

/// Deaths of agents that a run has to have caused before it is given up.
const DEATHS: u64 = 2;

pub(super) fn check(history: &History, account: &Account, job: JobId, seen: &Seen, found: &mut Found) {
    let runs = one_each(account, job, seen, found);
    right(history, account, job, &runs, found);
    stays(account, job, &runs, found);
    items(account, job, seen, &runs, found);
    counters(job, seen, found);
    dead(history, job, account, &runs, found);
}

/// Each run has one outcome; of a job that was cancelled, at most one.
fn one_each(account: &Account, job: JobId, seen: &Seen, found: &mut Found) -> HashMap<u64, Outcome> {
    let planned = account.order.runs();
    let mut runs = HashMap::with_capacity(seen.runs.len());
    for (number, outcome) in &seen.runs {
        found.unless(*number < planned, Rule::OneOutcome, || format!("job {job} has no run {number}"));
        let before = runs.insert(*number, *outcome);
        found.unless(before.is_none(), Rule::OneOutcome, || format!("run {number} of job {job} has two outcomes"));
    }
    if seen.figures.state == JobState::Finished {
        let missing = (0..planned).filter(|run| !runs.contains_key(run)).count();
        found.unless(missing == 0, Rule::OneOutcome, || format!("{missing} runs of job {job} have no outcome"));
    }
    runs
}

fn right(history: &History, account: &Account, job: JobId, runs: &HashMap<u64, Outcome>, found: &mut Found) {
    for (number, outcome) in runs {
        if outcome.lost {
            // It may happen to a run that did nothing: to be alone at an agent that is killed, twice.
            found.unless(history.kills >= DEATHS, Rule::TheDeadFailed, || {
                format!("run {number} of job {job} is said to have killed agents, of which {} died", history.kills)
            });
            continue;
        }
        let (_, verdict) = account.order.judge.item(number / account.order.runs_per_item());
        found.unless(outcome.verdict == verdict, Rule::RightVerdict, || {
            format!("run {number} of job {job} is {}, not {}", verdict.as_str(), outcome.verdict.as_str())
        });
    }
}

/// What was told once is there still.
fn stays(account: &Account, job: JobId, runs: &HashMap<u64, Outcome>, found: &mut Found) {
    for (number, told) in &account.told {
        let there = runs.get(number);
        found.unless(there.is_some(), Rule::NothingIsLost, || {
            format!("run {number} of job {job} was told to have landed, and has no outcome")
        });
        found.unless(there.is_none_or(|there| there == told), Rule::NothingChanges, || {
            format!("run {number} of job {job} was told as {told:?}, and is {there:?}")
        });
    }
    found.unless(account.twice.is_empty(), Rule::OneOutcome, || {
        format!("of job {job} runs were told twice: {:?}", &account.twice[..account.twice.len().min(10)])
    });
}

/// Items are told of once each, with all their runs and the worst of their verdicts.
fn items(account: &Account, job: JobId, seen: &Seen, runs: &HashMap<u64, Outcome>, found: &mut Found) {
    let mut of_item: HashMap<u64, (u64, Verdict)> = HashMap::new();
    for (number, outcome) in runs {
        let (count, worst) = of_item.entry(number / account.order.runs_per_item()).or_insert((0, outcome.verdict));
        *count += 1;
        *worst = (*worst).max(outcome.verdict);
    }
    let mut told = HashSet::new();
    for item in &seen.items {
        let index = item.index;
        found.unless(told.insert(index), Rule::OneOutcome, || format!("item {index} of job {job} is told of twice"));
        found.unless(of_item.get(&index) == Some(&(item.runs, item.verdict)), Rule::CountersAgree, || {
            format!("item {index} of job {job} is {item:?}, and its runs are {:?}", of_item.get(&index))
        });
        found.unless(item.id == index.to_string(), Rule::RightVerdict, || {
            format!("item {index} of job {job} is called {:?}", item.id)
        });
    }
    found.unless(told.len() == of_item.len(), Rule::CountersAgree, || {
        format!("{} items of job {job} have runs, and {} are told of", of_item.len(), told.len())
    });
}

fn counters(job: JobId, seen: &Seen, found: &mut Found) {
    let figures = &seen.figures;
    let count = |verdict| seen.runs.iter().filter(|(_, outcome)| outcome.verdict == verdict).count() as u64;
    let of_runs = [count(Verdict::Valid), count(Verdict::Invalid), count(Verdict::Failure)];
    let mut of_workers = [0; 3];
    for (_, verdicts) in &figures.workers {
        of_workers.iter_mut().zip(verdicts).for_each(|(sum, verdicts)| *sum += verdicts);
    }
    found.unless(of_runs == figures.verdicts && of_runs == of_workers, Rule::CountersAgree, || {
        format!("job {job} counts {:?}, its workers {of_workers:?}, and its runs are {of_runs:?}", figures.verdicts)
    });
    let total = [figures.total, figures.workers.iter().map(|(total, _)| total).sum()];
    found.unless(total == [seen.runs.len() as u64; 2], Rule::CountersAgree, || {
        format!("job {job} and its workers count {total:?} runs, of {}", seen.runs.len())
    });
}

/// Each failure is a dead letter, and no other run is.
fn dead(history: &History, job: JobId, account: &Account, runs: &HashMap<u64, Outcome>, found: &mut Found) {
    let letters: Vec<_> = history.dead.iter().filter(|letter| letter.job == job).collect();
    let numbers: HashSet<u64> = letters.iter().map(|letter| letter.run).collect();
    found.unless(numbers.len() == letters.len(), Rule::TheDeadFailed, || {
        format!("dead letters of job {job} are listed twice")
    });
    for letter in &letters {
        let outcome = runs.get(&letter.run);
        let failed = outcome.is_some_and(|outcome| outcome.verdict == Verdict::Failure);
        let same = outcome.is_none_or(|outcome| outcome.lost == (letter.code == AGENT_LOST));
        found.unless(failed && same, Rule::TheDeadFailed, || {
            format!("dead letter {} of job {job} is of a run that is {outcome:?}", letter.run)
        });
        let enough = letter.code != AGENT_LOST || u64::from(letter.attempts) >= DEATHS;
        found.unless(enough, Rule::TheDeadFailed, || {
            format!("run {} of job {job} was given up after {} deaths", letter.run, letter.attempts)
        });
    }
    for (number, outcome) in runs {
        found.unless(outcome.verdict != Verdict::Failure || numbers.contains(number), Rule::TheDeadFailed, || {
            format!("run {number} of job {job} (order {}) failed, and is no dead letter", account.order.number)
        });
    }
}
