//! Who may come in.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use pigeon_agent::{AgentError, EnrolError, enrol, enrol::renew};
use pigeon_hub::{CertificateAuthority, HubEvent, JoinTokens, Offence};
use pigeon_protocol::{
    enrol::JoinToken,
    id::Digest,
    message::to_hub,
    version::{ALPN, SERVER_NAME},
};

use crate::{
    peer::{hello, knock, say, thrown_out},
    support::{Control, FakeLanes, Host, LONG, bodies, order},
};

fn refused<T: std::fmt::Debug>(result: Result<T, EnrolError>) -> String {
    match result {
        Err(EnrolError::Refused { reason, .. }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_buys_an_identity_as_often_as_it_says() {
    let host = Host::start().await;
    let token = host.tokens.issue(2, LONG).unwrap();
    let first = enrol(host.hub.addr(), &token, "a").await.unwrap();
    let second = enrol(host.hub.addr(), &token, "b").await.unwrap();
    assert_ne!(first.agent, second.agent);
    assert_eq!(Digest::of(&first.ca), host.ca.fingerprint());
    assert_eq!(first.trusted_keys.len(), 1);
    assert!(refused(enrol(host.hub.addr(), &token, "c").await).contains("used up"));
    assert_eq!(host.hub.handle().stats().enrolled, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_costs_no_use_of_a_token() {
    let host = Host::start().await;
    let token = host.tokens.issue(1, LONG).unwrap();
    // Longer than a peer may take for its own part, and shorter than it waits for ours.
    *host.control.joining.lock().unwrap() = Duration::from_secs(7);
    enrol(host.hub.addr(), &token, "a").await.unwrap();
    assert_eq!(host.hub.handle().stats().refused, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_a_name_gets_no_identity_and_costs_no_token() {
    let host = Host::start().await;
    let token = host.tokens.issue(1, LONG).unwrap();
    for name in [String::new(), "n".repeat(257)] {
        assert_eq!(refused(enrol(host.hub.addr(), &token, &name).await), "an agent's name has 1 to 256 bytes");
    }
    let identity = enrol(host.hub.addr(), &token, "a").await.unwrap();
    assert_eq!(refused(renew(host.hub.addr(), &identity, "").await), "an agent's name has 1 to 256 bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_token_is_told_to_whoever_has_it() {
    let host = Host::start().await;
    let expired = host.tokens.issue(1, Duration::ZERO).unwrap();
    let foreign = JoinTokens::new(host.ca.fingerprint()).issue(1, LONG).unwrap();
    assert_eq!(refused(enrol(host.hub.addr(), &expired, "a").await), "the join token has expired");
    assert!(refused(enrol(host.hub.addr(), &foreign, "a").await).contains("not known"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_of_another_ca_gets_no_secret() {
    let host = Host::start().await;
    let token = JoinToken::new(Digest::of(b"another CA")).unwrap();
    let error = enrol(host.hub.addr(), &token, "a").await.unwrap_err();
    assert!(matches!(error, EnrolError::Connect { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_of_another_release_is_told_from_one_of_another_ca() {
    let ca = CertificateAuthority::new_in_memory().unwrap();
    let certificate = ca.server(&[SERVER_NAME]).unwrap();
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificate.chain, certificate.key)
        .unwrap();
    tls.alpn_protocols = vec![b"pigeon-enrol/2".to_vec()];
    let tls = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    let hub = quinn::Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
    let enrolled = async {
        let token = JoinToken::new(ca.fingerprint()).unwrap();
        enrol(hub.local_addr().unwrap(), &token, "a").await.unwrap_err()
    };
    let accepted = async {
        // Refused: what became of it is seen on the other side.
        while let Some(incoming) = hub.accept().await {
            let _ = incoming.await;
        }
    };
    let error = tokio::select! {
        error = enrolled => error,
        () = accepted => unreachable!(),
    };
    assert!(matches!(error, EnrolError::Version { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_of_another_ca_is_not_let_in() {
    let (host, other) = (Host::start().await, Host::start().await);
    let mut identity = other.identity().await;
    // It would trust the hub, and the hub must still not trust it.
    identity.ca = host.ca.certificate().to_vec();
    let agent = host.agent_as(identity, FakeLanes::default());
    host.refused(1).await;
    assert_eq!(host.hub.handle().stats().joined, 0);
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_agent_is_told_so_and_gives_up() {
    let host = Host::start().await;
    let identity = host.identity().await;
    host.control.revoked.lock().unwrap().push(identity.agent);
    let agent = host.agent_as(identity.clone(), FakeLanes::default());
    match agent.task.await.unwrap() {
        Err(AgentError::Refused(reason)) => assert!(reason.contains("revoked"), "{reason}"),
        Ok(()) => panic!("it was let in"),
        Err(other) => panic!("{other}"),
    }
    assert!(refused(renew(host.hub.addr(), &identity, "a").await).contains("revoked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_may_renew_and_nothing_else() {
    let ca = CertificateAuthority::new_in_memory().unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let past = Host::start_with(listen, ca.clone(), |config| config.agent_certificates = Duration::ZERO).await;
    let old = past.identity().await;
    // Certificates count whole seconds: this one is over when its second is.
    tokio::time::sleep(Duration::from_millis(1100)).await;

    let host = Host::start_at(listen, ca).await;
    let new = renew(host.hub.addr(), &old, "a").await.unwrap();
    assert_eq!(new.agent, old.agent);
    assert_ne!(new.key, old.key);
    // The agent does the same by itself before it connects.
    let agent = host.agent_as(old, FakeLanes::default());
    let (_, who) = host.control.joined().await;
    assert_eq!(who, new.agent);
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_in_time_and_the_session_stays() {
    let ca = CertificateAuthority::new_in_memory().unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let life = |config: &mut pigeon_hub::HubConfig| config.agent_certificates = Duration::from_secs(4);
    let host = Host::start_with(listen, ca, life).await;
    let agent = host.agent(FakeLanes::default()).await;
    let (session, who) = host.control.joined().await;
    host.control
        .until("two renewals", |control| {
            let renewed = control.renewed.lock().unwrap();
            (renewed.iter().filter(|agent| **agent == who).count() >= 2).then_some(())
        })
        .await;
    host.hub.handle().lease(session, order(1, 0, &bodies([1]))).unwrap();
    host.control.ended(1).await;
    assert_eq!(host.hub.handle().stats().joined, 1, "it never left");
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_cut_off_beyond_its_certificates_end_comes_back() {
    let (ca, listen) = (CertificateAuthority::new_in_memory().unwrap(), "127.0.0.1:0".parse().unwrap());
    let life = |config: &mut pigeon_hub::HubConfig| config.agent_certificates = Duration::from_secs(1);
    let first = Host::start_with(listen, ca.clone(), life).await;
    let agent = first.agent(FakeLanes::default()).await;
    let (_, who) = first.control.joined().await;
    let address = first.hub.addr();
    first.hub.shutdown(LONG).await;
    // Certificates count whole seconds: whatever it has by now is over when its second is.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let second = Host::start_at(address, ca).await;
    assert_eq!(second.control.joined().await.1, who);
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_while_coming_in_stays_out() {
    let host = Host::start().await;
    let identity = host.identity().await;
    let (_endpoint, connection) = knock(&host, Some(&identity), ALPN).await;
    let connection = connection.unwrap();
    let asked = |control: &Control| (control.admissions.load(SeqCst) > 0).then_some(());
    host.control.until("it may come in", asked).await;
    host.control.revoked.lock().unwrap().push(identity.agent);
    let _streams = say(&connection, to_hub::Say::Hello(hello())).await;
    assert!(thrown_out(&connection).await.contains("revoked"));
    host.offended(Offence::RevokedCertificate, 1).await;
    let joined = |event: &HubEvent| matches!(event, HubEvent::Joined { .. });
    assert!(!host.control.heard(joined), "control has heard of it");
}
