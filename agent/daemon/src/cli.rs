//! The daemon's command line. Secrets are never on it: the join token comes from a file or a systemd credential.

use std::{io, net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use clap::Parser;
use pigeon_protocol::enrol::{JoinToken, ParseTokenError};

/// The argument that makes this program the compile child.
pub(crate) const COMPILE: &str = "compile";

/// The systemd credential that holds the join token, if no file is named.
const CREDENTIAL: &str = "join-token";

/// Runs validators for a Pigeon control host.
#[derive(Debug, Parser)]
#[command(name = "pigeon-agent", version)]
pub(crate) struct Args {
    /// Where the control host listens for agents.
    #[arg(long, value_name = "ADDR")]
    pub(crate) hub: SocketAddr,
    /// A file with the join token; if not given, the systemd credential `join-token`. Read only to enrol.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Where the agent's identity is kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: PathBuf,
    /// Where compiled plugins are kept; if not given, `cache` in the state folder.
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// The name to show this agent by; if not given, the host's.
    #[arg(long)]
    name: Option<String>,
    /// Runs that compute at once; if not given, one a core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    slots: Option<u16>,
    /// Runs begun at once, waiting ones included; if not given, 64 a slot.
    #[arg(long, value_name = "N")]
    pub(crate) in_flight: Option<usize>,
    /// Memory of all runs together, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 30)]
    pub(crate) memory: u64,
    /// Memory of one run, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    pub(crate) max_memory: u64,
    /// A label for placement; may be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) labels: Vec<String>,
    /// How long a drain may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) drain_seconds: u64,
}

fn label(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.to_owned()),
        _ => Err("a label is KEY=VALUE".to_owned()),
    }
}

impl Args {
    pub(crate) fn slots(&self) -> usize {
        self.slots.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
    }

    pub(crate) fn cache_dir(&self) -> PathBuf {
        self.cache_dir.clone().unwrap_or_else(|| self.state_dir.join("cache"))
    }

    pub(crate) fn name(&self) -> anyhow::Result<String> {
        match &self.name {
            Some(name) => Ok(name.clone()),
            None => {
                let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
                Ok(name.context("failed to read the host's name: give the agent one by --name")?.trim().to_owned())
            }
        }
    }

    /// The join token.
    pub(crate) fn token(&self) -> Result<JoinToken, TokenError> {
        let credential = || Some(PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?).join(CREDENTIAL));
        let path = self.token_file.clone().or_else(credential);
        let path = path.ok_or_else(|| TokenError::Missing { state: self.state_dir.clone() })?;
        match std::fs::read_to_string(&path) {
            Ok(text) => text.parse().map_err(|source| TokenError::Malformed { path, source }),
            Err(source) => Err(TokenError::Read { path, source }),
        }
    }
}

/// There is no join token to enrol with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// None was given.
    #[error("this agent has no identity in {} yet, and no join token to get one", state.display())]
    Missing {
        /// Where its identity would be.
        state: PathBuf,
    },
    /// The file cannot be read.
    #[error("failed to read the join token from {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("failed to use {}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: ParseTokenError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        let fixed = ["pigeon-agent", "--hub", "127.0.0.1:1", "--state-dir", "state"];
        Args::try_parse_from(fixed.iter().chain(args))
    }

    #[test]
    fn what_is_not_said_has_sensible_defaults() {
        let args = parse(&[]).unwrap();
        assert!(args.slots() >= 1);
        assert_eq!(args.cache_dir(), PathBuf::from("state/cache"));
        assert!(!args.name().unwrap().is_empty());
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parse(&["--slots", "0"]).is_err());
        assert!(parse(&["--label", "novalue"]).is_err());
        assert!(parse(&["--token", "pgn1.secret"]).is_err(), "a token is never an argument");
        assert_eq!(parse(&["--label", "a=b", "--label", "c=d=e"]).unwrap().labels, ["a=b", "c=d=e"]);
    }

    #[test]
    fn a_token_file_that_holds_no_token_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret nonsense").unwrap();
        let error = parse(&["--token-file", file.path().to_str().unwrap()]).unwrap().token().unwrap_err();
        let text = error.to_string();
        assert!(text.contains(file.path().to_str().unwrap()) && !text.contains("nonsense"), "{text}");
    }
}
