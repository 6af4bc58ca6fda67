//! Values that the double tells of: as little as there may be in them.

use pigeon_api::*;

pub(super) fn plugin(name: &str) -> PluginInfo {
    let metadata = PluginMetadata {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        description: "Says what it is given.".to_owned(),
        formats: Vec::new(),
        options: Vec::new(),
        codes: Vec::new(),
        instances: InstancePolicy::Fresh,
        vote: Vote::Worst,
        memory: MemoryNeed { base: 0, factor: 0.0 },
        models: Vec::new(),
        extensions: Vec::new(),
    };
    let digest = Digest::of(name.as_bytes());
    let (imports, powers) = (Vec::new(), Vec::new());
    PluginInfo { digest, kind: PluginKind::Validator, built_in: true, size: 1, metadata, imports, powers }
}

pub(super) fn landed(batch: u64) -> JobEvent {
    JobEvent::Landed(Landed { batch, runs: Vec::new() })
}

pub(super) fn event(seq: u64) -> Event {
    Event {
        seq,
        at_ms: 5,
        author: "pigeon".to_owned(),
        kind: EventKind::HostStarted,
        job: None,
        subject: None,
        message: format!("entry {seq}"),
    }
}

pub(super) fn letter(run: u64, job: JobId) -> DeadLetter {
    DeadLetter {
        id: DeadId { job, run },
        item: run.to_string(),
        iteration: 0,
        place: 0,
        plugin: "echo 1.0.0".to_owned(),
        digest: plugin("echo").digest,
        worker: "w".to_owned(),
        attempts: 1,
        failure: FailureInfo {
            cause: "timeout".to_owned(),
            code: "timeout".to_owned(),
            message: "too slow".to_owned(),
            backtrace: Vec::new(),
        },
        at_ms: 5,
        input_kept: true,
    }
}

pub(super) fn schedule(name: &str, paused: bool, author: &str) -> ScheduleInfo {
    ScheduleInfo {
        name: name.to_owned(),
        when: When::At { ms: 5 },
        catch_up: CatchUp::Once,
        overlap: Overlap::Skip,
        plugin: "echo".to_owned(),
        items: 1,
        author: author.to_owned(),
        paused,
        next_ms: None,
        last_ms: None,
        last_job: None,
        last_error: None,
    }
}
