//! Outcomes on their way to the disk.

use std::sync::Arc;

use bytes::Bytes;
use pigeon_protocol::{
    id::RunIndex,
    outcome::{Answer, Cause, Failure, Outcome, Verdict},
};
use pigeon_scheduler::{Death, FailureClass, Landing, LandingClass};
use pigeon_store::{Batch, OutcomeRow, RunError};
use prost::Message as _;

use crate::{clock, convert::Said, job::Job};

/// An outcome, as far as the scheduler needs to know it.
pub(crate) fn landing(outcome: &Outcome) -> Landing {
    let class = match outcome.verdict() {
        Verdict::Valid => LandingClass::Valid,
        Verdict::Invalid => LandingClass::Invalid,
        Verdict::Failure => LandingClass::Failure(failure_class(outcome.cause())),
    };
    Landing { run: RunIndex(outcome.run), class, time_us: outcome.time_us }
}

/// Which bound of the job's retry policy a failure falls under. Fuel is counted exactly: another attempt would use it up
/// just so.
fn failure_class(cause: Option<Cause>) -> FailureClass {
    match cause {
        Some(Cause::Transient) => FailureClass::Transient,
        Some(Cause::Timeout | Cause::WallTimeout) => FailureClass::Timeout,
        Some(Cause::Trap | Cause::OutOfMemory | Cause::Stack) => FailureClass::Crash,
        _ => FailureClass::Permanent,
    }
}

/// The worker of runs that no agent made.
pub(crate) const NOBODY: &str = "";

/// Outcomes to be recorded for one worker, with how many there are of each verdict.
pub(crate) struct Recording {
    pub(crate) batch: Batch,
    pub(crate) verdicts: [u64; 3],
    /// Bytes of the items that need no more runs once these are recorded.
    pub(crate) judged: u64,
}

impl Recording {
    /// Nothing yet, with room for so many.
    pub(crate) fn new(job: &Job, worker: Arc<str>, room: usize) -> Self {
        let outcomes = Vec::with_capacity(room);
        let batch = Batch { job: job.id, epoch: job.epoch(), worker, landed_ms: clock::now_ms(), outcomes };
        Self { batch, verdicts: [0; 3], judged: 0 }
    }

    /// The runs so far.
    pub(crate) fn runs(&self) -> impl Iterator<Item = u64> + '_ {
        self.batch.outcomes.iter().map(|row| row.run.0)
    }

    /// Why runs of it could not be judged.
    pub(crate) fn failures(&self) -> impl Iterator<Item = &RunError> {
        let failures = self.batch.outcomes.iter().filter(|row| row.verdict == Verdict::Failure);
        failures.filter_map(|row| row.error.as_ref())
    }

    /// One more.
    pub(crate) fn push(&mut self, outcome: &Outcome, attempts: u32) {
        let verdict = outcome.verdict();
        self.verdicts[verdict as usize] += 1;
        self.batch.outcomes.push(OutcomeRow {
            run: RunIndex(outcome.run),
            verdict,
            time_us: outcome.time_us,
            attempts,
            error: error(outcome),
            detail: if is_plain(outcome) { Bytes::new() } else { outcome.encode_to_vec().into() },
        });
    }
}

/// A row as the outcome that it was made of, as far as that was kept.
pub(crate) fn outcome(row: &OutcomeRow) -> Outcome {
    match row.detail.is_empty() {
        true => plain(row),
        // What we wrote we can read; were a row damaged, its verdict and time still stand.
        false => Outcome::decode(row.detail.clone()).unwrap_or_else(|_| plain(row)),
    }
}

/// What a run had to say, of which this is the detail that was kept.
pub(crate) fn said(verdict: Verdict, detail: Bytes) -> Said {
    let answer = match detail.is_empty() {
        true => None,
        // As in `outcome`.
        false => Outcome::decode(detail).ok().and_then(|outcome| outcome.answer),
    };
    match answer {
        None if verdict != Verdict::Failure => Said::default(),
        answer => Said::from(answer),
    }
}

/// Why a run has no outcome yet, for people.
pub(crate) fn reason(outcome: &Outcome) -> String {
    error(outcome).map_or_else(String::new, |error| format!("{}: {}", error.code, error.message))
}

/// The failure of a run that agents died of. The evidence is its log, a line a death: so runs of one sort stay one group of
/// errors. `name` says who died, and `at_ms` when, in milliseconds since 1970.
pub(crate) fn agent_lost(
    run: RunIndex,
    evidence: &[Death],
    name: impl Fn(&Death) -> String,
    at_ms: impl Fn(&Death) -> i64,
) -> Outcome {
    let deaths = evidence.iter().map(|death| {
        let at = jiff::Timestamp::from_millisecond(at_ms(death)).unwrap_or_default();
        let (name, id, after) = (name(death), death.agent, death.after.as_secs_f64());
        match death.held {
            false => format!("{at:.3} {name} ({id}) died {after:.1} s after it was given this run, and nothing else\n"),
            true => {
                format!("{at:.3} {name} ({id}) held this run beyond its time, {after:.1} s after it was given it\n")
            }
        }
    });
    let log: String = deaths.collect();
    let failure = Failure {
        cause: Cause::AgentLost.into(),
        code: Cause::AgentLost.code().to_owned(),
        message: "agents that made nothing else died of it, or agents held it beyond its time".to_owned(),
        backtrace: String::new(),
    };
    Outcome { run: run.0, answer: Some(Answer::Failure(failure)), log: log.into(), ..Outcome::default() }
}

/// Nothing to it beyond what a row's own columns say.
fn is_plain(outcome: &Outcome) -> bool {
    let says_nothing = match &outcome.answer {
        Some(Answer::Judgement(it)) => {
            it.findings.is_empty()
                && it.score.is_none()
                && it.data.is_none()
                && it.omitted.is_none_or(|it| it == Default::default())
        }
        Some(Answer::Failure(_)) | None => false,
    };
    says_nothing && outcome.log.is_empty()
}

fn plain(row: &OutcomeRow) -> Outcome {
    Outcome {
        run: row.run.0,
        time_us: row.time_us,
        answer: (row.verdict != Verdict::Failure).then(|| Answer::Judgement(Default::default())),
        ..Outcome::default()
    }
}

/// What a run that is not valid is grouped under.
fn error(outcome: &Outcome) -> Option<RunError> {
    let (code, message) = match &outcome.answer {
        Some(Answer::Judgement(judgement)) => match judgement.first_error() {
            Some(finding) => (finding.code.as_str(), finding.message.as_str()),
            None if judgement.verdict() == Verdict::Valid => return None,
            None => ("omitted", "findings of severity error that were not listed"),
        },
        Some(Answer::Failure(failure)) => (failure.code.as_str(), failure.message.as_str()),
        None => ("unknown-answer", "the agent answered in words of a newer version"),
    };
    Some(RunError { code: code.to_owned(), message: message.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pigeon_protocol::id::AgentId;
    use pigeon_scheduler::Time;

    use super::*;

    #[test]
    fn a_dead_letter_says_who_died_and_when_and_is_one_of_its_sort() {
        let agent = AgentId::new();
        let death = |at, after| Death { agent, held: false, at: Time(at), after: Duration::from_millis(after) };
        let evidence = [death(1_000_000, 250), death(9_000_000, 1_500)];
        let lost = agent_lost(RunIndex(7), &evidence, |_| "worker-1".to_owned(), |death| (death.at.0 / 1000) as i64);
        let said = |at: &str, after| {
            format!(
                "1970-01-01T00:00:{at}.000Z worker-1 ({agent}) died {after} s after it was given this run, and nothing else\n"
            )
        };
        assert_eq!(lost.log, format!("{}{}", said("01", "0.2"), said("09", "1.5")));
        assert_eq!((lost.run, lost.cause()), (7, Some(Cause::AgentLost)));
        assert_eq!(error(&lost), error(&agent_lost(RunIndex(8), &[], |_| String::new(), |_| 0)), "one group of errors");
    }
}
