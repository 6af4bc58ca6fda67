//! Values of all types that travel or are kept, as rich as they get and as poor as they get.

mod host;
mod jobs;
mod outcomes;

use std::fmt::Debug;

use pigeon_api::{
    page::{
        AgentList, AllTokens, Broken, Count, DeadPage, DeadSelection, EventPage, JobList, JobPage, JoinTokenList,
        PluginList, RunList, ScheduleList, TokenList,
    },
    report::ReportRun,
    *,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use self::{host::*, jobs::*, outcomes::*};

/// All of them as they are written, by the name of their schema. That each comes back as it was is seen to on the way.
pub(crate) fn all() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        ("agent-detail", written([agent_detail()])),
        ("agent-list", written([AgentList { agents: vec![agent()] }])),
        ("agent-status", written([agent(), AgentStatus { state: AgentState::Away, health: Health::Bad, ..agent() }])),
        ("all-tokens", written([AllTokens { tokens: Vec::new(), join_tokens: vec![join_token()] }])),
        ("broken", written([Broken { error: problem() }])),
        ("context-info", written([context()])),
        ("context-list", written([ContextList { contexts: vec![context()] }])),
        ("count", written([Count { count: 7 }])),
        ("dead-document", written([dead_document(Some(b"{}")), dead_document(Some(&[0xff])), dead_document(None)])),
        ("dead-letter", written([dead_letter()])),
        ("dead-page", written([DeadPage { dead: vec![dead_letter()], next: Some(dead_id()) }, no_dead()])),
        ("dead-selection", written([DeadSelection::from(dead_filter()), DeadSelection::from(DeadFilter::default())])),
        ("deeds", written([deeds(), Deeds::default()])),
        ("event", written(events())),
        ("event-page", written([EventPage { events: events(), next: 9 }])),
        ("host-stats", written([host_stats()])),
        ("host-status", written([host_status()])),
        ("item-result", written([item_result(), bare_item_result()])),
        ("job-event", written(job_events())),
        ("job-list", written([JobList { jobs: job_states() }])),
        ("job-page", written([JobPage { jobs: vec![job_summary()], next: Some(job()) }, no_jobs()])),
        ("job-request", written([request(), least_request()])),
        ("job-status", written(job_states())),
        ("job-summary", written([job_summary()])),
        ("join-info", written([JoinInfo { info: join_token(), hub: "h:4781".to_owned() }])),
        ("join-token-list", written([JoinTokenList { tokens: vec![join_token()] }])),
        ("landed", written([Landed { batch: 3, runs: vec![run_result()] }])),
        (
            "new-join-token",
            written([NewJoinToken { info: join_token(), secret: "s".to_owned(), hub: "h:4781".to_owned() }]),
        ),
        ("new-token", written([NewToken { info: token(), secret: "s".to_owned() }])),
        ("plugin-info", written([plugin()])),
        ("plugin-limits", written([PluginLimits::default(), limited()])),
        ("plugin-list", written([PluginList { plugins: vec![plugin()] }])),
        ("problem", written([problem(), Problem::of_status(404, "No such page", "")])),
        ("report", written([report()])),
        ("report-run", written([report_run(), ReportRun { worker: None, failure: None, ..report_run() }])),
        ("run-list", written([RunList { runs: vec![run_result()] }])),
        ("run-result", written([run_result()])),
        ("schedule-info", written([schedule()])),
        ("schedule-list", written([ScheduleList { schedules: vec![schedule()] }])),
        ("schedule-spec", written(schedule_specs())),
        ("submission", written([submission(), Submission::from(least_request()), named_items()])),
        ("token-info", written([token(), TokenInfo { expires_ms: None, ..token() }])),
        ("token-list", written([TokenList { tokens: vec![token()] }])),
    ]
}

fn written<T>(values: impl IntoIterator<Item = T>) -> Vec<Value>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let write = |value: T| {
        let text = serde_json::to_string(&value).unwrap();
        let back: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
        assert_eq!(back, value, "{text}");
        serde_json::from_str(&text).unwrap()
    };
    values.into_iter().map(write).collect()
}
