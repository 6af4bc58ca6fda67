use std::collections::BTreeMap;

use pigeon_api::{Throughput, Work};

use super::*;
use crate::samples::{EVIL, NOW, assert_harmless, busy, long, status, times, view};

fn figures(runs: u64, invalid: u64, failures: u64) -> Figures {
    let valid = runs - invalid - failures;
    let success_rate = if runs == 0 { 0.0 } else { valid as f64 / runs as f64 };
    Figures { runs, valid, invalid, failures, success_rate, times: times(1.25) }
}

fn host() -> HostStats {
    let error = |code: &str, message: &str, count| ErrorStats {
        code: code.to_owned(),
        message: message.to_owned(),
        count,
        plugin: "json 0.1.0".to_owned(),
        job: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
        example: "orders.jsonl:17".to_owned(),
        first_ms: NOW - 86_400_000,
        last_ms: NOW - 5000,
    };
    HostStats {
        total: figures(1_000_000, 1200, 3),
        plugins: BTreeMap::from([
            ("json 0.1.0".to_owned(), figures(999_000, 1200, 3)),
            ("gexpr 0.1.0".to_owned(), figures(1000, 0, 0)),
        ]),
        workers: BTreeMap::from([
            ("north-1".to_owned(), figures(600_000, 1200, 0)),
            ("south-1".to_owned(), figures(400_000, 0, 3)),
        ]),
        errors: vec![
            error("syntax", "a value is missing", 1200),
            error("timeout", "the run used up its 10 s of CPU time", 3),
        ],
        throughput: Throughput { step_ms: 60_000, runs: vec![1000, 2000, 4000, 0, 0, 8000], failures: vec![0; 6] },
    }
}

#[test]
fn figures_of_all_jobs_at_several_widths() {
    for width in [40, 80, 140] {
        let text = table(&host(), &view(width));
        assert_harmless(&text, width);
        insta::assert_snapshot!(format!("all_{width}"), text);
    }
}

#[test]
fn figures_of_a_job() {
    insta::assert_snapshot!(of_job(&busy(), &view(100)));
    for width in [20, 40, 60] {
        assert_harmless(&of_job(&busy(), &view(width)), width);
    }
}

#[test]
fn where_nothing_ran_it_is_said_what_to_do() {
    let stats = HostStats { total: figures(0, 0, 0), ..host() };
    assert_eq!(table(&stats, &view(80)), "no run has landed: pigeon process -f FILE -v json judges a file\n");
    let mut none = host();
    none.errors.clear();
    assert!(table(&none, &view(80)).ends_with("errors\nnone\n"));
}

#[test]
fn times_that_were_not_written_down_are_not_told() {
    // Of jobs of an earlier version.
    let job = status(Work::Many { iterations: 1, workers: None });
    let text = groups(&job.errors, &view(100));
    assert!(!text.contains("ago"), "{text}");
}

#[test]
fn of_many_kinds_of_error_the_most_frequent_are_shown() {
    let mut stats = host();
    stats.errors = vec![stats.errors[0].clone(); MOST_GROUPS + 3];
    let text = table(&stats, &view(100));
    assert!(text.ends_with("... and 3 more kinds: -o json has them\n"), "{text}");
    assert_eq!(text.matches("a value is missing").count(), MOST_GROUPS);
}

#[test]
fn hostile_words_steer_nothing() {
    let mut stats = host();
    for error in &mut stats.errors {
        (error.code, error.message, error.example, error.plugin) = (EVIL.to_owned(), long(), long(), EVIL.to_owned());
    }
    stats.plugins.insert(long(), figures(1, 0, 0));
    stats.workers.insert(EVIL.to_owned(), figures(1, 0, 1));
    let mut job = busy();
    job.plugin.metadata.name = long();
    job.workers[0].name = long();
    for group in &mut job.errors {
        (group.code, group.message, group.example) = (long(), EVIL.to_owned(), long());
    }
    for width in [40, 80, 200] {
        assert_harmless(&table(&stats, &view(width)), width);
        assert_harmless(&of_job(&job, &view(width)), width);
    }
}
