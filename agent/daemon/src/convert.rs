//! The runtime's words in the protocol's, and back. The two crates do not know each other.

use std::time::Duration;

use pigeon_protocol::{message, outcome};
use pigeon_runtime as runtime;

/// A run's report as the outcome that goes to the hub.
pub(crate) fn outcome(run: u64, report: runtime::RunReport) -> outcome::Outcome {
    let answer = match report.result {
        Ok(answer) => outcome::Answer::Judgement(judgement(answer)),
        Err(error) => outcome::Answer::Failure(failure(error)),
    };
    outcome::Outcome {
        run,
        time_us: micros(report.wall),
        cpu_us: micros(report.cpu),
        memory: report.memory,
        answer: Some(answer),
        log: report.log,
    }
}

/// The outcome of a run that was not even begun.
pub(crate) fn unrun(run: u64, failure: outcome::Failure) -> outcome::Outcome {
    outcome::Outcome { run, answer: Some(outcome::Answer::Failure(failure)), ..outcome::Outcome::default() }
}

/// The failure of every run of a plugin that could not be loaded.
pub(crate) fn load_failure(message: String) -> outcome::Failure {
    let cause = outcome::Cause::Load;
    outcome::Failure { cause: cause as i32, code: cause.code().to_owned(), message, backtrace: String::new() }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn judgement(judgement: runtime::Judgement) -> outcome::Judgement {
    let runtime::Counts { errors, warnings, infos } = judgement.omitted;
    outcome::Judgement {
        findings: judgement.findings.into_iter().map(finding).collect(),
        omitted: (judgement.omitted != runtime::Counts::default()).then_some(outcome::Counts {
            errors,
            warnings,
            infos,
        }),
        score: judgement.score,
        data: judgement.data,
    }
}

fn finding(finding: runtime::Finding) -> outcome::Finding {
    let severity = match finding.severity {
        runtime::Severity::Error => outcome::Severity::Error,
        runtime::Severity::Warning => outcome::Severity::Warning,
        runtime::Severity::Info => outcome::Severity::Info,
    };
    outcome::Finding {
        severity: severity as i32,
        code: finding.code,
        message: finding.message,
        place: finding.place.map(|runtime::Place { line, column, offset, pointer }| outcome::Place {
            line,
            column,
            offset,
            pointer,
        }),
    }
}

fn failure(failure: runtime::Failure) -> outcome::Failure {
    use outcome::Cause as To;
    use runtime::Cause as From;
    let cause = match failure.cause {
        From::Permanent => To::Permanent,
        From::Transient => To::Transient,
        From::Trap => To::Trap,
        From::Timeout => To::Timeout,
        From::WallTimeout => To::WallTimeout,
        From::OutOfMemory => To::OutOfMemory,
        From::Stack => To::Stack,
        From::OutputTooLarge => To::OutputTooLarge,
        From::Fuel => To::Fuel,
        From::Load => To::Load,
        From::DoesNotFit => To::DoesNotFit,
        From::Contract => To::Contract,
    };
    outcome::Failure { cause: cause as i32, code: failure.code, message: failure.message, backtrace: failure.backtrace }
}

/// A job's context as the runtime's job. What is not said is the runtime's own default.
pub(crate) fn job(context: &message::JobContext, options: Vec<(String, String)>) -> runtime::Job {
    let clock = match context.clock_ns {
        Some(start_ns) => runtime::Clock::Virtual { start_ns },
        None => runtime::Clock::Real,
    };
    let asked = context.limits.unwrap_or_default();
    let mut limits = runtime::Limits::default();
    if asked.cpu_ms > 0 {
        limits.cpu = Duration::from_millis(asked.cpu_ms);
    }
    if asked.wall_ms > 0 {
        limits.wall = Duration::from_millis(asked.wall_ms);
    }
    if asked.output > 0 {
        limits.output = asked.output;
    }
    if asked.log > 0 {
        limits.log = usize::try_from(asked.log).unwrap_or(usize::MAX);
    }
    // No outcome can be larger than what a message carries.
    limits.output = limits.output.min(pigeon_protocol::limits::MAX_OUTCOME as u64);
    limits.memory = (asked.memory > 0).then_some(asked.memory);
    limits.fuel = (asked.fuel > 0).then_some(asked.fuel);
    runtime::Job { options, clock, limits, grants: context.grants.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_keeps_its_code() {
        use runtime::Cause::*;
        let all = [
            Permanent,
            Transient,
            Trap,
            Timeout,
            WallTimeout,
            OutOfMemory,
            Stack,
            OutputTooLarge,
            Fuel,
            Load,
            DoesNotFit,
            Contract,
        ];
        for cause in all {
            let converted = failure(runtime::Failure::new(cause, "why"));
            assert_eq!(converted.cause().code(), cause.code());
            assert_eq!((converted.code.as_str(), converted.message.as_str()), (cause.code(), "why"));
        }
    }

    #[test]
    fn limits_that_are_not_said_are_the_runtimes_own() {
        let limits = job(&message::JobContext::default(), Vec::new()).limits;
        let own = runtime::Limits::default();
        assert_eq!((limits.cpu, limits.wall, limits.log), (own.cpu, own.wall, own.log));
        assert!(limits.output < 1 << 20, "an outcome has to fit into a message");
        let asked = message::Limits { cpu_ms: 1, wall_ms: 2, memory: 3, output: 4, log: 5, fuel: 6 };
        let limits = job(&message::JobContext { limits: Some(asked), ..Default::default() }, Vec::new()).limits;
        assert_eq!((limits.cpu, limits.wall), (Duration::from_millis(1), Duration::from_millis(2)));
        assert_eq!((limits.memory, limits.output, limits.log, limits.fuel), (Some(3), 4, 5, Some(6)));
    }

    #[test]
    fn a_verdict_stays_what_it_is() {
        let mut answer = runtime::Judgement::default();
        let report = |result| runtime::RunReport {
            result,
            wall: Duration::from_micros(12),
            cpu: Duration::from_micros(11),
            memory: 10,
            log: bytes::Bytes::from_static(b"log"),
        };
        let valid = outcome(7, report(Ok(answer.clone())));
        assert_eq!((valid.run, valid.time_us, valid.cpu_us, valid.memory), (7, 12, 11, 10));
        assert_eq!(valid.verdict(), outcome::Verdict::Valid);
        answer.omitted.errors = 1;
        assert_eq!(outcome(7, report(Ok(answer))).verdict(), outcome::Verdict::Invalid);
    }
}
