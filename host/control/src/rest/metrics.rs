//! Figures for Prometheus: what the API counts itself, and what the control host tells.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use pigeon_hub::Offence;
use pigeon_store::COMMIT_BOUNDS;
use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet,
        text::{encode_eof, encode_registry},
    },
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::Metrics;

/// What is written, as a media type.
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Sorts of requests that have room of their own.
const SORTS: [&str; 3] = ["requests", "streams", "uploads"];

/// Methods that are told apart; a client may send any word as one.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Full {
    reason: &'static str,
}

/// What the API counts.
pub(super) struct Figures {
    registry: Mutex<Registry>,
    times: Family<Route, Histogram, fn() -> Histogram>,
    answers: Family<Answered, Counter>,
    under_way: Gauge,
    turned_away: Family<Full, Counter>,
}

/// A request is under way as long as this is there.
pub(super) struct UnderWay(Gauge);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Figures {
    fn default() -> Self {
        // From a quarter of a millisecond to half a minute.
        let times: Family<_, _, fn() -> _> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_25, 2.0, 18)));
        let figures = Self {
            registry: Mutex::new(Registry::with_prefix("pigeon_http")),
            times,
            answers: Family::default(),
            under_way: Gauge::default(),
            turned_away: Family::default(),
        };
        let mut registry = figures.registry();
        registry.register(
            "request_duration_seconds",
            "Time to the first byte of the answer, by route",
            figures.times.clone(),
        );
        registry.register("requests", "Requests, by route and answer", figures.answers.clone());
        registry.register("requests_in_flight", "Requests whose answer has not begun", figures.under_way.clone());
        registry.register(
            "turned_away",
            "What there was no room for, by what there was too much of",
            figures.turned_away.clone(),
        );
        drop(registry);
        figures
    }
}

impl Figures {
    pub(super) fn begin(&self) -> UnderWay {
        self.under_way.inc();
        UnderWay(self.under_way.clone())
    }

    /// There was too much of this, in a word.
    pub(super) fn turned_away(&self, reason: &'static str) {
        self.turned_away.get_or_create(&Full { reason }).inc();
    }

    pub(super) fn answered(&self, method: &str, route: String, status: u16, time: Duration) {
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        self.times.get_or_create(&Route { method, route: route.clone() }).observe(time.as_secs_f64());
        self.answers.get_or_create(&Answered { method, route, status }).inc();
    }

    /// All of it as text, with what the control host tells and how much of the room there is for requests is taken.
    ///
    /// # Errors
    /// None: a string takes whatever is written.
    pub(super) fn scrape(&self, metrics: Metrics, room: Room) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(16 << 10);
        let mut host = Registry::with_prefix("pigeon");
        host.register_collector(Box::new(Host(metrics, room)));
        encode_registry(&mut text, &host)?;
        encode_registry(&mut text, &self.registry())?;
        encode_eof(&mut text)?;
        Ok(text)
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much room there is for requests, and how much of it is taken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    /// Requests, streams and uploads that may be under way at once.
    pub(super) most: [u64; 3],
    /// Those that are.
    pub(super) taken: [u64; 3],
    /// Bytes that bodies may take in memory together.
    pub(super) memory: u64,
    /// Bytes that are reserved for them.
    pub(super) memory_taken: u64,
}

/// What the control host tells. Nothing of it is kept here: it is all there already.
#[derive(Debug)]
struct Host(Metrics, Room);

impl Collector for Host {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(metrics, room) = self;
        let Metrics { queue, hub, .. } = metrics;
        let mut told = Told(encoder);
        told.0
            .encode_descriptor("build", "The program", None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        told.gauge("start_time_seconds", "When it started, since 1970", metrics.started_ms as f64 / 1e3)?;

        told.counter("jobs_submitted", "Jobs that were submitted", metrics.submitted)?;
        told.counter("items_appended", "Items that were appended", metrics.items)?;
        told.counter("items_appended_bytes", "Bytes of their bodies", metrics.item_bytes)?;
        let verdicts = ["valid", "invalid", "failure"];
        told.counters("runs", "Runs that were recorded, by verdict", "verdict", verdicts, metrics.runs)?;
        let why = ["stale", "duplicate", "not_leased"];
        told.counters("outcomes_refused", "Outcomes that were refused, by why", "reason", why, metrics.refused)?;
        told.counter("runs_retried", "Attempts that are followed by another", metrics.retried)?;
        told.counter("leases_given", "Leases that were given to agents", metrics.leased)?;

        let jobs = [metrics.jobs_active, metrics.jobs_paused];
        told.gauges("jobs", "Jobs that are not finished, by state", "state", ["active", "paused"], jobs)?;
        told.gauge("queue_runs", "Runs without an outcome, of all jobs that are not finished", queue.runs)?;
        told.gauge("queue_runs_paused", "Of those, runs of paused jobs", queue.paused)?;
        told.gauge("queue_leases", "Leases that agents hold", queue.leases)?;
        let oldest = queue.oldest_ms as f64 / 1e3;
        told.gauge(
            "queue_oldest_seconds",
            "Age of the oldest run without an outcome, of jobs that are not paused",
            oldest,
        )?;
        told.gauge(
            "queue_commands_waiting",
            "Commands that wait for the owner of the queue",
            metrics.commands_waiting,
        )?;
        told.gauge("dead_letters", "Dead letters that nobody has retried or discarded", metrics.dead)?;

        let states = ["ready", "draining", "drained", "away", "revoked"];
        told.gauges("agents", "Agents, by state", "state", states, metrics.agents)?;
        told.gauge("agent_slots", "Slots of the agents that are in", metrics.slots)?;
        told.counter("agent_sessions", "Sessions of agents that were welcomed", hub.joined)?;
        told.counter("agent_certificates", "Certificates of agents that were issued or renewed", hub.enrolled)?;
        told.counter("agent_connections_refused", "Connections of agents that were refused", hub.refused)?;
        told.counter("agent_sessions_broken", "Sessions that ended as their agent broke the protocol", hub.misbehaved)?;

        let offences = Offence::ALL.map(|offence| hub.offences.of(offence));
        told.counters(
            "agent_offences",
            "What those who connect as agents were refused, cut off or told of for, by what it was",
            "reason",
            Offence::ALL.map(Offence::name),
            offences,
        )?;

        let commits = &metrics.commits;
        let buckets: Vec<(f64, u64)> = COMMIT_BOUNDS.into_iter().zip(commits.counts).collect();
        let buckets = [&buckets[..], &[(f64::INFINITY, commits.longer)]].concat();
        told.0
            .encode_descriptor(
                "store_commit_duration_seconds",
                "Time until changes are on disk, some together",
                None,
                MetricType::Histogram,
            )?
            .encode_histogram::<NoLabelSet>(commits.time.as_secs_f64(), commits.count(), &buckets, None)?;
        told.gauge("state_bytes", "Bytes that the state directory takes", metrics.disk_bytes)?;
        told.gauge("state_free_bytes", "Bytes that are free on its disk", metrics.disk_free)?;

        told.gauges("http_room", "Requests that may be under way at once, by sort", "sort", SORTS, room.most)?;
        told.gauges("http_room_taken", "Those that are under way, by sort", "sort", SORTS, room.taken)?;
        told.gauge("http_body_memory_bytes", "Bytes that requests' bodies may take in memory", room.memory)?;
        told.gauge("http_body_memory_taken_bytes", "Bytes that are reserved for them", room.memory_taken)
    }
}

struct Told<'a>(DescriptorEncoder<'a>);

impl Told<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        of: [&str; N],
        values: [u64; N],
    ) -> fmt::Result {
        let mut gauges = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        let each = of.into_iter().zip(values);
        each.into_iter().try_for_each(|(of, value)| gauges.encode_family(&[(label, of)])?.encode_gauge(&value))
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        count(&mut self.0.encode_descriptor(name, help, None, MetricType::Counter)?, value)
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        of: [&str; N],
        values: [u64; N],
    ) -> fmt::Result {
        let mut counters = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        let mut each = of.into_iter().zip(values);
        each.try_for_each(|(of, value)| count(&mut counters.encode_family(&[(label, of)])?, value))
    }
}

/// Without an exemplar.
fn count(encoder: &mut MetricEncoder<'_>, value: u64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_and_what_was_counted_stand_in_one_text() {
        let figures = Figures::default();
        let under_way = figures.begin();
        figures.answered("GET", "/api/v1/jobs".to_owned(), 200, Duration::from_millis(3));
        figures.answered("BREW", "none".to_owned(), 405, Duration::from_millis(3));
        figures.turned_away("memory");
        let queue = pigeon_api::QueueStatus { oldest_ms: 1500, ..Default::default() };
        let mut commits = pigeon_store::Commits { longer: 1, time: Duration::from_millis(5004), ..Default::default() };
        commits.counts[3] = 1;
        let metrics = Metrics {
            runs: [5, 3, 2],
            refused: [6, 8, 9],
            agents: [1, 0, 0, 4, 0],
            dead: 7,
            queue,
            commits,
            ..Metrics::default()
        };
        let text = figures.scrape(metrics.clone(), Room::default()).unwrap();
        for line in [
            r#"pigeon_runs_total{verdict="invalid"} 3"#,
            r#"pigeon_outcomes_refused_total{reason="stale"} 6"#,
            r#"pigeon_outcomes_refused_total{reason="not_leased"} 9"#,
            r#"pigeon_agent_offences_total{reason="no_certificate"} 0"#,
            r#"pigeon_agents{state="away"} 4"#,
            "pigeon_dead_letters 7",
            "pigeon_http_requests_in_flight 1",
            r#"pigeon_http_turned_away_total{reason="memory"} 1"#,
            r#"pigeon_http_room_taken{sort="streams"} 0"#,
            "pigeon_queue_oldest_seconds 1.5",
            r#"pigeon_store_commit_duration_seconds_bucket{le="0.004"} 1"#,
            r#"pigeon_store_commit_duration_seconds_bucket{le="+Inf"} 2"#,
            "pigeon_store_commit_duration_seconds_sum 5.004",
        ] {
            assert!(text.lines().any(|told| told == line), "no {line:?} in\n{text}");
        }
        assert!(text.contains("pigeon_http_request_duration_seconds_bucket{le="), "{text}");
        assert!(text.contains(r#"method="other""#), "{text}");
        assert!(text.ends_with("# EOF\n"));
        drop(under_way);
        assert!(figures.scrape(metrics, Room::default()).unwrap().contains("pigeon_http_requests_in_flight 0"));
    }
}
