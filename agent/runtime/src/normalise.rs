//! What a guest answered, brought into the bounds that everybody else relies on.

use serde::de::IgnoredAny;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::{
    Cause, Counts, Failure, Finding, Judgement, Limits, Place, Severity,
    contract::{self, FailureKind},
    meter::Stop,
};

/// Findings that a judgement lists.
pub(crate) const MAX_FINDINGS: usize = 1_000;
/// Bytes of a finding's or failure's code.
const MAX_CODE: usize = 64;
/// Bytes of a JSON Pointer; a longer one is left out.
const MAX_POINTER: usize = 1_024;
/// Bytes of a failure's message.
const MAX_MESSAGE: usize = 4 << 10;
/// Bytes of a backtrace.
const MAX_BACKTRACE: usize = 8 << 10;
/// What an encoded outcome has beside findings, data and log, in bytes, at most.
const OVERHEAD: u64 = 128;

/// Brings a guest's answer into bounds. `log` is the size of the run's log, which counts too.
///
/// # Errors
///
/// The guest's own failure, data that is no JSON, or an outcome larger than allowed.
pub(crate) fn answer(answer: contract::Answer, limits: &Limits, log: usize) -> Result<Judgement, Failure> {
    let judgement = judgement(answer.map_err(failure)?)?;
    let size = encoded_size(&judgement).saturating_add(log as u64);
    if size > limits.output {
        let message = format!("the outcome has {size} bytes, more than the {} that it may have", limits.output);
        return Err(Failure::new(Cause::OutputTooLarge, message));
    }
    Ok(judgement)
}

fn judgement(raw: contract::Judgement) -> Result<Judgement, Failure> {
    let data = raw.data.map(|data| data.0);
    if let Some(data) = &data
        && let Err(error) = serde_json::from_str::<IgnoredAny>(data)
    {
        return Err(Failure::new(Cause::Contract, format!("the judgement's data is not a JSON document: {error}")));
    }
    let contract::Counts { errors, warnings, infos } = raw.omitted;
    let mut omitted = Counts { errors, warnings, infos };
    let mut found = raw.findings.0;
    if !found.is_sorted_by_key(|finding| finding.severity) {
        found.sort_by_key(|finding| finding.severity);
    }
    for finding in found.get(MAX_FINDINGS..).unwrap_or_default() {
        let count = match finding.severity {
            contract::Severity::Error => &mut omitted.errors,
            contract::Severity::Warning => &mut omitted.warnings,
            contract::Severity::Info => &mut omitted.infos,
        };
        *count = count.saturating_add(1);
    }
    found.truncate(MAX_FINDINGS);
    let findings = found.into_iter().map(finding).collect();
    Ok(Judgement { findings, omitted, score: raw.score.filter(|score| score.is_finite()), data })
}

fn finding(raw: contract::Finding) -> Finding {
    let place = raw.place.map(|place| Place {
        line: place.line.filter(|line| *line > 0),
        column: place.column.filter(|column| *column > 0),
        offset: place.offset,
        pointer: place.pointer.map(|pointer| pointer.0).filter(|pointer| pointer.len() <= MAX_POINTER),
    });
    let place = place.filter(|place| *place != Place::default());
    Finding { severity: severity(raw.severity), code: cut(raw.code.0, MAX_CODE), message: raw.message.0, place }
}

pub(crate) fn severity(raw: contract::Severity) -> Severity {
    match raw {
        contract::Severity::Error => Severity::Error,
        contract::Severity::Warning => Severity::Warning,
        contract::Severity::Info => Severity::Info,
    }
}

/// The failure that a guest answered with.
pub(crate) fn failure(raw: contract::Failure) -> Failure {
    let cause = match raw.kind {
        FailureKind::Permanent => Cause::Permanent,
        FailureKind::Transient => Cause::Transient,
    };
    let code = cut(raw.code.0, MAX_CODE);
    let code = if code.is_empty() { cause.code().to_owned() } else { code };
    Failure { cause, code, message: cut(raw.message.0, MAX_MESSAGE), backtrace: String::new() }
}

fn cut(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}

/// No less than what a judgement takes on the wire: tags, lengths and numbers are counted at their longest.
fn encoded_size(judgement: &Judgement) -> u64 {
    const FIELD: usize = 6;
    let mut size = judgement.data.as_ref().map_or(0, |data| data.len() + FIELD);
    for finding in &judgement.findings {
        let place = finding.place.as_ref();
        let pointer = place.and_then(|place| place.pointer.as_ref()).map_or(0, |pointer| pointer.len() + FIELD);
        // Itself, severity, code, message; the place with two u32 and one u64.
        size += FIELD + 2 + FIELD + finding.code.len() + FIELD + finding.message.len();
        size += place.map_or(0, |_| FIELD + 6 + 6 + 11) + pointer;
    }
    size as u64 + OVERHEAD
}

/// When a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// While its instance was made.
    Start,
    /// In the call, or as its answer was read.
    Call,
}

/// What an error of Wasmtime's was, by its type.
pub(crate) fn error(error: &wasmtime::Error, phase: Phase, limits: &Limits, memory: u64) -> Failure {
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(backtrace_text);
    let (cause, message) = if let Some(stop) = error.downcast_ref::<Stop>() {
        stopped(*stop, limits, memory)
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        match trap {
            Trap::StackOverflow => (Cause::Stack, "the guest's stack overflowed".to_owned()),
            Trap::OutOfFuel => {
                let fuel = limits.fuel.unwrap_or(u64::MAX);
                (Cause::Fuel, format!("the guest used up its fuel of {fuel}"))
            }
            trap => (Cause::Trap, format!("the guest trapped: {trap}")),
        }
    } else if let Some(I32Exit(status)) = error.downcast_ref::<I32Exit>() {
        (Cause::Trap, format!("the guest ended itself with exit status {status}"))
    } else if backtrace.is_some() {
        // A host function refused what the guest asked of it.
        (Cause::Trap, format!("the guest trapped: {}", error.root_cause()))
    } else if phase == Phase::Start {
        (Cause::Load, format!("the plugin could not be started: {}", error.root_cause()))
    } else {
        (Cause::Contract, format!("the answer does not fit the contract: {}", error.root_cause()))
    };
    let (message, backtrace) = (cut(message, MAX_MESSAGE), backtrace.unwrap_or_default());
    Failure { cause, code: cause.code().to_owned(), message, backtrace }
}

/// A limit of ours bit.
pub(crate) fn stopped(stop: Stop, limits: &Limits, memory: u64) -> (Cause, String) {
    match stop {
        Stop::Cpu => (Cause::Timeout, format!("the guest used up its CPU time of {:?}", limits.cpu)),
        Stop::Wall => (Cause::WallTimeout, format!("the run used up its wall-clock time of {:?}", limits.wall)),
        Stop::Memory => (Cause::OutOfMemory, format!("the guest asked for more memory than its {memory} bytes")),
        Stop::Output => {
            let message = format!("the answer is larger than the {} bytes that it may have", limits.output);
            (Cause::OutputTooLarge, message)
        }
        Stop::Answer => (Cause::Contract, "the answer does not fit the contract".to_owned()),
    }
}

/// Innermost frame first, one a line, names demangled.
fn backtrace_text(backtrace: &WasmBacktrace) -> String {
    let text = backtrace.to_string();
    // Its first line says that it is a backtrace.
    let frames = text.lines().skip(1).map(str::trim_start).collect::<Vec<_>>().join("\n");
    cut(frames, MAX_BACKTRACE)
}
