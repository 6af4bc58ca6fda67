//! Ctrl-C and SIGTERM: the first is a request, the second is not.

use std::io;

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
        let (sender, first) = watch::channel(false);
        tokio::spawn(async move {
            either(&mut interrupt, &mut terminate).await;
            sender.send_replace(true);
            either(&mut interrupt, &mut terminate).await;
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

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
