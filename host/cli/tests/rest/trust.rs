//! Who the server is, and who asks.

use std::error::Error as _;

use pigeon_api::{
    ApiError, Digest, ErrorKind, JobRequest, Pigeon, Work,
    client::{Trust, fetch_ca},
};

use crate::support::{Place, client};

/// An error with all that it came from, as people read it.
fn told(error: &ApiError) -> String {
    let (mut told, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}

async fn refused(server: &str, trust: Trust) -> ApiError {
    client(server, "the-admin", trust).plugins().await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_host_is_known_by_its_ca() {
    let place = Place::start(true).await;
    let (url, fingerprint) = (place.url("127.0.0.1"), place.fingerprint());
    let ca = fetch_ca(&url, None).await.unwrap();
    assert_eq!(ca.fingerprint, fingerprint);
    assert_eq!(fetch_ca(&url, Some(fingerprint)).await.unwrap(), ca);
    for server in [&url, &place.url("localhost")] {
        for trust in [Trust::Fingerprint(fingerprint), Trust::Ca(ca.pem.clone())] {
            client(server, "the-admin", trust).plugins().await.unwrap();
        }
    }

    // Another control host's CA: both fingerprints are told.
    let other = Place::start(true).await;
    let other_ca = fetch_ca(&other.url("127.0.0.1"), None).await.unwrap();
    let both = |error: &ApiError| {
        let told = told(error);
        assert!(told.contains(&url), "{told}");
        assert!(told.contains(&fingerprint.to_string()), "{told}");
        assert!(told.contains(&other_ca.fingerprint.to_string()), "{told}");
        assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("fingerprint")), "{error:?}");
        assert_eq!(error.kind, ErrorKind::Unreachable);
    };
    both(&refused(&url, Trust::Fingerprint(other_ca.fingerprint)).await);
    both(&refused(&url, Trust::Ca(other_ca.pem.clone())).await);
    both(&fetch_ca(&url, Some(other_ca.fingerprint)).await.unwrap_err());
    // One that nobody vouches for.
    let error = refused(&url, Trust::System).await;
    assert!(told(&error).contains("not the control host that is expected"), "{}", told(&error));
    other.stop().await;
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_where_it_is_and_nowhere_else() {
    let (tls, plain) = (Place::start(true).await, Place::start(false).await);
    let error = refused(&tls.url("127.0.0.1").replace("https", "http"), Trust::System).await;
    assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("https")), "{error:?}");
    let error = refused(&plain.url("127.0.0.1").replace("http", "https"), Trust::Fingerprint(Digest::of(b""))).await;
    assert!(told(&error).contains("does not speak TLS"), "{}", told(&error));
    let error = fetch_ca(&plain.url("127.0.0.1"), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadRequest);
    tls.stop().await;
    plain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_say_who_asks() {
    let place = Place::start(false).await;
    let url = place.url("127.0.0.1");
    let error = client(&url, "nobody's", Trust::System).plugins().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(error.message.contains(&url) && error.hint.is_some(), "{error:?}");
    let viewer = client(&url, "the-viewer", Trust::System);
    let plugin = viewer.plugin("json").await.unwrap().digest;
    let request = JobRequest::new(plugin, Work::Many { iterations: 1, workers: None });
    let error = viewer.submit(request).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden);
    place.stop().await;
}
