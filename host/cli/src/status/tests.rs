use std::collections::BTreeMap;

use pigeon_api::{QueueStatus, Throughput};

use super::*;
use crate::samples::{EVIL, NOW, assert_harmless, long, view};

fn agent(name: &str, state: AgentState, health: Health) -> AgentStatus {
    let reasons = if health == Health::Good { Vec::new() } else { vec!["12 of its last 100 runs failed".to_owned()] };
    AgentStatus {
        id: "00112233".to_owned(),
        name: name.to_owned(),
        state,
        since_ms: NOW - 3_600_000,
        address: "10.1.2.3:4781".to_owned(),
        version: "0.1.0".to_owned(),
        slots: 8,
        leases: 3,
        heard_ms: NOW - 900,
        runs: 123_456,
        failures: 12,
        health,
        reasons,
        labels: vec!["arch=x86_64".to_owned()],
        computing: 2,
        waiting: 1,
        rss: 90 << 20,
    }
}

fn busy() -> HostStatus {
    HostStatus {
        version: "0.1.0".to_owned(),
        started_ms: NOW - 7_200_000,
        now_ms: NOW,
        jobs: BTreeMap::from([("sealed".to_owned(), 3), ("paused".to_owned(), 1), ("finished".to_owned(), 1200)]),
        queue: QueueStatus { runs: 1_234_567, paused: 1000, leases: 24, oldest_ms: 185_000 },
        throughput: Throughput {
            step_ms: 10_000,
            runs: vec![0, 10, 40, 900, 500, 1000],
            failures: vec![0, 0, 1, 0, 0, 2],
        },
        dead: 17,
        plugins: 4,
        agents: vec![
            agent("north-1", AgentState::Ready, Health::Good),
            agent("north-2", AgentState::Ready, Health::Warning),
            agent("south-1", AgentState::Away, Health::Bad),
        ],
        disk_bytes: 3 << 30,
    }
}

fn idle() -> HostStatus {
    let (queue, throughput) = (QueueStatus::default(), Throughput::default());
    HostStatus { jobs: BTreeMap::new(), agents: Vec::new(), dead: 0, queue, throughput, ..busy() }
}

#[test]
fn a_busy_host_at_several_widths() {
    for width in [40, 80, 140] {
        let text = table(&busy(), width == 140, false, &view(width));
        assert_harmless(&text, width);
        insta::assert_snapshot!(format!("busy_{width}"), text);
    }
}

#[test]
fn an_idle_host_says_what_to_do() {
    insta::assert_snapshot!(table(&idle(), false, false, &view(80)));
    let local = table(&idle(), false, true, &view(80));
    let hints = "\n\nno server is in use: pigeon up starts one on this machine, with agents\n\
                 for one elsewhere: pigeon context add NAME --server URL --token-file FILE --use\n";
    assert!(local.ends_with(hints), "{local}");
}

#[test]
fn runs_that_nobody_can_take_are_a_warning() {
    let paint = Paint::for_stream(Colours::Always, &std::io::stdout());
    let painted = |status: &HostStatus| table(status, false, false, &View { paint, ..view(80) });
    let mut status = idle();
    let warned = |text: &str| text.contains(&paint.warn("5 runs to do, 0 leases under way"));
    status.queue.runs = 5;
    assert!(warned(&painted(&status)));
    status.agents = vec![agent("a", AgentState::Ready, Health::Good)];
    assert!(!warned(&painted(&status)));
}

#[test]
fn hostile_names_steer_nothing() {
    let mut status = busy();
    status.version = long();
    status.jobs.insert(EVIL.to_owned(), 1);
    for agent in &mut status.agents {
        (agent.name, agent.address, agent.version) = (long(), long(), EVIL.to_owned());
        agent.reasons = vec![long(), EVIL.to_owned()];
    }
    for width in [20, 40, 80, 200] {
        assert_harmless(&table(&status, true, false, &view(width)), width);
    }
}

#[test]
fn times_are_by_the_hosts_clock() {
    let mut late = view(80);
    late.moment = late.moment.at(NOW + 86_400_000);
    assert_eq!(table(&busy(), false, false, &late), table(&busy(), false, false, &view(80)));
}
