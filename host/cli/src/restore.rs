//! `pigeon restore`: a state directory, made of a backup.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use clap::Args;
use pigeon_control::StoreError;

use crate::{
    dirs::quoted,
    exit::{Exit, Failed},
    screen::Screen,
};

/// Make a state directory of a backup
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon restore queue.tar --state-dir /var/lib/pigeon")]
pub(crate) struct RestoreArgs {
    /// The backup; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The state directory: it must not be there yet, or be empty
    #[arg(long, value_name = "DIR", required = true)]
    state_dir: PathBuf,
}

/// Make a state directory of a backup.
pub(crate) async fn run(args: RestoreArgs, screen: Screen) -> Result<Exit, Failed> {
    let RestoreArgs { file, state_dir } = args;
    let archive: Box<dyn io::Read + Send> = if file.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        let opened = File::open(&file).map_err(|error| {
            Failed::usage(format!("failed to open the backup {}", file.display()))
                .caused_by(error)
                .hint("pigeon backup FILE makes one")
        })?;
        Box::new(opened)
    };
    let dir = std::path::absolute(&state_dir)
        .map_err(|error| Failed::usage("failed to find the current folder").caused_by(error))?;
    let restored = tokio::task::spawn_blocking({
        let dir = dir.clone();
        move || pigeon_control::restore(archive, &dir)
    });
    let restored = restored.await.map_err(|error| Failed::machinery("the restoring was lost").caused_by(error))?;
    restored.map_err(|error| refused(error, &file, &dir))?;
    screen.note(&format!("restored into {}", dir.display()));
    screen.note(
        "its CA and its agents are as they were, and tokens that were kept are good again; there is no admin.token in \
         it, for a backup holds no secrets of tokens",
    );
    let serve = format!("pigeon serve --state-dir {}", quoted(&state_dir.to_string_lossy()));
    screen.next("to go on:", &serve);
    screen.next("the same, if nobody has a token:", &format!("{serve} --new-admin-token"));
    Ok(Exit::Valid)
}

/// Why nothing was restored, and what to do.
fn refused(error: StoreError, file: &Path, dir: &Path) -> Failed {
    let name = if file.as_os_str() == "-" { "standard input".to_owned() } else { file.display().to_string() };
    match error {
        StoreError::NoBackup { what } => Failed::usage(format!("{name} is no backup of Pigeon")).caused_by(what).hint(
            "a backup is the one file that `pigeon backup FILE` makes of all that a control host keeps, while it goes on",
        ),
        StoreError::Archive { what } => Failed::usage(format!("{name} is no whole backup"))
            .caused_by(what)
            .hint("copy it again from where it was made, or take an older one; nothing was restored"),
        StoreError::NotEmpty { .. } => {
            Failed::usage(format!("failed to restore {name} into {}", dir.display()))
                .caused_by(error)
                .hint("--state-dir names a folder that is empty, or not there yet")
        }
        error => Failed::usage(format!("failed to restore {name} into {}", dir.display())).caused_by(error),
    }
}
