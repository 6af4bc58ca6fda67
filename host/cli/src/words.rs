//! What the API's states are called, and how good or bad they look.

use pigeon_api::{AgentState, Health, JobState, Waiting};

use crate::{paint::Paint, text::View};

/// A way to paint.
pub(crate) type Tone = fn(Paint, &str) -> String;

/// As it is.
pub(crate) fn plain(_: Paint, text: &str) -> String {
    text.to_owned()
}

/// What a job's state looks like.
pub(crate) const fn state_tone(state: JobState) -> Tone {
    match state {
        JobState::Open | JobState::Sealed => Paint::strong,
        JobState::Interrupted | JobState::Paused | JobState::Stopped | JobState::Cancelled => Paint::warn,
        JobState::Finished => plain,
    }
}

/// Whether an agent is in.
pub(crate) const fn agent(state: AgentState) -> &'static str {
    match state {
        AgentState::Ready => "ready",
        AgentState::Draining => "draining",
        AgentState::Drained => "drained",
        AgentState::Away => "away",
        AgentState::Revoked => "revoked",
    }
}

/// Whether an agent does well.
pub(crate) const fn health(health: Health) -> &'static str {
    match health {
        Health::Good => "good",
        Health::Warning => "warning",
        Health::Bad => "bad",
    }
}

/// What that looks like.
pub(crate) const fn health_tone(health: Health) -> Tone {
    match health {
        Health::Good => Paint::good,
        Health::Warning => Paint::warn,
        Health::Bad => Paint::bad,
    }
}

/// Why nothing of a job is under way. No word of others is in it.
pub(crate) fn waiting(waiting: &Waiting, view: &View) -> String {
    let at = |until_ms: i64| view.moment.until(until_ms);
    match waiting {
        Waiting::NoAgent => "no agent is in".to_owned(),
        Waiting::NoLabel { labels } => format!("no agent with {}", labelled(labels)),
        Waiting::AgentsBusy => "all agents work for other jobs".to_owned(),
        Waiting::Backoff { until_ms } => format!("what is left failed and is tried again {}", at(*until_ms)),
        Waiting::Items => "all items that it has are done, and more may come: it is not sealed".to_owned(),
        Waiting::Paused => "it is paused".to_owned(),
        Waiting::PluginBusy { max_parallel } => {
            format!("its plugin has as many leases under way as it may ({max_parallel})")
        }
        Waiting::PluginRate { until_ms } => {
            format!("its plugin has begun as many runs as it may for now; the next {}", at(*until_ms))
        }
        Waiting::Nobody => "it was interrupted, and nobody works at it".to_owned(),
    }
}

/// Labels that nobody has.
fn labelled(labels: &[String]) -> String {
    match labels {
        [label] => format!("label {label}"),
        labels => format!("the labels {}", labels.join(", ")),
    }
}

/// The name that is closest to one that nobody has, if one is close.
pub(crate) fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let unknown = unknown.to_lowercase();
    let scored = known.into_iter().map(|name| (strsim::jaro_winkler(&unknown, &name.to_lowercase()), name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.7).then_some(best.1)
}
