//! Those who do not get in, and those who do not get on: refused, counted, and no harm to the rest.

use std::time::Duration;

use pigeon_agent::{EnrolError, enrol};
use pigeon_hub::{CertificateAuthority, Offence};
use pigeon_protocol::{
    message::{Hello, to_hub},
    version::{ALPN, ENROL_ALPN, SERVER_NAME},
};
use tokio::{net::UdpSocket, time::timeout};

use crate::{
    peer::{Honest, endpoint, handshake, hello, knock, knock_at, say, thrown_out},
    support::{FakeLanes, Host, LONG},
};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_an_agent_without_a_certificate() {
    let host = Host::start().await;
    let honest = Honest::beside(&host).await;
    let (_endpoint, connection) = knock(&host, None, ALPN).await;
    assert!(thrown_out(&connection.unwrap()).await.contains("certificate is needed"));
    let (_endpoint, connection) = knock(&host, None, b"h3").await;
    assert!(connection.is_err(), "no ALPN of ours");
    host.offended(Offence::NoCertificate, 1).await;
    host.offended(Offence::Alpn, 1).await;
    host.refused(2).await;
    honest.leaves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_not_good_any_more_or_never_were_are_told_apart() {
    let (ca, listen) = (CertificateAuthority::new_in_memory().unwrap(), "127.0.0.1:0".parse().unwrap());
    let past = Host::start_with(listen, ca.clone(), |config| config.agent_certificates = Duration::ZERO).await;
    let expired = past.identity().await;
    let foreign = Host::start().await.identity().await;
    // Certificates count whole seconds: this one is over when its second is.
    tokio::time::sleep(Duration::from_millis(1100)).await;

    let host = Host::start_at(listen, ca).await;
    let honest = Honest::beside(&host).await;
    let revoked = host.identity().await;
    host.control.revoked.lock().unwrap().push(revoked.agent);
    for (identity, offence, words) in [
        (&expired, Offence::ExpiredCertificate, "has expired"),
        (&revoked, Offence::RevokedCertificate, "revoked"),
        (&foreign, Offence::ForeignCertificate, ""),
    ] {
        for times in 1..=3 {
            let (_endpoint, connection) = knock(&host, Some(identity), ALPN).await;
            // With TLS 1.3 a client may think that it is in before it hears what is made of its certificate.
            if let Ok(connection) = connection {
                let told = thrown_out(&connection).await;
                assert!(told.contains(words), "{told}");
            }
            host.offended(offence, times).await;
        }
    }
    assert_eq!(host.hub.handle().stats().joined, 1, "the honest one");
    honest.leaves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_used_up_buys_nothing_however_often_it_is_tried() {
    let host = Host::start().await;
    let honest = Honest::beside(&host).await;
    let token = host.tokens.issue(1, LONG).unwrap();
    enrol(host.hub.addr(), &token, "first").await.unwrap();
    for times in 1..=20 {
        let refused = enrol(host.hub.addr(), &token, "again").await;
        assert!(matches!(refused, Err(EnrolError::Refused { .. })), "{refused:?}");
        host.offended(Offence::Token, times).await;
    }
    assert_eq!(host.hub.handle().stats().enrolled, 2);
    honest.leaves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_instead_of_a_request_to_enrol_is_refused() {
    let host = Host::start().await;
    let honest = Honest::beside(&host).await;
    for garbage in [&[0xff; 64][..], &[4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], &[0, 0, 0, 0], &[0, 0, 1, 0, 7]] {
        let (_endpoint, connection) = knock(&host, None, ENROL_ALPN).await;
        let connection = connection.unwrap();
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(garbage).await.unwrap();
        let _ = send.finish();
        thrown_out(&connection).await;
    }
    host.offended(Offence::Enrolment, 4).await;
    honest.leaves(&host).await;
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
        Hello { labels: vec!["l".to_owned(); 1000], ..hello() },
        Hello { oldest_minor: 7, newest_minor: 9, ..hello() },
    ];
    for bad in bad {
        let (_endpoint, connection) = knock(&host, Some(&identity), ALPN).await;
        let connection = connection.unwrap();
        let _streams = say(&connection, to_hub::Say::Hello(bad)).await;
        thrown_out(&connection).await;
    }
    host.offended(Offence::Hello, 10).await;
    assert_eq!(host.hub.handle().stats().joined, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_half_a_word_is_shown_the_door() {
    let host = Host::start().await;
    let identity = host.identity().await;
    let (_first, silent) = knock(&host, Some(&identity), ALPN).await;
    let (_second, enrolling) = knock(&host, None, ENROL_ALPN).await;
    let (_third, halting) = knock(&host, Some(&identity), ALPN).await;
    let halting = halting.unwrap();
    let (mut send, _recv) = halting.open_bi().await.unwrap();
    send.write_all(&[100, 0]).await.unwrap();
    assert!(thrown_out(&silent.unwrap()).await.contains("no hello came in time"));
    assert!(thrown_out(&halting).await.contains("no hello came in time"));
    thrown_out(&enrolling.unwrap()).await;
    host.offended(Offence::Slow, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_are_never_ended_keep_nobody_out() {
    let (ca, listen) = (CertificateAuthority::new_in_memory().unwrap(), "127.0.0.1:0".parse().unwrap());
    let host = Host::start_with(listen, ca, |config| config.max_handshakes = 8).await;
    let mut honest = Honest::beside(&host).await;
    // Each lets its first datagram through to the hub, and no other in either direction.
    let (way, endpoint) = (UdpSocket::bind("127.0.0.1:0").await.unwrap(), endpoint());
    let config = handshake(&host, None, ALPN);
    let mut begun = Vec::new();
    for _ in 0..40 {
        begun.push(endpoint.connect_with(config.clone(), way.local_addr().unwrap(), SERVER_NAME).unwrap());
        let mut datagram = [0; 2000];
        let length = loop {
            let length = timeout(LONG, way.recv(&mut datagram)).await.unwrap().unwrap();
            // A long header of type Initial, and none that was sent again: 1,200 bytes at least.
            if datagram[0] & 0xf0 == 0xc0 && length >= 1200 {
                break length;
            }
        };
        UdpSocket::bind("127.0.0.1:0").await.unwrap().send_to(&datagram[..length], host.hub.addr()).await.unwrap();
    }
    // Half of the room is kept for those who prove that they are where they say.
    honest.judges(&host).await;
    let late = host.agent(FakeLanes::default()).await;
    host.control.joined().await;
    host.offended_at_least(Offence::Slow, 4).await;
    late.stop().await.unwrap();
    honest.leaves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_of_garbage_are_passed_over() {
    let host = Host::start().await;
    let mut honest = Honest::beside(&host).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut noise = 0x9E37_79B9_7F4A_7C15_u64;
    for round in 0..20_000usize {
        let mut datagram: Vec<u8> = (0..round % 1400)
            .map(|_| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (noise >> 56) as u8
            })
            .collect();
        // Some look like the beginning of a connection: a long header, the right version, ids of eight bytes.
        if round % 3 == 0 && datagram.len() > 30 {
            datagram[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
            datagram[14] = 8;
        }
        // The kernel may have no room for it: as good.
        let _ = socket.send_to(&datagram, host.hub.addr()).await;
        if round % 5_000 == 0 {
            honest.judges(&host).await;
        }
    }
    let late = host.agent(FakeLanes::default()).await;
    host.control.joined().await;
    late.stop().await.unwrap();
    honest.leaves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_is_never_resumed_and_nothing_is_taken_early() {
    let host = Host::start().await;
    let identity = host.identity().await;
    let config = handshake(&host, Some(&identity), ALPN);
    for _ in 0..3 {
        // The same client, which would use a ticket, had it been given one.
        let (_endpoint, connection) = knock_at(host.hub.addr(), config.clone()).await;
        let connection = connection.unwrap();
        let (_send, mut recv) = say(&connection, to_hub::Say::Hello(hello())).await;
        host.control.joined().await;
        let _: pigeon_protocol::message::ToAgent = crate::peer::read(&mut recv).await;
        connection.close(0u32.into(), b"");
        let connecting = endpoint().connect_with(config.clone(), host.hub.addr(), SERVER_NAME).unwrap();
        assert!(connecting.into_0rtt().is_err(), "there is no ticket to begin with");
    }
}
