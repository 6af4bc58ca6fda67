//! Agents that are in and flood, stall or garble their streams: contained or cut off, and no harm to the rest.

use std::time::Duration;

use pigeon_hub::{Offence, SessionEnd};
use pigeon_protocol::{
    id::Digest,
    message::{Beat, FetchPlugin, PluginHead, request::Ask, to_hub},
};
use tokio::time::timeout;

use crate::{
    peer::{Honest, Hostile, alone, ask, framed, read, thrown_out},
    support::{COMPONENT, Host, LONG},
};

/// Resident memory of this process, the hub's and its peers', in bytes.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * rustix::param::page_size() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_after_the_hello_ends_the_session_and_no_other() {
    let host = Host::start().await;
    let honest = Honest::beside(&host).await;
    let mut hostile = Hostile::enter(&host).await;
    hostile.send.write_all(&[0xff; 100]).await.unwrap();
    assert!(matches!(host.control.left(hostile.session).await, SessionEnd::Misbehaved(_)));
    thrown_out(&hostile.connection).await;
    host.offended(Offence::Protocol, 1).await;
    assert_eq!(host.hub.handle().stats().misbehaved, 1);
    honest.leaves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_and_half_open_ones_are_given_up() {
    let host = Host::start().await;
    let honest = Honest::beside(&host).await;
    let hostile = Hostile::enter(&host).await;
    let mut streams = Vec::new();
    // As many as QUIC lets us open, each with half a frame.
    for _ in 0..27 {
        let (mut send, recv) = timeout(LONG, hostile.connection.open_bi()).await.unwrap().unwrap();
        send.write_all(&[1, 0]).await.unwrap();
        streams.push((send, recv));
    }
    assert!(timeout(Duration::from_millis(300), hostile.connection.open_bi()).await.is_err(), "no more at once");
    assert!(timeout(Duration::from_millis(300), hostile.connection.open_uni()).await.is_err(), "no such streams here");
    assert_eq!(hostile.connection.max_datagram_size(), None, "no datagrams either");
    let (_, recv) = &mut streams[0];
    assert!(timeout(LONG, recv.read_to_end(10)).await.unwrap().is_err(), "reset by the hub");
    host.offended(Offence::Request, 27).await;
    // The beat goes on beside them: nothing has ended the session.
    hostile.connection.close(77u32.into(), b"enough");
    assert_eq!(host.control.left(hostile.session).await, SessionEnd::Closed("enough".into()));
    honest.leaves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_drops_its_connection_has_not_left_in_order() {
    let host = Host::start().await;
    let hostile = Hostile::enter(&host).await;
    // What QUIC says for a process that lets go of it without a word.
    hostile.connection.close(0u32.into(), b"");
    assert_eq!(host.control.left(hostile.session).await, SessionEnd::Closed(String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_streams_is_cut_off_and_takes_no_memory() {
    if !alone("hostile_streams::a_flood_of_streams_is_cut_off_and_takes_no_memory") {
        return;
    }
    let host = Host::start().await;
    let mut honest = Honest::beside(&host).await;
    honest.judges(&host).await;
    let (before, mut opened) = (resident(), 0);
    // It comes back as often as it is let.
    for _ in 0..3 {
        let hostile = Hostile::enter(&host).await;
        while opened < 100_000
            && let Ok((mut send, _recv)) = hostile.connection.open_bi().await
        {
            opened += 1;
            // Opened, begun, broken off.
            if send.write_all(&[1, 0]).await.is_err() || send.reset(1u32.into()).is_err() {
                break;
            }
        }
        assert!(thrown_out(&hostile.connection).await.contains("too many streams"));
        assert!(matches!(host.control.left(hostile.session).await, SessionEnd::Misbehaved(_)));
    }
    host.offended(Offence::Protocol, 3).await;
    host.offended_at_least(Offence::Request, 3 * 128).await;
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "grown by {grown} bytes over {opened} streams");
    honest.leaves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_beats_is_listened_to_slowly() {
    let host = Host::start().await;
    let mut honest = Honest::beside(&host).await;
    let mut hostile = Hostile::enter(&host).await;
    let session = hostile.session;
    // Each is worth a sixteenth of a second.
    let beat = framed(to_hub::Say::Beat(Beat { leases: (0..16_000).collect(), ..Beat::default() }));
    let flood = tokio::spawn(async move { while hostile.send.write_chunk(beat.clone()).await.is_ok() {} });
    host.offended_at_least(Offence::Flood, 20).await;
    honest.judges(&host).await;
    host.hub.handle().disconnect(session, "enough", false);
    flood.await.unwrap();
    assert_eq!(host.control.left(session).await, SessionEnd::Disconnected("enough".into()));
    honest.leaves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_beat_without_end_little_is_handed_on() {
    let host = Host::start().await;
    let mut hostile = Hostile::enter(&host).await;
    let models = std::iter::once("m".repeat(257)).chain((0..1000).map(|at| at.to_string())).collect();
    let plugins = std::iter::once(vec![7; 100_000]).chain((0..1000).map(|_| vec![8; 32])).collect();
    let beat = Beat { models, plugins, ..Beat::default() };
    hostile.send.write_chunk(framed(to_hub::Say::Beat(beat))).await.unwrap();
    host.control.until("a beat", |control| (!control.models.lock().unwrap().is_empty()).then_some(())).await;
    let names: Vec<String> = (0..64).map(|at| at.to_string()).collect();
    assert_eq!(*host.control.models.lock().unwrap(), names);
    assert_eq!(*host.control.plugins.lock().unwrap(), vec![vec![8; 32]; 64]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_what_it_asked_for_is_not_waited_for() {
    let (ca, listen) = (pigeon_hub::CertificateAuthority::new_in_memory().unwrap(), "127.0.0.1:0".parse().unwrap());
    let host = Host::start_with(listen, ca, |config| config.patience = Duration::from_millis(500)).await;
    // More than QUIC takes ahead of a reader.
    *host.control.component.lock().unwrap() = vec![7; 64 << 20].into();
    let hostile = Hostile::enter(&host).await;
    let digest = Digest::of(&host.control.component.lock().unwrap());
    let fetch = FetchPlugin { digest: digest.as_bytes().to_vec(), offset: 0 };
    let (_send, mut recv) = ask(&hostile.connection, Ask::Plugin(fetch)).await;
    let head: PluginHead = read(&mut recv).await;
    assert_eq!(head.size, 64 << 20);
    host.offended(Offence::Request, 1).await;
    *host.control.component.lock().unwrap() = bytes::Bytes::from_static(&COMPONENT);
    Honest::beside(&host).await.leaves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_that_are_not_there_are_asked_for_in_vain() {
    let host = Host::start().await;
    let hostile = Hostile::enter(&host).await;
    for times in 1..=100u64 {
        let fetch = FetchPlugin { digest: vec![times as u8; if times % 2 == 0 { 32 } else { 7 }], offset: u64::MAX };
        let (_send, mut recv) = ask(&hostile.connection, Ask::Plugin(fetch)).await;
        let head: PluginHead = read(&mut recv).await;
        assert_eq!(head, PluginHead::default());
        // What is no digest at all is the agent's fault; that a plugin is not there need not be.
        host.offended(Offence::Request, times.div_ceil(2)).await;
    }
}
