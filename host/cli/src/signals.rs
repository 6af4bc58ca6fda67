//! Ctrl-C, SIGTERM and a terminal that goes away (SIGHUP): the first is a request, the second is not.

use std::{fs, io};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::exit::Exit;

/// Hears of the first.
pub(crate) struct Interrupts {
    first: watch::Receiver<bool>,
}

impl Interrupts {
    /// Listen from now on. The second signal ends the process, whatever it is doing.
    ///
    /// # Errors
    /// If the system does not let us listen.
    pub(crate) fn watch() -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // Under nohup the terminal may go, and the job goes on.
        let mut hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
        let (sender, first) = watch::channel(false);
        tokio::spawn(async move {
            any(&mut interrupt, &mut terminate, &mut hangup).await;
            sender.send_replace(true);
            any(&mut interrupt, &mut terminate, &mut hangup).await;
            std::process::exit(Exit::Interrupted as i32);
        });
        Ok(Self { first })
    }

    /// Wait for the first.
    pub(crate) async fn first(&mut self) {
        if self.first.wait_for(|heard| *heard).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn any(interrupt: &mut Signal, terminate: &mut Signal, hangup: &mut Option<Signal>) {
    let hung_up = async {
        match hangup {
            Some(hangup) => drop(hangup.recv().await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = hung_up => {}
    }
}

/// Whether this process was started with SIGHUP (number 1, the lowest bit) ignored. Where that cannot be told, it was
/// not.
fn ignores_hangup() -> bool {
    let ignored = fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    ignored.is_some_and(|mask| mask & 1 == 1)
}
