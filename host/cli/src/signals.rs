//! Ctrl-C, SIGTERM and a terminal that goes away (SIGHUP): the first is a request, the second is not.

use std::{
    fs, io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::{exit::Exit, screen::Screen};

/// How long the last words may take: a terminal may be stopped.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Hears of the first.
pub(crate) struct Interrupts {
    first: watch::Receiver<bool>,
    /// The command that goes on with the job, once there is one.
    resume: Arc<OnceLock<String>>,
}

impl Interrupts {
    /// Listen from now on. The second signal ends the process, whatever it is doing; how to go on is said if there is
    /// a job.
    ///
    /// # Errors
    /// If the system does not let us listen.
    pub(crate) fn watch(screen: &Screen) -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // Under nohup the terminal may go, and the job goes on.
        let mut hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
        let (sender, first) = watch::channel(false);
        let resume = Arc::new(OnceLock::new());
        let (screen, job) = (screen.clone(), resume.clone());
        tokio::spawn(async move {
            any(&mut interrupt, &mut terminate, &mut hangup).await;
            sender.send_replace(true);
            any(&mut interrupt, &mut terminate, &mut hangup).await;
            let last_words = tokio::task::spawn_blocking(move || tell(&screen, job.get()));
            // Said or not: it is over.
            let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
            std::process::exit(Exit::Interrupted as i32);
        });
        Ok(Self { first, resume })
    }

    /// There is a job: this command goes on with it.
    pub(crate) fn accepted(&self, resume: String) {
        // It is accepted once.
        let _ = self.resume.set(resume);
    }

    /// Wait for the first.
    pub(crate) async fn first(&mut self) {
        if self.first.wait_for(|heard| *heard).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn tell(screen: &Screen, resume: Option<&String>) {
    screen.clear();
    if let Some(resume) = resume {
        screen.next("to go on:", resume);
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
