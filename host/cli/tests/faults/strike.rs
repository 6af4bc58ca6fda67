//! Faults as they are done to the world, and undone.

use std::{fs::metadata, os::unix::fs::MetadataExt as _, time::Duration};

use rustix::{fs::statvfs, process::Signal};
use tokio::time::sleep;

use crate::{
    plan::{Fault, Step, Weather},
    run, try_run, wal,
    world::{DISK, Process, World},
};

impl World {
    /// Do it, wait, undo it; what there is to say of it, in words. Whoever it is done to has no other fault meanwhile, unless
    /// that is of another sort: an agent may be dead while the server is.
    pub(crate) async fn strike(&self, step: Step) -> String {
        let mut told = String::new();
        match step.fault {
            Fault::KillAgent(number) => {
                let mut agent = self.agent(number).await;
                agent.kill();
                sleep(step.lasts).await;
                agent.start(&self.place, self.powers);
            }
            Fault::StopAgent(number) => {
                let agent = self.agent(number).await;
                hold(agent.process.as_ref(), step.lasts).await;
            }
            Fault::DrainAgent(number) => {
                let mut agent = self.agent(number).await;
                self.stop(agent.process.take(), &format!("agent {number}")).await;
                sleep(step.lasts).await;
                agent.start(&self.place, self.powers);
            }
            Fault::CutLink(number) => {
                let agent = self.agent(number).await;
                match self.powers.room {
                    true => run(&format!("ip link set {} down", agent.link())),
                    false => agent.relay.change(|now| now.cut = true),
                }
                sleep(step.lasts).await;
                match self.powers.room {
                    true => run(&format!("ip link set {} up", agent.link())),
                    false => agent.relay.change(|now| now.cut = false),
                }
            }
            Fault::SlowLink(number, weather) => {
                let agent = self.agent(number).await;
                if self.powers.netem {
                    run(&format!("tc qdisc add dev {} root {}", agent.link(), netem(weather)));
                    run(&format!("tc -n agent{number} qdisc add dev wire root {}", netem(weather)));
                } else {
                    agent.relay.change(|now| now.weather = Some(weather));
                }
                sleep(step.lasts).await;
                if self.powers.netem {
                    run(&format!("tc qdisc del dev {} root", agent.link()));
                    run(&format!("tc -n agent{number} qdisc del dev wire root"));
                } else {
                    agent.relay.change(|now| now.weather = None);
                }
            }
            Fault::KillServer => {
                let mut server = self.server.lock().await;
                server.process = None;
                sleep(step.lasts).await;
                server.start(&self.place).await;
            }
            Fault::DamageLog(damage) => {
                let mut server = self.server.lock().await;
                server.process = None;
                told = wal::damage(&self.host().join("pigeon.db-wal"), damage).unwrap();
                sleep(step.lasts).await;
                server.start(&self.place).await;
            }
            Fault::RestartServer => {
                let mut server = self.server.lock().await;
                self.stop(server.process.take(), "the server").await;
                sleep(step.lasts).await;
                server.start(&self.place).await;
            }
            Fault::StopServer => {
                let server = self.server.lock().await;
                hold(server.process.as_ref(), step.lasts).await;
            }
            Fault::FillDisk(left) if self.powers.room => {
                // The server lives, and is told.
                let _server = self.server.lock().await;
                told = self.fill_disk(left).await;
                sleep(step.lasts).await;
                self.resize(DISK);
            }
            Fault::FillDisk(_) => "left out: it takes a disk of its own".clone_into(&mut told),
        }
        told
    }

    /// SIGTERM, and wait for the end.
    async fn stop(&self, process: Option<Process>, who: &str) {
        if let Some(process) = process
            && let Err(how) = process.stop().await
        {
            self.complain(format!("{who} was told to stop, and did not end well: {how}"));
        }
    }

    /// Leave so many bytes on the server's disk: it is made as small as what is on it.
    async fn fill_disk(&self, left: u64) -> String {
        for _ in 0..100 {
            let stat = statvfs(self.host()).unwrap();
            let used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize;
            // What is written meanwhile may not fit any more.
            if try_run(&format!("mount -o remount,size={} '{}'", used + left, self.host().display())).is_ok() {
                let log = metadata(self.host().join("pigeon.db-wal")).map_or(0, |log| log.size());
                return format!("{used} bytes are used, {log} of them by the log of writes");
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("the disk could not be filled");
    }

    fn resize(&self, size: &str) {
        run(&format!("mount -o remount,size={size} '{}'", self.host().display()));
    }
}

/// SIGSTOP, and SIGCONT when so long has passed.
async fn hold(process: Option<&Process>, lasts: Duration) {
    if let Some(process) = process {
        process.signal(Signal::STOP);
        sleep(lasts).await;
        process.signal(Signal::CONT);
    }
}

/// The weather in the kernel's words.
fn netem(Weather { delay, jitter, loss, twice }: Weather) -> String {
    let (delay, jitter) = (delay.as_micros(), jitter.as_micros());
    format!("netem delay {delay}us {jitter}us loss {loss}% duplicate {twice}%")
}
