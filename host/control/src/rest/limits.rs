//! What clients may take of the control host.

use std::time::Duration;

/// Bounds of the API. Each has a default for a host with some GiB of memory.
#[derive(Debug, Clone)]
pub struct RestLimits {
    /// Connections at once; more are closed as they come.
    pub connections: usize,
    /// Requests under way at once that are answered soon; more are answered 429.
    pub requests: usize,
    /// Requests at once that may go on for long: streams, waits; more are answered 429. A token may have a quarter of them.
    pub streams: usize,
    /// Uploads at once; more are answered 429.
    pub uploads: usize,
    /// Bytes of requests' bodies in memory at once, of all requests; more are answered 429.
    pub memory: usize,
    /// Size of a request's body in JSON, in bytes.
    pub json: usize,
    /// Size of a chunk, in bytes.
    pub chunk: usize,
    /// Size of a line of an upload by lines, in bytes: an item.
    pub line: usize,
    /// Size of a plugin's component, in bytes.
    pub component: usize,
    /// From the first byte of a request to the last of its header; also for a connection's first bytes.
    pub header_time: Duration,
    /// Silence within a request's body, and of a client that does not read its answer.
    pub silence: Duration,
    /// Bytes a second that a body of bounded size has to come with, after the time of a silence.
    pub least_rate: u64,
    /// How long a chunk waits while much of what came before is not judged; then it is answered 429.
    pub append_wait: Duration,
    /// How often a stream of events says that it is still there.
    pub keep_alive: Duration,
}

impl Default for RestLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            requests: 1024,
            streams: 512,
            uploads: 256,
            memory: 512 << 20,
            json: 16 << 20,
            // An item of the usual bound, and what is around it.
            chunk: (64 << 20) + (2 << 20),
            line: 64 << 20,
            component: 128 << 20,
            header_time: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            least_rate: 16 << 10,
            append_wait: Duration::from_secs(20),
            keep_alive: Duration::from_secs(15),
        }
    }
}
