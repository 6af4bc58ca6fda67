//! The control host that a command talks to.

use std::{sync::Arc, time::Duration};

use clap::Args;
use pigeon_api::Pigeon;

use crate::{
    args::StateArgs,
    dirs::Dirs,
    embedded::Embedded,
    exit::Failed,
    process::{embedded_options, not_started},
};

/// How long it may take to leave.
const LEAVE: Duration = Duration::from_secs(1);

/// Which control host is meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct HostArgs {
    #[command(flatten)]
    pub(crate) state: StateArgs,
}

/// A control host that is there.
pub(crate) struct Host {
    dirs: Dirs,
    embedded: Embedded,
}

impl Host {
    /// Reach it.
    ///
    /// # Errors
    /// If it cannot be reached, or started.
    pub(crate) async fn open(args: &HostArgs) -> Result<Self, Failed> {
        let dirs = Dirs::new(args.state.state_dir.clone())?;
        let embedded = Embedded::start(embedded_options(&dirs, None)?).await.map_err(not_started(&dirs))?;
        Ok(Self { dirs, embedded })
    }

    /// What is asked.
    pub(crate) fn client(&self) -> Arc<dyn Pigeon> {
        self.embedded.client()
    }

    /// Whether it is a state directory of this machine, without a server: then nobody works at its jobs unless a
    /// command does.
    pub(crate) fn is_local(&self) -> bool {
        true
    }

    /// This command with the flags that name the same control host, to be pasted into a shell.
    pub(crate) fn command(&self, command: &str) -> String {
        format!("{command}{}", self.dirs.flags())
    }

    /// Leave it.
    pub(crate) async fn close(self) {
        self.embedded.stop(LEAVE).await;
    }
}
