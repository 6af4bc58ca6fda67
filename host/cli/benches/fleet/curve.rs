//! How much more agents do than one.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use crate::{
    Sizes,
    agents::{Group, enrol_all},
    server::Server,
    sleeper::Diary,
};

pub(crate) fn bench(sizes: &Sizes) {
    let server = Server::start(sizes.beat);
    let diary = Arc::new(Diary::default());
    let most = sizes.curve.iter().copied().max().unwrap_or(0);
    let (hub, mut identities) = enrol_all(&server, most);
    let mut group = Group::new(0);
    let mut points: Vec<Vec<f64>> = vec![Vec::new(); sizes.runs.len()];
    for (number, &count) in sizes.curve.iter().enumerate() {
        group.connect(hub, identities.split_off(most - count), &diary);
        if number == 0 {
            // A job that is not measured: the first of a server's life meets cold caches.
            diary.run_us.store(1000, Relaxed);
            server.finish(server.submit(500), 500);
        }
        for (&length, points) in sizes.runs.iter().zip(&mut points) {
            diary.run_us.store(length * 1000, Relaxed);
            let items = (count as f64 * sizes.span.as_secs_f64() * 1e3 / length as f64) as usize;
            let begun = Instant::now();
            let job = server.submit(items);
            server.finish(job, items);
            points.push(items as f64 / begun.elapsed().as_secs_f64());
        }
    }
    println!("runs/s from the submission over REST to the end of the job, and that against one agent:");
    let heads: Vec<String> = sizes.curve.iter().map(|count| format!("{count:>16}")).collect();
    println!("agents of one slot {}", heads.concat());
    for (length, points) in sizes.runs.iter().zip(&points) {
        let row = points.iter().map(|rate| format!("{:>16}", format!("{rate:.0} {:.2}x", rate / points[0])));
        println!("runs of {length:>3} ms      {}", row.collect::<String>());
    }
}
