//! The typed client: [`Pigeon`] over the REST API of a control host.
//!
//! A call either was done, or says why not. What is safe to repeat is repeated while the control host restarts: chunks
//! have numbers, submissions have keys, and whatever only looks is always safe. Streams of events go on behind their
//! cursor. So an upload, and whoever watches it, outlive a restart of the control host in the middle of it.
//!
//! Invariant: nothing here waits without a bound but for two things: [`append`](Pigeon::append) while the control host
//! says that it has enough to do, and events while the connection shows that it lives.

mod call;
mod contact;
mod follow;
mod lines;
mod messages;
mod pace;
#[cfg(test)]
mod tests;
mod tls;

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use reqwest::{Url, header};
use serde::Serialize;

use self::{call::Call, contact::Presence};
pub use self::{
    contact::Contact,
    tls::{FetchedCa, Trust, fetch_ca, pem},
};
use crate::{
    AgentDetail, AgentStatus, ApiError, Chunk, DeadDetail, DeadFilter, DeadId, DeadLetter, ErrorKind, Event,
    EventFilter, HostStats, HostStatus, ItemResult, JobEvent, JobFilter, JobId, JobRequest, JobStatus, JobSummary,
    JoinSpec, JoinTokenInfo, Landed, NewJoinToken, NewToken, Pigeon, PluginInfo, PluginLimits, Result, ResumePoint,
    Revocation, ScheduleInfo, ScheduleSpec, Stop, Submission, TokenInfo, TokenSpec, Watch,
    page::{
        AgentList, Count, DeadDocument, DeadPage, DeadQuery, DeadSelection, EventPage, EventsQuery, JobPage, JobsQuery,
        JoinTokenList, MOST_PAGE, PluginList, RunsQuery, ScheduleList, Submitted, TokenList,
    },
    wire,
};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// How long an unused connection is kept: less than a control host does, which ends it after 10 seconds.
const IDLE: Duration = Duration::from_secs(5);

/// How long a control host may gather itself for a backup.
const BACKUP: Duration = Duration::from_secs(600);

/// Where a control host is, and how it is spoken with.
#[derive(Clone, Default)]
pub struct Endpoint {
    /// `https://HOST:PORT`, or `http://` on this machine, where nobody can listen; without a token anywhere.
    pub server: String,
    /// The token that says who asks; none asks as nobody.
    pub token: Option<String>,
    /// Whom to believe to be the control host.
    pub trust: Trust,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, token: _, trust } = self;
        f.debug_struct("Endpoint").field("server", server).field("trust", trust).finish_non_exhaustive()
    }
}

/// A client of a control host. Clones share their connections.
#[derive(Clone)]
pub struct RestClient(Arc<Inner>);

impl fmt::Debug for RestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestClient").field("server", &self.0.base.as_str()).finish_non_exhaustive()
    }
}

struct Inner {
    http: reqwest::Client,
    /// The URL of the server, which ends with a slash.
    base: Url,
    /// How long a control host that has answered before is waited for.
    patience: Duration,
    presence: Presence,
}

impl Inner {
    fn patience(&self) -> Duration {
        let reached = self.presence.was_reached();
        if reached { self.patience } else { self.patience.min(pace::FIRST_PATIENCE) }
    }
}

impl RestClient {
    /// A client of the control host there. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`] if the address or the token can be none, or the token would go to another machine
    /// unencrypted.
    pub fn new(endpoint: Endpoint) -> Result<Self> {
        let base = base(&endpoint.server)?;
        let http = http(&base, tls::config(&endpoint.trust)?, endpoint.token.as_deref())?;
        Ok(Self(Arc::new(Inner { http, base, patience: pace::PATIENCE, presence: Presence::default() })))
    }

    /// Where the control host is.
    pub fn server(&self) -> &str {
        self.0.base.as_str()
    }

    /// How long a control host that has answered before is waited for when it does no longer; a minute if not said.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        let Inner { http, base, .. } = &*self.0;
        Self(Arc::new(Inner { http: http.clone(), base: base.clone(), patience, presence: Presence::default() }))
    }

    /// Tell this one when a control host that has answered before is away for a while, and when it is back: else calls and
    /// streams wait for it and say nothing. Only the first listener is told.
    pub fn on_contact(&self, listener: impl Fn(Contact) + Send + Sync + 'static) {
        self.0.presence.listen(listener);
    }

    /// The URL of these steps below the API.
    fn url(&self, steps: &[&str]) -> Url {
        let mut url = self.0.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1"]).extend(steps);
        }
        url
    }

    /// What has landed of a job by now, and where it stands.
    async fn past(&self, job: JobId, watch: Watch) -> Result<BoxStream<'static, Result<JobEvent>>> {
        let client = self.clone();
        let state = async move { Ok(JobEvent::Finished(client.job(job).await?.state)) };
        let state = futures::stream::once(state);
        if !watch.runs {
            return Ok(state.boxed());
        }
        let query = RunsQuery { after: watch.after, logs: watch.logs, follow: false };
        let url = with_query(self.job_url(job, &["runs"]), &query)?;
        let runs = follow::lines::<Landed>(self.0.clone(), url).await?;
        let runs = runs.map_ok(|batches| futures::stream::iter(batches).map(|landed| Ok(JobEvent::Landed(landed))));
        Ok(runs.try_flatten().chain(state).boxed())
    }

    fn job_url(&self, job: JobId, steps: &[&str]) -> Url {
        let job = job.to_string();
        let steps: Vec<&str> = ["jobs", &job].into_iter().chain(steps.iter().copied()).collect();
        self.url(&steps)
    }
}

/// The address of a server, with a slash at its end.
fn base(server: &str) -> Result<Url> {
    let bad = |why: &str| {
        ApiError::new(ErrorKind::BadRequest, format!("{server:?} is no address of a control host: {why}"))
            .hint("it looks like https://host.example:4780")
    };
    let mut url = Url::parse(server).map_err(|error| bad("it is no URL").caused_by(error))?;
    match url.scheme() {
        "http" | "https" if !url.has_host() => Err(bad("it names no host")),
        "http" | "https" if url.query().is_some() || url.fragment().is_some() => Err(bad("it has a query")),
        "http" | "https" if !url.username().is_empty() || url.password().is_some() => Err(bad("it holds a name")),
        "http" | "https" => {
            if !url.path().ends_with('/') {
                let path = format!("{}/", url.path());
                url.set_path(&path);
            }
            Ok(url)
        }
        _ => Err(bad("it begins with neither https:// nor http://")),
    }
}

/// What speaks HTTP. Version 1.1: an upload on a connection of its own is faster than streams that share a window.
fn http(base: &Url, tls: rustls::ClientConfig, token: Option<&str>) -> Result<reqwest::Client> {
    let host = base.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    let mut headers = header::HeaderMap::new();
    if let Some(token) = token {
        if base.scheme() == "http" && !loopback {
            let message = format!("the token would go to {host} unencrypted, for whoever is on the way to read");
            return Err(ApiError::new(ErrorKind::BadRequest, message).hint("reach it over https"));
        }
        let value = header::HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value =
            value.map_err(|_| ApiError::new(ErrorKind::BadRequest, "the token has characters that no token has"))?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("pigeon/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .http1_only()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .tcp_keepalive(Duration::from_secs(15));
    if loopback {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| ApiError::new(ErrorKind::Internal, "failed to set up HTTP").caused_by(error))
}

/// A URL with this behind the `?`.
fn with_query<T: Serialize>(mut url: Url, query: &T) -> Result<Url> {
    let fields = serde_json::to_value(query);
    let fields =
        fields.map_err(|error| ApiError::new(ErrorKind::Internal, "failed to write a query").caused_by(error))?;
    let fields = fields.as_object().into_iter().flatten();
    for (name, value) in fields {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        url.query_pairs_mut().append_pair(name, &text);
    }
    Ok(url)
}

#[async_trait]
impl Pigeon for RestClient {
    async fn plugins(&self) -> Result<Vec<PluginInfo>> {
        Ok(self.0.document::<PluginList>(Call::get(self.url(&["plugins"]))).await?.plugins)
    }

    async fn plugin(&self, reference: &str) -> Result<PluginInfo> {
        self.0.document(Call::get(self.url(&["plugins", reference]))).await
    }

    async fn publish(&self, component: Bytes) -> Result<PluginInfo> {
        // It is kept by its digest: twice is once.
        self.0.document(Call::post(self.url(&["plugins"])).component(component).safe()).await
    }

    async fn submit(&self, mut request: JobRequest) -> Result<JobId> {
        let key = request.key.get_or_insert_with(|| JobId::new().to_string()).clone();
        let call = Call::post(self.url(&["jobs"])).key(key).json(&Submission::from(request))?;
        Ok(self.0.document::<Submitted>(call).await?.id)
    }

    async fn append(&self, job: JobId, chunk: Chunk) -> Result<()> {
        let url = self.job_url(job, &["chunks", &chunk.seq.to_string()]);
        self.0.done(Call::put(url).chunk(wire::encode_chunk(&chunk)).patient()).await
    }

    async fn seal(&self, job: JobId) -> Result<()> {
        self.0.done(Call::post(self.job_url(job, &["seal"])).safe()).await
    }

    async fn watch(&self, job: JobId, watch: Watch) -> Result<BoxStream<'static, Result<JobEvent>>> {
        if watch.past {
            return self.past(job, watch).await;
        }
        let mut url = self.job_url(job, &["watch"]);
        for (name, wanted) in [("runs", watch.runs), ("logs", watch.logs)] {
            if wanted {
                url.query_pairs_mut().append_pair(name, "true");
            }
        }
        follow::events(self.0.clone(), url, watch.after).await
    }

    async fn job(&self, job: JobId) -> Result<JobStatus> {
        self.0.document(Call::get(self.job_url(job, &[]))).await
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobSummary>> {
        let (mut left, mut query) = (filter.limit.unwrap_or(usize::MAX), JobsQuery::from(filter));
        let mut jobs = Vec::new();
        while left > 0 {
            query.limit = Some(left.min(MOST_PAGE));
            let page: JobPage = self.0.document(Call::get(with_query(self.url(&["jobs"]), &query)?)).await?;
            left = left.saturating_sub(page.jobs.len());
            jobs.extend(page.jobs);
            // A page that leads back to where it began would have no end.
            match page.next {
                Some(next) if query.before != Some(next) => query.before = Some(next),
                _ => break,
            }
        }
        Ok(jobs)
    }

    async fn job_ids(&self) -> Result<Vec<JobId>> {
        Ok(self.jobs(JobFilter::default()).await?.into_iter().map(|job| job.id).collect())
    }

    async fn results(&self, job: JobId) -> Result<BoxStream<'static, Result<Vec<ItemResult>>>> {
        follow::lines(self.0.clone(), self.job_url(job, &["results"])).await
    }

    async fn stop(&self, job: JobId, stop: Stop) -> Result<()> {
        let how = match stop {
            Stop::Pause => "pause",
            Stop::Cancel => "cancel",
        };
        self.0.done(Call::post(self.job_url(job, &[how])).safe()).await
    }

    async fn resume(&self, job: JobId) -> Result<ResumePoint> {
        self.0.document(Call::post(self.job_url(job, &["resume"])).safe()).await
    }

    async fn delete(&self, job: JobId) -> Result<()> {
        self.0.done(Call::delete(self.job_url(job, &[]))).await
    }

    async fn dead(&self, filter: DeadFilter, after: Option<DeadId>, limit: usize) -> Result<Vec<DeadLetter>> {
        let mut query = DeadQuery::new(filter, after, None);
        let mut dead = Vec::new();
        while dead.len() < limit {
            query.limit = Some((limit - dead.len()).min(MOST_PAGE));
            let page: DeadPage = self.0.document(Call::get(with_query(self.url(&["dead"]), &query)?)).await?;
            dead.extend(page.dead);
            match page.next {
                Some(next) if query.after != Some(next) => query.after = Some(next),
                _ => break,
            }
        }
        Ok(dead)
    }

    async fn dead_letter(&self, id: DeadId) -> Result<DeadDetail> {
        let document: DeadDocument = self.0.document(Call::get(self.url(&["dead", &id.to_string()]))).await?;
        Ok(document.into())
    }

    async fn retry_dead(&self, filter: DeadFilter) -> Result<u64> {
        let call = Call::post(self.url(&["dead", "retry"])).json(&DeadSelection::from(filter))?;
        Ok(self.0.document::<Count>(call).await?.count)
    }

    async fn discard_dead(&self, filter: DeadFilter) -> Result<u64> {
        let call = Call::post(self.url(&["dead", "discard"])).json(&DeadSelection::from(filter))?;
        Ok(self.0.document::<Count>(call).await?.count)
    }

    async fn plugin_limits(&self, name: &str) -> Result<PluginLimits> {
        self.0.document(Call::get(self.url(&["plugins", name, "limits"]))).await
    }

    async fn set_plugin_limits(&self, name: &str, limits: PluginLimits) -> Result<()> {
        self.0.done(Call::put(self.url(&["plugins", name, "limits"])).json(&limits)?).await
    }

    async fn schedules(&self) -> Result<Vec<ScheduleInfo>> {
        Ok(self.0.document::<ScheduleList>(Call::get(self.url(&["schedules"]))).await?.schedules)
    }

    async fn add_schedule(&self, spec: ScheduleSpec) -> Result<ScheduleInfo> {
        self.0.document(Call::post(self.url(&["schedules"])).json(&spec)?).await
    }

    async fn pause_schedule(&self, name: &str, paused: bool) -> Result<ScheduleInfo> {
        let how = if paused { "pause" } else { "resume" };
        self.0.document(Call::post(self.url(&["schedules", name, how])).safe()).await
    }

    async fn remove_schedule(&self, name: &str) -> Result<()> {
        self.0.done(Call::delete(self.url(&["schedules", name]))).await
    }

    async fn agents(&self) -> Result<Vec<AgentStatus>> {
        Ok(self.0.document::<AgentList>(Call::get(self.url(&["agents"]))).await?.agents)
    }

    async fn agent(&self, reference: &str) -> Result<AgentDetail> {
        self.0.document(Call::get(self.url(&["agents", reference]))).await
    }

    async fn drain_agent(&self, reference: &str, drained: bool) -> Result<AgentDetail> {
        let how = if drained { "drain" } else { "resume" };
        self.0.document(Call::post(self.url(&["agents", reference, how])).safe()).await
    }

    async fn revoke_agent(&self, reference: &str, why: &str) -> Result<AgentDetail> {
        let revocation = Revocation { why: why.to_owned() };
        self.0.document(Call::post(self.url(&["agents", reference, "revoke"])).safe().json(&revocation)?).await
    }

    async fn join_tokens(&self) -> Result<Vec<JoinTokenInfo>> {
        Ok(self.0.document::<JoinTokenList>(Call::get(self.url(&["agents", "tokens"]))).await?.tokens)
    }

    async fn revoke_join_token(&self, id: &str) -> Result<()> {
        self.0.done(Call::delete(self.url(&["agents", "tokens", id]))).await
    }

    async fn create_join_token(&self, spec: JoinSpec) -> Result<NewJoinToken> {
        self.0.document(Call::post(self.url(&["agents", "tokens"])).json(&spec)?).await
    }

    async fn tokens(&self) -> Result<Vec<TokenInfo>> {
        Ok(self.0.document::<TokenList>(Call::get(self.url(&["tokens"]))).await?.tokens)
    }

    async fn create_token(&self, spec: TokenSpec) -> Result<NewToken> {
        self.0.document(Call::post(self.url(&["tokens"])).json(&spec)?).await
    }

    async fn revoke_token(&self, name: &str) -> Result<()> {
        self.0.done(Call::delete(self.url(&["tokens", name]))).await
    }

    async fn status(&self) -> Result<HostStatus> {
        self.0.document(Call::get(self.url(&["status"]))).await
    }

    async fn stats(&self) -> Result<HostStats> {
        self.0.document(Call::get(self.url(&["stats"]))).await
    }

    async fn events(&self, filter: EventFilter, limit: usize) -> Result<Vec<Event>> {
        let mut query = EventsQuery::new(filter, None);
        let mut events = Vec::new();
        while events.len() < limit {
            query.limit = Some((limit - events.len()).min(MOST_PAGE));
            let page: EventPage = self.0.document(Call::get(with_query(self.url(&["events"]), &query)?)).await?;
            if page.events.is_empty() || page.next <= query.after {
                break;
            }
            query.after = page.next;
            events.extend(page.events);
        }
        Ok(events)
    }

    async fn last_events(&self, job: Option<JobId>, mut before: Option<u64>, limit: usize) -> Result<Vec<Event>> {
        let (mut pages, mut left) = (Vec::new(), limit);
        while left > 0 {
            let wanted = left.min(MOST_PAGE);
            let query = EventsQuery::last(job, before, wanted);
            let page: EventPage = self.0.document(Call::get(with_query(self.url(&["events"]), &query)?)).await?;
            let (first, told) = (page.events.first().map(|first| first.seq), page.events.len());
            pages.push(page.events);
            match first {
                // A page that leads back to where it began would have no end.
                Some(first) if told >= wanted && before.is_none_or(|before| first < before) => before = Some(first),
                _ => break,
            }
            left = left.saturating_sub(told);
        }
        Ok(pages.into_iter().rev().flatten().collect())
    }

    async fn follow_events(&self, filter: EventFilter) -> Result<BoxStream<'static, Result<Event>>> {
        let mut url = self.url(&["events", "stream"]);
        if let Some(job) = filter.job {
            url.query_pairs_mut().append_pair("job", &job.to_string());
        }
        follow::events(self.0.clone(), url, filter.after).await
    }

    async fn backup(&self) -> Result<BoxStream<'static, Result<Bytes>>> {
        let body = self.0.open(&Call::get(self.url(&["backup"])).silence(BACKUP)).await?;
        Ok(body.map_err(|trouble| trouble.error).boxed())
    }
}
