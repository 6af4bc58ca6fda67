//! What befalls agents.

use pigeon_scheduler::Left;

use super::{
    MS, SECOND, World,
    event::{Event, Fault},
};

impl World {
    pub(super) fn crash(&mut self, agent: usize) {
        if let Some(session) = self.agents[agent].link {
            let left = if self.below(2) == 0 { Left::Died } else { Left::Unreachable };
            let after = self.below(2 * SECOND);
            self.plan(after, Event::Notice(session, left));
        }
        self.agents[agent].die();
        let after = 100 * MS + self.below(5 * SECOND);
        self.plan(after, Event::Restart(agent));
    }

    /// What an agent has moves no more for a while; itself it goes on.
    pub(super) fn wedge(&mut self, agent: usize, stop: u64) {
        self.agents[agent].wedged_until = self.clock.saturating_add(stop);
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        let agent = self.below(self.agents.len() as u64) as usize;
        let (alive, link) = (self.agents[agent].alive, self.agents[agent].link);
        match (fault, link) {
            (Fault::Crash, _) if alive => self.crash(agent),
            (Fault::Partition, Some(session)) => {
                self.agents[agent].link = None;
                self.agents[agent].life += 1;
                self.go_on(agent);
                let away = if self.below(2) == 0 { 2 } else { 20 } * SECOND;
                let (noticed, back) = (self.below(3 * SECOND), self.below(away));
                self.plan(noticed, Event::Notice(session, Left::Unreachable));
                self.plan(back, Event::Connect(agent));
            }
            (Fault::Stop, Some(session)) => {
                let stop = self.below(10 * SECOND);
                self.agents[agent].stopped_until = self.clock + stop;
                if self.below(2) == 0 {
                    self.plan(2 * SECOND, Event::Notice(session, Left::Revoked));
                }
            }
            (Fault::Wedge, Some(_)) => {
                let stop = 10 * SECOND + self.below(60 * SECOND);
                self.wedge(agent, stop);
            }
            (Fault::Drain, Some(session)) => {
                let now = self.now();
                self.scheduler.draining(now, session);
                let left = if self.below(2) == 0 { Left::Drained } else { Left::Revoked };
                let after = self.below(2 * SECOND);
                self.plan(after, Event::Notice(session, left));
            }
            (Fault::Slow, _) => self.agents[agent].slowness = [1, 5, 50][self.below(3) as usize],
            (Fault::Jump, _) => {
                let by = [-5, -60, 2, 60, 3600][self.below(5) as usize];
                self.skew += by * SECOND as i64;
                self.pass();
            }
            _ => {}
        }
    }
}
