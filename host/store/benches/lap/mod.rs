//! Laps, and a table of their medians.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Wall and CPU time.
pub(crate) struct Lap {
    wall: Instant,
    cpu: Duration,
}

impl Lap {
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu() }
    }

    pub(crate) fn end(self) -> (Duration, Duration) {
        (self.wall.elapsed(), cpu() - self.cpu)
    }
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Wall and CPU times by what was done, and how often it was done in each.
#[derive(Default)]
pub(crate) struct Table(Vec<Line>);

struct Line {
    what: &'static str,
    count: u64,
    laps: Vec<(Duration, Duration)>,
}

impl Table {
    pub(crate) fn add(&mut self, what: &'static str, count: u64, lap: (Duration, Duration)) {
        match self.0.iter_mut().find(|line| line.what == what) {
            Some(line) => line.laps.push(lap),
            None => self.0.push(Line { what, count, laps: vec![lap] }),
        }
    }

    pub(crate) fn print(&mut self, rounds: u64) {
        println!("medians of {rounds} rounds");
        println!("{:<24}{:>12}{:>14}{:>16}{:>16}", "", "count", "wall", "a second", "CPU us each");
        for Line { what, count, laps } in &mut self.0 {
            laps.sort_unstable();
            let (wall, cpu) = laps[laps.len() / 2];
            let wall = wall.as_secs_f64();
            let each = cpu.as_secs_f64() * 1e6 / *count as f64;
            println!("{what:<24}{count:>12}{:>11.3} ms{:>16.0}{each:>16.3}", wall * 1e3, *count as f64 / wall);
        }
    }
}
