//! `pigeon backup`: all that a control host keeps, in one file.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use futures::StreamExt as _;
use pigeon_api::Pigeon;

use crate::{
    connect::HostArgs,
    exit::{Exit, Failed},
    screen::Screen,
    stdout,
    units::Size,
    visit::visit,
};

/// Write all that a control host keeps into one file, while it goes on
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pigeon backup queue.tar                   As of one moment, whatever goes on meanwhile
  pigeon backup - | ssh host 'cat >queue.tar'
  pigeon restore queue.tar --state-dir /var/lib/pigeon")]
pub(crate) struct BackupArgs {
    /// The file; `-` is standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Replace the file if it is there
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    host: HostArgs,
}

/// Take a backup.
pub(crate) async fn run(args: BackupArgs, screen: Screen) -> Result<Exit, Failed> {
    let mut to = To::open(&args.file, args.force)?;
    visit(&args.host, &screen, async |host| {
        let bytes = write(host.client().as_ref(), &mut to).await?;
        to.keep()?;
        screen.note(&format!("backup: {} in {}", Size(bytes), args.file.display()));
        Ok(Exit::Valid)
    })
    .await
}

async fn write(client: &dyn Pigeon, to: &mut To) -> Result<u64, Failed> {
    let mut stream = client.backup().await?;
    let mut bytes: u64 = 0;
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        to.write(&piece)?;
        bytes += piece.len() as u64;
    }
    Ok(bytes)
}

/// Where a backup goes. A file is under another name until it is whole: what has the name is a backup.
enum To {
    Stdout,
    File { path: PathBuf, part: Part },
}

/// A file that is not whole. It goes with this, unless it got its name.
struct Part {
    file: File,
    path: PathBuf,
    kept: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept {
            // What stays does no harm: it has a name that says what it is.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl To {
    fn open(path: &Path, force: bool) -> Result<Self, Failed> {
        if path.as_os_str() == "-" {
            stdout::check("name a file for the backup")?;
            return Ok(Self::Stdout);
        }
        if !force && path.symlink_metadata().is_ok() {
            return Err(Failed::usage(format!("{} is there already", path.display())).hint("--force replaces it"));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(part);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // There are secrets in it: digests of tokens, and the key of the CA.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&part).map_err(|error| {
            Failed::usage(format!("failed to open {} for the backup", part.display()))
                .caused_by(error)
                .hint("does its folder exist, and may you write there?")
        })?;
        Ok(Self::File { path: path.to_owned(), part: Part { file, path: part, kept: false } })
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), Failed> {
        let written = match self {
            To::Stdout => io::stdout().lock().write_all(piece),
            To::File { part, .. } => part.file.write_all(piece),
        };
        written.map_err(|error| self.failed(error))
    }

    /// It is whole: it gets its name, and stays there whatever happens.
    fn keep(&mut self) -> Result<(), Failed> {
        let kept = match self {
            To::Stdout => io::stdout().lock().flush(),
            To::File { path, part } => {
                part.file.sync_all().and_then(|()| fs::rename(&part.path, &*path)).and_then(|()| {
                    part.kept = true;
                    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                    File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
                })
            }
        };
        kept.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Failed {
        let name = match self {
            To::Stdout => "standard output".to_owned(),
            To::File { path, .. } => path.display().to_string(),
        };
        Failed::machinery(format!("failed to write the backup to {name}")).caused_by(error)
    }
}

#[cfg(test)]
mod tests;
