//! Many agents gone at once, in the midst of a job: until the server knows, until others have their runs, until those
//! are done.

use std::{
    collections::HashMap,
    sync::atomic::Ordering::Relaxed,
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use futures::StreamExt as _;
use pigeon_api::{EventFilter, EventKind, Pigeon as _};

use crate::{Sizes, idle::Fleet, server::Server, sleeper::Diary};

/// How long a run takes: longer than a batch should, so that a lease is a run.
const RUN: Duration = Duration::from_secs(1);

/// How long the whole fleet works before some of it is gone.
const BEFORE: Duration = Duration::from_secs(3);

pub(crate) fn bench(sizes: &Sizes, fleet: Fleet) {
    let Fleet { server, diary, groups: [vanishing, mut hanging_up, _staying] } = fleet;
    diary.run_us.store(RUN.as_micros() as u64, Relaxed);
    diary.writes.store(true, Relaxed);
    // Enough for nobody to be idle until it is over, for who is idle gets copies of what others have.
    let (all, most) = (sizes.agents, sizes.agents - sizes.vanish);
    let lost = (sizes.beat * 3).as_secs() as usize;
    let items = all * BEFORE.as_secs() as usize + most * (lost + 5) + (most - sizes.vanish) * 5;
    let job = server.submit(items);
    sleep(BEFORE);

    let moment = Moment::now(&server);
    vanishing.vanish();
    moment.tell(&server, &diary, 0, sizes.vanish, "vanished");
    let moment = Moment::now(&server);
    hanging_up.hang_up();
    moment.tell(&server, &diary, 1, sizes.vanish, "hung up");
    server.finish(job, items);
    println!("each of {items} runs has one outcome");
}

/// When agents went.
struct Moment {
    at: Instant,
    wall_ms: i64,
    /// The last event before it.
    event: u64,
}

impl Moment {
    fn now(server: &Server) -> Self {
        let last = server.runtime.block_on(server.client.last_events(None, None, 1)).unwrap();
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Self { at: Instant::now(), wall_ms: wall.as_millis() as i64, event: last.last().map_or(0, |event| event.seq) }
    }

    fn tell(&self, server: &Server, diary: &Diary, group: usize, count: usize, how: &str) {
        let known: Vec<f64> = server.runtime.block_on(async {
            let filter = EventFilter { after: self.event, ..EventFilter::default() };
            let gone = server.client.follow_events(filter).await.unwrap().filter_map(async |event| {
                let event = event.unwrap();
                let gone = matches!(event.kind, EventKind::AgentLost | EventKind::AgentLeft);
                gone.then_some((event.at_ms - self.wall_ms) as f64 / 1e3)
            });
            gone.take(count).collect().await
        });
        let (runs, again, done) = loop {
            if let Some(moved) = self.moved(diary, group) {
                break moved;
            }
            sleep(Duration::from_millis(20));
        };
        println!(
            "{count} agents {how:<9}: known after {:.2} to {:.2} s; their {runs} runs were with others after {again:.2} s and done after {done:.2} s",
            known.iter().copied().fold(f64::MAX, f64::min),
            known.iter().copied().fold(0.0, f64::max),
        );
    }

    /// The runs that agents of the group had, and when the last of them was with another and done there; nothing yet if
    /// one is not.
    fn moved(&self, diary: &Diary, group: usize) -> Option<(usize, f64, f64)> {
        let mut held: HashMap<u64, (Option<Instant>, Option<Instant>)> = HashMap::new();
        for entry in diary.read() {
            match (entry.group == group, entry.landed) {
                (true, false) => _ = held.insert(entry.run, (None, None)),
                (true, true) => _ = held.remove(&entry.run),
                (false, landed) => {
                    if let Some((again, done)) = held.get_mut(&entry.run) {
                        let when = if landed { done } else { again };
                        when.get_or_insert(entry.at);
                    }
                }
            }
        }
        let last = |times: Option<Vec<Instant>>| Some(times?.into_iter().max()?.duration_since(self.at).as_secs_f64());
        let again = last(held.values().map(|times| times.0).collect())?;
        let done = last(held.values().map(|times| times.1).collect())?;
        Some((held.len(), again, done))
    }
}
