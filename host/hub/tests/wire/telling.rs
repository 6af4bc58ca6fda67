//! What the log tells of hostile peers: each offence once, and then a sum.

use std::sync::{Arc, Mutex};

use pigeon_hub::Offence;
use pigeon_protocol::version::ALPN;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    peer::{Hostile, alone, knock},
    support::{Host, LONG},
};

/// The lines of a log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn with(&self, words: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

// Everything runs on one thread, whose log this is; what other threads do not log might be taken for what nobody wants.
#[tokio::test]
async fn each_offence_is_told_once_and_then_summed_up() {
    if !alone("telling::each_offence_is_told_once_and_then_summed_up") {
        return;
    }
    let lines = Lines::default();
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_ansi(false);
    let _log = tracing::subscriber::set_default(log.with_writer(lines.clone()).finish());
    let host = Host::start().await;
    for _ in 0..100 {
        let (_endpoint, connection) = knock(&host, None, ALPN).await;
        connection.unwrap().closed().await;
        knock(&host, None, b"h3").await.1.unwrap_err();
    }
    let hostile = Hostile::enter(&host).await;
    for _ in 0..100 {
        let (mut send, mut recv) = hostile.connection.open_bi().await.unwrap();
        send.write_all(&[0xff; 10]).await.unwrap();
        recv.read_to_end(10).await.unwrap_err();
    }
    host.offended(Offence::NoCertificate, 100).await;
    host.offended(Offence::Alpn, 100).await;
    host.offended(Offence::Request, 100).await;
    for told in ["no_certificate", "alpn", "request"] {
        let lines = lines.with(&format!("offence=\"{told}\""));
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].contains("WARN"), "{lines:#?}");
    }
    let (_control, agent) = (host.control.clone(), hostile);
    host.hub.shutdown(LONG).await;
    drop(agent);
    for (told, who) in [("no_certificate", "127.0.0.1"), ("alpn", "127.0.0.1"), ("request", "agent ")] {
        let sums: Vec<_> = lines.with(&format!("offence=\"{told}\"")).split_off(1);
        assert_eq!(sums.len(), 1, "{sums:#?}");
        assert!(sums[0].contains("and 99 more") && sums[0].contains(&format!("offender={who}")), "{sums:#?}");
    }
}
