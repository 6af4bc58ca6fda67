//! Says what the guest can get at: what differs between two runs that should be alike, and what ought not to be there.

use std::fmt::Write;
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

use crate::answer;
use crate::bindings::pigeon::plugin::types::Judgement;
use crate::bindings::pigeon::plugin::{llm, run};
use crate::bindings::wasi::logging::logging::{Level, log};

/// Every source of chance and time, in the answer and in the log.
pub(crate) fn random() -> Judgement {
    use wasip2::clocks::{monotonic_clock, wall_clock};
    use wasip2::random::{insecure, insecure_seed, random};

    let mut said = String::new();
    let mut say = |what: &str, value: String| {
        log(Level::Info, "random", &format!("{what} {value}"));
        println!("{what} {value}");
        // Writing to a string does not fail.
        let _ = writeln!(said, "{what} {value}");
    };
    say("run", format!("{} {} {}", run::iteration(), run::worker(), run::seed()));
    say("random", format!("{:?}", random::get_random_bytes(16)));
    say("random-u64", random::get_random_u64().to_string());
    say("insecure", format!("{:?}", insecure::get_insecure_random_bytes(16)));
    say("insecure-seed", format!("{:?}", insecure_seed::insecure_seed()));
    let wall = wall_clock::now();
    say("wall", format!("{}.{:09}", wall.seconds, wall.nanoseconds));
    say("monotonic", format!("{} {}", monotonic_clock::now(), monotonic_clock::now()));
    monotonic_clock::subscribe_duration(5_000_000).block();
    say("monotonic-later", monotonic_clock::now().to_string());
    let wall = wall_clock::now();
    say("wall-later", format!("{}.{:09}", wall.seconds, wall.nanoseconds));
    let order: std::collections::HashSet<u32> = (0..16).collect();
    say("hash-order", format!("{order:?}"));
    answer::says("random", said)
}

/// What there is of the world outside: nothing, it is hoped. One line each; `none` or the error where there is none.
pub(crate) fn peek() -> Judgement {
    let mut said = String::new();
    let mut say = |what: &str, found: String| {
        // Writing to a string does not fail.
        let _ = writeln!(said, "{what}: {found}");
    };
    say("arguments", format!("{:?}", std::env::args().collect::<Vec<_>>()));
    say("variables", format!("{:?}", std::env::vars().collect::<Vec<_>>()));
    say("preopens", wasip2::filesystem::preopens::get_directories().len().to_string());
    say("read", told(std::fs::read("/etc/hostname").map(|bytes| bytes.len())));
    say("write", told(std::fs::write("/hostile", "x")));
    say("connect", told(TcpStream::connect("127.0.0.1:80").map(drop)));
    say("metadata", told(TcpStream::connect("169.254.169.254:80").map(drop)));
    say("listen", told(TcpListener::bind("127.0.0.1:0").map(drop)));
    say("udp", told(UdpSocket::bind("127.0.0.1:0").map(drop)));
    say("resolve", told("localhost:80".to_socket_addrs().map(Iterator::count)));
    say("stdin", told(std::io::read_to_string(std::io::stdin())));
    answer::says("peek", said)
}

/// What the model server says to a plugin that may not, or may, ask it.
pub(crate) fn ask_llm() -> Judgement {
    let request = llm::GenerateRequest::new("none", "hello");
    let said = format!("models: {:?}\ngenerate: {:?}", llm::models().map(|models| models.len()), request.send());
    answer::says("llm", said)
}

fn told<T: std::fmt::Debug, E: std::fmt::Display>(result: Result<T, E>) -> String {
    match result {
        Ok(found) => format!("{found:?}"),
        Err(error) => format!("error: {error}"),
    }
}
