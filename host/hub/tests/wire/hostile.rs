//! Peers that do not play by the rules: contained, counted, and no harm to the rest.

use std::{sync::Arc, time::Duration};

use pigeon_agent::Identity;
use pigeon_hub::SessionEnd;
use pigeon_protocol::{
    frame,
    id::IncarnationId,
    message::{Hello, ToHub, to_hub},
    version::{ALPN, ENROL_ALPN, SERVER_NAME},
};
use quinn::{Connection, Endpoint, crypto::rustls::QuicClientConfig};
use rustls::{RootCertStore, pki_types::PrivatePkcs8KeyDer};
use tokio::time::timeout;

use crate::support::{FakeLanes, Host, LONG};

/// A QUIC connection of whoever likes: with an identity's certificate or without one.
async fn knock(host: &Host, identity: Option<&Identity>, alpn: &[u8]) -> (Endpoint, Result<Connection, String>) {
    let mut roots = RootCertStore::empty();
    roots.add(host.ca.certificate().clone()).unwrap();
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => builder
            .with_client_auth_cert(
                vec![identity.certificate.clone().into()],
                PrivatePkcs8KeyDer::from(identity.key.clone()).into(),
            )
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connecting = endpoint.connect_with(config, host.hub.addr(), SERVER_NAME).unwrap();
    let connection = connecting.await.map_err(|error| error.to_string());
    (endpoint, connection)
}

/// Waits for the hub to close the connection, and gives its words.
async fn thrown_out(connection: &Connection) -> String {
    timeout(LONG, connection.closed()).await.unwrap().to_string()
}

fn hello() -> Hello {
    let incarnation = IncarnationId::new().to_bytes().to_vec();
    Hello { name: "agent".to_owned(), incarnation, slots: 1, in_flight: 1, ..Hello::default() }
}

async fn say(connection: &Connection, say: to_hub::Say) -> (quinn::SendStream, quinn::RecvStream) {
    let (mut send, recv) = connection.open_bi().await.unwrap();
    send.write_chunk(frame::encode(&ToHub { say: Some(say) }).unwrap()).await.unwrap();
    (send, recv)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_an_agent_without_a_certificate() {
    let host = Host::start().await;
    let (_endpoint, connection) = knock(&host, None, ALPN).await;
    assert!(thrown_out(&connection.unwrap()).await.contains("certificate is needed"));
    let (_endpoint, connection) = knock(&host, None, b"h3").await;
    assert!(connection.is_err(), "no ALPN of ours");
    host.refused(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_instead_of_a_hello_is_refused() {
    let host = Host::start().await;
    let identity = host.identity().await;
    for garbage in [&[0xff; 64][..], &[4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], &[0, 0, 0, 0]] {
        let (_endpoint, connection) = knock(&host, Some(&identity), ALPN).await;
        let connection = connection.unwrap();
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(garbage).await.unwrap();
        thrown_out(&connection).await;
    }
    let bad = [
        Hello { slots: 0, ..hello() },
        Hello { slots: u32::MAX, ..hello() },
        Hello { incarnation: vec![1], ..hello() },
        Hello { name: "n".repeat(1000), ..hello() },
        Hello { name: String::new(), ..hello() },
        Hello { oldest_minor: 7, newest_minor: 9, ..hello() },
    ];
    for bad in bad {
        let (_endpoint, connection) = knock(&host, Some(&identity), ALPN).await;
        let connection = connection.unwrap();
        let _streams = say(&connection, to_hub::Say::Hello(bad)).await;
        thrown_out(&connection).await;
    }
    assert_eq!(host.hub.handle().stats().joined, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_shown_the_door() {
    let host = Host::start().await;
    let identity = host.identity().await;
    let (_first, silent) = knock(&host, Some(&identity), ALPN).await;
    let (_second, enrolling) = knock(&host, None, ENROL_ALPN).await;
    assert!(thrown_out(&silent.unwrap()).await.contains("no hello came in time"));
    thrown_out(&enrolling.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_after_the_hello_ends_the_session_and_no_other() {
    let host = Host::start().await;
    let honest = host.agent(FakeLanes::default()).await;
    let (honest_session, _) = host.control.joined().await;
    let identity = host.identity().await;
    let (_endpoint, connection) = knock(&host, Some(&identity), ALPN).await;
    let connection = connection.unwrap();
    let (mut send, _recv) = say(&connection, to_hub::Say::Hello(hello())).await;
    let (session, _) = host.control.joined().await;
    send.write_all(&[0xff; 100]).await.unwrap();
    assert!(matches!(host.control.left(session).await, SessionEnd::Misbehaved(_)));
    thrown_out(&connection).await;
    assert_eq!(host.hub.handle().stats().misbehaved, 1);

    host.hub.handle().lease(honest_session, crate::support::order(1, 0, &crate::support::bodies([1]))).unwrap();
    host.control.ended(1).await;
    honest.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_and_half_open_ones_are_given_up() {
    let host = Host::start().await;
    let identity = host.identity().await;
    let (_endpoint, connection) = knock(&host, Some(&identity), ALPN).await;
    let connection = connection.unwrap();
    let _control = say(&connection, to_hub::Say::Hello(hello())).await;
    let (session, _) = host.control.joined().await;
    let mut streams = Vec::new();
    // As many as QUIC lets us open, each with half a frame.
    while let Ok(Ok((mut send, recv))) = timeout(Duration::from_millis(300), connection.open_bi()).await {
        send.write_all(&[1, 0]).await.unwrap();
        streams.push((send, recv));
    }
    assert_eq!(streams.len(), 64);
    assert!(timeout(Duration::from_millis(300), connection.open_uni()).await.is_err(), "no such streams here");
    let (_, recv) = &mut streams[0];
    assert!(timeout(LONG, recv.read_to_end(10)).await.unwrap().is_err(), "reset by the hub");
    // The beat goes on beside them: nothing has ended the session.
    connection.close(77u32.into(), b"enough");
    assert_eq!(host.control.left(session).await, SessionEnd::Closed("enough".into()));
}
