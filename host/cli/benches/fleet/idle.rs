//! What agents cost a server that has nothing for them to do.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    Sizes,
    agents::{Group, enrol_all},
    server::Server,
    sleeper::Diary,
};

/// A fleet that is connected: the groups are those that will vanish, those that will hang up, and those that stay.
pub(crate) struct Fleet {
    pub(crate) server: Server,
    pub(crate) diary: Arc<Diary>,
    pub(crate) groups: [Group; 3],
}

/// How long the server's own CPU time is measured.
const ALONE: Duration = Duration::from_secs(5);

pub(crate) fn bench(sizes: &Sizes) -> Fleet {
    let server = Server::start(sizes.beat);
    let begun = Instant::now();
    let (hub, mut identities) = enrol_all(&server, sizes.agents);
    let rate = sizes.agents as f64 / begun.elapsed().as_secs_f64();
    println!(
        "enrolment                    {rate:>8.0} agents/s: key, handshake and certificate, both ends on this machine"
    );

    let diary = Arc::new(Diary::default());
    let alone = server.settled_rss();
    let idle = cpu_share(&server, ALONE);
    println!("resident, no agent connected {alone:>8} KiB, and {:.2} ms of CPU a second", idle * 1e3);
    let mut groups = [0, 1, 2].map(Group::new);
    // A quarter, a half, and all of them; nobody is in two groups.
    let mut left = [sizes.vanish, sizes.vanish, sizes.agents - 2 * sizes.vanish];
    let (mut connected, mut seen) = (0, Vec::new());
    for until in [sizes.agents / 4, sizes.agents / 2, sizes.agents] {
        let (begun, before, cpu) = (Instant::now(), connected, server.cpu());
        for (group, left) in groups.iter_mut().zip(&mut left) {
            let count = (*left).min(until - connected);
            group.connect(hub, identities.split_off(identities.len() - count), &diary);
            (*left, connected) = (*left - count, connected + count);
        }
        let (rate, cpu) = ((connected - before) as f64 / begun.elapsed().as_secs_f64(), server.cpu() - cpu);
        let rss = server.settled_rss();
        println!(
            "resident, {connected:>4} agents       {rss:>8} KiB; they came at {rate:.0} handshakes/s, {:.0} us of the server's CPU each",
            cpu.as_secs_f64() * 1e6 / (connected - before) as f64
        );
        seen.push((connected as f64, rss as f64));
    }
    println!("growth per idle agent        {:>8.1} KiB, the slope of these; at most 50 wanted", slope(&seen));

    let (beats, begun) = (diary.beats.load(Relaxed), Instant::now());
    let share = cpu_share(&server, sizes.idle) - idle;
    let beats = (diary.beats.load(Relaxed) - beats) as f64 / begun.elapsed().as_secs_f64();
    println!(
        "a heartbeat                  {:>8.1} us of the server's CPU, at {beats:.0} beats/s: {:.1} % of a core",
        share / beats * 1e6,
        share * 100.0
    );
    Fleet { server, diary, groups }
}

/// How much of a core the server takes.
fn cpu_share(server: &Server, span: Duration) -> f64 {
    let (cpu, begun) = (server.cpu(), Instant::now());
    sleep(span);
    (server.cpu() - cpu).as_secs_f64() / begun.elapsed().as_secs_f64()
}

/// Of the line that is nearest to these points, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let up: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    up / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}
