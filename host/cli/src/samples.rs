//! What tests are made of: a plugin, jobs and how they stand, a control host that only knows what it was told.

mod fake;

pub(crate) use fake::Fake;
use pigeon_api::{
    CodeSpec, Digest, ErrorGroup, InstancePolicy, JobId, JobRequest, JobState, JobStatus, MemoryNeed, PluginInfo,
    PluginKind, PluginMetadata, Severity, Times, Vote, Waiting, Work, WorkerStatus,
};
use unicode_width::UnicodeWidthStr as _;

use crate::{
    paint::Paint,
    text::{Moment, View},
};

pub(crate) fn plugin() -> PluginInfo {
    PluginInfo {
        digest: Digest::from_bytes([7; 32]),
        kind: PluginKind::Validator,
        built_in: true,
        size: 12_345,
        metadata: PluginMetadata {
            name: "json".to_owned(),
            version: "0.1.0".to_owned(),
            description: "Checks JSON strictly. And more.".to_owned(),
            formats: vec!["application/json".to_owned()],
            options: Vec::new(),
            codes: vec![CodeSpec {
                code: "syntax".to_owned(),
                severity: Some(Severity::Error),
                description: "the text is no JSON".to_owned(),
            }],
            instances: InstancePolicy::Shared,
            vote: Vote::Worst,
            memory: MemoryNeed { base: 1 << 20, factor: 4.0 },
            models: Vec::new(),
            extensions: Vec::new(),
        },
        imports: Vec::new(),
        powers: Vec::new(),
    }
}

pub(crate) fn times(ms: f64) -> Times {
    Times { total_ms: 10.0 * ms, mean_ms: ms, p50_ms: ms * 0.9, p95_ms: ms * 2.0, p99_ms: ms * 3.0 }
}

pub(crate) fn groups() -> Vec<ErrorGroup> {
    vec![
        ErrorGroup {
            code: "syntax".to_owned(),
            message: "a value is missing".to_owned(),
            count: 2,
            example: "d/a.jsonl:4".to_owned(),
            first_ms: 0,
            last_ms: 0,
        },
        ErrorGroup {
            code: "timeout".to_owned(),
            message: "the run used up its 10 s of CPU time".to_owned(),
            count: 1,
            example: "d/b.csv:9".to_owned(),
            first_ms: 0,
            last_ms: 0,
        },
    ]
}

pub(crate) fn worker(name: &str, total: u64, invalid: u64, failures: u64) -> WorkerStatus {
    let errors = if failures > 0 { groups() } else { Vec::new() };
    WorkerStatus {
        name: name.to_owned(),
        total,
        valid: total - invalid - failures,
        invalid,
        failures,
        times: times(1.5),
        errors,
    }
}

pub(crate) fn status(work: Work) -> JobStatus {
    JobStatus {
        id: JobId::from_bytes([0x11; 16]),
        plugin: plugin(),
        state: JobState::Finished,
        request: JobRequest { seed: 42, ..JobRequest::new(Digest::from_bytes([7; 32]), work) },
        accepted_ms: 0,
        wall_time_ms: 1234.5678,
        items: 1200,
        planned_runs: 1200,
        total_runs: 1200,
        valid: 1197,
        invalid: 2,
        failures: 1,
        times: times(0.0123),
        workers: vec![worker("worker-1", 800, 1, 1), worker("worker-2", 400, 1, 0)],
        errors: groups(),
        author: String::new(),
        finished_ms: None,
        dead: 0,
        waiting: None,
        broken: None,
    }
}

/// The moment at which tests look: 2026-11-18 11:06:40 UTC, in milliseconds since 1970.
pub(crate) const NOW: i64 = 1_795_000_000_000;

/// Words of somebody who means ill: they clear the screen, turn the line around, and begin one of their own.
pub(crate) const EVIL: &str = "e\u{1b}[2J\u{202e}f\r\nhint: \u{5d0}\u{5d1}\u{7}";

/// The same, and longer than any screen is wide.
pub(crate) fn long() -> String {
    EVIL.repeat(100)
}

/// A screen of this width, without colours.
pub(crate) fn view(width: usize) -> View {
    View { paint: Paint::PLAIN, width, unicode: true, moment: Moment::utc(NOW), flags: String::new() }
}

/// See that a text steers no terminal, and that no line of it is wider than the screen. Lines with a command
/// or a digest are left whole: they are there to be pasted.
#[track_caller]
pub(crate) fn assert_harmless(text: &str, width: usize) {
    let bad = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
    assert!(!text.contains(bad), "{text:?}");
    assert!(text.ends_with('\n'), "{text:?}");
    for line in text.lines().filter(|line| !line.contains("pigeon ") && !line.contains("sha256:")) {
        assert!(line.width() <= width, "{} > {width}: {line:?} of\n{text}", line.width());
        assert!(!line.starts_with("hint:") && !line.starts_with("error:"), "{text}");
    }
}

/// A job that goes on, with everything that can be told of it.
pub(crate) fn busy() -> JobStatus {
    let mut job = status(Work::Many { iterations: 2, workers: Some(3) });
    job.state = JobState::Sealed;
    job.planned_runs = 5000;
    job.accepted_ms = NOW - 200_000;
    job.author = "alice".to_owned();
    job.dead = 1;
    job.waiting = Some(Waiting::PluginRate { until_ms: NOW + 4000 });
    job.request.options.insert("schema".to_owned(), "{\"type\": \"object\"}".to_owned());
    job.request.priority = 7;
    job.request.max_parallel = Some(16);
    for group in &mut job.errors {
        (group.first_ms, group.last_ms) = (NOW - 180_000, NOW - 3000);
    }
    job
}
