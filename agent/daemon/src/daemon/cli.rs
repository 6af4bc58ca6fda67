//! The daemon's command line. Secrets are never on it: the join token comes from a file or a systemd credential.

use std::{io, net::SocketAddr, num::IntErrorKind, path::PathBuf};

use anyhow::Context as _;
use clap::Parser;
use pigeon_protocol::{
    enrol::{JoinToken, ParseTokenError},
    label::{self, LabelError},
    limits::MAX_NAME,
};

use super::measure::{self, MeasureError};

/// The argument that makes this program the compile child.
pub(crate) const COMPILE: &str = "compile";

/// The systemd credential that holds the join token, if no file is named.
const CREDENTIAL: &str = "join-token";

/// Runs validators for a Pigeon control host.
#[derive(Debug, Parser)]
#[command(
    name = "pigeon-agent",
    version,
    after_help = "\
Exit codes:
   0  it was told to stop, or drained, and has left in order
   1  it could not be set up, or failed
   2  its arguments make no sense
  77  the control host does not want it (any more): it is revoked, or its identity is used by another process. It is of no
      use to start it again: in a systemd unit, say RestartPreventExitStatus=77"
)]
pub(crate) struct Args {
    /// Where the control host listens for agents: a name or an address, and a port.
    #[arg(long, value_name = "HOST:PORT", value_parser = hub)]
    pub(crate) hub: String,
    /// A file with the join token; if not given, the systemd credential `join-token`. Read only to enrol.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Where the agent's identity is kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: PathBuf,
    /// Where compiled plugins are kept; if not given, `cache` in the state folder.
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// The key that guards them; if not given, `cache.key` in the state folder. Agents that share the one share the other.
    #[arg(long, value_name = "FILE")]
    cache_key: Option<PathBuf>,
    /// The name to show this agent by; if not given, the host's.
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// Runs that compute at once; if not given, one a core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    slots: Option<u16>,
    /// Runs begun at once, waiting ones included; if not given, 64 a slot.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: Option<u32>,
    /// Memory of all runs together: 4GiB, 500MB, or a number of bytes.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "4GiB")]
    pub(crate) memory: u64,
    /// Memory of one run.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "1GiB")]
    pub(crate) max_memory: u64,
    /// A label for placement, such as gpu, zone=a or model:codellama:7b; may be given several times. arch=... and os=... are
    /// those of this machine unless they are given.
    #[arg(long = "label", value_name = "LABEL", value_parser = label)]
    pub(crate) labels: Vec<String>,
    /// How long a drain may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) drain_seconds: u64,
}

/// What no hub would take is refused before one is asked.
fn name(text: &str) -> Result<String, String> {
    match text.len() {
        1..=MAX_NAME => Ok(text.to_owned()),
        _ => Err(format!("a name has 1 to {MAX_NAME} bytes")),
    }
}

fn label(text: &str) -> Result<String, LabelError> {
    label::check(text).map(|()| text.to_owned())
}

/// See that it is a host and a port. What the host is called is looked up later.
fn hub(text: &str) -> Result<String, &'static str> {
    let wrong = "the hub is HOST:PORT, such as hub.example.org:7433, 192.0.2.1:7433 or [2001:db8::1]:7433";
    let (host, port) = text.rsplit_once(':').ok_or(wrong)?;
    let named = !host.is_empty() && !host.contains(|c: char| c == ':' || c == '[' || c == ']' || c.is_whitespace());
    let sound = text.parse::<SocketAddr>().is_ok() || named;
    match port.parse::<u16>() {
        Ok(1..) if sound => Ok(text.to_owned()),
        _ => Err(wrong),
    }
}

/// Bytes, as people write them or as they are.
fn size(text: &str) -> Result<u64, &'static str> {
    let bytes = match text.parse::<u64>() {
        Ok(0) => Err(MeasureError::Zero),
        Ok(bytes) => Ok(bytes),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => Err(MeasureError::TooLarge),
        Err(_) => measure::size(text),
    };
    bytes.map_err(|error| match error {
        MeasureError::Malformed => "a size is a number and a unit, such as 4GiB or 500MB, or a number of bytes",
        MeasureError::Zero => "it must be more than zero",
        MeasureError::TooLarge => "it is too large",
    })
}

impl Args {
    /// The hub's address. Of a name that has several an IPv4 one is taken where there is one: `localhost` as a rule has
    /// both, and a hub that listens on one of them listens there.
    ///
    /// # Errors
    /// If the name is not known.
    pub(crate) async fn hub(&self) -> Result<SocketAddr, HubError> {
        let found = tokio::net::lookup_host(&self.hub).await;
        let found: Vec<_> = found.map_err(|source| HubError::Unknown { hub: self.hub.clone(), source })?.collect();
        let best = found.iter().find(|address| address.is_ipv4()).or(found.first()).copied();
        best.ok_or_else(|| HubError::Nowhere { hub: self.hub.clone() })
    }

    pub(crate) fn slots(&self) -> usize {
        self.slots.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
    }

    /// Runs begun at once, if that was said.
    pub(crate) fn in_flight(&self) -> Option<usize> {
        self.in_flight.map(|runs| runs as usize)
    }

    pub(crate) fn cache_dir(&self) -> PathBuf {
        self.cache_dir.clone().unwrap_or_else(|| self.state_dir.join("cache"))
    }

    pub(crate) fn cache_key(&self) -> PathBuf {
        self.cache_key.clone().unwrap_or_else(|| self.state_dir.join("cache.key"))
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

/// The hub's name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HubError {
    /// It is not known.
    #[error("failed to look up the hub {hub}")]
    Unknown {
        /// What was looked up.
        hub: String,
        /// Why not.
        source: io::Error,
    },
    /// It has no address.
    #[error("the name of the hub {hub} has no address")]
    Nowhere {
        /// What was looked up.
        hub: String,
    },
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
        assert_eq!(args.cache_key(), PathBuf::from("state/cache.key"));
        assert!(!args.name().unwrap().is_empty());
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parse(&["--slots", "0"]).is_err());
        for option in ["--memory", "--max-memory", "--in-flight"] {
            assert!(parse(&[option, "0"]).is_err(), "{option}");
        }
        assert!(parse(&["--label", "=value"]).is_err());
        assert!(parse(&["--token", "pgn1.secret"]).is_err(), "a token is never an argument");
        assert_eq!(parse(&["--label", "gpu", "--label", "c=d=e"]).unwrap().labels, ["gpu", "c=d=e"]);
    }

    #[test]
    fn a_name_and_a_label_are_as_long_as_a_hub_takes_them() {
        let (long, longer) = ("n".repeat(MAX_NAME), "n".repeat(MAX_NAME + 1));
        assert_eq!(parse(&["--name", &long]).unwrap().name().unwrap(), long);
        for wrong in ["", &longer] {
            let error = parse(&["--name", wrong]).unwrap_err().to_string();
            assert!(error.contains("a name has 1 to 256 bytes"), "{error}");
        }
        let label = |room: usize| format!("a={}", "v".repeat(room - 2));
        parse(&["--label", &label(MAX_NAME)]).unwrap();
        let error = parse(&["--label", &label(MAX_NAME + 1)]).unwrap_err().to_string();
        assert!(error.contains("a label has 1 to 256 bytes"), "{error}");
    }

    #[test]
    fn sizes_have_units_or_are_bytes() {
        let args = parse(&["--memory", "8GiB", "--max-memory", "1000"]).unwrap();
        assert_eq!((args.memory, args.max_memory), (8 << 30, 1000));
        assert_eq!((parse(&[]).unwrap().memory, parse(&[]).unwrap().max_memory), (4 << 30, 1 << 30));
        assert_eq!((size("500 mb"), size("7B")), (Ok(500_000_000), Ok(7)));
        assert_eq!(size("1.5GiB"), Ok(3 << 29));
        for wrong in ["", "GiB", "-1", "1.5", "4 parsecs", "0GiB", "99999999TiB", "99999999999999999999"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn the_hub_is_a_name_or_an_address_with_a_port() {
        for right in ["localhost:1", "hub.example.org:65535", "192.0.2.1:7433", "[::1]:7433"] {
            assert_eq!(hub(right), Ok(right.to_owned()));
        }
        for wrong in
            ["localhost", "localhost:", ":1", "localhost:0", "localhost:65536", "::1", "[::1]", "a b:1", "[a]:1"]
        {
            assert!(hub(wrong).unwrap_err().contains("HOST:PORT"), "{wrong}");
        }
        let args = Args { hub: "localhost:7433".to_owned(), ..parse(&[]).unwrap() };
        assert!(args.hub().await.unwrap().ip().is_loopback());
        assert_eq!(parse(&[]).unwrap().hub().await.unwrap(), "127.0.0.1:1".parse().unwrap());
        // A name that nobody can have: its label is too long.
        let args = Args { hub: format!("{}.invalid:1", "x".repeat(64)), ..args };
        assert!(args.hub().await.unwrap_err().to_string().contains(&args.hub));
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
