//! Figures for Prometheus: what the API counts itself, and what the control host tells.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{
        EncodeLabelSet,
        text::{encode_eof, encode_registry},
    },
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::Registry,
};

use crate::Metrics;

/// What is written, as a media type.
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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

/// What the API counts.
pub(super) struct Figures {
    registry: Mutex<Registry>,
    times: Family<Route, Histogram, fn() -> Histogram>,
    answers: Family<Answered, Counter>,
    under_way: Gauge,
    turned_away: Counter,
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
            turned_away: Counter::default(),
        };
        let mut registry = figures.registry();
        registry.register(
            "request_duration_seconds",
            "Time to the first byte of the answer, by route",
            figures.times.clone(),
        );
        registry.register("requests", "Requests, by route and answer", figures.answers.clone());
        registry.register("requests_in_flight", "Requests whose answer has not begun", figures.under_way.clone());
        registry.register("turned_away", "Requests that there was no room for", figures.turned_away.clone());
        drop(registry);
        figures
    }
}

impl Figures {
    pub(super) fn begin(&self) -> UnderWay {
        self.under_way.inc();
        UnderWay(self.under_way.clone())
    }

    pub(super) fn turned_away(&self) {
        self.turned_away.inc();
    }

    pub(super) fn answered(&self, method: &str, route: String, status: u16, time: Duration) {
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        self.times.get_or_create(&Route { method, route: route.clone() }).observe(time.as_secs_f64());
        self.answers.get_or_create(&Answered { method, route, status }).inc();
    }

    /// All of it as text, with what the control host tells.
    ///
    /// # Errors
    /// None: a string takes whatever is written.
    pub(super) fn scrape(&self, metrics: &Metrics) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(16 << 10);
        encode_registry(&mut text, &host(metrics))?;
        encode_registry(&mut text, &self.registry())?;
        encode_eof(&mut text)?;
        Ok(text)
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the control host tells. Made anew each time: it is all there already.
fn host(metrics: &Metrics) -> Registry {
    let Metrics { queue, hub, .. } = metrics;
    let mut host = Host(Registry::with_prefix("pigeon"));
    host.0.register("build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    host.gauge("start_time_seconds", "When it started, since 1970", (metrics.started_ms / 1000).unsigned_abs());

    host.counter("jobs_submitted", "Jobs that were submitted", metrics.submitted);
    host.counter("items_appended", "Items that were appended", metrics.items);
    host.counter("item_bytes_appended", "Bytes of their bodies", metrics.item_bytes);
    host.counters(
        "runs",
        "Runs that were recorded, by verdict",
        "verdict",
        ["valid", "invalid", "failure"],
        metrics.runs,
    );
    host.counter("runs_retried", "Attempts that are followed by another", metrics.retried);
    host.counter("leases_given", "Leases that were given to agents", metrics.leased);

    let jobs = [metrics.jobs_active, metrics.jobs_paused];
    host.gauges("jobs", "Jobs that are not finished, by state", "state", ["active", "paused"], jobs);
    host.gauge("queue_runs", "Runs without an outcome, of all jobs that are not finished", queue.runs);
    host.gauge("queue_runs_paused", "Of those, runs of paused jobs", queue.paused);
    host.gauge("queue_leases", "Leases that agents hold", queue.leases);
    host.gauge("queue_oldest_milliseconds", "Age of the oldest job that has runs and is not paused", queue.oldest_ms);
    host.gauge("queue_commands_waiting", "Commands that wait for the owner of the queue", metrics.commands_waiting);
    host.gauge("dead_letters", "Dead letters that nobody has retried or discarded", metrics.dead);

    host.gauges("agents", "Agents, by state", "state", ["ready", "draining", "away"], metrics.agents);
    host.gauge("agent_slots", "Slots of the agents that are in", metrics.slots);
    host.counter("agent_sessions", "Sessions of agents that were welcomed", hub.joined);
    host.counter("agent_certificates", "Certificates of agents that were issued or renewed", hub.enrolled);
    host.counter("agent_connections_refused", "Connections of agents that were refused", hub.refused);
    host.counter("agent_sessions_broken", "Sessions that ended as their agent broke the protocol", hub.misbehaved);

    host.gauge("state_bytes", "Bytes that the state directory takes", metrics.disk_bytes);
    host.gauge("state_free_bytes", "Bytes that are free on its disk", metrics.disk_free);
    host.0
}

struct Host(Registry);

impl Host {
    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        let gauge = Gauge::<i64, AtomicI64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        self.0.register(name, help, gauge);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        let counter = Counter::<u64, AtomicU64>::default();
        counter.inc_by(value);
        self.0.register(name, help, counter);
    }

    fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        of: [&'static str; N],
        values: [u64; N],
    ) {
        let family = Family::<[(&'static str, &'static str); 1], Gauge>::default();
        for (of, value) in of.into_iter().zip(values) {
            family.get_or_create(&[(label, of)]).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        self.0.register(name, help, family);
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        of: [&'static str; N],
        values: [u64; N],
    ) {
        let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
        for (of, value) in of.into_iter().zip(values) {
            family.get_or_create(&[(label, of)]).inc_by(value);
        }
        self.0.register(name, help, family);
    }
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
        figures.turned_away();
        let metrics = Metrics { runs: [5, 3, 2], agents: [1, 0, 4], dead: 7, ..Metrics::default() };
        let text = figures.scrape(&metrics).unwrap();
        for line in [
            r#"pigeon_runs_total{verdict="invalid"} 3"#,
            r#"pigeon_agents{state="away"} 4"#,
            "pigeon_dead_letters 7",
            "pigeon_http_requests_in_flight 1",
            "pigeon_http_turned_away_total 1",
        ] {
            assert!(text.lines().any(|told| told == line), "no {line:?} in\n{text}");
        }
        assert!(text.contains("pigeon_http_request_duration_seconds_bucket{le="), "{text}");
        assert!(text.contains(r#"method="other""#), "{text}");
        assert!(text.ends_with("# EOF\n"));
        drop(under_way);
        assert!(figures.scrape(&metrics).unwrap().contains("pigeon_http_requests_in_flight 0"));
    }
}
