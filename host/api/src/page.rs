//! What wraps the types of this crate in the bodies and queries of REST, so that the server and the client share it.

use bytes::Bytes;
use pigeon_protocol::id::JobId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    AgentStatus, ApiError, DeadDetail, DeadFilter, DeadId, DeadLetter, DeadName, ErrorKind, Event, EventFilter,
    JobFilter, JobState, JobStatus, JobSummary, JoinTokenInfo, PluginInfo, Problem, RunResult, ScheduleInfo, TokenInfo,
    Watch, text,
};

/// Entries of a page if nothing is said.
pub const USUAL_PAGE: usize = 100;

/// Entries of a page at most; who asks for more gets so many.
pub const MOST_PAGE: usize = 1000;

/// How long one request waits for a job's end at most, in milliseconds.
pub const MOST_WAIT_MS: u64 = 30_000;

/// How many entries a page gets that was asked for with this limit.
pub fn page_size(limit: Option<usize>) -> usize {
    limit.unwrap_or(USUAL_PAGE).clamp(1, MOST_PAGE)
}

/// A job that was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Submitted {
    /// The job.
    #[serde(with = "text")]
    #[schema(value_type = String, format = "uuid", example = "01890a5d-ac96-774b-bcce-b302099a8057")]
    pub id: JobId,
}

/// Items that were appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Appended {
    /// How many came with this request. All of them are on disk.
    pub items: u64,
}

/// To how many things it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Count {
    /// How many.
    pub count: u64,
}

/// The last line of a stream of lines that could not be told to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Broken {
    /// Why.
    pub error: Problem,
}

/// Jobs, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobSummary>,
    /// What to say as `before` to get the next page; nothing behind the last.
    #[serde(default, with = "text::option")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub next: Option<JobId>,
}

/// Jobs with all their figures, in the order in which they were asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobList {
    /// The jobs.
    pub jobs: Vec<JobStatus>,
}

/// Dead letters, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadPage {
    /// The letters.
    pub dead: Vec<DeadLetter>,
    /// What to say as `after` to get the next page; nothing behind the last.
    #[serde(default, with = "text::option")]
    #[schema(value_type = Option<String>)]
    pub next: Option<DeadId>,
}

/// Entries of the log of all that happened, the oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventPage {
    /// The entries.
    pub events: Vec<Event>,
    /// What to say as `after` to get what comes next: the log has no end.
    pub next: u64,
}

/// All plugins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginList {
    /// By name, the newest version first.
    pub plugins: Vec<PluginInfo>,
}

/// Runs of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunList {
    /// In the order in which they landed.
    pub runs: Vec<RunResult>,
}

/// All schedules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleList {
    /// By name.
    pub schedules: Vec<ScheduleInfo>,
}

/// Agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentList {
    /// By name.
    pub agents: Vec<AgentStatus>,
}

/// Tokens with which agents join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinTokenList {
    /// In the order in which they were made.
    pub tokens: Vec<JoinTokenInfo>,
}

/// Tokens of either kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AllTokens {
    /// Those for the API, by name; none where they may not be seen.
    pub tokens: Vec<TokenInfo>,
    /// Those with which agents join, in the order in which they were made.
    pub join_tokens: Vec<JoinTokenInfo>,
}

/// Tokens for the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    /// By name.
    pub tokens: Vec<TokenInfo>,
}

/// A dead letter with what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadDocument {
    /// The letter.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// The item's body in base64; nothing if it is not kept any more.
    #[serde(default, with = "text::base64_option")]
    #[schema(value_type = Option<String>, content_encoding = "base64")]
    pub input: Option<Bytes>,
    /// The same as text, if it is UTF-8.
    #[serde(default)]
    pub text: Option<String>,
    /// What the guest logged in its last attempt.
    #[serde(default)]
    pub log: String,
}

impl From<DeadDetail> for DeadDocument {
    fn from(DeadDetail { letter, input, log }: DeadDetail) -> Self {
        let text = input.as_deref().and_then(|input| std::str::from_utf8(input).ok()).map(str::to_owned);
        Self { letter, input, text, log }
    }
}

impl From<DeadDocument> for DeadDetail {
    fn from(DeadDocument { letter, input, log, .. }: DeadDocument) -> Self {
        Self { letter, input, log }
    }
}

/// Which dead letters are retried or discarded: those that all of this is true of. All of them only if it says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadSelection {
    /// These, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, example = json!(["01890a5d-ac96-774b-bcce-b302099a8057:17"]))]
    pub ids: Vec<DeadName>,
    /// Of this job.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub job: Option<JobId>,
    /// With this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// With this in the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Every dead letter there is. Then nothing else is said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

impl From<DeadFilter> for DeadSelection {
    fn from(filter: DeadFilter) -> Self {
        let all = filter.is_empty();
        let DeadFilter { ids, job, code, message } = filter;
        Self { ids, job, code, message, all }
    }
}

impl TryFrom<DeadSelection> for DeadFilter {
    type Error = ApiError;

    fn try_from(selection: DeadSelection) -> Result<Self, ApiError> {
        let DeadSelection { ids, job, code, message, all } = selection;
        let filter = Self { ids, job, code, message };
        match (filter.is_empty(), all) {
            (true, false) => Err(ApiError::new(ErrorKind::BadRequest, "nothing says which dead letters are meant")
                .hint("say ids, job, code or message, or \"all\": true")),
            (false, true) => Err(ApiError::new(ErrorKind::BadRequest, "\"all\" is said together with a choice")
                .hint("leave one of them out")),
            _ => Ok(filter),
        }
    }
}

/// Query of the list of jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct JobsQuery {
    /// Only those in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub state: Option<JobState>,
    /// Only those of the plugin with this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Only those that are not in a final state.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
    /// Only those that were submitted before this one.
    #[serde(with = "text::option", skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub before: Option<JobId>,
    /// At most so many: 100 if not said, and never more than 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1)]
    pub limit: Option<usize>,
}

impl From<JobFilter> for JobsQuery {
    fn from(JobFilter { unfinished, state, plugin, before, limit }: JobFilter) -> Self {
        Self { state, plugin, unfinished, before, limit }
    }
}

impl From<JobsQuery> for JobFilter {
    fn from(JobsQuery { state, plugin, unfinished, before, limit }: JobsQuery) -> Self {
        Self { unfinished, state, plugin, before, limit }
    }
}

/// Query of the dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct DeadQuery {
    /// These, by name, with commas between them.
    #[serde(with = "text::list", skip_serializing_if = "Vec::is_empty")]
    #[param(value_type = Option<String>)]
    pub ids: Vec<DeadId>,
    /// Of this job.
    #[serde(with = "text::option", skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub job: Option<JobId>,
    /// With this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// With this in the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Those behind this one in the list.
    #[serde(with = "text::option", skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub after: Option<DeadId>,
    /// At most so many: 100 if not said, and never more than 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1)]
    pub limit: Option<usize>,
}

impl DeadQuery {
    /// The query for a page of what the filter means.
    pub fn new(filter: DeadFilter, after: Option<DeadId>, limit: Option<usize>) -> Self {
        let DeadFilter { ids, job, code, message } = filter;
        Self { ids: ids.into_iter().map(|name| name.0).collect(), job, code, message, after, limit }
    }

    /// Which dead letters are meant, whatever the page.
    pub fn filter(&self) -> DeadFilter {
        DeadFilter {
            ids: self.ids.iter().copied().map(DeadName).collect(),
            job: self.job,
            code: self.code.clone(),
            message: self.message.clone(),
        }
    }
}

/// Query of the log of all that happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct EventsQuery {
    /// Those with a greater number.
    pub after: u64,
    /// Those with a smaller number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Of this job.
    #[serde(with = "text::option", skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub job: Option<JobId>,
    /// The last of all that are meant, not the first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tail: bool,
    /// At most so many: 100 if not said, and never more than 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1)]
    pub limit: Option<usize>,
}

impl EventsQuery {
    /// The query for a page of what the filter means.
    pub fn new(EventFilter { after, job }: EventFilter, limit: Option<usize>) -> Self {
        Self { after, job, limit, ..Self::default() }
    }

    /// The query for the last entries, of those before this one if one is given.
    pub fn last(job: Option<JobId>, before: Option<u64>, limit: usize) -> Self {
        Self { before, job, tail: true, limit: Some(limit), ..Self::default() }
    }

    /// Which entries are meant.
    pub fn filter(&self) -> EventFilter {
        EventFilter { after: self.after, job: self.job }
    }
}

/// Query of the same log as it goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct FollowQuery {
    /// Those with a greater number.
    pub after: u64,
    /// Of this job.
    #[serde(with = "text::option", skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub job: Option<JobId>,
}

impl From<FollowQuery> for EventFilter {
    fn from(FollowQuery { after, job }: FollowQuery) -> Self {
        Self { after, job }
    }
}

/// Query of what is heard of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct WatchQuery {
    /// Tell of every run, not only how many there are.
    pub runs: bool,
    /// With what the guests logged.
    pub logs: bool,
    /// Only of runs in batches behind this one. The header `Last-Event-ID` stands above it.
    pub after: u64,
}

impl From<Watch> for WatchQuery {
    fn from(Watch { runs, logs, after, past: _ }: Watch) -> Self {
        Self { runs, logs, after }
    }
}

impl From<WatchQuery> for Watch {
    fn from(WatchQuery { runs, logs, after }: WatchQuery) -> Self {
        Self { runs, logs, after, past: false }
    }
}

/// Query of a job's runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct RunsQuery {
    /// Only those in batches behind this one.
    pub after: u64,
    /// With what the guests logged.
    pub logs: bool,
    /// Go on as more land, until the job has ended.
    pub follow: bool,
}

/// Query of the wait for a job's end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct WaitQuery {
    /// How long to wait, in milliseconds: 30 seconds at most, and if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_comes_back_with_its_input() {
        let text = r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057:17","item":"a","iteration":0,"place":0,"plugin":"p 1",
            "digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","worker":"w","attempts":1,
            "failure":{"cause":"permanent","code":"c","message":"m"},"at_ms":5,"input_kept":true,"input":"AP8=","text":null,
            "log":"l"}"#;
        let document: DeadDocument = serde_json::from_str(text).unwrap();
        assert_eq!((document.input.as_deref(), &document.text), (Some(&[0, 255][..]), &None));
        let detail = DeadDetail::from(document.clone());
        assert_eq!(DeadDocument::from(detail.clone()), document);
        let text = DeadDocument::from(DeadDetail { input: Some(Bytes::from_static(b"a")), ..detail }).text;
        assert_eq!(text.as_deref(), Some("a"));
    }

    #[test]
    fn all_dead_letters_are_meant_only_if_it_is_said() {
        assert!(DeadSelection::from(DeadFilter::default()).all);
        let filter = DeadFilter { code: Some("late".to_owned()), ..DeadFilter::default() };
        let selection = DeadSelection::from(filter.clone());
        assert_eq!(DeadFilter::try_from(selection.clone()).unwrap(), filter);
        assert!(DeadFilter::try_from(DeadSelection { all: true, ..selection }).is_err());
        assert!(DeadFilter::try_from(DeadSelection::default()).is_err());
        assert!(DeadFilter::try_from(DeadSelection { all: true, ..DeadSelection::default() }).unwrap().is_empty());
    }
}
