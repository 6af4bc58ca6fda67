//! Where the report goes.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
};

use super::stdout_paint;
use crate::{
    exit::Failed,
    paint::{Colours, Paint},
    report::Format,
    stdout,
};

/// Columns of a terminal that does not say.
const PLAIN_WIDTH: usize = 80;

/// Standard output, or a file.
pub(crate) struct Target {
    pub(crate) format: Format,
    pub(crate) paint: Paint,
    pub(crate) width: usize,
    to: To,
    /// Whether whoever read it has gone.
    gone: bool,
    /// The command that prints the report again, once there is a job.
    again: Option<String>,
}

enum To {
    Stdout,
    File {
        file: File,
        path: PathBuf,
        begun: bool,
        /// Whether there was no such file before.
        new: bool,
    },
}

impl Target {
    /// See that the report can be written, before anything runs. What a file holds is left alone until there is a
    /// report.
    pub(crate) fn open(path: Option<&Path>, format: Format, colours: Colours) -> Result<Self, Failed> {
        let (to, paint) = match path {
            None => {
                stdout::check("name a file for the report with --output-file; >/dev/null throws it away")?;
                (To::Stdout, stdout_paint(colours))
            }
            Some(path) => {
                let new = !path.exists();
                let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
                let file = file.map_err(|error| {
                    Failed::usage(format!("failed to open {} for the report", path.display()))
                        .caused_by(error)
                        .hint("does its folder exist, and may you write there?")
                })?;
                let paint = if colours == Colours::Always { stdout_paint(colours) } else { Paint::PLAIN };
                (To::File { file, path: path.to_owned(), begun: false, new }, paint)
            }
        };
        let terminal = matches!(to, To::Stdout) && io::stdout().is_terminal();
        // What no screen shows is never cut.
        let width = match terminal.then(terminal_size::terminal_size) {
            None => usize::MAX,
            Some(size) => size.map_or(PLAIN_WIDTH, |(width, _)| usize::from(width.0).max(20)),
        };
        Ok(Self { format, paint, width, to, gone: false, again: None })
    }

    /// There is a job: this command prints its report again.
    pub(crate) fn accepted(&mut self, again: String) {
        self.again = Some(again);
    }

    /// Write a part of the report. Nothing is written, and nothing is wrong, once its reader has gone.
    ///
    /// # Errors
    /// If it cannot be written, as a rule because the disk is full.
    pub(crate) fn write<T>(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<T>,
    ) -> Result<Option<T>, Failed> {
        if self.gone {
            return Ok(None);
        }
        let written = match &mut self.to {
            To::Stdout => buffered(io::stdout().lock(), write),
            To::File { file, begun, .. } => {
                // Only a real file has something to cut off.
                if !*begun && file.metadata().is_ok_and(|metadata| metadata.is_file()) {
                    let _ = file.set_len(0);
                }
                *begun = true;
                buffered(file, write)
            }
        };
        match written {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(None)
            }
            Err(error) => {
                let failed = Failed::machinery(format!("failed to write the report to {}", self.name()));
                Err(match &self.again {
                    Some(again) => failed.hint(format!("the job is safe: `{again}` prints its report again")),
                    None => failed,
                }
                .caused_by(error))
            }
        }
    }

    /// Leave no trace where nothing came of it.
    pub(crate) fn abandon(self) {
        if let To::File { path, begun: false, new: true, .. } = self.to {
            // An empty file that stays does no harm.
            let _ = fs::remove_file(path);
        }
    }

    /// Whether whoever read it has gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    fn name(&self) -> String {
        match &self.to {
            To::Stdout => "standard output".to_owned(),
            To::File { path, .. } => path.display().to_string(),
        }
    }
}

fn buffered<W: Write, T>(to: W, write: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> io::Result<T> {
    let mut to = BufWriter::with_capacity(64 << 10, to);
    let value = write(&mut to)?;
    to.flush()?;
    Ok(value)
}
