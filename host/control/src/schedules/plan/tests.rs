use pigeon_api::When;
use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// A full hour.
const START: i64 = 500_000 * HOUR;

/// Due at each full hour.
fn hourly() -> Times {
    Times::of(&When::Cron { expression: "0 * * * *".to_owned(), zone: None }, START).unwrap()
}

fn state() -> State {
    State::new("ada", START)
}

fn next(state: &State) -> Option<i64> {
    hourly().next(state.decided_ms)
}

fn pending(state: &State) -> Vec<(i64, bool)> {
    state.pending.iter().map(|pending| ((pending.time_ms - START) / HOUR, pending.late)).collect()
}

#[test]
fn a_time_is_decided_on_once_and_in_its_time() {
    let (mut state, times) = (state(), hourly());
    assert!(!state.decide(&times, CatchUp::Once, START + HOUR - 1));
    assert_eq!(next(&state), Some(START + HOUR));
    assert!(state.decide(&times, CatchUp::Once, START + HOUR + 5));
    assert_eq!(pending(&state), [(1, false)]);
    assert!(!state.decide(&times, CatchUp::Once, START + HOUR + 5));
    assert_eq!((pending(&state).len(), next(&state)), (1, Some(START + 2 * HOUR)));
    let job = JobId::new();
    state.done(START + HOUR, Ok(job));
    assert_eq!((state.pending.len(), state.job.as_deref()), (0, Some(job.to_string().as_str())));
    state.done(START + 2 * HOUR, Err("no".to_owned()));
    assert_eq!(state.last, Some(Last { time_ms: START + 2 * HOUR, job: None, error: Some("no".to_owned()) }));
    assert_eq!(state.job, Some(job.to_string()), "the last job is still that one");
}

#[test]
fn what_was_missed_is_caught_up_with_as_the_policy_says() {
    let after = |catch_up, passed| {
        let mut state = state();
        state.decide(&hourly(), catch_up, START + passed);
        assert_eq!(next(&state), Some(START + passed / HOUR * HOUR + HOUR), "in any case it goes on from there");
        pending(&state)
    };
    let late = 3 * HOUR + 2 * MINUTE;
    assert_eq!(after(CatchUp::Skip, late), []);
    assert_eq!(after(CatchUp::Once, late), [(3, true)]);
    assert_eq!(after(CatchUp::All, late), [(1, true), (2, true), (3, true)]);
    // The last one is met, if barely.
    let met = 3 * HOUR + LATE;
    assert_eq!(after(CatchUp::Skip, met), [(3, false)]);
    assert_eq!(after(CatchUp::Once, met), [(3, false)]);
    assert_eq!(after(CatchUp::All, met), [(1, true), (2, true), (3, false)]);
    let all = after(CatchUp::All, 1000 * HOUR + 2 * MINUTE);
    assert_eq!((all.len(), all[0], all[99]), (100, (901, true), (1000, true)));
}

#[test]
fn what_waits_is_bounded_too() {
    let mut state = state();
    state.decide(&hourly(), CatchUp::All, START + 90 * HOUR);
    state.decide(&hourly(), CatchUp::All, START + 120 * HOUR);
    let waits = pending(&state);
    assert_eq!((waits.len(), waits[0].0, waits[99].0), (100, 21, 120));
}

#[test]
fn while_it_is_paused_nothing_comes_due() {
    let (mut state, times) = (state(), hourly());
    state.pause(true, START + MINUTE);
    assert!(!state.decide(&times, CatchUp::All, START + 5 * HOUR));
    state.pause(true, START + 5 * HOUR);
    state.pause(false, START + 5 * HOUR + MINUTE);
    assert!(!state.decide(&times, CatchUp::All, START + 5 * HOUR + MINUTE));
    assert_eq!(next(&state), Some(START + 6 * HOUR));
    state.pause(false, START + 9 * HOUR);
    assert!(state.decide(&times, CatchUp::All, START + 9 * HOUR), "to go on twice passes nothing over");
    assert_eq!(pending(&state).len(), 4);
}

#[test]
fn a_clock_that_goes_back_repeats_nothing() {
    let (mut state, times) = (state(), hourly());
    state.decide(&times, CatchUp::All, START + 3 * HOUR);
    state.pending.clear();
    assert!(!state.decide(&times, CatchUp::All, START + HOUR));
    assert_eq!(next(&state), Some(START + 4 * HOUR));
    state.decide(&times, CatchUp::All, START + 4 * HOUR);
    assert_eq!(pending(&state), [(4, false)]);
}

#[test]
fn a_clock_that_was_years_ahead_stops_nothing() {
    let (mut state, times) = (state(), hourly());
    state.decide(&times, CatchUp::Once, START + 100_000 * HOUR);
    state.pending.clear();
    assert!(state.decide(&times, CatchUp::Once, START + HOUR + MINUTE));
    assert_eq!(next(&state), Some(START + 2 * HOUR));
    assert!(state.decide(&times, CatchUp::Once, START + 2 * HOUR));
    assert_eq!(pending(&state), [(2, false)]);
}

#[test]
fn overlaps_are_what_the_policy_says() {
    let time = |late| Pending { time_ms: 0, late, plugin: None };
    for overlap in [Overlap::Skip, Overlap::Allow, Overlap::Cancel] {
        assert_eq!(turn(overlap, false, &time(false)), Turn::Submit);
    }
    assert_eq!(turn(Overlap::Skip, true, &time(false)), Turn::Skip);
    assert_eq!(turn(Overlap::Skip, true, &time(true)), Turn::Wait);
    assert_eq!(turn(Overlap::Allow, true, &time(true)), Turn::Submit);
    assert_eq!(turn(Overlap::Cancel, true, &time(false)), Turn::Replace);
}

#[test]
fn states_that_were_written_can_be_read() {
    let mut full = state();
    full.decide(&hourly(), CatchUp::All, START + 2 * HOUR);
    full.pending[0].plugin = Some("sha256:00".to_owned());
    full.done(START + 2 * HOUR, Ok(JobId::new()));
    let text = serde_json::to_string(&full).unwrap();
    assert_eq!(serde_json::from_str::<State>(&text).unwrap(), full);
    let least = r#"{"author":"ada","added_ms":1800000000000,"decided_ms":1800000000000}"#;
    assert_eq!(serde_json::from_str::<State>(least).unwrap(), state());
}

proptest! {
    /// However the clock moves, within a day, and however often it is looked at: no time is chosen twice, and those that
    /// are chosen are in order; with `All`, and fewer than a hundred at a time, each time is chosen.
    #[test]
    fn no_time_is_chosen_twice(moves in prop::collection::vec(-20 * HOUR..40 * HOUR, 1..40)) {
        let (mut state, times, mut now, mut chosen, mut most) = (state(), hourly(), START, Vec::new(), START);
        for step in moves {
            now = (now + step).max(most - WRONG);
            most = most.max(now);
            state.decide(&times, CatchUp::All, now);
            chosen.extend(state.pending.drain(..).map(|pending| pending.time_ms));
        }
        let all: Vec<i64> = (START / HOUR + 1..=most / HOUR).map(|hour| hour * HOUR).collect();
        prop_assert_eq!(chosen, all);
    }
}
