//! A fleet on one machine: `pigeon serve` as a process of its own, and in this one many agents, each with its own
//! certificate, socket and QUIC connection. They are the daemon's library, whose runs sleep instead of computing: so two cores
//! carry a thousand of them, and what is measured is the server.
//!
//!     cargo bench -p pigeon --bench fleet [-- idle|vanish|curve]
//!
//! Takes about two minutes. The environment sets the sizes; what is not said is as here:
//!
//! | variable | means | |
//! |---|---|---|
//! | `FLEET_AGENTS` | agents at once | 1000 |
//! | `FLEET_VANISH` | of them, those that vanish at once, and after them those that hang up at once | 300 |
//! | `FLEET_BEAT` | time between two beats of an agent, in milliseconds; a server's own is 5,000 | 1000 |
//! | `FLEET_IDLE` | how long the cost of beats is measured, in seconds | 15 |
//! | `FLEET_CURVE` | numbers of agents of the curve | 1,2,4,8,16 |
//! | `FLEET_RUNS` | how long a run of the curve takes, in milliseconds | 1,5,20 |
//! | `FLEET_SPAN` | how long a point of the curve should take, in seconds | 4 |
//! | `FLEET_SERVER` | the `pigeon` that serves | the one that was built |
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that fails may panic")]

mod agents;
mod curve;
mod idle;
mod server;
mod sleeper;
mod vanish;

use std::{str::FromStr, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Sizes, from the environment.
struct Sizes {
    agents: usize,
    vanish: usize,
    beat: Duration,
    idle: Duration,
    curve: Vec<usize>,
    runs: Vec<u64>,
    span: Duration,
}

fn main() {
    // `cargo test --benches` runs this without `--bench`: then it only has to build.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    // A socket each, and the usual limit is a thousand files.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let sizes = Sizes {
        agents: number("FLEET_AGENTS", 1000),
        vanish: number("FLEET_VANISH", 300),
        beat: Duration::from_millis(number("FLEET_BEAT", 1000)),
        idle: Duration::from_secs(number("FLEET_IDLE", 15)),
        curve: numbers("FLEET_CURVE", &[1, 2, 4, 8, 16]),
        runs: numbers("FLEET_RUNS", &[1, 5, 20]),
        span: Duration::from_secs(number("FLEET_SPAN", 4)),
    };
    if wants("idle") || wants("vanish") {
        let fleet = idle::bench(&sizes);
        if wants("vanish") {
            vanish::bench(&sizes, fleet);
        }
    }
    if wants("curve") {
        curve::bench(&sizes);
    }
}

fn number<T: FromStr<Err: std::fmt::Debug>>(name: &str, usual: T) -> T {
    std::env::var(name).map_or(usual, |text| text.parse().expect(name))
}

fn numbers<T: FromStr<Err: std::fmt::Debug> + Copy>(name: &str, usual: &[T]) -> Vec<T> {
    let list = |text: String| text.split(',').map(|number| number.trim().parse().expect(name)).collect();
    std::env::var(name).map_or_else(|_| usual.to_vec(), list)
}
