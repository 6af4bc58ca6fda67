//! Kinds of values that a setting can have: each is read from text, and shown so that it is read again.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use crate::units::{self, Size};

/// How a value stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `"text"`
    Text,
    /// `7`
    Number,
    /// `true`
    Flag,
    /// `["text", "text"]`; elsewhere with commas between.
    List,
}

/// A value.
pub(super) trait Value: Sized {
    /// How it stands in the file.
    const KIND: Kind = Kind::Text;

    /// What may be said.
    const ALLOWED: &'static str;

    /// Take it from text; nothing if that is none that is allowed.
    fn read(text: &str) -> Option<Self>;

    /// It, as `read` takes it.
    fn show(&self) -> String;
}

/// One that need not be said.
impl<T: Value> Value for Option<T> {
    const KIND: Kind = T::KIND;
    const ALLOWED: &'static str = T::ALLOWED;

    fn read(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::read(text).map(Some) }
    }

    fn show(&self) -> String {
        self.as_ref().map(T::show).unwrap_or_default()
    }
}

impl Value for PathBuf {
    const ALLOWED: &'static str = "the path of a folder";

    fn read(text: &str) -> Option<Self> {
        Some(text.into())
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for SocketAddr {
    const ALLOWED: &'static str = "an address and a port, such as 127.0.0.1:4780, 0.0.0.0:4780 or [::]:4780";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Duration {
    const ALLOWED: &'static str = "a number and a unit, such as 500ms, 10s, 2m, 1h or 7d";

    fn read(text: &str) -> Option<Self> {
        units::duration(text).ok()
    }

    fn show(&self) -> String {
        units::in_units(*self)
    }
}

impl Value for Size {
    const ALLOWED: &'static str = "a number and a unit, such as 64MiB, 1GiB or 500GB";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for usize {
    const KIND: Kind = Kind::Number;
    const ALLOWED: &'static str = "a whole number from 1 on";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|count| *count > 0)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    const KIND: Kind = Kind::Flag;
    const ALLOWED: &'static str = "true or false";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter(pub(super) String);

impl Value for Filter {
    const ALLOWED: &'static str = "error, warn, info, debug, trace, or a filter such as info,pigeon_hub=debug";

    /// It is read again where it is used, and must not fail there.
    fn read(text: &str) -> Option<Self> {
        let sound = !text.is_empty() && text.parse::<tracing_subscriber::EnvFilter>().is_ok();
        sound.then(|| Self(text.to_owned()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// A place that others reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostPort(pub(super) String);

impl Value for HostPort {
    const ALLOWED: &'static str = "HOST:PORT";

    fn read(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let sound =
            !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port > 0);
        sound.then(|| Self(text.to_owned()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// Names that a certificate can be made for: of DNS, or addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names(pub(super) Vec<String>);

impl Value for Names {
    const KIND: Kind = Kind::List;
    const ALLOWED: &'static str = "a list of names and addresses";

    fn read(text: &str) -> Option<Self> {
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let label = |label: &str| !label.is_empty() && label.len() <= 63 && label.chars().all(sound);
        let is_name = |text: &str| {
            text.parse::<IpAddr>().is_ok() || text.strip_prefix("*.").unwrap_or(text).split('.').all(label)
        };
        let names = listed(text);
        names.iter().all(|name| is_name(name)).then_some(Self(names))
    }

    fn show(&self) -> String {
        self.0.join(",")
    }
}

/// The parts of a list.
pub(super) fn listed(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Whether the API is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    /// Wherever it can be heard from another machine.
    Auto,
    On,
    Off,
}

impl Tls {
    const ALL: [(Self, &'static str); 3] = [(Self::Auto, "auto"), (Self::On, "on"), (Self::Off, "off")];
}

impl Value for Tls {
    const ALLOWED: &'static str = "auto, on or off";

    fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, name)| *name == text).map(|(tls, _)| tls)
    }

    fn show(&self) -> String {
        Self::ALL.into_iter().find(|(tls, _)| tls == self).map_or("", |(_, name)| name).to_owned()
    }
}
