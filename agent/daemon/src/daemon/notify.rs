//! What systemd is told: that we are ready, that we stop, that we live. See sd_notify(3).

use std::{
    ffi::OsString,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use tokio::time::{Interval, interval};

/// How long a systemd that is busy is waited for at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// The service manager, if there is one.
pub struct Systemd {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Interval>,
}

impl Systemd {
    /// As `NOTIFY_SOCKET` and `WATCHDOG_USEC` say.
    pub fn from_env() -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        // It may be meant for the process that started us.
        let is_ours = number("WATCHDOG_PID").is_none_or(|process| process == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| is_ours);
        Self::new(std::env::var_os("NOTIFY_SOCKET"), watchdog)
    }

    fn new(socket: Option<OsString>, watchdog_us: Option<u64>) -> Self {
        let socket = socket.and_then(|name| {
            let address = match name.as_bytes() {
                [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
                _ => SocketAddr::from_pathname(&name),
            };
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_write_timeout(Some(PATIENCE)).ok()?;
            Some((socket, address.ok()?))
        });
        // Twice as often as asked for, as systemd recommends.
        let half = watchdog_us.map(|us| Duration::from_micros(us / 2)).filter(|half| !half.is_zero());
        Self { socket, watchdog: half.map(interval) }
    }

    /// Say that we are ready. That is waited for and must not be lost; what is said afterwards must not stop us: a busy
    /// systemd misses a sign of life, and the next one follows.
    pub fn ready(&self) {
        self.say("READY=1");
        if let Some((socket, _)) = &self.socket
            && let Err(error) = socket.set_nonblocking(true)
        {
            tracing::warn!("a busy systemd may hold us up: {error}");
        }
    }

    /// Say something. Where nobody listens, nothing is lost.
    pub fn say(&self, words: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(words.as_bytes(), address)
        {
            tracing::debug!("systemd was not told {words}: {error}");
        }
    }

    /// Ends when the watchdog is to be told that we live; never, where there is none.
    pub async fn watchdog_due(&mut self) {
        match &mut self.watchdog {
            Some(interval) => {
                interval.tick().await;
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn systemd_hears_us() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut systemd = Systemd::new(Some(path.into()), Some(2000));
        systemd.ready();
        let mut words = [0; 16];
        let length = socket.recv(&mut words).unwrap();
        assert_eq!(&words[..length], b"READY=1");
        systemd.watchdog_due().await;
        systemd.watchdog_due().await;
    }

    #[tokio::test]
    async fn a_systemd_that_does_not_listen_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let systemd = Systemd::new(Some(path.into()), None);
        systemd.ready();
        // Far more than the kernel keeps for a receiver.
        for _ in 0..10_000 {
            systemd.say("WATCHDOG=1");
        }
        let mut words = [0; 16];
        assert_eq!(socket.recv(&mut words).unwrap(), b"READY=1".len());
        assert_eq!(socket.recv(&mut words).unwrap(), b"WATCHDOG=1".len());
    }

    #[tokio::test]
    async fn without_systemd_nothing_happens() {
        Systemd::new(None, None).say("READY=1");
    }
}
