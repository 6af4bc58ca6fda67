//! What is measured in a world.

use std::time::Duration;

/// What came of a world. Moments are microseconds since it began.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) leases: u64,
    pub(crate) calls: u64,
    /// Time in the scheduler.
    pub(crate) spent: Duration,
    /// Virtual time until all was done.
    pub(crate) seconds: f64,
    /// Outcomes that counted for nothing: copies, and what came too late.
    pub(crate) refused: u64,
    pub(crate) dead: u64,
    pub(crate) services: Vec<Service>,
    /// Each virtual second: runs without an outcome, and leases.
    pub(crate) depth: Vec<(u64, usize)>,
    /// When agents vanished, what they had, and when the last of it was taken from them.
    vanished: Option<(u64, usize)>,
    moved: Option<u64>,
}

/// What a job got.
#[derive(Debug, Default)]
pub(crate) struct Service {
    /// Time of agents whose outcomes were recorded, by virtual second.
    by_second: Vec<u64>,
    last_given: Option<u64>,
    longest_wait: u64,
    /// When it was first seen to have nothing left to give.
    rested: Option<u64>,
}

impl Service {
    pub(crate) fn served(&mut self, at: u64, time_us: u64) {
        let second = (at / 1_000_000) as usize;
        self.by_second.resize(self.by_second.len().max(second + 1), 0);
        self.by_second[second] += time_us;
    }

    pub(crate) fn given(&mut self, at: u64) {
        let waited = at - self.last_given.unwrap_or(at);
        self.longest_wait = self.longest_wait.max(waited);
        self.last_given = Some(at);
    }

    /// It has nothing left that could be given.
    pub(crate) fn rests(&mut self, at: u64) {
        self.last_given = None;
        self.rested.get_or_insert(at);
    }

    fn between(&self, from: usize, to: usize) -> u64 {
        self.by_second.iter().take(to).skip(from).sum()
    }

    /// The longest that nothing of it was given to anybody, while there was something, as far as was seen each second.
    pub(crate) fn longest_wait(&self) -> Duration {
        Duration::from_micros(self.longest_wait)
    }
}

impl Figures {
    pub(crate) fn vanished(&mut self, at: u64, leases: usize) {
        self.vanished = Some((at, leases));
    }

    pub(crate) fn moved(&mut self, at: u64) {
        self.moved = Some(at);
    }

    /// How many leases those had who vanished, and how long it took until all of them were taken from them.
    pub(crate) fn reassigned(&self) -> Option<(usize, Duration)> {
        let ((at, leases), moved) = (self.vanished?, self.moved?);
        Some((leases, Duration::from_micros(moved - at)))
    }

    /// What each job got while all of them had work, against what it should have: an even share; but no more than a tenth
    /// for the last, which only one agent of ten can make. From the tenth second on, when the paces are known.
    pub(crate) fn fairness(&self) -> Vec<f64> {
        let first = self.services.iter().filter_map(|service| service.rested).min().unwrap_or(0);
        let (from, to) = (10, (first / 1_000_000) as usize);
        let served: Vec<u64> = self.services.iter().map(|service| service.between(from, to)).collect();
        let (sum, jobs) = (served.iter().sum::<u64>() as f64, served.len() as f64);
        let last = (1.0 / jobs).min(0.1);
        let ideal = |number: usize| if number + 1 == served.len() { last } else { (1.0 - last) / (jobs - 1.0) };
        served.iter().enumerate().map(|(number, served)| *served as f64 / sum / ideal(number)).collect()
    }
}
