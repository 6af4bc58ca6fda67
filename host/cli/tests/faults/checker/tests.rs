//! A checker that refuses nothing proves nothing: each rule is broken once, and found broken.

use std::collections::BTreeSet;

use pigeon_api::{EventKind, Verdict, Work};

use super::*;
use crate::{
    history::{AGENT_LOST, Dead, Entry, Item, Outcome},
    jobs::{Act, Judge, Order},
};

/// Two jobs that went well, and one of the hostile guest with a failure. Each has begun in the first second and ended in the
/// third.
fn good() -> History {
    let judges = [(Judge::Json, 6), (Judge::Gexpr, 4), (Judge::Hostile, 20)];
    let mut history = History::default();
    for (number, (judge, items)) in judges.into_iter().enumerate() {
        let work = Work::Many { iterations: 2, workers: None };
        let act = Act::Nothing;
        let order = Order { number, judge, work, items, chunk: 3, priority: 0, act, before: 0 };
        let job = JobId::new();
        let runs: Vec<(u64, Outcome)> = (0..order.runs())
            .map(|run| (run, Outcome { verdict: judge.item(run / 2).1, lost: false, print: run }))
            .collect();
        let count = |verdict| runs.iter().filter(|(_, outcome)| outcome.verdict == verdict).count() as u64;
        let verdicts = [Verdict::Valid, Verdict::Invalid, Verdict::Failure].map(count);
        let total = order.runs();
        let figures = Figures {
            state: JobState::Finished,
            items,
            planned: total,
            total,
            verdicts,
            workers: vec![(total, verdicts)],
        };
        let told = (0..items).map(|index| Item { index, id: index.to_string(), verdict: judge.item(index).1, runs: 2 });
        for (run, outcome) in &runs {
            if outcome.verdict == Verdict::Failure {
                history.dead.push(Dead { job, run: *run, code: "trap".to_owned(), attempts: 1 });
            }
        }
        for kind in [EventKind::JobSubmitted, EventKind::JobSealed, EventKind::RunsDead, EventKind::JobFinished] {
            history.events.push(Entry { seq: history.events.len() as u64 + 1, kind, job: Some(job) });
        }
        let mut account = Account::new(order);
        (account.job, account.items, account.sealed) = (Some(job), items, true);
        (account.begun, account.ended, account.heard) = (Some(1), Some(3), BTreeSet::from([1, 3]));
        account.told = runs.iter().copied().collect();
        history.total += total;
        history.accounts.push(account);
        history.listed.push(job);
        history.seen.insert(job, Seen { figures, runs, items: told.collect() });
    }
    history.followed = history.events.clone();
    history
}

/// The rules that are found broken when this is done to a good history. `job` is that of the hostile guest. Whoever follows
/// the log is told what is in it.
fn broken(spoil: impl FnOnce(&mut History, JobId)) -> Vec<Rule> {
    let mut history = good();
    let job = history.listed[2];
    spoil(&mut history, job);
    history.followed = history.events.clone();
    rules(&history)
}

fn rules(history: &History) -> Vec<Rule> {
    let mut rules: Vec<Rule> = check(history).into_iter().map(|violation| violation.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

fn seen(history: &mut History, job: JobId) -> &mut Seen {
    history.seen.get_mut(&job).unwrap()
}

fn event(history: &mut History, job: JobId, kind: EventKind) -> usize {
    history.events.iter().position(|event| event.job == Some(job) && event.kind == kind).unwrap()
}

#[test]
fn what_went_well_is_in_order() {
    assert_eq!(check(&good()), []);
}

#[test]
fn what_was_acknowledged_has_to_be_there() {
    let forgotten = broken(|history, job| {
        history.listed.retain(|listed| *listed != job);
        history.seen.remove(&job);
    });
    assert!(forgotten.contains(&Rule::NothingIsLost), "{forgotten:?}");
    let fewer = broken(|history, job| seen(history, job).figures.items -= 1);
    assert_eq!(fewer, [Rule::NothingIsLost]);
    let unknown = broken(|history, _| history.accounts[0].job = None);
    assert!(unknown.contains(&Rule::AllEnd), "{unknown:?}");
}

#[test]
fn a_key_is_of_one_job() {
    assert_eq!(broken(|history, _| history.listed.push(JobId::new())), [Rule::OncePerKey]);
    assert_eq!(broken(|history, job| history.listed.push(job)), [Rule::OncePerKey]);
    let shared = broken(|history, job| history.accounts[1].job = Some(job));
    assert!(shared.contains(&Rule::OncePerKey), "{shared:?}");
}

#[test]
fn every_job_has_to_end_as_it_was_told_to() {
    let open = broken(|history, job| seen(history, job).figures.state = JobState::Sealed);
    assert_eq!(open, [Rule::AllEnd, Rule::WholeLog]);
    let cancelled = |is_asked_for: bool| {
        broken(move |history, job| {
            seen(history, job).figures.state = JobState::Cancelled;
            let end = event(history, job, EventKind::JobFinished);
            history.events[end].kind = EventKind::JobCancelled;
            history.accounts[2].cancelled = is_asked_for;
        })
    };
    assert_eq!(cancelled(false), [Rule::AllEnd]);
    assert_eq!(cancelled(true), []);
}

#[test]
fn each_run_has_one_outcome() {
    let twice = broken(|history, job| {
        let run = seen(history, job).runs[5];
        seen(history, job).runs.push(run);
    });
    assert_eq!(twice, [Rule::OneOutcome, Rule::CountersAgree]);
    let none = broken(|history, job| seen(history, job).runs.truncate(39));
    assert!(none.contains(&Rule::OneOutcome) && none.contains(&Rule::NothingIsLost), "{none:?}");
    assert_eq!(broken(|history, _| history.accounts[1].twice.push(3)), [Rule::OneOutcome]);
    let item = broken(|history, job| {
        let item = seen(history, job).items[0].clone();
        seen(history, job).items.push(item);
    });
    assert_eq!(item, [Rule::OneOutcome]);
    let beyond = broken(|history, job| seen(history, job).runs[0].0 = 1000);
    assert!(beyond.contains(&Rule::OneOutcome), "{beyond:?}");
}

#[test]
fn each_verdict_has_to_be_the_right_one() {
    let wrong = broken(|history, job| seen(history, job).runs[0].1.verdict = Verdict::Invalid);
    assert!(wrong.contains(&Rule::RightVerdict), "{wrong:?}");
    assert_eq!(broken(|history, job| seen(history, job).items[3].id.push('x')), [Rule::RightVerdict]);
}

#[test]
fn what_was_told_stays_as_it_was_told() {
    let another = broken(|history, job| seen(history, job).runs[0].1.print = 77);
    assert_eq!(another, [Rule::NothingChanges]);
}

#[test]
fn all_that_count_have_to_agree() {
    assert_eq!(broken(|history, _| history.total += 1), [Rule::CountersAgree]);
    assert_eq!(broken(|history, job| seen(history, job).figures.verdicts[0] += 1), [Rule::CountersAgree]);
    assert_eq!(broken(|history, job| seen(history, job).figures.workers[0].0 -= 1), [Rule::CountersAgree]);
    assert_eq!(broken(|history, job| seen(history, job).figures.workers.clear()), [Rule::CountersAgree]);
    assert_eq!(broken(|history, job| seen(history, job).items[0].runs = 1), [Rule::CountersAgree]);
}

#[test]
fn the_log_tells_of_the_whole_life_of_a_job() {
    for kind in [EventKind::JobSubmitted, EventKind::JobSealed, EventKind::JobFinished] {
        let missing = broken(|history, job| {
            let at = event(history, job, kind);
            history.events.remove(at);
        });
        assert_eq!(missing, [Rule::WholeLog], "{kind:?} is missing");
        let twice = broken(|history, job| {
            let seq = history.events.len() as u64 + 1;
            history.events.push(Entry { seq, kind, job: Some(job) });
        });
        assert_eq!(twice, [Rule::WholeLog], "{kind:?} comes twice");
    }
    let mixed = broken(|history, job| {
        let (sealed, finished) =
            (event(history, job, EventKind::JobSealed), event(history, job, EventKind::JobFinished));
        (history.events[sealed].kind, history.events[finished].kind) = (EventKind::JobFinished, EventKind::JobSealed);
    });
    assert_eq!(mixed, [Rule::WholeLog]);
    assert_eq!(broken(|history, _| history.events[3].seq = 3), [Rule::WholeLog]);
    assert_eq!(broken(|history, _| history.events[3].kind = EventKind::JobStopped), [Rule::WholeLog]);
    assert_eq!(broken(|history, _| history.accounts[0].paused = true), [Rule::WholeLog]);
    assert_eq!(broken(|history, _| history.accounts[0].resumed = true), [Rule::WholeLog]);
    let stranger = broken(|history, _| {
        let seq = history.events.len() as u64 + 1;
        history.events.push(Entry { seq, kind: EventKind::JobSubmitted, job: Some(JobId::new()) });
    });
    assert_eq!(stranger, [Rule::WholeLog]);
}

#[test]
fn who_follows_the_log_is_told_all_of_it_once() {
    let spoils: [fn(&mut Vec<Entry>); 3] = [
        |followed| followed.truncate(3),
        |followed| _ = followed.remove(2),
        |followed| followed.insert(2, followed[2]),
    ];
    for spoil in spoils {
        let mut history = good();
        spoil(&mut history.followed);
        assert_eq!(rules(&history), [Rule::WholeLog]);
    }
}

#[test]
fn dead_letters_are_of_those_that_failed() {
    assert_eq!(broken(|history, _| drop(history.dead.pop())), [Rule::TheDeadFailed]);
    let alive = broken(|history, job| {
        history.dead.push(Dead { job, run: 0, code: "trap".to_owned(), attempts: 1 });
    });
    assert_eq!(alive, [Rule::TheDeadFailed]);
    // Given up for its agents' deaths: it takes two.
    let given_up = |kills, attempts| {
        broken(move |history, job| {
            history.kills = kills;
            let letter = history.dead.last_mut().unwrap();
            (letter.code, letter.attempts) = (AGENT_LOST.to_owned(), attempts);
            let run = letter.run;
            let account = history.accounts[2].told.get_mut(&run).unwrap();
            account.lost = true;
            seen(history, job).runs.iter_mut().filter(|(number, _)| *number == run).for_each(|(_, it)| it.lost = true);
        })
    };
    assert_eq!(given_up(2, 2), []);
    assert_eq!(given_up(1, 2), [Rule::TheDeadFailed]);
    assert_eq!(given_up(2, 1), [Rule::TheDeadFailed]);
}

#[test]
fn nobody_waits_for_long_while_others_go_on() {
    let late = waits::PATIENCE as u64 + 10;
    let waits = |priority: i32, until: u64| {
        broken(move |history, _| {
            history.accounts[1].order.priority = priority;
            history.accounts[1].heard = (1..=late).collect();
            history.accounts[1].ended = Some(late);
            let waiting = &mut history.accounts[0];
            (waiting.heard, waiting.ended) = (BTreeSet::from([1, until]), Some(until));
        })
    };
    assert_eq!(waits(0, late), [Rule::NobodyStarves]);
    assert_eq!(waits(-1, late), [Rule::NobodyStarves]);
    assert_eq!(waits(1, late), []);
    assert_eq!(waits(0, 20), []);
}
